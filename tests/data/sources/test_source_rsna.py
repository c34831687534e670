"""RSNA's pneumonia challenge in its published layout."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from patchcxr.data.boxes import Box, parse_boxes
from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, LabelError

LABELS = (
    "patientId,x,y,width,height,Target\n0004cfab,,,,,0\n00313ee0,,,,,0\n"
    "00436515,264.0,152.0,213.0,379.0,1\n00436515,562.0,152.0,256.0,453.0,1\n"
)
CLASSES = (
    "patientId,class\n0004cfab,No Lung Opacity / Not Normal\n00313ee0,Normal\n"
    "00436515,Lung Opacity\n00436515,Lung Opacity\n"
)


def write_dicom(path, view="PA", age="51", sex="F"):
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    header = Dataset()
    header.file_meta = meta
    header.PatientName = "Somebody"
    header.ViewPosition, header.PatientSex = view, sex
    header.add_new("PatientAge", "SH", age)
    header.save_as(path, enforce_file_format=True)


def published(root):
    (root / "stage_2_train_labels.csv").write_text(LABELS)
    (root / "stage_2_detailed_class_info.csv").write_text(CLASSES)
    folder = root / "stage_2_train_images"
    write_dicom(folder / "0004cfab.dcm", "AP", "155", "M")
    write_dicom(folder / "00313ee0.DCM", "PA", "048Y", "F")
    write_dicom(folder / "00436515.dcm")
    write_dicom(root / "stage_2_test_images" / "0000a175.dcm")
    (folder / "00436515.txt").touch()


def test_every_column_comes_from_tables_and_headers(tmp_path):
    published(tmp_path)
    table, skipped = build_source("rsna", tmp_path)
    assert table["study"].tolist() == ["rsna-0004cfab", "rsna-00313ee0", "rsna-00436515"]
    assert table["label"].tolist() == ["other", "normal", "pneumonia"]
    assert table["finding"][0] == "No Lung Opacity / Not Normal"
    assert table["view"].tolist() == ["AP", "PA", "PA"]
    assert table["age_years"].tolist()[1:] == [48, 51]
    assert pd.isna(table["age_years"][0])
    assert table["sex"].tolist() == ["M", "F", "F"]
    assert table["image"][2] == str(tmp_path / "stage_2_train_images" / "00436515.dcm")
    assert set(table["patient_id_known"]) == {"no"}
    assert skipped.empty
    assert not table.astype(str).apply(lambda column: column.str.contains("Somebody")).any().any()


def test_rows_of_a_film_become_its_boxes_and_a_film_without_opacity_has_none(tmp_path):
    published(tmp_path)
    boxes = build_source("rsna", tmp_path).cohort["boxes"]
    assert boxes.tolist()[:2] == ["(empty)", "(empty)"]
    assert parse_boxes(boxes[2]) == [Box(152, 264, 379, 213), Box(152, 562, 453, 256)]


def test_the_file_of_mappings_gives_patients_and_the_films_of_chestxray14(tmp_path):
    published(tmp_path)
    names = {"0004cfab": "00014906_000.png", "00436515": "00014906_003.png", "0000a175": "00000007_001.png"}
    entries = [{"subset_img_id": ours, "img_id": theirs, "orig_labels": []} for ours, theirs in names.items()]
    path = tmp_path / "pneumonia-challenge-dataset-mappings_2018.json"
    path.write_text(json.dumps(entries))
    table = build_source("rsna", tmp_path).cohort
    assert table["nih_image"].tolist() == ["00014906_000", pd.NA, "00014906_003"]
    assert table["patient"].tolist() == ["rsna-14906", "rsna-00313ee0", "rsna-14906"]
    assert table["patient_id_known"].tolist() == ["yes", "no", "yes"]
    for text in ("[{}]", "{", "7"):
        path.write_text(text)
        with pytest.raises(CohortError, match="subset_img_id and img_id"):
            build_source("rsna", tmp_path)


def test_damaged_and_missing_films_are_skipped_and_copies_as_png_are_taken(tmp_path):
    published(tmp_path)
    folder = tmp_path / "stage_2_train_images"
    (folder / "0004cfab.dcm").write_bytes(b"no dicom")
    (folder / "00313ee0.DCM").unlink()
    (folder / "00436515.dcm").rename(folder / "00436515.png")
    table, skipped = build_source("rsna", tmp_path)
    assert table["image"].tolist() == [str(folder / "00436515.png")]
    assert table[["view", "age_years", "sex"]].isna().all().all()
    assert skipped["name"].tolist() == ["0004cfab", "00313ee0"]
    assert "no DICOM file" in skipped["reason"][0]
    assert skipped["reason"][1] == f"no such image in {tmp_path}"


def test_tables_that_do_not_fit_each_other_are_refused(tmp_path):
    published(tmp_path)
    (tmp_path / "stage_2_detailed_class_info.csv").write_text(
        CLASSES.replace("00313ee0,Normal", "00313ee0,Lung Opacity")
    )
    with pytest.raises(CohortError, match="class and Target differ for 1 films, such as 00313ee0"):
        build_source("rsna", tmp_path)
    (tmp_path / "stage_2_detailed_class_info.csv").write_text(CLASSES.replace("00313ee0,Normal", "00313ee0,Healthy"))
    with pytest.raises(LabelError, match="Healthy"):
        build_source("rsna", tmp_path)
    (tmp_path / "stage_2_detailed_class_info.csv").unlink()
    with pytest.raises(CohortError, match="no such file"):
        build_source("rsna", tmp_path)


def test_a_part_of_the_films_without_any_box_is_read_as_films_without_opacities(tmp_path):
    published(tmp_path)
    (tmp_path / "stage_2_train_labels.csv").write_text(LABELS[: LABELS.index("00436515")])
    (tmp_path / "stage_2_detailed_class_info.csv").write_text(CLASSES[: CLASSES.index("00436515")])
    assert build_source("rsna", tmp_path).cohort["boxes"].tolist() == ["(empty)", "(empty)"]
