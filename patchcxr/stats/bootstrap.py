"""Bootstrap intervals that resample whole patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats._tables import check_confidence
from patchcxr.types import AnyArray, FloatArray, IntArray

NAN = float("nan")
BLOCK = 500_000
"""Numbers held at once by the vectorised bootstraps (4 MB in float64)."""


@dataclass(frozen=True, kw_only=True)
class BootstrapInterval:
    """Bootstrap interval; unpacks as ``low, high``.

    Attributes
    ----------
    estimate
        The statistic of the data themselves.
    low, high
        Ends of the interval; NaN if every resample was undefined.
    resamples
        Resamples drawn.
    undefined
        Resamples left out because the statistic was NaN, such as an AUROC with one class.
    clusters
        Number of patients (or of cases, without groups).
    """

    estimate: float
    low: float
    high: float
    resamples: int
    undefined: int
    clusters: int

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.high))


def cluster_bootstrap(
    statistic: Callable[..., float],
    *arrays: AnyArray,
    rng: np.random.Generator,
    groups: AnyArray | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    method: Literal["percentile", "bca"] = "percentile",
) -> BootstrapInterval:
    """Bootstrap interval that resamples patients, with all their films, with replacement.

    Several films of one patient are not independent; resampling films makes intervals too narrow.

    Parameters
    ----------
    statistic
        Called as ``statistic(*resampled_arrays)``; NaN where it is undefined.
    *arrays
        One or more arrays with one entry a film on their first axis; resampled together.
    rng
        Source of randomness.
    groups
        Patient of each film (N,); None takes each film as its own patient.
    resamples
        Number of resamples.
    confidence
        Coverage in (0, 1).
    method
        ``"percentile"``, or ``"bca"``: bias-corrected and accelerated (Efron 1987), the acceleration from leaving
        out one patient at a time.

    Returns
    -------
    BootstrapInterval
        ``low, high`` by unpacking, with the number of undefined resamples.

    Raises
    ------
    CohortError
        If the arrays differ in length, are empty, or a film has no patient.
    ConfigError
        If the confidence, the number of resamples or the method is not usable.

    Examples
    --------
    >>> values, patients = np.array([1.0, 1.0, 1.0, 5.0]), ["a", "a", "a", "b"]
    >>> low, high = cluster_bootstrap(np.mean, values, groups=patients, rng=np.random.default_rng(0))
    >>> low, high
    (1.0, 5.0)
    """
    _check(resamples, confidence, method)
    columns = [np.asarray(array) for array in arrays]
    clusters = _clusters(columns, groups)
    order = np.argsort(clusters, kind="stable")
    sizes = np.bincount(clusters)
    n = sizes.size
    first = np.cumsum(sizes) - sizes

    def of_patients(patients: IntArray) -> float:
        drawn = sizes[patients]
        shift = first[patients] - (np.cumsum(drawn) - drawn)
        chosen = order[np.repeat(shift, drawn) + np.arange(drawn.sum())]
        return float(statistic(*(column[chosen] for column in columns)))

    estimate = float(statistic(*columns))
    replicates = np.array([of_patients(rng.integers(n, size=n)) for _ in range(resamples)])
    left_out = None
    if method == "bca" and n > 1:
        left_out = np.array([of_patients(np.delete(np.arange(n), patient)) for patient in range(n)])
    return _interval(estimate, replicates, left_out, n, confidence, method)


def value_bootstrap(
    statistic: Callable[..., AnyArray],
    values: FloatArray,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> BootstrapInterval:
    """Percentile bootstrap interval of one value a patient, all resamples at once.

    The same as :func:`cluster_bootstrap` with the same generator, many times faster.

    Parameters
    ----------
    statistic
        Such as ``np.mean`` or ``np.median``; called with ``axis=-1``.
    values
        One value a patient (N,).
    rng, resamples, confidence
        As for :func:`cluster_bootstrap`.

    Raises
    ------
    CohortError
        If there is no value.
    ConfigError
        If the confidence or the number of resamples is not usable.
    """
    _check(resamples, confidence, "percentile")
    values = np.asarray(values, dtype=np.float64)
    n = int(_clusters([values], None).max()) + 1
    replicates = np.empty(resamples)
    rows = max(1, BLOCK // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        replicates[start : start + size] = statistic(values[rng.integers(n, size=(size, n))], axis=-1)
    return _interval(float(statistic(values, axis=-1)), replicates, None, n, confidence, "percentile")


def cluster_bootstrap_auroc(
    truth: AnyArray,
    score: FloatArray,
    *,
    rng: np.random.Generator,
    groups: AnyArray | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> BootstrapInterval:
    """Percentile bootstrap interval of the AUROC that resamples patients: one sort, then weighted sums.

    The same as :func:`cluster_bootstrap` with an AUROC as statistic, many times faster: a resample is how often each
    film was drawn, and the AUROC of weighted films needs no new sort.

    Parameters
    ----------
    truth
        Whether each film is positive (N,), bool or 0/1.
    score
        Decision score (N,); higher is more positive.
    rng, groups, resamples, confidence
        As for :func:`cluster_bootstrap`.

    Raises
    ------
    CohortError
        If the arrays differ in length, are empty or hold NaN, the truth is not binary, or a film has no patient.
    ConfigError
        If the confidence or the number of resamples is not usable.
    """
    _check(resamples, confidence, "percentile")
    truth, score = np.asarray(truth), np.asarray(score, dtype=np.float64)
    clusters = _clusters([truth, score], groups)
    if np.isnan(score).any() or not np.isin(truth, (0, 1)).all():
        raise CohortError("score holds NaN, or truth is not bool or 0/1; leave such films out and report how many")
    positive = truth.astype(bool)
    negatives = np.flatnonzero(~positive)[np.argsort(score[~positive], kind="stable")]
    lower = np.searchsorted(score[negatives], score[positive], side="left")
    not_higher = np.searchsorted(score[negatives], score[positive], side="right")
    n = int(clusters.max()) + 1

    def of_weights(weights: FloatArray) -> FloatArray:
        """AUROC of each column of patient weights (patients, resamples)."""
        below = np.zeros((negatives.size + 1, weights.shape[1]))
        np.cumsum(weights[clusters[negatives]], axis=0, out=below[1:])
        of_positives = weights[clusters[positive]]
        wins = np.einsum("ij,ij->j", of_positives, below[lower])
        wins += np.einsum("ij,ij->j", of_positives, below[not_higher])
        pairs = of_positives.sum(axis=0) * below[-1]
        return np.divide(0.5 * wins, pairs, out=np.full(len(pairs), NAN), where=pairs > 0)

    replicates = np.empty(resamples)
    columns = max(1, BLOCK // max(n, truth.size))
    for start in range(0, resamples, columns):
        size = min(columns, resamples - start)
        replicates[start : start + size] = of_weights(_times_drawn(rng, n, size))
    estimate = float(of_weights(np.ones((n, 1)))[0])
    return _interval(estimate, replicates, None, n, confidence, "percentile")


def cluster_bootstrap_sums(
    statistic: Callable[[FloatArray], AnyArray],
    sums: AnyArray,
    *,
    rng: np.random.Generator,
    groups: AnyArray | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> BootstrapInterval:
    """Percentile bootstrap interval over patients of a statistic of sums over films, such as scores of pixel counts.

    The same as :func:`cluster_bootstrap` with a statistic that sums its films first, but films are never gathered: a
    resample is how often each patient was drawn, and its sums are one matrix product.

    Parameters
    ----------
    statistic
        From the sums of several resamples (R, K) to their values (R,); NaN where undefined.
    sums
        What is summed, (N, K) with one row a film.
    rng, groups, resamples, confidence
        As for :func:`cluster_bootstrap`.

    Raises
    ------
    CohortError
        If there is no film, the lengths differ, or a film has no patient.
    ConfigError
        If the confidence or the number of resamples is not usable.

    Examples
    --------
    >>> right_and_all = np.array([[1, 2], [1, 2], [3, 3], [0, 1]])
    >>> found = cluster_bootstrap_sums(lambda s: s[:, 0] / s[:, 1], right_and_all, rng=np.random.default_rng(0))
    >>> found.estimate, found.clusters
    (0.625, 4)
    """
    _check(resamples, confidence, "percentile")
    values = np.asarray(sums, dtype=np.float64)
    clusters = _clusters([values], groups)
    of_patients = np.zeros((int(clusters.max()) + 1, values.shape[1]))
    np.add.at(of_patients, clusters, values)
    n = len(of_patients)
    replicates = np.empty(resamples)
    columns = max(1, BLOCK // n)
    for start in range(0, resamples, columns):
        size = min(columns, resamples - start)
        replicates[start : start + size] = statistic(_times_drawn(rng, n, size).T @ of_patients)
    estimate = float(statistic(of_patients.sum(axis=0)[None])[0])
    return _interval(estimate, replicates, None, n, confidence, "percentile")


def _times_drawn(rng: np.random.Generator, n: int, size: int) -> FloatArray:
    """How often each of n patients is drawn in each of ``size`` resamples, (n, size)."""
    drawn = rng.integers(n, size=(size, n)) * size + np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * size).reshape(n, size).astype(np.float64)


def _check(resamples: int, confidence: float, method: str) -> None:
    check_confidence(confidence)
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}; expected at least 1, and 1000 or more for a 95 % interval")
    if method not in ("percentile", "bca"):
        raise ConfigError(f"method is {method!r}; expected 'percentile' or 'bca'")


def _clusters(columns: list[AnyArray], groups: Any) -> IntArray:
    """Consecutive patient numbers of the films."""
    lengths = [len(column) for column in columns]
    size = lengths[0] if lengths else 0
    names = np.arange(size) if groups is None else np.asarray(groups)
    if size == 0 or set(lengths) != {size} or names.shape != (size,):
        raise CohortError(
            f"arrays have lengths {lengths} and groups has shape {names.shape}; expected one entry a film in each"
        )
    if any(name is None or name != name for name in names.tolist()):
        raise CohortError("groups holds films without a patient; give each a patient of its own or leave it out")
    return np.unique(names, return_inverse=True)[1]


def _interval(
    estimate: float,
    replicates: FloatArray,
    left_out: FloatArray | None,
    clusters: int,
    confidence: float,
    method: str,
) -> BootstrapInterval:
    defined = replicates[~np.isnan(replicates)]
    levels = np.array([0.5 - confidence / 2, 0.5 + confidence / 2])
    if method == "bca":
        levels = _bca_levels(estimate, defined, left_out, levels)
    usable = defined.size > 0 and not np.isnan(levels).any()
    low, high = np.quantile(defined, levels) if usable else (NAN, NAN)
    return BootstrapInterval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        resamples=replicates.size,
        undefined=replicates.size - defined.size,
        clusters=clusters,
    )


def _bca_levels(estimate: float, replicates: FloatArray, left_out: FloatArray | None, levels: FloatArray) -> FloatArray:
    """Quantile levels after Efron 1987; NaN where the data do not define them."""
    undefined = np.full(2, NAN)
    if left_out is None or np.isnan(left_out).any() or replicates.size == 0:
        return undefined
    share = (np.count_nonzero(replicates < estimate) + 0.5 * np.count_nonzero(replicates == estimate)) / replicates.size
    if not 0 < share < 1:
        return undefined
    bias = stats.norm.ppf(share)
    deviation = left_out.mean() - left_out
    scale = 6 * np.sum(deviation**2) ** 1.5
    acceleration = np.sum(deviation**3) / scale if scale > 0 else 0.0
    z = bias + stats.norm.ppf(levels)
    return stats.norm.cdf(bias + z / (1 - acceleration * z))
