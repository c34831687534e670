"""Intervals against statsmodels and SciPy, and the bootstrap by invariants."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.bootstrap import cluster_bootstrap, cluster_bootstrap_auroc, value_bootstrap
from patchcxr.stats.intervals import clopper_pearson_interval, normal_interval, wilson_interval


def area(truth, score):
    return roc_auc_score(truth, score) if 0 < truth.sum() < truth.size else np.nan


@pytest.mark.parametrize(("successes", "n"), [(90, 100), (1, 7), (495, 500)])
def test_wilson_interval_equals_statsmodels(successes, n):
    expected = proportion_confint(successes, n, alpha=0.05, method="wilson")
    assert wilson_interval(successes, n) == pytest.approx(expected)


def test_wilson_interval_stays_inside_zero_and_one_and_keeps_a_width():
    low, high = wilson_interval(20, 20)
    assert high == 1
    assert 0.8 < low < 0.9
    assert wilson_interval(0, 20) == pytest.approx((0, 1 - low))
    assert np.isnan(wilson_interval(0, 0)).all()


def test_normal_interval_is_equation_13_as_printed():
    r = 1.96 * np.sqrt(0.98 * 0.02 / 50)
    assert normal_interval(0.98, 50) == pytest.approx((0.98 - r, 0.98 + r))
    assert normal_interval(0.98, 50)[1] > 1
    assert normal_interval(1.0, 50) == (1, 1)
    assert np.isnan(normal_interval(0.5, 0)).all()


def test_normal_interval_equals_statsmodels_inside_the_unit_interval():
    expected = proportion_confint(30, 100, alpha=0.05, method="normal")
    assert normal_interval(0.3, 100) == pytest.approx(expected, abs=1e-4)


def test_percentages_and_impossible_counts_are_refused():
    with pytest.raises(ConfigError, match="divide percents by 100"):
        normal_interval(95.0, 100)
    with pytest.raises(ConfigError, match="expected 0 <= successes <= n"):
        wilson_interval(5, 4)


def test_bootstrap_without_groups_equals_scipy_on_average(rng):
    values = rng.exponential(size=60)
    ours = cluster_bootstrap(np.mean, values, rng=np.random.default_rng(1), resamples=4000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2))
    assert tuple(ours) == pytest.approx(tuple(theirs.confidence_interval), rel=0.03)
    assert ours.estimate == pytest.approx(values.mean())


def test_bca_equals_scipy_on_average(rng):
    values = rng.exponential(size=40)
    ours = cluster_bootstrap(np.mean, values, rng=np.random.default_rng(1), resamples=4000, method="bca")
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(2))
    assert tuple(ours) == pytest.approx(tuple(theirs.confidence_interval), rel=0.03)


def test_copies_of_a_patients_film_do_not_narrow_the_interval(rng):
    values = rng.normal(size=30)
    once = cluster_bootstrap(np.mean, values, rng=np.random.default_rng(5))
    copied = np.repeat(values, 4)
    patients = np.repeat([f"p{i:02d}" for i in range(30)], 4)
    clustered = cluster_bootstrap(np.mean, copied, groups=patients, rng=np.random.default_rng(5))
    naive = cluster_bootstrap(np.mean, copied, rng=np.random.default_rng(5))
    assert tuple(clustered) == pytest.approx(tuple(once))
    assert clustered.clusters == 30
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


def test_films_of_one_patient_are_drawn_together():
    seen = []
    films, patients = np.array([10, 20, 11, 21, 12]), np.array(["a", "b", "a", "b", "a"])

    def remember(drawn):
        seen.append(sorted(drawn.tolist()))
        return 0.0

    cluster_bootstrap(remember, films, groups=patients, rng=np.random.default_rng(0), resamples=50)
    a, b = [10, 11, 12], [20, 21]
    assert {tuple(drawn) for drawn in seen} == {tuple(sorted(pair)) for pair in (a + a, a + b, b + b)} | {
        tuple(sorted(films.tolist()))
    }


@pytest.mark.parametrize("decimals", [1, 8])
def test_fast_auroc_bootstrap_equals_the_slow_one(rng, decimals):
    truth = rng.random(60) < 0.4
    score = np.round(0.3 * truth + rng.random(60), decimals)
    patients = rng.integers(25, size=60)
    fast = cluster_bootstrap_auroc(truth, score, groups=patients, rng=np.random.default_rng(3), resamples=200)
    slow = cluster_bootstrap(area, truth, score, groups=patients, rng=np.random.default_rng(3), resamples=200)
    assert (fast.estimate, *fast) == pytest.approx((slow.estimate, *slow))
    assert (fast.undefined, fast.clusters) == (slow.undefined, slow.clusters)


def test_resamples_with_a_single_class_are_skipped_and_counted():
    truth, score = np.array([0, 0, 1]), np.array([0.1, 0.3, 0.2])
    fast = cluster_bootstrap_auroc(truth, score, rng=np.random.default_rng(0), resamples=500)
    slow = cluster_bootstrap(area, truth, score, rng=np.random.default_rng(0), resamples=500)
    # Three draws of three films: none is the positive one in 8 of 27, all are in 1 of 27.
    assert fast.undefined / 500 == pytest.approx(9 / 27, abs=0.06)
    assert fast.undefined == slow.undefined
    assert 0 <= fast.low <= fast.high <= 1


def test_without_a_defined_resample_the_interval_is_nan():
    interval = cluster_bootstrap_auroc([1, 1], [0.2, 0.3], rng=np.random.default_rng(0), resamples=20)
    assert np.isnan([interval.estimate, *interval]).all()
    assert interval.undefined == 20


def test_blocks_do_not_change_the_result(rng, monkeypatch):
    truth, score = rng.random(50) < 0.5, rng.random(50)
    whole = cluster_bootstrap_auroc(truth, score, rng=np.random.default_rng(1), resamples=101)
    monkeypatch.setattr("patchcxr.stats.bootstrap.BLOCK", 500)
    assert cluster_bootstrap_auroc(truth, score, rng=np.random.default_rng(1), resamples=101) == whole


def test_a_paired_difference_keeps_its_pairs(rng):
    score = rng.random(40)
    interval = cluster_bootstrap(lambda a, b: np.mean(a - b), score + 0.25, score, rng=rng, resamples=100)
    assert tuple(interval) == pytest.approx((0.25, 0.25))


def test_unusable_input_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(CohortError, match=r"lengths \[3, 2\]"):
        cluster_bootstrap(np.mean, [1, 2, 3], [1, 2], rng=generator)
    with pytest.raises(CohortError, match="without a patient"):
        cluster_bootstrap(np.mean, [1, 2], groups=["a", None], rng=generator)
    with pytest.raises(CohortError, match="without a patient"):
        cluster_bootstrap(np.mean, [1, 2], groups=np.array([1, np.nan]), rng=generator)
    with pytest.raises(CohortError, match="score holds NaN"):
        cluster_bootstrap_auroc([0, 1], [0.1, np.nan], rng=generator)
    with pytest.raises(ConfigError, match="expected 'percentile' or 'bca'"):
        cluster_bootstrap(np.mean, [1, 2], rng=generator, method="basic")
    with pytest.raises(ConfigError, match="resamples is 0"):
        cluster_bootstrap(np.mean, [1, 2], rng=generator, resamples=0)


@pytest.mark.parametrize(
    ("successes", "n", "confidence", "expected"),
    [
        (7, 20, 0.95, (0.153909204784541, 0.592188534532828)),  # R: binom.test(7, 20)$conf.int
        (0, 20, 0.95, (0.0, 0.168433470983085)),  # R: binom.test(0, 20)$conf.int
        (20, 20, 0.9, (0.860891659331735, 1.0)),  # R: binom.test(20, 20, conf.level = 0.9)$conf.int
    ],
)
def test_the_exact_interval_is_that_of_r(successes, n, confidence, expected):
    assert clopper_pearson_interval(successes, n, confidence) == pytest.approx(expected, abs=1e-9)


def test_the_exact_interval_covers_at_least_as_often_as_it_says():
    n, p = 15, 0.2
    weights = stats.binom.pmf(np.arange(n + 1), n, p)
    covered = [low <= p <= high for low, high in (clopper_pearson_interval(k, n) for k in range(n + 1))]
    assert weights[covered].sum() >= 0.95
    assert np.isnan(clopper_pearson_interval(0, 0)).all()
    with pytest.raises(ConfigError, match="expected 0 <= successes <= n"):
        clopper_pearson_interval(3, 2)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_the_bootstrap_of_values_is_the_cluster_bootstrap_with_one_film_a_patient(statistic):
    values = np.random.default_rng(1).normal(size=37)
    slow = cluster_bootstrap(statistic, values, rng=np.random.default_rng(2), resamples=500)
    fast = value_bootstrap(statistic, values, rng=np.random.default_rng(2), resamples=500)
    np.testing.assert_allclose([*fast, fast.estimate], [*slow, slow.estimate], rtol=1e-12)
    with pytest.raises(CohortError, match="expected one entry a film"):
        value_bootstrap(np.mean, np.array([]), rng=np.random.default_rng(2))
