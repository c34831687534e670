"""Permutation tests that exchange the groups of whole patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from math import comb
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats._tables import (
    PATIENT,
    STUDY,
    check_key,
    group_values,
    join_notes,
    numbers,
    patient_column,
    unclustered_note,
)
from patchcxr.types import AnyArray, FloatArray, IntArray

NAN = float("nan")
EXACT_LIMIT = 10_000
"""Up to this many different assignments all are tried."""

Statistic = Callable[..., float]
Alternative = Literal["two-sided", "greater", "less"]


class Permutation(NamedTuple):
    """Result of :func:`permute`.

    ``extreme`` of ``tried`` assignments had a statistic at least as extreme as the data.
    """

    statistic: float
    p: float
    method: str
    tried: int
    extreme: int


def mean_difference(a: FloatArray, b: FloatArray) -> float:
    """Mean of the first sample minus that of the second."""
    return float(a.mean() - b.mean())


def median_difference(a: FloatArray, b: FloatArray) -> float:
    """Median of the first sample minus that of the second."""
    return float(np.median(a) - np.median(b))


def between_groups(*samples: FloatArray) -> float:
    """Sum over groups of n (group mean - overall mean) squared; on ranks this orders as Kruskal-Wallis does."""
    centre = np.concatenate(samples).mean()
    return float(sum(sample.size * (sample.mean() - centre) ** 2 for sample in samples))


NAMED: dict[str, tuple[Statistic, bool, Alternative]] = {
    "mean": (mean_difference, False, "two-sided"),
    "median": (median_difference, False, "two-sided"),
    "mean_rank": (mean_difference, True, "two-sided"),
    "kruskal": (between_groups, True, "greater"),
}
"""Statistic, whether it takes ranks, and its alternative, by name."""


def permutation_test(
    table: pd.DataFrame,
    value: str,
    group: str,
    statistic: str | Statistic = "mean",
    *,
    order: Sequence[Any] | None = None,
    patient: str | None = PATIENT,
    key: str | None = STUDY,
    alternative: Alternative | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 9999,
) -> pd.DataFrame:
    """Permutation test of whether a value depends on the group; patients keep their films together.

    The groups are exchanged between patients, each with all its films, so films of one patient need not be
    independent. All assignments are tried if there are at most 10,000; else ``resamples`` are drawn and
    p = (k + 1) / (resamples + 1) with k at least as extreme as the data, which is never 0 and keeps the level
    (Phipson & Smyth 2010).

    Parameters
    ----------
    table
        One row a film.
    value, group
        Names of the columns.
    statistic
        ``"mean"``, ``"median"`` or ``"mean_rank"``, the difference of two groups (a - b); ``"kruskal"``, the spread of
        the mean ranks of two or more groups; or a function of one array of values a group, in the order of the
        groups.
    order
        Groups to compare, in this order; others are left out. By default all, sorted.
    patient
        Column of the patient; by default ``patient`` if the table has it. None exchanges films.
    key
        Column that no two rows may share; by default ``study`` if the table has it.
    alternative
        ``"two-sided"`` compares absolute values, so the statistic should be centred at 0; ``"greater"``; ``"less"``.
        By default two-sided, and greater for ``"kruskal"``.
    rng
        Source of randomness; needed unless all assignments are tried.
    resamples
        Number of drawn assignments.

    Returns
    -------
    pandas.DataFrame
        One row: ``groups`` (number), ``n`` (films), ``patients`` (exchanged units), ``dropped``, ``statistic``, ``p``,
        ``method`` (``"exact"``, ``"monte carlo"`` or ``"none"``), ``tried``, ``extreme`` and ``note``. p is NaN if a
        group has no value, or the statistic is undefined.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, a row has no group or patient, two rows share a key, a patient has films
        in two groups, or there are fewer than two groups.
    LabelError
        If ``order`` names a group that no row has.
    ConfigError
        If the statistic, the alternative or the number of resamples is not usable, or ``rng`` is missing.

    References
    ----------
    Phipson & Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9(1), article 39.

    Examples
    --------
    >>> films = pd.DataFrame({"label": ["a"] * 3 + ["b"] * 3, "ctr": [1, 2, 3, 7, 8, 9]})
    >>> permutation_test(films, "ctr", "label")[["statistic", "p", "method", "tried", "extreme"]]
       statistic    p method  tried  extreme
    0       -6.0  0.1  exact     20        2
    """
    samples, dropped = group_values(table, value, group, order)
    column = patient_column(table, patient)
    names = list(samples)
    films = table[table[group].isin(names)]
    check_key(films, key)
    function, ranked, usual = _resolve(statistic, len(names))
    values = numbers(films[value])
    kept = ~np.isnan(values)
    labels = films[group].map({name: code for code, name in enumerate(names)}).to_numpy(dtype=np.int64)[kept]
    units = np.arange(kept.sum()) if column is None else films[column].to_numpy()[kept]
    values = values[kept]
    row: dict[str, Any] = {"groups": len(names), "n": values.size, "patients": np.unique(units).size}
    row |= {"dropped": sum(dropped.values())}
    empty = [str(name) for name, sample in samples.items() if not sample.size]
    if empty:
        found = Permutation(NAN, NAN, "none", 0, 0)
    else:
        found = permute(
            stats.rankdata(values) if ranked else values,
            labels,
            units,
            function,
            alternative=alternative or usual,
            rng=rng,
            resamples=resamples,
        )
    least = 2 / found.tried if found.method == "exact" else 0.0
    note = join_notes(
        f"no value: {', '.join(empty)}" if empty else "",
        "the statistic is undefined" if not empty and np.isnan(found.statistic) else "",
        f"only {found.tried} assignments are possible" if least >= 0.05 else "",
        unclustered_note(table, patient, column),
    )
    return pd.DataFrame([row | found._asdict() | {"note": note}])


def permute(
    values: AnyArray,
    labels: IntArray,
    patients: AnyArray,
    statistic: Statistic,
    *,
    alternative: Alternative = "two-sided",
    rng: np.random.Generator | None = None,
    resamples: int = 9999,
) -> Permutation:
    """Permutation test over arrays (see :func:`permutation_test`).

    Parameters
    ----------
    values
        One entry a film (N,).
    labels
        Group of each film (N,), from 0; every group occurs.
    patients
        Patient of each film (N,).
    statistic
        Called with one array of values a group. An assignment for which it is NaN counts as extreme.
    alternative, rng, resamples
        As for :func:`permutation_test`.

    Raises
    ------
    CohortError, ConfigError
        As :func:`permutation_test`.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise ConfigError(f"alternative is {alternative!r}; expected 'two-sided', 'greater' or 'less'")
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}; expected at least 1, and 9999 for p-values near 0.001")
    _, first, unit = np.unique(patients, return_index=True, return_inverse=True)
    of_unit = labels[first]
    torn = np.unique(unit[of_unit[unit] != labels])
    if torn.size:
        raise CohortError(
            f"{torn.size} patients have films in two groups, such as {np.asarray(patients)[first[torn[0]]]!r}; "
            "expected one group a patient, whose films move together: leave these out, or use a paired test"
        )
    groups = int(labels.max()) + 1
    sizes = np.bincount(of_unit, minlength=groups)

    def measure(assignment: IntArray) -> float:
        moved = assignment[unit]
        found = float(statistic(*(values[moved == index] for index in range(groups))))
        return abs(found) if alternative == "two-sided" else -found if alternative == "less" else found

    observed = float(statistic(*(values[labels == index] for index in range(groups))))
    if np.isnan(observed):
        return Permutation(NAN, NAN, "none", 0, 0)
    reached = measure(of_unit)
    reached -= 1e-9 * abs(reached)  # equal assignments may differ by rounding
    total = _count(sizes)
    if total <= EXACT_LIMIT:
        extreme = sum(not measure(assignment) < reached for assignment in _assignments(sizes))
        return Permutation(observed, extreme / total, "exact", total, extreme)
    if rng is None:
        raise ConfigError(f"rng is None; {total:.3g} assignments are too many to try all: pass a numpy Generator")
    extreme = sum(not measure(rng.permutation(of_unit)) < reached for _ in range(resamples))
    return Permutation(observed, (extreme + 1) / (resamples + 1), "monte carlo", resamples, extreme)


def _resolve(statistic: str | Statistic, groups: int) -> tuple[Statistic, bool, Alternative]:
    if groups < 2:
        raise CohortError(f"got {groups} group; expected at least two to compare")
    if not isinstance(statistic, str):
        return statistic, False, "two-sided"
    if statistic not in NAMED:
        raise ConfigError(f"statistic is {statistic!r}; expected a function or one of {list(NAMED)}")
    if groups > 2 and statistic != "kruskal":
        raise ConfigError(f"statistic {statistic!r} compares two groups and got {groups}; take 'kruskal' or set order")
    return NAMED[statistic]


def _count(sizes: IntArray) -> int:
    """Ways to assign units to groups of these sizes."""
    left, ways = int(sizes.sum()), 1
    for size in sizes.tolist():
        ways *= comb(left, size)
        left -= size
    return ways


def _assignments(sizes: IntArray) -> Iterator[IntArray]:
    """Every assignment of units to groups of these sizes."""

    def fill(assignment: IntArray, free: IntArray, group: int) -> Iterator[IntArray]:
        if group == sizes.size - 1:
            assignment[free] = group
            yield assignment
            return
        for chosen in combinations(range(free.size), int(sizes[group])):
            taken = list(chosen)
            assignment[free[taken]] = group
            yield from fill(assignment, np.delete(free, taken), group + 1)

    units = int(sizes.sum())
    yield from fill(np.zeros(units, dtype=np.int64), np.arange(units), 0)
