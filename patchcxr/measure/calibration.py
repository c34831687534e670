"""Calibration: whether films called with a confidence of 0.8 are right in 80 of 100 cases.

Confidences are put into bins that are closed on the right, ``(low, high]``, the first one on both sides. So a
confidence of exactly 1 lies in the last bin, where networks that are sure of themselves put most films.

- *Top-label* calibration looks at the class that was said: its probability against whether it is right (Guo 2017).
- *Class-wise* calibration looks at the probability of each class against whether the film is of it, and takes the
  mean over classes (Nixon 2019; Kull 2019). A class that is always called with too little confidence shows there.

The calibration error is never negative, so on few films it is too large even for a perfect classifier: compare numbers
of the same films and bins alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from patchcxr.errors import CohortError, ConfigError, LabelError
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

BINS: Final = 15
"""Number of bins, as in Guo 2017."""

BINNINGS: Final = ("width", "mass")
KINDS: Final = ("top_label", "class_wise")

FLOOR: Final = float(np.finfo(np.float32).tiny)
"""Probabilities count as at least this in logarithms: a network's softmax of 0 is a number too small for float32."""

SUM_TOLERANCE: Final = 0.01
"""How far probabilities of a film may add up to something else than 1, as after rounding in a table."""


class ReliabilityBins(NamedTuple):
    """Confidence against accuracy by bin, each of shape (bins,).

    Attributes
    ----------
    low, high
        Ends of the bins; a bin holds ``low < confidence <= high``, the first also its lower end.
    weight
        Weight of the films in the bin; their number where no weights were given.
    confidence, accuracy
        Weighted means over the films of the bin; NaN in an empty bin.
    """

    low: FloatArray
    high: FloatArray
    weight: FloatArray
    confidence: FloatArray
    accuracy: FloatArray


def bin_edges(
    confidence: FloatArray, bins: int = BINS, binning: str = "width", weights: FloatArray | None = None
) -> FloatArray:
    """Edges of the bins, ascending from 0 to 1.

    ``width``: all bins equally wide. ``mass``: each bin holds about as many films; an edge is a confidence that
    occurs, films of equal confidence share a bin, and so ties make fewer bins than asked for.

    Raises
    ------
    ConfigError
        If there is no bin, or ``binning`` is unknown.

    Examples
    --------
    >>> bin_edges(np.array([0.2, 0.6, 0.6, 0.9]), 2, "mass").tolist()
    [0.0, 0.6, 1.0]
    """
    if bins < 1:
        raise ConfigError(f"bins is {bins}; expected at least 1, such as {BINS}")
    if binning not in BINNINGS:
        raise ConfigError(f"binning is {binning!r}; expected one of {', '.join(BINNINGS)}")
    levels = np.linspace(0, 1, bins + 1)
    if binning == "width":
        return levels
    inner = np.quantile(confidence, levels[1:-1], method="inverted_cdf", weights=weights)
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def bin_of(confidence: FloatArray, edges: FloatArray) -> IntArray:
    """Index of the bin of each confidence, right-closed: 0 and everything up to ``edges[1]`` is in bin 0."""
    return np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0)


def reliability_bins(
    confidence: FloatArray,
    correct: BoolArray,
    bins: int = BINS,
    binning: str = "width",
    weights: FloatArray | None = None,
) -> ReliabilityBins:
    """Mean confidence and accuracy by bin (Guo 2017, section 2).

    Parameters
    ----------
    confidence
        (N,) in [0, 1]: how sure the classifier is of what it says.
    correct
        (N,), bool or 0/1: whether it is right.
    bins, binning
        See :func:`bin_edges`.
    weights
        Weight of each film (N,), 0 or more; None weighs all the same.

    Raises
    ------
    CohortError
        If there is no film, lengths differ, or a value is NaN or out of range.
    ConfigError
        If the bins are not usable.

    Examples
    --------
    >>> found = reliability_bins(np.array([0.95, 1.0]), np.array([True, False]), bins=10)
    >>> float(found.confidence[-1]), float(found.accuracy[-1])
    (0.975, 0.5)
    """
    confidence, right, weight = _checked(confidence, correct, weights)
    edges = bin_edges(confidence, bins, binning, None if weights is None else weight)
    where = bin_of(confidence, edges)
    count = len(edges) - 1
    parts = (np.ones_like(right), confidence, right)
    total, sure, hits = (np.asarray(np.bincount(where, weight * part, count), dtype=float) for part in parts)
    filled = np.where(total > 0, total, np.nan)
    return ReliabilityBins(edges[:-1], edges[1:], total, sure / filled, hits / filled)


def calibration_error(found: ReliabilityBins) -> float:
    """Expected calibration error: mean of abs(accuracy - confidence) over bins, weighted by films (Guo 2017, eq. 3).

    Empty bins count nothing.

    Examples
    --------
    >>> round(calibration_error(reliability_bins(np.array([0.95, 1.0]), np.array([True, False]), 10)), 3)
    0.475
    """
    gap = np.abs(found.accuracy - found.confidence)
    filled = found.weight > 0
    return float(gap[filled] @ found.weight[filled] / found.weight.sum())


def maximum_calibration_error(found: ReliabilityBins) -> float:
    """Largest abs(accuracy - confidence) of a bin that is not empty (Guo 2017, eq. 5)."""
    return float(np.nanmax(np.abs(found.accuracy - found.confidence)))


def expected_calibration_error(
    probability: FloatArray,
    truth: IntArray,
    kind: str = "top_label",
    bins: int = BINS,
    binning: str = "width",
    weights: FloatArray | None = None,
    predicted: IntArray | None = None,
) -> float:
    """Expected calibration error of class probabilities.

    Parameters
    ----------
    probability
        (N, C), each row adding up to 1.
    truth
        Class indices (N,).
    kind
        ``top_label`` or ``class_wise``; see the top of this module.
    bins, binning, weights
        As for :func:`reliability_bins`.
    predicted
        Class that was said (N,), for ``top_label``, where it is not the most probable one, as a majority vote may
        be; its probability is the confidence.

    Raises
    ------
    CohortError
        If there is no film, shapes do not fit, or a probability is NaN.
    LabelError
        If a class index is out of range.
    ConfigError
        If ``kind`` is unknown or the bins are not usable.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    >>> round(expected_calibration_error(p, np.array([0, 1, 1])), 4)
    0.4
    """
    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    probability, truth = check_probabilities(probability, truth)
    if kind == "top_label":
        confidence, correct = top_label(probability, truth, predicted)
        return calibration_error(reliability_bins(confidence, correct, bins, binning, weights))
    errors = [
        calibration_error(reliability_bins(probability[:, c], truth == c, bins, binning, weights))
        for c in range(probability.shape[1])
    ]
    return float(np.mean(errors))


def top_label(
    probability: FloatArray, truth: IntArray, predicted: IntArray | None = None
) -> tuple[FloatArray, BoolArray]:
    """Probability of the class that was said (by default the most probable), and whether it is right, each (N,)."""
    said = probability.argmax(axis=1) if predicted is None else np.asarray(predicted)
    return np.take_along_axis(probability, said[:, None], axis=1)[:, 0], said == truth


def brier_score(probability: FloatArray, truth: IntArray, weights: FloatArray | None = None) -> float:
    """Mean squared distance of the probabilities from the truth, summed over classes (Brier 1950); 0 to 2.

    For two classes it is twice the score that counts the positive class alone.

    Raises
    ------
    CohortError, LabelError
        As :func:`expected_calibration_error`.

    Examples
    --------
    >>> round(brier_score(np.array([[0.8, 0.2]]), np.array([0])), 3)
    0.08
    """
    probability, truth = check_probabilities(probability, truth)
    return float(np.average(brier_terms(probability, truth), weights=weights))


def negative_log_likelihood(probability: FloatArray, truth: IntArray, weights: FloatArray | None = None) -> float:
    """Mean of -log of the probability of the true class, in nats; a probability below :data:`FLOOR` counts as that.

    Raises
    ------
    CohortError, LabelError
        As :func:`expected_calibration_error`.

    Examples
    --------
    >>> round(negative_log_likelihood(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])), 4)
    0.4904
    """
    probability, truth = check_probabilities(probability, truth)
    return float(np.average(likelihood_terms(probability, truth), weights=weights))


def brier_terms(probability: FloatArray, truth: IntArray) -> FloatArray:
    """Squared distance of each film (N,)."""
    return ((probability - np.eye(probability.shape[1])[truth]) ** 2).sum(axis=1)


def likelihood_terms(probability: FloatArray, truth: IntArray) -> FloatArray:
    """-log of the probability of the true class of each film (N,)."""
    return -np.log(np.maximum(np.take_along_axis(probability, truth[:, None], axis=1)[:, 0], FLOOR))


def check_probabilities(probability: AnyArray, truth: AnyArray) -> tuple[FloatArray, IntArray]:
    """Class probabilities (N, C) as float64 and class indices (N,), after a check of both.

    Raises
    ------
    CohortError
        If there is no film or class, shapes do not fit, or a row holds NaN or does not add up to 1.
    LabelError
        If a class index is out of range.
    """
    p, indices = np.asarray(probability, dtype=np.float64), np.asarray(truth)
    if p.ndim != 2 or p.size == 0 or indices.shape != p.shape[:1]:
        raise CohortError(
            f"probability has shape {p.shape} and truth {indices.shape}; expected (N, C) and (N,), N >= 1"
        )
    wrong = ~((p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= SUM_TOLERANCE))
    if wrong.any():
        first = int(wrong.argmax())
        raise CohortError(
            f"{int(wrong.sum())} of {len(p)} films have no probabilities, the first (number {first}) "
            f"{p[first].tolist()}; expected numbers that add up to 1; apply a softmax, or leave films with NaN out"
        )
    if indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= p.shape[1]:
        raise LabelError(f"truth holds {np.unique(indices)[:5].tolist()}; expected class indices 0 to {p.shape[1] - 1}")
    return p, indices


def _checked(
    confidence: AnyArray, correct: AnyArray, weights: AnyArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    weight = np.ones_like(sure) if weights is None else np.asarray(weights, dtype=np.float64)
    if sure.ndim != 1 or sure.size == 0 or not sure.shape == right.shape == weight.shape:
        raise CohortError(
            f"confidence has shape {sure.shape}, correct {right.shape} and weights {weight.shape}; "
            "expected one of each per film (N,), N >= 1"
        )
    if not ((sure >= 0) & (sure <= 1)).all():
        bad = sure[~((sure >= 0) & (sure <= 1))]
        raise CohortError(
            f"confidence is {bad[0]} for one of {bad.size} films; expected [0, 1] without NaN; "
            "leave such films out and report how many"
        )
    if not np.isin(right, (0, 1)).all():
        raise CohortError(f"correct holds {np.unique(right)[:5].tolist()}; expected bool or 0/1")
    if not (weight >= 0).all() or not np.isfinite(weight).all() or weight.sum() == 0:
        raise CohortError("weights hold NaN, a negative number, or zeros alone; expected 0 or more, and one above 0")
    return sure, right, weight
