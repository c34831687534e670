"""Overlap of a predicted mask with a true one."""

from __future__ import annotations

import numpy as np

from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.types import BoolArray


def pixel_confusion(predicted: BoolArray, truth: BoolArray) -> tuple[int, int, int, int]:
    """Count true-positive, false-positive, false-negative and true-negative pixels.

    Parameters
    ----------
    predicted, truth
        Boolean masks of one shape, usually (H, W); a stack (N, H, W) is counted as a whole.

    Returns
    -------
    tuple of int
        ``(tp, fp, fn, tn)``, the order that :func:`~patchcxr.measure.classification.binary_scores` takes.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> pixel_confusion(np.array([[True, True, False]]), np.array([[True, False, False]]))
    (1, 1, 0, 1)
    """
    predicted = as_mask(predicted, "predicted")
    truth = as_mask(truth, "truth")
    check_same_shape(predicted, "predicted", truth.shape, "truth")
    tp = int(np.count_nonzero(predicted & truth))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return tp, fp, fn, truth.size - tp - fp - fn


def dice(predicted: BoolArray, truth: BoolArray) -> float:
    """Dice similarity coefficient, in [0, 1]; NaN if both masks are empty.

    A missed or an invented organ (one mask empty, the other not) scores 0, so that failures stay in the mean.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> dice(np.array([[True, True, False]]), np.array([[True, False, False]]))
    0.6666666666666666
    """
    tp, fp, fn, _ = pixel_confusion(predicted, truth)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else float("nan")


def jaccard(predicted: BoolArray, truth: BoolArray) -> float:
    """Jaccard similarity coefficient (intersection over union), in [0, 1]; NaN if both masks are empty.

    This is the score of Oh 2020, Tables V and XIII to XV. One empty mask scores 0.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> jaccard(np.array([[True, True, False]]), np.array([[True, False, False]]))
    0.5
    """
    tp, fp, fn, _ = pixel_confusion(predicted, truth)
    return tp / (tp + fp + fn) if tp + fp + fn else float("nan")
