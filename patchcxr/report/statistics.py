"""Figures of measurements: localisation by method, severity, follow-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from patchcxr.errors import ConfigError
from patchcxr.report.brackets import Bracket, brackets_from_pairs, draw_brackets
from patchcxr.report.groups import MARKERS, group_scatter, require_columns
from patchcxr.report.style import (
    BLACK,
    CYCLE,
    DOUBLE_COLUMN_MM,
    GREY,
    SINGLE_COLUMN_MM,
    class_colours,
    display_name,
    jitter,
    new_figure,
    styled,
)
from patchcxr.types import AnyArray, FloatArray

__all__ = ["follow_up_figure", "group_scatter", "localization_figure", "require_columns", "severity_figure"]

PANELS_A_ROW = 3


def _binary(values: FloatArray) -> bool:
    return bool(len(values)) and bool(np.isin(values, (0.0, 1.0)).all())


def _draw_shares(axes: Axes, values: Mapping[str, FloatArray], colours: Mapping[str, str]) -> None:
    """Draw a bar for the share of ones of each method."""
    for position, (name, found) in enumerate(values.items()):
        if len(found) == 0:
            continue
        share = float(found.mean())
        axes.barh(position, share, height=0.5, color=colours[name], alpha=0.75)
        axes.annotate(
            f"{100 * share:.0f} %",
            (share, position),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )


def _draw_boxes(axes: Axes, values: Mapping[str, FloatArray], colours: Mapping[str, str]) -> None:
    """Draw a box, every value and the median of each method."""
    for position, (name, found) in enumerate(values.items()):
        if len(found) == 0:
            continue
        offsets = position + 0.08 + np.asarray(jitter(len(found), name, 0.17))
        axes.scatter(found, offsets, s=5, color=colours[name], alpha=0.45, linewidths=0, gid=f"values:{name}")
        axes.boxplot(
            found, positions=[position + 0.08], widths=0.46, orientation="horizontal", showfliers=False,
            manage_ticks=False, patch_artist=True, zorder=3,
            boxprops={"facecolor": "none", "edgecolor": BLACK, "linewidth": 0.7},
            whiskerprops={"linewidth": 0.7}, capprops={"linewidth": 0.7},
            medianprops={"color": BLACK, "linewidth": 1.6},
        )  # fmt: skip
        median = float(np.median(found))
        axes.annotate(
            f"{median:.2f}", (median, position - 0.18), xytext=(0, 1), textcoords="offset points",
            ha="center", va="bottom", fontsize=7, fontweight="bold",
        )  # fmt: skip


SHARES: Final = ("pointing_hit", "hit")
"""Measures that are shares of films, even where a film with equal largest values counts in part."""


@styled
def localization_figure(
    table: pd.DataFrame,
    order: Sequence[str] | None = None,
    measures: Sequence[str] | None = None,
    pairs: pd.DataFrame | None = None,
) -> Figure:
    """How well each method finds the lesion: box, values and median for each measure (D9, X4).

    Parameters
    ----------
    table
        Long: columns ``study``, ``method``, ``measure`` and ``value`` in
        [0, 1]. NaN values are left out. The pointing game, and any measure
        whose values are all 0 or 1, is drawn as a share.
    order
        Methods from top to bottom; all, as they come, when None.
    measures
        Measures, panel by panel; all, as they come, when None.
    pairs
        Tidy paired tests with ``measure``, ``group_a``, ``group_b`` and
        ``stars`` of the adjusted p.

    Raises
    ------
    ConfigError
        If a column is missing, or nothing is left to draw.
    """
    require_columns(table, ["study", "method", "measure", "value"], "the table of localisation scores")
    if pairs is not None:
        require_columns(pairs, ["measure"], "the table of pairs")
    methods = list(order) if order is not None else list(dict.fromkeys(table["method"]))
    shown = list(measures) if measures is not None else list(dict.fromkeys(table["measure"]))
    if not methods or not shown:
        raise ConfigError("the table of localisation scores is empty; score at least one map")
    colours = dict(zip(methods, [CYCLE[i % len(CYCLE)] for i in range(len(methods))], strict=True))
    columns = min(PANELS_A_ROW, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(height_mm=rows * (18 + 11 * len(methods)), width_mm=DOUBLE_COLUMN_MM)
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.08)
    grid = figure.subplots(rows, columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= len(shown):
            axes.set_visible(False)
            continue
        measure = shown[index]
        part = table[table["measure"] == measure]
        values = {name: part.loc[part["method"] == name, "value"].dropna().to_numpy(float) for name in methods}
        share = measure in SHARES or _binary(np.concatenate(list(values.values())))
        draw = _draw_shares if share else _draw_boxes
        draw(axes, values, colours)
        brackets: list[Bracket] = []
        if pairs is not None:
            brackets = brackets_from_pairs(pairs[pairs["measure"] == measure], methods)
        end = draw_brackets(axes, brackets, start=1.12, step=0.12, direction="horizontal")
        axes.set_xlim(-0.03, max(1.08, end))
        axes.set_ylim(len(methods) - 0.5, -0.55)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        axes.spines["bottom"].set_bounds(0, 1)
        axes.set_yticks(range(len(methods)), methods if index % columns == 0 else [""] * len(methods))
        axes.tick_params(axis="y", length=0)
        films = part.loc[part["method"].isin(methods), "study"].nunique()
        axes.set_title(f"{display_name(measure)} (n = {films})")
    return figure


@styled
def severity_figure(
    true: FloatArray, predicted: FloatArray, labels: Sequence[str] | None = None, quantity: str = "infected share (%)"
) -> Figure:
    """Predicted against true severity, with the identity line and Spearman's rank correlation.

    Parameters
    ----------
    true, predicted
        Shape (N,), in percent; pairs with NaN are left out.
    labels
        Class or method of each value; sets colour and marker.
    quantity
        What is compared, for the axis labels.

    Raises
    ------
    ConfigError
        If the arrays differ in shape.
    """
    truth, guess = np.asarray(true, float), np.asarray(predicted, float)
    if truth.shape != guess.shape or truth.ndim != 1:
        raise ConfigError(f"true has shape {truth.shape}, predicted {guess.shape}; give two arrays of shape (N,)")
    kept = np.isfinite(truth) & np.isfinite(guess)
    names = np.asarray(labels if labels is not None else [""] * len(truth), dtype=object)[kept]
    truth, guess = truth[kept], guess[kept]
    figure = new_figure(height_mm=82, width_mm=SINGLE_COLUMN_MM)
    axes = figure.subplots()
    top = 1.05 * float(max([*truth, *guess, 1.0]))
    axes.plot([0, top], [0, top], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label="Identity", zorder=1)
    colours = class_colours(names) if labels is not None else {"": CYCLE[0]}
    for index, (name, colour) in enumerate(colours.items()):
        chosen, label = names == name, display_name(name) or None
        marker = MARKERS[index % len(MARKERS)]
        axes.scatter(
            truth[chosen], guess[chosen], s=13, color=colour, marker=marker, alpha=0.7, linewidths=0, label=label
        )
    defined = len(truth) > 2 and np.ptp(truth) > 0 and np.ptp(guess) > 0
    rho = f"{float(stats.spearmanr(truth, guess).statistic):.2f}" if defined else "undefined"
    error = f"{float(np.abs(truth - guess).mean()):.1f}" if len(truth) else "–"
    axes.set_title(f"Spearman ρ = {rho}, mean absolute error {error}, n = {len(truth)}")
    axes.set(
        xlim=(-0.02 * top, top), ylim=(-0.02 * top, top), xlabel=f"True {quantity}", ylabel=f"Predicted {quantity}"
    )
    axes.set_aspect("equal")
    axes.legend(loc="upper left")
    return figure


@styled
def follow_up_figure(days: AnyArray, severity: Mapping[str, Any], title: str = "") -> Figure:
    """Infected share over the days of one patient, for each lung (Tahir 2021, Fig. 5b).

    Parameters
    ----------
    days
        Shape (N,), in any order.
    severity
        Percent of shape (N,) for each of, say, ``overall``, ``right_lung``
        and ``left_lung``; NaN leaves a gap.
    title
        Patient or study, if wanted.

    Raises
    ------
    ConfigError
        If a severity does not have one value for each day.
    """
    when = np.asarray(days, float)
    order = np.argsort(when, kind="stable")
    figure = new_figure(height_mm=60, width_mm=SINGLE_COLUMN_MM)
    axes = figure.subplots()
    looks = {"overall": (BLACK, "o", "-"), "right_lung": (CYCLE[0], "s", "--"), "left_lung": (CYCLE[1], "^", ":")}
    names = {"overall": "Both lungs", "right_lung": "Right lung", "left_lung": "Left lung"}
    top = 1.0
    for index, (name, found) in enumerate(severity.items()):
        values = np.asarray(found, float)
        if values.shape != when.shape:
            raise ConfigError(f"severity of {name} has shape {values.shape}, days {when.shape}; give one value a day")
        colour, marker, line = looks.get(name, (CYCLE[(index + 2) % len(CYCLE)], "D", "-."))
        label = names.get(name, name)
        axes.plot(when[order], values[order], color=colour, marker=marker, markersize=4, linestyle=line, label=label)
        top = max(top, float(np.nanmax(values)) if np.isfinite(values).any() else 0.0)
    axes.set(xlabel="Day", ylabel="Infected share of the lung (%)", ylim=(0, 1.08 * top), title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, columnspacing=1.2)
    if title:
        axes.set_title(title, pad=18)
    return figure
