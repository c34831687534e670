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
    rank_sum,
    rank_sum_pairs,
    signed_rank_pairs,
    stars,
)
from patchcxr.stats.paired import signed_rank

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
    assert (pair["statistic"], pair["method"]) == (35, "exact")
    assert pair["p"] == pytest.approx(2 * 0.1272, abs=1e-4)
    assert pair["p"] == pytest.approx(0.254412254412)


def test_tied_values_take_the_correction_for_ties_and_continuity_as_in_r():
    table = long_table(a=[3, 5, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13], b=[1, 2, 2, 3, 4, 5, 5, 6, 6, 7, 8, 9])
    # R: wilcox.test(a, b, exact = FALSE, correct = TRUE) -> W = 112.5, p-value = 0.0203124449045
    pair = rank_sum_pairs(table, "ctr", "label").iloc[0]
    assert (pair["statistic"], pair["method"]) == (112.5, "asymptotic")
    assert pair["p"] == pytest.approx(0.0203124449045)


def test_few_tied_values_are_tested_exactly_given_their_ties():
    table = long_table(a=[1, 2, 2, 4], b=[2, 4, 5, 6, 6])
    # R: r <- rank(c(a, b)); s <- combn(r, 4, sum); t <- sum(r[1:4]); 2 * min(mean(s <= t), mean(s >= t))
    pair = rank_sum_pairs(table, "ctr", "label").iloc[0]
    assert (pair["method"], pair["p"]) == ("exact", pytest.approx(0.111111111111))


@pytest.mark.parametrize("sizes", [(49, 49), (7, 45), (3, 2), (1, 30)])
def test_untied_values_below_fifty_a_group_equal_the_exact_test_of_scipy(rng, sizes):
    a, b = rng.normal(0.4, 1, sizes[0]), rng.normal(size=sizes[1])
    pair = rank_sum_pairs(long_table(a=a, b=b), "ctr", "label").iloc[0]
    assert pair["p"] == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue)


def test_signed_rank_of_tied_differences_equals_r():
    d = [1, 2, 2, -1, 3, 4, 4, 5, -2, 6, 7, 8, 0, 0, 9, -3]
    repeated = [*d, *d]
    table = pd.DataFrame({"a": repeated, "b": np.zeros(32)})
    # R: wilcox.test(c(d, d), exact = FALSE, correct = TRUE) -> V = 361, p-value = 0.000324811341066
    pair = signed_rank_pairs(table, ["a", "b"]).iloc[0]
    assert (pair["method"], pair["zeros"]) == ("asymptotic", 4)
    assert pair["statistic"] == 28 * 29 / 2 - 361
    assert pair["p"] == pytest.approx(0.000324811341066)
    # R: dd <- c(1, 1, -2, 3, 3, 4); g <- expand.grid(rep(list(0:1), 6)); sums of rank(abs(dd)) over all signs
    few = signed_rank_pairs(pd.DataFrame({"a": [1, 1, -2, 3, 3, 4], "b": np.zeros(6)}), ["a", "b"]).iloc[0]
    assert (few["method"], few["p"]) == ("exact", 0.15625)


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
    assert (result["note"] == "").all()


def test_shapiro_wilk_equals_r():
    row = normality(long_table(term=[0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]), "ctr", "label").iloc[
        0
    ]
    # R: shapiro.test(x) -> W = 0.911289389148, p-value = 0.289965734802
    assert (row["shapiro_w"], row["shapiro_p"]) == pytest.approx((0.911289389148, 0.289965734802), rel=1e-5)


def test_shapiro_wilk_is_not_given_beyond_its_limits(rng):
    result = normality(long_table(many=rng.normal(size=5001), three=[1.0, 2.0, 4.0]), "ctr", "label").set_index("group")
    assert np.isnan(result.loc["many", "shapiro_p"])
    assert result.loc["many", "note"] == "Shapiro-Wilk is limited to 5000 values"
    assert np.isfinite(result.loc["three", "shapiro_p"])
    assert result.loc["three", "note"] == "3 values are too few"


def test_lilliefors_rejects_what_the_fitted_kolmogorov_smirnov_lets_pass():
    sample = stats.gamma(1.2).ppf((np.arange(60) + 0.5) / 60)
    row = normality(long_table(a=sample), "ctr", "label").iloc[0]
    assert row["ks_p"] > 0.05 > row["lilliefors_p"]
    assert not row["normal"]


def test_normality_of_too_few_or_equal_values_is_undefined():
    result = normality(long_table(few=[1.0, 2.0, 4.0], equal=[1.0] * 9), "ctr", "label")
    assert result["lilliefors_p"].isna().all()
    assert not result["normal"].any()
    assert result["note"].tolist() == ["all values are equal", "3 values are too few"]


@pytest.mark.parametrize(
    ("a", "b", "p", "note"),
    [
        ([], [1.0, 2.0], np.nan, "no value: a"),
        ([np.nan, np.inf], [1.0, 2.0], np.nan, "no value: a"),
        ([3.0], [1.0, 2.0], 2 / 3, "cannot be below 0.67"),
        ([3.0, 4.0], [1.0, 2.0], 1 / 3, "cannot be below 0.33"),
        ([1.0] * 6, [1.0] * 6, 1.0, "all values are equal"),
        ([1.0] * 6, [1.0, 2.0, 2.0, 3.0, 3.0, 4.0], 2 * 7 / 924, "constant: a"),  # 7 ways to take 6 of 7 ones
    ],
)
def test_small_empty_and_constant_groups_are_defined_and_noted(a, b, p, note):
    table = long_table(a=a or [np.nan], b=b)
    pair = rank_sum_pairs(table, "ctr", "label").iloc[0]
    assert pair["p"] == pytest.approx(p, nan_ok=True)
    assert note in pair["note"]


def test_groups_of_mixed_kinds_are_refused():
    with pytest.raises(CohortError, match=r"column 'label' mixes \['int', 'str'\]"):
        rank_sum_pairs(pd.DataFrame({"label": [1, "a"], "ctr": [1.0, 2.0]}), "ctr", "label")


def test_kruskal_names_what_limits_it():
    table = long_table(a=[1.0, 2.0], b=[3.0, 4.0], c=[np.nan])
    row = kruskal(table, "ctr", "label").iloc[0]
    assert row["note"] == "without values: c; groups below five values: p is approximate"


def test_unpaired_data_are_refused_by_paired_tests():
    wide = pd.DataFrame({"a": [1.0, 2.0, np.nan, np.nan], "b": [np.nan, np.nan, 3.0, 4.0]})
    with pytest.raises(CohortError, match="no row has both 'a' and 'b'; expected paired data"):
        signed_rank_pairs(wide, ["a", "b"])
    long = pd.DataFrame({"study": ["s1", "s2", "s3"], "method": ["a", "a", "b"], "dice": [0.9, 0.8, 0.7]})
    with pytest.raises(CohortError, match="no study has values of two methods; expected paired data"):
        paired_table(long, "study", "method", "dice")


def test_a_study_that_is_twice_in_the_table_is_refused(methods):
    twice = pd.concat([methods, methods.iloc[:2]], ignore_index=True)
    with pytest.raises(CohortError, match="2 rows repeat a study, such as 's0'"):
        signed_rank_pairs(twice, ["gradcam", "infection"])
    assert signed_rank_pairs(twice, ["gradcam", "infection"], key=None, groups=None)["n"].iloc[0] == 42


@pytest.mark.parametrize("few", [1, 2, 5])
def test_few_differences_are_noted(few):
    table = pd.DataFrame({"a": np.arange(1.0, few + 1), "b": np.zeros(few)})
    pair = signed_rank_pairs(table, ["a", "b"]).iloc[0]
    assert pair["p"] == 2.0 ** (1 - few)
    assert f"p cannot be below {2.0 ** (1 - few):.2g}" in pair["note"]


@pytest.mark.slow
def test_p_values_are_uniform_under_the_null(rng):
    runs = 1000
    found = {"rank sum": [], "signed rank": [], "kruskal": []}
    for _ in range(runs):
        a, b, c = rng.normal(size=(3, 60))
        found["rank sum"].append(rank_sum(a, b)[1])
        found["signed rank"].append(signed_rank(a - b)[1])
        found["kruskal"].append(stats.kruskal(a, b, c).pvalue)
    for name, p in found.items():
        assert stats.kstest(p, "uniform").pvalue > 0.001, name
        assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 3.3 * np.sqrt(0.05 * 0.95 / runs), name


@pytest.mark.slow
def test_exact_p_values_keep_their_level_with_few_tied_values(rng):
    runs = 1200
    ranks = [rank_sum(rng.integers(0, 4, 6).astype(float), rng.integers(0, 4, 7).astype(float))[1] for _ in range(runs)]
    signs = [signed_rank(rng.integers(-3, 4, 10).astype(float))[1] for _ in range(runs)]
    for p in (ranks, signs):
        assert np.mean(np.array(p) <= 0.05) < 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / runs)


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
    pairs = signed_rank_pairs(methods, columns, groups=None)
    expected = [
        stats.wilcoxon(methods[a], methods[b]).pvalue
        for a, b in [(columns[0], columns[1]), (columns[0], columns[2]), (columns[1], columns[2])]
    ]
    np.testing.assert_allclose(pairs["p"], expected)
    np.testing.assert_allclose(pairs["p_adjusted"], multipletests(expected, method="holm")[1])
    np.testing.assert_allclose(pairs["mean_difference"], pairs["mean_a"] - pairs["mean_b"], atol=1e-12)


def test_zero_differences_are_left_out_and_counted(methods):
    methods.loc[:9, "probabilistic"] = methods.loc[:9, "gradcam"]
    pair = signed_rank_pairs(methods, ["gradcam", "probabilistic"], groups=None).iloc[0]
    assert (pair["zeros"], pair["method"]) == (10, "exact")
    rest = methods["gradcam"][10:] - methods["probabilistic"][10:]
    assert pair["p"] == pytest.approx(stats.wilcoxon(rest, method="exact").pvalue)
    pratt = signed_rank_pairs(methods, ["gradcam", "probabilistic"], groups=None, zero_method="pratt").iloc[0]
    assert pratt["p"] == pytest.approx(
        stats.wilcoxon(
            methods["gradcam"] - methods["probabilistic"], zero_method="pratt", correction=True, method="asymptotic"
        ).pvalue
    )


def test_a_method_against_its_copy_is_no_evidence(methods):
    methods["copy"] = methods["gradcam"]
    pair = signed_rank_pairs(methods, ["gradcam", "copy"], groups=None).iloc[0]
    assert (pair["p"], pair["rank_biserial"], pair["mean_difference"], pair["zeros"]) == (1, 0, 0, 40)
    assert pair["note"] == "every difference is 0"


def test_films_that_lack_either_method_are_dropped_in_pairs_and_counted(methods):
    methods.loc[[0, 1], "gradcam"] = np.nan
    methods.loc[[1, 2], "infection"] = np.nan
    pair = signed_rank_pairs(methods, ["gradcam", "infection"], groups=None).iloc[0]
    assert (pair["n"], pair["films"], pair["dropped"]) == (37, 37, 3)
    clean = signed_rank_pairs(methods.drop([0, 1, 2]), ["gradcam", "infection"], groups=None).iloc[0]
    assert pair["p"] == clean["p"]


def test_with_patients_the_test_has_one_difference_a_patient(methods):
    pair = signed_rank_pairs(methods, ["gradcam", "infection"]).iloc[0]
    differences = (methods["gradcam"] - methods["infection"]).groupby(methods["patient"]).mean()
    assert (pair["n"], pair["films"]) == (20, 40)
    assert pair["p_naive"] == pytest.approx(stats.wilcoxon(methods["gradcam"] - methods["infection"]).pvalue)
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
    assert (pair["n"], pair["dropped"], pair["stars"], pair["note"]) == (0, 40, "n/a", "no pair of values")
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


def test_a_column_of_ids_is_no_column_of_groups():
    table = pd.DataFrame({"patient": [f"p{index}" for index in range(51)], "ctr": np.arange(51.0)})
    with pytest.raises(LabelError, match="has 51 groups, which would make 1275 pairs; expected at most 50"):
        rank_sum_pairs(table, "ctr", "patient")
    assert len(rank_sum_pairs(table, "ctr", "patient", ["p0", "p1", "p50"])) == 3
