"""Figures of calibration: reliability diagrams, risk against coverage, and how many patches a vote needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from patchcxr.errors import ConfigError
from patchcxr.measure.selective import SelectiveCurve
from patchcxr.report.groups import require_columns
from patchcxr.report.style import (
    BLUE,
    CYCLE,
    DOUBLE_COLUMN_MM,
    GREY,
    SINGLE_COLUMN_MM,
    VERMILION,
    new_figure,
    panel_letter,
    styled,
)

COLUMNS: Final = 4
"""Reliability diagrams beside each other at most."""

LINES: Final = ("-", "--", "-.", ":")
_DIAGONAL: Final[dict[str, Any]] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1}


@styled
def reliability_figure(tables: Mapping[str, pd.DataFrame], notes: Mapping[str, str] | None = None) -> Figure:
    """Reliability diagrams side by side: accuracy against confidence, and below each how many films lie in each bin.

    Parameters
    ----------
    tables
        For each method (or state of its probabilities) what
        :func:`~patchcxr.report.calibration_tables.reliability_table` returns.
    notes
        A line below the title of each, such as its calibration error.

    Returns
    -------
    Figure
        Points at the mean confidence and the accuracy of the films of a bin, with Wilson's interval, over bars of the
        width of the bin; on the dashed diagonal confidence and accuracy are equal. Below it the classifier is surer
        than right.

    Raises
    ------
    ConfigError
        If there is no table, or a column is missing.
    """
    if not tables:
        raise ConfigError("got no reliability table; give at least one")
    for name, table in tables.items():
        require_columns(table, ["low", "high", "n", "confidence", "accuracy", "accuracy_low", "accuracy_high"], name)
    columns = min(len(tables), COLUMNS)
    rows = -(-len(tables) // columns)
    width = SINGLE_COLUMN_MM if columns == 1 else DOUBLE_COLUMN_MM
    panel = (width - 14.0) / columns - 4.0
    figure = new_figure(height_mm=rows * (panel * 1.35 + 20.0), width_mm=width)
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 1] * rows)
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        axes, counts = grid[2 * row, column], grid[2 * row + 1, column]
        if index >= len(tables):
            axes.set_visible(False)
            counts.set_visible(False)
            continue
        name = list(tables)[index]
        _reliability_panel(axes, counts, tables[name])
        note = (notes or {}).get(name, "")
        axes.set_title(f"{name}\n{note}" if note else name, pad=8)
        counts.set_xlabel("Confidence")
        if column == 0:
            axes.set_ylabel("Accuracy")
            counts.set_ylabel("Films")
        else:
            axes.tick_params(labelleft=False)
        if len(tables) > 1:
            panel_letter(axes, index)
    figure.align_ylabels(grid[:, 0])
    return figure


def _reliability_panel(axes: Axes, counts: Axes, table: pd.DataFrame) -> None:
    centre, width = (table["low"] + table["high"]) / 2, table["high"] - table["low"]
    filled = table[table["n"] > 0]
    axes.plot([0, 1], [0, 1], gid="diagonal", **_DIAGONAL)
    axes.bar(centre, table["accuracy"], width, color=BLUE, alpha=0.18, edgecolor="white", linewidth=0.6, zorder=0)
    spread = np.abs(filled[["accuracy_low", "accuracy_high"]].to_numpy().T - filled["accuracy"].to_numpy())
    axes.errorbar(
        filled["confidence"], filled["accuracy"], yerr=spread, fmt="o", markersize=3, color=BLUE, ecolor=BLUE,
        elinewidth=0.7, capsize=1.2, capthick=0.7, zorder=3, clip_on=False,
    )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.tick_params(labelbottom=False)
    counts.bar(centre, table["n"], width, color=GREY, edgecolor="white", linewidth=0.6)
    counts.set(xlim=(0, 1), xticks=[0, 0.5, 1], xticklabels=["0", "0.5", "1"])
    counts.set_yticks([0, int(table["n"].max())])


@styled
def selective_figure(curves: Mapping[str, SelectiveCurve], areas: Mapping[str, str] | None = None) -> Figure:
    """Risk and macro-F1 against coverage, if the films of which the classifier is least sure are left to a reader.

    Parameters
    ----------
    curves
        By method or confidence score, of :func:`~patchcxr.measure.selective.selective_curve`.
    areas
        Area under the risk-coverage curve, as text for the legend.

    Raises
    ------
    ConfigError
        If there is no curve.
    """
    if not curves:
        raise ConfigError("got no selective-prediction curve; give at least one")
    figure = new_figure(height_mm=68 + 4.0 * len(curves))
    risk, score = figure.subplots(1, 2)
    for index, (name, curve) in enumerate(curves.items()):
        look: dict[str, Any] = {
            "color": CYCLE[index % len(CYCLE)],
            "linestyle": LINES[index % len(LINES)],
            "marker": "o" if len(curve.coverage) < 8 else None,
            "markersize": 3,
        }
        area = (areas or {}).get(name)
        risk.plot(curve.coverage, 1 - curve.accuracy, label=f"{name}: {area}" if area else name, **look)
        score.plot(curve.coverage, curve.macro_f1, **look)
    top = max(float((1 - curve.accuracy).max()) for curve in curves.values())
    risk.set(ylabel="Risk (share of errors)", ylim=(0, max(1.06 * top, 0.05)))
    score.set(ylabel="Macro-F1", ylim=(0, 1.02))
    for index, axes in enumerate((risk, score)):
        axes.set(xlabel="Coverage (share of films kept)", xlim=(0, 1.0))
        panel_letter(axes, index)
    risk.legend(
        loc="upper left", bbox_to_anchor=(0, -0.2), alignment="left", borderaxespad=0,
        title="Area under the risk-coverage curve" if areas else None,
        title_fontproperties={"size": 7.5, "weight": "bold"},
    )  # fmt: skip
    return figure


@styled
def stability_figure(table: pd.DataFrame, level: float, recorded: int | None = None) -> Figure:
    """Share of films with a settled vote against the number of patches, with Wilson's interval.

    Parameters
    ----------
    table
        ``patches``, ``share``, ``low`` and ``high``, a row for each number of patches.
    level
        Probability from which a vote counts as settled, for the label.
    recorded
        Number of patches that was used; marked by a line.

    Raises
    ------
    ConfigError
        If a column is missing or there is no row.
    """
    require_columns(table, ["patches", "share", "low", "high"], "the table of stable films")
    if table.empty:
        raise ConfigError("the table of stable films has no row; give at least one number of patches")
    figure = new_figure(height_mm=64, width_mm=SINGLE_COLUMN_MM)
    axes = figure.subplots()
    axes.fill_between(table["patches"], table["low"], table["high"], color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(table["patches"], table["share"], color=BLUE, marker="o", markersize=3.5, clip_on=False, zorder=3)
    if recorded is not None:
        axes.axvline(recorded, color=VERMILION, linewidth=0.9, linestyle="--", zorder=1)
        axes.annotate(
            f"K = {recorded}", (recorded, 0), xycoords=("data", "axes fraction"), xytext=(3, 4),
            textcoords="offset points", color=VERMILION, fontsize=7.5,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_spaced(table["patches"].to_numpy())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set(xlabel="Patches a film, K", ylim=(0, 1))
    axes.set_ylabel(f"Films whose vote is settled\nwith probability {level:.0%}".replace("%", " %"))
    return figure


def _spaced(sizes: np.ndarray) -> list[float]:
    """Sizes that are far enough apart on a logarithmic axis to be written."""
    kept: list[float] = []
    for size in sorted(float(value) for value in sizes):
        if not kept or size > 2 * kept[-1]:
            kept.append(size)
    return kept
