"""Figure of the grey levels of lungs and heart by group, before and after normalisation (Oh 2020, Fig. 11)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError
from patchcxr.report.statistics import require_columns
from patchcxr.report.style import (
    BLACK,
    CYCLE,
    ORGAN_COLOURS,
    display_name,
    jitter,
    new_figure,
    panel_letter,
    styled,
)

_STRUCTURES = ("lungs", "heart")


@styled
def intensity_figure(
    values: pd.DataFrame, histograms: pd.DataFrame, by: str = "source", order: Sequence[str] | None = None
) -> Figure:
    """Mean grey level of lungs and heart by group (above), and mean histogram of the films (below).

    The left column shows the films as they were read, the right one after
    normalisation, on the same axes.

    Parameters
    ----------
    values, histograms
        As :func:`patchcxr.study.evaluate.intensity.intensity_by_anatomy` gives them.
    by
        Column of ``values`` that names the group.
    order
        Groups from left to right; by name when None.

    Raises
    ------
    ConfigError
        If a column is missing, or no film has a group.
    """
    require_columns(values, ["study", "structure", "stage", "mean", by], "the table of intensities")
    require_columns(histograms, ["study", "stage"], "the table of histograms")
    groups = list(order) if order is not None else sorted(values[by].dropna().unique())
    if not groups:
        raise ConfigError(f"no film of the table of intensities has a {by}; fill the column in, or group by another")
    stages = list(dict.fromkeys(values["stage"]))
    figure = new_figure(height_mm=118)
    grid = figure.subplots(2, len(stages), squeeze=False, sharey="row")
    colours = {name: CYCLE[i % len(CYCLE)] for i, name in enumerate(groups)}
    group_of = values.drop_duplicates("study").set_index("study")[by]
    for column, stage in enumerate(stages):
        _draw_means(grid[0, column], values[values["stage"] == stage], by, groups)
        films = histograms[histograms["stage"] == stage]
        _draw_histograms(grid[1, column], films, films["study"].map(group_of), colours)
        grid[0, column].set_title(f"{stage.capitalize()} films")
    for index, axes in enumerate(grid.flat):
        panel_letter(axes, index)
    grid[0, 0].set_ylabel("Mean grey level")
    grid[1, 0].set_ylabel("Share of pixels (%)")
    structures = [name for name in _STRUCTURES if (values["structure"] == name).any()]
    for name in structures:
        grid[0, 0].scatter([], [], s=16, color=ORGAN_COLOURS[name], label=display_name(name))
    grid[0, 0].legend(loc="upper left", ncols=2, handletextpad=0.2)
    grid[1, -1].legend(loc="upper center", ncols=2)
    return figure


def _draw_means(axes: Axes, values: pd.DataFrame, by: str, groups: Sequence[str]) -> None:
    """Every film's mean, and mean with one standard deviation beside them, for each organ."""
    for position, group in enumerate(groups):
        for shift, structure in zip((-0.18, 0.18), _STRUCTURES, strict=True):
            chosen = (values[by] == group) & (values["structure"] == structure)
            found = values.loc[chosen, "mean"].to_numpy(float)
            if not len(found):
                continue
            at = position + shift
            offsets = at + np.asarray(jitter(len(found), f"{group}-{structure}", 0.12))
            axes.scatter(offsets, found, s=4, color=ORGAN_COLOURS[structure], alpha=0.35, linewidths=0)
            spread = float(found.std(ddof=1)) if len(found) > 1 else None
            axes.errorbar(
                at, float(found.mean()), yerr=spread, fmt="o", markersize=3.5, capsize=2.5, linewidth=1,
                color=BLACK, zorder=4,
            )  # fmt: skip
    counts = [values.loc[values[by] == group, "study"].nunique() for group in groups]
    labels = [f"{display_name(group)}\n(n = {count})" for group, count in zip(groups, counts, strict=True)]
    axes.set_xticks(range(len(groups)), labels)
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(-0.6, len(groups) - 0.4), ylim=(0, 1.2))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])


def _draw_histograms(axes: Axes, films: pd.DataFrame, group_of: pd.Series, colours: dict[str, str]) -> None:
    bins = [name for name in films.columns if name.startswith("bin_")]
    centres = (np.arange(len(bins)) + 0.5) / max(len(bins), 1)
    for name, colour in colours.items():
        part = films.loc[(group_of == name).to_numpy(), bins]
        if len(part):
            share = 100 * part.mean(axis=0).to_numpy()
            axes.plot(centres, share, color=colour, linewidth=1.2, label=display_name(name))
    axes.set(xlim=(0, 1), xlabel="Grey level")
    axes.set_ylim(bottom=0)
