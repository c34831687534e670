"""Effect sizes against all pairs enumerated, R, and by invariants."""

import numpy as np
import pytest
from scipy import stats

from patchcxr.errors import ConfigError
from patchcxr.stats.effects import (
    hodges_lehmann,
    matched_rank_biserial,
    paired_hodges_lehmann,
    rank_biserial,
    shift_estimate,
)

# Permeability of the placenta (Hollander & Wolfe 1973, p. 69), as in R's ?wilcox.test.
AT_TERM = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
EARLY = np.array([1.15, 0.88, 0.90, 0.74, 1.21])


@pytest.fixture(params=["smooth", "tied"])
def samples(request, rng):
    a, b = rng.normal(0.3, 1, 31), rng.normal(0, 1, 22)
    return (np.round(a), np.round(b)) if request.param == "tied" else (a, b)


def test_rank_biserial_is_the_difference_of_two_probabilities(samples):
    a, b = samples
    expected = (a[:, None] > b).mean() - (a[:, None] < b).mean()
    assert rank_biserial(a, b) == pytest.approx(expected)


def test_rank_biserial_follows_from_the_mann_whitney_statistic(samples):
    a, b = samples
    assert rank_biserial(a, b) == pytest.approx(2 * stats.mannwhitneyu(a, b).statistic / (a.size * b.size) - 1)


def test_rank_biserial_is_positive_if_the_first_sample_is_larger():
    assert rank_biserial([4, 5], [1, 2, 3]) == 1
    assert rank_biserial([1, 2, 3], [4, 5]) == -1
    assert rank_biserial([1, 2], [1, 2]) == 0
    assert np.isnan(rank_biserial([], [1]))


def test_matched_rank_biserial_weighs_signs_by_ranks():
    # Ranks of |d|: 1, 2, 3, 4 with signs -, +, +, +; zeros are left out.
    assert matched_rank_biserial([-0.1, 0.2, 0.3, 0.4, 0.0]) == pytest.approx((9 - 1) / 10)
    assert matched_rank_biserial([1.0, 2.0]) == 1
    assert matched_rank_biserial([0.0, 0.0]) == 0
    assert np.isnan(matched_rank_biserial([]))


def test_matched_rank_biserial_follows_from_the_signed_rank_statistic(rng):
    differences = rng.normal(0.2, 1, 25)
    rank_sum = 25 * 26 / 2
    smaller = stats.wilcoxon(differences).statistic
    assert abs(matched_rank_biserial(differences)) == pytest.approx((rank_sum - 2 * smaller) / rank_sum)


def test_hodges_lehmann_is_the_median_of_all_differences(samples):
    a, b = samples
    assert hodges_lehmann(a, b).estimate == pytest.approx(np.median(np.subtract.outer(a, b)), abs=1e-12)


def test_hodges_lehmann_equals_r():
    # R: wilcox.test(x, y, conf.int = TRUE) -> 0.305, 95 percent confidence interval: -0.15 0.76
    assert hodges_lehmann(AT_TERM, EARLY) == pytest.approx((0.305, -0.15, 0.76))
    assert shift_estimate(AT_TERM, EARLY) == pytest.approx(0.305)


def test_paired_shift_equals_r():
    first = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    second = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    # R: wilcox.test(x, y, paired = TRUE, conf.int = TRUE) -> (pseudo)median 0.46, 0.010 0.786
    assert paired_hodges_lehmann(first - second) == pytest.approx((0.46, 0.010, 0.786))


def test_large_samples_take_the_normal_quantile(rng):
    a, b = rng.normal(0.3, 1, 60), rng.normal(0, 1, 55)
    differences = np.sort(np.subtract.outer(a, b).ravel())
    rank = int(a.size * b.size / 2 - 1.959964 * np.sqrt(a.size * b.size * (a.size + b.size + 1) / 12))
    assert hodges_lehmann(a, b)[1:] == pytest.approx((differences[rank - 1], differences[-rank]), abs=1e-12)


def test_samples_too_small_for_the_confidence_span_all_differences():
    # R: qwilcox(0.025, 3, 3) -> 0
    assert hodges_lehmann([1.0, 2.0, 5.0], [0.0, 0.5, 9.0])[1:] == (-8, 5)


def test_hodges_lehmann_ends_are_order_statistics_of_the_differences(samples):
    a, b = samples
    differences = np.sort(np.subtract.outer(a, b).ravel())
    rank = 233  # R: qwilcox(0.025, 31, 22)
    shift = hodges_lehmann(a, b)
    assert shift.low == pytest.approx(differences[rank - 1], abs=1e-12)
    assert shift.high == pytest.approx(differences[-rank], abs=1e-12)


def test_walsh_averages_give_the_paired_shift(samples):
    d = samples[0]
    rows, columns = np.triu_indices(d.size)
    walsh = np.sort((d[rows] + d[columns]) / 2)
    rank = 148  # R: qsignrank(0.025, 31)
    shift = paired_hodges_lehmann(d)
    assert shift == pytest.approx((np.median(walsh), walsh[rank - 1], walsh[-rank]), abs=1e-12)


def test_a_shift_moves_with_the_sample_and_changes_sign_with_the_order(samples):
    a, b = samples
    shift = hodges_lehmann(a, b)
    assert hodges_lehmann(a + 2, b) == pytest.approx(np.array(shift) + 2)
    assert hodges_lehmann(b, a) == pytest.approx((-shift.estimate, -shift.high, -shift.low))


def test_equal_samples_have_a_shift_of_exactly_zero():
    assert hodges_lehmann([1, 1, 2], [1, 1, 2]).estimate == 0
    assert paired_hodges_lehmann(np.zeros(7)) == (0, 0, 0)


@pytest.mark.slow
def test_intervals_cover_the_true_shift_as_often_as_they_say(rng):
    runs = 1000
    shifts = [hodges_lehmann(rng.normal(0.5, 1, 20), rng.normal(0, 1, 15)) for _ in range(runs)]
    paired = [paired_hodges_lehmann(rng.normal(0.5, 1, 20)) for _ in range(runs)]
    margin = 3.3 * np.sqrt(0.95 * 0.05 / runs)
    for found in (shifts, paired):
        # exact intervals are a little cautious: their level moves in steps
        assert 0.95 - margin <= np.mean([shift.low <= 0.5 <= shift.high for shift in found]) <= 0.96 + margin


def test_without_values_there_is_no_shift():
    assert np.isnan(hodges_lehmann([], [1.0])).all()
    assert np.isnan(paired_hodges_lehmann([])).all()


def test_a_confidence_in_percent_is_refused():
    with pytest.raises(ConfigError, match="confidence is 95; expected a fraction"):
        hodges_lehmann([1.0], [2.0], confidence=95)
