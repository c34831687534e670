"""MIDRC-RICORD-1C: a fake tree of small DICOM files, in both of its layouts."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError

SUBJECT = "MIDRC-RICORD-1C-419639-000082"
UID = "1.2.826.0.1.3680043.10.474.419639."
LABELS = (
    "Typical Appearance",
    "Indeterminate Appearance",
    "Atypical Appearance",
    "Negative for Pneumonia",
    "Mild Opacities  (1-2 lung zones)",
    "Severe Opacities (>4 lung zones)",
    "Invalid Study",
)


def write(root, name, study="1", **elements):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = UID + study
    dataset.PatientName = "Name^Of^Patient"
    for keyword, value in {"Modality": "CR", "ViewPosition": "AP", **elements}.items():
        setattr(dataset, keyword, value)
    dataset.Rows = dataset.Columns = 4
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = np.zeros((4, 4), np.uint8).tobytes()
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def annotate(root, *rows):
    """Rows are (study, name of a label, name of its group)."""
    groups = sorted({group for _, _, group in rows})
    project = {
        "labelGroups": [
            {"id": f"G{i}", "name": group, "labels": [{"id": f"{i}{name}", "name": name} for name in LABELS]}
            for i, group in enumerate(groups)
        ],
        "datasets": [
            {
                "annotations": [
                    {"StudyInstanceUID": UID + study, "labelId": f"{groups.index(group)}{name}"}
                    for study, name, group in rows
                ]
            }
        ],
    }
    path = root / "1c_mdai_rsna_project_MwBeK3Nr_annotations_labelgroup_all_2021-01-08-164102.json"
    path.write_text(json.dumps(project))


def test_ricord_takes_patients_from_folders_and_view_age_and_sex_from_headers(tmp_path):
    nbia = f"MIDRC-RICORD-1C/{SUBJECT}/06-13-2002-NA-XR CHEST 1 VIEW AP-23138/2.000000-NA-NA-19435"
    write(tmp_path, f"{nbia}/1-1.dcm", PatientAge="085Y", PatientSex="F")
    write(tmp_path, f"{nbia}/1-2.dcm", ViewPosition="", PatientAge="", PatientSex="X")
    uuid = "midrc_ricord_1c/MIDRC-RICORD-1C-SITE2-000105/65881/17480/6217b20a-393c.dcm"
    write(tmp_path, uuid, study="2", Modality="DX", ViewPosition="PA", PatientAge="018M")
    cohort, skipped = build_source("ricord", tmp_path)
    assert cohort["study"].tolist() == [
        f"ricord-{SUBJECT}-23138-19435-1-1",
        f"ricord-{SUBJECT}-23138-19435-1-2",
        "ricord-MIDRC-RICORD-1C-SITE2-000105-65881-17480-6217b20a-393c",
    ]
    assert cohort["patient"].tolist() == [f"ricord-{SUBJECT}"] * 2 + ["ricord-MIDRC-RICORD-1C-SITE2-000105"]
    assert cohort["patient_id_known"].eq("yes").all()
    assert cohort["view"].tolist() == ["AP", pd.NA, "PA"]
    assert cohort["age_years"].fillna(-1).tolist() == [85, -1, 1.5]
    assert cohort["sex"].tolist() == ["F", pd.NA, pd.NA]
    assert cohort["label"].eq("covid19").all()
    assert cohort["appearance"].isna().all()
    assert skipped.empty
    assert not cohort.astype(str).apply(lambda column: column.str.contains("Name")).any(axis=None)


def test_ricord_follows_the_adjudicator_then_the_majority_of_readers(tmp_path):
    for study in "12345":
        write(tmp_path, f"{SUBJECT}/0000{study}/11111/a.dcm", study=study)
    typical, indeterminate, atypical, negative, mild, severe, invalid = LABELS
    readers = ("Team 1", "Team 2", "Team 3")
    annotate(
        tmp_path,
        *[("1", label, reader) for label, reader in zip((typical, typical, atypical), readers, strict=True)],
        *[("1", label, reader) for label, reader in zip((mild, severe, severe), readers, strict=True)],
        *[("2", typical, reader) for reader in readers],
        ("2", indeterminate, "Adjudication"),
        ("2", mild, "Team 1"),
        *[("3", label, reader) for label, reader in zip((typical, atypical, negative), readers, strict=True)],
        ("4", negative, "Team 1"),
        ("4", mild, "Team 2"),
        ("5", invalid, "Team 1"),
        ("9", typical, "Team 1"),
    )
    cohort, _ = build_source("ricord", tmp_path)
    assert cohort["appearance"].tolist() == ["typical", "indeterminate", pd.NA, "negative", pd.NA]
    assert cohort["severity"].tolist() == ["severe", "mild", pd.NA, pd.NA, pd.NA]


def test_ricord_reads_annotations_that_were_exported_as_csv(tmp_path):
    write(tmp_path, f"{SUBJECT}/00001/11111/a.dcm")
    (tmp_path / "annotations.csv").write_text(
        f"id,StudyInstanceUID,groupName,labelName\n1,{UID}1,Team 1,Atypical Appearance\n"
    )
    assert build_source("ricord", tmp_path).cohort["appearance"].tolist() == ["atypical"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"labelGroups": []}', '{"labelGroups": [{}], "datasets": []}', "[" * 10**5]
)
def test_ricord_refuses_files_of_annotations_that_are_none(tmp_path, text):
    write(tmp_path, f"{SUBJECT}/00001/11111/a.dcm")
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(CohortError, match=r"annotations\.json: not the annotations of MD\.ai"):
        build_source("ricord", tmp_path)


def test_ricord_skips_laterals_ct_damaged_headers_and_strange_folders(tmp_path):
    write(tmp_path, f"{SUBJECT}/00001/11111/a.dcm")
    write(tmp_path, f"{SUBJECT}/00001/11112/b.dcm", ViewPosition="LL")
    write(tmp_path, f"{SUBJECT}/00001/11113/c.dcm", Modality="CT", ViewPosition="")
    write(tmp_path, "MIDRC-RICORD-1A-419639-000082/00001/11113/d.dcm")
    (tmp_path / SUBJECT / "00001" / "11111" / "e.dcm").write_bytes(b"no DICOM")
    (tmp_path / SUBJECT / "00001" / "11111" / "LICENSE").touch()
    cohort, skipped = build_source("ricord", tmp_path)
    assert cohort["study"].tolist() == [f"ricord-{SUBJECT}-00001-11111-a"]
    assert {name[-5:]: reason for name, reason in skipped.to_numpy()} == {
        "b.dcm": "lateral view",
        "c.dcm": "not a radiograph",
        "d.dcm": "not in the folder of a subject of MIDRC-RICORD-1C",
        "e.dcm": "its DICOM header cannot be read; download it again",
    }


def test_ricord_understands_other_letter_case(tmp_path):
    write(tmp_path, "midrc-ricord-1c-440808-000001/00001/11111/A.DCM")
    assert build_source("ricord", tmp_path).cohort["patient"].tolist() == ["ricord-midrc-ricord-1c-440808-000001"]


def test_ricord_without_any_film_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text("Subject ID\n")
    with pytest.raises(CohortError, match="none of the 0 images of ricord is there"):
        build_source("ricord", tmp_path)
