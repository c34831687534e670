"""The cardiothoracic ratio drawn on its film (Oh 2020, Fig. 2a)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, withStroke

from patchcxr.measure.cardiothoracic import Diameter, Diameters, cardiothoracic_diameters, spacing
from patchcxr.report.films import check_film, check_mask, draw_contour, draw_film, shorten, thin
from patchcxr.report.style import ORGAN_COLOURS, SINGLE_COLUMN_MM, new_figure, styled
from patchcxr.types import AnyArray

LONGEST_SHOWN = 1024
"""Films are measured as they are and drawn with at most this many pixels a side."""

OUTLINES = {"lungs": "-", "heart": "--"}
"""The heart is dashed, so that the outlines can be told apart in grey too."""

CASING = [withStroke(linewidth=2.8, foreground="white", alpha=0.85), Normal()]
"""A light edge, without which thin lines are lost on bone or in a dark lung."""


@styled
def cardiothoracic_figure(
    image: AnyArray,
    heart: AnyArray,
    lungs: AnyArray,
    title: str = "",
    pixel_spacing_mm: Sequence[float] | None = None,
) -> Figure:
    """Film with the outlines and the two diameters of the cardiothoracic ratio: heart red, thorax blue.

    Each arrow lies on the row where its organ is widest and runs from the leftmost to the rightmost column of the
    organ; dotted lines lead to the dots where the organ reaches these columns, on other rows as a rule.

    Parameters
    ----------
    image
        Film of shape (H, W), float in [0, 1] or uint8.
    heart, lungs
        Masks of shape (H, W); ``lungs`` holds both.
    title
        Written before the ratio; a long one is cut in the middle.
    pixel_spacing_mm
        Distance of neighbouring rows, and of neighbouring columns, of the film as it is given. With it, lengths are
        in millimetres and the film is shown in its true proportions; without, lengths are in pixels.

    Returns
    -------
    Figure
        One journal column wide. Where an organ is missing, the ratio is a dash and the title says why.

    Raises
    ------
    ImageError
        If the film is not of shape (H, W).
    MaskError
        If a mask does not fit the film.
    ConfigError
        If the spacing is not two positive numbers.
    """
    film = check_film(image)
    masks = {"lungs": check_mask(lungs, film.shape, "lungs"), "heart": check_mask(heart, film.shape, "heart")}
    found = cardiothoracic_diameters(masks["heart"], masks["lungs"], pixel_spacing_mm)
    row_mm, column_mm = spacing(pixel_spacing_mm)
    aspect = 1.0 if np.isnan(row_mm) else row_mm / column_mm
    step = -(-max(film.shape) // LONGEST_SHOWN)
    shown = thin(film, LONGEST_SHOWN)
    rows, columns = shown.shape
    height = (SINGLE_COLUMN_MM - 2.0) * aspect * rows / columns + 6.0
    figure = new_figure(height_mm=height, width_mm=SINGLE_COLUMN_MM)
    axes = figure.subplots()
    draw_film(axes, shown)
    for name, mask in masks.items():
        draw_contour(axes, thin(mask, LONGEST_SHOWN), ORGAN_COLOURS[name], width=1.0, style=OUTLINES[name])
    _draw_diameters(axes, found, step)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect=aspect)
    axes.set_title(f"{shorten(title) + ': ' if title else ''}cardiothoracic ratio {_ratio(found)}")
    return figure


def _draw_diameters(axes: Axes, found: Diameters, step: int) -> None:
    """Draw both arrows; the upper one has its label above, the lower one below, so that they never meet."""
    drawn = [
        (name, colour, diameter, length_mm)
        for name, colour, diameter, length_mm in (
            ("Heart", ORGAN_COLOURS["heart"], found.heart, found.heart_mm),
            ("Thorax", ORGAN_COLOURS["lungs"], found.thorax, found.thorax_mm),
        )
        if diameter is not None
    ]
    drawn.sort(key=lambda entry: entry[2].row)
    for place, (name, colour, diameter, length_mm) in enumerate(drawn):
        length = f"{diameter.pixels:.0f} pixels" if np.isnan(length_mm) else f"{length_mm:.0f} mm"
        middle, row = _arrow(axes, diameter, colour, step)
        above = place == 0
        axes.annotate(
            f"{name} {length}", (middle, row), xytext=(0, 4 if above else -4), textcoords="offset points",
            ha="center", va="bottom" if above else "top", fontsize=7.5, color="white",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "none"}, gid=f"label:{name}",
        )  # fmt: skip


def _arrow(axes: Axes, diameter: Diameter, colour: str, step: int) -> tuple[float, float]:
    """Draw a diameter on a film of which every ``step`` pixels make one; return the middle of the arrow."""

    def place(pixel: float) -> float:
        return (pixel + 0.5) / step - 0.5

    row, left, right = place(diameter.row), place(diameter.left - 0.5), place(diameter.right + 0.5)
    ends = ((left, diameter.left_row, diameter.left), (right, diameter.right_row, diameter.right))
    for column, reached, touched in ends:
        line = [place(reached), row]
        axes.plot([column] * 2, line, color=colour, linewidth=1.0, linestyle=":", path_effects=CASING)
        axes.plot(
            place(touched), line[0], marker="o", markersize=3, color=colour,
            markeredgecolor="white", markeredgewidth=0.5,
        )  # fmt: skip
    arrow = axes.annotate(
        "", xy=(right, row), xytext=(left, row),
        arrowprops={
            "arrowstyle": "<|-|>,head_length=0.5,head_width=0.22", "color": colour, "linewidth": 1.5,
            "shrinkA": 0, "shrinkB": 0, "joinstyle": "miter", "path_effects": CASING,
        },
    )  # fmt: skip
    arrow.set_zorder(3)
    return (left + right) / 2, row


def _ratio(found: Diameters) -> str:
    missing = [name for name, organ in (("heart", found.heart), ("lungs", found.thorax)) if organ is None]
    return f"– (no {', no '.join(missing)})" if missing else f"{found.ratio:.2f}"
