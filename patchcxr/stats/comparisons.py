"""Tests between classes and between methods: one tidy table in, one tidy table out.

Values that are NaN or infinite take part in no test and are counted in a ``dropped`` column. Stars come from the
p-values after correction for the number of tests (Oh 2020 does not say that its own are corrected). What limits a
result, such as a group of one, is said in a ``note`` column.

These functions take rows as independent; :func:`~patchcxr.stats.classes.compare` minds repeated patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.diagnostic import lilliefors

from patchcxr.errors import CohortError
from patchcxr.stats._exact import TIED_LIMIT, UNTIED_LIMIT, exact_rank_sum
from patchcxr.stats._tables import (
    check_columns,
    check_confidence,
    check_labels,
    check_number_of_groups,
    group_values,
    join_notes,
    mean,
    numbers,
)
from patchcxr.stats.corrections import Correction, stars, with_stars
from patchcxr.stats.effects import hodges_lehmann, rank_biserial
from patchcxr.stats.paired import paired_table, signed_rank_pairs
from patchcxr.types import FloatArray

__all__ = [
    "by_patient",
    "check_number_of_groups",
    "kruskal",
    "normality",
    "paired_table",
    "rank_sum_pairs",
    "signed_rank_pairs",
    "stars",
]

NAN = float("nan")
SHAPIRO_LIMIT = 5000
"""Largest sample for which the p-value of the Shapiro-Wilk test is accurate (Royston 1995)."""


def by_patient(table: pd.DataFrame, value: str, group: str, patient: str) -> pd.DataFrame:
    """Aggregate films to one value a patient and group: their mean.

    A patient with films in two groups, such as before and during a disease, counts once in each.

    Parameters
    ----------
    table
        One row a film.
    value, group, patient
        Names of the columns.

    Returns
    -------
    pandas.DataFrame
        Columns ``group``, ``patient`` and ``value`` under their own names, ``films`` (that entered the mean) and
        ``dropped`` (films whose value is NaN or infinite). The value is NaN if no film is left.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, or a film has no group or no patient.

    Examples
    --------
    >>> films = pd.DataFrame({"label": ["a", "a", "a"], "patient": [1, 1, 2], "ctr": [0.4, 0.6, 0.7]})
    >>> by_patient(films, "ctr", "label", "patient")
      label  patient  ctr  films  dropped
    0     a        1  0.5      2        0
    1     a        2  0.7      1        0
    """
    check_columns(table, [value, group, patient])
    check_labels(table, group)
    check_labels(table, patient)
    films = table[[group, patient]].assign(**{value: numbers(table[value])})
    grouped = films.groupby([group, patient], observed=True, sort=True)[value]
    patients = grouped.agg(["mean", "count", "size"]).reset_index()
    patients["dropped"] = patients["size"] - patients["count"]
    return patients.rename(columns={"mean": value, "count": "films"})[[group, patient, value, "films", "dropped"]]


def normality(table: pd.DataFrame, value: str, group: str, order: Sequence[Any] | None = None) -> pd.DataFrame:
    """Test each group for a normal distribution (Oh 2020, section III-B).

    Parameters
    ----------
    table
        One row a case.
    value, group
        Names of the columns.
    order
        Groups to test, in this order; by default all.

    Returns
    -------
    pandas.DataFrame
        ``group``, ``n``, ``dropped``; ``ks_statistic`` and ``ks_p``, Kolmogorov-Smirnov against a normal with the
        sample's mean and standard deviation (``kstest`` of MATLAB on standardised values), whose p-value is too large
        because these were fitted; ``lilliefors_p``, which allows for that, interpolated in a table and so limited to
        [0.001, 0.99]; ``shapiro_w`` and ``shapiro_p``, Shapiro-Wilk, the strongest of the three, for 3 to 5,000
        values (NaN beyond: Royston's p-value is not accurate there); ``normal``, whether Lilliefors does not reject at
        0.05; ``note``. Without spread, or with fewer than four values (Shapiro-Wilk: three), the p-values are NaN and
        ``normal`` is False. With thousands of values every test finds departures that do not matter.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, or a row has no group.
    LabelError
        If ``order`` names a group that no row has.
    """
    samples, dropped = group_values(table, value, group, order)
    rows = []
    for name, sample in samples.items():
        row = dict.fromkeys(["ks_statistic", "ks_p", "lilliefors_p", "shapiro_w", "shapiro_p"], NAN)
        spread = sample.size > 0 and np.ptp(sample) > 0
        if spread and sample.size >= 4:
            fitted = stats.kstest((sample - sample.mean()) / sample.std(ddof=1), "norm")
            row["ks_statistic"], row["ks_p"] = float(fitted.statistic), float(fitted.pvalue)
            row["lilliefors_p"] = float(lilliefors(sample, dist="norm", pvalmethod="table")[1])
        if spread and 3 <= sample.size <= SHAPIRO_LIMIT:
            row["shapiro_w"], row["shapiro_p"] = map(float, stats.shapiro(sample))
        note = join_notes(
            f"{sample.size} values are too few" if sample.size < 4 else "" if spread else "all values are equal",
            f"Shapiro-Wilk is limited to {SHAPIRO_LIMIT} values" if sample.size > SHAPIRO_LIMIT else "",
        )
        normal = bool(row["lilliefors_p"] >= 0.05)
        rows.append({"group": name, "n": sample.size, "dropped": dropped[name], **row, "normal": normal, "note": note})
    return pd.DataFrame(rows)


def kruskal(table: pd.DataFrame, value: str, group: str, order: Sequence[Any] | None = None) -> pd.DataFrame:
    """Kruskal-Wallis omnibus test of whether any group is shifted against the others.

    Returns
    -------
    pandas.DataFrame
        One row: ``statistic`` (corrected for ties), ``df``, ``p`` (chi-square approximation), ``n``, ``dropped``,
        ``epsilon_squared`` (the effect, in [0, 1]) and ``note``. NaN with fewer than two groups that hold values; p is
        1 if all values are equal. Groups without values are left out of the test and named in the note.

    Raises
    ------
    CohortError, LabelError
        As :func:`normality`.
    """
    samples, dropped = group_values(table, value, group, order)
    filled = [sample for sample in samples.values() if sample.size]
    pooled = np.concatenate([np.empty(0), *filled])
    statistic, p = NAN, NAN
    if len(filled) >= 2:
        statistic, p = (0.0, 1.0) if np.ptp(pooled) == 0 else map(float, stats.kruskal(*filled))
    empty = [str(name) for name, sample in samples.items() if not sample.size]
    note = join_notes(
        f"without values: {', '.join(empty)}" if empty else "",
        "fewer than two groups with values" if len(filled) < 2 else "",
        "all values are equal" if pooled.size and np.ptp(pooled) == 0 else "",
        "groups below five values: p is approximate" if any(sample.size < 5 for sample in filled) else "",
    )
    row = {
        "statistic": statistic,
        "df": max(len(filled) - 1, 0),
        "p": p,
        "n": pooled.size,
        "dropped": sum(dropped.values()),
        "epsilon_squared": statistic / (pooled.size - 1) if pooled.size > 1 else NAN,
        "note": note,
    }
    return pd.DataFrame([row])


def rank_sum_pairs(
    table: pd.DataFrame,
    value: str,
    group: str,
    order: Sequence[Any] | None = None,
    correction: Correction = "holm",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Wilcoxon rank-sum test between every two groups (Oh 2020, Tables VI to IX).

    The test is exact without ties if both groups have fewer than 50 values (as ``wilcox.test`` of R), and with ties,
    given these, if there are at most 20 values together (about as ``ranksum`` of MATLAB, which the paper used); else
    ``scipy.stats.mannwhitneyu``, normal with correction for ties and continuity. ``scipy.stats.ranksums`` has neither.

    Parameters
    ----------
    table
        One row a case; cases are taken as independent (:func:`by_patient` makes them so, and
        :func:`~patchcxr.stats.classes.compare` calls it where patients repeat).
    value, group
        Names of the columns.
    order
        Groups to compare, in this order; others are left out. By default all, sorted.
    correction
        ``"holm"``, ``"fdr_bh"`` (Benjamini-Hochberg) or ``"none"``, over the pairs of this table.
    confidence
        Coverage of the interval of the shift.

    Returns
    -------
    pandas.DataFrame
        One row a pair, ``group_a`` before ``group_b`` in the order: ``n_a``, ``n_b``, ``mean_a``, ``std_a`` (n - 1),
        ``mean_b``, ``std_b``, ``median_a``, ``median_b``, ``statistic`` (U of a), ``method`` (``"exact"``,
        ``"asymptotic"`` or ``"none"``), ``p``, ``p_adjusted``, ``stars`` (of ``p_adjusted``), ``rank_biserial``
        (positive if a tends to be larger), ``shift``, ``shift_low`` and ``shift_high`` (Hodges-Lehmann, a - b, in the
        unit of the value), ``dropped`` (undefined values of the two groups) and ``note`` (groups too small, constant
        or empty). p is NaN if a group has no value left, and 1 if all values are equal.

    Raises
    ------
    CohortError, LabelError
        As :func:`normality`.
    ConfigError
        If the correction or the confidence is not usable.

    Examples
    --------
    >>> films = pd.DataFrame({"label": ["a"] * 5 + ["b"] * 5, "ctr": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]})
    >>> rank_sum_pairs(films, "ctr", "label")[["group_a", "group_b", "statistic", "p", "stars", "rank_biserial"]]
      group_a group_b  statistic         p stars  rank_biserial
    0       a       b        0.0  0.007937    **           -1.0
    """
    samples, dropped = group_values(table, value, group, order)
    rows = []
    for name_a, name_b in combinations(samples, 2):
        a, b = samples[name_a], samples[name_b]
        statistic, p, method = rank_sum(a, b)
        shift = hodges_lehmann(a, b, confidence)
        rows.append(
            {
                "group_a": name_a,
                "group_b": name_b,
                "n_a": a.size,
                "n_b": b.size,
                "mean_a": mean(a),
                "std_a": _std(a),
                "mean_b": mean(b),
                "std_b": _std(b),
                "median_a": _median(a),
                "median_b": _median(b),
                "statistic": statistic,
                "method": method,
                "p": p,
                "p_adjusted": NAN,
                "stars": "",
                "rank_biserial": rank_biserial(a, b),
                "shift": shift.estimate,
                "shift_low": shift.low,
                "shift_high": shift.high,
                "dropped": dropped[name_a] + dropped[name_b],
                "note": _pair_note({name_a: a, name_b: b}, confidence),
            }
        )
    if not rows:
        raise CohortError(f"{group} has {len(samples)} group in the table; expected at least two to compare")
    return with_stars(pd.DataFrame(rows), correction)


def rank_sum(a: FloatArray, b: FloatArray) -> tuple[float, float, str]:
    """U of ``a``, two-sided p-value and how it was found: ``"exact"``, ``"asymptotic"`` or ``"none"``."""
    if a.size == 0 or b.size == 0:
        return NAN, NAN, "none"
    pooled = np.concatenate([a, b])
    if np.ptp(pooled) == 0:
        return a.size * b.size / 2, 1.0, "exact"
    approximate = stats.mannwhitneyu(a, b, alternative="two-sided", method="asymptotic", use_continuity=True)
    tied = np.unique(pooled).size < pooled.size
    small = pooled.size <= TIED_LIMIT if tied else max(a.size, b.size) < UNTIED_LIMIT
    p = exact_rank_sum(a, b) if small else float(approximate.pvalue)
    return float(approximate.statistic), p, "exact" if small else "asymptotic"


def _pair_note(samples: dict[Any, FloatArray], confidence: float) -> str:
    """Name what limits the test of two groups."""
    check_confidence(confidence)
    (a, b), sizes = samples.values(), [sample.size for sample in samples.values()]
    if min(sizes) == 0:
        return f"no value: {', '.join(str(name) for name, sample in samples.items() if not sample.size)}"
    if np.ptp(np.concatenate([a, b])) == 0:
        return "all values are equal"
    least = 2 / comb(sum(sizes), sizes[0]) if sum(sizes) <= TIED_LIMIT or min(sizes) < 3 else 0.0
    constant = [str(name) for name, sample in samples.items() if sample.size > 1 and np.ptp(sample) == 0]
    return join_notes(
        f"so few values that p cannot be below {least:.2g}" if least >= 0.05 else "",
        "the interval of the shift spans all differences and has less confidence" if least >= 1 - confidence else "",
        f"constant: {', '.join(constant)}" if constant else "",
    )


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else NAN


def _std(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else NAN
