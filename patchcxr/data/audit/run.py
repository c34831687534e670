"""Run the checks over a cohort, and leave out what they object to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from patchcxr.data.audit.appearance import check_exposure, check_marks, check_views
from patchcxr.data.audit.confounding import check_confounding
from patchcxr.data.audit.files import check_files, check_masks, check_size
from patchcxr.data.audit.findings import Finding, row_names
from patchcxr.data.audit.leaks import check_duplicates, check_patients_in_splits
from patchcxr.data.audit.patients import (
    check_balance,
    check_children,
    check_labels,
    check_lateral,
    check_patient_ids,
    check_table,
)
from patchcxr.data.audit.scan import FilmScan, Progress, scan_films
from patchcxr.data.audit.settings import SEVERITIES, AuditConfig, Severity
from patchcxr.data.audit.shortcuts import check_probe
from patchcxr.data.cohort import MASK_COLUMNS, REQUIRED_COLUMNS, complete_columns, read_table, resolve_field
from patchcxr.data.duplicates import join
from patchcxr.errors import CohortError, ConfigError

Check: TypeAlias = Callable[[pd.DataFrame, FilmScan, AuditConfig], list[Finding]]

CHECKS: Final[dict[str, Check]] = {
    "table": check_table,
    "files": check_files,
    "size": check_size,
    "masks": check_masks,
    "duplicates": check_duplicates,
    "patients-in-splits": check_patients_in_splits,
    "patient-ids": check_patient_ids,
    "children": check_children,
    "lateral": check_lateral,
    "views": check_views,
    "exposure": check_exposure,
    "marks": check_marks,
    "labels": check_labels,
    "balance": check_balance,
    "confounding": check_confounding,
    "probe": check_probe,
}
"""Checks by name; a new one takes one function and one line here."""

_NUMBERS: Final = ("age_years", "days", "fold")


@dataclass(frozen=True, eq=False)
class Audit:
    """A cohort, what was measured on its films, and what is wrong with it.

    Attributes
    ----------
    table
        The cohort.
    scan
        What was measured.
    findings
        Worst first; of one severity, in the order of the checks.
    config
        The settings.
    """

    table: pd.DataFrame
    scan: FilmScan
    findings: tuple[Finding, ...]
    config: AuditConfig

    def frame(self) -> pd.DataFrame:
        """One row a finding: ``severity``, ``check``, ``films``, ``left_out``, ``message``, ``remedy``, ``studies``.

        ``left_out`` counts the films that :func:`clean` leaves out; ``studies``
        is a JSON list of the ids.
        """
        rows = [
            {
                "severity": finding.severity,
                "check": finding.check,
                "films": len(finding.studies),
                "left_out": len(finding.drop),
                "message": finding.message,
                "remedy": finding.remedy,
                "studies": json.dumps(finding.studies, ensure_ascii=False),
            }
            for finding in self.findings
        ]
        columns = ["severity", "check", "films", "left_out", "message", "remedy", "studies"]
        return pd.DataFrame(rows, columns=columns)

    def worst(self) -> Severity | None:
        """Severity of the worst finding, ``None`` if nothing was found."""
        return self.findings[0].severity if self.findings else None

    def fails(self, fail_on: str | None = None) -> bool:
        """Whether there is a finding of severity ``fail_on`` or worse; by default, that of the settings.

        Raises
        ------
        ConfigError
            If ``fail_on`` is neither a severity nor ``never``.
        """
        limit = self.config.fail_on if fail_on is None else fail_on
        if limit not in (*SEVERITIES, "never"):
            raise ConfigError(f"fail_on is {limit!r}; expected one of {', '.join(SEVERITIES)}, never")
        worst = self.worst()
        return worst is not None and limit != "never" and SEVERITIES.index(worst) <= SEVERITIES.index(limit)


def audit_cohort(
    table: pd.DataFrame,
    config: AuditConfig | None = None,
    cache: str | Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Audit:
    """Look at every film of a cohort once and run the checks.

    Parameters
    ----------
    table
        Cohort with absolute paths; it need not be valid, see :func:`read_for_audit`.
    config
        Checks and limits.
    cache, workers, progress
        See :func:`patchcxr.data.audit.scan.scan_films`.

    Raises
    ------
    ConfigError
        If the settings name a check that does not exist.
    CohortError
        If a required column is missing, or there are no rows.
    """
    config = config or AuditConfig()
    unknown = sorted(set(config.only) - set(CHECKS))
    if unknown:
        raise ConfigError(f"only names the checks {unknown}; expected some of {', '.join(CHECKS)}")
    table, _ = _numbers_read(table)
    table = complete_columns(table)
    if table.empty:
        raise CohortError("cohort has no rows; nothing can be audited")
    scan = scan_films(table, config, cache, workers, progress)
    names = [name for name in CHECKS if (not config.only or name in config.only) and name not in config.skip]
    found = [finding for name in names for finding in CHECKS[name](table, scan, config)]
    found = [finding for finding in found if finding.check not in config.skip]
    return Audit(table, scan, tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))), config)


def clean(table: pd.DataFrame, audit: Audit) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out the films that the findings of an audit would have left out.

    Of a group of copies one film stays: of those that are not too small that
    with the most masks, then with the most pixels, then the first in the
    table. All films of a group with different labels go. Of a patient in two
    splits, the split with most of the films stays.

    Parameters
    ----------
    table
        The cohort that was audited, row for row.
    audit
        Its audit.

    Returns
    -------
    kept : pandas.DataFrame
        The remaining rows, index reset.
    dropped : pandas.DataFrame
        Columns ``study``, ``check`` and ``reason``: one row for each film left
        out and each check that objects to it, worst first. The reason is that
        of the film, such as ``age 12 years``.

    Raises
    ------
    CohortError
        If the table has other studies than the audit.
    """
    names = row_names(table)
    if names.tolist() != row_names(audit.table).tolist():
        raise CohortError("the table has other studies than the one that was audited; audit it as it is")
    rows = {name: row for row, name in enumerate(names)}
    gone = {study for finding in audit.findings for study in finding.drop}
    log = [
        (study, finding.check, reason)
        for finding in audit.findings
        for study, reason in _reasons(finding, audit, rows, gone).items()
    ]
    dropped = pd.DataFrame(log, columns=["study", "check", "reason"], dtype="string")
    keep = ~names.isin(dropped["study"]).to_numpy(dtype=bool)
    return table[keep].reset_index(drop=True), dropped


def _reasons(finding: Finding, audit: Audit, rows: dict[str, int], gone: set[str]) -> dict[str, str]:
    """Of every film that a finding leaves out, why; ``rows`` by name of the film, and ``gone`` by any finding."""
    if finding.details is not None and finding.check.startswith("duplicate-"):
        labels = {study: audit.table["label"].iloc[rows[study]] for study in finding.studies}
        return _copy_reasons(finding, finding.details, labels, gone)
    if finding.details is not None and finding.check in ("patient-in-two-splits", "patient-in-two-folds"):
        patients = audit.table.iloc[[rows[study] for study in finding.drop]]
        side = finding.check.removeprefix("patient-in-two-").removesuffix("s")
        return dict(zip(finding.drop, _side_reasons(finding.details, patients, side), strict=True))
    films = ((study, audit.table.iloc[rows[study]], audit.scan.facts.iloc[rows[study]]) for study in finding.drop)
    return {study: _film_reason(finding.check, film, facts) or finding.message for study, film, facts in films}


def _copy_reasons(finding: Finding, details: pd.DataFrame, labels: dict[str, Any], gone: set[str]) -> dict[str, str]:
    """Of copies, which film each is a copy of: the one that stays, or one with another label."""
    drop, known = set(finding.drop), pd.Index(dict.fromkeys(finding.studies))
    first, second = (known.get_indexer(details[column]) for column in ("study", "copy"))
    group = join(np.arange(len(known)), first, second)
    made = {}
    for _, copies in known.to_series().groupby(group):
        stays = next((study for study in copies if study not in drop), None)
        labelled = [study for study in copies if pd.notna(labels[study])]
        for study in copies:
            if study not in drop:
                continue
            own = labels[study]
            other = next((one for one in labelled if pd.isna(own) or labels[one] != own), None)
            if stays is not None:
                made[study] = f"copy of {stays}, which {'is left out as well' if stays in gone else 'stays'}"
            elif other is not None:
                this = "this one has none" if pd.isna(own) else f"that of this one {own!r}"
                made[study] = f"copy of {other}, whose label is {labels[other]!r}; {this}"
    return {study: made.get(study, finding.message) for study in finding.drop}


def _side_reasons(details: pd.DataFrame, films: pd.DataFrame, column: str) -> list[str]:
    """Of films on the lesser sides of their patients, how many films the patient has on which side."""
    counts = details.set_index("patient")
    made = []
    for patient, side in zip(films["patient"].astype(str), films[column], strict=True):
        sides = counts.loc[patient].sort_values(ascending=False, kind="stable")
        named = ", ".join(f"{name} ({count})" for name, count in sides[sides > 0].items())
        made.append(f"patient {patient!r} has films in {named}; this one is in {side}")
    return made


def _film_reason(check: str, film: pd.Series, facts: pd.Series) -> str:
    """What a check has against one film, in a few words; empty where only the finding says it."""
    match check:
        case "file-missing" | "file-unreadable":
            return str(facts["error"])
        case "film-tiny":
            return f"side of {min(facts['rows'], facts['columns']):.0f} pixels"
        case "film-blank":
            return f"blank by {facts['blank_share']:.0%}, contrast {facts['contrast']:.3g} of the range"
        case "lateral-by-pixels":
            return f"lateral by pixels, score {facts['lateral_score']:.2f}"
        case "lateral-by-table":
            return f"lateral by the table, view {film['view']!r}"
        case "paediatric-age":
            return f"age {film['age_years']:g} years"
        case "paediatric-age-group":
            return f"age group {film['age_group']!r}"
        case "paediatric-source":
            source = "empty" if pd.isna(film["source"]) else repr(film["source"])
            return f"of a data set of children by source, {source}, or file name, {Path(str(film['image'])).name!r}"
        case "table-empty-cell":
            return f"empty cell: {', '.join(column for column in REQUIRED_COLUMNS if pd.isna(film[column]))}"
        case "table-study-repeated":
            return f"study {film['study']!r} is in a row above too"
    return ""


def read_for_audit(path: str | Path, root: str | Path | None = None) -> pd.DataFrame:
    """Read a cohort table as it is, however faulty, so that an audit can say what is wrong with it.

    As :func:`patchcxr.data.cohort.read_cohort`, but repeated studies, empty
    ids, values out of range and missing files are let through. Numbers that
    cannot be read become empty, and the new column ``unread`` says what stood
    there.

    Raises
    ------
    CohortError
        If the file cannot be parsed, or lacks the column study, patient or image.
    """
    path = Path(path)
    table, unread = _numbers_read(read_table(path))
    table = complete_columns(table, where=str(path))
    if unread.notna().any():
        table["unread"] = unread.to_numpy()
    base = Path(root) if root is not None else path.resolve().parent
    for column in ("image", *MASK_COLUMNS):
        table[column] = table[column].map(lambda field: resolve_field(field, base), na_action="ignore").astype("string")
    return table


def _numbers_read(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Table without the numbers that are none, and what stood there, a row a text."""
    made, said = table.copy(), np.full(len(table), "", dtype=object)
    for column in _NUMBERS:
        if column not in table:
            continue
        text = table[column].astype("string").str.strip()
        number = pd.to_numeric(text, errors="coerce")
        wrong = number.isna() & text.notna() & ~text.str.lower().isin(["", "na", "n/a", "<na>", "nan", "none", "null"])
        if column == "fold":
            wrong |= number.notna() & ((number % 1 != 0) | (number < 0))
        rows = wrong.fillna(False).to_numpy(dtype=bool)
        said[rows] = [f"{before}{column}={value} " for before, value in zip(said[rows], text[rows], strict=True)]
        made[column] = made[column].astype(object).mask(rows, pd.NA)
    return made, pd.Series(said, dtype="string").str.strip().replace("", pd.NA)
