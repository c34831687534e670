"""What a split must not do: put a patient on two sides, or leave a class out."""

from __future__ import annotations

from typing import Final

import pandas as pd

from patchcxr.data.groups import Groups, patient_groups
from patchcxr.data.splits._deal import SPLITS
from patchcxr.errors import SplitError

LEAKS_ALLOWED: Final = "patients may be on both sides"
"""The words that let a leaking split pass."""

_SHOWN: Final = 5


def find_leaks(table: pd.DataFrame, column: str = "split", groups: Groups | None = None) -> pd.DataFrame:
    """Patients, or groups of patients with copies of one film, that are in two splits or folds.

    Parameters
    ----------
    table
        Cohort; rows whose ``column`` is empty do not count.
    column
        ``split``, ``fold`` or ``source``.
    groups
        Duplicate group of each film, see :func:`patchcxr.data.groups.patient_groups`.

    Returns
    -------
    One row a leak: ``group``, ``patients`` (how many), ``films``, ``sides``
    (such as ``test and train``), sorted by group.
    """
    used = table[column].notna()
    group = table["patient"] if groups is None else patient_groups(table, groups)
    rows = pd.DataFrame({"group": group, "patient": table["patient"], "side": table[column]})[used]
    rows = rows[rows.groupby("group")["side"].transform("nunique") > 1].astype(str)
    found = rows.groupby("group").agg(
        patients=("patient", "nunique"),
        films=("side", "size"),
        sides=("side", lambda side: " and ".join(sorted(set(side)))),
    )
    return found.reset_index()


def check_patients(
    table: pd.DataFrame, column: str = "split", where: str = "cohort", groups: Groups | None = None
) -> None:
    """Check that no patient, or duplicate group, has films in two splits or folds; empty cells do not count.

    Raises
    ------
    SplitError
        Naming up to five of the patients or groups and where they are.
    """
    leaks = find_leaks(table, column, groups)
    if len(leaks):
        raise SplitError(f"{where}: {_described(leaks, column)}; {_remedy(leaks, column)}")


def check_leaks(
    table: pd.DataFrame,
    column: str,
    groups: Groups | None = None,
    allow_leaks: bool | str = False,
    where: str = "cohort",
) -> tuple[str, ...]:
    """Check patients and copies unless ``allow_leaks`` is :data:`LEAKS_ALLOWED`; then the leaks are returned in words.

    Raises
    ------
    SplitError
        If there are leaks and they are not allowed, or ``allow_leaks`` says
        something else.
    """
    allowed = says_leaks_allowed(allow_leaks)
    leaks = find_leaks(table, column, groups)
    if leaks.empty:
        return ()
    if not allowed:
        raise SplitError(
            f"{where}: {_described(leaks, column)}; {_remedy(leaks, column)}."
            f" To go on all the same, say allow_leaks={LEAKS_ALLOWED!r}"
        )
    return (f"leaking, as allowed: {_described(leaks, column)}; scores on such sides are too high",)


def says_leaks_allowed(allow_leaks: bool | str) -> bool:
    """Whether ``allow_leaks`` says so in so many words.

    Raises
    ------
    SplitError
        If it is neither False nor :data:`LEAKS_ALLOWED`.
    """
    if allow_leaks is not False and allow_leaks != LEAKS_ALLOWED:
        raise SplitError(f"allow_leaks is {allow_leaks!r}; expected False, or in so many words {LEAKS_ALLOWED!r}")
    return allow_leaks == LEAKS_ALLOWED


def check_classes(table: pd.DataFrame, column: str = "label") -> None:
    """Check that every split in use holds every class of ``column``.

    Raises
    ------
    SplitError
        Naming the split, the class that it lacks and the remedy.
    """
    classes = sorted(table[column].dropna().unique())
    if len(classes) < 2:
        raise SplitError(
            f"column {column!r} holds {'no class' if not classes else f'only the class {classes[0]!r}'};"
            " expected at least two, so add films of another class,"
            " or split with stratify=None if classes do not matter"
        )
    for split, absent, present in missing_classes(table, column):
        raise SplitError(
            f"split {split!r} has no film of class {absent[0]!r} (it holds {', '.join(present) or 'none'});"
            " add patients of that class, merge classes (cohort relabel), or make the split with split_by_patient"
        )


def missing_classes(table: pd.DataFrame, column: str) -> list[tuple[str, list[str], list[str]]]:
    """For each split in use that lacks a class: its name, the classes it lacks, and those it holds."""
    classes = sorted(table[column].dropna().unique())
    given = table[table["split"].notna()]
    found = []
    for split in [name for name in SPLITS if (given["split"] == name).any()]:
        present = set(given.loc[given["split"] == split, column].dropna())
        absent = [name for name in classes if name not in present]
        if absent:
            found.append((split, absent, sorted(present)))
    return found


def unknown_patients(table: pd.DataFrame) -> dict[str, int]:
    """Films whose patient is not known, by source.

    The patient is not known where ``patient_id_known`` says ``no``; where it
    says nothing, or is absent, when every film of the source has its own id
    as patient.
    """
    source = table["source"].fillna("(none)") if "source" in table else pd.Series("(none)", index=table.index)
    known = table["patient_id_known"] if "patient_id_known" in table else pd.Series(pd.NA, index=table.index)
    known = known.astype("string")
    stands_in = (table["study"].astype("string") == table["patient"].astype("string")).fillna(False).astype(bool)
    unknown = known.eq("no").fillna(False).astype(bool) | (known.isna() & stands_in.groupby(source).transform("all"))
    return {str(name): int(count) for name, count in unknown.groupby(source).sum().items() if count}


def _described(leaks: pd.DataFrame, column: str) -> str:
    joined = bool((leaks["patients"] > 1).any())
    what = "patients or duplicate groups" if joined else "patients"
    shown = [
        f"{group} ({sides}" + (f"; {patients} patients with copies of a film)" if patients > 1 else ")")
        for group, patients, sides in leaks.head(_SHOWN)[["group", "patients", "sides"]].itertuples(index=False)
    ]
    more = f" and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
    return f"{len(leaks)} {what} have films in two values of {column!r}: {', '.join(shown)}{more}"


def _remedy(leaks: pd.DataFrame, column: str) -> str:
    if column == "source":
        return "leave the copies out of one source, or put its name in front of the ids if they are other people's"
    if (leaks["patients"] > 1).any():
        return f"leave the copies out, or give all films of a group the same {column}"
    return f"give all films of a patient the same {column}, or make it with split_by_patient"
