"""Who wins a vote."""

from __future__ import annotations

import numpy as np

from patchcxr.types import AnyArray, FloatArray, IntArray


def winners(votes: AnyArray, mean_probability: FloatArray) -> IntArray:
    """Class with the most votes; among equals the one of larger mean probability, then the one of lower index.

    The rule of patches that vote on a film (Oh 2020, section II.B) and of classifiers that vote on one
    (Hertel 2022, Fig. 4); neither paper says what happens to ties.

    Parameters
    ----------
    votes
        Votes for each class, (..., C).
    mean_probability
        Mean probability of each class over the voters, of a shape that fits.

    Examples
    --------
    >>> winners(np.array([[2, 1, 0], [1, 1, 1]]), np.array([0.2, 0.3, 0.5])).tolist()
    [0, 2]
    """
    counts = np.asarray(votes)
    leads = counts == counts.max(axis=-1, keepdims=True)
    return np.where(leads, mean_probability, -np.inf).argmax(axis=-1)
