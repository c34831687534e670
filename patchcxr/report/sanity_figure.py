"""The figure of the sanity checks: similarity along the cascade, agreement between draws, and example maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError
from patchcxr.report.films import draw_film, shorten
from patchcxr.report.map_scale import Scale
from patchcxr.report.style import (
    BLUE,
    DOUBLE_COLUMN_MM,
    GREEN,
    GREY,
    VERMILION,
    film_axes,
    new_figure,
    panel_letter,
    styled,
)
from patchcxr.types import FloatArray

MEASURES: Final = {
    "spearman": ("Rank correlation", BLUE, "o"),
    "ssim": ("SSIM", VERMILION, "s"),
    "top_overlap": ("Overlap of the top 10 %", GREEN, "^"),
}
CHANCE: Final = 0.1
"""Overlap of the top tenths of two maps that have nothing to do with each other."""

OTHER: Final = "random labels"
"""The step that is another network: one trained on permuted labels."""

Example = tuple[str, FloatArray, dict[str, FloatArray]]


@styled
def sanity_figure(cascade: pd.DataFrame, agreement: pd.DataFrame, examples: Sequence[Example], target: str) -> Figure:
    """Draw (a) the cascade, (b) the agreement between draws where it was checked, and (c) maps along the cascade.

    Parameters
    ----------
    cascade
        step, measure, mean, low, high, in the order of the steps; ``original``
        is the map itself.
    agreement
        patches, measure, mean, low, high; may be empty.
    examples
        Name, film and maps by step; all of one shape a film.
    target
        Class of the maps, as it is written.

    Raises
    ------
    ConfigError
        If the cascade is empty.
    """
    if cascade.empty:
        raise ConfigError("got no steps of a cascade; check at least one film")
    steps = list(dict.fromkeys(cascade["step"]))
    columns = len(steps) + 1
    cell = (DOUBLE_COLUMN_MM - 8) / columns
    figure = new_figure(height_mm=62 + len(examples) * (cell + 1) + (14 if examples else 0))
    parts = figure.subfigures(2 if examples else 1, 1, height_ratios=_heights(cell, len(examples)), squeeze=False)
    axes = parts[0, 0].subplots(
        1, 2 if len(agreement) else 1, squeeze=False, width_ratios=[2, 1][: 1 + bool(len(agreement))]
    )
    _draw_cascade(axes[0, 0], cascade, steps, target)
    if len(agreement):
        _draw_agreement(axes[0, 1], agreement)
        for index, found in enumerate(axes[0]):
            panel_letter(found, index)
    if examples:
        _draw_examples(parts[1, 0], examples, steps, 2 if len(agreement) else 1)
    return figure


def _heights(cell: float, examples: int) -> list[float]:
    return [62.0, examples * (cell + 1) + 14.0][: 2 if examples else 1]


def _draw_cascade(axes: Axes, cascade: pd.DataFrame, steps: Sequence[str], target: str) -> None:
    joined = [step for step in steps if step != OTHER]  # another network is no step of the cascade
    places = np.array([index + (0.5 if step == OTHER else 0) for index, step in enumerate(steps)])
    for number, (measure, (label, colour, marker)) in enumerate(MEASURES.items()):
        found = cascade[cascade["measure"] == measure].set_index("step").loc[list(steps)]
        x = places + 0.08 * (number - 1)
        axes.plot(x[: len(joined)], found["mean"].iloc[: len(joined)], color=colour)
        bars = np.array([found["mean"] - found["low"], found["high"] - found["mean"]])
        axes.errorbar(
            x, found["mean"], bars, color=colour, marker=marker, markersize=3.5, capsize=2, linestyle="", label=label
        )
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.axhline(CHANCE, color=GREEN, linewidth=0.6, linestyle=":")
    axes.set_xticks(places, [step.rpartition("trunk.")[2] for step in steps], rotation=35, ha="right")
    axes.set_ylim(min(-0.1, cascade["low"].min() - 0.05), 1.32)
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    axes.set_ylabel("Similarity to the original map")
    axes.set_xlabel("Randomised from the head down to")
    axes.set_title(f"Parameter randomisation, {target}")
    axes.legend(loc="upper center", ncols=3, columnspacing=1.2)


def _draw_agreement(axes: Axes, agreement: pd.DataFrame) -> None:
    bars = np.array([agreement["mean"] - agreement["low"], agreement["high"] - agreement["mean"]])
    axes.errorbar(agreement["patches"], agreement["mean"], bars, color=BLUE, marker="o", markersize=3.5, capsize=2)
    axes.set_ylim(min(0.0, agreement["low"].min() - 0.05), 1.05)
    axes.set_xlim(0, None)
    axes.set_xticks(agreement["patches"])
    axes.set_xlabel("Patches a film")
    axes.set_ylabel("Rank correlation of two draws")
    axes.set_title("Agreement between draws")


def _draw_examples(part: Figure, examples: Sequence[Example], steps: Sequence[str], letter: int) -> None:
    grid = part.subplots(len(examples), len(steps) + 1, squeeze=False)
    for row, (name, film, maps) in enumerate(examples):
        draw_film(grid[row, 0], film)
        grid[row, 0].set_ylabel(shorten(name, 14), fontsize=6.5)
        for column, step in enumerate(steps, start=1):
            values = np.nan_to_num(maps[step])
            scale = Scale("", float(values.max()) or 1.0)
            grid[row, column].imshow(scale.paint(film, values), interpolation="antialiased")
            film_axes(grid[row, column])
    for column, title in enumerate(["film", *(step.rpartition("trunk.")[2] for step in steps)]):
        grid[0, column].set_title(title, fontsize=7, loc="center", pad=2)
    panel_letter(grid[0, 0], letter)
    part.supxlabel("Jet, from 0 to the largest value of each map", fontsize=7)
