"""Tuberculosis films: the table, the folders of classes, and the real films."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, LabelError


def films(rng, count):
    smooth = [ndimage.gaussian_filter(rng.random((64, 64)), 4) for _ in range(count)]
    return [np.uint8(255 * (film - film.min()) / np.ptp(film)) for film in smooth]


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def test_copies_of_a_film_count_as_one_patient(tmp_path, rng):
    first, second = films(rng, 2)
    for name, pixels in (("a", first), ("b", second), ("c", first // 2)):
        write(tmp_path / "images" / f"{name}.png", pixels)
    (tmp_path / "labels.csv").write_text("filename,label\na.png,normal\nb.png,tuberculosis\nc.png,normal\n")
    table, skipped = build_source("tb", tmp_path)
    assert table["patient"].tolist() == ["tb-a", "tb-b", "tb-a"]
    assert table["label"].tolist() == ["normal", "tuberculosis", "normal"]
    assert set(table["patient_id_known"]) == {"no"}
    assert skipped.empty


def test_films_that_are_missing_or_damaged_are_skipped(tmp_path, rng):
    for name, pixels in zip("ad", films(rng, 2), strict=True):
        write(tmp_path / "images" / f"{name}.PNG", pixels)
    (tmp_path / "images" / "b.png").write_bytes(b"\x89PNG no film")
    (tmp_path / "labels.csv").write_text(
        "filename,label\ngone.png,normal\nb.png,tuberculosis\na.png,normal\nd.png,tuberculosis\n"
    )
    table, skipped = build_source("tb", tmp_path)
    assert table["study"].tolist() == ["tb-a", "tb-d"]
    assert table["patient"].tolist() == ["tb-a", "tb-d"]
    assert skipped["name"].tolist() == ["b", "gone"]
    assert "b.png" in skipped["reason"][0]
    assert skipped["reason"][1] == f"no such image in {tmp_path / 'images'}"


def test_folders_of_classes_give_the_label(tmp_path, rng):
    names = ("train/TB-positive/image1.jpg", "train/TB-negative/image1.jpg", "test/tb-positive/image1.jpg")
    for name, pixels in zip(names, films(rng, 3), strict=True):
        write(tmp_path / name, pixels)
    (tmp_path / "train/notes.jpg").touch()
    table = build_source("tb", tmp_path).cohort.set_index("study")
    assert table["label"].to_dict() == {
        "tb-train-TB-positive-image1": "tuberculosis",
        "tb-train-TB-negative-image1": "normal",
        "tb-test-tb-positive-image1": "tuberculosis",
    }


def test_unknown_classes_and_folders_without_a_readable_film_are_refused(tmp_path):
    (tmp_path / "labels.csv").write_text("filename,label\na.png,sick\n")
    with pytest.raises(LabelError, match="sick"):
        build_source("tb", tmp_path)
    (tmp_path / "labels.csv").write_text("filename,label\na.png,normal\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    with pytest.raises(CohortError, match="images of tb is there"):
        build_source("tb", tmp_path)


@pytest.mark.real
def test_the_real_films_are_grouped_by_near_duplicate(real_data):
    table, skipped = build_source("tb", real_data / "tb")
    assert (len(table), table["patient"].nunique()) == (440, 438)
    assert table["label"].value_counts().to_dict() == {"normal": 220, "tuberculosis": 220}
    assert skipped.empty
