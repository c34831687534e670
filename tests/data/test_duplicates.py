"""Near-duplicates by difference hash."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

import patchcxr.data.duplicates as duplicates
from patchcxr.data.duplicates import difference_hash, hash_films, near_duplicate_groups
from patchcxr.errors import ImageError


def film(rng):
    return ndimage.gaussian_filter(rng.random((128, 128)), 6)


def test_bits_worked_by_hand():
    pixels = np.array([[0.0, 1.0, 0.5], [0.2, 0.1, 0.3]])
    assert difference_hash(pixels, side=2).tolist() == [True, False, False, True]


def test_a_copy_is_near_and_another_film_far(rng):
    one, other = film(rng), film(rng)
    darker = 0.1 + 0.5 * one
    smaller = cv2.resize(one, (70, 90), interpolation=cv2.INTER_AREA)
    noisy = one + rng.normal(0, 0.001, one.shape)
    base = difference_hash(one)
    assert (difference_hash(darker) != base).sum() == 0
    assert (difference_hash(smaller) != base).sum() <= 5
    assert (difference_hash(noisy) != base).sum() <= 5
    assert (difference_hash(other) != base).sum() > 60


def test_groups_are_joined_through_shared_members_and_numbered_in_order():
    hashes = np.zeros((5, 256), bool)
    hashes[0, :100] = True
    hashes[2, :8] = True  # 8 from film 1
    hashes[4, :16] = True  # 8 from film 2, 16 from film 1
    hashes[3, 100:] = True
    assert near_duplicate_groups(hashes, maximum_distance=8).tolist() == [0, 1, 1, 2, 1]
    assert near_duplicate_groups(hashes, maximum_distance=7).tolist() == [0, 1, 2, 3, 4]


def test_groups_agree_with_comparing_every_pair_also_across_blocks(rng, monkeypatch):
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    hashes = rng.random((40, 16)) > 0.5
    groups = near_duplicate_groups(hashes, maximum_distance=2)
    near = (hashes[:, None] != hashes[None]).sum(axis=-1) <= 2
    while not np.array_equal(near, joined := (near.astype(int) @ near) > 0):
        near = joined
    np.testing.assert_array_equal(groups[:, None] == groups[None], near)


def test_no_films_make_no_groups():
    assert near_duplicate_groups(np.zeros((0, 256), bool)).tolist() == []
    assert hash_films([]).shape == (0, 256)
    with pytest.raises(ImageError, match="expected"):
        difference_hash(np.zeros((0, 4)))


def test_files_are_hashed_in_order(tmp_path, rng):
    films = [np.clip(film(rng) * 255, 0, 255).astype(np.uint8) for _ in range(3)]
    for index, pixels in enumerate(films):
        cv2.imwrite(str(tmp_path / f"{index}.png"), pixels)
    seen = []
    hashes = hash_films(sorted(tmp_path.iterdir()), progress=seen.append)
    assert seen == [1, 2, 3]
    for index in range(3):
        np.testing.assert_array_equal(hashes[index], difference_hash(films[index] / 255))


@pytest.mark.real
def test_the_two_repeated_real_films_are_found_and_no_others(real_data):
    paths = sorted((real_data / "tb" / "images").iterdir())
    groups = near_duplicate_groups(hash_films(paths))
    names = np.array([path.stem.removeprefix("tuberculosis_train_image") for path in paths])
    repeated = [set(names[groups == group]) for group in np.flatnonzero(np.bincount(groups) > 1)]
    assert sorted(repeated, key=min) == [{"161", "162"}, {"275", "277"}]
