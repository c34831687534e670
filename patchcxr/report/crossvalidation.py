"""Curves and the table of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError
from patchcxr.measure.classification import auroc, average_precision, precision_recall_curve, roc_curve
from patchcxr.measure.counted import counted_auroc, counted_average_precision, counted_curve
from patchcxr.report.style import BLUE, GREY, SKY_BLUE, VERMILION, display_name, new_figure, panel_letter, styled
from patchcxr.report.tables import PaperTable, column_title, format_interval, format_mean_std, format_number
from patchcxr.types import AnyArray, FloatArray

CROWDED: Final = 0.95
"""Areas above which curves lie in the corner, and it is enlarged."""
CORNER: Final = 0.2
"""Part of each axis that is enlarged."""


class Curve(NamedTuple):
    """ROC and precision-recall curve, highest threshold first, with the areas; all NaN where a class is missing."""

    false_positive_rate: FloatArray
    sensitivity: FloatArray
    precision: FloatArray
    auroc: float
    average_precision: float
    prevalence: float


def curve_of_films(truth: AnyArray, score: FloatArray) -> Curve:
    """Curves of films, one point for each distinct score."""
    false_positive_rate, sensitivity, _ = roc_curve(truth, score)
    precision = precision_recall_curve(truth, score)[0][::-1]
    areas = auroc(truth, score), average_precision(truth, score)
    return Curve(false_positive_rate, sensitivity, precision, *areas, float(np.mean(truth)))


def curve_of_pixels(counts: AnyArray) -> Curve:
    """Curves of pixels from their counts (..., 2, bins); see :mod:`patchcxr.measure.counted`."""
    total = counts.reshape(-1, *counts.shape[-2:]).sum(axis=0)
    found = counted_curve(total)
    return Curve(
        np.concatenate([[0.0], found.false_positive_rate]),
        np.concatenate([[0.0], found.sensitivity]),
        np.concatenate([[1.0], found.precision]),
        float(counted_auroc(total)),
        float(counted_average_precision(total)),
        float(total[1].sum() / total.sum()),
    )


@styled
def fold_curves_figure(
    pooled: Curve,
    folds: Mapping[int, Curve],
    intervals: Mapping[str, tuple[float, float]] | None = None,
    point: Mapping[str, float] | None = None,
    point_name: str = "Rule of detection",
    title: str = "",
) -> Figure:
    """ROC and precision-recall curves over all folds, with a thin line for each fold (Degerli 2021, Fig. 6).

    Parameters
    ----------
    pooled
        Curve over all folds.
    folds
        Curve of each fold; those with one class only are left out, and counted in the legend.
    intervals
        ``auroc`` and ``average_precision`` as (low, high), over patients.
    point
        ``sensitivity``, ``specificity`` and ``precision`` of what was said, marked by a dot.
    point_name
        What the dot is called.
    title
        What is judged.

    Raises
    ------
    ConfigError
        If there is no fold.
    """
    if not folds:
        raise ConfigError("got no fold; give the curve of at least one")
    figure = new_figure(height_mm=108)
    axes = figure.subplots(1, 2)
    drawn = {fold: curve for fold, curve in folds.items() if not np.isnan(curve.auroc)}
    views = [axes]
    if pooled.auroc > CROWDED and pooled.average_precision > CROWDED:
        views.append([_corner(panel, right=index == 1) for index, panel in enumerate(axes)])
    for view in views:
        for curve in drawn.values():
            _draw(view, curve, color=SKY_BLUE, linewidth=0.6, alpha=0.9, zorder=2)
        _draw(view, pooled, color=BLUE, linewidth=1.6, zorder=3)
    reference: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1}
    axes[0].plot([0, 1], [0, 1], **reference)
    axes[1].axhline(pooled.prevalence, **reference)
    if point is not None and not np.isnan(point["precision"]):
        look: dict[str, Any] = {"color": VERMILION, "marker": "o", "markersize": 4, "linestyle": "none", "zorder": 4}
        for roc, recall in views:
            roc.plot(1 - point["specificity"], point["sensitivity"], **look)
            recall.plot(point["sensitivity"], point["precision"], **look)
    axes[0].set(xlabel="1 − specificity", ylabel="Sensitivity")
    axes[1].set(xlabel="Recall (sensitivity)", ylabel="Precision")
    heads = ("ROC: area under the curve (95 % CI)", "Precision-recall: average precision (95 % CI)")
    for index, (panel, head, name) in enumerate(zip(axes, heads, ("auroc", "average_precision"), strict=True)):
        panel.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.03))
        panel.set_aspect("equal")
        panel_letter(panel, index)
        each = [getattr(curve, name) for curve in drawn.values()]
        whole = format_interval(getattr(pooled, name), *(intervals or {}).get(name, (None, None)))
        lines = [
            (f"All folds: {whole}", {"color": BLUE, "linewidth": 1.6}),
            (_of_folds(each, len(folds)), {"color": SKY_BLUE, "linewidth": 0.8}),
            ("Chance" if index == 0 else f"Prevalence: {pooled.prevalence:.3f}", reference),
        ]
        if point is not None:
            lines.append((point_name, {"color": VERMILION, "marker": "o", "markersize": 4, "linestyle": ""}))
        handles = [panel.plot([], [], label=label, **look)[0] for label, look in lines]
        panel.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0, -0.16), title=head, alignment="left",
            borderaxespad=0, title_fontproperties={"size": 7.5, "weight": "bold"},
        )  # fmt: skip
    if title:
        figure.suptitle(title, fontsize=8)
    return figure


def _corner(axes: Axes, right: bool) -> Axes:
    """The upper corner of a panel, enlarged in its empty middle."""
    inset = axes.inset_axes((0.34, 0.34, 0.46, 0.46))
    low, high = (1 - CORNER, 1.005) if right else (-0.005, CORNER)
    inset.set(xlim=(low, high), ylim=(1 - CORNER, 1.005))
    inset.tick_params(labelsize=6.5)
    return inset


def _draw(axes: Sequence[Axes], curve: Curve, **look: Any) -> None:
    if np.isnan(curve.auroc):
        return
    axes[0].plot(curve.false_positive_rate, curve.sensitivity, **look)
    # The precision at a point holds for the recall gained there, which lies to its left.
    axes[1].step(curve.sensitivity, curve.precision, where="pre", **look)


def _of_folds(values: Sequence[float], folds: int) -> str:
    """Mean and standard deviation over folds for the legend."""
    if not values:
        return "Folds: undefined (one class only)"
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    left_out = f", {folds - len(values)} with one class only" if len(values) < folds else ""
    return f"{len(values)} folds: {format_mean_std(float(np.mean(values)), spread)} (SD){left_out}"


def half_width(value: float, high: float) -> str:
    """Half-width of a printed interval: as the papers write it, or with a power of ten where that would be 0.0000.

    >>> half_width(0.9, 0.9588), half_width(0.99, 0.9900065)
    ('± 0.0588', '± 6.5e-06')
    """
    r = high - value
    if np.isnan(r):
        return ""
    return f"± {r:.1e}" if 0 < r < 5e-5 else f"± {r:.4f}"


def pooled_table(pooled: pd.DataFrame, folds: int, missing: Sequence[int] = ()) -> PaperTable:
    """Every score over all folds with its intervals, from :func:`patchcxr.study.evaluate.pooled.pooled_scores`."""
    rows = pooled.to_dict("records")
    shown = pd.DataFrame(
        {
            "structure": [column_title(row["structure"]) for row in rows],
            "level": [row["level"] for row in rows],
            "score": [named(row["measure"]) for row in rows],
            "value": [format_number(float(row["value"]), 4) for row in rows],
            "eq. 13": [half_width(row["value"], row["eq13_high"]) for row in rows],
            "eq. 2": [half_width(row["value"], row["eq2_high"]) for row in rows],
            "Wilson or DeLong": [span(row["low"], row["high"]) for row in rows],
            "patients": [span(row["bootstrap_low"], row["bootstrap_high"]) for row in rows],
            "folds": [format_mean_std(row["fold_mean"], row["fold_sd"], 4) for row in rows],
        }
    )
    first = pooled.drop_duplicates("structure").to_dict("records")
    empty = "; ".join(
        f"{column_title(row['structure'])}: {row['films']} films of {row['patients']} patients, {row['empty_truth']} "
        f"with an empty true mask, {row['both_empty']} with an empty predicted mask too"
        for row in first
    )
    lost = f" Folds that failed and are not in it: {', '.join(map(str, missing))}." if missing else ""
    note = (
        f"{empty}. 95 % intervals: eq. 13 of Degerli 2021 with the N that its tables fit, eq. 2 of Tahir 2021 with "
        "N = films, both as printed; Wilson's (DeLong's for the AUROC of films); percentiles over resampled patients. "
        "At pixel level eq. 13 and Wilson take pixels as independent, which they are not: use the interval over "
        "patients. Films whose masks are both empty have no overlap and are left out of its mean, or count as 1. "
        f"Folds: mean ± standard deviation.{lost}"
    )
    return PaperTable(data=pooled, shown=shown, caption=f"Cross-validation, {folds} folds by patient.", note=note)


def named(measure: str) -> str:
    """How a score is written in a table."""
    return display_name(measure.removesuffix("_empty_as_1")) + (
        ", empty as 1" if measure.endswith("_empty_as_1") else ""
    )


def span(low: float, high: float, digits: int = 4) -> str:
    """An interval for a table; empty where there is none."""
    return "" if np.isnan(low) else f"{format_number(float(low), digits)} to {format_number(float(high), digits)}"
