"""Working points of detectors, and sample sizes."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_curve

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.operating import decision_curve, sensitivity_at_specificity
from patchcxr.stats.power import rank_sum_sample_size


def test_the_working_point_is_the_best_point_of_the_roc_curve_that_is_specific_enough(rng):
    truth = rng.random(200) < 0.4
    score = np.round(truth + rng.normal(size=200), 1)
    fpr, tpr, _ = roc_curve(truth, score, drop_intermediate=False)
    for wanted in (0.5, 0.8, 0.95, 1.0):
        point = sensitivity_at_specificity(truth, score, wanted, rng, resamples=20)
        assert point.sensitivity == pytest.approx(tpr[1 - fpr >= wanted - 1e-12].max())
        assert point.specificity >= wanted
        assert point.low <= point.sensitivity <= point.high


def test_only_no_film_at_all_may_be_specific_enough(rng):
    point = sensitivity_at_specificity([1, 0, 1, 0], [0.1, 0.9, 0.2, 0.9], 1.0, rng, resamples=10)
    assert (point.sensitivity, point.threshold, point.specificity) == (0.0, np.inf, 1.0)


def test_a_missing_class_has_no_working_point(rng):
    point = sensitivity_at_specificity([1, 1, 1], [0.1, 0.2, 0.3], 0.9, rng, resamples=10)
    assert np.isnan(point.sensitivity)
    assert (point.positives, point.negatives) == (3, 0)


def test_patients_are_resampled_whole(rng):
    truth = np.tile([0, 1], 20)
    score = truth * 0.8 + rng.normal(size=40)
    once = sensitivity_at_specificity(truth, score, 0.8, np.random.default_rng(1), groups=np.arange(40))
    copies = sensitivity_at_specificity(
        np.repeat(truth, 5), np.repeat(score, 5), 0.8, np.random.default_rng(1), groups=np.repeat(np.arange(40), 5)
    )
    naive = sensitivity_at_specificity(np.repeat(truth, 5), np.repeat(score, 5), 0.8, np.random.default_rng(1))
    assert copies.high - copies.low == pytest.approx(once.high - once.low, abs=0.1)
    assert naive.high - naive.low < 0.7 * (copies.high - copies.low)


def test_net_benefit_is_worked_by_hand():
    # At 0.2: three of four positives and two of six negatives reach it; 3/10 - 2/10 * 0.25 = 0.25.
    truth = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    probability = [0.9, 0.5, 0.2, 0.1, 0.8, 0.2, 0.1, 0.1, 0.0, 0.0]
    row = decision_curve(truth, probability, np.array([0.2])).iloc[0]
    assert row["net_benefit"] == pytest.approx(0.25)
    assert row["treat_all"] == pytest.approx(0.4 - 0.6 * 0.25)


def test_at_a_low_threshold_everybody_is_treated_and_a_perfect_detector_gains_the_prevalence():
    truth = np.array([1, 0, 0, 1])
    curve = decision_curve(truth, truth.astype(float))
    np.testing.assert_allclose(curve["net_benefit"], 0.5)
    assert len(curve) == 99
    all_alike = decision_curve(truth, np.full(4, 0.999))
    np.testing.assert_allclose(all_alike["net_benefit"], all_alike["treat_all"])


def test_bad_scores_and_thresholds_are_refused(rng):
    with pytest.raises(CohortError, match="NaN"):
        decision_curve([0, 1], [np.nan, 0.5])
    with pytest.raises(CohortError, match="outside"):
        decision_curve([0, 1], [1.5, 0.5])
    with pytest.raises(CohortError, match="one of each per film"):
        sensitivity_at_specificity([0, 1], [0.5], 0.9, rng)
    with pytest.raises(ConfigError, match="threshold probabilities"):
        decision_curve([0, 1], [0.5, 0.5], np.array([1.0]))
    with pytest.raises(ConfigError, match="specificity is 95"):
        sensitivity_at_specificity([0, 1], [0.1, 0.5], 95, rng)


def test_the_sample_size_is_noethers():
    # (1.959964 + 0.841621)^2 / (12 * 0.25 * 0.15^2) = 116.3 for both groups.
    assert rank_sum_sample_size(0.65).total == 118
    uneven = rank_sum_sample_size(0.65, share_a=0.2)
    assert uneven.n_a == pytest.approx(116.28 * 0.25 / 0.16 * 0.2, abs=1)
    assert rank_sum_sample_size(0.35) == rank_sum_sample_size(0.65)
    with pytest.raises(ConfigError, match=r"other than 0\.5"):
        rank_sum_sample_size(0.5)
    with pytest.raises(ConfigError, match="power is 80"):
        rank_sum_sample_size(0.6, power=80)


@pytest.mark.slow
def test_a_trial_of_the_computed_size_has_the_promised_power():
    rng = np.random.default_rng(7)
    shift = 0.6
    probability = stats.norm.cdf(shift / np.sqrt(2))
    size = rank_sum_sample_size(probability, power=0.8)
    found = [
        stats.mannwhitneyu(rng.normal(shift, 1, size.n_a), rng.normal(0, 1, size.n_b)).pvalue < 0.05
        for _ in range(1500)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)
