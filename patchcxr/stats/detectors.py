"""Comparison of two detectors on the same films: DeLong for AUROCs, McNemar for decisions.

Both take every film as independent. Where patients repeat, set
:func:`~patchcxr.stats.bootstrap.cluster_bootstrap` beside them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from patchcxr.errors import CohortError
from patchcxr.stats._tables import check_confidence
from patchcxr.types import AnyArray, FloatArray

NAN = float("nan")


class AurocInterval(NamedTuple):
    """AUROC with its confidence interval, clipped to [0, 1], and standard error."""

    auroc: float
    low: float
    high: float
    standard_error: float


class DeLongTest(NamedTuple):
    """Difference of two paired AUROCs (a - b) with its interval and two-sided p-value."""

    auroc_a: float
    auroc_b: float
    difference: float
    low: float
    high: float
    z: float
    p: float


class McNemarTest(NamedTuple):
    """Films that one detector alone gets right, and the two-sided p-values: exact, and mid-p."""

    only_a_right: int
    only_b_right: int
    p: float
    p_mid: float


class CochranTest(NamedTuple):
    """Share of films that each detector gets right, and Cochran's test of whether the shares are equal."""

    accuracies: tuple[float, ...]
    statistic: float
    df: int
    p: float
    n: int


def delong_interval(truth: AnyArray, score: FloatArray, confidence: float = 0.95) -> AurocInterval:
    """AUROC with the interval of DeLong 1988, by midranks (Sun & Xu 2014).

    The interval is symmetric and clipped to [0, 1]. **At an AUROC of 1 (or 0) the variance is 0 and the interval has
    no width**; it says nothing about the certainty then, and a bootstrap does not help either.

    Parameters
    ----------
    truth
        Whether each film is positive (N,), bool or 0/1.
    score
        Decision score (N,); higher is more positive.
    confidence
        Coverage in (0, 1).

    Returns
    -------
    AurocInterval
        NaN throughout if one class is missing; standard error and interval NaN with a single case of a class.

    Raises
    ------
    CohortError
        If the arrays differ in length, hold NaN, or the truth is not binary.

    Examples
    --------
    >>> interval = delong_interval([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.7, 0.9])
    >>> round(interval.auroc, 3), round(interval.low, 3), interval.high
    (0.889, 0.581, 1.0)
    """
    check_confidence(confidence)
    areas, covariance = _delong(truth, [score])
    error = float(np.sqrt(max(covariance[0, 0], 0.0))) if not np.isnan(covariance[0, 0]) else NAN
    half = stats.norm.ppf(0.5 + confidence / 2) * error
    auroc = float(areas[0])
    low, high = np.clip([auroc - half, auroc + half], 0, 1)
    return AurocInterval(auroc, float(low), float(high), error)


def delong_test(truth: AnyArray, a: FloatArray, b: FloatArray, confidence: float = 0.95) -> DeLongTest:
    """Test whether two scores of the same films have the same AUROC (DeLong 1988).

    Parameters
    ----------
    truth
        Whether each film is positive (N,), bool or 0/1.
    a, b
        Decision scores of the two detectors (N,).
    confidence
        Coverage of the interval of the difference.

    Returns
    -------
    DeLongTest
        If the difference has no variance, p is 1 for equal AUROCs (such as twice the same score) and NaN otherwise.

    Raises
    ------
    CohortError
        As :func:`delong_interval`.
    """
    check_confidence(confidence)
    areas, covariance = _delong(truth, [a, b])
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = NAN if np.isnan(variance) else float(np.sqrt(max(variance, 0.0)))
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * error
    if error > 1e-12:
        z = difference / error
        p = float(2 * stats.norm.sf(abs(z)))
    elif error <= 1e-12 and abs(difference) <= 1e-12:
        z, p = 0.0, 1.0
    else:
        z, p = NAN, NAN
    return DeLongTest(float(areas[0]), float(areas[1]), difference, difference - half, difference + half, z, p)


def mcnemar(truth: AnyArray, pred_a: AnyArray, pred_b: AnyArray) -> McNemarTest:
    """Exact McNemar test of whether two detectors err equally often on the same films.

    Only films that one gets right and the other wrong count; under the null each is a fair coin. The exact p-value
    keeps its level but is cautious; the mid-p counts half of the observed outcome's probability (Fagerland 2013).

    Parameters
    ----------
    truth, pred_a, pred_b
        Classes (N,), of any kind that compares with ``==``; more than two classes are allowed.

    Returns
    -------
    McNemarTest
        Both p-values are 1 if the two are right on exactly the same films.

    Raises
    ------
    CohortError
        If the arrays differ in length.

    Examples
    --------
    >>> mcnemar([1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    McNemarTest(only_a_right=5, only_b_right=0, p=0.0625, p_mid=0.03125)
    """
    truth, pred_a, pred_b = np.asarray(truth), np.asarray(pred_a), np.asarray(pred_b)
    if truth.ndim != 1 or not truth.shape == pred_a.shape == pred_b.shape:
        raise CohortError(
            f"truth, pred_a and pred_b have shapes {truth.shape}, {pred_a.shape}, {pred_b.shape}; "
            "expected one class per film in each"
        )
    right_a, right_b = pred_a == truth, pred_b == truth
    only_a = int(np.count_nonzero(right_a & ~right_b))
    only_b = int(np.count_nonzero(right_b & ~right_a))
    n = only_a + only_b
    if n == 0:
        return McNemarTest(0, 0, 1.0, 1.0)
    p = float(stats.binomtest(only_a, n).pvalue)
    observed = float(stats.binom.pmf(only_a, n, 0.5))
    p_mid = 1 - observed / 2 if only_a == only_b else p - observed  # Fagerland 2013, supplement, eq. 2
    return McNemarTest(only_a, only_b, p, p_mid)


def cochran_q(right: AnyArray) -> CochranTest:
    """Cochran's Q test of whether several detectors are right equally often on the same films.

    Parameters
    ----------
    right
        Whether each detector is right on each film (N, k), bool or 0/1, k of 2 or more.

    Returns
    -------
    CochranTest
        The statistic follows chi-square with k - 1 degrees of freedom; with k = 2 it is McNemar's without correction
        for continuity. p is 1 if the detectors are right on exactly the same films.

    Raises
    ------
    CohortError
        If the array is not (N, k) of 0 and 1 with at least one film and two detectors.

    Examples
    --------
    >>> found = cochran_q([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1]])
    >>> round(found.statistic, 3), found.df, round(found.p, 3)
    (3.5, 2, 0.174)
    """
    table = np.asarray(right)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2 or not np.isin(table, (0, 1)).all():
        raise CohortError(
            f"right has shape {table.shape}; expected (films, detectors) of 0 and 1, with two detectors or more"
        )
    table = table.astype(np.int64)
    films, detectors = table.shape
    columns, rows = table.sum(axis=0), table.sum(axis=1)
    spread = detectors * rows.sum() - (rows**2).sum()
    accuracies = tuple(float(count) / films for count in columns)
    if spread == 0:
        return CochranTest(accuracies, 0.0, detectors - 1, 1.0, films)
    statistic = float((detectors - 1) * (detectors * (columns**2).sum() - columns.sum() ** 2) / spread)
    return CochranTest(accuracies, statistic, detectors - 1, float(stats.chi2.sf(statistic, detectors - 1)), films)


def _delong(truth: AnyArray, scores: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """AUROCs and their covariance by midranks (Sun & Xu 2014, eq. 5 and 6)."""
    truth = np.asarray(truth)
    columns = [np.asarray(score, dtype=np.float64) for score in scores]
    shapes = [column.shape for column in columns]
    if truth.ndim != 1 or any(shape != truth.shape for shape in shapes):
        raise CohortError(f"truth has shape {truth.shape} and the scores {shapes}; expected one of each per film")
    if any(np.isnan(column).any() for column in columns) or not np.isin(truth, (0, 1)).all():
        raise CohortError("a score is NaN, or truth is not bool or 0/1; leave such films out and report how many")
    positive = truth.astype(bool)
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return np.full(len(columns), NAN), np.full((len(columns), len(columns)), NAN)
    components_positive = np.empty((len(columns), m))
    components_negative = np.empty((len(columns), n))
    for index, column in enumerate(columns):
        ranks = stats.rankdata(column)
        components_positive[index] = (ranks[positive] - stats.rankdata(column[positive])) / n
        components_negative[index] = 1 - (ranks[~positive] - stats.rankdata(column[~positive])) / m
    areas = components_positive.mean(axis=1)
    if m == 1 or n == 1:
        return areas, np.full((len(columns), len(columns)), NAN)
    return areas, np.atleast_2d(np.cov(components_positive)) / m + np.atleast_2d(np.cov(components_negative)) / n
