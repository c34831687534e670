"""COVID-19 Radiography Database: fake trees of its releases."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, LabelError
from patchcxr.io.masks import read_mask, resize_mask
from patchcxr.io.radiograph import read_radiograph


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


ROOT = "COVID-19_Radiography_Dataset"


def test_the_last_release_gives_labels_and_masks_of_its_folders(tmp_path):
    for kind, name in (("COVID", "COVID-1"), ("Lung_Opacity", "Lung_Opacity-1"), ("Normal", "Normal-1")):
        touch(tmp_path, f"{ROOT}/{kind}/images/{name}.png", f"{ROOT}/{kind}/masks/{name}.png")
    touch(tmp_path, f"{ROOT}/Viral Pneumonia/images/Viral Pneumonia-1.png")
    touch(tmp_path, f"{ROOT}/COVID.metadata.xlsx", f"{ROOT}/README.md.txt")
    cohort, skipped = build_source("radiography", tmp_path)
    table = cohort.set_index("study")
    assert table["label"].to_dict() == {
        "radiography-COVID-1": "covid19",
        "radiography-Lung_Opacity-1": "pneumonia",
        "radiography-Normal-1": "normal",
        "radiography-Viral Pneumonia-1": "viral",
    }
    assert table["finding"].tolist() == ["covid", "lung opacity", "normal", "viral pneumonia"]
    assert table["lung_mask"].tolist()[:3] == [
        str(tmp_path / ROOT / kind / "masks" / f"{kind}-1.png") for kind in ("COVID", "Lung_Opacity", "Normal")
    ]
    assert pd.isna(table["lung_mask"].iloc[3])
    assert table["patient_id_known"].eq("no").all()
    assert table["url"].isna().all()
    assert skipped.empty


def test_older_releases_without_masks_are_understood(tmp_path):
    old = "COVID-19 Radiography Database"
    touch(tmp_path, f"{old}/COVID-19/COVID-19 (1).png", f"{old}/NORMAL/NORMAL (1).png")
    touch(tmp_path, f"{old}/Viral Pneumonia/Viral Pneumonia (1).png")
    cohort, _ = build_source("radiography", tmp_path)
    assert cohort["label"].tolist() == ["covid19", "normal", "viral"]
    assert cohort["lung_mask"].isna().all()


def test_urls_of_csv_tables_are_kept_whatever_their_letter_case(tmp_path):
    touch(tmp_path, "Normal/images/Normal-1.png", "Normal/images/Normal-2.png")
    (tmp_path / "Normal.metadata.csv").write_text("FILE NAME,FORMAT,SIZE,URL\nNORMAL-1,PNG,256*256,https://a.org/b\n")
    cohort, _ = build_source("radiography", tmp_path)
    assert cohort["url"].tolist() == ["https://a.org/b", pd.NA]


def test_junk_is_skipped_and_unknown_classes_are_refused(tmp_path):
    touch(tmp_path, "COVID/images/COVID-1.png", "figure.png", "COVID/images/.hidden.png")
    touch(tmp_path, "Normal/images/COVID-1.png")
    cohort, skipped = build_source("radiography", tmp_path)
    assert cohort["label"].tolist() == ["covid19"]
    assert dict(zip(skipped["name"], skipped["reason"], strict=True)) == {
        str(tmp_path / "Normal/images/COVID-1.png"): "the same name is in another folder",
        str(tmp_path / "figure.png"): "not in a folder of the published layout",
    }
    touch(tmp_path, "Tuberculosis/images/a.png")
    with pytest.raises(LabelError, match="tuberculosis"):
        build_source("radiography", tmp_path)


def test_a_folder_without_classes_is_refused(tmp_path):
    touch(tmp_path, "a.png")
    with pytest.raises(CohortError, match="none of the 0 images of radiography is there"):
        build_source("radiography", tmp_path)


def test_masks_that_do_not_fit_are_resized_where_there_is_a_place_for_them(tmp_path, rng):
    root = tmp_path / "set"
    for folder, side in (("images", 299), ("masks", 256)):
        (root / "COVID" / folder).mkdir(parents=True)
        pixels = rng.integers(0, 2, (side, side), dtype=np.uint8) * 255
        cv2.imwrite(str(root / "COVID" / folder / "COVID-1.png"), pixels)
    without, skipped = build_source("radiography", root)
    assert without["lung_mask"].isna().all()
    assert skipped["reason"].tolist() == [
        "mask of (256, 256) for a film of (299, 299); give masks_dir to have it resized"
    ]
    cohort, skipped = build_source("radiography", root, tmp_path / "drawn")
    assert skipped.empty
    shape = read_radiograph(cohort["image"][0]).pixels.shape
    assert cohort["lung_mask"][0] == str(tmp_path / "drawn" / "radiography" / "lung" / "COVID-1.png")
    np.testing.assert_array_equal(read_mask(cohort["lung_mask"][0], shape), resize_mask(pixels > 0, (299, 299)))
    with pytest.raises(CohortError, match="never written to"):
        build_source("radiography", root, root / "drawn")
