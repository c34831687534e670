"""Effect sizes of rank tests: rank-biserial correlations and Hodges-Lehmann shifts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from patchcxr.stats._exact import UNTIED_LIMIT, rank_sum_quantile, signed_rank_quantile
from patchcxr.stats._tables import check_confidence, kth_smallest
from patchcxr.types import FloatArray

NAN = float("nan")


class Shift(NamedTuple):
    """A shift in the unit of the values, with its confidence interval."""

    estimate: float
    low: float
    high: float


def rank_biserial(a: FloatArray, b: FloatArray) -> float:
    """Rank-biserial correlation of two independent samples, in [-1, 1].

    P(a > b) - P(a < b) over all pairs: **positive if the first sample tends to be larger**. 0 is no effect; +1 says
    that every value of ``a`` exceeds every value of ``b``. Equals 2 U / (n_a n_b) - 1 with U the Mann-Whitney
    statistic of ``a``, and Cliff's delta. NaN if a sample is empty.

    Examples
    --------
    >>> rank_biserial([3, 4, 5], [1, 2, 3])
    0.8888888888888888
    """
    a, b = np.asarray(a, dtype=np.float64), np.sort(np.asarray(b, dtype=np.float64))
    if a.size == 0 or b.size == 0:
        return NAN
    larger = np.searchsorted(b, a, side="left").sum()
    smaller = (b.size - np.searchsorted(b, a, side="right")).sum()
    return float((larger - smaller) / (a.size * b.size))


def matched_rank_biserial(differences: FloatArray) -> float:
    """Matched-pairs rank-biserial correlation, in [-1, 1] (Kerby 2014).

    Favourable minus unfavourable share of the rank sum of the non-zero differences: **positive if the first of the
    pair tends to be larger**. 0 if every difference is zero, NaN without pairs.

    Examples
    --------
    >>> matched_rank_biserial([1, 2, -3])
    0.0
    """
    differences = np.asarray(differences, dtype=np.float64)
    if differences.size == 0:
        return NAN
    differences = differences[differences != 0]
    if differences.size == 0:
        return 0.0
    ranks = stats.rankdata(np.abs(differences))
    return float(np.sum(ranks * np.sign(differences)) / ranks.sum())


def hodges_lehmann(a: FloatArray, b: FloatArray, confidence: float = 0.95) -> Shift:
    """Hodges-Lehmann shift between two independent samples: the median of all differences a - b.

    The interval takes the order statistics of the differences at the quantile of the Mann-Whitney distribution, exact
    if both samples have fewer than 50 values and else by the normal approximation (Hollander & Wolfe 1999, section
    4.3), so it goes with the rank-sum test. With ties it is somewhat cautious. With samples so small that no interval
    reaches the confidence, it spans all differences.

    Returns
    -------
    Shift
        Estimate and interval in the unit of the values; NaN if a sample is empty.

    Raises
    ------
    ConfigError
        If the confidence is outside (0, 1).

    Examples
    --------
    >>> hodges_lehmann([3, 4, 6], [1, 2, 2]).estimate
    2.0
    """
    check_confidence(confidence)
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    pairs = a.size * b.size
    if pairs == 0:
        return Shift(NAN, NAN, NAN)
    kth = _kth_difference(a, b)
    if max(a.size, b.size) < UNTIED_LIMIT:
        rank = max(1, rank_sum_quantile(a.size, b.size, 0.5 - confidence / 2))
    else:
        rank = _interval_rank(pairs, np.sqrt(pairs * (a.size + b.size + 1) / 12), confidence)
    return Shift(_median_of(kth, pairs), kth(rank), kth(pairs + 1 - rank))


def shift_estimate(a: FloatArray, b: FloatArray) -> float:
    """Estimate of :func:`hodges_lehmann` alone, such as for a bootstrap; NaN if a sample is empty."""
    if a.size * b.size == 0:
        return NAN
    return _median_of(_kth_difference(a, b), a.size * b.size)


def paired_hodges_lehmann(differences: FloatArray, confidence: float = 0.95) -> Shift:
    """Hodges-Lehmann pseudo-median of paired differences: the median of their Walsh averages.

    The interval takes the order statistics of the Walsh averages at the quantile of the signed-rank distribution,
    exact with fewer than 50 pairs and else by the normal approximation (Hollander & Wolfe 1999, section 3.3). Pairs
    without a difference count, as in R.

    Returns
    -------
    Shift
        Estimate and interval in the unit of the values; NaN without pairs.

    Raises
    ------
    ConfigError
        If the confidence is outside (0, 1).

    Examples
    --------
    >>> paired_hodges_lehmann([1, 2, 6]).estimate
    2.75
    """
    check_confidence(confidence)
    d = np.sort(np.asarray(differences, dtype=np.float64))
    pairs = d.size * (d.size + 1) // 2
    if pairs == 0:
        return Shift(NAN, NAN, NAN)

    def count(t: float) -> int:
        ordered = np.searchsorted(d, 2 * t - d, side="right").sum()
        return int((ordered + np.searchsorted(d, t, side="right")) // 2)

    def above(t: float) -> float:
        nearest = np.searchsorted(d, 2 * t - d, side="right")
        found = nearest < d.size
        return float(((d[found] + d[nearest[found]]) / 2).min())

    def kth(k: int) -> float:
        return kth_smallest(k, float(d[0]), float(d[-1]), count, above)

    if d.size < UNTIED_LIMIT:
        rank = max(1, signed_rank_quantile(d.size, 0.5 - confidence / 2))
    else:
        rank = _interval_rank(pairs, np.sqrt(d.size * (d.size + 1) * (2 * d.size + 1) / 24), confidence)
    return Shift(_median_of(kth, pairs), kth(rank), kth(pairs + 1 - rank))


def _kth_difference(a: FloatArray, b: FloatArray) -> Callable[[int], float]:
    """Function that gives the k-th smallest (from 1) of all differences a - b."""
    a, b = np.sort(a), np.sort(b)

    def count(t: float) -> int:
        return int((b.size - np.searchsorted(b, a - t, side="left")).sum())

    def above(t: float) -> float:
        nearest = np.searchsorted(b, a - t, side="left") - 1
        return float((a - b[nearest])[nearest >= 0].min())

    return lambda k: kth_smallest(k, float(a[0] - b[-1]), float(a[-1] - b[0]), count, above)


def _median_of(kth: Callable[[int], float], pairs: int) -> float:
    lower = kth((pairs + 1) // 2)
    return lower if pairs % 2 else (lower + kth(pairs // 2 + 1)) / 2


def _interval_rank(pairs: int, spread: float, confidence: float) -> int:
    z = stats.norm.ppf(0.5 + confidence / 2)
    return max(1, int(np.floor(pairs / 2 - z * spread)))
