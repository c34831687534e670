"""Equalisation and gamma: values against a hand-worked film and OpenCV, and invariants."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from patchcxr.config import from_dict
from patchcxr.errors import ConfigError, ImageError
from patchcxr.preprocessing.intensity import PreprocessConfig, equalization_table, normalize_intensity

EQUALIZE = PreprocessConfig(gamma=1)


def test_a_film_worked_by_hand():
    # levels 0, 2, 3 (of 255) occur 1, 2, 1 times: cdf 1, 3, 4; (cdf - 1) / (4 - 1)
    film = np.array([[0, 2], [3, 2]]) / 255
    np.testing.assert_allclose(normalize_intensity(film, EQUALIZE), [[0, 2 / 3], [1, 2 / 3]], rtol=1e-6)
    expected = [[0, np.sqrt(2 / 3)], [1, np.sqrt(2 / 3)]]
    np.testing.assert_allclose(normalize_intensity(film), expected, rtol=1e-6)


def test_eight_bit_films_agree_with_opencv(rng):
    film = np.clip(rng.normal(90, 30, (200, 180)), 0, 255).astype(np.uint8)
    ours = normalize_intensity(film / np.float32(255), EQUALIZE)
    assert np.abs(ours * 255 - cv2.equalizeHist(film)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("bits", [12, 16])
def test_deep_films_keep_all_their_levels(bits):
    levels = np.arange(2**bits).reshape(-1, 64)
    equalized = normalize_intensity(levels / np.float32(2**bits - 1), EQUALIZE)
    assert len(np.unique(equalized)) == 2**bits
    np.testing.assert_allclose(equalized, levels / (2**bits - 1), atol=1e-6)


def test_the_bit_depth_that_a_film_is_scaled_by_does_not_matter(rng):
    stored = rng.integers(0, 4096, (64, 64))
    as_12, as_16 = (normalize_intensity((stored / full).astype(np.float32)) for full in (4095, 65535))
    np.testing.assert_array_equal(as_12, as_16)


def test_a_monotone_change_of_contrast_does_not_matter(rng):
    film = rng.integers(0, 256, (64, 64)) / 255
    changed = 0.1 + 0.8 * film**1.3
    np.testing.assert_array_equal(normalize_intensity(film), normalize_intensity(changed))


def test_order_and_ties_are_kept(rng):
    film = rng.integers(0, 20, (30, 30)) / 255
    once = normalize_intensity(film).ravel()
    order = np.argsort(film.ravel(), kind="stable")
    assert (np.diff(once[order]) >= 0).all()
    assert len(np.unique(once)) == len(np.unique(film))


def test_the_histogram_becomes_flat(rng):
    film = rng.beta(2, 8, (256, 256)).astype(np.float32)
    counts, _ = np.histogram(normalize_intensity(film, EQUALIZE), bins=16, range=(0, 1))
    np.testing.assert_allclose(counts, 256 * 256 / 16, rtol=0.02)


def test_each_step_can_be_left_out(rng):
    film = rng.random((16, 16), dtype=np.float32)
    untouched = normalize_intensity(film, PreprocessConfig(equalize=False, gamma=1))
    np.testing.assert_array_equal(untouched, film)
    assert untouched is not film
    only_gamma = normalize_intensity(film, PreprocessConfig(equalize=False, gamma=0.5))
    np.testing.assert_allclose(only_gamma, np.sqrt(film), rtol=1e-6)


def test_a_film_of_one_level_is_left_as_it_is_by_equalisation():
    np.testing.assert_array_equal(normalize_intensity(np.full((4, 4), 0.3, np.float32), EQUALIZE), np.float32(0.3))
    np.testing.assert_allclose(equalization_table(np.array([0, 0, 7])), [0, 0.5, 1])


@pytest.mark.parametrize("value", [np.nan, -0.01, 255.0])
def test_values_outside_the_unit_range_are_refused(value):
    film = np.full((4, 4), 0.5)
    film[1, 2] = value
    with pytest.raises(ImageError, match="expected 0 to 1"):
        normalize_intensity(film)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (2, 4, 4)])
def test_films_that_are_not_matrices_are_refused(shape):
    with pytest.raises(ImageError, match="expected"):
        normalize_intensity(np.zeros(shape))


@pytest.mark.parametrize("gamma", [0, -1, float("nan")])
def test_gamma_must_be_positive(gamma):
    with pytest.raises(ConfigError, match="gamma"):
        PreprocessConfig(gamma=gamma)
    with pytest.raises(ConfigError, match="unknown key"):
        from_dict(PreprocessConfig, {"gama": 0.5})
