"""Figures of detectors and trainings: ROC and precision-recall curves, confusion matrices, histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from patchcxr.errors import ConfigError
from patchcxr.measure.classification import auroc, average_precision, precision_recall_curve, roc_curve
from patchcxr.report.style import (
    BLACK,
    CYCLE,
    DOUBLE_COLUMN_MM,
    GREY,
    SINGLE_COLUMN_MM,
    display_name,
    new_figure,
    panel_letter,
    styled,
)
from patchcxr.report.tables import format_interval
from patchcxr.types import AnyArray

LINES = ("-", "--", "-.", ":")
Interval = tuple[float, float]


@styled
def roc_pr_figure(
    curves: Mapping[str, Mapping[str, AnyArray]],
    intervals: Mapping[str, Mapping[str, Interval]] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Figure:
    """ROC and precision-recall curves side by side (Degerli 2021, Fig. 6 and 7).

    Parameters
    ----------
    curves
        For each detector, ``truth`` (0 or 1) and ``score`` of shape (N,).
    intervals
        For each detector, ``auroc`` and ``average_precision`` as (low, high);
        those given are written into the legend.
    thresholds
        For each detector, the score at or above which it says positive
        (``score >= threshold``); a dot marks that operating point.

    Returns
    -------
    Figure
        The chance line is dashed grey; so is the prevalence in the
        precision-recall panel, once for each prevalence among the detectors.
        A detector with one class only appears in the legend as undefined.

    Raises
    ------
    ConfigError
        If there is no detector, or truth and score differ in shape.
    """
    if not curves:
        raise ConfigError("got no curves; give at least one detector with its truth and score")
    figure = new_figure(height_mm=90 + 4.0 * len(curves))
    roc, recall_axes = figure.subplots(1, 2)
    prevalences: set[float] = set()
    for index, (name, curve) in enumerate(curves.items()):
        truth, score = np.asarray(curve["truth"]).astype(bool), np.asarray(curve["score"], float)
        if truth.shape != score.shape or truth.ndim != 1:
            raise ConfigError(f"{name}: truth has shape {truth.shape}, score {score.shape}; give two of shape (N,)")
        look: dict[str, Any] = {"color": CYCLE[index % len(CYCLE)], "linestyle": LINES[index % len(LINES)]}
        bounds = (intervals or {}).get(name, {})
        area = format_interval(auroc(truth, score), *bounds.get("auroc", (None, None)))
        mean_precision = format_interval(
            average_precision(truth, score), *bounds.get("average_precision", (None, None))
        )
        if truth.all() or not truth.any():
            roc.plot([], [], label=f"{name}: undefined (one class only)", **look)
            recall_axes.plot([], [], label=f"{name}: undefined (one class only)", **look)
            continue
        false_positive_rate, true_positive_rate = roc_curve(truth, score)[:2]
        roc.plot(false_positive_rate, true_positive_rate, label=f"{name}: {area}", **look)
        precision, recall = precision_recall_curve(truth, score)[:2]
        recall_axes.step(recall, precision, where="post", label=f"{name}: {mean_precision}", **look)
        prevalences.add(round(float(truth.mean()), 4))
        if thresholds and name in thresholds:
            _mark_operating_point(roc, recall_axes, truth, score >= thresholds[name], look["color"])
    reference: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1}
    roc.plot([0, 1], [0, 1], label="Chance", **reference)
    for index, prevalence in enumerate(sorted(prevalences)):
        recall_axes.axhline(prevalence, label=None if index else "Prevalence", **reference)
    roc.set(xlabel="1 − specificity", ylabel="Sensitivity")
    recall_axes.set(xlabel="Recall (sensitivity)", ylabel="Precision")
    titles = ("ROC: area under the curve", "Precision-recall: average precision")
    for index, (axes, title) in enumerate(zip((roc, recall_axes), titles, strict=True)):
        axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.03))
        axes.set_aspect("equal")
        panel_letter(axes, index)
        interval = " (95 % CI)" if intervals else ""
        axes.legend(
            loc="upper left", bbox_to_anchor=(0, -0.16), title=title + interval, alignment="left", borderaxespad=0,
            title_fontproperties={"size": 7.5, "weight": "bold"},
        )  # fmt: skip
    return figure


def _mark_operating_point(roc: Axes, recall_axes: Axes, truth: AnyArray, positive: AnyArray, colour: str) -> None:
    """Put a dot on both panels at the given decisions."""
    sensitivity = float(positive[truth].mean())
    look: dict[str, Any] = {
        "marker": "o",
        "markersize": 5,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "zorder": 5,
    }
    roc.plot(float(positive[~truth].mean()), sensitivity, linestyle="none", gid="operating point", **look)
    if positive.any():
        recall_axes.plot(sensitivity, float(truth[positive].mean()), linestyle="none", gid="operating point", **look)


@styled
def decision_curve_figure(curves: Mapping[str, pd.DataFrame], highest: float = 1.0) -> Figure:
    """Net benefit over threshold probabilities for each detector (Vickers & Elkin 2006).

    Parameters
    ----------
    curves
        For each detector what :func:`~patchcxr.stats.operating.decision_curve` returns; all from the same films.
    highest
        Largest threshold probability that is drawn.

    Returns
    -------
    Figure
        Treating every film as positive is dashed grey, treating none the line at 0. The axis ends a little below 0:
        how harmful a detector is there does not matter.

    Raises
    ------
    ConfigError
        If there is no curve, a column is missing, or the curves differ in their share of positive films.
    """
    if not curves:
        raise ConfigError("got no decision curve; give at least one detector")
    for name, curve in curves.items():
        missing = [c for c in ("threshold", "net_benefit", "treat_all") if c not in curve.columns]
        if missing:
            raise ConfigError(
                f"{name}: the curve has no column {', '.join(missing)}; pass what stats.operating.decision_curve gives"
            )
    first = next(iter(curves.values()))
    shares = {round(float(_prevalence(curve)), 6) for curve in curves.values()}
    if len(shares) > 1:
        raise ConfigError(
            f"the curves come from films with different shares of positives {sorted(shares)}; use the same"
        )
    figure = new_figure(height_mm=76 + 3.4 * len(curves), width_mm=SINGLE_COLUMN_MM)
    axes = figure.subplots()
    top = float(_prevalence(first))
    for index, (name, curve) in enumerate(curves.items()):
        shown = curve[curve["threshold"] <= highest]
        axes.plot(
            shown["threshold"], shown["net_benefit"], color=CYCLE[index % len(CYCLE)], label=name, gid=f"curve:{name}",
            linestyle=LINES[index % len(LINES)],
        )  # fmt: skip
        top = max(top, float(shown["net_benefit"].max()))
    reference: dict[str, Any] = {"linewidth": 0.8, "zorder": 1}
    axes.plot(
        first["threshold"], first["treat_all"], color=GREY, linestyle=(0, (4, 3)), label="All positive", **reference
    )
    axes.axhline(0, color=BLACK, label="None positive", **reference)
    axes.set(xlabel="Threshold probability", ylabel="Net benefit", xlim=(0, highest), ylim=(-0.12 * top, 1.08 * top))
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.19), borderaxespad=0, ncols=2, columnspacing=1.2)
    return figure


def _prevalence(curve: pd.DataFrame) -> float:
    """Share of positive films, from the net benefit of calling all positive."""
    row = curve.iloc[0]
    odds = row["threshold"] / (1 - row["threshold"])
    return float((row["treat_all"] + odds) / (1 + odds))


@styled
def confusion_figure(matrices: Mapping[str, AnyArray], classes: Sequence[str]) -> Figure:
    """Confusion matrices with counts and row percentages on one shared scale (Oh 2020, Fig. 6).

    Parameters
    ----------
    matrices
        For each method, counts of shape (C, C), rows are the truth.
    classes
        The C class names.

    Raises
    ------
    ConfigError
        If there is no matrix, or one is not of shape (C, C).
    """
    if not matrices:
        raise ConfigError("got no confusion matrix; give at least one")
    count = len(classes)
    columns = min(len(matrices), 2)
    rows = -(-len(matrices) // columns)
    names = [display_name(name) for name in classes]
    turned = max(map(len, names)) * count > 40
    panel = min(max(14.0 * count, 36.0), 58.0)
    width = min(DOUBLE_COLUMN_MM, 1.6 * max(map(len, names)) + columns * (panel + 8.0) + 22.0)
    figure = new_figure(height_mm=rows * (panel + (25.0 if turned else 18.0)), width_mm=width)
    grid = figure.subplots(rows, columns, squeeze=False)
    image = None
    for index, axes in enumerate(grid.flat):
        if index >= len(matrices):
            axes.set_visible(False)
            continue
        title, counts = list(matrices)[index], np.asarray(list(matrices.values())[index])
        if counts.shape != (count, count):
            raise ConfigError(
                f"the confusion matrix of {title} has shape {counts.shape}; "
                f"expected {(count, count)}, a row for each class"
            )
        totals = counts.sum(axis=1, keepdims=True)
        share = np.where(totals > 0, 100.0 * counts / np.maximum(totals, 1), np.nan)
        image = axes.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=100)
        for row, column in np.ndindex(count, count):
            percent = "–" if np.isnan(share[row, column]) else f"{share[row, column]:.1f} %"
            colour = "white" if np.nan_to_num(share[row, column]) > 55 else "black"
            weight = "bold" if row == column else "normal"
            cell: dict[str, Any] = {"ha": "center", "color": colour, "xycoords": "data", "textcoords": "offset points"}
            axes.annotate(
                f"{int(counts[row, column])}", (column, row), xytext=(0, 0.5), va="bottom", fontweight=weight, **cell
            )
            axes.annotate(percent, (column, row), xytext=(0, -1), va="top", fontsize=6.5, **cell)
        axes.set_xticks(range(count), names)
        axes.set_yticks(range(count), names if index % columns == 0 else [""] * count)
        if turned:
            axes.tick_params(axis="x", rotation=30)
            for label in axes.get_xticklabels():
                label.set(horizontalalignment="right", rotation_mode="anchor")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_title(title)
        axes.set_xlabel("Predicted class")
        if index % columns == 0:
            axes.set_ylabel("True class")
        if len(matrices) > 1:
            panel_letter(axes, index)
    if image is not None:
        bar = figure.colorbar(image, ax=grid, fraction=0.05, aspect=26, pad=0.02, ticks=[0, 25, 50, 75, 100])
        bar.set_label("Share of the true class (%)")
        bar.outline.set_visible(False)
    return figure


@styled
def training_curves(history: Mapping[str, Sequence[float]], best_epoch: int | None = None, title: str = "") -> Figure:
    """Loss (left) and scores (right) of each epoch (Oh 2020, Fig. 10).

    Parameters
    ----------
    history
        Values by epoch for each quantity. Names that contain ``loss`` go to
        the left; ``epoch`` gives the x values; learning rates and times
        (``lr``, ``learning_rate``, ``seconds``) are left out; all others go to
        the right. Names with ``train`` are dashed.
    best_epoch
        Marked by a vertical line, where given.
    title
        What was trained.

    Raises
    ------
    ConfigError
        If nothing is left to draw.
    """
    skipped = ("epoch", "lr", "learning_rate", "seconds")
    losses = {name: values for name, values in history.items() if "loss" in name}
    scores = {name: values for name, values in history.items() if name not in losses and name not in skipped}
    panels = [(label, part) for label, part in (("Loss", losses), ("Score", scores)) if part]
    if not panels:
        raise ConfigError(f"the history has only {', '.join(history) or 'nothing'}; expected losses or scores by epoch")
    width = DOUBLE_COLUMN_MM if len(panels) == 2 else SINGLE_COLUMN_MM
    figure = new_figure(height_mm=62, width_mm=width)
    for index, (label, part) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        tails = sorted({name.removeprefix("train_").removeprefix("validation_").removeprefix("val_") for name in part})
        for name, values in part.items():
            tail = name.removeprefix("train_").removeprefix("validation_").removeprefix("val_")
            training = "train" in name
            colour = CYCLE[tails.index(tail) % len(CYCLE)]
            epochs = history.get("epoch", range(1, len(values) + 1))
            axes.plot(
                epochs, values, color=colour, linestyle="--" if training else "-", label=name.replace("_", " "),
                marker="o" if len(values) < 8 else None, markersize=3,
            )  # fmt: skip
        if best_epoch is not None:
            axes.axvline(best_epoch, color=GREY, linewidth=0.8, linestyle=":", label=f"best epoch ({best_epoch})")
        axes.set(xlabel="Epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if label == "Loss":
            axes.set_ylim(bottom=0)
        axes.legend(loc="best", frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)
        if len(panels) > 1:
            panel_letter(axes, index)
    if title:
        figure.suptitle(title, fontsize=8)
    return figure
