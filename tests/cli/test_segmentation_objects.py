from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from patchcxr.cli.segmentation_objects import save_masks_as_dicom
from patchcxr.errors import MaskError
from patchcxr.io.dicom_seg import Algorithm, read_dicom_seg

SHAPE = (30, 21)


def write_header(path, patient):
    """A film without pixels: of a film only its header is read."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    film.StudyInstanceUID, film.SeriesInstanceUID, film.PatientID = generate_uid(), generate_uid(), patient
    film.Rows, film.Columns = SHAPE
    film.save_as(path, enforce_file_format=True)
    return str(path)


@pytest.fixture
def cohort(tmp_path):
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros(SHAPE, np.uint8))
    images = [
        write_header(tmp_path / "a.dcm", "MRN 1"),
        str(tmp_path / "b.png"),
        str(tmp_path / "gone.dcm"),
        write_header(tmp_path / "d.dcm", "MRN 4"),
    ]
    return pd.DataFrame({"study": ["a", "b", "c", "folder/d"], "patient": ["p1", "p2", "p3", "p4"], "image": images})


def masks_of(study):
    heart = np.zeros(SHAPE, bool)
    heart[: 1 + len(study)] = True
    return {"heart": heart}


def test_films_that_are_no_dicom_are_listed_and_do_not_stop_the_others(cohort, tmp_path):
    steps = []
    failures = save_masks_as_dicom(cohort, masks_of, tmp_path / "seg", progress=lambda *at: steps.append(at))
    assert list(failures["study"]) == ["b", "c"]
    assert set(failures["stage"]) == {"dicom_seg"}
    assert "PNG file" in failures["error"][0]
    assert "no such" in failures["error"][1]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(list((tmp_path / "seg").iterdir())) == 2
    np.testing.assert_array_equal(read_dicom_seg(tmp_path / "seg" / "a.dcm")["heart"], masks_of("a")["heart"])


def test_the_cohorts_patient_stands_in_the_object_only_on_request(cohort, tmp_path):
    for pseudonymise, expected in ((False, "MRN 1"), (True, "p1")):
        failures = save_masks_as_dicom(cohort[:1], masks_of, tmp_path / "seg", Algorithm("net"), pseudonymise)
        assert failures["error"].tolist() == []
        assert pydicom.dcmread(tmp_path / "seg" / "a.dcm").PatientID == expected


def test_a_film_is_never_replaced_by_its_object(cohort, tmp_path):
    before = (tmp_path / "a.dcm").read_bytes()
    failures = save_masks_as_dicom(cohort[:1], masks_of, tmp_path)
    assert "is the film itself" in failures["error"][0]
    assert (tmp_path / "a.dcm").read_bytes() == before


def test_a_study_whose_masks_cannot_be_had_is_a_failure_of_its_own(cohort, tmp_path):
    def sometimes(study):
        if study == "a":
            raise MaskError("no mask of a")
        return masks_of(study)

    failures = save_masks_as_dicom(cohort.iloc[[0, 3]], sometimes, tmp_path / "seg")
    assert failures.to_numpy().tolist() == [["a", "dicom_seg", "no mask of a"]]
