"""The panel of activation and infection maps, and the one place where a drawn map is scaled."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
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
    "column": "share of the largest value in the column",
    "map": "share of each map's own largest value",
    "none": "values as they are",
}

FILM, LESION = "Film", "True lesion"


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
    maps
        Map of each method, not negative, or None.
    """

    study: str
    label: str
    film: AnyArray
    lesion: BoolArray | None = None
    maps: Mapping[str, FloatArray | None] = field(default_factory=dict)


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
    probabilities: Collection[str] = ("infection_map",),
    scale: DrawScale = "column",
    colormap: str = "jet",
    alpha: float = 0.4,
    floor: float = 0.05,
) -> Figure:
    """Film, true lesion and the maps of any number of methods side by side (Degerli 2021, Fig. 8; Oh 2020, Fig. 7).

    Parameters
    ----------
    rows
        Films from top to bottom; the methods are the columns, in the order in which the rows name them.
    probabilities
        Methods whose maps are probabilities; they are never rescaled.
    scale
        How the other maps are scaled for drawing, see :func:`draw_scale`; it is
        written in the figure.
    colormap
        Of the activation maps. The infection map is jet by definition (Degerli
        2021); jet in both makes the columns comparable.
    alpha
        Opacity of the activation maps.
    floor
        Probabilities up to this value are not drawn; stated in the figure. The
        paper leaves out only exact zeros, which a sigmoid does not give.

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
    lesions = [
        None if row.lesion is None else check_mask(row.lesion, film.shape, f"lesion of {row.study}")
        for row, film in zip(rows, films, strict=True)
    ]
    methods = [
        name
        for name in dict.fromkeys(name for row in rows for name in row.maps)
        if any(row.maps.get(name) is not None for row in rows)
    ]
    maps = {}
    for name in methods:
        of_method = [row.maps.get(name) for row in rows]
        for row, found, film in zip(rows, of_method, films, strict=True):
            if found is not None and np.shape(found) != film.shape:
                raise MaskError(
                    f"{name} of {row.study} has shape {np.shape(found)} but the film has {film.shape}; resize it first"
                )
        maps[name] = draw_scale(of_method, "none" if name in probabilities else scale)
    shown = [FILM, *([LESION] if any(lesion is not None for lesion in lesions) else []), *methods]
    panel = (DOUBLE_COLUMN_MM - LABEL_MM) / max(len(shown), 4) - GAP_MM
    heights = [panel * film.shape[0] / film.shape[1] for film in films]
    titles = [_wrapped(display_name(name), panel / 1.35) for name in shown]
    title_mm = TITLE_MM + 3.0 * max(title.count("\n") for title in titles)
    width = LABEL_MM + len(shown) * (panel + GAP_MM)
    bars = []
    for first, last in _runs([name in probabilities for name in shown], len(shown) - len(methods)):
        probable = shown[first] in probabilities
        above = f"Probability above {floor:g}" if floor else "Probability"
        span = (last - first + 1) * (panel + GAP_MM) - GAP_MM
        note = _wrapped(above if probable else f"Activation: {SCALE_NOTES[scale]}", span / 1.2)
        bars.append((first, span, "jet" if probable else colormap, note))
    bar_mm = BAR_MM + 3.0 * max((note.count("\n") for *_, note in bars), default=0) if bars else 0.0
    height = title_mm + sum(heights) + GAP_MM * len(rows) + bar_mm
    figure = new_figure(height_mm=height, width_mm=width)
    figure.set_layout_engine("none")
    top = height - title_mm
    for index, (row, film) in enumerate(zip(rows, films, strict=True)):
        top -= heights[index]
        for position, name in enumerate(shown):
            left = LABEL_MM + position * (panel + GAP_MM)
            axes = figure.add_axes((left / width, top / height, panel / width, heights[index] / height))
            film_axes(axes)
            if index == 0:
                axes.set_title(titles[position], fontsize=8, pad=3, loc="center")
            if position == 0:
                said = f"{display_name(row.label)}\n{shorten(row.study, max(8, int(heights[index] / 1.7)))}"
                axes.set_ylabel(said, fontsize=7.5, labelpad=3)
            found = maps[name][index] if name in maps else None
            if name == FILM or (name == LESION and lesions[index] is not None):
                _draw_film(axes, film, lesions[index] if name == LESION else None)
            elif found is None:
                axes.set(xlim=(0, 1), ylim=(0, 1))
                axes.text(0.5, 0.5, "not available", ha="center", va="center", color="#666666", fontsize=7)
            else:
                over = (
                    infection_map(film, found, floor)
                    if name in probabilities
                    else saliency_overlay(film, found, colormap=colormap, alpha=alpha)
                )
                _draw_over(axes, over, lesions[index])
        top -= GAP_MM
    for first, span, colours, note in bars:
        left = LABEL_MM + first * (panel + GAP_MM)
        place = ((left + 0.04 * span) / width, (bar_mm - 3.2) / height, 0.92 * span / width, 1.8 / height)
        _draw_bar(figure, place, colours, note)
    return figure


def _wrapped(text: str, letters: float) -> str:
    return textwrap.fill(text, max(8, int(letters)), break_on_hyphens=False, break_long_words=False)


def _runs(kinds: Sequence[bool], start: int) -> list[tuple[int, int]]:
    """First and last column of each run of one kind, from column ``start`` on: those share a colour bar."""
    runs: list[tuple[int, int]] = []
    for position in range(start, len(kinds)):
        if runs and kinds[position] == kinds[position - 1]:
            runs[-1] = (runs[-1][0], position)
        else:
            runs.append((position, position))
    return runs


def _draw_film(axes: Axes, film: FloatArray, lesion: BoolArray | None) -> None:
    draw_film(axes, thin(film))
    if lesion is None:
        return
    draw_contour(axes, thin(lesion), ORGAN_COLOURS["truth"], width=1.1)
    if not lesion.any():
        box = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 1.5}
        axes.text(0.5, 0.04, "no lesion", transform=axes.transAxes, ha="center", color="white", fontsize=7, bbox=box)


def _draw_over(axes: Axes, over: AnyArray, lesion: BoolArray | None) -> None:
    axes.imshow(thin(over.astype(np.float32) / 255.0), interpolation="antialiased")
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
