"""Public data sets: small fake trees in the published layout, and the real folders."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from patchcxr.data.cohort import MASK_COLUMNS, check_cohort_files, merge_cohorts
from patchcxr.data.labels import CANONICAL_LABELS, relabel
from patchcxr.data.sources import SOURCES, build_source
from patchcxr.data.splits import split_by_patient
from patchcxr.errors import CohortError, LabelError
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_jsrt_maps_conditions_and_leaves_unknown_ages_empty(tmp_path):
    (tmp_path / "clinical.csv").write_text(
        "File,Sex,Age,Condition\nJPCLN001.png,M,53,nodule lung cancer \nJPCNN002.png,F,0,non-nodule\n"
    )
    touch(tmp_path, "images/JPCLN001.jpg", "images/JPCNN002.jpg", "masks/heart/JPCLN001.png")
    table = build_source("jsrt", tmp_path)
    assert table["study"].tolist() == ["jsrt-JPCLN001", "jsrt-JPCNN002"]
    assert table["label"].tolist() == ["nodule", "normal"]
    assert table["age_years"].isna().tolist() == [False, True]
    assert table["heart_mask"].tolist() == [str(tmp_path / "masks/heart/JPCLN001.png"), pd.NA]
    assert table["condition"][0] == "nodule lung cancer"


COHEN = "patientid,offset,sex,age,finding,view,filename,license,radiologist_masks\n"


def test_cohen_gives_masks_drops_laterals_and_keeps_patients(tmp_path):
    (tmp_path / "metadata.csv").write_text(
        COHEN + "4,0,F,52,COVID-19,PA,a.jpg,CC,1\n4,5,F,52,COVID-19,L,b.jpg,CC,\n"
        "5,,,,No Finding,AP,c.jpeg,,1\n6,3,M,60,SARS,AP Supine,d.jpg,,\n7,1,M,1,Streptococcus,PA,e.jpg,,1\n"
    )
    touch(tmp_path, *[f"images/{name}.jpg" for name in "abcde"], "masks/lungs_v7/a.png", "masks/lungs_v7/d.png")
    touch(tmp_path, *[f"masks/{name}/{stem}.png" for name in ("right_lung", "left_lung") for stem in "ac"])
    touch(tmp_path, "masks/right_lung/e.png", "masks/ground_glass/a.png", "masks/consolidation/a.png")
    table = build_source("cohen", tmp_path).set_index("study")
    masks = tmp_path / "masks"
    assert table.index.tolist() == ["cohen-a", "cohen-c", "cohen-d", "cohen-e"]
    assert table["label"].tolist() == ["covid19", "normal", "viral", "bacterial"]
    assert table["days"].tolist()[::2] == [0, 3]
    assert table.loc["cohen-a", "infection_mask"] == f"{masks}/ground_glass/a.png|{masks}/consolidation/a.png"
    assert table.loc["cohen-a", "lung_mask"] == f"{masks}/lungs_v7/a.png"
    assert table.loc["cohen-c", "infection_mask"] == "(empty)"
    assert table.loc["cohen-c", "lung_mask"] == f"{masks}/right_lung/c.png|{masks}/left_lung/c.png"
    assert table.loc["cohen-d", ["right_lung_mask", "left_lung_mask", "infection_mask"]].isna().all()
    assert table.loc["cohen-d", "lung_mask"] == f"{masks}/lungs_v7/d.png"
    assert table.loc["cohen-e", "left_lung_mask"] == "(empty)"
    assert table.loc["cohen-e", "lung_mask"] == f"{masks}/right_lung/e.png"
    assert table["heart_mask"].isna().all()
    assert table["image"].str.startswith(str(tmp_path)).all()


def test_a_finding_that_cohen_does_not_know_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text(COHEN + "4,0,F,52,Influenza,PA,a.jpg,CC,\n")
    touch(tmp_path, "images/a.jpg")
    with pytest.raises(LabelError, match="Influenza"):
        build_source("cohen", tmp_path)


def test_nih_keeps_patients_and_findings(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "filename,patient_id,label,finding_labels,age,sex,view\n"
        "00000007_000.jpg,7,normal,No Finding,45,M,AP\n00000007_001.jpg,7,pneumonia,Edema|Pneumonia,46,M,PA\n"
    )
    touch(tmp_path, "images/00000007_000.jpg", "images/00000007_001.jpg")
    table = build_source("nih", tmp_path)
    assert table["patient"].tolist() == ["nih-7", "nih-7"]
    assert table["finding_labels"].tolist() == ["No Finding", "Edema|Pneumonia"]
    assert relabel(table, "four_class")["label"].tolist() == ["normal"]


def test_tb_groups_copies_of_a_film_as_one_patient(tmp_path, rng):
    (tmp_path / "images").mkdir()
    films = [np.clip(ndimage.gaussian_filter(rng.random((64, 64)), 4) * 255, 0, 255).astype(np.uint8) for _ in range(2)]
    for name, pixels in (("a", films[0]), ("b", films[1]), ("c", films[0] // 2)):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), pixels)
    (tmp_path / "labels.csv").write_text("filename,label\na.png,normal\nb.png,tuberculosis\nc.png,normal\n")
    table = build_source("tb", tmp_path)
    assert table["patient"].tolist() == ["tb-a", "tb-b", "tb-a"]


def test_folders_in_another_layout_are_refused(tmp_path):
    for name in SOURCES:
        with pytest.raises(CohortError, match="no such file"):
            build_source(name, tmp_path)
    (tmp_path / "labels.csv").write_text("filename\na.png\n")
    with pytest.raises(CohortError, match="column 'label' is missing"):
        build_source("tb", tmp_path)
    (tmp_path / "labels.csv").write_text("filename,label\na.png,normal\n")
    with pytest.raises(CohortError, match=r"1 images of the table are missing, such as a.png"):
        build_source("tb", tmp_path)
    with pytest.raises(CohortError, match="jsrt, cohen, nih, tb"):
        build_source("kermany", tmp_path)


@pytest.fixture(scope="module")
def real_cohorts(real_data):
    return {name: build_source(name, real_data / name) for name in SOURCES}


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
