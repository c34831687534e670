"""Figures of the triage: the flow of Oh 2020, Fig. 9, with numbers, and what a threshold of uncertainty costs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from patchcxr.errors import ConfigError
from patchcxr.report.groups import require_columns
from patchcxr.report.style import (
    BLUE,
    CYCLE,
    DOUBLE_COLUMN_MM,
    FORMATS,
    GREY,
    SINGLE_COLUMN_MM,
    VERMILION,
    display_name,
    new_figure,
    save_figure,
    styled,
)
from patchcxr.report.tables import KINDS, write_table
from patchcxr.stats.triage import (
    CONFIRM,
    EXCLUDED,
    UNCERTAIN,
    By,
    triage,
    triage_curve,
    triage_scores,
    triage_summary,
)

_BOXES: Final = {
    CONFIRM: ("Confirm by RT-PCR or CT", "#FBE3D6", VERMILION, "-"),
    UNCERTAIN: ("Read by a radiologist", "#EDEDED", GREY, "--"),
    EXCLUDED: ("Excluded: no RT-PCR or CT", "#DCEAF5", BLUE, "-"),
}
LINES: Final = ("-", "--", "-.", ":")


@styled
def triage_figure(summary: pd.DataFrame, positive: Sequence[str], others: Sequence[str] = ()) -> Figure:
    """Draw the flow of films through the triage, with how many take each way (Oh 2020, Fig. 9).

    Parameters
    ----------
    summary
        Of :func:`~patchcxr.stats.triage.triage_summary`. Where the truth is known, each box says how many are truly
        positive. A group of no film is not drawn unless it is one of the paper's two.
    positive, others
        Classes that are confirmed and that are excluded, for the text of the boxes.

    Raises
    ------
    ConfigError
        If a column is missing or there are no films.
    """
    require_columns(summary, ["unit", "group", "n"], "the summary of the triage")
    units = {unit: part.set_index("group") for unit, part in summary.groupby("unit", sort=False)}
    if "film" not in units or not units["film"]["n"].sum():
        raise ConfigError("the summary of the triage has no film; pass what stats.triage.triage_summary returns")
    films = units["film"]
    shown = [name for name in (EXCLUDED, UNCERTAIN, CONFIRM) if name != UNCERTAIN or films.loc[name, "n"]]
    figure = new_figure(height_mm=72, width_mm=DOUBLE_COLUMN_MM)
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    total = ", ".join(f"{int(part['n'].sum())} {unit}s" for unit, part in units.items())
    _box(axes, (0.5, 0.92), 0.44, 0.14, [f"Chest radiographs: {total}"], "white", "black", "-")
    _box(axes, (0.5, 0.69), 0.44, 0.14, ["Lungs segmented, film classified"], "white", "black", "-")
    _arrow(axes, (0.5, 0.85), (0.5, 0.76))
    classes = {
        CONFIRM: f"Predicted {_listed(positive)}",
        UNCERTAIN: "Uncertain",
        EXCLUDED: f"Predicted {_listed(others)}" if others else "Predicted otherwise",
    }
    width = 0.96 / len(shown) - 0.02
    for place, name in enumerate(shown):
        x = 0.02 + (place + 0.5) * 0.96 / len(shown)
        title, fill, edge, line = _BOXES[name]
        _arrow(axes, (0.5, 0.62), (x, 0.47))
        reason = textwrap.wrap(classes[name], int(110 * width))
        _box(axes, (x, 0.245), width, 0.45, [title, *reason, *_numbers(units, name)], fill, edge, line)
    return figure


def _listed(names: Sequence[str]) -> str:
    words = [display_name(name) if name == "covid19" else display_name(name).lower() for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _numbers(units: Mapping[str, pd.DataFrame], name: str) -> list[str]:
    lines = []
    for unit, part in units.items():
        n, whole = int(part.loc[name, "n"]), int(part["n"].sum())
        text = f"{n} {unit if n == 1 else unit + 's'} ({100 * n / whole:.0f} %)"
        if "positive" in part:
            text += f", {int(part.loc[name, 'positive'])} positive"
        lines.append(text)
    return lines


def _box(
    axes: Axes, at: tuple[float, float], width: float, height: float, lines: list[str], fill: str, edge: str, style: str
) -> None:
    corner = (at[0] - width / 2, at[1] - height / 2)
    look: dict[str, Any] = {"facecolor": fill, "edgecolor": edge, "linewidth": 1.0, "linestyle": style}
    round_ends = "round,pad=0,rounding_size=0.012"
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=round_ends, mutation_aspect=2.0, **look))
    step = min(0.1, height / (len(lines) + 0.3))
    for index, line in enumerate(lines):
        y = at[1] + (len(lines) - 1) / 2 * step - index * step
        weight = "bold" if len(lines) > 1 and index == 0 else "normal"
        axes.annotate(line, (at[0], y), ha="center", va="center", fontsize=7.5, fontweight=weight)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look: dict[str, Any] = {"arrowstyle": "-|>", "linewidth": 0.9, "color": "black", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=look)


@styled
def triage_curve_figure(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Share of positives missed against the share of films that a radiologist reads, for each classifier.

    Parameters
    ----------
    curves
        For each classifier what :func:`~patchcxr.stats.triage.triage_curve` returns; the band is Wilson's interval.
        The dashed diagonal is reading films drawn at random after the paper's triage of the first classifier.

    Raises
    ------
    ConfigError
        If there is no curve, or a column is missing.
    """
    if not curves:
        raise ConfigError("got no curve; give at least one classifier")
    figure = new_figure(height_mm=72 + 3.4 * len(curves), width_mm=SINGLE_COLUMN_MM)
    axes = figure.subplots()
    for index, (name, curve) in enumerate(curves.items()):
        require_columns(curve, ["read_share", "missed_share", "missed_low", "missed_high"], f"the curve of {name}")
        colour = CYCLE[index % len(CYCLE)]
        axes.fill_between(
            curve["read_share"], curve["missed_low"], curve["missed_high"], step="post", color=colour, alpha=0.15,
            linewidth=0,
        )  # fmt: skip
        axes.step(
            curve["read_share"], curve["missed_share"], where="post", color=colour, label=display_name(name),
            linestyle=LINES[index % len(LINES)], gid=f"curve:{name}",
        )  # fmt: skip
    first = next(iter(curves.values())).iloc[0]
    axes.plot(
        [first["read_share"], 1], [first["missed_share"], 0], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)),
        label="Films read at random", zorder=1,
    )  # fmt: skip
    axes.set(
        xlim=(0, 1), ylim=(0, 1), xlabel="Share of films read by a radiologist", ylabel="Share of positives excluded"
    )
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.19), borderaxespad=0)
    return figure


def triage_report(
    predictions: pd.DataFrame,
    positive: Sequence[str],
    out: str | Path,
    by: By = "entropy",
    threshold: float | None = None,
) -> pd.DataFrame:
    """Triage every film, and write what comes out as tables and figures; return the films with their groups.

    Writes ``films``, ``groups`` and, where the truth is known, ``scores`` and ``curve`` (CSV, Markdown, LaTeX, HTML),
    and the figures ``triage`` and ``triage_curve`` (PNG, SVG, PDF).

    Parameters
    ----------
    predictions, positive, by, threshold
        As :func:`~patchcxr.stats.triage.triage`; one method.
    out
        Folder.

    Raises
    ------
    CohortError, LabelError, ConfigError
        As :func:`~patchcxr.stats.triage.triage`.
    """
    folder, films = Path(out), triage(predictions, positive, by, threshold)
    summary = triage_summary(films, positive)
    classes = dict.fromkeys([name.removeprefix("p_") for name in films.columns if str(name).startswith("p_")])
    others = [name for name in classes if name not in positive]
    side = "at most" if by.endswith("margin") else "at least"
    rule = "none is read for its uncertainty" if threshold is None else f"uncertain: {by} of {side} {threshold:g}"
    write_table(films, folder / "films", kinds=("csv", "md"))
    write_table(summary, folder / "groups", kinds=KINDS, caption=f"Triage of films and patients; {rule}")
    save_figure(triage_figure(summary, positive, others), folder / "triage", FORMATS)
    if "truth" in films:
        scores = triage_scores(films, positive)
        note = "Intervals: Wilson (low, high) and Clopper-Pearson (exact). NPV and shares hold for this prevalence."
        write_table(scores, folder / "scores", kinds=KINDS, caption=f"Worth of the triage; {rule}", note=note)
        if bool(films["uncertainty"].notna().any()):
            curve = triage_curve(predictions, positive, by)
            write_table(curve, folder / "curve", kinds=("csv", "md"))
            save_figure(triage_curve_figure({by: curve}), folder / "triage_curve", FORMATS)
    return films
