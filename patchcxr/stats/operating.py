"""What a detector is worth at a chosen working point: sensitivity at a specificity, and net benefit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.types import AnyArray, BoolArray, FloatArray

NAN = float("nan")


class OperatingPoint(NamedTuple):
    """Sensitivity at the smallest threshold that keeps the wanted specificity, with its bootstrap interval."""

    sensitivity: float
    low: float
    high: float
    specificity: float
    threshold: float
    positives: int
    negatives: int


def sensitivity_at_specificity(
    truth: AnyArray,
    score: FloatArray,
    specificity: float,
    rng: np.random.Generator,
    groups: AnyArray | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> OperatingPoint:
    """Sensitivity of a detector whose threshold is set so that it is at least so specific.

    A film counts as positive if its score reaches the threshold. The threshold is the smallest score with a
    specificity of at least the wanted one on these films; there is no interpolation between points of the ROC curve,
    so the reached specificity, which is given back, may be higher. The bootstrap resamples patients and sets the
    threshold anew in each resample.

    Parameters
    ----------
    truth
        Whether each film is positive (N,), bool or 0/1.
    score
        Decision score (N,); higher is more positive.
    specificity
        Wanted specificity in [0, 1].
    rng, groups, resamples, confidence
        See :func:`~patchcxr.stats.bootstrap.cluster_bootstrap`.

    Returns
    -------
    OperatingPoint
        NaN where a class is missing; an infinite threshold means that only calling no film positive is so specific.

    Raises
    ------
    CohortError
        If the arrays differ in length, hold NaN, or the truth is not binary.
    ConfigError
        If the specificity is outside [0, 1].

    Examples
    --------
    >>> point = sensitivity_at_specificity([0, 0, 0, 0, 1, 1], [1, 2, 3, 6, 4, 7], 0.75, np.random.default_rng(0))
    >>> point.sensitivity, point.specificity, point.threshold
    (1.0, 0.75, 4.0)
    """
    if not 0 <= specificity <= 1:
        raise ConfigError(f"specificity is {specificity}; expected a fraction in [0, 1], such as 0.95")
    positive, score = _binary(truth, score)
    threshold = _threshold(positive, score, specificity)
    found = cluster_bootstrap(
        lambda t, s: _sensitivity(t, s, _threshold(t, s, specificity)),
        positive,
        score,
        rng=rng,
        groups=groups,
        resamples=resamples,
        confidence=confidence,
    )
    negatives = score[~positive]
    reached = float((negatives < threshold).mean()) if negatives.size else NAN
    return OperatingPoint(
        found.estimate, found.low, found.high, reached, threshold, int(positive.sum()), negatives.size
    )


def decision_curve(truth: AnyArray, probability: FloatArray, thresholds: FloatArray | None = None) -> pd.DataFrame:
    """Net benefit over threshold probabilities (Vickers & Elkin 2006).

    At a threshold probability t a film is treated as positive if its probability reaches t, and
    ``net benefit = TP / n - FP / n * t / (1 - t)``: true positives, less false ones weighted by what t says they cost.
    The probabilities must be calibrated for the curve to mean anything.

    Parameters
    ----------
    truth
        Whether each film is positive (N,), bool or 0/1.
    probability
        Predicted probability (N,), in [0, 1].
    thresholds
        In (0, 1); by default 0.01 to 0.99.

    Returns
    -------
    pandas.DataFrame
        One row a threshold: ``threshold``, ``net_benefit``, ``treat_all`` (every film positive), ``treat_none`` (0)
        and ``n``.

    Raises
    ------
    CohortError
        If the arrays are empty or differ in length, hold NaN, the truth is not binary, or a probability is outside
        [0, 1].
    ConfigError
        If a threshold is not inside (0, 1).

    Examples
    --------
    >>> decision_curve([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1], np.array([0.5]))
       threshold  net_benefit  treat_all  treat_none  n
    0        0.5          0.0        0.0         0.0  4
    """
    positive, probability = _binary(truth, probability)
    if probability.size == 0 or probability.min() < 0 or probability.max() > 1:
        raise CohortError("probabilities are empty or outside [0, 1]; give one calibrated probability a film")
    at = np.arange(1, 100) / 100 if thresholds is None else np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if not ((at > 0) & (at < 1)).all():
        raise ConfigError(f"thresholds run from {at.min()} to {at.max()}; expected threshold probabilities in (0, 1)")
    n = probability.size
    odds = at / (1 - at)
    true = _reaching(probability[positive], at)
    false = _reaching(probability[~positive], at)
    prevalence = positive.mean()
    return pd.DataFrame(
        {
            "threshold": at,
            "net_benefit": true / n - false / n * odds,
            "treat_all": prevalence - (1 - prevalence) * odds,
            "treat_none": 0.0,
            "n": n,
        }
    )


def _reaching(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    return scores.size - np.searchsorted(np.sort(scores), thresholds, side="left").astype(np.float64)


def _binary(truth: AnyArray, score: FloatArray) -> tuple[BoolArray, FloatArray]:
    truth, score = np.asarray(truth), np.asarray(score, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != score.shape:
        raise CohortError(f"truth has shape {truth.shape} and the score {score.shape}; expected one of each per film")
    if np.isnan(score).any() or not np.isin(truth, (0, 1)).all():
        raise CohortError("a score is NaN, or truth is not bool or 0/1; leave such films out and report how many")
    return truth.astype(bool), score


def _threshold(positive: BoolArray, score: FloatArray, specificity: float) -> float:
    """Smallest score of a film at which the specificity is reached."""
    negatives = np.sort(score[~positive])
    if negatives.size == 0 or negatives.size == score.size:
        return NAN
    candidates = np.unique(score)
    share_below = np.searchsorted(negatives, candidates, side="left") / negatives.size
    reached = np.flatnonzero(share_below >= specificity - 1e-12)
    return float(candidates[reached[0]]) if reached.size else float("inf")


def _sensitivity(positive: BoolArray, score: FloatArray, threshold: float) -> float:
    return NAN if np.isnan(threshold) else float((score[positive] >= threshold).mean())
