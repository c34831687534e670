"""Resizing of films and masks, and the order of the preparation."""

from __future__ import annotations

import numpy as np
import pytest

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.preprocessing.geometry import prepare, resize_image, resize_mask
from patchcxr.preprocessing.intensity import PreprocessConfig, normalize_intensity


def test_shrinking_averages_over_area():
    film = np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.float32) / 8
    np.testing.assert_allclose(resize_image(film, (1, 2)), [[2.5 / 8, 4.5 / 8]], rtol=1e-6)


def test_growing_interpolates_between_pixel_centres():
    np.testing.assert_allclose(resize_image(np.array([[0.0, 1.0]]), (1, 4)), [[0, 0.25, 0.75, 1]], atol=1e-6)


def test_an_axis_may_shrink_while_the_other_grows():
    film = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0], [0.5, 0.5]])
    np.testing.assert_allclose(
        resize_image(film, (2, 4)), [[0.25, 0.375, 0.625, 0.75], [0.75, 0.625, 0.375, 0.25]], atol=1e-6
    )


@pytest.mark.parametrize("size", [(64, 64), (150, 150), (333, 20)])
def test_a_film_stays_within_its_own_range(rng, size):
    film = (rng.random((100, 120)) > 0.5).astype(np.float32)
    resized = resize_image(film, size)
    assert resized.shape == size
    assert resized.dtype == np.float32
    assert resized.min() >= 0
    assert resized.max() <= 1


def test_the_mean_survives_shrinking_by_a_whole_factor(rng):
    film = rng.random((96, 64), dtype=np.float32)
    assert resize_image(film, (24, 32)).mean() == pytest.approx(film.mean(), rel=1e-5)


def test_the_same_size_gives_an_equal_copy(rng):
    film, mask = rng.random((8, 8), dtype=np.float32), rng.random((8, 8)) > 0.5
    np.testing.assert_array_equal(resize_image(film, 8), film)
    np.testing.assert_array_equal(resize_mask(mask, 8), mask)
    assert not np.shares_memory(resize_mask(mask, 8), mask)


def test_a_mask_that_grows_by_a_whole_factor_is_repeated(rng):
    mask = rng.random((16, 16)) > 0.5
    np.testing.assert_array_equal(resize_mask(mask, 64), np.kron(mask, np.ones((4, 4), bool)))
    np.testing.assert_array_equal(resize_mask(resize_mask(mask, 64), 16), mask)


def test_masks_and_films_stay_aligned():
    mask = np.zeros((100, 100), bool)
    mask[20:80, 40:60] = True
    for size in (33, 50, 256):
        resized, film = resize_mask(mask, size), resize_image(mask.astype(np.float32), size)
        assert (resized == (film > 0.5)).mean() > 0.98
        rows, columns = np.nonzero(resized)
        assert columns.mean() == pytest.approx((size - 1) / 2, abs=0.51)
        assert rows.mean() == pytest.approx((size - 1) / 2, abs=0.51)


def test_preparation_equalises_before_it_resizes(rng):
    film = rng.beta(2, 5, (90, 70)).astype(np.float32)
    np.testing.assert_array_equal(prepare(film, 32), resize_image(normalize_intensity(film), 32))
    assert np.abs(prepare(film, 32) - normalize_intensity(resize_image(film, 32))).max() > 0.01
    plain = PreprocessConfig(equalize=False, gamma=1)
    np.testing.assert_array_equal(prepare(film, 32, plain), resize_image(film, 32))


def test_wrong_input_is_refused():
    with pytest.raises(MaskError, match="threshold"):
        resize_mask(np.zeros((4, 4)), 2)
    with pytest.raises(ImageError, match="expected"):
        resize_image(np.zeros((2, 4, 4)), 2)
    with pytest.raises(ConfigError, match="at least 1"):
        resize_image(np.zeros((4, 4)), 0)
