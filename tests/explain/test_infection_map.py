from __future__ import annotations

import colorsys

import matplotlib
import numpy as np
import pytest

from patchcxr.errors import ConfigError, ImageError
from patchcxr.explain.infection_map import infection_map, saliency_overlay


def test_hue_and_saturation_come_from_jet_and_value_from_the_film(rng):
    film, probability = rng.random((5, 6)), rng.random((5, 6))
    found = infection_map(film, probability)
    for place in np.ndindex(5, 6):
        red, green, blue, _ = matplotlib.colormaps["jet"](float(probability[place]))
        hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
        expected = np.multiply(colorsys.hsv_to_rgb(hue, saturation, film[place]), 255)
        np.testing.assert_allclose(found[place], expected, atol=0.5 + 1e-6)


def test_pixels_of_zero_probability_stay_grey_and_all_others_are_drawn():
    film = np.full((1, 3), 0.6, dtype=np.float32)
    found = infection_map(film, np.array([[0.0, 1e-6, 1.0]]))
    assert found[0, 0].tolist() == [153, 153, 153]
    assert found[0, 1].tolist() == [0, 0, 153]
    assert found[0, 2].tolist() == [153, 0, 0]


def test_a_raised_floor_leaves_low_probabilities_grey():
    film = np.full((1, 3), 0.6)
    found = infection_map(film, np.array([[0.04, 0.05, 0.06]]), floor=0.05)
    grey = [len(set(pixel.tolist())) == 1 for pixel in found[0]]
    assert grey == [True, True, False]


def test_a_film_without_infection_is_the_film(rng):
    film = rng.random((4, 4))
    found = infection_map(film, np.zeros((4, 4)))
    np.testing.assert_array_equal(found, np.round(film * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2))


def test_overlay_is_the_weighted_mean_of_film_and_colour(rng):
    film, saliency = rng.random((4, 5)), rng.random((4, 5))
    colours = matplotlib.colormaps["inferno"](saliency)[:, :, :3]
    expected = np.round(255 * (0.7 * film[:, :, None] + 0.3 * colours))
    np.testing.assert_array_equal(saliency_overlay(film, saliency, "inferno", alpha=0.3), expected)
    grey = saliency_overlay(film, saliency, alpha=0)
    np.testing.assert_array_equal(grey[:, :, 1], np.round(255 * film))


@pytest.mark.parametrize("draw", [infection_map, saliency_overlay])
def test_maps_on_another_scale_or_of_another_shape_are_refused(draw):
    film = np.zeros((3, 3))
    with pytest.raises(ImageError, match="resize"):
        draw(film, np.zeros((2, 2)))
    with pytest.raises(ImageError, match=r"expected \[0, 1\]"):
        draw(film, np.full((3, 3), 3.0))
    with pytest.raises(ImageError, match=r"image has values from nan"):
        draw(np.full((3, 3), np.nan), film)
    with pytest.raises(ImageError, match="one map at a time"):
        draw(film, np.zeros((1, 3, 3)))


def test_unknown_colours_and_weights_are_refused():
    with pytest.raises(ConfigError, match="colormap"):
        saliency_overlay(np.zeros((2, 2)), np.zeros((2, 2)), "jett")
    with pytest.raises(ConfigError, match="alpha"):
        saliency_overlay(np.zeros((2, 2)), np.zeros((2, 2)), alpha=2)
