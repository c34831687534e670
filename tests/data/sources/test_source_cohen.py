"""The covid-chestxray-dataset as published and re-encoded: tiny fake trees, and the real re-encoded folder."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.cohort import MASK_COLUMNS, check_cohort_files
from patchcxr.data.labels import CANONICAL_LABELS
from patchcxr.data.sources import build_source
from patchcxr.data.sources.cohen import LABELS, build
from patchcxr.errors import LabelError
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph

PUBLISHED = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,view,modality,date,location,folder,filename,doi,url,license,"
    "clinical_notes,other_notes,\n"
)
ROWS = (
    '2,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,"January 22, 2020",Vietnam,images,a.webp-day5.jpeg,,,CC BY-NC-SA,'
    '"He said ""cough"",\nand fever",,\n'
    "2,3,M,65,Pneumonia/Viral/COVID-19,Y,L,X-ray,2020,,images,b.jpg,,,,,,\n"
    "3,,F,,Pneumonia/Viral/Influenza/H1N1,,AP Supine,X-ray,2009,,images,c.png,,,,,,\n"
    "4,1,,40,Pneumonia/Bacterial/Staphylococcus/MRSA,,AP semi erect,X-ray,2010,,images,d.png,,,,,,\n"
    "5,1,,40,Pneumonia/Viral/COVID-19,,Axial,CT,2020,,volumes,e.nii.gz,,,,,,\n"
    "5,1,,40,Pneumonia/Viral/COVID-19,,Coronal,CT,2020,,images,f.png,,,,,,\n"
    "6,0,,40,todo,,PA,X-ray,2020,,images,g.png,,,,,,\n"
    "7,0,,40,Unknown,,PA,X-ray,2020,,images,h.png,,,,,,\n"
    "8,,F,52,Pneumonia/Viral/Herpes ,,AP,X-ray,2020,,images,i.png,,,,,,\n"
    "8,,F,52,Pneumonia,,AP,X-ray,2020,,images,j.png,,,,,,\n"
    "9,,F,52,Tuberculosis,,PA,X-ray,2020,,images,k.png,,,,,,\n"
    "9,,F,52,Pneumonia/Aspiration,,PA,X-ray,2020,,images,l.png,,,,,,\n"
    "9,,F,52,No Finding,,AP Erect,X-ray,2020,,images,m.png,,,,,,\n"
    "9,,F,52,No Finding,,AP Erect,X-ray,2020,,images,m.png,,,,,,\n"
)
SCORES = (
    "## COVID-19 Pneumonia Severity Scores (Mean of 3 expert raters)\n## License: CC BY-SA\n"
    "filename,geographic_mean,opacity_mean\na.webp-day5.jpg,2.7,2.0\nc.png,0.0,0.3\n"
)


def write_png(path, shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, 255, dtype=np.uint8))


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def published(tmp_path):
    (tmp_path / "metadata.csv").write_text(PUBLISHED + ROWS)
    touch(tmp_path, "images/a.webp-day5.jpeg", "images/Thumbs.db", "volumes/e.nii.gz")
    for stem in "bcdfghijkm":
        write_png(tmp_path / "images" / f"{stem}.png", (40, 50))
    write_png(tmp_path / "annotations/lungVAE-masks/c_mask.png", (40, 50))
    write_png(tmp_path / "annotations/lungVAE-masks/d_mask.png", (64, 64))
    (tmp_path / "annotations/covid-severity-scores.csv").write_text(SCORES)
    return tmp_path


def test_published_cohen_labels_films_by_the_most_specific_known_part(published):
    table = build(published).cohort.set_index("study")
    assert table["label"].to_dict() == {
        "cohen-a.webp-day5": "covid19",
        "cohen-c": "viral",
        "cohen-d": "bacterial",
        "cohen-i": "viral",
        "cohen-j": "pneumonia",
        "cohen-k": "tuberculosis",
        "cohen-m": "normal",
    }
    assert table["finding"].tolist()[:2] == ["Pneumonia/Viral/COVID-19", "Pneumonia/Viral/Influenza/H1N1"]
    assert table["view"].tolist() == ["PA", "AP Supine", "AP semi erect", "AP", "AP", "PA", "AP Erect"]
    assert table["patient"].tolist() == [f"cohen-{number}" for number in (2, 3, 4, 8, 8, 9, 9)]
    assert table["age_years"].fillna(-1).tolist() == [65, -1, 40, 52, 52, 52, 52]
    assert table["sex"].fillna("").tolist() == ["M", "F", "", "F", "F", "F", "F"]
    assert table["days"].fillna(-1).tolist() == [0, -1, 1, -1, -1, -1, -1]
    assert table["licence"].fillna("").tolist() == ["CC BY-NC-SA", *[""] * 6]
    check_cohort_files(table.reset_index())


def test_published_cohen_says_why_it_leaves_rows_out(published):
    skipped = build(published).skipped
    assert dict(skipped[["name", "reason"]].to_numpy().tolist()) == {
        "b": "lateral view",
        "e.nii": "not a radiograph",
        "f": "not a radiograph",
        "g": "finding is not stated",
        "h": "finding is not stated",
        "m": "listed before",
        "l": f"no such image in {published / 'images'}",
    }


def test_masks_of_a_network_are_taken_where_they_fit_and_named_as_such(published):
    table = build(published).cohort.set_index("study")
    assert table["lung_mask"].notna().sum() == 1
    assert table.loc["cohen-c", "lung_mask"] == str(published / "annotations/lungVAE-masks/c_mask.png")
    assert table.loc["cohen-c", "lung_mask_by"] == "lungVAE"
    assert pd.isna(table.loc["cohen-d", "lung_mask_by"])


def test_severity_is_joined_by_name_whatever_the_suffix(published):
    table = build(published).cohort.set_index("study")
    assert table.loc["cohen-a.webp-day5", ["extent", "opacity"]].tolist() == [2.7, 2.0]
    assert table.loc["cohen-c", ["extent", "opacity"]].tolist() == [0.0, 0.3]
    assert table[["extent", "opacity"]].notna().sum().tolist() == [2, 2]
    (published / "annotations/covid-severity-scores.csv").unlink()
    assert build(published).cohort[["extent", "opacity"]].isna().all(axis=None)


def test_every_label_of_cohen_is_canonical():
    assert set(LABELS.values()) <= set(CANONICAL_LABELS)


COHEN = "patientid,offset,sex,age,finding,view,filename,license,radiologist_masks\n"


def test_reencoded_cohen_gives_masks_drops_laterals_and_keeps_patients(tmp_path):
    (tmp_path / "metadata.csv").write_text(
        COHEN + "4,0,F,52,COVID-19,PA,a.jpg,CC,1\n4,5,F,52,COVID-19,L,b.jpg,CC,\n"
        "5,,,,No Finding,AP,c.jpeg,,1\n6,3,M,60,SARS,AP Supine,d.jpg,,\n7,1,M,1,Streptococcus,PA,e.jpg,,1\n"
    )
    touch(tmp_path, *[f"images/{name}.jpg" for name in "abcde"], "masks/lungs_v7/a.png", "masks/lungs_v7/d.png")
    touch(tmp_path, *[f"masks/{name}/{stem}.png" for name in ("right_lung", "left_lung") for stem in "ac"])
    touch(tmp_path, "masks/right_lung/e.png", "masks/ground_glass/a.png", "masks/consolidation/a.png")
    table = build_source("cohen", tmp_path).cohort.set_index("study")
    masks = tmp_path / "masks"
    assert table.index.tolist() == ["cohen-a", "cohen-c", "cohen-d", "cohen-e"]
    assert table["label"].tolist() == ["covid19", "normal", "viral", "bacterial"]
    assert table["days"].tolist()[::2] == [0, 3]
    assert table["lung_mask_by"].tolist() == ["annotators", "radiologist", "annotators", "radiologist"]
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
    (tmp_path / "metadata.csv").write_text(COHEN + "4,0,F,52,Sarcoidosis,PA,a.jpg,CC,\n")
    touch(tmp_path, "images/a.jpg")
    with pytest.raises(LabelError, match="Sarcoidosis"):
        build_source("cohen", tmp_path)


@pytest.mark.real
def test_the_real_cohen_folder_has_its_films_patients_and_masks(real_data):
    table, skipped = build_source("cohen", real_data / "cohen")
    assert (len(table), table["patient"].nunique()) == (400, 239)
    assert table[list(MASK_COLUMNS)].notna().sum().tolist() == [65, 65, 0, 348, 65]
    assert (table["infection_mask"] == "(empty)").sum() == 2
    assert skipped["reason"].tolist() == ["lateral view"] * 16
    assert table[["extent", "opacity"]].notna().sum().tolist() == [57, 57]
    assert table["lung_mask_by"].isin(["annotators", "radiologist"]).sum() == 348
    check_cohort_files(table)
    for row in table[table["right_lung_mask"].notna()].iloc[::20].to_dict("records"):
        shape = read_radiograph(row["image"]).pixels.shape
        for column in MASK_COLUMNS:
            if not pd.isna(row[column]):
                assert read_mask(row[column], shape).mean() < 0.9
