"""Exact null distributions of rank sums, given the ranks that occurred."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

from patchcxr.types import BoolArray, FloatArray, IntArray

UNTIED_LIMIT = 50
"""Samples without ties are tested exactly below this size, as R's ``wilcox.test`` does."""
TIED_LIMIT = 20
"""Samples with ties are tested exactly up to this many values, about as MATLAB's ``ranksum`` does."""


def exact_rank_sum(a: FloatArray, b: FloatArray) -> float:
    """Two-sided p-value of the rank-sum test over all splits of the pooled ranks, ties included.

    Twice the smaller tail, as in R and MATLAB.
    """
    ranks = _whole(stats.rankdata(np.concatenate([a, b])))
    return _two_sided(_rank_sums(tuple(sorted(ranks.tolist())), a.size), int(ranks[: a.size].sum()))


def exact_signed_rank(ranks: FloatArray, positive: BoolArray) -> float:
    """Two-sided p-value of the signed-rank test over all signs of the given ranks."""
    whole = _whole(ranks)
    return _two_sided(_signed_sums(tuple(sorted(whole.tolist()))), int(whole[positive].sum()))


def rank_sum_quantile(n_a: int, n_b: int, level: float) -> int:
    """Smallest U whose cumulative probability reaches ``level``, without ties (``qwilcox`` of R)."""
    smallest = n_a * (n_a + 1) // 2
    return _quantile(_rank_sums(tuple(range(1, n_a + n_b + 1)), n_a)[smallest:], level)


def signed_rank_quantile(n: int, level: float) -> int:
    """Smallest V whose cumulative probability reaches ``level``, without ties (``qsignrank`` of R)."""
    return _quantile(_signed_sums(tuple(range(1, n + 1))), level)


@lru_cache(maxsize=64)
def _rank_sums(ranks: tuple[int, ...], size: int) -> FloatArray:
    """Probability of each sum (from 0) of ``size`` ranks drawn without replacement (Streitberg & Roehmel 1986)."""
    total = sum(sorted(ranks)[len(ranks) - size :])
    ways = np.zeros((size + 1, total + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : total + 1 - rank].copy()
    return ways[size] / ways[size].sum()


@lru_cache(maxsize=64)
def _signed_sums(ranks: tuple[int, ...]) -> FloatArray:
    """Probability of each sum (from 0) of the ranks with a positive sign, if every sign is a fair coin."""
    probabilities: FloatArray = np.zeros(sum(ranks) + 1)
    probabilities[0] = 1
    for rank in ranks:
        shifted = np.zeros_like(probabilities)
        shifted[rank:] = probabilities[: probabilities.size - rank]
        probabilities = (probabilities + shifted) / 2
    return probabilities


def _whole(ranks: FloatArray) -> IntArray:
    """Ranks as whole numbers: doubled if some are tied, so that one half is one."""
    doubled = np.rint(2 * ranks).astype(np.int64)
    return doubled // 2 if not (doubled % 2).any() else doubled


def _two_sided(probabilities: FloatArray, observed: int) -> float:
    tail = min(probabilities[: observed + 1].sum(), probabilities[observed:].sum())
    return float(min(1.0, 2 * tail))


def _quantile(probabilities: FloatArray, level: float) -> int:
    return int(np.searchsorted(np.cumsum(probabilities), level * (1 - 1e-12)))
