from __future__ import annotations

import colorsys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

from patchcxr.errors import ConfigError, ImageError
from patchcxr.explain.infection_map import infection_map, saliency_overlay


def infection_map_by_hsv(film, probability, floor=0.0):
    """Degerli's infection map step by step: jet, to HSV, value from the film, back to RGB."""
    rgb = np.repeat(film[:, :, None].astype(float), 3, axis=2)
    drawn = probability > floor
    if drawn.any():
        hsv = rgb_to_hsv(matplotlib.colormaps["jet"](probability[drawn].astype(float))[:, :3])
        hsv[:, 2] = film[drawn]
        rgb[drawn] = hsv_to_rgb(hsv)
    return np.round(255 * rgb).astype(int)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 3), (2, 70000), (300, 513)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_table_of_colours_gives_the_map_that_is_worked_out_in_hsv(rng, shape, dtype):
    film, probability = rng.random(shape).astype(dtype), rng.random(shape).astype(dtype)
    probability[rng.random(shape) < 0.3] = 0
    difference = infection_map(film, probability, floor=0.1).astype(int) - infection_map_by_hsv(film, probability, 0.1)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() <= 0.001, "only where a value lies half way between two grey levels"


def test_every_probability_has_the_colour_that_matplotlib_gives_it():
    probability = np.linspace(0, 1, 4097)[None]
    film = np.ones_like(probability)
    difference = infection_map(film, probability).astype(int) - infection_map_by_hsv(film, probability)
    assert np.abs(difference).max() <= 1


def luma(rgb):
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize("colormap", ["viridis", "inferno"])
def test_uniform_maps_keep_the_luminance_of_the_film_where_a_display_can(rng, colormap):
    film, probability = rng.uniform(0.4, 0.6, (40, 50)), rng.random((40, 50))
    found = infection_map(film, probability, colormap=colormap)
    inside = (found > 0).all(axis=2) & (found < 255).all(axis=2)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(luma(found)[inside], 255 * film[inside], atol=1.0)


@pytest.mark.parametrize("colormap", ["viridis", "inferno"])
def test_uniform_maps_colour_a_pixel_the_more_the_more_probable_infection_is(colormap):
    probability = np.array([[0.0, 0.02, 0.5, 1.0]])
    found = infection_map(np.full((1, 4), 0.5), probability, colormap=colormap)[0].astype(int)
    spread = np.ptp(found, axis=1)
    assert spread[0] == 0
    assert spread[1] <= 3
    assert spread[1] < spread[2] < spread[3]


def test_half_a_probability_gives_half_the_colour_of_the_map():
    found = infection_map(np.full((1, 1), 0.5), np.full((1, 1), 0.5), colormap="viridis")[0, 0]
    colour = np.array(matplotlib.colormaps["viridis"](0.5)[:3])
    np.testing.assert_allclose(found, 255 * (0.5 + 0.502 * (colour - luma(colour))), atol=0.5)


def test_hue_and_saturation_come_from_jet_and_value_from_the_film(rng):
    film, probability = rng.random((5, 6)), rng.random((5, 6))
    found = infection_map(film, probability)
    for place in np.ndindex(5, 6):
        red, green, blue, _ = matplotlib.colormaps["jet"](float(probability[place]))
        hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
        expected = np.multiply(colorsys.hsv_to_rgb(hue, saturation, film[place]), 255)
        np.testing.assert_allclose(found[place], expected, atol=0.5 + 1e-4)


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
    with pytest.raises(ConfigError, match="colormap: got 'rainbow'; expected one of jet, viridis"):
        infection_map(np.zeros((2, 2)), np.zeros((2, 2)), colormap="rainbow")
    with pytest.raises(ConfigError, match="colormap"):
        saliency_overlay(np.zeros((2, 2)), np.zeros((2, 2)), "jett")
    with pytest.raises(ConfigError, match="alpha"):
        saliency_overlay(np.zeros((2, 2)), np.zeros((2, 2)), alpha=2)
