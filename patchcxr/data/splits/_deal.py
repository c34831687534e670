"""Who goes where: groups of films dealt to the sides of a split, class by class."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.data.groups import Groups, patient_groups
from patchcxr.errors import SplitError
from patchcxr.types import FloatArray, IntArray

SPLITS: Final = ("train", "validation", "test")

DRAWS: Final = 200
"""Orders tried by the named schemes: a few seconds for 100,000 films."""


def deal(
    table: pd.DataFrame,
    shares: FloatArray,
    stratify: str | None,
    salt: int | str,
    groups: Groups | None = None,
    draws: int = 1,
) -> pd.Series:
    """Side of every film, a number that counts the shares: each side gets its share of each class's groups.

    Groups of a class are taken in the order of their hash (largest remainder,
    but at least one a side). With several draws, the others shuffle that
    order, and the most even one counts: the one with the smallest departures
    of the classes' shares and of the sides' sizes, in films.

    Raises
    ------
    SplitError
        If a cell is empty, or a class has fewer groups than there are sides.
    """
    keys, members = strata(table, stratify, salt, groups)
    used = np.flatnonzero(shares)
    shares = shares[used]
    _check_sizes(members, len(used), "splits", stratify)
    sides = [np.repeat(np.arange(len(used)), _shares_to_counts(len(found), shares)) for found in members.values()]
    films = _films(table, stratify, keys, members) if draws > 1 else np.zeros((0, 0))
    rng = np.random.default_rng(int(_rank(salt, "draws")[:16], 16))
    best, smallest = np.concatenate(sides), np.inf
    for draw in range(draws if draws > 1 else 0):
        drawn = best if draw == 0 else np.concatenate([rng.permutation(side) for side in sides])
        placed = np.stack([films[drawn == side].sum(axis=0) for side in range(len(used))])
        size = placed.sum(axis=1)
        whole = films.sum(axis=0) / films.sum()
        departure = np.abs(placed / size[:, None] - whole).max() + np.abs(size / films.sum() - shares).max()
        if departure < smallest - 1e-12:
            best, smallest = drawn, departure
    named = [group for found in members.values() for group in found]
    return keys.map(dict(zip(named, used[best].tolist(), strict=True))).astype("int64")


def deal_folds(
    table: pd.DataFrame, n_folds: int, stratify: str | None, salt: int | str, groups: Groups | None = None
) -> pd.Series:
    """Fold of every film: the largest groups first, each where it keeps the folds' films of each class most even.

    The last groups of a class are for the folds that have none of it. Ties
    are in the order of the groups' hash. Every group is tested once, so that
    it does not matter that the largest come first; a hold-out made like this
    would never test them.

    Raises
    ------
    SplitError
        If a cell is empty, or a class has fewer groups than there are folds.
    """
    keys, members = strata(table, stratify, salt, groups)
    _check_sizes(members, n_folds, "folds", stratify)
    films = _films(table, stratify, keys, members)
    weight = np.column_stack([films / films.sum(axis=0), films.sum(axis=1) / films.sum()])
    stratum = np.repeat(np.arange(len(members)), [len(found) for found in members.values()])
    fold = np.empty(len(films), dtype=np.int64)
    placed = np.zeros((n_folds, weight.shape[1]))
    lacking = np.ones((len(members), n_folds), dtype=bool)
    left = np.bincount(stratum, minlength=len(members))
    for group in np.argsort(-weight.max(axis=1), kind="stable").tolist():
        added, own = weight[group], stratum[group]
        # The sum over folds and columns of placed^2 grows by 2 placed added + added^2; the second is the same for all.
        growth = placed @ added
        if left[own] <= lacking[own].sum():
            growth[~lacking[own]] = np.inf
        chosen = int(np.argmin(np.round(growth, 12)))  # rounded, so that ties are ties on every machine
        fold[group] = chosen
        placed[chosen] += added
        lacking[own, chosen] = False
        left[own] -= 1
    named = [group for found in members.values() for group in found]
    return keys.map(dict(zip(named, fold.tolist(), strict=True))).astype("Int64")


def strata(
    table: pd.DataFrame, stratify: str | None, salt: int | str, groups: Groups | None = None
) -> tuple[pd.Series, dict[str, list[str]]]:
    """Group of every film, and the groups of each class: classes in alphabetical order, groups in that of their hash.

    A group whose films have several classes counts for the one that the
    fewest groups have (on a tie, the first in the alphabet).
    """
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
    keys = patient_groups(table, groups)
    names = table[stratify] if stratify else "all"
    pairs = pd.DataFrame({"group": keys, "name": names}).drop_duplicates()
    groups_of = pairs["name"].value_counts()
    pairs["rarity"] = pairs["name"].map(groups_of)
    chosen = pairs.sort_values(["rarity", "name"]).drop_duplicates("group")
    members: dict[str, list[str]] = {str(name): [] for name in sorted(groups_of.index)}
    for group, name in zip(chosen["group"], chosen["name"], strict=True):
        members[str(name)].append(group)
    return keys, {name: sorted(found, key=lambda group: _rank(salt, group)) for name, found in members.items()}


def _films(table: pd.DataFrame, stratify: str | None, keys: pd.Series, members: dict[str, list[str]]) -> FloatArray:
    """Films of every group by class: groups as in ``members``, classes in alphabetical order."""
    position = {group: index for index, group in enumerate(group for found in members.values() for group in found)}
    code = pd.factorize(table[stratify].astype(str), sort=True)[0] if stratify else np.zeros(len(table), dtype=int)
    films = np.zeros((len(position), len(members)))
    np.add.at(films, (keys.map(position).to_numpy(), code), 1)
    return films


def _rank(salt: int | str, group: object) -> str:
    return hashlib.sha256(f"{salt}:{group}".encode()).hexdigest()


def _shares_to_counts(total: int, shares: FloatArray) -> IntArray:
    """Whole numbers that sum to ``total``, at least 1 each, nearest to the shares (largest remainder)."""
    exact = np.maximum(total * shares, 1)
    counts = np.floor(exact).astype(int)
    while counts.sum() > total:
        counts[np.argmax(np.where(counts > 1, counts - total * shares, -np.inf))] -= 1
    for index in np.argsort(-(exact - counts), kind="stable")[: total - counts.sum()]:
        counts[index] += 1
    return counts


def _check_sizes(members: dict[str, list[str]], count: int, sides: str, stratify: str | None) -> None:
    for name, found in members.items():
        if len(found) < count:
            raise SplitError(_too_few(name, len(found), f"{count} {sides}", stratify))


def _too_few(name: str, count: int, sides: str, stratify: str | None) -> str:
    if stratify is None:
        return f"cohort has {count} patients; {sides} need at least one each, so add patients or use fewer {sides[2:]}"
    return (
        f"class {name!r} of column {stratify!r} has {count} patients of its own; {sides} need at least one each,"
        f" so add patients, merge classes or leave the class out (cohort relabel), or use fewer {sides[2:]}"
    )
