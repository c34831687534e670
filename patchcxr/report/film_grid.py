"""Films in rows and columns, each with a map in colour or outlines over it, and a colour bar for every scale.

Lengths are set in millimetres on paper, so that text has its size and panels
never overlap, however many there are.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError, MaskError
from patchcxr.report.films import check_film, check_mask, draw_contour, draw_film, shorten, thin
from patchcxr.report.map_figure import BAR_BRIGHTNESS
from patchcxr.report.map_scale import Scale
from patchcxr.report.style import DOUBLE_COLUMN_MM, film_axes, new_figure, styled
from patchcxr.types import AnyArray, BoolArray, FloatArray

LABEL_MM: Final = 9.0
GAP_MM: Final = 0.8
TITLE_LINE_MM: Final = 3.3
LETTER_MM: Final = 3.2
BAR_MM: Final = 10.5
LABEL_LINE_MM: Final = 2.9
LONGEST_BAR_MM: Final = 60.0
CHARACTER_MM: Final = 1.45
"""Mean width of a character at 8 pt, by which titles are broken into lines."""
NARROW_MM: Final = 25.0
"""Panels below it have titles of 7 pt and texts of 6 pt, others of 8 and 7."""
PAGE_MM: Final = 225.0
"""Height of a printed page; panels shrink until the figure fits."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One film of the grid.

    Attributes
    ----------
    film
        (H, W), float in [0, 1] or uint8.
    values
        Map (H, W), not negative; None shows the film alone.
    scale
        Name of the map's scale.
    outlines
        Masks (H, W) by colour.
    text
        What is written into the lower left corner, such as a probability.
    """

    film: AnyArray
    values: FloatArray | None = None
    scale: str = ""
    outlines: Mapping[str, BoolArray] = field(default_factory=dict)
    text: str = ""


class _Bar(NamedTuple):
    """A colour bar: its scale and label, its place in millimetres, and its line below the panels."""

    scale: str
    label: list[str]
    left: float
    width: float
    line: int


class _Layout(NamedTuple):
    """Lengths in millimetres."""

    width: float
    height: float
    panel: float
    rows: list[float]
    title: float
    bars: list[_Bar]
    bar: float
    """Height of a line of colour bars."""


@styled
def film_grid(
    panels: Sequence[Sequence[Panel | None]],
    titles: Sequence[str],
    names: Sequence[str],
    scales: Mapping[str, Scale] | None = None,
    width_mm: float = DOUBLE_COLUMN_MM,
    letters: bool = True,
) -> Figure:
    """Draw films in rows and columns.

    Parameters
    ----------
    panels
        Rows of panels, all of one length; None leaves a place empty. The first
        panel of a row sets its height.
    titles
        One a column; broken into lines where a column is narrow.
    names
        One a row; lines are parted by newlines.
    scales
        Scales that panels name. Each has a colour bar below the columns in
        which it is used, drawn by the function that draws the maps, on a film
        of the grey level :data:`~patchcxr.report.map_figure.BAR_BRIGHTNESS`.
    width_mm
        Width on paper; less where a page would be too low for the rows.
    letters
        Whether columns have bold letters a, b, ... before their titles.

    Raises
    ------
    ConfigError
        If there is no panel, the rows differ in length, the titles or names do
        not fit, or a scale is unknown.
    ImageError, MaskError
        If a map or an outline does not have its film's shape, or a map has a
        value that is negative or NaN.
    """
    columns, known = len(titles), dict(scales or {})
    if not panels or not columns or len(names) != len(panels) or any(len(row) != columns for row in panels):
        raise ConfigError(
            f"got rows of {[len(row) for row in panels]} panels, {columns} titles and {len(names)} names; "
            "give every row one panel a title (None for an empty place) and a name, and at least one row"
        )
    unknown = {p.scale for row in panels for p in row if p is not None and p.values is not None} - set(known)
    if unknown:
        raise ConfigError(f"a panel has the scale {min(unknown)!r}; expected one of {', '.join(known) or 'none'}")
    layout = _layout(panels, titles, known, width_mm, letters)
    figure = new_figure(layout.height, layout.width)
    figure.set_layout_engine("none")
    bottom = layout.height - layout.title
    for index, row in enumerate(panels):
        bottom -= layout.rows[index]
        for column, panel in enumerate(row):
            left = LABEL_MM + column * (layout.panel + GAP_MM)
            axes = _axes(figure, layout, left, bottom, layout.panel, layout.rows[index])
            film_axes(axes)
            if index == 0:
                _write_title(axes, titles[column], column if letters else None, layout)
            if column == 0:
                room = max(8, int(layout.rows[index] / CHARACTER_MM))
                lines = [shorten(line, room) for line in names[index].split("\n")]
                axes.set_ylabel("\n".join(lines), fontsize=7, labelpad=2.5)
            if panel is not None:
                _draw(axes, panel, known, 6 if layout.panel < NARROW_MM else 7)
        bottom -= GAP_MM
    for bar in layout.bars:
        _draw_bar(figure, layout, known[bar.scale], bar, bottom - layout.bar * bar.line)
    return figure


def _layout(
    panels: Sequence[Sequence[Panel | None]],
    titles: Sequence[str],
    scales: Mapping[str, Scale],
    width_mm: float,
    letters: bool,
) -> _Layout:
    columns = len(titles)
    panel = (width_mm - LABEL_MM) / columns - GAP_MM
    shapes = [next((np.shape(p.film) for p in row if p is not None), (1, 1)) for row in panels]
    ratios = [shape[0] / shape[1] for shape in shapes]
    most = PAGE_MM - 2 * BAR_MM - 2 * TITLE_LINE_MM - len(panels) * GAP_MM
    panel = min(panel, most / sum(ratios))
    lines = max(len(_wrapped(title, panel, letters)) for title in titles)
    bars = _place_bars(panels, scales, panel)
    rows = [panel * ratio for ratio in ratios]
    title = lines * TITLE_LINE_MM + 1.6
    levels = 1 + max((found.line for found in bars), default=-1)
    bar = BAR_MM + LABEL_LINE_MM * max((len(found.label) - 1 for found in bars), default=0)
    height = title + sum(rows) + len(rows) * GAP_MM + levels * bar
    return _Layout(LABEL_MM + columns * (panel + GAP_MM), height, panel, rows, title, bars, bar)


def _wrapped(title: str, panel: float, letters: bool) -> list[str]:
    room = (panel - (LETTER_MM if letters else 0.0)) / (CHARACTER_MM * (0.9 if panel < NARROW_MM else 1.0))
    return [line for part in title.split("\n") for line in _lines(part, room)] or [""]


def _lines(text: str, room: float) -> list[str]:
    """Break a text into lines of at most ``room`` characters, never at a hyphen: Grad-CAM stays one word."""
    return textwrap.wrap(text, max(8, int(room)), break_on_hyphens=False, break_long_words=False)


def _place_bars(panels: Sequence[Sequence[Panel | None]], scales: Mapping[str, Scale], panel: float) -> list[_Bar]:
    """Put each bar below the columns that use its scale, one line lower where it would touch the bar before it."""
    placed: list[_Bar] = []
    for name, scale in scales.items():
        used = [
            column
            for row in panels
            for column, found in enumerate(row)
            if found is not None and found.values is not None and found.scale == name
        ]
        if not used:
            continue
        first = LABEL_MM + min(used) * (panel + GAP_MM)
        span = (max(used) - min(used) + 1) * (panel + GAP_MM) - GAP_MM
        width = min(0.86 * span, LONGEST_BAR_MM)
        left = first + (span - width) / 2
        touched = [bar.line for bar in placed if bar.left < first + span and first < bar.left + bar.width]
        label = _lines(scale.label, span / (0.88 * CHARACTER_MM))
        placed.append(_Bar(name, label, left, width, max(touched, default=-1) + 1))
    return placed


def _axes(figure: Figure, layout: _Layout, left: float, bottom: float, width: float, height: float) -> Axes:
    return figure.add_axes((left / layout.width, bottom / layout.height, width / layout.width, height / layout.height))


def _write_title(axes: Axes, title: str, index: int | None, layout: _Layout) -> None:
    """Write a column's title above its first panel, its last line nearest, after the letter if there is one."""
    lines = _wrapped(title, layout.panel, index is not None)
    shift = 0.0 if index is None else LETTER_MM / layout.panel
    for number, line in enumerate(reversed(lines)):
        up = 2.5 + number * TITLE_LINE_MM / 25.4 * 72
        place: dict[str, Any] = {
            "xycoords": "axes fraction",
            "textcoords": "offset points",
            "va": "baseline",
            "fontsize": 8,
        }
        axes.annotate(line, (shift, 1), (0, up), annotation_clip=False, **place)
        if index is not None and number == len(lines) - 1:
            axes.annotate(chr(ord("a") + index), (0, 1), (0, up), annotation_clip=False, fontweight="bold", **place)


def _draw(axes: Axes, panel: Panel, scales: Mapping[str, Scale], size: float) -> None:
    film = check_film(panel.film)
    if panel.values is None:
        draw_film(axes, thin(film))
    else:
        values = np.asarray(panel.values, dtype=np.float32)
        if values.shape != film.shape:
            raise MaskError(f"a map has shape {values.shape} but its film has {film.shape}; resize it first")
        if not (values.min(initial=0.0) >= 0 and np.isfinite(values).all()):
            raise ConfigError("a map holds negative, infinite or undefined values; pass maps after ReLU")
        painted = scales[panel.scale].paint(thin(film), thin(values))
        axes.imshow(painted, interpolation="antialiased")
    for colour, mask in panel.outlines.items():
        draw_contour(axes, thin(check_mask(mask, film.shape, "an outline")), colour, width=0.8)
    if panel.text:
        box = {"facecolor": "black", "alpha": 0.65, "edgecolor": "none", "pad": 1.4}
        axes.text(0.025, 0.03, panel.text, transform=axes.transAxes, color="white", fontsize=size, bbox=box)


def _draw_bar(figure: Figure, layout: _Layout, scale: Scale, bar: _Bar, bottom: float) -> None:
    """Draw the colours of a scale from left to right on even grey, with three ticks and the label."""
    axes = _axes(figure, layout, bar.left, bottom - 2.6, bar.width, 1.9)
    ramp = np.linspace(0, scale.top, 512, dtype=np.float32)[None]
    painted = scale.paint(np.full_like(ramp, BAR_BRIGHTNESS), ramp)
    axes.imshow(painted, extent=(0, scale.top, 0, 1), aspect="auto", interpolation="nearest")
    ticks = sorted({0.0, scale.top / 2, scale.top})
    axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes.set_yticks([])
    axes.tick_params(labelsize=7, length=2, pad=1.2)
    axes.set_xlabel("\n".join(bar.label), fontsize=7, labelpad=1)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.4)
