"""Data sets: what an item is, and what it depends on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.training.augmentation import AugmentConfig
from patchcxr.training.datasets import GlobalDataset, PatchDataset, SegmentationDataset


@pytest.fixture
def films(rng):
    return rng.integers(256, size=(5, 16, 16)).astype(np.uint8)


def lungs():
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:12, 2:6] = True
    return mask


def test_a_label_map_becomes_int64_and_a_film_is_divided_by_255(films):
    labels = films % 4
    film, target = SegmentationDataset(lambda i: (films[i], labels[i]), 5)[2]
    np.testing.assert_allclose(film.numpy(), films[2][None] / np.float32(255))
    assert (film.dtype, target.dtype) == (torch.float32, torch.int64)
    np.testing.assert_array_equal(target.numpy(), labels[2])


def test_a_bool_mask_becomes_one_float_channel(films):
    _, target = SegmentationDataset(lambda i: (films[i], films[i] > 99), 5)[1]
    np.testing.assert_array_equal(target.numpy(), (films[1] > 99)[None].astype(np.float32))


def test_film_and_mask_are_augmented_alike(films):
    data = SegmentationDataset(
        lambda i: (np.kron(np.eye(4), np.ones((8, 8))).astype(np.float32), np.kron(np.eye(4), np.ones((8, 8))) > 0),
        1,
        AugmentConfig(),
    )
    film, target = data[0]
    assert ((film > 0.5) == (target > 0.5)).float().mean() > 0.95
    assert (film > 0.5).float().mean() != 0.25


def test_an_item_depends_on_seed_epoch_and_index_only(films):
    def items(seed, epoch, order):
        data = PatchDataset(lambda i: (films[i], lungs()), [0, 1, 0, 1, 1], 8, 3, seed, "balanced", AugmentConfig())
        data.set_epoch(epoch)
        found = {index: data[index][0] for index in order}
        return torch.stack([found[index] for index in range(len(data))])

    forwards, backwards = items(1, 2, range(18)), items(1, 2, reversed(range(18)))
    assert torch.equal(forwards, backwards)
    assert not torch.equal(forwards, items(1, 3, range(18)))
    assert not torch.equal(forwards, items(2, 2, range(18)))


def test_patches_are_cut_around_lung_pixels_and_padded_with_zeros():
    film = np.arange(1, 257, dtype=np.float32).reshape(16, 16) / 256
    data = PatchDataset(lambda i: (film, lungs()), [7], size=8, patches_per_film=50)
    centres = set()
    for index in range(len(data)):
        patch, label = data[index]
        assert int(label) == 7
        row, column = divmod(round(float(patch[0, 4, 4]) * 256) - 1, 16)
        assert lungs()[row, column]
        centres.add((row, column))
        padded = np.pad(film, 8)[row + 4 : row + 12, column + 4 : column + 12]
        np.testing.assert_array_equal(patch[0].numpy(), padded)
    assert len(centres) > 15


def test_uniform_sampling_gives_each_film_its_patches():
    data = PatchDataset(lambda i: (np.full((16, 16), i / 4, np.float32), lungs()), [0, 1, 0, 1, 1], 4, 3)
    assert Counter(int(data[i][0].max() * 4) for i in range(len(data))) == dict.fromkeys(range(5), 3)


def test_balanced_sampling_repeats_films_of_the_rare_class_only():
    labels = [0, 0, 0, 0, 1, 2, 2]
    data = GlobalDataset(lambda i: np.full((4, 4), i / 8, np.float32), labels, 4, sampler="balanced")
    items = [data[index] for index in range(len(data))]
    assert Counter(int(label) for _, label in items) == {0: 4, 1: 4, 2: 4}
    seen = Counter(int(film.max() * 8) for film, _ in items)
    assert set(seen) == set(range(7))
    assert all(seen[film] == 1 for film in range(4))
    assert all(labels[int(film.max() * 8)] == int(label) for film, label in items)


@pytest.mark.parametrize(
    ("make", "mend"),
    [
        (lambda: SegmentationDataset(lambda i: None, 0), "check the cohort's splits"),
        (lambda: SegmentationDataset(lambda i: None, 2, sampler="balanced"), "give labels"),
        (lambda: SegmentationDataset(lambda i: None, 2, labels=[1]), "one a film"),
        (lambda: SegmentationDataset(lambda i: (np.zeros((4, 4)), np.zeros((2, 2), bool)), 1)[0], "resize_mask"),
        (lambda: GlobalDataset(lambda i: np.zeros((4, 4)), [0], 8)[0], "resize_image"),
        (lambda: GlobalDataset(lambda i: np.zeros((4, 4), np.int32), [0], 4)[0], "uint8, or float"),
    ],
)
def test_unusable_films_and_labels_are_refused_with_a_remedy(make, mend):
    with pytest.raises(TrainingError, match=mend):
        make()


def test_unknown_samplers_and_sizes_are_refused():
    with pytest.raises(ConfigError, match="'uniform' or 'balanced'"):
        GlobalDataset(lambda i: None, [0], sampler="weighted")
    with pytest.raises(ConfigError, match="1 or more"):
        PatchDataset(lambda i: None, [0], size=0)
