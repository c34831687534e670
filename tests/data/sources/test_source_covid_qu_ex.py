"""COVID-QU-Ex: fake trees in the published layout, and the real sample."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.cohort import check_cohort_files
from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, LabelError
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph

INFECTION = "Infection Segmentation Data"
LUNG = "Lung Segmentation Data"


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def film(tree, split, kind, name, *masks):
    return [f"{tree}/{split}/{kind}/{folder}/{name}" for folder in ("images", *masks)]


def test_infection_tree_gives_labels_splits_and_both_masks(tmp_path):
    masks = ("lung masks", "infection masks")
    touch(tmp_path, *film(INFECTION, "Train", "COVID-19", "covid_1.png", *masks))
    touch(tmp_path, *film(INFECTION, "Val", "Non-COVID", "non_COVID (7).png", *masks))
    touch(tmp_path, *film(INFECTION, "Test", "Normal", "Normal (3).png", "lung masks"))
    cohort, skipped = build_source("covid_qu_ex", tmp_path)
    table = cohort.set_index("study")
    assert table["label"].to_dict() == {
        "covid_qu_ex-Normal (3)": "normal",
        "covid_qu_ex-covid_1": "covid19",
        "covid_qu_ex-non_COVID (7)": "pneumonia",
    }
    assert table["split"].tolist() == ["test", "train", "validation"]
    home = tmp_path / INFECTION / "Train" / "COVID-19"
    assert table.loc["covid_qu_ex-covid_1", "image"] == str(home / "images" / "covid_1.png")
    assert table.loc["covid_qu_ex-covid_1", "lung_mask"] == str(home / "lung masks" / "covid_1.png")
    assert table.loc["covid_qu_ex-covid_1", "infection_mask"] == str(home / "infection masks" / "covid_1.png")
    assert pd.isna(table.loc["covid_qu_ex-Normal (3)", "infection_mask"])
    assert table["patient"].tolist() == table.index.tolist()
    assert table["patient_id_known"].eq("no").all()
    assert table["lung_split"].isna().all()
    assert skipped.empty


def test_a_film_in_both_trees_is_one_row_with_the_split_of_the_infection_tree(tmp_path):
    touch(tmp_path, *film(INFECTION, "Test", "COVID-19", "covid_1.png", "infection masks"))
    touch(tmp_path, *film(LUNG, "Train", "COVID-19", "covid_1.png", "lung masks"))
    touch(tmp_path, *film(LUNG, "Val", "COVID-19", "covid_2.png", "lung masks"))
    cohort, skipped = build_source("covid_qu_ex", tmp_path)
    assert cohort["study"].tolist() == ["covid_qu_ex-covid_1", "covid_qu_ex-covid_2"]
    assert cohort["split"].tolist() == ["test", "validation"]
    assert cohort["infection_split"].tolist() == ["test", pd.NA]
    assert cohort["lung_split"].tolist() == ["train", "validation"]
    assert INFECTION in cohort["image"][0]
    assert cohort["lung_mask"][0] == str(tmp_path / LUNG / "Train" / "COVID-19" / "lung masks" / "covid_1.png")
    assert skipped.empty


def test_the_doubled_folders_of_the_archive_and_other_letter_case_are_understood(tmp_path):
    touch(tmp_path, *film(f"{INFECTION}/{INFECTION}", "Train", "COVID-19", "covid_1.png", "lung masks"))
    touch(tmp_path, *film("lung segmentation data", "TEST", "normal", "Normal (1).PNG", "Lung Masks"))
    cohort, _ = build_source("covid_qu_ex", tmp_path)
    assert cohort["label"].tolist() == ["covid19", "normal"]
    assert cohort["split"].tolist() == ["train", "test"]
    assert cohort["lung_mask"].notna().all()


@pytest.mark.parametrize("below", ["", INFECTION])
def test_a_part_of_the_tree_is_understood_like_the_whole(tmp_path, below):
    touch(tmp_path, *film(INFECTION, "Val", "COVID-19", "covid_1.png"))
    cohort, _ = build_source("covid_qu_ex", tmp_path / below)
    assert cohort["infection_split"].tolist() == ["validation"]


def test_training_films_of_a_known_patient_of_the_test_set_lose_their_split(tmp_path):
    name = "sub-S0{}_ses-E0{}_run-1_bp-chest_vp-ap_dx.png"
    for split, patient, session in (("Train", 1, 1), ("Test", 1, 2), ("Train", 2, 3), ("Train", 2, 4), ("Val", 1, 5)):
        touch(tmp_path, *film(LUNG, split, "COVID-19", name.format(patient, session)))
    cohort, _ = build_source("covid_qu_ex", tmp_path)
    split = dict(zip(cohort["study"].str.extract(r"ses-(E\d+)", expand=False), cohort["split"], strict=True))
    assert split == {"E01": pd.NA, "E02": "test", "E03": "train", "E04": "train", "E05": pd.NA}
    assert set(cohort["patient"]) == {"covid_qu_ex-sub-S01", "covid_qu_ex-sub-S02"}
    assert cohort["patient_id_known"].eq("yes").all()
    assert cohort["lung_split"].tolist().count("train") == 3


def test_repeats_and_junk_are_skipped_and_unknown_classes_refused(tmp_path):
    touch(tmp_path, *film(LUNG, "Train", "COVID-19", "covid_1.png"), *film(LUNG, "Test", "COVID-19", "covid_1.png"))
    touch(tmp_path, "preview.png", f"{LUNG}/Train/COVID-19/images/._covid_1.png", f"{LUNG}/Train/COVID-19/Thumbs.db")
    touch(tmp_path, f"{LUNG}/Train/COVID-19/images/notes.txt")
    cohort, skipped = build_source("covid_qu_ex", tmp_path)
    assert cohort["split"].tolist() == ["test"]
    assert dict(zip(skipped["name"], skipped["reason"], strict=True)) == {
        str(tmp_path / "preview.png"): "not in a folder of the published layout",
        str(
            tmp_path / LUNG / "Train/COVID-19/images/covid_1.png"
        ): "the same name is in another split of the lung tree",
    }
    touch(tmp_path, *film(LUNG, "Train", "Tuberculosis", "a.png"))
    with pytest.raises(LabelError, match="tuberculosis"):
        build_source("covid_qu_ex", tmp_path)


def test_a_folder_without_films_is_refused(tmp_path):
    touch(tmp_path, f"{LUNG}/Train/COVID-19/lung masks/covid_1.png")
    with pytest.raises(CohortError, match="none of the 0 images of covid_qu_ex is there"):
        build_source("covid_qu_ex", tmp_path)


@pytest.mark.slow
def test_thirty_thousand_files_are_listed_in_seconds(tmp_path):
    for folder in ("images", "lung masks"):
        home = tmp_path / LUNG / "Train" / "COVID-19" / folder
        home.mkdir(parents=True)
        for number in range(15_000):
            (home / f"covid_{number}.png").touch()
    start = time.perf_counter()
    cohort, _ = build_source("covid_qu_ex", tmp_path)
    assert time.perf_counter() - start < 30
    assert len(cohort) == cohort["lung_mask"].notna().sum() == 15_000


@pytest.mark.real
def test_the_real_sample_has_twelve_films_whose_masks_fit(real_data):
    cohort, skipped = build_source("covid_qu_ex", real_data / "covid_qu_ex_sample")
    assert len(cohort) == 12
    assert skipped.empty
    assert cohort["label"].value_counts().to_dict() == {"covid19": 4, "pneumonia": 4, "normal": 4}
    assert cohort["split"].eq("test").all()
    check_cohort_files(cohort)
    for row in cohort.to_dict("records"):
        shape = read_radiograph(row["image"]).pixels.shape
        lungs, infection = (read_mask(row[name], shape) for name in ("lung_mask", "infection_mask"))
        assert 0.05 < lungs.mean() < 0.6
        assert infection.any() == (row["label"] == "covid19")
        if infection.any():
            assert (infection & lungs).sum() / infection.sum() > 0.5


def test_masks_of_the_published_size_fit_their_films(tmp_path, rng):
    pixels = rng.integers(0, 256, (256, 256), dtype=np.uint8)
    for folder, image in (("images", pixels), ("lung masks", (pixels > 128).astype(np.uint8) * 255)):
        home = tmp_path / INFECTION / "Test" / "COVID-19" / folder
        home.mkdir(parents=True)
        cv2.imwrite(str(home / "covid_1.png"), image)
    cohort, _ = build_source("covid_qu_ex", tmp_path)
    shape = read_radiograph(cohort["image"][0]).pixels.shape
    assert np.array_equal(read_mask(cohort["lung_mask"][0], shape), pixels > 128)
