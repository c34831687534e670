"""Two measurements of the same films, joined film by film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError
from patchcxr.report.groups import DRAWN, require_columns
from patchcxr.report.style import BLACK, BLUE, GREY, SINGLE_COLUMN_MM, VERMILION, jitter, new_figure, styled

COLOURS: Final = (VERMILION, BLUE)
MARKERS: Final = ("s", "o")


@styled
def paired_figure(
    table: pd.DataFrame,
    names: Mapping[str, str],
    ylabel: str,
    title: str = "",
    reference: tuple[float, str] | None = None,
) -> Figure:
    """Draw two values of each film, the line between them, and a box with the median of either.

    Parameters
    ----------
    table
        One row a film; films that lack a value are left out. Beyond
        :data:`~patchcxr.report.groups.DRAWN` films as many of them, evenly over
        the ranks of their difference, are drawn; boxes are of all films.
    names
        The two columns, from left to right, with the names to be written.
    ylabel
        What the values are; they lie in [0, 1].
    title
        Above the figure, such as the test.
    reference
        A value and its name, drawn as a dashed line.

    Raises
    ------
    ConfigError
        If there are not two columns, one is missing, or no film has both.
    """
    columns = list(names)
    require_columns(table, columns, "the table of pairs")
    both = table[columns].dropna()
    if len(columns) != 2 or both.empty:
        raise ConfigError(f"got {len(columns)} columns and {len(both)} films with all of them; expected two and some")
    order = (both[columns[0]] - both[columns[1]]).to_numpy().argsort(kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, min(len(order), DRAWN)).round().astype(int))
    drawn = both.to_numpy(float)[order[places]]
    figure = new_figure(height_mm=74, width_mm=SINGLE_COLUMN_MM)
    axes = figure.subplots()
    inner = 0.22 + np.asarray(jitter(len(drawn), "pairs", 0.06))
    x = np.column_stack([inner, 1 - inner])
    axes.plot(x.T, drawn.T, color=GREY, linewidth=0.4, alpha=0.45, zorder=1)
    for side, name in enumerate(columns):
        look: dict[str, Any] = {"color": COLOURS[side], "marker": MARKERS[side], "s": 8, "linewidths": 0, "alpha": 0.7}
        axes.scatter(x[:, side], drawn[:, side], zorder=2, gid=f"values:{name}", **look)
        values = both[name].to_numpy(float)
        axes.boxplot(
            values, positions=[float(side)], widths=0.2, showfliers=False, manage_ticks=False, zorder=3,
            boxprops={"color": BLACK, "linewidth": 0.7}, whiskerprops={"linewidth": 0.7}, capprops={"linewidth": 0.7},
            medianprops={"color": COLOURS[side], "linewidth": 2},
        )  # fmt: skip
        median = float(np.median(values))
        axes.annotate(
            f"{median:.2f}", (side + (-0.12 if side == 0 else 0.12), median), (-2 if side == 0 else 2, 0),
            textcoords="offset points", ha="right" if side == 0 else "left", va="center", fontsize=7, fontweight="bold",
        )  # fmt: skip
    if reference is not None:
        axes.axhline(reference[0], color=BLACK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            reference[1], (0.5, reference[0]), (0, 1.5), textcoords="offset points", ha="center", va="bottom",
            fontsize=7, bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axes.set_xticks([0, 1], [names[name].replace(" ", "\n", 1) for name in columns])
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(-0.42, 1.42), ylim=(-0.02, 1.02), ylabel=ylabel)
    axes.set_title(title)
    return figure
