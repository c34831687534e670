"""How far the masks of one film differ: 1 minus their mean pairwise Dice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from patchcxr.measure.overlap import dice
from patchcxr.types import BoolArray, FloatArray


def mask_dice(a: BoolArray, b: BoolArray) -> float:
    """Dice of two masks, in [0, 1]; two empty masks agree and have 1.

    In a review an empty mask is an answer (no infection). For :func:`patchcxr.measure.overlap.dice` two empty masks are
    undefined.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> mask_dice(np.zeros((2, 2), bool), np.zeros((2, 2), bool))
    1.0
    """
    found = dice(a, b)
    return 1.0 if math.isnan(found) else found


def pairwise_dice(masks: Sequence[BoolArray]) -> FloatArray:
    """Dice of every mask with every other, (N, N), symmetric, 1 on the diagonal; errors as of :func:`mask_dice`."""
    table = np.eye(len(masks))
    for i, j in combinations(range(len(masks)), 2):
        table[i, j] = table[j, i] = mask_dice(masks[i], masks[j])
    return table


def disagreement(masks: Sequence[BoolArray]) -> float:
    """1 minus the mean Dice over all pairs of masks, in [0, 1]; 0 for fewer than two masks.

    Parameters
    ----------
    masks
        bool, (H, W) each: the candidates of a film.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> one, other = np.array([[True, True, False]]), np.array([[True, False, False]])
    >>> round(disagreement([one, one, other]), 3)
    0.222
    """
    if len(masks) < 2:
        return 0.0
    return float(1 - pairwise_dice(masks)[np.triu_indices(len(masks), 1)].mean())
