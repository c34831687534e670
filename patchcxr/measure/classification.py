"""Confusion matrices, scores from their counts, and curves over a decision score.

What is undefined is decided once, for every score here:

- A class that is there and is never predicted has precision 0 (as in scikit-learn), so that a failure stays in the
  macro average; the same holds for the negative predictive value.
- Any other quotient 0 / 0 is NaN: the recall of a class without cases, the specificity without negatives, every
  score of a class that is neither there nor predicted. The macro average leaves NaN out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from patchcxr.errors import CohortError, LabelError
from patchcxr.types import AnyArray, FloatArray, IntArray

SCORES = ("accuracy", "precision", "recall", "f1", "f2", "specificity", "npv")
"""Names of the scores of a class."""


def confusion_matrix(truth: IntArray, predicted: IntArray, n_classes: int) -> IntArray:
    """Count cases by true class (rows) and predicted class (columns).

    Parameters
    ----------
    truth, predicted
        Class indices (N,), in 0 .. ``n_classes`` - 1.
    n_classes
        Number of classes C; classes without cases keep their row and column.

    Returns
    -------
    numpy.ndarray
        Integer matrix (C, C).

    Raises
    ------
    LabelError
        If the arrays differ in length, are not integer, or hold an index outside the range.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], 3)
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 1, 0]])
    """
    truth = _class_indices(truth, "truth", n_classes)
    predicted = _class_indices(predicted, "predicted", n_classes)
    if truth.size != predicted.size:
        raise LabelError(f"truth has {truth.size} cases but predicted has {predicted.size}; give one of each per film")
    return np.bincount(truth * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def classification_scores(confusion: IntArray, classes: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Scores of each class against the rest, and their macro average (Oh 2020, section III-C).

    Parameters
    ----------
    confusion
        Confusion matrix (C, C), rows true classes.
    classes
        Names of the classes; by default ``"0"``, ``"1"``, ...

    Returns
    -------
    dict
        Class name to :data:`SCORES` and ``support`` (true cases); and ``"macro"`` to the same, averaged over classes,
        where ``accuracy`` is the share of all cases that are right (the accuracy of Oh 2020, Tables X and XII, which
        is not the average of the one-against-rest accuracies) and ``support`` is the number of cases. Undefined
        values: see the top of this module.

    Raises
    ------
    LabelError
        If the matrix is not square or the names do not match it.

    Examples
    --------
    >>> scores = classification_scores([[8, 2], [1, 9]], ["normal", "viral"])
    >>> scores["viral"]["recall"], scores["macro"]["accuracy"]
    (0.9, 0.85)
    """
    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise LabelError(f"confusion has shape {confusion.shape}; expected a square matrix (classes, classes)")
    names = [str(index) for index in range(len(confusion))] if classes is None else [str(name) for name in classes]
    if len(names) != len(confusion) or len(set(names)) != len(names) or "macro" in names:
        raise LabelError(
            f"classes are {names}; expected {len(confusion)} different names, one for each row of the matrix, "
            "and none of them 'macro'"
        )
    total = int(confusion.sum())
    scores: dict[str, dict[str, float]] = {}
    for index, name in enumerate(names):
        tp = int(confusion[index, index])
        fn = int(confusion[index].sum()) - tp
        fp = int(confusion[:, index].sum()) - tp
        binary = binary_scores(tp, fp, fn, total - tp - fn - fp)
        binary["recall"] = binary.pop("sensitivity")
        scores[name] = {score: binary[score] for score in SCORES} | {"support": float(tp + fn)}
    macro = {score: _mean_of_defined([scores[name][score] for name in names]) for score in SCORES}
    macro["accuracy"] = _ratio(int(np.trace(confusion)), total)
    scores["macro"] = macro | {"support": float(total)}
    return scores


def binary_scores(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    """Scores of a detector from its four counts (Degerli 2021, eq. 8 to 12; Hertel 2022).

    Parameters
    ----------
    tp, fp, fn, tn
        Counts of cases, or of pixels as :func:`~patchcxr.measure.overlap.pixel_confusion` gives them.

    Returns
    -------
    dict
        ``sensitivity``, ``specificity``, ``precision`` (PPV), ``f1``, ``f2``, ``accuracy``, ``npv``, all in [0, 1].
        Undefined values: see the top of this module.

    Raises
    ------
    LabelError
        If a count is negative.

    Examples
    --------
    >>> binary_scores(tp=8, fp=2, fn=2, tn=8)["f2"]
    0.8
    """
    if min(tp, fp, fn, tn) < 0:
        raise LabelError(f"got tp={tp}, fp={fp}, fn={fn}, tn={tn}; expected counts of 0 or more")
    return {
        "sensitivity": _ratio(tp, tp + fn),  # Degerli eq. 8
        "specificity": _ratio(tn, tn + fp),  # Degerli eq. 9
        "precision": _ratio(tp, tp + fp) if tp + fp else _ratio(0, fn),  # Degerli eq. 10
        "f1": _f_beta(1, tp, fp, fn),
        "f2": _f_beta(2, tp, fp, fn),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),  # Degerli eq. 11
        "npv": _ratio(tn, tn + fn) if tn + fn else _ratio(0, fp),
    }


def roc_curve(truth: AnyArray, score: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Receiver operating characteristic, one point for each distinct score.

    Parameters
    ----------
    truth
        Whether each case is positive (N,), bool or 0/1.
    score
        Decision score (N,); higher is more positive.

    Returns
    -------
    tuple of numpy.ndarray
        False-positive rate, true-positive rate and threshold, from (0, 0) at an infinite threshold to (1, 1). Equal
        to ``sklearn.metrics.roc_curve(..., drop_intermediate=False)``. A rate without cases is NaN.

    Raises
    ------
    CohortError
        If the arrays are empty, differ in length, hold NaN, or the truth is not binary.
    """
    thresholds, tp, fp = _operating_points(truth, score)
    return (
        np.concatenate(([0.0], fp)) / fp[-1] if fp[-1] else np.full(len(fp) + 1, np.nan),
        np.concatenate(([0.0], tp)) / tp[-1] if tp[-1] else np.full(len(tp) + 1, np.nan),
        np.concatenate(([np.inf], thresholds)),
    )


def precision_recall_curve(truth: AnyArray, score: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision and recall at each distinct score, lowest threshold first.

    Returns
    -------
    tuple of numpy.ndarray
        Precision and recall (T + 1,), which end with (1, 0), and thresholds (T,); equal to
        ``sklearn.metrics.precision_recall_curve``. Recall is NaN without positives.

    Raises
    ------
    CohortError
        As :func:`roc_curve`.
    """
    thresholds, tp, fp = _operating_points(truth, score)
    precision = (tp / (tp + fp))[::-1]
    recall = (tp / tp[-1])[::-1] if tp[-1] else np.full(len(tp), np.nan)
    return np.append(precision, 1.0), np.append(recall, 0.0), thresholds[::-1]


def auroc(truth: AnyArray, score: FloatArray) -> float:
    """Area under the ROC curve: the chance that a positive case scores above a negative one, ties counting half.

    NaN if only one class is there.

    Raises
    ------
    CohortError
        As :func:`roc_curve`.

    Examples
    --------
    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    _, tp, fp = _operating_points(truth, score)
    if tp[-1] == 0 or fp[-1] == 0:
        return float("nan")
    wins = np.diff(tp, prepend=0) @ (fp[-1] - 0.5 * (fp + np.concatenate(([0], fp[:-1]))))
    return float(wins / (tp[-1] * fp[-1]))


def average_precision(truth: AnyArray, score: FloatArray) -> float:
    """Average precision: precision at each distinct score, weighted by the gain in recall.

    The step-wise definition of ``sklearn.metrics.average_precision_score``. NaN if only one class is there.

    Raises
    ------
    CohortError
        As :func:`roc_curve`.

    Examples
    --------
    >>> average_precision([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
    0.8333333333333333
    """
    _, tp, fp = _operating_points(truth, score)
    if tp[-1] == 0 or fp[-1] == 0:
        return float("nan")
    return float(np.diff(tp, prepend=0) @ (tp / (tp + fp)) / tp[-1])


def one_vs_rest_auroc(truth: IntArray, probability: FloatArray) -> FloatArray:
    """AUROC of each class against the rest.

    Parameters
    ----------
    truth
        Class indices (N,).
    probability
        Class probabilities (N, C).

    Returns
    -------
    numpy.ndarray
        (C,); NaN for a class that has no case, or all of them. The macro AUROC is their ``nanmean``.

    Raises
    ------
    LabelError
        If an index is outside 0 .. C - 1.
    CohortError
        If the shapes do not match or a probability is NaN.
    """
    probability = np.asarray(probability)
    if probability.ndim != 2:
        raise CohortError(f"probability has shape {probability.shape}; expected (cases, classes)")
    truth = _class_indices(truth, "truth", probability.shape[1])
    return np.array([auroc(truth == index, probability[:, index]) for index in range(probability.shape[1])])


def _class_indices(values: AnyArray, name: str, n_classes: int) -> IntArray:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iub"):
        raise LabelError(
            f"{name} has shape {array.shape} and dtype {array.dtype}; expected class indices (cases,); "
            "map class names to integers first"
        )
    array = array.astype(np.int64)
    wrong = (array < 0) | (array >= n_classes)
    if wrong.any():
        raise LabelError(
            f"{name} holds the class index {array[wrong][0]}; expected 0 to {n_classes - 1} for {n_classes} classes"
        )
    return array


def _operating_points(truth: AnyArray, score: FloatArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Distinct scores, highest first, with the true and false positives at or above each."""
    truth = np.asarray(truth)
    score = np.asarray(score)
    if truth.ndim != 1 or truth.shape != score.shape or truth.size == 0:
        raise CohortError(f"truth has shape {truth.shape} and score {score.shape}; expected one of each per case (N,)")
    if truth.dtype != np.bool_ and not np.isin(truth, (0, 1)).all():
        raise CohortError(
            f"truth holds {np.unique(truth)[:5].tolist()}; expected bool or 0/1; compare with a class first"
        )
    undefined = int(np.count_nonzero(np.isnan(score)))
    if undefined:
        raise CohortError(f"score is NaN for {undefined} of {score.size} cases; leave them out and report how many")
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), ranked.size - 1)
    tp = np.cumsum(truth[order].astype(np.int64))[last]
    return ranked[last], tp, last + 1 - tp


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")


def _f_beta(beta: int, tp: int, fp: int, fn: int) -> float:
    weight = beta**2
    return _ratio((1 + weight) * tp, (1 + weight) * tp + weight * fn + fp)  # Degerli eq. 12, multiplied out


def _mean_of_defined(values: list[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
