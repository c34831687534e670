"""Splits and folds by patient: no patient is ever on two sides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from patchcxr.data.groups import Groups, patient_groups
from patchcxr.data.splits._deal import DRAWS, SPLITS, deal, deal_folds, strata
from patchcxr.data.splits.checks import check_classes, check_leaks
from patchcxr.errors import SplitError
from patchcxr.types import FloatArray


def split_by_patient(
    table: pd.DataFrame,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    stratify: str | None = "label",
    seed: int = 0,
    groups: Groups | None = None,
    draws: int = 1,
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
        Shares for train, validation and test, which sum to 1. A share of 0
        leaves that split out.
    stratify
        Column of the classes, such as ``label`` or ``class_name``; ``None``
        draws from all patients alike.
    seed
        Another seed gives another split.
    groups
        Duplicate group of each film: patients with copies of a film stay
        together (see :func:`patchcxr.data.groups.patient_groups`).
    draws
        How many orders are tried. The first is that of the hash; of more, the
        one counts whose splits are most even in films, by class and in all,
        for where patients have many films one order can be far off.

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
    shares = as_shares(fractions)
    if shares[0] == 0:
        raise SplitError(f"fractions are {tuple(fractions)}; expected a share for train above 0")
    side = deal(table, shares, stratify, seed, groups, draws)
    made = table.copy()
    made["split"] = side.map(dict(enumerate(SPLITS))).astype("string")
    if stratify is not None:
        check_classes(made, stratify)
    return made


def folds_by_patient(
    table: pd.DataFrame,
    n_folds: int = 5,
    stratify: str | None = "label",
    seed: int = 0,
    groups: Groups | None = None,
) -> pd.DataFrame:
    """Deal patients, with all films, into folds with nearly the same number of films of each class.

    Patients with most films come first, each goes into the fold where the
    films of its classes are fewest, and every fold gets a patient of each
    class (see :func:`split_by_patient`). Ties are broken by a hash of
    ``seed`` and patient id, so the order of the rows has no influence.

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
    made = table.copy()
    made["fold"] = deal_folds(table, n_folds, stratify, seed, groups)
    return made


def folds_by_source(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One fold a source, for tests across databases: copy of the table with ``fold``, and the source of each fold.

    Raises
    ------
    SplitError
        If a source cell is empty, or there is only one source.
    """
    source = table["source"] if "source" in table else pd.Series(pd.NA, index=table.index)
    empty = int(source.isna().sum())
    if empty:
        raise SplitError(f"{empty} films have no source; fill in the column 'source' to leave one source out at a time")
    code, names = pd.factorize(source.astype(str), sort=True)
    if len(names) < 2:
        raise SplitError(f"all films are of the source {str(names[0])!r}; merge cohorts of at least two sources")
    made = table.copy()
    made["fold"] = pd.Series(code, index=table.index).astype("Int64")
    return made, tuple(str(name) for name in names)


def fold_split(
    table: pd.DataFrame,
    fold: int,
    validation_fraction: float = 0.0,
    seed: int = 0,
    stratify: str | None = "label",
    groups: Groups | None = None,
    allow_leaks: bool | str = False,
) -> pd.DataFrame:
    """Split of one fold: its films are the test, a share of the others validation, the rest train.

    Validation is drawn by patient and class, anew for each fold. Films
    without a fold get no split.

    Parameters
    ----------
    table
        Cohort with the column ``fold``; an existing ``split`` is replaced.
    fold
        Fold to test on.
    validation_fraction
        Share of the films outside the fold, from 0 to below 1 (Tahir 2021,
        section 3.4: 0.2).
    seed, stratify, groups
        See :func:`split_by_patient`.
    allow_leaks
        :data:`LEAKS_ALLOWED` to use folds that share patients.

    Raises
    ------
    SplitError
        If there is no such fold, folds share patients or duplicate groups, or
        a class has too few patients for validation.
    """
    if not 0 <= validation_fraction < 1:
        raise SplitError(f"validation_fraction is {validation_fraction}; expected a share from 0 to below 1")
    if "fold" not in table or not (table["fold"] == fold).any():
        there = sorted(map(int, table["fold"].dropna().unique())) if "fold" in table else []
        expected = f"one of {there}" if there else "a cohort with folds (cohort split --scheme degerli2021)"
        raise SplitError(f"fold is {fold}; expected {expected}")
    check_leaks(table, "fold", groups, allow_leaks)
    made = table.copy()
    tested = (table["fold"] == fold).fillna(False).astype(bool)
    rest = ~tested & table["fold"].notna()
    made["split"] = pd.Series(pd.NA, index=table.index, dtype="string")
    made.loc[tested, "split"] = "test"
    made.loc[rest, "split"] = "train"
    if validation_fraction:
        shares = np.array([1 - validation_fraction, validation_fraction])
        keys = patient_groups(table, groups)[rest]
        side = deal(table[rest], shares, stratify, f"{seed}:fold {fold}", keys, DRAWS)
        made.loc[rest, "split"] = side.map({0: "train", 1: "validation"}).to_numpy(dtype=object)
    return made


def iterate_folds(
    table: pd.DataFrame,
    validation_fraction: float = 0.0,
    seed: int = 0,
    stratify: str | None = "label",
    groups: Groups | None = None,
    allow_leaks: bool | str = False,
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Every fold with its split, see :func:`fold_split`.

    Yields
    ------
    The fold and a copy of the table with its ``split``.
    """
    if "fold" not in table or table["fold"].notna().sum() == 0:
        raise SplitError("cohort has no folds; make them with make_split or folds_by_patient")
    for fold in sorted(table["fold"].dropna().unique()):
        yield int(fold), fold_split(table, int(fold), validation_fraction, seed, stratify, groups, allow_leaks)


def reduce_training(
    table: pd.DataFrame,
    share: float,
    stratify: str | None = "label",
    seed: int = 0,
    groups: Groups | None = None,
) -> pd.DataFrame:
    """Keep a share of the training patients of each class, at least one, to see what fewer films cost.

    Smaller shares are parts of larger ones with the same seed (Oh 2020, Table
    XV and Fig. 12: 1, 0.5, 0.3 and 0.1).

    Returns
    -------
    Copy of the table in which the other training films have no split.

    Raises
    ------
    SplitError
        If the share is not above 0 and at most 1, or there is no training film.
    """
    if not 0 < share <= 1:
        raise SplitError(f"share is {share}; expected above 0 and at most 1")
    train = (table["split"] == "train").fillna(False).astype(bool)
    if not train.any():
        raise SplitError("cohort has no film in the split 'train'; make a split first, with make_split")
    keys = patient_groups(table, groups)
    _, members = strata(table[train], stratify, f"{seed}:training", keys[train])
    kept = {group for found in members.values() for group in found[: math.ceil(round(share * len(found), 9))]}
    made = table.copy()
    made["split"] = table["split"].mask(train & ~keys.isin(kept))
    return made


def as_shares(fractions: Sequence[float]) -> FloatArray:
    """Three shares of 1.

    Raises
    ------
    SplitError
        If they are not.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or not (shares >= 0).all() or not np.isclose(shares.sum(), 1):
        raise SplitError(
            f"fractions are {tuple(fractions)}; expected three shares for {', '.join(SPLITS)} that sum to 1,"
            " with a share for train"
        )
    return shares
