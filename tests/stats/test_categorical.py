"""Tests of categories against R and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.categorical import compare_categories, cramers_v, fisher, odds_ratio

TABLE = [[25, 15], [10, 30]]
# Job satisfaction by income (Agresti 2002, p. 57), as in R's ?fisher.test
JOB = np.array([[1, 2, 1, 0], [3, 3, 6, 1], [10, 10, 14, 9], [6, 7, 12, 11]]).T


def long_table(counts):
    rows, columns = np.indices(np.shape(counts))
    repeats = np.ravel(counts)
    return pd.DataFrame({"label": np.repeat(rows.ravel(), repeats), "sign": np.repeat(columns.ravel(), repeats)})


def test_chi_square_and_fisher_of_two_by_two_equal_r():
    result = compare_categories(long_table(TABLE), "label", "sign").set_index("test")
    # R: chisq.test(t, correct = FALSE) -> X-squared = 11.4285714286, p-value = 0.00072323271643
    assert result.loc["chi-square", ["statistic", "df", "p"]].tolist() == pytest.approx(
        [11.4285714286, 1, 0.00072323271643]
    )
    # R: chisq.test(t) -> X-squared = 9.95555555556, p-value = 0.00160364726241
    assert result.loc["chi-square (Yates)", ["statistic", "p"]].tolist() == pytest.approx(
        [9.95555555556, 0.00160364726241]
    )
    # R: fisher.test(t) -> p-value = 0.00143287382412, odds ratio 4.8901336064, 1.74076120754 14.70472312119
    assert result.loc["fisher", "p"] == pytest.approx(0.00143287382412)
    assert result.loc["fisher", ["odds_ratio", "odds_ratio_low", "odds_ratio_high"]].tolist() == pytest.approx(
        [4.8901336064, 1.74076120754, 14.70472312119], rel=5e-4
    )  # R solves for the ends to about 1e-4


def test_sample_odds_ratio_has_the_interval_of_woolf():
    error = np.sqrt(1 / 25 + 1 / 15 + 1 / 10 + 1 / 30)
    expected = np.exp(np.log(5) + np.array([0, -1.959964, 1.959964]) * error)
    assert odds_ratio(TABLE) == pytest.approx(expected)


def test_larger_tables_equal_r(rng):
    result = compare_categories(long_table(JOB), "label", "sign", rng=rng).set_index("test")
    assert list(result.index) == ["chi-square", "fisher"]
    # R: chisq.test(Job) -> X-squared = 5.96551458877, df = 9, p-value = 0.743364725053
    assert result.loc["chi-square", ["statistic", "df", "p"]].tolist() == pytest.approx(
        [5.96551458877, 9, 0.743364725053]
    )
    assert result.loc["chi-square", "least_expected"] == pytest.approx(0.833333333333)
    assert "expected counts below 5: prefer fisher" in result.loc["chi-square", "note"]
    # R: fisher.test(Job) -> p-value = 0.782684938966
    assert result.loc["fisher", "method"] == "monte carlo"
    assert result.loc["fisher", "p"] == pytest.approx(0.782684938966, abs=4 * np.sqrt(0.78 * 0.22 / 9999))


def test_monte_carlo_counts_the_data_themselves(rng):
    assert fisher(np.diag([40, 40, 40]), rng, resamples=99) == (1 / 100, "monte carlo")


def test_cramers_v_equals_scipy_and_its_ends_are_where_the_statistic_is_extreme():
    effect = cramers_v(JOB)
    assert effect.estimate == pytest.approx(stats.contingency.association(JOB, "cramer"))
    assert effect.low == 0
    effect, n = cramers_v(TABLE), 80
    statistic = stats.chi2_contingency(TABLE, correction=False).statistic
    assert stats.ncx2.cdf(statistic, 1, n * effect.low**2) == pytest.approx(0.975)
    assert stats.ncx2.cdf(statistic, 1, n * effect.high**2) == pytest.approx(0.025)


def test_a_zero_cell_leaves_the_sample_interval_undefined_but_not_the_exact_one():
    assert odds_ratio([[5, 0], [2, 8]])[0] == np.inf
    assert np.isnan(odds_ratio([[5, 0], [2, 8]])[1])
    exact = odds_ratio([[5, 0], [2, 8]], "conditional")
    # R: fisher.test(matrix(c(5, 0, 2, 8), 2, byrow = TRUE))$conf.int -> 1.687781985 Inf
    assert exact.low == pytest.approx(1.687781985, rel=1e-4)
    assert exact.high == np.inf


def test_rows_without_a_category_are_dropped_and_counted():
    table = long_table(TABLE).astype(object)
    table.loc[[0, 1], "label"] = None
    result = compare_categories(table, "label", "sign")
    assert result["n"].tolist() == [78] * 3
    assert result["dropped"].tolist() == [2] * 3


@pytest.mark.parametrize("counts", [[[5, 7]], [[4], [6]]])
def test_a_column_of_one_category_has_no_test(counts, rng):
    result = compare_categories(long_table(counts), "label", "sign", rng=rng)
    assert result["p"].isna().all()
    assert result["note"].str.startswith("a column has fewer than two categories").all()


def test_an_empty_table_has_no_test():
    result = compare_categories(long_table([[0, 0], [0, 0]]), "label", "sign")
    assert result["p"].isna().all()


def test_patients_are_permuted_whole_and_the_tests_of_films_stand_below(rng):
    table = long_table(TABLE).assign(patient=lambda t: t.index // 5)  # 40 and 40 are multiples of 5
    result = compare_categories(table, "label", "sign", rng=rng, resamples=499)
    assert result["test"].tolist() == ["patient permutation", "chi-square", "chi-square (Yates)", "fisher"]
    assert result["unit"].tolist() == ["patient", "film", "film", "film"]
    first, second = result.iloc[0], result.iloc[1]
    assert (first["patients"], first["n"], first["statistic"]) == (16, 80, second["statistic"])
    assert first["p"] > second["p"]
    assert first["odds_ratio_low"] < first["odds_ratio"] == 5 < first["odds_ratio_high"]
    assert first["odds_ratio_high"] / first["odds_ratio_low"] > second["odds_ratio_high"] / second["odds_ratio_low"]
    assert second["note"] == "films of one patient taken as independent"
    without = compare_categories(table, "label", "sign").iloc[0]
    assert np.isnan(without["p"])
    assert without["note"] == "patients repeat: pass rng for the permutation and the bootstrap"


def test_columns_that_both_vary_within_patients_cannot_be_permuted_whole(rng):
    table = long_table(TABLE).sample(frac=1, random_state=0).reset_index(drop=True)
    table["patient"] = table.index // 5
    first = compare_categories(table, "label", "sign", rng=rng, resamples=50).iloc[0]
    assert np.isnan(first["p"])
    assert first["note"] == "both columns vary within patients: no permutation of whole patients"
    assert np.isfinite(first["cramers_v_high"])


def test_unusable_counts_and_repeated_studies_are_refused():
    with pytest.raises(CohortError, match="expected whole numbers of films, not shares"):
        cramers_v([[0.2, 0.3], [0.1, 0.4]])
    with pytest.raises(CohortError, match="none negative or NaN"):
        fisher([[1, -2], [3, 4]])
    with pytest.raises(CohortError, match="an odds ratio needs a 2x2 table"):
        odds_ratio(JOB)
    with pytest.raises(ConfigError, match="'sample' or 'conditional'"):
        odds_ratio(TABLE, "exact")
    with pytest.raises(CohortError, match="79 rows repeat a study"):
        compare_categories(long_table(TABLE).assign(study="s"), "label", "sign")


@pytest.mark.slow
def test_under_the_null_p_values_are_uniform_and_cramers_v_covers(rng):
    runs, p, covered = 600, [], []
    cells = np.array([[0.25, 0.15], [0.1, 0.5]])
    expected = np.outer(cells.sum(axis=1), cells.sum(axis=0))
    truth = np.sqrt(((cells - expected) ** 2 / expected).sum())
    for _ in range(runs):
        null = rng.multinomial(1500, np.outer([0.4, 0.6], [0.2, 0.3, 0.5]).ravel()).reshape(2, 3)
        p.append(stats.chi2.sf(cramers_v(null).estimate ** 2 * 1500, 2))
        low, high = cramers_v(rng.multinomial(300, cells.ravel()).reshape(2, 2))[1:]
        covered.append(low <= truth <= high)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    # the noncentral interval is cautious for large effects: 0.97 here, where V is 0.47
    margin = 3.3 * np.sqrt(0.95 * 0.05 / runs)
    assert 0.95 - margin < np.mean(covered) < 0.97 + margin


@pytest.mark.slow
def test_with_repeated_patients_the_permutation_keeps_its_level_and_chi_square_does_not(rng):
    runs, whole, films = 80, [], []
    for _ in range(runs):
        who = np.repeat(np.arange(30), 8)
        sign = (np.sqrt(0.5) * (rng.normal(size=30)[who] + rng.normal(size=240)) > 0).astype(int)
        table = pd.DataFrame({"patient": who, "label": who < 15, "sign": sign})
        result = compare_categories(table, "label", "sign", rng=rng, resamples=79)
        whole.append(result["p"].iloc[0])
        films.append(result["p"].iloc[1])
    whole_level, film_level = np.mean(np.array(whole) <= 0.05), np.mean(np.array(films) <= 0.05)
    margin = 3.3 * np.sqrt(0.05 * 0.95 / runs)
    assert abs(whole_level - 0.05) < margin, f"patients {whole_level:.3f}, films {film_level:.3f}"
    assert film_level > 0.05 + margin, f"patients {whole_level:.3f}, films {film_level:.3f}"
