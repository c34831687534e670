"""Films as PNG at their own pixels: an infection map beside its scale bar, outlines of organs beside their key.

What is added stands on a white panel to the right of the film and never on
it, so that the film can be cut out again as it was. Text grows with the film.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from patchcxr.errors import ConfigError, MaskError
from patchcxr.explain.infection_map import PAPER_COLORMAP, ColourImage, infection_map
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.report.films import check_film, check_mask
from patchcxr.report.style import ORGAN_COLOURS, SKY_BLUE, STYLE, YELLOW, display_name
from patchcxr.types import AnyArray, FloatArray

OUTLINE_COLOURS: Final = {
    "lung": ORGAN_COLOURS["lungs"],
    "right_lung": SKY_BLUE,
    "left_lung": YELLOW,
    "heart": ORGAN_COLOURS["heart"],
    "infection": "#FF5CF4",
}
"""Outlines in the order in which they are drawn: infection lies on top."""

BAR_BRIGHTNESS: Final = 0.65
"""Grey level of the film on which the scale bar shows its colours: that of bright lung and of soft tissue."""

_DPI: Final = 100
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def infection_picture(
    image: FloatArray,
    probability: FloatArray,
    floor: float = 0.0,
    colormap: str = PAPER_COLORMAP,
    threshold: float = 0.5,
) -> ColourImage:
    """Infection map of a film (:func:`patchcxr.explain.infection_map.infection_map`) with a scale bar to its right.

    The bar is drawn by the same function as the map, so that colours that a
    map leaves out below ``floor`` are grey in the bar too. A line crosses it
    at the threshold of detection.

    Parameters
    ----------
    image, probability
        Film and probability (H, W) in [0, 1].
    floor, colormap
        As for the map.
    threshold
        Probability in [0, 1] that the bar marks.

    Returns
    -------
    uint8 RGB, (H, W + panel, 3); the first W columns are the map itself. A
    film too low for a legible bar gets white rows below it.

    Raises
    ------
    ImageError, ConfigError
        As for the map, or if the threshold is outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold: got {threshold}; expected a probability in [0, 1]")
    drawn = infection_map(image, probability, floor, colormap)
    unit = _text_height(drawn)
    return _beside(drawn, _scale_bar(max(len(drawn), 9 * unit), unit, floor, colormap, float(threshold)))


def outline_picture(image: AnyArray, masks: Mapping[str, AnyArray]) -> ColourImage:
    """Film with the outlines of its organs and of infection, and a key to its right.

    Parameters
    ----------
    image
        Film (H, W), float in [0, 1] or uint8; or a colour image (H, W, 3) of
        uint8, such as an infection map.
    masks
        Masks (H, W) by name, see :data:`OUTLINE_COLOURS`. An empty mask has no
        outline, and the key says that it is empty.

    Returns
    -------
    uint8 RGB, (H, W + panel, 3)

    Raises
    ------
    ImageError
        If the film is not of shape (H, W).
    MaskError
        If a mask does not have the film's shape, or a name has no colour.
    """
    picture = draw_outlines(image, masks)
    unit = _text_height(picture)
    entries = tuple((name, bool(np.any(masks[name]))) for name in OUTLINE_COLOURS if name in masks)
    return _beside(picture, _key(max(len(picture), (2 * len(entries) + 1) * unit), unit, entries))


def draw_outlines(image: AnyArray, masks: Mapping[str, AnyArray]) -> ColourImage:
    """Film as RGB with outlines along the outermost pixels of each mask; see :func:`outline_picture`."""
    unknown = [name for name in masks if name not in OUTLINE_COLOURS]
    if unknown:
        raise MaskError(f"got a mask {unknown[0]!r}; expected {', '.join(OUTLINE_COLOURS)}")
    picture = _as_colour(image)
    width = max(1, round(max(picture.shape[:2]) / 600))
    for name, colour in OUTLINE_COLOURS.items():
        if name in masks:
            mask = check_mask(masks[name], picture.shape[:2], name)
            contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, contours, -1, _bytes(colour), width)
    return picture


def write_picture(path: str | Path, picture: ColourImage) -> None:
    """Write an RGB picture as PNG, atomically; missing folders are made.

    Raises
    ------
    ConfigError
        If the name does not end in ``.png``.
    """
    if Path(path).suffix.lower() != ".png":
        raise ConfigError(f"{path}: pictures are written as PNG; give a name that ends in .png")
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_bytes_atomically(path, data.tobytes())


def _as_colour(image: AnyArray) -> ColourImage:
    if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return image.copy()
    grey = cv2.convertScaleAbs(np.ascontiguousarray(check_film(image)), alpha=255)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def _bytes(colour: str) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in to_rgb(colour))
    return red, green, blue


def _text_height(picture: ColourImage) -> int:
    """Size of the text in pixels: legible on the smallest film, and the same share of every larger one."""
    return max(11, round(min(picture.shape[:2]) / 36))


def _beside(picture: ColourImage, panel: ColourImage) -> ColourImage:
    """Put a panel to the right; where it is higher than the film, the film gets white rows below."""
    rows, columns = picture.shape[:2]
    together = np.full((len(panel), columns + panel.shape[1], 3), 255, dtype=np.uint8)
    together[:rows, :columns], together[:, columns:] = picture, panel
    return together


@functools.lru_cache(maxsize=64)
def _scale_bar(height: int, unit: int, floor: float, colormap: str, threshold: float) -> ColourImage:
    """Panel with the bar, its ticks and its label. Films of one size share it: drawing text takes longer than the map.

    Lengths are in units of the text's height.
    """
    figure, axes = _white_panel(height, round(6.7 * unit))
    left, right, top, bottom = unit, 2.2 * unit, 1.2 * unit, height - 1.2 * unit
    ramp = np.linspace(1, 0, max(256, height))[:, None]
    shade = np.full_like(ramp, BAR_BRIGHTNESS)
    colours = infection_map(shade, ramp, floor, colormap)
    axes.imshow(colours, extent=(left, right, bottom, top), aspect="auto", interpolation="nearest")
    frame = Rectangle((left, top), right - left, bottom - top, fill=False, linewidth=_points(0.06 * unit))
    axes.add_patch(frame)
    ticks = _TICKS if bottom - top >= 8 * unit else _TICKS[::2]
    shown = sorted({threshold, *(tick for tick in ticks if abs(tick - threshold) * (bottom - top) >= 1.4 * unit)})
    for tick in shown:
        row, marked = bottom - tick * (bottom - top), tick == threshold
        axes.plot(
            [left - 0.45 * unit if marked else right, right + 0.45 * unit], [row, row],
            color="black", linewidth=_points(unit * (0.14 if marked else 0.08)), solid_capstyle="butt",
        )  # fmt: skip
        axes.text(
            right + 0.7 * unit, row, f"{tick:.2f}".rstrip("0").rstrip("."), va="center_baseline",
            fontsize=_points(unit), fontweight="bold" if marked else "normal",
        )  # fmt: skip
    axes.text(
        5.8 * unit, height / 2, "Infection probability", rotation=90, va="center", ha="center", fontsize=_points(unit)
    )
    return _rasterised(figure)


@functools.lru_cache(maxsize=64)
def _key(height: int, unit: int, entries: tuple[tuple[str, bool], ...]) -> ColourImage:
    """Panel with a line of its colour for each outline."""
    figure, axes = _white_panel(height, round(11.5 * unit))
    for place, (name, found) in enumerate(entries):
        row = (1.5 + 2 * place) * unit
        if found:
            axes.plot([unit, 2.4 * unit], [row, row], color=OUTLINE_COLOURS[name], linewidth=_points(0.35 * unit))
        text = display_name("lungs" if name == "lung" else name).capitalize()
        axes.text(
            2.9 * unit, row, text if found else f"{text}: none", va="center_baseline", fontsize=_points(unit),
            color="black" if found else "#57606A",
        )  # fmt: skip
    return _rasterised(figure)


def _white_panel(height: int, width: int) -> tuple[Figure, Axes]:
    """Give a figure of this many pixels whose axes are measured in them, from the upper left corner."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    return figure, axes


def _points(pixels: float) -> float:
    return pixels * 72 / _DPI


def _rasterised(figure: Figure) -> ColourImage:
    canvas = FigureCanvasAgg(figure)
    with matplotlib.rc_context(STYLE):
        canvas.draw()
    panel = np.array(canvas.buffer_rgba())[:, :, :3]
    panel.flags.writeable = False
    return panel
