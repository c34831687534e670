"""Curves from counts of scores, for cases too many to keep: the pixels of a cohort.

Scores are counted in :data:`BINS` bins, separately for negative and positive
cases. Below 0.5 bins follow the floating-point numbers, 32 to each halving of
the score down to 2 ** -15; above 0.5 they mirror those. So bins are finest
where a network is almost sure, as it is of most pixels; bins of equal width
would put these into two. 0.5 is an edge: counts on either side are exact.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patchcxr.errors import ImageError, MaskError
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

PER_OCTAVE: Final = 32
OCTAVES: Final = 14
HALF: Final = OCTAVES * PER_OCTAVE
BINS: Final = 2 * HALF
"""The first bin holds every score below about 2 ** -15, the last every score as near to 1."""

_SHIFT: Final = 23 - 5  # float32 has 23 bits of mantissa; 5 are kept, for 32 bins an octave
_LOWEST: Final = (127 - OCTAVES - 1) * PER_OCTAVE


def count_scores(score: FloatArray, truth: BoolArray) -> npt.NDArray[np.int64]:
    """Count the scores of negative and of positive cases by bin.

    Parameters
    ----------
    score
        Probabilities in [0, 1], of any shape.
    truth
        Whether each case is positive, bool, of the same shape.

    Returns
    -------
    numpy.ndarray
        int64 (2, :data:`BINS`): negatives, positives. Counts of several films add up.

    Raises
    ------
    MaskError
        If the truth is not boolean or of another shape.
    ImageError
        If a score is NaN or outside [0, 1].

    Examples
    --------
    >>> counts = count_scores(np.array([0.1, 0.5, 0.9]), np.array([False, True, True]))
    >>> bin_edges()[np.flatnonzero(counts[1])].tolist()
    [0.5, 0.8984375]
    """
    if truth.dtype != np.bool_ or truth.shape != score.shape:
        raise MaskError(
            f"truth has dtype {truth.dtype} and shape {truth.shape}, score the shape {score.shape}; "
            "expected a boolean mask of the score's shape"
        )
    values = np.ascontiguousarray(score, dtype=np.float32).ravel()
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ImageError(
            f"score lies in [{values.min():.3g}, {values.max():.3g}]; expected [0, 1] without NaN; "
            "apply a sigmoid or softmax to logits"
        )
    upper = values >= 0.5
    # abs takes the sign from -0.0, whose bits would be those of a large number.
    from_end = np.abs(np.where(upper, 1 - values, values))
    place = np.clip((from_end.view(np.uint32) >> _SHIFT).astype(np.int64) - _LOWEST, 0, HALF - 1)
    bins = np.where(upper, BINS - 1 - place, place)
    counts = np.bincount(bins + BINS * truth.ravel(), minlength=2 * BINS)
    return counts.reshape(2, BINS)


def bin_edges() -> FloatArray:
    """Lower end of every bin (:data:`BINS`,); the first is 0."""
    octave, step = np.divmod(np.arange(HALF + 1), PER_OCTAVE)
    below = 2.0 ** (octave - OCTAVES - 1) * (1 + step / PER_OCTAVE)
    return np.concatenate([[0.0], below[1:-1], 1 - below[:0:-1]])


def counted_auroc(counts: AnyArray) -> FloatArray:
    """AUROC from counts (..., 2, bins), negatives and positives; cases of one bin are ties and count half.

    The error is at most half the share of pairs that fall into one bin. NaN where one class is missing.

    Examples
    --------
    >>> float(counted_auroc(np.array([[1, 1, 0], [0, 1, 1]])))
    0.875
    """
    negative, positive = _classes(counts)
    below = np.cumsum(negative, axis=-1) - negative / 2
    pairs = negative.sum(axis=-1) * positive.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray((positive * below).sum(axis=-1) / np.where(pairs > 0, pairs, np.nan))


def counted_average_precision(counts: AnyArray) -> FloatArray:
    """Average precision from counts (..., 2, bins): precision at each bin, weighted by the gain in recall.

    NaN where one class is missing, as in :func:`patchcxr.measure.classification.average_precision`.
    """
    negative, positive = _classes(counts)
    tp, fp = (np.cumsum(part[..., ::-1], axis=-1) for part in (positive, negative))
    said, found = tp + fp, positive[..., ::-1]
    precision = np.divide(tp, said, out=np.zeros_like(tp), where=said > 0)
    both = (tp[..., -1] > 0) & (fp[..., -1] > 0)
    return np.asarray((found * precision).sum(axis=-1) / np.where(both, tp[..., -1], np.nan))


class CountedCurve(NamedTuple):
    """Points of the ROC and precision-recall curves, highest threshold first, and the lower end of their bins."""

    false_positive_rate: FloatArray
    sensitivity: FloatArray
    precision: FloatArray
    threshold: FloatArray


def counted_curve(counts: IntArray) -> CountedCurve:
    """ROC and precision-recall curve from the counts (2, :data:`BINS`) of negatives and positives.

    Returns
    -------
    CountedCurve
        One point for each bin that is not empty; rates are NaN where a class is missing.
    """
    negative, positive = _classes(counts)
    edges = bin_edges()[::-1]
    filled = (negative + positive)[::-1] > 0
    tp, fp = np.cumsum(positive[::-1])[filled], np.cumsum(negative[::-1])[filled]
    totals = [total if total else np.nan for total in (float(negative.sum()), float(positive.sum()))]
    return CountedCurve(fp / totals[0], tp / totals[1], tp / (tp + fp), edges[filled])


def _classes(counts: AnyArray) -> tuple[FloatArray, FloatArray]:
    """Negatives and positives as float64: their products overflow integers, and float32 cannot count them."""
    values = np.asarray(counts, dtype=np.float64)
    return values[..., 0, :], values[..., 1, :]
