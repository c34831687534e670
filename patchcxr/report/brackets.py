"""Brackets with stars between groups, stacked so that no two collide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes

from patchcxr.errors import ConfigError

SIGNIFICANT = ("*", "**", "***")
NOT_SIGNIFICANT = "-"


@dataclass(frozen=True)
class Bracket:
    """A comparison of the groups at positions ``low`` < ``high``, drawn at ``level`` (0 is nearest to the data)."""

    low: int
    high: int
    stars: str
    level: int


def bracket_levels(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Level of each bracket such that brackets of one level do not overlap.

    Short brackets are placed first and lowest. Two brackets that only share
    an end may lie on one level, since :func:`draw_brackets` insets both ends.

    >>> bracket_levels([(0, 1), (1, 2), (0, 2)])
    [0, 0, 1]
    """
    ordered = sorted(range(len(spans)), key=lambda i: (abs(spans[i][1] - spans[i][0]), min(spans[i])))
    levels = [0] * len(spans)
    placed: list[list[tuple[int, int]]] = []
    for index in ordered:
        low, high = sorted(spans[index])
        # above every shorter bracket that it spans, so that no upright crosses another bracket
        level = max((n + 1 for n, row in enumerate(placed) if any(low < b and a < high for a, b in row)), default=0)
        if level == len(placed):
            placed.append([])
        placed[level].append((low, high))
        levels[index] = level
    return levels


def pair_columns(pairs: pd.DataFrame, *needed: str) -> tuple[str, str]:
    """Names of the two columns that say what a row compares: groups, or methods of paired tests.

    Raises
    ------
    ConfigError
        If there are neither, or one of the columns ``needed`` is missing.
    """
    first, second = ("method_a", "method_b") if "method_a" in pairs.columns else ("group_a", "group_b")
    missing = [name for name in (first, second, *needed) if name not in pairs.columns]
    if missing:
        raise ConfigError(
            f"the table of pairs has no column {', '.join(missing)}; pass what stats.comparisons.rank_sum_pairs or "
            "stats.paired.signed_rank_pairs returns"
        )
    return first, second


def brackets_from_pairs(
    pairs: pd.DataFrame | None, order: Sequence[str], significant_only: bool = True
) -> list[Bracket]:
    """Read brackets from the tidy table of pairwise tests.

    Parameters
    ----------
    pairs
        Columns ``group_a`` and ``group_b``, or ``method_a`` and ``method_b``, and ``stars`` (from the adjusted p).
        Rows of groups that are not in ``order`` are left out; None gives no brackets.
    order
        The groups in the order of their positions.
    significant_only
        Leave out pairs whose stars are ``-``. Pairs whose test is undefined
        (no stars) are always left out.

    Raises
    ------
    ConfigError
        If a column is missing.
    """
    if pairs is None or len(pairs) == 0:
        return []
    first, second = pair_columns(pairs, "stars")
    position = {name: index for index, name in enumerate(order)}
    kept: list[tuple[int, int, str]] = []
    for a, b, stars in zip(pairs[first], pairs[second], pairs["stars"], strict=True):
        if a not in position or b not in position or stars not in (*SIGNIFICANT, NOT_SIGNIFICANT):
            continue
        if significant_only and stars == NOT_SIGNIFICANT:
            continue
        low, high = sorted((position[a], position[b]))
        kept.append((low, high, "n.s." if stars == NOT_SIGNIFICANT else str(stars)))
    levels = bracket_levels([(low, high) for low, high, _ in kept])
    return [Bracket(low, high, stars, level) for (low, high, stars), level in zip(kept, levels, strict=True)]


def draw_brackets(
    axes: Axes,
    brackets: Sequence[Bracket],
    start: float,
    step: float,
    direction: Literal["vertical", "horizontal"] = "vertical",
) -> float:
    """Draw brackets beyond the data and return the end of the room they take.

    Parameters
    ----------
    axes
        Where to draw; its limits are not changed.
    brackets
        From :func:`brackets_from_pairs`.
    start
        Data coordinate of level 0.
    step
        Data units from one level to the next.
    direction
        ``vertical``: groups lie along x and levels rise along y;
        ``horizontal``: groups lie along y and levels grow along x.
    """
    inset, foot = 0.06, 0.22 * step
    for bracket in brackets:
        level = start + bracket.level * step
        ends = [bracket.low + inset, bracket.low + inset, bracket.high - inset, bracket.high - inset]
        heights = [level - foot, level, level, level - foot]
        middle = (bracket.low + bracket.high) / 2
        letters = bracket.stars == "n.s."
        if direction == "vertical":
            axes.plot(ends, heights, color="black", linewidth=0.7, clip_on=False, gid="bracket")
            axes.annotate(
                bracket.stars,
                (middle, level),
                xytext=(0, 1 if letters else -2.5),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7 if letters else 8.5,
            )
        else:
            axes.plot(heights, ends, color="black", linewidth=0.7, clip_on=False, gid="bracket")
            axes.annotate(
                bracket.stars,
                (level, middle),
                xytext=(1 if letters else -1, 0),
                textcoords="offset points",
                ha="left",
                va="center",
                rotation=-90,
                fontsize=7 if letters else 8.5,
            )
    return start + (max((b.level for b in brackets), default=-1) + 1) * step
