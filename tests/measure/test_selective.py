from __future__ import annotations

import itertools

import numpy as np
import pytest

from patchcxr.errors import CohortError, LabelError
from patchcxr.measure.classification import classification_scores, confusion_matrix
from patchcxr.measure.selective import (
    area_under_risk_coverage,
    at_coverage,
    excess_area_under_risk_coverage,
    selective_curve,
)


def test_four_films_by_hand():
    confidence = np.array([0.9, 0.6, 0.8, 0.7])
    truth, predicted = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
    curve = selective_curve(confidence, truth, predicted, 2)
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(curve.accuracy, [1, 1, 2 / 3, 1 / 2])
    # with one film class 1 is neither there nor predicted, and is left out of the mean
    np.testing.assert_allclose(curve.macro_f1, [1, 1, 2 / 3, 1 / 2])
    # risks 0, 0, 1/3, 1/2 over four coverages
    assert area_under_risk_coverage(confidence, truth == predicted) == pytest.approx((1 / 3 + 1 / 2) / 4)
    # already the best order: both errors are the least sure
    assert excess_area_under_risk_coverage(confidence, truth == predicted) == pytest.approx(0)


def test_films_of_equal_confidence_stay_together_and_order_does_not_matter(rng):
    confidence = np.round(rng.random(60), 1)
    truth, predicted = rng.integers(3, size=60), rng.integers(3, size=60)
    curve, order = selective_curve(confidence, truth, predicted, 3), rng.permutation(60)
    other = selective_curve(confidence[order], truth[order], predicted[order], 3)
    for mine, theirs in zip(curve, other, strict=True):
        np.testing.assert_allclose(mine, theirs)
    assert len(curve.threshold) == len(np.unique(confidence))
    right = truth == predicted
    assert area_under_risk_coverage(confidence[order], right[order]) == pytest.approx(
        area_under_risk_coverage(confidence, right)
    )


def test_macro_f1_is_that_of_the_kept_films(rng):
    confidence = rng.random(50)
    truth, predicted = rng.integers(3, size=50), rng.integers(3, size=50)
    curve = selective_curve(confidence, truth, predicted, 3)
    for threshold, score, accuracy in zip(curve.threshold, curve.macro_f1, curve.accuracy, strict=True):
        kept = confidence >= threshold
        expected = classification_scores(confusion_matrix(truth[kept], predicted[kept], 3))["macro"]
        assert score == pytest.approx(expected["f1"])
        assert accuracy == pytest.approx(expected["accuracy"])


def test_a_tie_counts_as_the_mean_over_all_its_orders():
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    right = np.array([True, False, True, True, False])
    areas = []
    for order in itertools.permutations([1, 2, 3]):
        errors = np.cumsum(~right[[0, *order, 4]])
        areas.append(np.mean(errors / np.arange(1, 6)))
    assert area_under_risk_coverage(confidence, right) == pytest.approx(np.mean(areas))


def test_a_confidence_that_says_nothing_has_the_error_rate_as_area():
    right = np.array([True, False, True, True])
    assert area_under_risk_coverage(np.full(4, 0.5), right) == pytest.approx(0.25)


def test_all_right_has_area_zero_and_one_class_is_no_obstacle():
    assert area_under_risk_coverage(np.array([0.2, 0.9]), np.array([True, True])) == 0
    curve = selective_curve(np.array([0.9, 0.2]), np.array([1, 1]), np.array([1, 1]), 3)
    assert curve.macro_f1.tolist() == [1.0, 1.0]


def test_a_share_of_coverage_is_the_first_point_that_reaches_it():
    curve = selective_curve(np.array([0.9, 0.5, 0.5, 0.1]), np.zeros(4, int), np.array([0, 0, 1, 1]), 2)
    assert at_coverage(curve, 0.5).coverage.tolist() == [0.75]
    assert at_coverage(curve, 0.75).accuracy[0] == pytest.approx(2 / 3)
    assert at_coverage(curve, 1.0).accuracy[0] == 0.5


def test_unusable_input_is_a_named_error():
    with pytest.raises(CohortError, match="NaN for 1 of 2"):
        selective_curve(np.array([0.5, np.nan]), np.zeros(2, int), np.zeros(2, int), 2)
    with pytest.raises(CohortError, match="N >= 1"):
        area_under_risk_coverage(np.zeros(0), np.zeros(0))
    with pytest.raises(LabelError, match="predicted"):
        selective_curve(np.array([0.5]), np.array([0]), np.array([2]), 2)
