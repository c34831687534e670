"""Rank correlation against SciPy."""

import numpy as np
import pytest
from scipy import stats

from patchcxr.errors import CohortError
from patchcxr.stats.association import rank_correlation


def test_rho_equals_scipy_with_ties(rng):
    a = rng.random(40).round(1)
    b = (a + rng.normal(0, 0.3, 40)).round(1)
    expected = stats.spearmanr(a, b)
    result = rank_correlation(a, b)
    assert (result.rho, result.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert np.isnan([result.low, result.high]).all()


def test_films_that_lack_a_value_are_dropped_and_counted(rng):
    a, b = rng.random((2, 20))
    clean = rank_correlation(a[2:], b[2:])
    a[0], b[1] = np.nan, np.inf
    result = rank_correlation(a, b)
    assert (result.rho, result.n, result.dropped) == (clean.rho, 18, 2)


def test_the_interval_widens_when_films_belong_to_few_patients(rng):
    patients = np.repeat(np.arange(12), 5)
    a = rng.normal(size=12)[patients] + 0.05 * rng.normal(size=60)
    b = 0.6 * a + rng.normal(size=12)[patients]
    naive = rank_correlation(a, b, rng=np.random.default_rng(0), resamples=300)
    clustered = rank_correlation(a, b, patients, rng=np.random.default_rng(0), resamples=300)
    assert clustered.low < clustered.rho < clustered.high
    assert clustered.high - clustered.low > 1.3 * (naive.high - naive.low)


@pytest.mark.parametrize(("a", "b"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([], [])])
def test_too_few_or_constant_values_have_no_correlation(a, b):
    assert np.isnan(rank_correlation(a, b).rho)


def test_unpaired_values_are_refused():
    with pytest.raises(CohortError, match="one value of each per film"):
        rank_correlation([1, 2], [1])
