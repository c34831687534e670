from __future__ import annotations

import cv2
import numpy as np
import pytest

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.explain.infection_map import COLORMAPS, infection_map
from patchcxr.report.map_figure import (
    BAR_BRIGHTNESS,
    OUTLINE_COLOURS,
    draw_outlines,
    infection_picture,
    outline_picture,
    write_picture,
)


def film_and_probability(shape):
    rows, columns = np.indices(shape)
    film = (0.2 + 0.6 * columns / shape[1]).astype(np.float32)
    return film, np.clip(rows / (shape[0] - 1), 0, 1).astype(np.float32)


def colours_of(picture):
    return set(map(tuple, np.unique(picture.reshape(-1, 3), axis=0).tolist()))


def rgb(colour):
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


@pytest.mark.parametrize(
    ("shape", "colormap"),
    [((157, 120), "jet"), ((157, 120), "viridis"), ((32, 300), "jet"), ((400, 333), "jet"), ((3000, 2400), "viridis")],
)
def test_the_scale_bar_stands_beside_the_film_and_never_on_it(shape, colormap):
    film, probability = film_and_probability(shape)
    picture = infection_picture(film, probability, 0.05, colormap)
    drawn = infection_map(film, probability, 0.05, colormap)
    np.testing.assert_array_equal(picture[: shape[0], : shape[1]], drawn)
    assert (picture[shape[0] :, : shape[1]] == 255).all()
    panel = picture[:, shape[1] :]
    assert 0.1 * min(shape) < panel.shape[1] < max(90, 0.25 * min(shape))
    assert (panel[[0, -1]] == 255).all(), "text reaches the edge of the panel"
    assert (panel[:, [0, -1]] == 255).all(), "text reaches the edge of the panel"
    assert (panel == 0).all(axis=2).any(), "no text"


def bar_column(picture, columns):
    """Colours of the middle of the bar from top to bottom, between the black of its frame."""
    panel = picture[:, columns:]
    unit = max(11, round(min(picture.shape[0], columns) / 36))
    middle = panel[:, round(1.6 * unit)].astype(int)
    inside = np.flatnonzero(middle.sum(axis=1) < 3 * 250)
    return middle[inside[0] + 3 : inside[-1] - 2]


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_the_bar_shows_the_colours_of_the_map_from_1_down_to_0(colormap):
    film, probability = film_and_probability((720, 720))
    column = bar_column(infection_picture(film, probability, 0.2, colormap), 720)
    ramp = np.linspace(1, 0, len(column))[:, None]
    expected = infection_map(np.full_like(ramp, BAR_BRIGHTNESS), ramp, 0.2, colormap)[:, 0].astype(int)
    grey = np.ptp(column, axis=1) == 0
    line = column.sum(axis=1) < 60
    far = abs(ramp[:, 0] - 0.2) > 0.01
    assert np.abs(column - expected).max(axis=1)[far & ~line].max() <= 8
    assert grey[ramp[:, 0] < 0.19].all(), "what the map leaves out below the floor is grey in the bar too"
    assert not grey[(ramp[:, 0] > 0.21) & (ramp[:, 0] < 0.3)].any()
    assert abs(1 - np.flatnonzero(line).mean() / len(column) - 0.5) < 0.01, "line of the threshold"


@pytest.mark.parametrize("threshold", [0.1, 0.37, 0.9])
def test_the_line_across_the_bar_is_at_the_threshold(threshold):
    film, probability = film_and_probability((720, 720))
    column = bar_column(infection_picture(film, probability, threshold=threshold), 720)
    line = np.flatnonzero(column.sum(axis=1) < 60)
    assert abs(1 - line.mean() / len(column) - threshold) < 0.01


def test_the_picture_is_the_same_whenever_it_is_drawn():
    film, probability = film_and_probability((150, 150))
    first = infection_picture(film, probability)
    infection_picture(film, probability, threshold=0.3)
    np.testing.assert_array_equal(infection_picture(film, probability), first)


def squares(shape):
    masks = {name: np.zeros(shape, bool) for name in ("right_lung", "left_lung", "heart", "infection")}
    masks["right_lung"][20:120, 10:60] = True
    masks["left_lung"][20:120, 90:140] = True
    masks["heart"][70:110, 65:85] = True
    return masks


@pytest.mark.parametrize("image", [np.full((157, 150), 100, np.uint8), np.full((157, 150), 100 / 255)])
def test_outlines_run_along_the_outermost_pixels_in_the_colour_of_each_organ(image):
    drawn = draw_outlines(image, squares(image.shape))
    for name, (top, bottom, left, right) in {
        "right_lung": (20, 119, 10, 59),
        "left_lung": (20, 119, 90, 139),
        "heart": (70, 109, 65, 84),
    }.items():
        colour = rgb(OUTLINE_COLOURS[name])
        for row, column in ((top, left), (top, right), (bottom, left), (bottom, right), (top, (left + right) // 2)):
            assert tuple(drawn[row, column].tolist()) == colour
        assert tuple(drawn[(top + bottom) // 2, (left + right) // 2].tolist()) == (100, 100, 100)
    assert tuple(drawn[15, 5].tolist()) == (100, 100, 100)


def test_a_hole_in_a_mask_has_an_outline_too():
    mask = np.zeros((60, 60), bool)
    mask[5:55, 5:55] = True
    mask[20:40, 20:40] = False
    drawn = draw_outlines(np.zeros((60, 60), np.uint8), {"infection": mask})
    assert tuple(drawn[30, 19].tolist()) == rgb(OUTLINE_COLOURS["infection"])
    assert tuple(drawn[30, 30].tolist()) == (0, 0, 0)


@pytest.mark.parametrize("side", [157, 600])
def test_the_key_has_the_colours_that_are_drawn_and_no_other(side):
    masks = {
        name: cv2.resize(mask.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST).astype(bool)
        for name, mask in squares((157, 150)).items()
    }
    picture = outline_picture(np.zeros((side, side), np.uint8), masks)
    np.testing.assert_array_equal(picture[:, :side], draw_outlines(np.zeros((side, side), np.uint8), masks))
    key = picture[:, side:]
    assert (key[:, -1] == 255).all(), "text reaches the edge of the key"
    found = colours_of(key)
    shown = {name for name, colour in OUTLINE_COLOURS.items() if rgb(colour) in found}
    assert shown == {"right_lung", "left_lung", "heart"}


def test_outlines_can_lie_on_an_infection_map():
    film, probability = film_and_probability((157, 150))
    coloured = infection_map(film, probability)
    drawn = draw_outlines(coloured, squares((157, 150)))
    assert tuple(drawn[20, 10].tolist()) == rgb(OUTLINE_COLOURS["right_lung"])
    np.testing.assert_array_equal(drawn[130:], coloured[130:])
    np.testing.assert_array_equal(coloured, infection_map(film, probability))


def test_a_picture_is_written_as_it_is(tmp_path, rng):
    picture = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    write_picture(tmp_path / "new" / "map.png", picture)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "map.png"))[:, :, ::-1], picture)
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        write_picture(tmp_path / "map.jpg", picture)


def test_what_cannot_be_drawn_is_refused():
    film = np.zeros((40, 40), np.float32)
    with pytest.raises(ConfigError, match="threshold: got 2"):
        infection_picture(film, film, threshold=2)
    with pytest.raises(ConfigError, match="colormap: got 'rainbow'"):
        infection_picture(film, film, colormap="rainbow")
    with pytest.raises(MaskError, match="'liver'"):
        outline_picture(film, {"liver": film > 0})
    with pytest.raises(MaskError, match=r"heart has shape \(2, 2\)"):
        outline_picture(film, {"heart": np.zeros((2, 2), bool)})
    with pytest.raises(ImageError):
        outline_picture(np.zeros((40, 40, 4)), {})
