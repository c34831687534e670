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
from patchcxr.report.page import Report
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
from patchcxr.report.tables import (
    MISSING,
    PaperTable,
    format_interval,
    format_number,
    format_percent,
    write_table,
)
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
MEASURES: Final[dict[str, str]] = {
    "entropy": "entropy of the vote",
    "margin": "margin of the vote",
    "p_entropy": "entropy of the probabilities",
    "p_margin": "margin of the probabilities",
}
"""Measures of uncertainty in words."""
SCORES: Final = {
    "sensitivity": "Sensitivity (confirmed or read)",
    "sensitivity_confirmed": "Sensitivity (confirmed)",
    "npv_of_exclusion": "NPV of exclusion",
    "negatives_excluded": "Negatives excluded",
    "ppv_of_confirmation": "PPV of confirmation",
    "confirmations_spared": "RT-PCR or CT spared",
    "readings": "Read by a radiologist",
}
"""Scores of the triage in words."""
MISSED: Final = "Positives missed (excluded)"
_INTERVALS: Final = ("value", "low", "high", "exact_low", "exact_high")
_FLIPPED: Final = ("value", "high", "low", "exact_high", "exact_low")
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
        text = f"{n} {unit if n == 1 else unit + 's'}" + (f" ({100 * n / whole:.0f} %)" if whole else "")
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

    Writes ``films``, ``groups`` and, where the truth is known, ``scores`` and ``curve`` (CSV and Markdown; ``groups``
    and ``scores`` also LaTeX and HTML), the figures ``triage`` and ``triage_curve`` (PNG, SVG, PDF), and the page
    ``report.html`` with both and the tables. CSV files have the names of :mod:`patchcxr.stats.triage`, all others
    words.

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
    rule = (
        "none is read for its uncertainty"
        if threshold is None
        else f"uncertain: {MEASURES[by]} of {side} {threshold:g}"
    )
    facts = {"Films": len(films), "Positive": ", ".join(map(display_name, positive)), "Uncertainty": MEASURES[by]}
    page = Report("Triage", f"Who is confirmed, read or excluded; {rule}", facts | {"Threshold": threshold})
    page.section("Groups")
    flow = triage_figure(summary, positive, others)
    write_table(films, folder / "films", kinds=("csv", "md"))
    save_figure(flow, folder / "triage", FORMATS)
    page.figure(flow, f"Films and patients that take each way; {rule}.", f"Flow of films: {_flow_in_words(summary)}")
    _add(page, groups_table(summary, f"Triage of films and patients; {rule}"), folder / "groups")
    if "truth" in films:
        page.section("Worth")
        _add(page, scores_table(triage_scores(films, positive), f"Worth of the triage; {rule}"), folder / "scores")
        if bool(films["uncertainty"].notna().any()):
            curve = triage_curve(predictions, positive, by)
            drawn = triage_curve_figure({MEASURES[by].capitalize(): curve})
            write_table(curve, folder / "curve", kinds=("csv", "md"))
            save_figure(drawn, folder / "triage_curve", FORMATS)
            page.figure(
                drawn,
                "Share of positives that are excluded against the share of films that a radiologist reads, with "
                "Wilson's 95 % interval.",
                f"Curve that begins at {format_percent(curve['missed_share'].iloc[0])} of positives excluded with "
                f"{format_percent(curve['read_share'].iloc[0])} of films read, and falls as more are read",
            )
    page.write(folder / "report.html")
    return films


def groups_table(summary: pd.DataFrame, caption: str = "") -> PaperTable:
    """Bring :func:`~patchcxr.stats.triage.triage_summary` into words; the CSV file stays as it is."""
    require_columns(summary, ["unit", "group", "n", "share"], "the summary of the triage")
    shown = pd.DataFrame({"Unit": [_plural(unit) for unit in summary["unit"]]})
    shown["Group"] = [_BOXES[name][0] for name in summary["group"]]
    shown["n"], shown["Share"] = summary["n"].to_numpy(), [format_percent(share) for share in summary["share"]]
    for name, title in {"positive": "Positive", "negative": "Negative", "unknown": "Truth unknown"}.items():
        if name in summary:
            shown[title] = summary[name].to_numpy()
    return PaperTable(data=summary, shown=shown, caption=caption)


def scores_table(scores: pd.DataFrame, caption: str = "") -> PaperTable:
    """Bring :func:`~patchcxr.stats.triage.triage_scores` into words; the CSV file stays as it is.

    The positives that were missed stand once for films and once for patients, in a row below sensitivity, whose
    complement they are; rows without truth and the remark on films of one patient stand in the note.
    """
    require_columns(scores, ["unit", "measure", "missed", "unknown", "note", *_INTERVALS], "the scores of the triage")
    rows, notes = [], ["Intervals: Wilson, and Clopper-Pearson (exact). NPV and shares hold for this prevalence."]
    for unit, part in scores.groupby("unit", sort=False):
        for one in part.to_dict("records"):
            rows.append(_score(str(unit), SCORES.get(one["measure"], one["measure"]), one))
            if one["measure"] == "sensitivity":
                flipped = {name: 1 - one[other] for name, other in zip(_INTERVALS, _FLIPPED, strict=True)}
                rows.append(_score(str(unit), MISSED, {**flipped, "count": one["missed"], "n": one["n"]}))
        first = part.iloc[0]
        if first["unknown"]:
            notes.append(f"{_plural(str(unit))} without truth, left out: {first['unknown']}.")
        if first["note"]:
            notes.append(f"{_plural(str(unit))}: {first['note']}.")
    return PaperTable(data=scores, shown=pd.DataFrame(rows), caption=caption, note=" ".join(notes))


def _score(unit: str, title: str, one: Mapping[str, Any]) -> dict[str, Any]:
    exact = f"{format_number(one['exact_low'])} to {format_number(one['exact_high'])}" if one["n"] else MISSING
    return {
        "Unit": _plural(unit),
        "Measure": title,
        "Count": one["count"],
        "Of": one["n"],
        "Share (95 % CI)": format_interval(one["value"], one["low"], one["high"]),
        "Exact 95 % CI": exact,
    }


def _plural(unit: str) -> str:
    return f"{unit.capitalize()}s"


def _flow_in_words(summary: pd.DataFrame) -> str:
    films = summary[summary["unit"] == "film"]
    return ", ".join(f"{n} {name}" for name, n in zip(films["group"], films["n"], strict=True))


def _add(page: Report, table: PaperTable, base: Path) -> None:
    """Write a table in every form, and put it on the page."""
    table.write(base)
    page.table(table.readable, table.caption, table.note)
