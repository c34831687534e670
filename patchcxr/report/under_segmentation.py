"""Under-segmented lungs by class, beside what Oh 2020 counted by eye (section V)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from patchcxr.errors import ConfigError
from patchcxr.report.films import check_film, check_mask, draw_contour, draw_film, shorten, thin
from patchcxr.report.style import (
    BLACK,
    DOUBLE_COLUMN_MM,
    GREY,
    ORGAN_COLOURS,
    class_colours,
    display_name,
    new_figure,
    panel_letter,
    styled,
)
from patchcxr.stats.intervals import wilson_interval
from patchcxr.types import AnyArray, BoolArray

OH_COUNTS: Final = {
    "normal": (0, 191),
    "tuberculosis": (2, 57),
    "bacterial": (7, 54),
    "viral": (5, 200),
    "covid19": (5, 200),
}
"""Under-segmented films and all films of Oh 2020, section V; viral pneumonia and COVID-19 were counted together."""

ROW_MM: Final = 9.0
OFFSET: Final = 0.18
EXAMPLES: Final = 5


class Example(NamedTuple):
    """A film to show: pixels in [0, 1] or uint8, the mask of both lungs, both (H, W), and its title."""

    image: AnyArray
    lungs: BoolArray
    title: str


@styled
def under_segmentation_figure(counts: pd.DataFrame, examples: Sequence[Example] = ()) -> Figure:
    """Draw the share of under-segmented films of each class with its 95 % interval (Wilson).

    Parameters
    ----------
    counts
        One row a class, drawn from top to bottom: ``label``, ``films``, ``under_segmented``, ``share``, ``share_low``
        and ``share_high``, as :func:`patchcxr.study.evaluate.anatomy.under_segmentation` gives it.
    examples
        Films to show beside, with the outline of the lungs that were found; the first five.

    Returns
    -------
    Figure
        Filled marks are the counts, with the films at the right; hollow ones are Oh's, where the paper has the class.

    Raises
    ------
    ConfigError
        If there is no row, or a column is missing.
    ImageError, MaskError
        If a film or mask of an example is not (H, W), or they do not fit.
    """
    columns = ("label", "films", "under_segmented", "share", "share_low", "share_high")
    absent = [name for name in columns if name not in counts]
    if absent or counts.empty:
        raise ConfigError(
            f"the counts have {len(counts)} rows and lack {', '.join(absent) or 'no column'}; expected a row a class "
            f"with {', '.join(columns)}"
        )
    examples = examples[:EXAMPLES]
    film_mm = DOUBLE_COLUMN_MM / EXAMPLES if examples else 0.0
    chart_mm = ROW_MM * len(counts) + 12
    figure = new_figure(height_mm=chart_mm + film_mm + (18 if examples else 10))
    grid = figure.add_gridspec(
        2 if examples else 1, EXAMPLES, height_ratios=[chart_mm, film_mm + 4] if examples else None
    )
    axes = figure.add_subplot(grid[0, :])
    _draw_counts(axes, counts)
    for index, example in enumerate(examples):
        _draw_example(figure.add_subplot(grid[1, index]), example)
    if examples:
        panel_letter(axes, 0)
        panel_letter(figure.axes[1], 1)
    return figure


def _draw_counts(axes: Axes, counts: pd.DataFrame) -> None:
    colours = class_colours(counts["label"].astype(str))
    right = 100 * float(max(counts["share_high"].max(), 0.25))
    published = False
    for row, record in enumerate(counts.to_dict("records")):
        label = str(record["label"])
        share, low, high = (100 * float(record[name]) for name in ("share", "share_low", "share_high"))
        paper = OH_COUNTS.get(label)
        at = row - OFFSET if paper else row
        axes.plot([low, high], [at, at], color=colours[label], linewidth=1.4, solid_capstyle="butt", gid="interval")
        axes.plot(share, at, marker="o", markersize=5.5, color=colours[label], linestyle="none", clip_on=False,
                  gid="share")  # fmt: skip
        _write(axes, at, f"{record['under_segmented']:.0f} of {record['films']:.0f}", BLACK)
        if paper:
            published = True
            ends = wilson_interval(*paper)
            below = row + OFFSET
            axes.plot([100 * end for end in ends], [below, below], color=GREY, linewidth=0.8, gid="published_interval")
            axes.plot(100 * paper[0] / paper[1], below, marker="o", markersize=5, color=GREY, markerfacecolor="white",
                      linestyle="none", clip_on=False, gid="published")  # fmt: skip
            _write(axes, below, f"{paper[0]} of {paper[1]}", GREY)
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.set_xlim(0, min(1.04 * right, 100))
    axes.set_yticks(range(len(counts)), [display_name(str(name)) for name in counts["label"]])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Under-segmented films (%), with 95 % CI")
    keys = [Line2D([], [], marker="o", linestyle="none", color=BLACK, markersize=5.5, label="Measured here")]
    if published:
        text = "Oh 2020, by eye"
        if {"viral", "covid19"} & set(counts["label"]):
            text += " (viral and COVID-19 together)"
        keys.append(Line2D([], [], marker="o", linestyle="none", color=GREY, markerfacecolor="white", markersize=5,
                           label=text))  # fmt: skip
    axes.legend(handles=keys, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)


def _write(axes: Axes, row: float, text: str, colour: str) -> None:
    axes.annotate(text, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=7.5, color=colour,
                  annotation_clip=False)  # fmt: skip


def _draw_example(axes: Axes, example: Example) -> None:
    film = check_film(example.image, example.title)
    draw_film(axes, thin(film))
    draw_contour(axes, thin(check_mask(example.lungs, film.shape, f"{example.title}, lungs")), ORGAN_COLOURS["lungs"])
    axes.set_title(shorten(example.title, 24), fontsize=7.5, pad=2.5)
