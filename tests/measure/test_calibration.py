from __future__ import annotations

import numpy as np
import pytest

from patchcxr.errors import CohortError, ConfigError, LabelError
from patchcxr.measure.calibration import (
    FLOOR,
    bin_edges,
    bin_of,
    brier_score,
    calibration_error,
    check_probabilities,
    expected_calibration_error,
    maximum_calibration_error,
    negative_log_likelihood,
    reliability_bins,
)


def ece_by_hand(confidence, correct, bins):
    """The textbook's loop over right-closed bins."""
    total = 0.0
    for k in range(bins):
        low, high = k / bins, (k + 1) / bins
        inside = [(c, r) for c, r in zip(confidence, correct, strict=True) if low < c <= high or (k == 0 and c == 0)]
        if inside:
            gap = abs(np.mean([r for _, r in inside]) - np.mean([c for c, _ in inside]))
            total += len(inside) / len(confidence) * gap
    return total


def test_a_confidence_of_one_lies_in_the_last_bin_where_torchmetrics_makes_a_bin_of_its_own():
    # Both in (0.9, 1]: |1/2 - (0.95 + 1) / 2| = 0.475; a bin for 1.0 alone would give (0.05 + 1) / 2 = 0.525.
    found = reliability_bins(np.array([0.95, 1.0]), np.array([True, False]), bins=10)
    assert calibration_error(found) == pytest.approx(0.475)
    assert found.weight.tolist() == [0] * 9 + [2]


def test_a_value_on_an_edge_belongs_to_the_bin_below_and_zero_to_the_first():
    assert bin_of(np.array([0.0, 0.25, 0.2500001, 0.5, 1.0]), bin_edges(np.zeros(0), 4)).tolist() == [0, 0, 1, 1, 3]


def test_the_error_is_the_sum_of_a_worked_example_with_empty_bins():
    confidence = np.array([0.1, 0.3, 0.3, 0.9, 0.9])
    correct = np.array([1, 0, 0, 1, 1])
    # bins of 0.5: {0.1, 0.3, 0.3}: |1/3 - 0.7/3| = 0.1; {0.9, 0.9}: 0.1; weighted 3/5 and 2/5
    assert calibration_error(reliability_bins(confidence, correct, 2)) == pytest.approx(0.1)
    found = reliability_bins(confidence, correct, 10)
    assert np.isnan(found.accuracy[5])
    assert found.weight[5] == 0
    # bins of 0.1: 1/5 * 0.9 + 2/5 * 0.3 + 2/5 * 0.1, and the worst is 0.9
    assert calibration_error(found) == pytest.approx(0.34)
    assert maximum_calibration_error(found) == pytest.approx(0.9)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_error_equals_the_textbooks_loop_on_random_films(bins, rng):
    confidence = rng.random(300)
    correct = rng.random(300) < confidence**2
    assert calibration_error(reliability_bins(confidence, correct, bins)) == pytest.approx(
        ece_by_hand(confidence, correct, bins)
    )


def test_a_weight_of_two_is_the_film_counted_twice(rng):
    confidence, correct = rng.random(40), rng.random(40) < 0.5
    weights = rng.integers(0, 3, 40)
    weights[0] = 1
    repeated = np.repeat(np.arange(40), weights)
    for binning in ("width", "mass"):
        weighted = reliability_bins(confidence, correct, 5, binning, weights.astype(float))
        twice = reliability_bins(confidence[repeated], correct[repeated], 5, binning)
        for mine, theirs in zip(weighted, twice, strict=True):
            np.testing.assert_allclose(mine, theirs)


def test_bins_of_equal_mass_hold_as_many_films_and_never_part_ties():
    confidence = np.linspace(0.01, 1, 100)
    assert reliability_bins(confidence, confidence > 0.5, 4, "mass").weight.tolist() == [25] * 4
    tied = np.array([0.2, 0.7, 0.7, 0.7, 0.7, 0.9])
    found = reliability_bins(tied, np.ones(6), 6, "mass")
    assert found.weight.tolist() == [1, 4, 1]
    assert found.high.tolist() == [0.2, 0.7, 1.0]


def test_top_label_and_class_wise_errors_of_three_films_by_hand():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    truth = np.array([0, 1, 1])
    # top label: 2/3 * |1/2 - 0.9| + 1/3 * |1 - 0.6|
    assert expected_calibration_error(p, truth, bins=10) == pytest.approx(0.4)
    # of each class: the same two gaps, 0.9 against 1/2, 0.4 against 0 (or 0.1 against 1/2, 0.6 against 1)
    assert expected_calibration_error(p, truth, "class_wise", bins=10) == pytest.approx(0.4)
    truth = np.array([0, 0, 0])
    # class 0: 2/3 * 0.1 + 1/3 * 0.6; class 1 likewise; top label: 2/3 * 0.1 + 1/3 * 0.6
    assert expected_calibration_error(p, truth, "class_wise", bins=10) == pytest.approx(0.8 / 3)


def test_the_confidence_of_a_vote_is_that_of_the_class_that_won():
    p, truth = np.array([[0.6, 0.4], [0.6, 0.4]]), np.array([1, 1])
    # said 1 with 0.4, and right both times
    assert expected_calibration_error(p, truth, bins=10, predicted=np.array([1, 1])) == pytest.approx(0.6)
    assert expected_calibration_error(p, truth, bins=10) == pytest.approx(0.6)
    assert expected_calibration_error(p, truth, bins=10, predicted=np.array([1, 0])) == pytest.approx(0.6)


def test_probabilities_drawn_from_themselves_are_calibrated(rng):
    p = rng.dirichlet([1, 1, 1], 100_000)
    truth = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    assert expected_calibration_error(p, truth) < 0.01
    assert expected_calibration_error(p, truth, "class_wise") < 0.01
    assert expected_calibration_error(p, truth, binning="mass") < 0.01


def test_brier_and_likelihood_agree_with_sums_film_by_film(rng):
    p, truth, weights = rng.dirichlet([1, 1, 1], 50), rng.integers(3, size=50), rng.random(50)
    likelihood = sum(-w * np.log(row[t]) for row, t, w in zip(p, truth, weights, strict=True)) / sum(weights)
    assert negative_log_likelihood(p, truth, weights) == pytest.approx(likelihood)
    squares = [sum((row[c] - (c == t)) ** 2 for c in range(3)) for row, t in zip(p, truth, strict=True)]
    assert brier_score(p, truth) == pytest.approx(sum(squares) / 50)
    assert brier_score(np.array([[0.5, 0.3, 0.2]]), np.array([2])) == pytest.approx(0.25 + 0.09 + 0.64)


def test_a_true_class_of_probability_zero_costs_a_finite_amount():
    assert negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(FLOOR))


def test_unusable_input_is_a_named_error():
    good = np.array([[0.5, 0.5]])
    with pytest.raises(CohortError, match="NaN"):
        reliability_bins(np.array([0.5, np.nan]), np.array([1, 0]))
    with pytest.raises(CohortError, match=r"is 1\.5"):
        reliability_bins(np.array([1.5]), np.array([1]))
    with pytest.raises(CohortError, match="bool or 0/1"):
        reliability_bins(np.array([0.5]), np.array([2]))
    with pytest.raises(CohortError, match="weights"):
        reliability_bins(np.array([0.5]), np.array([1]), weights=np.array([0.0]))
    with pytest.raises(CohortError, match="N >= 1"):
        reliability_bins(np.zeros(0), np.zeros(0))
    with pytest.raises(ConfigError, match="bins is 0"):
        reliability_bins(np.array([0.5]), np.array([1]), bins=0)
    with pytest.raises(ConfigError, match="binning"):
        reliability_bins(np.array([0.5]), np.array([1]), binning="quantile")
    with pytest.raises(ConfigError, match="kind"):
        expected_calibration_error(good, np.array([0]), "max")
    with pytest.raises(CohortError, match="softmax"):
        check_probabilities(np.array([[3.0, -1.0]]), np.array([0]))
    with pytest.raises(CohortError, match="NaN"):
        check_probabilities(np.array([[0.5, np.nan]]), np.array([0]))
    with pytest.raises(LabelError, match="0 to 1"):
        check_probabilities(good, np.array([2]))
