"""Near-duplicates by difference hash."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

import patchcxr.data.duplicates as duplicates
from patchcxr.data.duplicates import difference_hash, hash_films, near_duplicate_groups, near_pairs
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


def every_pair(hashes, maximum_distance):
    """Near pairs and groups by comparing every pair."""
    distance = (hashes[:, None] != hashes[None]).sum(axis=-1)
    near = distance <= maximum_distance
    first, second = np.nonzero(np.triu(near, 1))
    pairs = {(a, b): distance[a, b] for a, b in zip(first.tolist(), second.tolist(), strict=True)}
    while not np.array_equal(near, joined := (near.astype(int) @ near) > 0):
        near = joined
    return pairs, near


@pytest.mark.parametrize(
    ("bits", "count", "maximum_distance"),
    [(256, 300, 0), (256, 300, 10), (256, 300, 31), (256, 200, 64), (64, 300, 5), (16, 300, 1), (16, 60, 2),
     (12, 100, 3), (10, 20, 10), (7, 50, 0), (250, 1, 4), (256, 2, 256)],
)  # fmt: skip
def test_pairs_and_groups_are_those_of_comparing_every_pair(bits, count, maximum_distance, rng, monkeypatch):
    monkeypatch.setattr(duplicates, "_BLOCK", 50)
    hashes = rng.random((count, bits)) > 0.5
    copies = hashes[: count // 2] ^ (rng.random((count // 2, bits)) < 0.9 * maximum_distance / bits)
    hashes[count - count // 2 :] = copies
    pairs, together = every_pair(hashes, maximum_distance)
    found = {}
    for first, second, distance in near_pairs(hashes, maximum_distance):
        found.update(zip(zip(first.tolist(), second.tolist(), strict=True), distance.tolist(), strict=True))
    assert found == pairs
    groups = near_duplicate_groups(hashes, maximum_distance)
    np.testing.assert_array_equal(groups[:, None] == groups[None], together)


def test_pairs_beyond_the_certain_distance_are_found_at_least_as_often_as_documented(rng):
    for distance, share in ((31, 1.0), (50, 0.96), (64, 0.65)):
        hashes = rng.random((1000, 256)) > 0.5
        copies = hashes.copy()
        for copy in copies:
            copy[rng.choice(256, distance, replace=False)] ^= True
        pool = np.concatenate([hashes, copies])
        found = set()
        for first, second, apart in near_pairs(pool, 64, certain_distance=31):
            own = (second == first + 1000) & (apart == distance)
            found.update(first[own].tolist())
        assert len(found) / 1000 >= share - 0.03


def test_many_copies_of_one_film_are_one_group_without_comparing_all_of_them(rng, monkeypatch):
    hashes = np.repeat(rng.random((3, 256)) > 0.5, 20_000, axis=0)
    compared = []
    measure = duplicates._distances
    monkeypatch.setattr(duplicates, "_distances", lambda *a: compared.append(len(a[1])) or measure(*a))
    assert np.bincount(near_duplicate_groups(hashes)).tolist() == [20_000] * 3
    assert sum(compared) < 100


def test_bits_are_counted_alike_without_numpys_own_function(rng, monkeypatch):
    hashes = rng.random((50, 100)) > 0.5
    packed, first, second = duplicates._packed(hashes), np.arange(49), np.arange(1, 50)
    with_numpy = duplicates._distances(packed, first, second)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    np.testing.assert_array_equal(duplicates._distances(packed, first, second), with_numpy)
    np.testing.assert_array_equal(with_numpy, (hashes[:-1] != hashes[1:]).sum(axis=1))


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
