"""Overlap scores against hand counts and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score

from patchcxr.errors import MaskError
from patchcxr.measure.classification import binary_scores
from patchcxr.measure.overlap import dice, jaccard, pixel_confusion

TRUTH = np.array(
    [
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]
).astype(bool)
PREDICTED = np.array(
    [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [0, 0, 0, 1],
    ]
).astype(bool)


def test_counts_are_those_of_the_drawn_masks():
    assert pixel_confusion(PREDICTED, TRUTH) == (2, 3, 2, 5)


def test_dice_and_jaccard_follow_from_the_counts():
    assert dice(PREDICTED, TRUTH) == pytest.approx(4 / 9)
    assert jaccard(PREDICTED, TRUTH) == pytest.approx(2 / 7)


def test_dice_and_jaccard_equal_scikit_learn(rng):
    truth, predicted = rng.random((2, 40, 30)) < 0.3
    assert dice(predicted, truth) == pytest.approx(f1_score(truth.ravel(), predicted.ravel()))
    assert jaccard(predicted, truth) == pytest.approx(jaccard_score(truth.ravel(), predicted.ravel()))


def test_dice_is_a_function_of_jaccard_and_both_are_symmetric(rng):
    truth, predicted = rng.random((2, 20, 20)) < 0.5
    overlap = jaccard(predicted, truth)
    assert dice(predicted, truth) == pytest.approx(2 * overlap / (1 + overlap))
    assert jaccard(truth, predicted) == overlap


def test_dice_is_the_f1_of_the_pixels():
    assert binary_scores(*pixel_confusion(PREDICTED, TRUTH))["f1"] == pytest.approx(dice(PREDICTED, TRUTH))


def test_a_missed_organ_scores_zero_and_two_empty_masks_are_undefined():
    empty = np.zeros_like(TRUTH)
    assert dice(empty, TRUTH) == jaccard(empty, TRUTH) == 0
    assert dice(TRUTH, empty) == jaccard(TRUTH, empty) == 0
    assert np.isnan(dice(empty, empty))
    assert np.isnan(jaccard(empty, empty))


def test_a_probability_map_is_refused_rather_than_cast():
    with pytest.raises(MaskError, match=r"predicted has dtype float64; expected bool; threshold it first"):
        dice(np.full(TRUTH.shape, 0.01), TRUTH)


def test_masks_of_two_sizes_are_refused_with_the_remedy():
    with pytest.raises(MaskError, match=r"\(2, 4\) but truth has \(3, 4\); resize the mask"):
        jaccard(PREDICTED[:2], TRUTH)
