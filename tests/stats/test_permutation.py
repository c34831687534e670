"""Permutation tests against SciPy, by enumeration, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.permutation import permutation_test


def long_table(**samples):
    return pd.DataFrame([(name, value) for name, part in samples.items() for value in part], columns=["label", "ctr"])


def test_a_small_test_tries_every_assignment_as_scipy_does():
    a, b = [3.1, 4.2, 5.0, 5.5], [1.0, 2.2, 4.4, 3.0, 2.5]
    row = permutation_test(long_table(a=a, b=b), "ctr", "label").iloc[0]
    expected = stats.permutation_test((a, b), lambda x, y: abs(np.mean(x) - np.mean(y)), alternative="greater")
    assert (row["method"], row["tried"], row["p"]) == ("exact", 126, pytest.approx(expected.pvalue))
    assert row["statistic"] == pytest.approx(np.mean(a) - np.mean(b))


def test_mean_ranks_give_the_exact_rank_sum_test(rng):
    a, b = rng.normal(0.5, 1, 7), rng.normal(size=6)
    row = permutation_test(long_table(a=a, b=b), "ctr", "label", "mean_rank").iloc[0]
    assert row["p"] == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue)


def test_many_assignments_are_drawn_and_p_counts_the_data_themselves(rng):
    table = long_table(a=np.arange(40.0), b=np.arange(100.0, 140.0))
    row = permutation_test(table, "ctr", "label", rng=rng, resamples=199).iloc[0]
    assert (row["method"], row["tried"], row["extreme"], row["p"]) == ("monte carlo", 199, 0, 1 / 200)
    with pytest.raises(ConfigError, match=r"rng is None; .* assignments are too many"):
        permutation_test(table, "ctr", "label")


def test_drawn_p_values_agree_with_the_asymptotic_test(rng):
    a, b, c = rng.normal(0, 1, 20), rng.normal(0.5, 1, 25), rng.normal(0.2, 1, 30)
    table = long_table(a=a, b=b, c=c)
    row = permutation_test(table, "ctr", "label", "kruskal", rng=rng, resamples=1999).iloc[0]
    expected = stats.kruskal(a, b, c).pvalue
    assert row["p"] == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 1999) + 0.005)


def test_patients_keep_their_films_together():
    # three patients a group, so 20 assignments of patients, of which the data and their mirror are extreme
    table = pd.DataFrame(
        {
            "patient": [1, 1, 1, 2, 3, 4, 5, 5, 6],
            "label": ["a"] * 5 + ["b"] * 4,
            "ctr": [0.1, 0.2, 0.1, 0.2, 0.3, 0.7, 0.8, 0.9, 0.9],
        }
    )
    row = permutation_test(table, "ctr", "label").iloc[0]
    assert (row["patients"], row["n"], row["tried"], row["p"]) == (6, 9, 20, pytest.approx(2 / 20))
    films = permutation_test(table, "ctr", "label", patient=None).iloc[0]
    assert (films["tried"], films["p"]) == (126, pytest.approx(1 / 126))


def test_a_patient_in_two_groups_is_refused():
    table = pd.DataFrame({"patient": [1, 1, 2, 3], "label": ["a", "b", "a", "b"], "ctr": [1.0, 2.0, 3.0, 4.0]})
    with pytest.raises(CohortError, match=r"1 patients have films in two groups, such as .*1.*; expected one group"):
        permutation_test(table, "ctr", "label")


def test_thin_groups_are_defined_and_noted(rng):
    empty = permutation_test(long_table(a=[np.nan, np.inf], b=[1.0, 2.0]), "ctr", "label").iloc[0]
    assert np.isnan(empty["p"])
    assert (empty["dropped"], empty["note"].split(";")[0]) == (2, "no value: a")
    tied = permutation_test(long_table(a=[1.0] * 4, b=[1.0] * 4), "ctr", "label").iloc[0]
    assert (tied["p"], tied["statistic"]) == (1, 0)
    small = permutation_test(long_table(a=[1.0, 2.0], b=[3.0, 4.0]), "ctr", "label").iloc[0]
    assert small["p"] == pytest.approx(2 / 6)
    assert small["note"].startswith("only 6 assignments are possible")


def test_one_sided_tests_and_own_statistics(rng):
    table = long_table(a=[5.0, 6.0, 7.0, 9.0], b=[1.0, 2.0, 3.0, 4.0])
    assert permutation_test(table, "ctr", "label", alternative="greater")["p"].iloc[0] == pytest.approx(1 / 70)
    assert permutation_test(table, "ctr", "label", alternative="less")["p"].iloc[0] == 1
    own = permutation_test(table, "ctr", "label", lambda a, b: a.min() - b.min())
    assert own["statistic"].iloc[0] == 4
    undefined = permutation_test(table, "ctr", "label", lambda a, b: float("nan")).iloc[0]
    assert np.isnan(undefined["p"])
    assert undefined["note"].startswith("the statistic is undefined")


def test_unusable_settings_are_refused(rng):
    table = long_table(a=[1.0], b=[2.0], c=[3.0])
    with pytest.raises(ConfigError, match="compares two groups and got 3"):
        permutation_test(table, "ctr", "label")
    with pytest.raises(ConfigError, match="expected a function or one of"):
        permutation_test(table, "ctr", "label", "t", order=["a", "b"])
    with pytest.raises(ConfigError, match="alternative is 'both'"):
        permutation_test(table, "ctr", "label", order=["a", "b"], alternative="both")
    with pytest.raises(CohortError, match="at least two"):
        permutation_test(table, "ctr", "label", order=["a"])


@pytest.mark.slow
def test_p_values_of_whole_patients_are_uniform_under_the_null_and_of_films_are_not(rng):
    runs, whole, torn = 200, [], []
    for _ in range(runs):
        who = np.repeat(np.arange(16), 4)
        values = rng.normal(size=16)[who] + rng.normal(size=64)
        table = pd.DataFrame({"patient": who, "label": np.where(who < 8, "a", "b"), "ctr": values})
        # 16 patients have 12,870 assignments: drawn, not enumerated
        for patient, found in (("patient", whole), (None, torn)):
            found.append(permutation_test(table, "ctr", "label", patient=patient, rng=rng, resamples=99)["p"].iloc[0])
    whole_level, torn_level = np.mean(np.array(whole) <= 0.05), np.mean(np.array(torn) <= 0.05)
    margin = 3.3 * np.sqrt(0.05 * 0.95 / runs)
    assert abs(whole_level - 0.05) < margin, f"patients {whole_level:.3f}, films {torn_level:.3f}"
    assert torn_level > 0.05 + 2 * margin, f"patients {whole_level:.3f}, films {torn_level:.3f}"
    assert stats.kstest(whole, "uniform").pvalue > 0.001
