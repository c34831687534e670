"""Forest plot: the shift between every two groups or methods, with its interval."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError
from patchcxr.report.brackets import SIGNIFICANT, pair_columns
from patchcxr.report.style import BLUE, DOUBLE_COLUMN_MM, GREY, display_name, new_figure, styled
from patchcxr.report.tables import format_interval, format_p

ROW_MM: Final = 5.2
ESTIMATES: Final = {
    "shift": "Hodges-Lehmann shift",
    "mean_difference": "Mean difference",
    "median_difference": "Median difference",
}
"""Columns that can be drawn, each with its ``_low`` and ``_high``."""


@styled
def forest_figure(pairs: pd.DataFrame, estimate: str = "shift", quantity: str = "", digits: int = 3) -> Figure:
    """Draw the difference of each pair with its 95 % interval, and its adjusted p beside it.

    The p-values are adjusted for the number of pairs, the intervals are not adjusted for the number of pairs: an
    interval can leave out zero where the adjusted p is not significant.

    Parameters
    ----------
    pairs
        One row a pair, drawn from top to bottom: what :func:`~patchcxr.stats.comparisons.rank_sum_pairs` or
        :func:`~patchcxr.stats.paired.signed_rank_pairs` returns. With a column ``measure`` the rows are parted by it.
    estimate
        One of :data:`ESTIMATES`.
    quantity
        Name and unit of the value, for the axis.
    digits
        Decimals of the numbers on the right.

    Returns
    -------
    Figure
        A filled square is significant after correction, an open one is not; undefined rows say so.

    Raises
    ------
    ConfigError
        If the estimate is unknown, a column is missing, or there is no pair.
    """
    if estimate not in ESTIMATES:
        raise ConfigError(f"estimate is {estimate!r}; expected one of {', '.join(ESTIMATES)}")
    columns = (estimate, f"{estimate}_low", f"{estimate}_high")
    first, second = pair_columns(pairs, *columns, "p_adjusted", "stars")
    if pairs.empty:
        raise ConfigError("the table of pairs is empty; compare at least two groups")
    parts = list(pairs.groupby("measure", sort=False)) if "measure" in pairs else [("", pairs)]
    rows = len(pairs) + sum(1 for name, _ in parts if name)
    figure = new_figure(height_mm=ROW_MM * rows + 20, width_mm=DOUBLE_COLUMN_MM)
    axes, numbers, values = figure.subplots(1, 3, sharey=True, width_ratios=[10, 4.6, 2.2])
    labels, row = [], 0
    for name, part in parts:
        if name:
            labels.append((row, display_name(str(name)), "bold"))
            row += 1
        for pair in part.to_dict("records"):
            text = f"{display_name(str(pair[first]))} − {display_name(str(pair[second]))}"
            labels.append((row, text, "normal"))
            value, low, high = (float(pair[column]) for column in columns)
            _draw_row(axes, row, (value, low, high), pair["stars"] in SIGNIFICANT)
            _write(numbers, row, format_interval(value, low, high, digits) if np.isfinite(value) else "undefined", 0.0)
            _write(values, row, format_p(pair["p_adjusted"]), 0.6, ha="right")
            _write(values, row, pair["stars"] if pair["stars"] in SIGNIFICANT else "", 0.64, va="center_baseline")
            row += 1
    _frame(axes, rows, pairs[list(columns)].to_numpy(float))
    axes.set_yticks([at for at, _, _ in labels], [text for _, text, _ in labels])
    for tick, (_, _, weight) in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_fontweight(weight)
    axes.set_xlabel(f"{quantity + ': ' if quantity else ''}{ESTIMATES[estimate]} with 95 % CI")
    _write(numbers, -0.9, "Shift (95 % CI)" if estimate == "shift" else "Difference (95 % CI)", 0.0, fontweight="bold")
    _write(values, -0.9, "p adjusted", 0.6, ha="right", fontweight="bold")
    for column in (numbers, values):
        column.set_axis_off()
    return figure


def _draw_row(axes: Axes, row: int, shift: tuple[float, float, float], significant: bool) -> None:
    value, low, high = shift
    if not np.isfinite(value):
        return
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [row, row], color=BLUE, linewidth=1.1, solid_capstyle="butt", gid="interval")
    axes.plot(
        value, row, marker="s", markersize=4.2, color=BLUE, linestyle="none",
        markerfacecolor=BLUE if significant else "white", gid="estimate",
    )  # fmt: skip


def _write(axes: Axes, row: float, text: str, at: float, **look: Any) -> None:
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 7.5} | look
    axes.annotate(text, (at, row), annotation_clip=False, **place)


def _frame(axes: Axes, rows: int, numbers: np.ndarray) -> None:
    finite = numbers[np.isfinite(numbers)]
    low, high = (min(finite.min(), 0.0), max(finite.max(), 0.0)) if finite.size else (-1.0, 1.0)
    room = 0.06 * ((high - low) or 1.0)
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(rows - 0.4, -1.3)
    axes.axvline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
