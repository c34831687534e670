"""Bland-Altman plot: how far two measurements of the same films lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError
from patchcxr.report.groups import MARKERS
from patchcxr.report.style import (
    BLACK,
    CYCLE,
    GREY,
    VERMILION,
    class_colours,
    display_name,
    new_figure,
    styled,
)
from patchcxr.types import AnyArray, FloatArray

LINES = ("bias", "lower", "upper")


@styled
def bland_altman_figure(
    a: FloatArray,
    b: FloatArray,
    agreement: Mapping[str, Any],
    labels: Sequence[str] | AnyArray | None = None,
    names: tuple[str, str] = ("a", "b"),
    quantity: str = "",
) -> Figure:
    """Difference of two measurements against their mean, with bias and limits of agreement (Bland & Altman 1986).

    Parameters
    ----------
    a, b
        Measurements of the same films (N,), such as a predicted and a reader's cardiothoracic ratio; pairs with NaN
        or infinity are left out and counted below the figure.
    agreement
        ``bias``, ``lower`` and ``upper`` (limits of agreement) of a - b, each with ``_low`` and ``_high`` where its
        interval is known: a row of what :func:`patchcxr.stats.reliability.bland_altman` returns. The numbers are drawn
        as they are given, so the text and the figure cannot differ.
    labels
        Class of each film (N,); sets colour and marker.
    names
        What ``a`` and ``b`` are.
    quantity
        What is measured, with its unit.

    Raises
    ------
    ConfigError
        If the arrays differ in shape, no pair is left, or ``agreement`` lacks a line.
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape or first.ndim != 1:
        raise ConfigError(f"a has shape {first.shape}, b {second.shape}; give two arrays of shape (N,)")
    missing = [line for line in LINES if line not in agreement]
    if missing:
        raise ConfigError(f"agreement has no {', '.join(missing)}; pass a row of stats.reliability.bland_altman")
    kept = np.isfinite(first) & np.isfinite(second)
    if not kept.any():
        raise ConfigError(f"none of {kept.size} pairs has two finite values; nothing can be drawn")
    middle, difference = ((first + second) / 2)[kept], (first - second)[kept]
    figure = new_figure(height_mm=76, width_mm=112)
    axes = figure.subplots()
    of = np.asarray(labels if labels is not None else [""] * kept.size, dtype=object)[kept]
    colours = class_colours(of) if labels is not None else {"": CYCLE[0]}
    for index, (name, colour) in enumerate(colours.items()):
        axes.scatter(
            middle[of == name], difference[of == name], s=14, color=colour, marker=MARKERS[index % len(MARKERS)],
            alpha=0.7, linewidths=0, label=display_name(name) or None, gid=f"values:{name}",
        )  # fmt: skip
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    for line in LINES:
        _draw_line(axes, agreement, line)
    of_what = f" of {quantity}" if quantity else ""
    axes.set(xlabel=f"Mean{of_what}", ylabel=f"Difference, {names[0]} − {names[1]}")
    left = kept.size - int(kept.sum())
    axes.set_title(f"n = {int(kept.sum())}" + (f" ({left} left out: no two values)" if left else ""))
    if labels is not None:
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=4, borderaxespad=0, handletextpad=0.2)
    return figure


def _draw_line(axes: Axes, agreement: Mapping[str, Any], line: str) -> None:
    """One horizontal line with its interval as a band, and its value at the right margin."""
    value = float(agreement[line])
    if not np.isfinite(value):
        return
    mean = line == "bias"
    low, high = (float(agreement.get(f"{line}_{end}", np.nan)) for end in ("low", "high"))
    if np.isfinite([low, high]).all():
        axes.axhspan(low, high, color=BLACK if mean else VERMILION, alpha=0.10, linewidth=0, zorder=0)
    axes.axhline(
        value, color=BLACK if mean else VERMILION, linewidth=1.1, linestyle="-" if mean else (0, (5, 3)), gid=line
    )
    text = "Bias" if mean else f"{'Lower' if line == 'lower' else 'Upper'} limit"
    axes.annotate(
        f"{text}\n{value:+.3f}".replace("-", "−"), (1.0, value), xycoords=("axes fraction", "data"), xytext=(4, 0),
        textcoords="offset points", va="center", fontsize=7,
    )  # fmt: skip
