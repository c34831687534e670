"""Selective prediction: how right a classifier is if it keeps silent on the films of which it is least sure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from patchcxr.errors import CohortError, LabelError
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray


class SelectiveCurve(NamedTuple):
    """One point for each distinct confidence, surest films first, each of shape (points,).

    Attributes
    ----------
    threshold
        Films at least this sure are kept.
    coverage
        Share of the films that is kept, rising to 1.
    accuracy
        Share of the kept films that is right; the risk is 1 - accuracy.
    macro_f1
        Mean F1 over the classes that occur among the kept films, as truth or as prediction
        (:mod:`patchcxr.measure.classification`).
    """

    threshold: FloatArray
    coverage: FloatArray
    accuracy: FloatArray
    macro_f1: FloatArray


def selective_curve(confidence: FloatArray, truth: IntArray, predicted: IntArray, n_classes: int) -> SelectiveCurve:
    """Accuracy and macro-F1 against coverage (El-Yaniv & Wiener 2010).

    Films of equal confidence are kept or left out together, so the curve does not depend on the order of films.

    Parameters
    ----------
    confidence
        (N,), higher is surer, of any scale: the largest probability, the margin of the vote, 1 - its entropy.
    truth, predicted
        Class indices (N,).
    n_classes
        Number of classes C.

    Raises
    ------
    CohortError
        If there is no film, lengths differ, or a confidence is NaN.
    LabelError
        If a class index is out of range.

    Examples
    --------
    >>> curve = selective_curve(np.array([0.9, 0.8, 0.6]), np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
    >>> curve.coverage.round(2).tolist(), curve.accuracy.round(2).tolist()
    ([0.33, 0.67, 1.0], [1.0, 1.0, 0.67])
    """
    sure, truth, predicted = _checked(confidence, truth, predicted)
    for name, values in (("truth", truth), ("predicted", predicted)):
        if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= n_classes:
            raise LabelError(f"{name} holds {np.unique(values)[:5].tolist()}; expected indices 0 to {n_classes - 1}")
    order, last = _ranks(sure)
    one = np.eye(n_classes, dtype=np.int64)
    said, there = one[predicted[order]], one[truth[order]]
    hits, twice = (np.cumsum(part, axis=0)[last] for part in (said * there, said + there))
    f1 = np.divide(2 * hits, twice, out=np.full(hits.shape, np.nan), where=twice > 0)
    return SelectiveCurve(sure[order][last], (last + 1) / len(sure), hits.sum(axis=1) / (last + 1), np.nanmean(f1, 1))


def area_under_risk_coverage(confidence: FloatArray, correct: BoolArray) -> float:
    """Area under the risk-coverage curve: mean of the risk over the N coverages 1/N, 2/N, ..., 1 (Geifman 2018).

    Among films of equal confidence the mean over all their orders is taken: the expected number of errors grows
    evenly within a tie. 0 if all films are right, the error rate if the confidence says nothing.

    Raises
    ------
    CohortError
        As :func:`selective_curve`.

    Examples
    --------
    >>> round(area_under_risk_coverage(np.array([0.9, 0.8, 0.6]), np.array([True, True, False])), 4)
    0.1111
    """
    sure, right = _checked(confidence, correct)
    order, last = _ranks(sure)
    errors = np.cumsum(~right[order].astype(bool))[last]
    kept = np.arange(1, len(sure) + 1)
    expected = np.interp(kept, np.append(0, last + 1), np.append(0, errors))
    return float(np.mean(expected / kept))


def excess_area_under_risk_coverage(confidence: FloatArray, correct: BoolArray) -> float:
    """Area above that of the best order, in which every wrong film is less sure than every right one (Geifman 2019).

    Unlike the area itself it does not grow with the error rate alone, so it compares confidences of classifiers that
    are not equally good.
    """
    right = np.asarray(correct, dtype=bool)
    return area_under_risk_coverage(confidence, right) - area_under_risk_coverage(right.astype(float), right)


def at_coverage(curve: SelectiveCurve, coverage: float) -> SelectiveCurve:
    """The first point that keeps at least this share of the films, as a curve of one point."""
    point = int(np.searchsorted(curve.coverage, coverage - 1e-9))
    return SelectiveCurve(*(values[point : point + 1] for values in curve))


def _ranks(sure: FloatArray) -> tuple[IntArray, IntArray]:
    """Films from surest to least sure, and the last place of each distinct confidence."""
    order = np.argsort(-sure, kind="stable")
    ranked = sure[order]
    return order, np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)


def _checked(confidence: AnyArray, *others: AnyArray) -> tuple[AnyArray, ...]:
    sure, rest = np.asarray(confidence, dtype=np.float64), [np.asarray(values) for values in others]
    if sure.ndim != 1 or sure.size == 0 or any(values.shape != sure.shape for values in rest):
        raise CohortError(
            f"confidence has shape {sure.shape}, the others {[values.shape for values in rest]}; "
            "expected one of each per film (N,), N >= 1"
        )
    undefined = int(np.isnan(sure).sum())
    if undefined:
        raise CohortError(f"confidence is NaN for {undefined} of {sure.size} films; leave them out and report how many")
    return (sure, *rest)
