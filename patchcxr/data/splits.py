"""Splits and folds by patient: no patient is ever on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.errors import SplitError

SPLITS: Final = ("train", "validation", "test")


def split_by_patient(
    table: pd.DataFrame,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    stratify: str | None = "label",
    seed: int = 0,
) -> pd.DataFrame:
    """Assign every patient, with all films, to train, validation or test.

    Patients are divided class by class. A patient whose films have several
    classes counts for the one that the fewest patients have (on a tie, the
    first in the alphabet), so that rare classes are spread first. Within a
    class, patients are put in the order of a hash of ``seed`` and patient id,
    and each split gets its share of them (largest remainder), but at least
    one. The order of the rows has no influence.

    Parameters
    ----------
    table
        Cohort; an existing ``split`` column is replaced.
    fractions
        Shares of the patients (not of the films) for train, validation and
        test, which sum to 1. A share of 0 leaves that split out.
    stratify
        Column of the classes, such as ``label`` or ``class_name``; ``None``
        draws from all patients alike.
    seed
        Another seed gives another split.

    Returns
    -------
    Copy of the table with the ``split`` column filled.

    Raises
    ------
    SplitError
        If the fractions are wrong, a class or patient cell is empty, or a
        class has fewer patients than there are splits, so that it would be
        missing from one of them.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or (shares < 0).any() or not np.isclose(shares.sum(), 1) or shares[0] == 0:
        raise SplitError(
            f"fractions are {tuple(fractions)}; expected three shares for {', '.join(SPLITS)} that sum to 1,"
            " with a share for train"
        )
    used = np.flatnonzero(shares)
    assigned: dict[str, str] = {}
    for name, patients in _strata(table, stratify, seed).items():
        if len(patients) < len(used):
            raise SplitError(_too_few(name, len(patients), f"{len(used)} splits", stratify))
        counts = _shares_to_counts(len(patients), shares[used])
        names = np.repeat([SPLITS[index] for index in used], counts)
        assigned.update(zip(patients, names.tolist(), strict=True))
    made = table.copy()
    made["split"] = made["patient"].map(assigned).astype("string")
    if stratify is not None:
        check_classes(made, stratify)
    return made


def folds_by_patient(
    table: pd.DataFrame, n_folds: int = 5, stratify: str | None = "label", seed: int = 0
) -> pd.DataFrame:
    """Deal patients, with all films, into folds of nearly equal size for cross-validation.

    Patients of one class (see :func:`split_by_patient`) are dealt one by one
    in the order of their hash; each class goes on where the one before ended.

    Returns
    -------
    Copy of the table with the column ``fold``, from 0 to ``n_folds - 1`` (Int64).

    Raises
    ------
    SplitError
        If a class has fewer patients than there are folds, a cell is empty,
        or ``n_folds`` is below 2.
    """
    if n_folds < 2:
        raise SplitError(f"n_folds is {n_folds}; expected at least 2")
    assigned: dict[str, int] = {}
    start = 0
    for name, patients in _strata(table, stratify, seed).items():
        if len(patients) < n_folds:
            raise SplitError(_too_few(name, len(patients), f"{n_folds} folds", stratify))
        assigned.update({patient: (start + index) % n_folds for index, patient in enumerate(patients)})
        start += len(patients)
    made = table.copy()
    made["fold"] = made["patient"].map(assigned).astype("Int64")
    return made


def check_patients(table: pd.DataFrame, column: str = "split", where: str = "cohort") -> None:
    """Check that no patient has films in two splits or folds; empty cells do not count.

    Raises
    ------
    SplitError
        Naming up to five of the patients and where they are.
    """
    pairs = table.loc[table[column].notna(), ["patient", column]].drop_duplicates()
    leaking = pairs[pairs["patient"].duplicated(keep=False)].astype(str).groupby("patient")[column].agg(sorted)
    if len(leaking):
        shown = ", ".join(f"{patient} ({' and '.join(names)})" for patient, names in leaking.head(5).items())
        raise SplitError(
            f"{where}: {len(leaking)} patients have films in two values of {column!r}: {shown};"
            f" give all films of a patient the same {column}, or make it with split_by_patient"
        )


def check_classes(table: pd.DataFrame, column: str = "label") -> None:
    """Check that every split in use holds every class of ``column``.

    Raises
    ------
    SplitError
        Naming the split, the class that it lacks and the remedy.
    """
    classes = sorted(table[column].dropna().unique())
    given = table[table["split"].notna()]
    if len(classes) < 2:
        raise SplitError(
            f"column {column!r} holds {'no class' if not classes else f'only the class {classes[0]!r}'};"
            " expected at least two, so add films of another class,"
            " or split with stratify=None if classes do not matter"
        )
    for split in [name for name in SPLITS if (given["split"] == name).any()]:
        present = set(given.loc[given["split"] == split, column].dropna())
        absent = [name for name in classes if name not in present]
        if absent:
            raise SplitError(
                f"split {split!r} has no film of class {absent[0]!r} (it holds {', '.join(sorted(present)) or 'none'});"
                " add patients of that class, merge classes with a LabelScheme, or make the split with split_by_patient"
            )


def _strata(table: pd.DataFrame, stratify: str | None, seed: int) -> dict[str, list[str]]:
    """Patients of each class, classes in alphabetical order, patients in that of their hash."""
    for column in ("patient", stratify):
        if column is None:
            continue
        if column not in table:
            raise SplitError(f"cohort has no column {column!r}; got {', '.join(map(str, table.columns))}")
        empty = table[column].isna().to_numpy(dtype=bool)
        if empty.any():
            row = int(np.flatnonzero(empty)[0])
            raise SplitError(
                f"row {row + 1}: column {column!r} is empty ({int(empty.sum())} such rows); fill it in, leave these"
                " rows out" + (", or split with stratify=None" if column == stratify else "")
            )
    if table.empty:
        raise SplitError("cohort has no rows; give at least one patient for each split")
    names = table[stratify] if stratify else "all"
    pairs = pd.DataFrame({"patient": table["patient"], "name": names}).drop_duplicates()
    patients_of = pairs["name"].value_counts()
    pairs["rarity"] = pairs["name"].map(patients_of)
    chosen = pairs.sort_values(["rarity", "name"]).drop_duplicates("patient")
    strata = {str(name): [] for name in sorted(patients_of.index)}  # type: dict[str, list[str]]
    for patient, name in zip(chosen["patient"], chosen["name"], strict=True):
        strata[str(name)].append(patient)
    return {name: sorted(patients, key=lambda patient: _rank(seed, patient)) for name, patients in strata.items()}


def _rank(seed: int, patient: object) -> str:
    return hashlib.sha256(f"{seed}:{patient}".encode()).hexdigest()


def _shares_to_counts(total: int, shares: np.ndarray) -> np.ndarray:
    """Whole numbers that sum to ``total``, at least 1 each, nearest to the shares (largest remainder)."""
    exact = np.maximum(total * shares, 1)
    counts = np.floor(exact).astype(int)
    while counts.sum() > total:
        counts[np.argmax(np.where(counts > 1, counts - total * shares, -np.inf))] -= 1
    for index in np.argsort(-(exact - counts), kind="stable")[: total - counts.sum()]:
        counts[index] += 1
    return counts


def _too_few(name: str, count: int, sides: str, stratify: str | None) -> str:
    if stratify is None:
        return f"cohort has {count} patients; {sides} need at least one each, so add patients or use fewer {sides[2:]}"
    return (
        f"class {name!r} of column {stratify!r} has {count} patients of its own; {sides} need at least one each,"
        f" so add patients, merge classes with a LabelScheme, leave the class out, or use fewer {sides[2:]}"
    )
