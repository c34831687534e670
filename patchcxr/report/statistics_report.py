"""One call from a table to everything a paper needs: tests, tables, figures and a page that shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError
from patchcxr.report.comparison_tables import (
    CORRECTIONS,
    STARS,
    exclusion_tables,
    note_of_test,
    pairs_table,
    triangle,
)
from patchcxr.report.forest import forest_figure
from patchcxr.report.groups import group_scatter, require_columns
from patchcxr.report.page import Report
from patchcxr.report.style import FORMATS, display_name, save_figure
from patchcxr.report.tables import PaperTable
from patchcxr.stats.comparisons import check_number_of_groups
from patchcxr.stats.corrections import Correction
from patchcxr.stats.markers import GroupComparison, compare_groups
from patchcxr.stats.paired import paired_table, signed_rank_pairs

FIRST: Final = ("normal", "tuberculosis", "bacterial", "viral", "covid19")
"""Groups that stand first, in the order of Oh 2020, Tables VI to IX."""


def statistics_report(
    table: pd.DataFrame,
    values: Sequence[str],
    group: str,
    patient: str | None = "patient",
    correction: Correction = "holm",
    out: str | Path = "statistics",
    *,
    order: Sequence[str] | None = None,
    paired: str | None = None,
    exclude: Mapping[str, Sequence[Any]] | None = None,
    rng: np.random.Generator | None = None,
    title: str = "Statistics by group",
) -> None:
    """Compare every value between groups, and write tables, figures and ``report.html``.

    For each value, independent groups give the tables ``<value>_table`` (triangular, as Oh 2020, Tables VI to IX),
    ``_summary``, ``_normality``, ``_omnibus``, ``_pairs`` (over patients where they are known), ``_pairs_films``
    (every film taken as independent) and, with ``exclude``, ``_excluded_table``, ``_excluded_groups`` and
    ``_excluded_pairs``; paired methods give ``_summary`` and ``_pairs``. Every table is written as CSV, Markdown, LaTeX
    and HTML. The figures ``<value>`` (scatter, mean and one standard deviation, stars) and ``<value>_forest`` are PNG,
    SVG and PDF.

    Parameters
    ----------
    table
        One row a film, or with ``paired`` a row a film and method.
    values
        Columns to compare.
    group
        Column of the group, or of the method with ``paired``. Rows without one are left out, and the page says how
        many.
    patient
        Column of the patient; None takes films as independent, as does the default where the table lacks it.
    correction
        ``"holm"``, ``"fdr_bh"`` or ``"none"``, over the pairs of each value.
    out
        Folder for everything.
    order
        Groups from left to right; by default those of :data:`FIRST`, then the others by name.
    paired
        Column that says which rows belong together, such as ``study``: the tests are then signed-rank tests.
    exclude
        Column to values whose films are left out in a second run, such as ``{"view": ["AP Supine"]}`` (Oh 2020, Table
        VIII).
    rng
        Source of randomness of bootstrap intervals in paired tests; without one they are NaN.
    title
        Head of the page.

    Raises
    ------
    ConfigError
        If a column is missing, or the correction is unknown.
    CohortError
        If fewer than two groups are left, or as :func:`~patchcxr.stats.markers.compare_groups` and
        :func:`~patchcxr.stats.paired.signed_rank_pairs`.
    """
    require_columns(table, [*values, group, *(exclude or {}), *([paired] if paired else [])], "the table")
    folder, known = Path(out), table[table[group].notna() & (table[group].astype(str).str.strip() != "")]
    groups = list(order) if order is not None else _order(known[group])
    if len(groups) < 2:
        raise CohortError(f"{group} has the groups {groups}; expected at least two to compare")
    patients = patient if patient is not None and (patient in table or patient != "patient") else None
    page = Report(
        title,
        f"{'Methods measured on the same films' if paired else 'Groups'}, by {group}",
        {
            "Rows": len(table),
            f"Rows without {group}": len(table) - len(known),
            "Patients": known[patients].nunique() if patients in known else "unknown",
            "Unit of the tests": "patient" if patients else "film",
            "Correction": correction,
        },
    )
    for value in values:
        page.section(str(display_name(value)))
        base = folder / re.sub(r"[^\w.-]+", "-", value)
        if paired is None:
            _independent(page, known, value, group, groups, patients, correction, base, exclude)
        else:
            _paired(page, known, value, group, groups, patients, correction, base, paired, rng)
    page.write(folder / "report.html")


def _order(groups: pd.Series) -> list[Any]:
    found = set(groups)
    check_number_of_groups(len(found), str(groups.name))
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST), key=str)


def _independent(
    page: Report,
    table: pd.DataFrame,
    value: str,
    group: str,
    order: Sequence[Any],
    patient: str | None,
    correction: Correction,
    base: Path,
    exclude: Mapping[str, Sequence[Any]] | None,
) -> None:
    found = compare_groups(table, value, group, order, patient=patient, correction=correction)
    title = str(display_name(value))
    _add(page, triangle(found, f"{title}: mean, standard deviation and significance of every pair."), base, "table")
    _figures(page, table, found.pairs, value, group, order, patient, base)
    _add(page, pairs_table(found.pairs, f"{title}: pairwise tests.", note_of_test(found)), base, "pairs")
    naive = pairs_table(
        found.naive_pairs,
        f"{title}: the same with every film taken as independent.",
        "Films of one patient resemble one another; where patients repeat, these p-values are too small. They are "
        "what a comparison that ignores patients reports.",
    )
    _add(page, naive, base, "pairs_films")
    plain = {
        "summary": (found.summary, f"{title}: description of the groups.", "Quartiles: q25 and q75."),
        "normality": (
            found.normality,
            f"{title}: tests for a normal distribution.",
            "The p-value of Kolmogorov-Smirnov is too large, since mean and deviation were fitted; Lilliefors allows "
            "for that.",
        ),
        "omnibus": (found.omnibus, f"{title}: Kruskal-Wallis test of all groups together.", ""),
    }
    for name, (data, caption, note) in plain.items():
        _add(page, PaperTable(data=data, shown=_without_empty_notes(data), caption=caption, note=note), base, name)
    for column, unwanted in (exclude or {}).items():
        _excluded(page, table, found, column, unwanted, patient, base)


def _excluded(
    page: Report,
    table: pd.DataFrame,
    full: GroupComparison,
    column: str,
    unwanted: Sequence[Any],
    patient: str | None,
    base: Path,
) -> None:
    what = f"{column} {' and '.join(map(str, unwanted))}"
    kept, title = table[~table[column].isin(list(unwanted))], display_name(full.value)
    order = [name for name in full.summary["group"] if (kept[full.group] == name).any()]
    left_out = len(table) - len(kept)
    if not left_out or len(order) < 2:
        why = "no film has it" if not left_out else "fewer than two groups are left"
        page.notice(f"{what} could not be excluded: {why}.")
        return
    correction: Any = full.correction
    without = compare_groups(kept, full.value, full.group, order, patient=patient, correction=correction)
    caption = f"{title} without {what} ({left_out} films left out)."
    _add(page, triangle(without, caption), base, "excluded_table")
    groups, pairs = exclusion_tables(full, without, what)
    _add(page, groups, base, "excluded_groups")
    _add(page, pairs, base, "excluded_pairs")


def _paired(
    page: Report,
    table: pd.DataFrame,
    value: str,
    group: str,
    order: Sequence[Any],
    patient: str | None,
    correction: Correction,
    base: Path,
    key: str,
    rng: np.random.Generator | None,
) -> None:
    part = table[table[group].isin(list(order))]
    wide = paired_table(part, key, group, value)
    if patient:
        wide[patient] = wide[key].map(part.drop_duplicates(key).set_index(key)[patient])
    pairs = signed_rank_pairs(wide, list(order), correction, groups=patient, rng=rng, key=key)
    title = display_name(value)
    described = part.assign(value=part[value].astype(float)).groupby(group, sort=False)["value"]
    summary = described.agg(["size", "count", "mean", "std", "median"]).loc[list(order)]
    summary.insert(1, "dropped", summary["size"] - summary["count"])
    summary = summary.rename(columns={"size": "films", "count": "n"}).rename_axis("group").reset_index()
    unit = "patients (the films of a patient averaged)" if patient else "films, taken as independent"
    note = (
        f"Wilcoxon signed-rank test over {unit}; p-values of the {len(pairs)} pairs {CORRECTIONS[correction]}: {STARS}"
    )
    _add(page, PaperTable(data=summary, caption=f"{title}: description of the methods, over films."), base, "summary")
    _figures(page, part, pairs, value, group, order, patient, base)
    _add(page, pairs_table(pairs, f"{title}: paired tests.", note), base, "pairs")


def _figures(
    page: Report,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    value: str,
    group: str,
    order: Sequence[Any],
    patient: str | None,
    base: Path,
) -> None:
    title, unit = display_name(value), "patients" if patient else "films"
    if not np.isfinite(table.loc[table[group].isin(list(order)), value].to_numpy(float)).any():
        page.notice("No film has a value, so nothing can be drawn.")
        return
    scatter = group_scatter(table, value, group, order, pairs, patient=patient)
    forest = forest_figure(pairs.drop(columns="measure", errors="ignore"), quantity=title)
    save_figure(scatter, base, FORMATS)
    save_figure(forest, base.with_name(f"{base.name}_forest"), FORMATS)
    page.figure(
        scatter,
        f"{title}: every film (left), mean and one standard deviation of {unit} (right). Stars: p after correction.",
        f"Scatter of {title} by {group}, with means and standard deviations",
    )
    page.figure(
        forest,
        f"{title}: Hodges-Lehmann shift of every pair with its 95 % interval. Filled: significant after correction; "
        "intervals are not adjusted for the number of pairs.",
        f"Forest plot of the shifts of {title} between every two of {', '.join(str(name) for name in order)}",
    )


def _without_empty_notes(table: pd.DataFrame) -> pd.DataFrame:
    if "note" in table and not table["note"].fillna("").str.len().any():
        return table.drop(columns="note")
    return table


def _add(page: Report, table: PaperTable, base: Path, name: str) -> None:
    """Write a table in every form, and put it on the page."""
    table.write(base.with_name(f"{base.name}_{name}"))
    page.table(table.readable, table.caption, table.note, table.formats or None, table.heads or None)
