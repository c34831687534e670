"""Tests between classes and methods against SciPy, statsmodels and R."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.diagnostic import lilliefors
from statsmodels.stats.multitest import multipletests

from patchcxr.errors import CohortError, ConfigError, LabelError
from patchcxr.stats.comparisons import (
    by_patient,
    kruskal,
    normality,
    paired_table,
    rank_sum_pairs,
    signed_rank_pairs,
    stars,
)

ORDER = ["normal", "tuberculosis", "bacterial", "covid19"]


def long_table(**samples):
    return pd.DataFrame(
        {
            "label": [name for name, values in samples.items() for _ in values],
            "ctr": [value for values in samples.values() for value in values],
        }
    )


@pytest.fixture
def films(rng):
    samples = {name: rng.normal(0.45 + 0.015 * i, 0.05, 25 + 5 * i).round(2) for i, name in enumerate(ORDER)}
    return long_table(**samples)


@pytest.fixture
def methods(rng):
    lesion = rng.random(40)
    return pd.DataFrame(
        {
            "study": [f"s{i}" for i in range(40)],
            "patient": np.repeat(np.arange(20), 2),
            "gradcam": lesion,
            "probabilistic": lesion + rng.normal(0.05, 0.1, 40),
            "infection": lesion + rng.normal(0.30, 0.1, 40),
        }
    )


def test_stars_mark_the_levels_of_the_paper_strictly():
    levels = [0.0009, 0.001, 0.0099, 0.01, 0.0499, 0.05, 1.0, np.nan]
    assert [stars(p) for p in levels] == ["***", "**", "**", "*", "*", "-", "-", "n/a"]


def test_rank_sum_equals_r_on_the_permeability_data():
    table = long_table(
        term=[0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46],
        early=[1.15, 0.88, 0.90, 0.74, 1.21],
    )
    # R: wilcox.test(x, y, alternative = "g") -> W = 35, p-value = 0.1272; two-sided is twice that.
    pair = rank_sum_pairs(table, "ctr", "label", ["term", "early"]).iloc[0]
    assert pair["statistic"] == 35
    assert pair["p"] == pytest.approx(2 * 0.1272, abs=1e-4)


def test_every_pair_equals_mann_whitney_with_tie_and_continuity_correction(films):
    pairs = rank_sum_pairs(films, "ctr", "label", ORDER)
    assert len(pairs) == 6
    for pair in pairs.itertuples():
        a = films.loc[films["label"] == pair.group_a, "ctr"]
        b = films.loc[films["label"] == pair.group_b, "ctr"]
        expected = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=True)
        assert pair.statistic == expected.statistic
        assert pair.p == pytest.approx(expected.pvalue)
        assert pair.p != pytest.approx(stats.ranksums(a, b).pvalue, rel=1e-6)
        assert (pair.mean_a, pair.std_a) == pytest.approx((a.mean(), a.std()))
        assert pair.median_b == b.median()


@pytest.mark.parametrize("correction", ["holm", "fdr_bh"])
def test_p_values_are_corrected_as_in_statsmodels(films, correction):
    pairs = rank_sum_pairs(films, "ctr", "label", ORDER, correction)
    np.testing.assert_allclose(pairs["p_adjusted"], multipletests(pairs["p"], method=correction)[1])


def test_stars_come_from_the_corrected_p_values():
    low, high = [1, 2, 3, 4, 5, 6], [4.2, 4.5, 5.5, 6.5, 7.5, 8.5]
    table = long_table(a=low, b=high, c=[3.1, 3.2, 5.1, 5.2, 6.1, 2.9])
    corrected = rank_sum_pairs(table, "ctr", "label")
    naive = rank_sum_pairs(table, "ctr", "label", correction="none")
    assert corrected["p"].iloc[0] < 0.05 < corrected["p_adjusted"].iloc[0]
    assert corrected["stars"].iloc[0] == "-"
    assert naive["stars"].iloc[0] == "*"


def test_nan_and_infinite_values_are_counted_not_lost(films):
    films.loc[[0, 1], "ctr"] = [np.nan, np.inf]
    pair = rank_sum_pairs(films, "ctr", "label", ["normal", "covid19"]).iloc[0]
    assert (pair["n_a"], pair["n_b"], pair["dropped"]) == (23, 40, 2)
    clean = rank_sum_pairs(films.drop([0, 1]), "ctr", "label", ["normal", "covid19"]).iloc[0]
    assert pair["p"] == clean["p"]


def test_a_group_without_values_is_untested_and_does_not_tax_the_others(films):
    films.loc[films["label"] == "bacterial", "ctr"] = np.nan
    pairs = rank_sum_pairs(films, "ctr", "label", ORDER)
    untested = (pairs["group_a"] == "bacterial") | (pairs["group_b"] == "bacterial")
    assert pairs.loc[untested, "p_adjusted"].isna().all()
    assert (pairs.loc[untested, "stars"] == "n/a").all()
    without = rank_sum_pairs(films, "ctr", "label", ["normal", "tuberculosis", "covid19"])
    np.testing.assert_allclose(pairs.loc[~untested, "p_adjusted"], without["p_adjusted"])


def test_equal_values_everywhere_are_no_evidence():
    table = long_table(a=[0.5] * 5, b=[0.5] * 6)
    pair = rank_sum_pairs(table, "ctr", "label").iloc[0]
    assert (pair["p"], pair["rank_biserial"], pair["shift"], pair["statistic"]) == (1, 0, 0, 15)
    assert kruskal(table, "ctr", "label").loc[0, "p"] == 1


def test_the_sign_of_the_effect_follows_the_order(films):
    there = rank_sum_pairs(films, "ctr", "label", ["normal", "covid19"]).iloc[0]
    back = rank_sum_pairs(films, "ctr", "label", ["covid19", "normal"]).iloc[0]
    assert there["rank_biserial"] == pytest.approx(-back["rank_biserial"])
    assert there["rank_biserial"] < 0 > there["shift"]
    assert there["p"] == pytest.approx(back["p"])


def test_kruskal_equals_r_on_the_mucociliary_data():
    table = long_table(
        normal=[2.9, 3.0, 2.5, 2.6, 3.2],
        obstructive=[3.8, 2.7, 4.0, 2.4],
        asbestosis=[2.8, 3.4, 3.7, 2.2, 2.0],
    )
    # R: kruskal.test(x, g) of ?kruskal.test -> chi-squared = 0.77143, df = 2, p-value = 0.68
    row = kruskal(table, "ctr", "label").iloc[0]
    assert row["statistic"] == pytest.approx(0.77143, abs=1e-5)
    assert row["df"] == 2
    assert row["p"] == pytest.approx(0.68, abs=1e-3)
    assert row["epsilon_squared"] == pytest.approx(0.77143 / 13, abs=1e-5)


def test_kruskal_of_a_single_filled_group_is_undefined(films):
    films.loc[films["label"] != "normal", "ctr"] = np.nan
    row = kruskal(films, "ctr", "label").iloc[0]
    assert np.isnan(row["p"])
    assert row["dropped"] == 105


def test_normality_equals_scipy_and_statsmodels(films):
    result = normality(films, "ctr", "label", ORDER).set_index("group")
    sample = films.loc[films["label"] == "covid19", "ctr"]
    expected = stats.kstest(sample, "norm", args=(sample.mean(), sample.std()))
    assert result.loc["covid19", "ks_statistic"] == pytest.approx(expected.statistic)
    assert result.loc["covid19", "ks_p"] == pytest.approx(expected.pvalue)
    assert result.loc["covid19", "lilliefors_p"] == pytest.approx(lilliefors(sample)[1])


def test_lilliefors_rejects_what_the_fitted_kolmogorov_smirnov_lets_pass():
    sample = stats.gamma(1.2).ppf((np.arange(60) + 0.5) / 60)
    row = normality(long_table(a=sample), "ctr", "label").iloc[0]
    assert row["ks_p"] > 0.05 > row["lilliefors_p"]
    assert not row["normal"]


def test_normality_of_too_few_or_equal_values_is_undefined():
    result = normality(long_table(few=[1.0, 2.0, 4.0], equal=[1.0] * 9), "ctr", "label")
    assert result["lilliefors_p"].isna().all()
    assert not result["normal"].any()


def test_each_patient_counts_once_with_the_mean_of_its_films():
    table = pd.DataFrame(
        {
            "patient": ["p1", "p1", "p2", "p1"],
            "label": ["normal", "normal", "normal", "covid19"],
            "ctr": [0.4, 0.5, np.nan, 0.7],
        }
    )
    result = by_patient(table, "ctr", "label", "patient").set_index(["label", "patient"])
    assert result.loc[("normal", "p1"), "ctr"] == pytest.approx(0.45)
    assert result.loc[("covid19", "p1"), "ctr"] == 0.7
    assert np.isnan(result.loc[("normal", "p2"), "ctr"])
    assert result["films"].tolist() == [1, 2, 0]
    assert result["dropped"].tolist() == [0, 0, 1]


def test_signed_rank_equals_r_on_the_depression_data():
    table = pd.DataFrame(
        {
            "first": [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30],
            "second": [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
        }
    )
    # R: wilcox.test(x, y, paired = TRUE, alternative = "greater") -> V = 40, p-value = 0.01953
    pair = signed_rank_pairs(table, ["first", "second"]).iloc[0]
    assert pair["statistic"] == 45 - 40
    assert pair["p"] == pytest.approx(2 * 0.01953, abs=2e-5)
    assert pair["rank_biserial"] == pytest.approx((40 - 5) / 45)


def test_signed_rank_pairs_equal_scipy_and_holm(methods):
    columns = ["gradcam", "probabilistic", "infection"]
    pairs = signed_rank_pairs(methods, columns)
    expected = [
        stats.wilcoxon(methods[a], methods[b]).pvalue
        for a, b in [(columns[0], columns[1]), (columns[0], columns[2]), (columns[1], columns[2])]
    ]
    np.testing.assert_allclose(pairs["p"], expected)
    np.testing.assert_allclose(pairs["p_adjusted"], multipletests(expected, method="holm")[1])
    np.testing.assert_allclose(pairs["mean_difference"], pairs["mean_a"] - pairs["mean_b"], atol=1e-12)


def test_zero_differences_are_left_out_and_counted(methods):
    methods.loc[:9, "probabilistic"] = methods.loc[:9, "gradcam"]
    pair = signed_rank_pairs(methods, ["gradcam", "probabilistic"]).iloc[0]
    assert pair["zeros"] == 10
    rest = methods["gradcam"][10:] - methods["probabilistic"][10:]
    assert pair["p"] == pytest.approx(stats.wilcoxon(rest, method="asymptotic").pvalue)
    pratt = signed_rank_pairs(methods, ["gradcam", "probabilistic"], zero_method="pratt").iloc[0]
    assert pratt["p"] != pytest.approx(pair["p"])


def test_a_method_against_its_copy_is_no_evidence(methods):
    methods["copy"] = methods["gradcam"]
    pair = signed_rank_pairs(methods, ["gradcam", "copy"]).iloc[0]
    assert (pair["p"], pair["rank_biserial"], pair["mean_difference"], pair["zeros"]) == (1, 0, 0, 40)


def test_films_that_lack_either_method_are_dropped_in_pairs_and_counted(methods):
    methods.loc[[0, 1], "gradcam"] = np.nan
    methods.loc[[1, 2], "infection"] = np.nan
    pair = signed_rank_pairs(methods, ["gradcam", "infection"]).iloc[0]
    assert (pair["n"], pair["films"], pair["dropped"]) == (37, 37, 3)
    clean = signed_rank_pairs(methods.drop([0, 1, 2]), ["gradcam", "infection"]).iloc[0]
    assert pair["p"] == clean["p"]


def test_with_patients_the_test_has_one_difference_a_patient(methods):
    pair = signed_rank_pairs(methods, ["gradcam", "infection"], groups="patient").iloc[0]
    differences = (methods["gradcam"] - methods["infection"]).groupby(methods["patient"]).mean()
    assert (pair["n"], pair["films"]) == (20, 40)
    assert pair["p"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert pair["median_difference"] == pytest.approx(differences.median())


def test_bootstrap_intervals_hold_the_difference_and_repeat_with_the_seed(methods):
    def once():
        return signed_rank_pairs(
            methods, ["gradcam", "infection"], groups="patient", rng=np.random.default_rng(4), resamples=300
        ).iloc[0]

    pair = once()
    assert pair["mean_difference_low"] < pair["mean_difference"] < pair["mean_difference_high"] < 0
    assert pair["median_difference_low"] <= pair["median_difference"] <= pair["median_difference_high"]
    half_width = (pair["mean_difference_high"] - pair["mean_difference_low"]) / 2
    differences = (methods["gradcam"] - methods["infection"]).groupby(methods["patient"]).mean()
    assert half_width == pytest.approx(1.96 * differences.sem(), rel=0.2)
    pd.testing.assert_series_equal(pair, once())


def test_pairs_without_a_film_are_undefined(methods):
    methods["silent"] = np.nan
    pair = signed_rank_pairs(methods, ["gradcam", "silent"], groups="patient", rng=np.random.default_rng(0)).iloc[0]
    assert (pair["n"], pair["dropped"], pair["stars"]) == (0, 40, "n/a")
    assert np.isnan(pair["p"])


def test_long_results_are_paired_by_key_whatever_their_order(methods, rng):
    long = methods.melt("study", ["infection", "gradcam"], var_name="method", value_name="auroc")
    wide = paired_table(long.sample(frac=1, random_state=1), "study", "method", "auroc")
    expected = methods.set_index("study")
    np.testing.assert_array_equal(wide["gradcam"], expected.loc[wide["study"], "gradcam"])
    np.testing.assert_array_equal(wide["infection"], expected.loc[wide["study"], "infection"])


def test_a_film_that_one_method_lacks_is_dropped_by_the_test(methods):
    long = methods.melt("study", ["gradcam", "infection"], var_name="method", value_name="auroc").iloc[1:]
    pair = signed_rank_pairs(paired_table(long, "study", "method", "auroc"), ["gradcam", "infection"]).iloc[0]
    assert (pair["n"], pair["dropped"]) == (39, 1)


def test_repeated_keys_are_refused(methods):
    long = methods.melt("study", ["gradcam"], var_name="method", value_name="auroc")
    with pytest.raises(CohortError, match=r"1 rows repeat a pair of study and method, such as \('s0', 'gradcam'\)"):
        paired_table(pd.concat([long, long.iloc[:1]]), "study", "method", "auroc")


def test_misspelt_columns_groups_and_corrections_are_named(films, methods):
    with pytest.raises(CohortError, match=r"no column \['CTR'\]; expected one of \['label', 'ctr'\]"):
        rank_sum_pairs(films, "CTR", "label")
    with pytest.raises(CohortError, match="column 'label' has dtype"):
        kruskal(films.assign(group=films["label"]), "label", "group")
    with pytest.raises(LabelError, match=r"no row has the label \['covid'\]"):
        rank_sum_pairs(films, "ctr", "label", ["normal", "covid"])
    with pytest.raises(LabelError, match="expected each label once"):
        rank_sum_pairs(films, "ctr", "label", ["normal", "normal"])
    with pytest.raises(ConfigError, match="expected 'holm', 'fdr_bh' or 'none'"):
        rank_sum_pairs(films, "ctr", "label", correction="bonferroni")
    with pytest.raises(CohortError, match="at least two"):
        rank_sum_pairs(films, "ctr", "label", ["normal"])
    with pytest.raises(ConfigError, match="two or more different methods"):
        signed_rank_pairs(methods, ["gradcam"])
    with pytest.raises(ConfigError, match="zero_method"):
        signed_rank_pairs(methods, ["gradcam", "infection"], zero_method="drop")


def test_rows_without_a_group_or_patient_are_refused(films):
    films["patient"] = "p1"
    films.loc[3, "patient"] = None
    with pytest.raises(CohortError, match="1 rows have no 'patient'"):
        by_patient(films, "ctr", "label", "patient")
    films.loc[[4, 5], "label"] = None
    with pytest.raises(CohortError, match="2 rows have no 'label'"):
        normality(films, "ctr", "label")
