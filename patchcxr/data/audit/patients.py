"""Checks of who is in a cohort: children, lateral views, labels, patients that nobody knows, uneven splits."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from patchcxr.data.audit.findings import Finding, column_text, names_at, row_names
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.data.cohort import REQUIRED_COLUMNS
from patchcxr.data.labels import CANONICAL_LABELS
from patchcxr.data.splits import SPLITS, split_balance, unknown_patients
from patchcxr.types import BoolArray

LATERAL_VIEWS: Final = ("L", "LL", "RL", "LAT", "LATERAL", "LLD", "RLD", "LLAT", "RLAT", "LATERALHORIZONTAL")
PAEDIATRIC_SOURCES: Final = ("kermany", "guangzhou", "chestxray2017", "coronahack")
"""Data sets of children, by a part of their names: Guangzhou Women and Children's films are in all of them."""

PAEDIATRIC_NAMES: Final = (
    r"^(?:person\d+_(?:bacteria|virus)_\d+|(?:NORMAL\d?-)?IM-\d{4}-\d{4}(?:-\d{4})?|(?:BACTERIA|VIRUS)-\d{5,}-\d{4})$"
)
"""File names, without suffix, of the Guangzhou films: person123_bacteria_4, IM-0115-0001, NORMAL2-IM-0840-0001."""

_AGE_GROUPS: Final = ("child", "children", "paediatric", "pediatric", "infant", "neonate", "newborn", "adolescent")
_UNEVEN: Final = 0.1


def check_children(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find films of children by age, by the column ``age_group``, and by source or file name of known data sets.

    A film whose age is known counts by its age alone. In a cohort of children
    only, the findings are notes and nothing is left out.
    """
    age = pd.to_numeric(column_text(table, "age_years"), errors="coerce")
    by_age = _true(age < config.minimum_age_years)
    group = column_text(table, "age_group").str.strip().str.lower()
    stem = column_text(table, "image").str.replace(r"^.*[/\\]", "", regex=True).str.replace(r"\.[^.]*$", "", regex=True)
    source = column_text(table, "source").str.lower().str.replace(r"[^a-z0-9]", "", regex=True)
    told = _true(group.isin(_AGE_GROUPS))
    by_source = _true(source.str.contains("|".join(PAEDIATRIC_SOURCES))) | _true(
        stem.str.match(PAEDIATRIC_NAMES, case=False)
    )
    unaged = age.isna().to_numpy(dtype=bool)
    children = by_age | (unaged & (told | by_source))
    if not children.any():
        return []
    only = bool(children.all())
    found = []
    for check, rows, how in (
        ("paediatric-age", by_age, f"are of patients younger than {config.minimum_age_years:g} years"),
        ("paediatric-age-group", unaged & told, "have an age group of children"),
        ("paediatric-source", unaged & by_source & ~told, "come from a data set of children, by source or file name"),
    ):
        if rows.any():
            found.append(
                Finding(
                    check=check,
                    severity="note" if only else "warning",
                    message=f"{int(rows.sum())} of {len(table)} films {how}.",
                    remedy="State that the cohort is of children." if only else "Leave them out of a cohort of adults.",
                    studies=names_at(table, rows),
                    drop=() if only else names_at(table, rows),
                )
            )
    return found if only else [*found, _mixture(table, children)]


def check_lateral(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find films whose view, as the table gives it, is lateral."""
    view = column_text(table, "view").str.upper().str.replace(r"[^A-Z]", "", regex=True)
    rows = _true(view.isin(LATERAL_VIEWS))
    if not rows.any():
        return []
    return [
        Finding(
            check="lateral-by-table",
            severity="warning",
            message=f"{int(rows.sum())} of {len(table)} films are lateral views, as the table says.",
            remedy="Leave them out of a cohort of frontal films.",
            studies=names_at(table, rows),
            drop=names_at(table, rows),
        )
    ]


def check_table(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find rows that a valid cohort may not have: empty or repeated ids, ages, sexes and splits out of range.

    Cleaning leaves out rows without study, patient or image and all but the
    first of a repeated study; it cannot guess the other values.
    """
    age = pd.to_numeric(column_text(table, "age_years"), errors="coerce")
    study = column_text(table, "study")
    sex, split = column_text(table, "sex"), column_text(table, "split")
    empty = np.logical_or.reduce([_true(column_text(table, name).isna()) for name in REQUIRED_COLUMNS])
    repeated = _true(study.duplicated(keep=False) & study.notna())
    checks: list[tuple[str, BoolArray, BoolArray, str, str]] = [
        ("table-empty-cell", empty, empty, "lack the study, the patient or the image", "Fill the cells in."),
        (
            "table-study-repeated",
            repeated,
            _true(study.duplicated() & study.notna()),
            "have a study id that another film has too",
            "Give each film its own id; cleaning keeps the first film of each id.",
        ),
        (
            "table-value",
            _true(column_text(table, "unread").notna())
            | _true(~age.between(0, 120) & age.notna())
            | _true(~sex.isin(["M", "F", "O"]) & sex.notna())
            | _true(~split.isin(SPLITS) & split.notna()),
            np.zeros(len(table), dtype=bool),
            "have an age, sex, split, fold or number of days that cannot be",
            "Correct the cells or empty them: ages are 0 to 120, sexes M, F or O, splits train, validation or test.",
        ),
    ]
    return [
        Finding(
            check=check,
            severity="error",
            message=f"{int(rows.sum())} of {len(table)} films {what}.",
            remedy=remedy,
            studies=names_at(table, rows),
            drop=names_at(table, drop),
            details=_cells(table, rows, ("study", "patient", "image", "age_years", "sex", "split", "unread")),
        )
        for check, rows, drop, what, remedy in checks
        if rows.any()
    ]


def check_labels(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find films without label, and labels that no label scheme knows."""
    label = column_text(table, "label")
    empty = _true(label.isna())
    unknown = _true(~label.isin(CANONICAL_LABELS) & label.notna())
    found = []
    if empty.any():
        message = f"{int(empty.sum())} of {len(table)} films have no label."
        remedy = "Fill the labels in, or use these films for prediction only."
        found.append(Finding("label-empty", "note", message, remedy, names_at(table, empty)))
    if unknown.any():
        names = label[unknown].value_counts()
        shown = ", ".join(f"{name!r} ({count})" for name, count in names.head(5).items())
        message = f"{int(unknown.sum())} of {len(table)} films have a label that is not known: {shown}."
        remedy = f"Relabel the cohort by a mapping to {', '.join(CANONICAL_LABELS)}."
        details = names.rename_axis("label").rename("films").reset_index()
        found.append(Finding("label-unknown", "warning", message, remedy, names_at(table, unknown), (), details))
    return found


def check_patient_ids(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Note sources that do not say which films are of one patient."""
    counts = unknown_patients(table)
    if not counts:
        return []
    source = column_text(table, "source").fillna("(none)")
    known, study = column_text(table, "patient_id_known"), column_text(table, "study")
    stands_in = known.isna() & study.eq(column_text(table, "patient")).fillna(False)
    rows = _true(source.isin(list(counts))) & (_true(known.eq("no")) | _true(stands_in))
    named = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    return [
        Finding(
            check="patient-id-missing",
            severity="note",
            message=f"{sum(counts.values())} of {len(table)} films have no patient id: {named}.",
            remedy="Split by duplicate group as well, and report that films of one patient may be on two sides.",
            studies=names_at(table, rows),
            details=pd.DataFrame(sorted(counts.items()), columns=["source", "films"]),
        )
    ]


def check_balance(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Note splits in which the share of a label or a source departs by over 0.1 from that in the whole."""
    if not column_text(table, "split").notna().any():
        return []
    balance = split_balance(table)
    margins = balance[(balance["source"] == "(all)") ^ (balance["label"] == "(all)")]
    uneven = margins[margins["departure"].abs() > _UNEVEN]
    if uneven.empty:
        return []
    worst = uneven.loc[uneven["departure"].abs().idxmax()]
    name = worst["label"] if worst["source"] == "(all)" else worst["source"]
    return [
        Finding(
            check="split-uneven",
            severity="note",
            message=f"{len(uneven)} shares of labels or sources differ by over {_UNEVEN:g} between a split and all,"
            f" most of all {name!r}: {worst['share']:.2f} of {worst['split']}, {worst['share_of_all']:.2f} in all.",
            remedy="Split again, stratified by label, unless the split is meant to differ (an external test set).",
            details=uneven.reset_index(drop=True),
        )
    ]


def _mixture(table: pd.DataFrame, children: BoolArray) -> Finding:
    label = column_text(table, "label").fillna("(none)")
    counts = pd.DataFrame({"label": label, "children": children, "others": ~children})
    counts = counts.groupby("label")[["children", "others"]].sum().reset_index()
    share = counts["children"] / (counts["children"] + counts["others"])
    worst = share.idxmax()
    return Finding(
        check="age-mixture",
        severity="warning",
        message=f"Children ({int(children.sum())} films) and others ({int((~children).sum())}) are mixed; of label"
        f" {counts['label'][worst]!r} {share[worst]:.0%} are children.",
        remedy="Study children and adults apart: where a label is mostly of children, age tells the label.",
        studies=names_at(table, children),
        details=counts,
    )


def _cells(table: pd.DataFrame, rows: BoolArray, columns: tuple[str, ...]) -> pd.DataFrame:
    made = pd.DataFrame({column: column_text(table, column)[rows] for column in columns})
    return made.assign(study=row_names(table)[rows]).reset_index(drop=True)


def _true(values: pd.Series) -> BoolArray:
    """Truth of each value; an empty one is false."""
    return values.fillna(False).to_numpy(dtype=bool)
