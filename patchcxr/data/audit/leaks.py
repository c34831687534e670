"""Checks for leaks: copies of films, and patients on two sides of a split."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.data.audit.copies import Copies, find_copies
from patchcxr.data.audit.findings import Finding, column_text, names_at, row_names
from patchcxr.data.audit.scan import FilmScan, Progress, scan_films
from patchcxr.data.audit.settings import AuditConfig, Severity
from patchcxr.data.cohort import MASK_COLUMNS
from patchcxr.types import BoolArray, IntArray

_SIDES: Final = (("split", "splits"), ("fold", "folds"))
_LEAVE_OUT: Final = "Leave all but one film of each group out, as cleaning does"


def check_duplicates(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find copies of films (see :mod:`patchcxr.data.audit.copies`) and say what is wrong with each group.

    A group of copies is a warning, within a source or across sources; an
    error if it is on two sides of a split or has two labels, of which one is
    wrong; and a warning if it joins two patient ids, which are then probably
    one person. Cleaning keeps :func:`best_of_group`, and nothing of a group
    with two labels.
    """
    copies = find_copies(scan, config)
    repeated = np.bincount(copies.group)[copies.group] > 1 if len(copies.group) else np.zeros(0, dtype=bool)
    if not repeated.any():
        return []
    source, label, patient = (column_text(table, name) for name in ("source", "label", "patient"))
    known = patient.mask(column_text(table, "patient_id_known").eq("no").fillna(False))
    across = _differs(source, copies.group)
    spare = repeated & ~best_of_group(table, scan, copies.group, config.minimum_side)
    found = [
        _finding(
            table, copies, "duplicate-within-source", "warning", repeated & ~across, spare,
            "within one source", f"{_LEAVE_OUT}; they count one film several times.",
        ),
        _finding(
            table, copies, "duplicate-across-sources", "warning", repeated & across, spare,
            "in several sources", f"{_LEAVE_OUT}; the sources share films, so one cannot test what the other trained.",
        ),
    ]  # fmt: skip
    for column, sides in _SIDES:
        found.append(
            _finding(
                table, copies, f"duplicate-across-{sides}", "error",
                repeated & _differs(column_text(table, column), copies.group), spare,
                f"in several {sides}", f"{_LEAVE_OUT}, or split again by duplicate group; scores are too high now.",
            )
        )  # fmt: skip
    two_labels = repeated & _differs(label, copies.group)
    found.append(
        _finding(
            table, copies, "duplicate-with-different-labels", "error", two_labels, two_labels,
            "with different labels", "Look up which label is right; cleaning leaves out every film of these groups.",
        )
    )  # fmt: skip
    found.append(
        _finding(
            table, copies, "duplicate-joins-patients", "warning", repeated & _differs(known, copies.group), None,
            "under several patient ids",
            "The ids probably mean one person: give them one id, or split by duplicate group as well.",
        )
    )  # fmt: skip
    return [finding for finding in found if finding.studies]


def check_patients_in_splits(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find patients on two sides of a split or in two folds.

    Cleaning keeps the side that has most of the patient's films, on a tie the
    one of the first of them, and leaves out the others.
    """
    found = []
    patient = column_text(table, "patient")
    for column, sides in _SIDES:
        side = column_text(table, column)
        films = pd.DataFrame({"patient": patient, "side": side}).dropna()
        leaking = films.groupby("patient")["side"].transform("nunique") > 1
        films = films[leaking]
        if films.empty:
            continue
        counted = films.groupby(["patient", "side"], sort=False).size().rename("films").reset_index()
        # Stable, so that of equal counts the side that comes first in the table stays in front.
        home = counted.sort_values("films", ascending=False, kind="stable").drop_duplicates("patient")
        away = films["side"] != films["patient"].map(home.set_index("patient")["side"])
        details = pd.crosstab(films["patient"].astype(str), films["side"].astype(str)).reset_index()
        details.columns.name = None
        found.append(
            Finding(
                check=f"patient-in-two-{sides}",
                severity="error",
                message=f"{films['patient'].nunique()} patients have films in two {sides} ({len(films)} films).",
                remedy=f"Split again by patient; cleaning keeps the {column} with most of a patient's films.",
                studies=names_at(table, films.index.to_numpy()),
                drop=names_at(table, films.index[away.to_numpy(dtype=bool)].to_numpy()),
                details=details,
            )
        )
    return found


def duplicate_groups(
    table: pd.DataFrame,
    cache: str | Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
    config: AuditConfig | None = None,
) -> IntArray:
    """Duplicate group of each film, int (n,), numbered from 0; films without copies have groups of their own.

    Reads the films (see :func:`patchcxr.data.audit.scan.scan_films`); one
    that cannot be read is a copy of nothing.
    """
    return find_copies(scan_films(table, config, cache, workers, progress), config).group


def best_of_group(table: pd.DataFrame, scan: FilmScan, group: IntArray, minimum_side: int = 0) -> BoolArray:
    """Which film of each group stays.

    That which is not too small, then that with the most masks, then with the
    most pixels, then the first in the table.
    """
    masks = np.zeros(len(group), dtype=np.int64)
    for column in MASK_COLUMNS:
        masks += column_text(table, column).notna().to_numpy(dtype=np.int64)
    size = scan.facts[["rows", "columns"]].fillna(0)
    tiny = (size.min(axis=1) < minimum_side).to_numpy(dtype=bool)
    order = np.lexsort((np.arange(len(group)), -size.prod(axis=1).to_numpy(), -masks, tiny))
    best = np.zeros(len(group), dtype=bool)
    best[order[np.unique(group[order], return_index=True)[1]]] = True
    return best


def _differs(values: pd.Series, group: IntArray) -> BoolArray:
    """Whether the group of each film has several values; empty cells do not count."""
    return (values.groupby(group).transform("nunique") > 1).to_numpy(dtype=bool)


def _finding(
    table: pd.DataFrame,
    copies: Copies,
    check: str,
    severity: Severity,
    rows: BoolArray,
    drop: BoolArray | None,
    where: str,
    remedy: str,
) -> Finding:
    groups = len(np.unique(copies.group[rows]))
    pairs = copies.pairs[rows[copies.pairs["first"].to_numpy(dtype=np.int64)]]
    kinds = ", ".join(f"{count} {kind}" for kind, count in pairs["kind"].value_counts().items())
    first, second = pairs["first"].to_numpy(dtype=np.int64), pairs["second"].to_numpy(dtype=np.int64)
    names = row_names(table)
    details = pd.DataFrame({"study": names.to_numpy()[first], "copy": names.to_numpy()[second]})
    for column in ("source", "split", "label", "patient"):
        values = column_text(table, column).to_numpy()
        details[column], details[f"copy_{column}"] = values[first], values[second]
    details[["kind", "distance", "correlation"]] = pairs[["kind", "distance", "correlation"]].to_numpy()
    return Finding(
        check=check,
        severity=severity,
        message=f"{groups} {'film is' if groups == 1 else 'films are'} there more than once {where},"
        f" as {int(rows.sum())} studies ({kinds}).",
        remedy=remedy,
        studies=names_at(table, rows),
        drop=names_at(table, rows & drop) if drop is not None else (),
        details=details,
    )
