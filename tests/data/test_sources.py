"""Public data sets: small fake trees in the published layout, and the real folders."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from patchcxr.data import sources
from patchcxr.data.cohort import MASK_COLUMNS, check_cohort_files, merge_cohorts
from patchcxr.data.labels import CANONICAL_LABELS, relabel
from patchcxr.data.sources import SOURCES, build_source, facts
from patchcxr.data.sources._layout import finish
from patchcxr.data.splits import split_by_patient
from patchcxr.errors import CohortError
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_in_another_layout_are_refused(tmp_path):
    for name in ("jsrt", "cohen", "nih", "tb"):
        with pytest.raises(CohortError, match="no such file"):
            build_source(name, tmp_path)
    (tmp_path / "labels.csv").write_text("filename\na.png\n")
    with pytest.raises(CohortError, match="column 'label' is missing"):
        build_source("tb", tmp_path)
    (tmp_path / "labels.csv").write_text("filename,label\na.png,normal\n")
    with pytest.raises(CohortError, match=r"none of the 1 images of tb is there"):
        build_source("tb", tmp_path)
    with pytest.raises(CohortError, match="no such folder"):
        build_source("tb", tmp_path / "absent")
    with pytest.raises(CohortError, match=r"source is 'jsrt2'; expected one of .*jsrt"):
        build_source("jsrt2", tmp_path)


def test_rows_whose_image_is_missing_are_skipped_and_named(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "filename,patient_id,label,finding_labels,age,sex,view\n"
        "1_000.jpg,1,normal,No Finding,45,M,AP\n2_000.jpg,2,normal,No Finding,46,M,PA\n"
    )
    touch(tmp_path, "images/2_000.jpg")
    cohort, skipped = build_source("nih", tmp_path)
    assert cohort["study"].tolist() == ["nih-2_000"]
    assert cohort["patient_id_known"].tolist() == ["yes"]
    assert skipped.to_numpy().tolist() == [["1_000", f"no such image in {tmp_path / 'images'}"]]


def test_a_study_stands_in_for_a_patient_who_is_not_known():
    table = pd.DataFrame({"study": ["a", "b"], "patient": [pd.NA, "7"], "image": ["a.png", "b.png"]})
    cohort, _ = finish(table, "set", Path("images"))
    assert cohort["patient"].tolist() == ["set-a", "set-7"]
    assert cohort["patient_id_known"].tolist() == ["no", "yes"]
    cohort, _ = finish(table.drop(columns="patient"), "set", Path("images"))
    assert cohort["patient"].tolist() == ["set-a", "set-b"]


def test_every_module_of_the_folder_is_registered_and_states_its_facts():
    folder = Path(sources.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert modules == set(SOURCES)
    assert list(SOURCES) == sorted(SOURCES)
    for name in SOURCES:
        for part in ("Films:", "Classes:", "Masks:", "Layout:", "Licence:", "Citation:", "Traps:"):
            assert part in facts(name), (name, part)


@pytest.fixture(scope="module")
def real_cohorts(real_data):
    return {name: build_source(name, real_data / name).cohort for name in ("jsrt", "cohen", "nih", "tb")}


@pytest.mark.real
def test_real_sources_have_their_films_patients_and_masks(real_cohorts):
    counts = {name: (len(table), table["patient"].nunique()) for name, table in real_cohorts.items()}
    assert counts == {"jsrt": (197, 197), "cohen": (400, 239), "nih": (600, 444), "tb": (440, 438)}
    masks = {name: table[list(MASK_COLUMNS)].notna().sum().tolist() for name, table in real_cohorts.items()}
    assert masks == {"jsrt": [197, 197, 197, 0, 0], "cohen": [65, 65, 0, 348, 65], "nih": [0] * 5, "tb": [0] * 5}
    assert (real_cohorts["cohen"]["infection_mask"] == "(empty)").sum() == 2
    assert real_cohorts["jsrt"]["label"].value_counts().to_dict() == {"nodule": 117, "normal": 80}
    for table in real_cohorts.values():
        assert set(table["label"]) <= set(CANONICAL_LABELS)
        check_cohort_files(table)


@pytest.mark.real
def test_real_masks_fit_their_films(real_cohorts):
    for name in ("jsrt", "cohen"):
        table = real_cohorts[name]
        for row in table[table["right_lung_mask"].notna()].iloc[::20].to_dict("records"):
            shape = read_radiograph(row["image"]).pixels.shape
            for column in MASK_COLUMNS:
                if not pd.isna(row[column]):
                    assert read_mask(row[column], shape).mean() < 0.9


@pytest.mark.real
def test_no_real_patient_is_in_two_splits(real_cohorts):
    merged = relabel(merge_cohorts(real_cohorts.values()), "four_class")
    made = split_by_patient(merged, stratify="class_name")
    assert made.groupby("patient")["split"].nunique().max() == 1
    assert made.groupby("class_name")["split"].nunique().min() == 3
