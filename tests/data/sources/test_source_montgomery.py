"""Montgomery in its published layout: a tiny fake tree."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.cohort import check_cohort_files
from patchcxr.data.sources.montgomery import build
from patchcxr.errors import CohortError

READINGS = {
    "MCUCXR_0001_0": "Patient's Sex: F \r\nPatient's Age: 027Y\r\nnormal\r\n",
    "MCUCXR_0004_0": "Patient's Sex: O\r\nPatient's Age: 000Y\r\nnormal\r\n",
    "MCUCXR_0104_1": "Patient's Sex: M\nPatient's Age: 040Y\nbilateral miliary nodules,\n3 mm each;\npleural effusion",
    "MCUCXR_0162_1": "Patient's Sex: M\r\nPatient's Age: 049Y\r\ncavity",
    "MCUCXR_0166_1": "Patient’s Sex: M\r\nPatient’s Age: 049Y\r\nNO REPORT (same pt as MCUCXR_0162_1)",
    "MCUCXR_0170_1": "Patient's Sex:\nPatient's Age:\n3 months of cough",
}


def mask(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((32, 48), dtype=np.uint8)
    pixels[4:20, columns] = 255
    cv2.imwrite(str(path), pixels)


@pytest.fixture
def published(tmp_path):
    root = tmp_path / "MontgomerySet"
    for folder in ("CXR_png", "ClinicalReadings", "ManualMask/leftMask", "ManualMask/rightMask"):
        (root / folder).mkdir(parents=True)
    for stem, text in READINGS.items():
        (root / "ClinicalReadings" / f"{stem}.txt").write_bytes(text.encode())
        if stem != "MCUCXR_0170_1":
            (root / "CXR_png" / f"{stem}.png").touch()
    (root / "CXR_png" / "MCUCXR_0200_1.png").touch()
    for name in ("CXR_png/Thumbs.db", "CXR_png/.DS_Store", "NLM-MontgomeryCXRSet-ReadMe.pdf", "CXR_png/index.html"):
        (root / name).touch()
    mask(root / "ManualMask/leftMask/MCUCXR_0001_0.png", slice(26, 40))
    mask(root / "ManualMask/rightMask/MCUCXR_0001_0.png", slice(6, 20))
    return root


def test_montgomery_gives_labels_sexes_ages_and_readings(published):
    cohort, skipped = build(published)
    table = cohort.set_index(cohort["study"].str.removeprefix("montgomery-MCUCXR_"))
    assert table.index.tolist() == ["0001_0", "0004_0", "0104_1", "0162_1", "0166_1", "0200_1"]
    assert table["label"].tolist() == ["normal"] * 2 + ["tuberculosis"] * 4
    assert table["age_years"].fillna(-1).tolist() == [27, -1, 40, 49, 49, -1]
    assert table["sex"].fillna("").tolist() == ["F", "O", "M", "M", "M", ""]
    assert table.loc["0104_1", "reading"] == "bilateral miliary nodules, 3 mm each; pleural effusion"
    assert pd.isna(table.loc["0200_1", "reading"])
    assert table["view"].eq("PA").all()
    assert skipped.to_numpy().tolist() == [["MCUCXR_0170_1", f"no such image in {published}"]]
    check_cohort_files(cohort)


def test_a_film_stands_for_its_patient_unless_a_reading_says_otherwise(published):
    table = build(published).cohort.set_index("study")
    same = ["montgomery-MCUCXR_0162_1", "montgomery-MCUCXR_0166_1"]
    assert table.loc[same, "patient"].tolist() == ["montgomery-MCUCXR_0162_1"] * 2
    assert table.loc[same, "patient_id_known"].eq("yes").all()
    others = table.drop(index=same)
    assert others["patient"].tolist() == others.index.tolist()
    assert others["patient_id_known"].eq("no").all()


def test_films_that_name_each_other_in_a_ring_are_one_patient(published):
    for stem, other in (("0001_0", "0104"), ("0104_1", "0162"), ("0162_1", "0001")):
        path = published / "ClinicalReadings" / f"MCUCXR_{stem}.txt"
        path.write_text(f"Patient's Sex: M\nPatient's Age: 049Y\nsame patient as MCUCXR_{other}")
    table = build(published).cohort.set_index("study")
    ring = [f"montgomery-MCUCXR_{number}" for number in ("0001_0", "0104_1", "0162_1", "0166_1")]
    assert table.loc[ring, "patient"].nunique() == 1


@pytest.mark.parametrize("viewers", [False, True])
def test_the_left_lung_is_the_one_on_the_right_of_the_film(published, viewers):
    sides = {"left_lung_mask": "leftMask", "right_lung_mask": "rightMask"}
    if viewers:
        mask(published / "ManualMask/leftMask/MCUCXR_0001_0.png", slice(6, 20))
        mask(published / "ManualMask/rightMask/MCUCXR_0001_0.png", slice(26, 40))
        sides = {"left_lung_mask": "rightMask", "right_lung_mask": "leftMask"}
    row = build(published).cohort.iloc[0]
    for column, folder in sides.items():
        assert row[column] == str(published / "ManualMask" / folder / "MCUCXR_0001_0.png")
    assert pd.isna(row["lung_mask"])


def test_folders_may_have_other_letter_case_and_depth_and_masks_may_hold_both_lungs(tmp_path):
    for name in (
        "Lung Segmentation/cxr_PNG/MCUCXR_0001_0.png",
        "Lung Segmentation/cxr_PNG/CHNCXR_0001_0.png",
        "Lung Segmentation/Masks/MCUCXR_0001_0.png",
        "Lung Segmentation/test/MCUCXR_0002_0.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    table = build(tmp_path).cohort
    assert table["study"].tolist() == ["montgomery-MCUCXR_0001_0"]
    assert table["lung_mask"].tolist() == [str(tmp_path / "Lung Segmentation/Masks/MCUCXR_0001_0.png")]


def test_a_folder_without_montgomery_films_is_refused(tmp_path):
    (tmp_path / "CXR_png").mkdir()
    (tmp_path / "CXR_png" / "CHNCXR_0001_0.png").touch()
    with pytest.raises(CohortError, match=r"no such file as CXR_png/MCUCXR_0001_0\.png"):
        build(tmp_path)
