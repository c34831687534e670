"""Augmentation: what moves, what stays, and how the edge is filled."""

from __future__ import annotations

import numpy as np
import pytest

from patchcxr.config import from_dict
from patchcxr.errors import ConfigError
from patchcxr.training.augmentation import (
    AUGMENTATIONS,
    AugmentConfig,
    augment_film,
    augment_pair,
    draw_transformation,
)
from patchcxr.training.recipe import TrainConfig

STILL = {"shift": 0.0, "rotation": 0.0}


class FixedDraws:
    """A generator that gives prepared numbers instead of random ones."""

    def __init__(self, angle=0.0, across=0.0, down=0.0, zoom=0.0, shear=0.0):
        self.values = iter([angle, np.array([across, down]), zoom, shear])

    def uniform(self, low, high, size=None):
        return next(self.values)

    def random(self):
        return 0.0


def test_a_shift_repeats_the_edge_in_film_and_mask():
    film = np.arange(16, dtype=np.float32).reshape(4, 4) / 16
    labels = np.array([[1, 0, 0, 2]] * 4, dtype=np.uint8)
    moved, mask = augment_pair(film, labels, AugmentConfig(), FixedDraws(across=0.25))
    np.testing.assert_allclose(moved, film[:, [0, 0, 1, 2]], atol=1e-6)
    np.testing.assert_array_equal(mask, labels[:, [0, 0, 1, 2]])


def test_a_rotation_by_ninety_degrees_is_exact():
    film = np.random.default_rng(0).random((5, 5)).astype(np.float32)
    moved, mask = augment_pair(film, film > 0.5, AugmentConfig(), FixedDraws(angle=90.0))
    np.testing.assert_allclose(moved, np.rot90(film, -1), atol=1e-5)
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, np.rot90(film > 0.5, -1))


def test_a_flip_mirrors_columns_only():
    film = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    moved = augment_film(film, AugmentConfig(**STILL, horizontal_flip=True), FixedDraws())
    np.testing.assert_allclose(moved, film[:, ::-1], atol=1e-6)


def test_without_ranges_nothing_moves(rng):
    film = rng.random((8, 8)).astype(np.float32)
    labels = rng.integers(4, size=(8, 8))
    moved, mask = augment_pair(film, labels, AugmentConfig(**STILL), rng)
    np.testing.assert_allclose(moved, film, atol=1e-6)
    np.testing.assert_array_equal(mask, labels)


def test_transformations_stay_within_their_ranges(rng):
    centre = np.array([49.5, 49.5, 1.0])
    maps = np.array([draw_transformation(AugmentConfig(), (100, 100), rng) for _ in range(500)])
    shifts = maps @ centre - centre[:2]
    angles = np.rad2deg(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert 9 < np.abs(shifts).max() <= 10
    assert 9 < np.abs(angles).max() <= 10
    np.testing.assert_allclose(np.linalg.det(maps[:, :, :2]), 1)


def test_labels_stay_labels(rng):
    labels = np.where(rng.random((32, 32)) < 0.5, 0, 3).astype(np.uint8)
    for _ in range(10):
        _, mask = augment_pair(labels.astype(np.float32), labels, AugmentConfig(zoom=0.2, shear=0.2), rng)
        assert set(np.unique(mask)) <= {0, 3}


def test_impossible_ranges_are_refused():
    with pytest.raises(ConfigError, match="rotation from 0 to 180"):
        AugmentConfig(rotation=200)


def test_gamma_changes_grey_levels_within_its_range_and_never_the_mask(rng):
    film = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    mask = film > 0.5
    powers = []
    for _ in range(400):
        changed, kept = augment_pair(film, mask, AugmentConfig(**STILL, gamma=0.5), rng)
        np.testing.assert_array_equal(kept, mask)
        power = np.log(changed[4, 4]) / np.log(film[4, 4])
        np.testing.assert_allclose(changed, film**power, atol=1e-4)
        powers.append(power)
    assert 1 / 1.5 - 1e-3 <= min(powers) < 0.68
    assert 1.47 < max(powers) <= 1.5 + 1e-3
    assert np.mean(np.log(powers)) == pytest.approx(0, abs=0.05)  # darker as often as brighter


def test_without_gamma_the_same_transformations_are_drawn_as_ever():
    film = np.random.default_rng(1).random((9, 9)).astype(np.float32)
    first = augment_film(film, AugmentConfig(), np.random.default_rng(0))
    with_gamma = augment_film(film, AugmentConfig(gamma=0.3), np.random.default_rng(0))
    places = np.argsort(first.ravel())
    assert (np.diff(with_gamma.ravel()[places]) > -1e-6).all()
    with pytest.raises(ConfigError, match="gamma=11"):
        AugmentConfig(gamma=11)


def test_a_configuration_may_name_a_papers_augmentation():
    recipe = from_dict(TrainConfig, {"augment": "hertel2022_segmentation"})
    assert recipe.augment == AugmentConfig(shift=0.3, rotation=180, zoom=0.2, shear=0.2, horizontal_flip=True)
    assert from_dict(TrainConfig, {"augment": {"shift": 0.2}}).augment == AugmentConfig(shift=0.2)
    assert from_dict(TrainConfig, {"augment": None}).augment is None
    with pytest.raises(ConfigError, match=r"got 'hertel'; expected ranges, or one of degerli2021"):
        from_dict(TrainConfig, {"augment": "hertel"})


def test_the_default_ranges_are_degerlis():
    assert AUGMENTATIONS["degerli2021"] == AugmentConfig()
