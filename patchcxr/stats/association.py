"""Rank correlation, with an interval that resamples patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from patchcxr.errors import CohortError
from patchcxr.stats.intervals import cluster_bootstrap
from patchcxr.types import AnyArray, FloatArray

NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Spearman's correlation ``rho`` with its p-value, interval, and the films used and dropped."""

    rho: float
    p: float
    low: float
    high: float
    n: int
    dropped: int


def rank_correlation(
    a: FloatArray,
    b: FloatArray,
    groups: AnyArray | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> RankCorrelation:
    """Spearman's rank correlation, such as of map-derived with true severity.

    Parameters
    ----------
    a, b
        Values of the same films (N,); a film where either is NaN or infinite is dropped and counted.
    groups
        Patient of each film (N,), for the interval.
    rng
        Source of randomness of the bootstrap; without one the interval is NaN.
    resamples, confidence
        Of the percentile bootstrap over patients.

    Returns
    -------
    RankCorrelation
        NaN with fewer than three films or if either side is constant. The p-value takes films as independent.

    Raises
    ------
    CohortError
        If the arrays differ in length.

    Examples
    --------
    >>> result = rank_correlation([1, 2, 3, 4], [10, 20, 40, 30])
    >>> round(result.rho, 2), result.n
    (0.8, 4)
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise CohortError(f"a has shape {a.shape} and b {b.shape}; expected one value of each per film")
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both], b[both]
    rho, p, low, high = NAN, NAN, NAN, NAN
    if x.size >= 3 and np.ptp(x) > 0 and np.ptp(y) > 0:
        result = stats.spearmanr(x, y)
        rho, p = float(result.statistic), float(result.pvalue)
        if rng is not None:
            patients = None if groups is None else np.asarray(groups)[both]
            low, high = cluster_bootstrap(
                _rho, x, y, rng=rng, groups=patients, resamples=resamples, confidence=confidence
            )
    return RankCorrelation(rho=rho, p=p, low=low, high=high, n=x.size, dropped=a.size - x.size)


def _rho(x: FloatArray, y: FloatArray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return NAN
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
