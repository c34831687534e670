"""Scatter of values by group with mean and standard deviation beside it (Oh 2020, Fig. 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from patchcxr.errors import ConfigError
from patchcxr.report.brackets import Bracket, brackets_from_pairs, draw_brackets
from patchcxr.report.style import (
    BLACK,
    class_colours,
    display_name,
    jitter,
    new_figure,
    panel_letter,
    styled,
)
from patchcxr.types import FloatArray

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "h", "<", ">")
"""Markers of groups, so that they can be told apart without colour."""

DATA_MM: Final = 46.0
"""Height of the bars' panel below its brackets."""
LEVEL_MM: Final = 3.6
"""From one bracket to the next one above it: the height of a star."""
LABELS_MM: Final = 24.0
DRAWN: Final = 3000
"""Beyond so many values of a group, as many of them, evenly over their ranks, are drawn."""
MANY_GROUPS: Final = 6
"""Beyond so many, the name of a group and its number stand in one line."""
RASTER: Final = 2000
"""Clouds of more points are images inside SVG and PDF files."""


def require_columns(table: pd.DataFrame, names: Sequence[str], what: str) -> None:
    """Raise ConfigError when ``table`` lacks one of the columns ``names``."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ConfigError(
            f"{what} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns)) or 'none'}"
        )


@styled
def group_scatter(
    table: pd.DataFrame,
    value: str,
    group: str,
    order: Sequence[str],
    pairs: pd.DataFrame | None = None,
    ylabel: str = "",
    patient: str | None = None,
) -> Figure:
    """Every value by group (left), and mean with one standard deviation (right), as in Oh 2020, Fig. 4.

    Parameters
    ----------
    table
        One row a film; NaN and infinite values are left out.
    value, group
        Columns of ``table``.
    order
        Groups from left to right.
    pairs
        Tidy pairwise tests with ``group_a``, ``group_b`` and ``stars`` of the
        adjusted p; a bracket is drawn for each pair whose stars are not ``-``.
    ylabel
        Name and unit of the value.
    patient
        Column of the patient. If given, mean and standard deviation on the
        right are those of the patients' means, as in tests over patients; the
        left still shows every film.

    Returns
    -------
    Figure
        The standard deviation is that of the sample (ddof = 1); a group of
        one value has no bar. Groups differ in colour and marker.

    Raises
    ------
    ConfigError
        If a column is missing or no group of ``order`` has a value.
    """
    named = {value: ylabel} if ylabel else [value]
    return _figure(table, named, group, order, None if pairs is None else {value: pairs}, patient, "")


@styled
def groups_figure(
    table: pd.DataFrame,
    values: Sequence[str] | Mapping[str, str],
    group: str,
    order: Sequence[str],
    pairs: Mapping[str, pd.DataFrame] | None = None,
    patient: str | None = None,
) -> Figure:
    """Draw :func:`group_scatter` of several values below one another, as the three rows of Oh 2020, Fig. 4.

    Parameters
    ----------
    values
        Columns of ``table``; a mapping gives each its name and unit.
    pairs
        For each value, its pairwise tests.
    table, group, order, patient
        As in :func:`group_scatter`.

    Raises
    ------
    ConfigError
        As :func:`group_scatter`, or if there is no value.
    """
    return _figure(table, values, group, order, pairs, patient, "")


@styled
def patch_intensity_figure(
    patches: pd.DataFrame,
    order: Sequence[str],
    pairs: Mapping[str, pd.DataFrame] | None = None,
    group: str = "class_name",
    patient: str | None = None,
) -> Figure:
    """Inter-patch (above) and intra-patch intensity (below) by class (Oh 2020, Fig. 5).

    Parameters
    ----------
    patches
        One row a patch: ``group``, and ``mean`` and ``std`` of its intensity. Where there is a column ``correct``,
        only the patches that were classified correctly are drawn, as in the paper.
    order
        Classes from left to right.
    pairs
        Tests of ``mean`` and of ``std`` between classes.
    group, patient
        As in :func:`group_scatter`. Without ``patient`` means and bars are over patches, as in the paper.

    Raises
    ------
    ConfigError
        As :func:`group_scatter`.
    """
    named = {"mean": "Inter-patch:\nmean of a patch", "std": "Intra-patch:\nSD of a patch"}
    require_columns(patches, [group, *named], "the table of patches")
    kept = patches[patches["correct"].astype(bool)] if "correct" in patches else patches
    return _figure(kept, named, group, order, pairs, patient, "patches")


def _figure(
    table: pd.DataFrame,
    values: Sequence[str] | Mapping[str, str],
    group: str,
    order: Sequence[str],
    pairs: Mapping[str, pd.DataFrame] | None,
    patient: str | None,
    unit: str,
) -> Figure:
    require_columns(table, [*values, group, *([patient] if patient else [])], "the table of values")
    if not len(values):
        raise ConfigError("got no value to draw; name at least one column")
    rows = [brackets_from_pairs((pairs or {}).get(value), order) for value in values]
    heights = [DATA_MM + LEVEL_MM * _levels(brackets) for brackets in rows]
    figure = new_figure(height_mm=sum(heights) + LABELS_MM * len(rows))
    grid = figure.subplots(len(rows), 2, squeeze=False, height_ratios=heights)
    unit = f" of {'patients' if patient else unit}" if patient or unit else ""
    for row, (value, brackets) in enumerate(zip(values, rows, strict=True)):
        films, units = _split(table, value, group, order, patient)
        left, right = grid[row]
        _draw_values(left, films)
        _draw_means(right, units, brackets, f"Mean ± 1 SD{unit}")
        left.set_ylabel(values[value] if isinstance(values, Mapping) else display_name(value))
        for index, axes in enumerate((left, right)):
            panel_letter(axes, 2 * row + index)
    figure.align_ylabels(grid[:, 0])
    return figure


def _levels(brackets: Sequence[Bracket]) -> int:
    return max((bracket.level + 1 for bracket in brackets), default=0)


def _split(
    table: pd.DataFrame, value: str, group: str, order: Sequence[str], patient: str | None
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Finite values of each group: of films, and of films or patients."""
    found = table[[group, *([patient] if patient else [])]].assign(value=table[value].to_numpy(float))
    found = found[np.isfinite(found["value"])]
    parts = {name: found[found[group] == name] for name in order}
    if not any(len(part) for part in parts.values()):
        raise ConfigError(
            f"no row of the table has a {group} among {', '.join(map(str, order))} and a finite {value}; "
            "check the order of the groups"
        )
    films = {name: part["value"].to_numpy() for name, part in parts.items()}
    if patient is None:
        return films, films
    return films, {name: part.groupby(patient)["value"].mean().to_numpy() for name, part in parts.items()}


def _looks(order: Sequence[str]) -> dict[str, dict[str, Any]]:
    colours = class_colours(order)
    return {name: {"color": colours[name], "marker": MARKERS[index % len(MARKERS)]} for index, name in enumerate(order)}


def _draw_values(axes: Axes, values: Mapping[str, FloatArray]) -> None:
    """Every value, spread sideways where values crowd."""
    looks = _looks(list(values))
    for position, (name, found) in enumerate(values.items()):
        drawn = found
        if found.size > DRAWN:
            drawn = np.sort(found)[np.linspace(0, found.size - 1, DRAWN).round().astype(int)]
        offsets = np.asarray(jitter(drawn.size, str(name), 0.34)) * _crowding(drawn)
        axes.scatter(
            position + offsets, drawn, s=9 if drawn.size < 300 else 5, alpha=0.6 if drawn.size < 1000 else 0.35,
            linewidths=0, gid=f"values:{name}", rasterized=drawn.size > RASTER, **looks[name],
        )  # fmt: skip
    _group_ticks(axes, list(values), [len(found) for found in values.values()])


def _crowding(values: FloatArray) -> FloatArray:
    """Share in (0, 1] of the room that a value may take sideways: how many values lie near it, over the most."""
    if values.size < 10 or np.ptp(values) == 0:
        return np.ones(values.size)
    counts, edges = np.histogram(values, bins=min(40, int(np.sqrt(values.size)) + 2))
    counts = np.convolve(np.pad(counts, 1), [0.25, 0.5, 0.25], mode="valid")
    centres = (edges[:-1] + edges[1:]) / 2
    return np.interp(values, centres, 0.12 + 0.88 * counts / counts.max())


def _draw_means(axes: Axes, values: Mapping[str, FloatArray], brackets: Sequence[Bracket], ylabel: str) -> None:
    """Mean and one standard deviation of each group, and the brackets above them."""
    looks, bottoms, tops = _looks(list(values)), [], []
    for position, (name, found) in enumerate(values.items()):
        if len(found) == 0:
            continue
        mean = float(found.mean())
        spread = float(found.std(ddof=1)) if len(found) > 1 else 0.0
        axes.errorbar(
            position, mean, yerr=spread or None, markersize=5.5, capsize=3.5, linewidth=1.2, linestyle="none",
            markeredgecolor=BLACK, markeredgewidth=0.5, **looks[name],
        )  # fmt: skip
        bottoms.append(mean - spread)
        tops.append(mean + spread)
    _group_ticks(axes, list(values), [len(found) for found in values.values()])
    low, high = min(bottoms), max(tops)
    height = (high - low) or abs(high) or 1.0
    step = height * LEVEL_MM / DATA_MM * 1.16
    end = draw_brackets(axes, brackets, start=high + 1.1 * step, step=step)
    bottom, top = low - 0.08 * height, high + 0.06 * height
    limit = max(end + 0.3 * step, high + 0.08 * height) if brackets else high + 0.08 * height
    axes.set_ylim(bottom, limit)
    axes.spines["left"].set_bounds(bottom, top)
    axes.set_yticks([tick for tick in MaxNLocator(6).tick_values(low, high) if bottom <= tick <= top])
    axes.set_ylabel(ylabel)
    axes.yaxis.set_label_coords(-0.17, ((low + high) / 2 - bottom) / (limit - bottom))


def _group_ticks(axes: Axes, order: Sequence[str], counts: Sequence[int]) -> None:
    """Name the groups below the axes, each with its number of values; long names are turned."""
    names, many = [str(display_name(name)) for name in order], len(order) > MANY_GROUPS
    axes.set_xticks(
        range(len(order)), [f"{name}{' ' if many else chr(10)}(n = {n})" for name, n in zip(names, counts, strict=True)]
    )
    if many or max(map(len, names), default=0) * len(order) > 58:
        axes.tick_params(axis="x", rotation=45 if many else 30)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")
    axes.set_xlim(-0.6, len(order) - 0.4)
    axes.tick_params(axis="x", length=0)
