"""Figure of the probe: how well parts of the films tell source and label."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from patchcxr.report.style import (
    BLACK,
    BLUE,
    DOUBLE_COLUMN_MM,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    new_figure,
    styled,
)
from patchcxr.report.text import one_line

INPUT_LOOKS: Final = {
    "whole film": (BLACK, "o"),
    "frame only": (ORANGE, "s"),
    "background only": (VERMILION, "D"),
    "lungs only": (BLUE, "^"),
    "lung outline only": (GREEN, "v"),
}
"""Inputs differ in shape as well as in colour."""


@styled
def probe_figure(rows: pd.DataFrame) -> Figure:
    """Dots with intervals and strokes at chance, a line a question and set of films.

    Parameters
    ----------
    rows
        Of :func:`patchcxr.data.audit.probe.probe`, with numbers.
    """
    asked = list(rows.groupby(["target", "films_with"], sort=False))
    figure = new_figure(height_mm=22 + 12.5 * len(asked), width_mm=DOUBLE_COLUMN_MM)
    axes = figure.subplots()
    names = []
    for line, ((target, films_with), part) in enumerate(asked):
        first = part.iloc[0]
        classes = first["classes"].count(", ") + 1
        which = "films with lung masks" if films_with == "lung mask" else "all films"
        names.append(f"{one_line(target)}\n{which}: {first['films']}, {classes} classes")
        axes.plot([first["chance"]] * 2, [line - 0.4, line + 0.4], color=GREY, linewidth=2.2, solid_capstyle="butt")
        offsets = (np.arange(len(part)) - (len(part) - 1) / 2) * 0.17
        for offset, row in zip(offsets, part.itertuples(), strict=True):
            colour, marker = INPUT_LOOKS.get(row.input, (BLACK, "o"))
            axes.plot([row.low, row.high], [line + offset] * 2, color=colour, linewidth=1.1)
            axes.plot([row.balanced_accuracy], [line + offset], color=colour, marker=marker, markersize=4)
        if line:
            axes.axhline(line - 0.5, color="#E3E7EB", linewidth=0.6, zorder=0)
    axes.set(xlim=(-0.01, 1.01), ylim=(len(asked) - 0.45, -0.55), xlabel="Balanced accuracy")
    axes.set_yticks(range(len(asked)), names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E3E7EB", linewidth=0.6)
    axes.set_axisbelow(True)
    used = [name for name in INPUT_LOOKS if (rows["input"] == name).any()]
    keys = [
        Line2D([], [], color=INPUT_LOOKS[name][0], marker=INPUT_LOOKS[name][1], markersize=4, linewidth=1.1, label=name)
        for name in used
    ]
    keys.append(Line2D([], [], color=GREY, linewidth=2.2, label="chance"))
    figure.legend(handles=keys, loc="outside upper right", ncols=len(keys), columnspacing=1.2)
    return figure
