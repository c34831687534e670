"""Shenzhen in its published layout: a tiny fake tree."""

from __future__ import annotations

import pandas as pd
import pytest

from patchcxr.data.cohort import check_cohort_files
from patchcxr.data.sources._nlm import parse_reading
from patchcxr.data.sources.shenzhen import build
from patchcxr.errors import CohortError

READINGS = {
    "CHNCXR_0001_0": "male 45yrs\r\nnormal\r\n",
    "CHNCXR_0115_0": "male 16month\nnormal",
    "CHNCXR_0327_1": "femal , 29yrs  \t\n\nbilateral secondary PTB,\nright upper field 2 cavities ",
    "CHNCXR_0400_1": "",
}


@pytest.fixture
def published(tmp_path):
    root = tmp_path / "ChinaSet_AllFiles"
    names = [
        *[f"CXR_png/{stem}.png" for stem in READINGS],
        "mask/mask/CHNCXR_0327_1_mask.png",
        "Annotations-2/masks/CHNCXR_0327_1_Small_Infiltrate_(non-linear)_1.png",
        "CXR_png/Thumbs.db",
        "NLM-ChinaCXRSet-ReadMe.docx",
    ]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "ClinicalReadings").mkdir()
    for stem, text in READINGS.items():
        (root / "ClinicalReadings" / f"{stem}.txt").write_bytes(text.encode())
    return root


def test_shenzhen_gives_labels_sexes_ages_readings_and_lungs(published):
    cohort, skipped = build(published)
    table = cohort.set_index(cohort["study"].str.removeprefix("shenzhen-"))
    assert table.index.tolist() == list(READINGS)
    assert table["label"].tolist() == ["normal", "normal", "tuberculosis", "tuberculosis"]
    assert table["sex"].fillna("").tolist() == ["M", "M", "F", ""]
    assert table["age_years"].fillna(-1).tolist() == pytest.approx([45, 16 / 12, 29, -1])
    assert table.loc["CHNCXR_0327_1", "reading"] == "bilateral secondary PTB, right upper field 2 cavities"
    assert table["lung_mask"].fillna("").tolist() == [
        "",
        "",
        str(published / "mask/mask/CHNCXR_0327_1_mask.png"),
        "",
    ]
    assert table[["right_lung_mask", "left_lung_mask", "infection_mask"]].isna().all(axis=None)
    assert cohort["patient_id_known"].eq("no").all()
    assert skipped.empty
    check_cohort_files(cohort)


@pytest.mark.parametrize(
    ("text", "sex", "age_years", "reading"),
    [
        ("female24yrs\nnormal", "F", 24.0, "normal"),
        ("Male 64days\nnormal", "M", 64 / 365.25, "normal"),
        ("male 42\n2 months of treatment", "M", None, "2 months of treatment"),
        ("male 30 yrs normal", "M", 30.0, "normal"),
        ("Patient's Sex: M\nPatient's Age: 0130Y\nold", "M", None, "old"),
        ("Patient's Sex:\nPatient's Age:\n3 mm nodule", None, None, "3 mm nodule"),
        ("\ufeff\r\n  \r\n", None, None, "\ufeff"),
    ],
)
def test_a_reading_typed_by_hand_gives_what_it_says_and_nothing_else(text, sex, age_years, reading):
    found = parse_reading(text)
    assert found.sex == sex
    assert found.age_years == (None if age_years is None else pytest.approx(age_years))
    assert found.text in (reading, "")


def test_missing_readings_leave_cells_empty_and_missing_films_are_skipped(published):
    (published / "ClinicalReadings" / "CHNCXR_0001_0.txt").unlink()
    (published / "CXR_png" / "CHNCXR_0115_0.png").unlink()
    cohort, skipped = build(published)
    assert cohort["study"].tolist() == [f"shenzhen-CHNCXR_{stem}" for stem in ("0001_0", "0327_1", "0400_1")]
    assert pd.isna(cohort["age_years"].iloc[0])
    assert skipped["name"].tolist() == ["CHNCXR_0115_0"]


def test_a_folder_without_shenzhen_films_is_refused(tmp_path):
    with pytest.raises(CohortError, match=r"no such file as CXR_png/CHNCXR_0001_0\.png"):
        build(tmp_path)
