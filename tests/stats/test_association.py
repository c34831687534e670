"""Correlation against SciPy and R, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.association import correlation, rank_correlation


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


LIGHTNESS = [44.4, 45.9, 41.9, 53.3, 44.7, 44.1, 50.7, 45.2, 60.1]
QUALITY = [2.6, 3.1, 2.5, 5.0, 3.6, 4.0, 5.2, 2.8, 3.8]
TUNA = pd.DataFrame({"x": LIGHTNESS, "y": QUALITY})  # Hollander & Wolfe 1973, p. 187, as in R's ?cor.test


def test_pearson_with_its_interval_equals_r():
    row = correlation(TUNA, "x", "y", "pearson").iloc[0]
    # R: cor.test(x, y) -> cor 0.571181557564, p-value 0.108173054349, -0.149742633037 0.895579461839
    assert (row["r"], row["p"]) == pytest.approx((0.571181557564, 0.108173054349))
    assert (row["low"], row["high"]) == pytest.approx((-0.149742633037, 0.895579461839))


def test_kendall_and_spearman_equal_r():
    # R: cor.test(x, y, method = "kendall") -> tau 0.444444444444, p-value 0.119438932981
    row = correlation(TUNA, "x", "y", "kendall").iloc[0]
    assert (row["r"], row["p"]) == pytest.approx((0.444444444444, 0.119438932981))
    # R: cor.test(x, y, method = "spearman") -> rho 0.6
    row = correlation(TUNA, "x", "y").iloc[0]
    assert row["r"] == pytest.approx(0.6)
    half = 1.959964 * np.sqrt((1 + 0.36 / 2) / 6)
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.tanh(np.arctanh(0.6) + np.array([-half, half]))))


def test_patients_count_once_by_default_and_the_naive_result_stands_beside(rng):
    who = np.repeat(np.arange(12), 5)
    x = rng.normal(size=12)[who] + 0.05 * rng.normal(size=60)
    table = pd.DataFrame({"patient": who, "x": x, "y": 0.6 * x + rng.normal(size=12)[who]})
    row = correlation(table, "x", "y").iloc[0]
    means = table.groupby("patient").mean()
    assert (row["n"], row["films"], row["patients"], row["unit"]) == (12, 60, 12, "patient")
    assert row["r"] == pytest.approx(stats.spearmanr(means["x"], means["y"]).statistic)
    assert row["p_naive"] == pytest.approx(stats.spearmanr(table["x"], table["y"]).pvalue)
    assert row["p_naive"] < row["p"]
    boot = correlation(table, "x", "y", clustering="bootstrap", rng=rng, resamples=300).iloc[0]
    assert boot["high"] - boot["low"] > 1.3 * (boot["high_naive"] - boot["low_naive"])
    assert np.isnan(boot["p"])
    films = correlation(table, "x", "y", clustering="none").iloc[0]
    assert (films["unit"], films["p"]) == ("film", row["p_naive"])


@pytest.mark.parametrize(
    ("x", "y", "note"),
    [
        ([1.0, 2.0], [1.0, 2.0], "fewer than three values"),
        ([np.nan, np.inf, 1.0], [1.0, 2.0, 3.0], "fewer than three values"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "a column is constant"),
    ],
)
@pytest.mark.parametrize("method", ["spearman", "pearson", "kendall"])
def test_thin_columns_have_no_correlation_and_a_note(x, y, note, method):
    row = correlation(pd.DataFrame({"x": x, "y": y}), "x", "y", method).iloc[0]
    assert np.isnan([row["r"], row["low"], row["p"]]).all()
    assert row["note"].startswith(note)


def test_perfect_correlation_has_no_width_and_says_so():
    row = correlation(pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [2.0, 4.0, 6.0, 8.0]}), "x", "y").iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((1, 1))
    assert row["note"].startswith("perfect correlation")


def test_unpaired_columns_repeated_studies_and_unknown_methods_are_refused():
    with pytest.raises(CohortError, match="no row has both 'x' and 'y'"):
        correlation(pd.DataFrame({"x": [1.0, np.nan], "y": [np.nan, 1.0]}), "x", "y")
    with pytest.raises(CohortError, match="8 rows repeat a study"):
        correlation(TUNA.assign(study="s"), "x", "y")
    with pytest.raises(ConfigError, match="expected 'spearman', 'pearson' or 'kendall'"):
        correlation(TUNA, "x", "y", "gamma")
    with pytest.raises(ConfigError, match="clustering is 'patient'"):
        correlation(TUNA, "x", "y", clustering="patient")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "truth"),
    [("pearson", 0.5), ("spearman", 6 / np.pi * np.arcsin(0.25)), ("kendall", 2 / np.pi * np.arcsin(0.5))],
)
def test_intervals_cover_as_often_as_they_say(rng, method, truth):
    runs, covered = 500, []
    for _ in range(runs):
        x = rng.normal(size=50)
        table = pd.DataFrame({"x": x, "y": 0.5 * x + np.sqrt(0.75) * rng.normal(size=50)})
        row = correlation(table, "x", "y", method).iloc[0]
        covered.append(row["low"] <= truth <= row["high"])
    # the variances of the rank correlations are approximate
    assert abs(np.mean(covered) - 0.95) < 3.3 * np.sqrt(0.95 * 0.05 / runs) + 0.01
