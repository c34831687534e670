"""The store: what is prepared, what is skipped, what is refused."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pandas as pd
import pytest

import patchcxr.preprocessing.store as store_module
from patchcxr.data.cohort import complete_columns
from patchcxr.errors import CohortError, ConfigError, ImageError, MaskError
from patchcxr.io.masks import write_mask
from patchcxr.preprocessing.geometry import prepare, resize_mask
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore, prepare_stores


@pytest.fixture
def cohort(tmp_path, rng):
    """Three studies with right and left lungs and a lesion for the first two."""
    rows = []
    for index, study in enumerate(("a/1", "a_1", "ü 3")):
        row = {"study": study, "patient": study, "image": tmp_path / f"film{index}.png"}
        pixels = rng.integers(0, 256, (60, 80), dtype=np.uint8)
        assert cv2.imwrite(str(row["image"]), pixels)
        for column, columns in (("right_lung_mask", slice(5, 35)), ("left_lung_mask", slice(45, 75))):
            mask = np.zeros((60, 80), bool)
            mask[10:50, columns] = True
            row[column] = tmp_path / f"{column}{index}.png"
            write_mask(row[column], mask)
        rows.append({name: str(value) for name, value in row.items()})
    table = complete_columns(pd.DataFrame(rows))
    table.loc[0, "infection_mask"] = table.loc[0, "right_lung_mask"]
    table.loc[1, "infection_mask"] = "(empty)"
    return table


@pytest.fixture
def reads(monkeypatch):
    """Files that the store has decoded so far."""
    files = []
    read = store_module.read_radiograph
    monkeypatch.setattr(store_module, "read_radiograph", lambda path: files.append(str(path)) or read(path))
    return files


def film_of(table, row):
    return cv2.imread(table["image"][row], cv2.IMREAD_UNCHANGED) / np.float32(255)


@pytest.mark.parametrize("workers", [0, 3])
def test_films_are_the_prepared_films_in_256_levels(cohort, tmp_path, workers):
    store = FilmStore(tmp_path / "store", 32)
    seen = []
    failures = store.prepare(cohort, progress=lambda done, total: seen.append((done, total)), workers=workers)
    assert failures.empty
    assert list(failures.columns) == ["study", "stage", "error"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert store.studies() == sorted(cohort["study"])
    for row, study in enumerate(cohort["study"]):
        film = store.film(study)
        assert film.dtype == np.uint8
        assert np.abs(film / 255 - prepare(film_of(cohort, row), 32)).max() <= 1 / 510 + 1e-6
        assert store.source_shape(study) == (60, 80)
    with pytest.raises(ValueError, match="read-only"):
        store.film("a/1")[0, 0] = 1


@pytest.mark.parametrize("size", [32, 37])
def test_masks_are_resized_and_lungs_are_united(cohort, tmp_path, size):
    store = FilmStore(tmp_path / "store", size)
    store.prepare(cohort)
    whole = np.zeros((60, 80), bool)
    whole[10:50, 5:35] = whole[10:50, 45:75] = True
    right = whole & (np.arange(80) < 40)
    np.testing.assert_array_equal(store.mask("a/1", "right_lung"), resize_mask(right, size))
    np.testing.assert_array_equal(store.mask("a/1", "lung"), resize_mask(whole, size))
    np.testing.assert_array_equal(store.mask("a/1", "infection"), resize_mask(right, size))
    assert store.mask("a_1", "infection").shape == (size, size)
    assert not store.mask("a_1", "infection").any()
    assert store.has("a_1", "infection")
    assert not store.has("ü 3", "infection")
    assert store.mask_names("ü 3") == {"right_lung", "left_lung", "lung"}


def test_a_given_lung_mask_goes_before_the_union(cohort, tmp_path):
    cohort["lung_mask"] = cohort["right_lung_mask"]
    store = FilmStore(tmp_path / "store", 32)
    store.prepare(cohort, mask_columns=("lung_mask",))
    np.testing.assert_array_equal(store.mask("a/1", "lung")[:, 16:], False)
    assert store.mask_names("a/1") == {"lung"}


def test_several_stores_are_filled_from_one_decoding(cohort, tmp_path, reads):
    plain = PreprocessConfig(equalize=False, gamma=1)
    stores = [FilmStore(tmp_path, 32), FilmStore(tmp_path, 48), FilmStore(tmp_path, 48, plain)]
    assert prepare_stores(cohort, stores).empty
    assert len(reads) == 3
    np.testing.assert_allclose(stores[2].film("a/1") / 255, prepare(film_of(cohort, 0), 48, plain), atol=0.002)
    assert len({store.folder for store in stores}) == 3


def test_prepared_studies_are_skipped(cohort, tmp_path, reads):
    FilmStore(tmp_path / "store", 32).prepare(cohort)
    assert FilmStore(tmp_path / "store", 32).prepare(cohort).empty
    assert len(reads) == 3


def test_a_film_or_mask_that_changed_is_prepared_again(cohort, tmp_path, reads):
    store = FilmStore(tmp_path / "store", 32)
    store.prepare(cohort)
    cv2.imwrite(cohort["image"][0], 255 - cv2.imread(cohort["image"][0], cv2.IMREAD_UNCHANGED))
    write_mask(cohort["left_lung_mask"][1], np.ones((60, 80), bool))
    os.utime(cohort["image"][0], ns=(1, 1))
    store.prepare(cohort)
    assert sorted(reads[3:]) == sorted([cohort["image"][0], cohort["image"][1]])
    np.testing.assert_allclose(store.film("a/1") / 255, prepare(film_of(cohort, 0), 32), atol=0.002)
    assert store.mask("a_1", "left_lung").all()
    assert store.mask("a_1", "lung").all()


def test_masks_that_are_asked_for_later_are_added(cohort, tmp_path, reads):
    store = FilmStore(tmp_path / "store", 32)
    store.prepare(cohort, mask_columns=("right_lung_mask",))
    assert store.mask_names("a/1") == {"right_lung"}
    store.prepare(cohort, mask_columns=("left_lung_mask",))
    assert store.mask_names("a/1") == {"right_lung", "left_lung"}
    store.prepare(cohort, mask_columns=("right_lung_mask", "left_lung_mask"))
    assert len(reads) == 6


def test_a_mask_whose_cell_was_emptied_is_forgotten(cohort, tmp_path):
    store = FilmStore(tmp_path / "store", 32)
    store.prepare(cohort)
    cohort.loc[0, "infection_mask"] = pd.NA
    store.prepare(cohort)
    assert not store.has("a/1", "infection")
    with pytest.raises(MaskError, match=r"no mask 'infection'.*left_lung, lung, right_lung"):
        store.mask("a/1", "infection")


def test_bad_studies_are_listed_and_left_out_while_the_others_are_prepared(cohort, tmp_path):
    stores = [FilmStore(tmp_path / "store", size) for size in (32, 48)]
    prepare_stores(cohort, stores)
    with open(cohort["image"][0], "r+b") as file:
        file.truncate(500)
    write_mask(cohort["left_lung_mask"][1], np.ones((30, 40), bool))
    failures = prepare_stores(cohort, stores)
    assert failures[["study", "stage"]].to_numpy().tolist() == [["a/1", "film"], ["a_1", "left_lung_mask"]]
    assert "truncated" in failures["error"][0]
    assert "(30, 40)" in failures["error"][1]
    for store in stores:
        assert store.studies() == ["ü 3"]
        assert not store.has("a/1")
        assert not store.has("a_1", "right_lung")
        with pytest.raises(ImageError, match="not in the store"):
            store.film("a/1")
        with pytest.raises(ImageError, match="not in the store"):
            store.source_shape("a/1")
    os.remove(cohort["image"][2])
    assert "no such file" in prepare_stores(cohort, stores)["error"][2]


def test_a_study_interrupted_half_way_does_not_count_as_prepared(cohort, tmp_path, monkeypatch):
    store = FilmStore(tmp_path / "store", 32)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FilmStore, "_write_mask", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.prepare(cohort)
    assert store.studies() == []
    assert not store.has("a/1")
    assert store.prepare(cohort).empty
    assert len(store.studies()) == 3


@pytest.mark.parametrize("suffix", [".npy", ".lung.npy"])
@pytest.mark.parametrize("length", [0, 130, None])
def test_a_study_whose_files_were_cut_short_or_are_gone_is_prepared_again(cohort, tmp_path, suffix, length):
    store = FilmStore(tmp_path / "store", 32)
    store.prepare(cohort)
    path = store._path("a/1", suffix)
    whole = path.read_bytes()
    path.unlink()
    if length is not None:
        path.write_bytes(whole[:length])
    assert store.prepare(cohort).empty
    assert path.read_bytes() == whole


def test_tables_and_sizes_that_cannot_be_used_are_refused(cohort, tmp_path):
    store = FilmStore(tmp_path / "store", 32)
    with pytest.raises(CohortError, match="no column 'rib_mask'"):
        store.prepare(cohort, mask_columns=("rib_mask",))
    with pytest.raises(CohortError, match="occurs twice"):
        store.prepare(pd.concat([cohort, cohort], ignore_index=True))
    with pytest.raises(ConfigError, match="at least 1"):
        FilmStore(tmp_path, 0)
    with pytest.raises(MaskError, match="mask name"):
        store.mask("a/1", "../lung")
