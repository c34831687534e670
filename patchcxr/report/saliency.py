"""The panel of activation and infection maps, and the one place where a drawn map is scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError, MaskError
from patchcxr.explain.infection_map import infection_map, saliency_overlay
from patchcxr.report.films import check_film, check_mask, draw_contour, draw_film, shorten, thin
from patchcxr.report.style import DOUBLE_COLUMN_MM, ORGAN_COLOURS, display_name, film_axes, new_figure, styled
from patchcxr.types import AnyArray, BoolArray, FloatArray

DrawScale: TypeAlias = Literal["column", "map", "none"]

LABEL_MM, GAP_MM, TITLE_MM, BAR_MM = 9.0, 0.8, 5.0, 12.0
"""Room for the row labels, between panels, for the column titles and for the colour bars."""

SCALE_NOTES: Final[dict[str, str]] = {
    "column": "Grad-CAM: share of the largest value in the column",
    "map": "Grad-CAM: share of each map's own largest value",
    "none": "Grad-CAM: values as they are",
}


@dataclass(frozen=True, eq=False)
class SaliencyRow:
    """One film with its lesion and maps; all arrays have the film's shape (H, W), None leaves a panel empty.

    Attributes
    ----------
    study, label
        Name and class of the film.
    film
        Float in [0, 1].
    lesion
        True lesion mask.
    global_gradcam, probabilistic_gradcam
        Grad-CAM maps, not negative.
    infection
        Probability of infection in [0, 1]; never rescaled.
    """

    study: str
    label: str
    film: AnyArray
    lesion: BoolArray | None = None
    global_gradcam: FloatArray | None = None
    probabilistic_gradcam: FloatArray | None = None
    infection: FloatArray | None = None


def draw_scale(maps: Sequence[FloatArray | None], scale: DrawScale = "column") -> list[FloatArray | None]:
    """Scale the maps of one method for drawing, once, to [0, 1].

    Parameters
    ----------
    maps
        Maps of one method, not negative; None stays None.
    scale
        ``column`` divides all maps by the largest value among them, so that a
        film with little evidence stays dark beside one with much; ``map``
        divides each by its own largest value; ``none`` leaves the values as
        they are, and they must lie in [0, 1]. Maps of zeros stay zero.

    Raises
    ------
    ConfigError
        If the scale is unknown, or a value is negative, not finite, or above
        1 with ``none``.

    Examples
    --------
    >>> [m.tolist() for m in draw_scale([np.array([[0.2]]), np.array([[0.8]])])]
    [[[0.25]], [[1.0]]]
    """
    if scale not in SCALE_NOTES:
        raise ConfigError(f"got the scale {scale!r}; choose from {', '.join(SCALE_NOTES)}")
    given = [np.asarray(found, float) for found in maps if found is not None]
    for found in given:
        if not np.isfinite(found).all() or found.min(initial=0.0) < 0.0:
            raise ConfigError("a map holds negative, infinite or undefined values; pass maps after ReLU")
    peaks = [float(found.max(initial=0.0)) for found in given]
    if scale == "none":
        if max(peaks, default=0.0) > 1.0 + 1e-6:
            raise ConfigError(
                f"a map reaches {max(peaks):.3g}; scale 'none' needs values in [0, 1], use 'column' or 'map'"
            )
        divisors = [1.0] * len(given)
    elif scale == "column":
        divisors = [max(peaks, default=0.0)] * len(given)
    else:
        divisors = peaks
    drawn = [found / divisor if divisor > 0 else found for found, divisor in zip(given, divisors, strict=True)]
    scaled = iter([np.minimum(found, 1.0) for found in drawn])
    return [None if found is None else next(scaled) for found in maps]


@styled
def saliency_panel(
    rows: Sequence[SaliencyRow],
    scale: DrawScale = "column",
    colormap: str = "jet",
    alpha: float = 0.4,
    infection_floor: float = 0.05,
) -> Figure:
    """Film, true lesion, both Grad-CAM maps and the infection map side by side (Degerli 2021, Fig. 8; Oh 2020, Fig. 7).

    Parameters
    ----------
    rows
        Films from top to bottom.
    scale
        How Grad-CAM maps are scaled for drawing, see :func:`draw_scale`; it is
        written in the figure. Infection maps are probabilities and are drawn
        as they are.
    colormap
        Of the Grad-CAM maps. The infection map is jet by definition (Degerli
        2021); jet in both makes the columns comparable.
    alpha
        Opacity of the Grad-CAM maps.
    infection_floor
        Infection probabilities up to this value are not drawn; stated in the
        figure. The paper leaves out only exact zeros, which a sigmoid does
        not give.

    Returns
    -------
    Figure
        A column that no row fills is left out.

    Raises
    ------
    ConfigError
        If there is no row, or a map cannot be scaled.
    MaskError
        If a lesion or a map does not have the film's shape.
    """
    if not rows:
        raise ConfigError("got no films for the saliency panel; give at least one row")
    films = [check_film(row.film, row.study) for row in rows]
    for row, film in zip(rows, films, strict=True):
        for name in ("lesion", "global_gradcam", "probabilistic_gradcam", "infection"):
            found = getattr(row, name)
            if found is not None and np.shape(found) != film.shape:
                raise MaskError(
                    f"{name} of {row.study} has shape {np.shape(found)} but the film has {film.shape}; resize it first"
                )
    broad = draw_scale([row.global_gradcam for row in rows], scale)
    local = draw_scale([row.probabilistic_gradcam for row in rows], scale)
    infection = draw_scale([row.infection for row in rows], "none")
    columns = [
        ("Film", [True] * len(rows)),
        ("True lesion", [row.lesion is not None for row in rows]),
        ("Global Grad-CAM", [found is not None for found in broad]),
        ("Probabilistic Grad-CAM", [found is not None for found in local]),
        ("Infection map", [found is not None for found in infection]),
    ]
    columns = [(title, filled) for title, filled in columns if any(filled)]
    panel = (DOUBLE_COLUMN_MM - LABEL_MM) / max(len(columns), 4) - GAP_MM
    heights = [panel * film.shape[0] / film.shape[1] for film in films]
    mapped = any("Grad-CAM" in title or title == "Infection map" for title, _ in columns)
    width = LABEL_MM + len(columns) * (panel + GAP_MM)
    height = TITLE_MM + sum(heights) + GAP_MM * len(rows) + (BAR_MM if mapped else 0.0)
    figure = new_figure(height_mm=height, width_mm=width)
    figure.set_layout_engine("none")
    top = height - TITLE_MM
    for index, (row, film) in enumerate(zip(rows, films, strict=True)):
        lesion = None if row.lesion is None else check_mask(row.lesion, film.shape, f"lesion of {row.study}")
        top -= heights[index]
        for position, (title, filled) in enumerate(columns):
            left = LABEL_MM + position * (panel + GAP_MM)
            axes = figure.add_axes((left / width, top / height, panel / width, heights[index] / height))
            film_axes(axes)
            if index == 0:
                axes.set_title(title, fontsize=8, pad=3, loc="center")
            if position == 0:
                name = f"{display_name(row.label)}\n{shorten(row.study, max(8, int(heights[index] / 1.7)))}"
                axes.set_ylabel(name, fontsize=7.5, labelpad=3)
            if filled[index]:
                _draw_panel(
                    axes,
                    title,
                    film,
                    lesion,
                    broad[index],
                    local[index],
                    infection[index],
                    colormap,
                    alpha,
                    infection_floor,
                )
            else:
                axes.set(xlim=(0, 1), ylim=(0, 1))
                axes.text(0.5, 0.5, "not available", ha="center", va="center", color="#666666", fontsize=7)
        top -= GAP_MM
    for wanted, name, label in (
        ("Grad-CAM", colormap, SCALE_NOTES[scale]),
        (
            "Infection map",
            "jet",
            f"Probability above {infection_floor:g}" if infection_floor else "Infection probability",
        ),
    ):
        under = [position for position, (title, _) in enumerate(columns) if wanted in title]
        if under:
            left = LABEL_MM + under[0] * (panel + GAP_MM)
            span = len(under) * (panel + GAP_MM) - GAP_MM
            place = ((left + 0.04 * span) / width, (BAR_MM - 3.2) / height, 0.92 * span / width, 1.8 / height)
            _draw_bar(figure, place, name, label)
    return figure


def _draw_panel(
    axes: Axes,
    title: str,
    film: FloatArray,
    lesion: BoolArray | None,
    broad: FloatArray | None,
    local: FloatArray | None,
    infection: FloatArray | None,
    colormap: str,
    alpha: float,
    floor: float,
) -> None:
    """Draw the panel of one film in the column ``title``."""
    if title == "Global Grad-CAM" and broad is not None:
        shown = saliency_overlay(film, broad, colormap=colormap, alpha=alpha)
    elif title == "Probabilistic Grad-CAM" and local is not None:
        shown = saliency_overlay(film, local, colormap=colormap, alpha=alpha)
    elif title == "Infection map" and infection is not None:
        shown = infection_map(film, infection, floor)
    else:
        draw_film(axes, thin(film))
        if title == "True lesion" and lesion is not None:
            draw_contour(axes, thin(lesion), ORGAN_COLOURS["truth"], width=1.1)
            if not lesion.any():
                box = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 1.5}
                axes.text(
                    0.5, 0.04, "no lesion", transform=axes.transAxes, ha="center", color="white", fontsize=7, bbox=box
                )
        return
    axes.imshow(thin(shown.astype(np.float32) / 255.0), interpolation="antialiased")
    if lesion is not None:
        draw_contour(axes, thin(lesion), ORGAN_COLOURS["lesion"], width=0.7)


def _draw_bar(figure: Figure, place: tuple[float, float, float, float], colormap: str, label: str) -> None:
    """Draw a horizontal colour bar from 0 to 1 at this place of the figure."""
    bar = figure.colorbar(
        ScalarMappable(Normalize(0.0, 1.0), matplotlib.colormaps[colormap]),
        cax=figure.add_axes(place), orientation="horizontal", ticks=[0, 0.5, 1],
    )  # fmt: skip
    bar.ax.set_xticklabels(["0", "0.5", "1"])
    bar.set_label(label, fontsize=7, labelpad=1)
    bar.ax.tick_params(labelsize=7, length=2, pad=1.5)
    bar.outline.set_visible(False)
