"""Tests between classes and between methods: one tidy table in, one tidy table out.

Values that are NaN or infinite take part in no test and are counted in a ``dropped`` column. Stars come from the
p-values after correction for the number of tests (Oh 2020 does not say that its own are corrected).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.diagnostic import lilliefors

from patchcxr.errors import CohortError
from patchcxr.stats._tables import (
    check_columns,
    check_labels,
    group_values,
    mean,
    numbers,
)
from patchcxr.stats.corrections import Correction, stars, with_stars
from patchcxr.stats.effects import hodges_lehmann, rank_biserial
from patchcxr.stats.paired import paired_table, signed_rank_pairs
from patchcxr.types import FloatArray

__all__ = [
    "by_patient",
    "kruskal",
    "normality",
    "paired_table",
    "rank_sum_pairs",
    "signed_rank_pairs",
    "stars",
]

NAN = float("nan")


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
        [0.001, 0.99]; ``normal``, whether Lilliefors does not reject at 0.05. With fewer than four values or no
        spread the p-values are NaN and ``normal`` is False.

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
        statistic, ks_p, lilliefors_p = NAN, NAN, NAN
        if sample.size >= 4 and np.ptp(sample) > 0:
            fitted = stats.kstest((sample - sample.mean()) / sample.std(ddof=1), "norm")
            statistic, ks_p = float(fitted.statistic), float(fitted.pvalue)
            lilliefors_p = float(lilliefors(sample, dist="norm", pvalmethod="table")[1])
        rows.append(
            {
                "group": name,
                "n": sample.size,
                "dropped": dropped[name],
                "ks_statistic": statistic,
                "ks_p": ks_p,
                "lilliefors_p": lilliefors_p,
                "normal": bool(lilliefors_p >= 0.05),
            }
        )
    return pd.DataFrame(rows)


def kruskal(table: pd.DataFrame, value: str, group: str, order: Sequence[Any] | None = None) -> pd.DataFrame:
    """Kruskal-Wallis omnibus test of whether any group is shifted against the others.

    Returns
    -------
    pandas.DataFrame
        One row: ``statistic``, ``df``, ``p``, ``n``, ``dropped`` and ``epsilon_squared`` (the effect, in [0, 1]).
        NaN with fewer than two groups that hold values; p is 1 if all values are equal.

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
    row = {
        "statistic": statistic,
        "df": len(filled) - 1,
        "p": p,
        "n": pooled.size,
        "dropped": sum(dropped.values()),
        "epsilon_squared": statistic / (pooled.size - 1) if pooled.size > 1 else NAN,
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

    The test is ``scipy.stats.mannwhitneyu``: exact for small samples without ties, else normal with correction for
    ties and continuity, as in MATLAB's ``ranksum``, which the paper used. ``scipy.stats.ranksums`` has neither.

    Parameters
    ----------
    table
        One row a case; cases are taken as independent (:func:`by_patient` makes them so).
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
        ``mean_b``, ``std_b``, ``median_a``, ``median_b``, ``statistic`` (U of a), ``p``, ``p_adjusted``, ``stars``
        (of ``p_adjusted``), ``rank_biserial`` (positive if a tends to be larger), ``shift``, ``shift_low`` and
        ``shift_high`` (Hodges-Lehmann, a - b, in the unit of the value) and ``dropped`` (undefined values of the
        two groups). p is NaN if a group has no value left, and 1 if all values are equal.

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
        statistic, p = _rank_sum(a, b)
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
                "p": p,
                "p_adjusted": NAN,
                "stars": "",
                "rank_biserial": rank_biserial(a, b),
                "shift": shift.estimate,
                "shift_low": shift.low,
                "shift_high": shift.high,
                "dropped": dropped[name_a] + dropped[name_b],
            }
        )
    if not rows:
        raise CohortError(f"{group} has {len(samples)} group in the table; expected at least two to compare")
    return with_stars(pd.DataFrame(rows), correction)


def _rank_sum(a: FloatArray, b: FloatArray) -> tuple[float, float]:
    if a.size == 0 or b.size == 0:
        return NAN, NAN
    if np.ptp(np.concatenate([a, b])) == 0:
        return a.size * b.size / 2, 1.0
    result = stats.mannwhitneyu(a, b, alternative="two-sided", method="auto")
    return float(result.statistic), float(result.pvalue)


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else NAN


def _std(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else NAN
