"""Biomarkers between classes: patients are minded, what is unusable is named, what is thin is noted."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.classes import compare
from patchcxr.stats.comparisons import by_patient, rank_sum_pairs
from patchcxr.stats.permutation import permutation_test


def clustered(rng, patients=12, films=4, icc=0.5, shift=0.0):
    """Films of patients whose class is a property of the patient."""
    who = np.repeat(np.arange(2 * patients), films)
    values = np.sqrt(icc) * rng.normal(size=2 * patients)[who] + np.sqrt(1 - icc) * rng.normal(size=who.size)
    label = np.where(who < patients, "a", "b")
    return pd.DataFrame({"patient": who, "label": label, "ctr": values + shift * (label == "b")})


@pytest.fixture
def films(rng):
    table = clustered(rng, shift=0.8)
    return table.assign(study=[f"s{i}" for i in range(len(table))], area=rng.normal(size=len(table)))


def test_patients_are_the_unit_by_default_and_the_naive_result_stands_beside(films):
    row = compare(films, "ctr", "label").iloc[0]
    expected = rank_sum_pairs(by_patient(films, "ctr", "label", "patient"), "ctr", "label").iloc[0]
    naive = rank_sum_pairs(films, "ctr", "label").iloc[0]
    assert (row["unit"], row["n_a"], row["films_a"], row["patients_a"], row["note"]) == ("patient", 12, 48, 12, "")
    for name in ("p", "shift", "shift_low", "shift_high", "rank_biserial", "mean_a"):
        assert row[name] == expected[name]
    assert (row["p_naive"], row["shift_naive"], row["stars_naive"]) == (naive["p"], naive["shift"], naive["stars"])


def test_difference_in_means_has_the_interval_of_welch(films):
    row = compare(films, "ctr", "label").iloc[0]
    units = by_patient(films, "ctr", "label", "patient")
    a, b = (units.loc[units["label"] == name, "ctr"] for name in "ab")
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert row["mean_difference"] == pytest.approx(a.mean() - b.mean())
    assert (row["mean_difference_low"], row["mean_difference_high"]) == pytest.approx((interval.low, interval.high))


def test_films_without_patients_are_taken_as_independent_and_it_is_said(films):
    row = compare(films.drop(columns="patient"), "ctr", "label").iloc[0]
    assert (row["unit"], row["p"], row["note"]) == (
        "film",
        row["p_naive"],
        "no column 'patient': films taken as independent",
    )
    asked = compare(films, "ctr", "label", patient=None).iloc[0]
    assert (asked["unit"], asked["note"]) == ("film", "")
    with pytest.raises(CohortError, match=r"no column \['person'\]"):
        compare(films, "ctr", "label", patient="person")


def test_several_biomarkers_are_one_family(films):
    both = compare(films, ["ctr", "area"], "label")
    assert both["value"].tolist() == ["ctr", "area"]
    np.testing.assert_allclose(both["p_adjusted"], multipletests(both["p"], method="holm")[1])
    np.testing.assert_allclose(both["p_adjusted_naive"], multipletests(both["p_naive"], method="holm")[1])
    none = compare(films, ["ctr", "area"], "label", correction="none")
    pd.testing.assert_series_equal(none["p_adjusted"], none["p"], check_names=False)


def test_bootstrap_keeps_the_films_and_resamples_patients(films):
    row = compare(
        films, "ctr", "label", clustering="bootstrap", rng=np.random.default_rng(1), resamples=400, correction="none"
    ).iloc[0]
    naive = rank_sum_pairs(films, "ctr", "label").iloc[0]
    assert (row["unit"], row["method"], row["n_a"], row["shift"]) == ("patient", "permutation", 48, naive["shift"])
    assert row["shift_low"] < row["shift"] < row["shift_high"]
    # ICC 0.5 and 4 films: the variance is 1 + 3 * 0.5 = 2.5 times that of independent films
    widening = (row["shift_high"] - row["shift_low"]) / (naive["shift_high"] - naive["shift_low"])
    assert widening == pytest.approx(np.sqrt(2.5), rel=0.3)
    alone = permutation_test(films, "ctr", "label", "mean_rank", rng=np.random.default_rng(2), resamples=2000).iloc[0]
    assert row["p"] == pytest.approx(alone["p"], abs=0.02)
    with pytest.raises(ConfigError, match="clustering is 'bootstrap' and rng is None"):
        compare(films, "ctr", "label", clustering="bootstrap")


def test_a_patient_in_two_groups_is_counted_in_the_note(films):
    films.loc[films["patient"] == 0, "label"] = ["a", "a", "b", "b"]
    row = compare(films, "ctr", "label").iloc[0]
    assert (row["n_a"], row["n_b"]) == (12, 13)
    assert row["note"] == "1 patient with films in both groups: taken as independent"
    boot = compare(films, "ctr", "label", clustering="bootstrap", rng=np.random.default_rng(0), resamples=50).iloc[0]
    assert np.isnan(boot["p"])
    assert boot["stars"] == "n/a"
    assert np.isfinite(boot["shift_low"])
    assert boot["note"] == "1 patient with films in both groups: p is undefined"


def test_a_study_twice_in_the_table_is_refused(films):
    twice = pd.concat([films, films.iloc[:1]])
    with pytest.raises(CohortError, match="1 rows repeat a study, such as 's0'; expected each study once"):
        compare(twice, "ctr", "label")
    assert compare(twice, "ctr", "label", key=None)["films_a"].iloc[0] == 49


def test_undefined_values_are_dropped_and_counted(films):
    films.loc[[0, 1, 60], "ctr"] = [np.nan, np.inf, -np.inf]
    row = compare(films, "ctr", "label").iloc[0]
    assert (row["films_a"], row["films_b"], row["patients_a"]) == (46, 47, 12)
    clean = compare(films.drop(index=[0, 1, 60]), "ctr", "label").iloc[0]
    assert row["p"] == clean["p"]


@pytest.mark.parametrize("clustering", ["aggregate", "bootstrap", "none"])
def test_thin_groups_give_a_row_and_a_note(rng, clustering):
    table = pd.DataFrame(
        {
            "patient": [1, 1, 2, 3, 3, 4, 5, 6, 7],
            "label": ["none", "none", "one", "two", "two", "two", "flat", "flat", "flat"],
            "ctr": [np.nan, np.inf, 0.4, 0.5, 0.6, 0.7, 0.5, 0.5, 0.5],
        }
    )
    pairs = compare(table, "ctr", "label", clustering=clustering, rng=rng, resamples=20)
    assert len(pairs) == 6
    assert (pairs["note"] != "").all()
    without = (pairs["group_a"] == "none") | (pairs["group_b"] == "none")
    assert pairs.loc[without, "p"].isna().all()
    assert pairs.loc[without, "note"].str.startswith("no value: none").all()
    assert pairs.loc[~without, "p"].between(0, 1).all()


def test_unknown_settings_are_refused(films):
    with pytest.raises(ConfigError, match="expected 'aggregate', 'bootstrap' or 'none'"):
        compare(films, "ctr", "label", clustering="patient")
    with pytest.raises(ConfigError, match="value names no column"):
        compare(films, [], "label")
    with pytest.raises(ConfigError, match="confidence is 95"):
        compare(films, "ctr", "label", confidence=95)


@pytest.mark.slow
def test_with_repeated_patients_the_clustered_test_keeps_its_level_and_the_naive_does_not(rng):
    runs = 120
    rows = pd.concat([compare(clustered(rng), "ctr", "label", correction="none") for _ in range(runs)])
    clustered_level, naive_level = (rows["p"] < 0.05).mean(), (rows["p_naive"] < 0.05).mean()
    margin = 3.3 * np.sqrt(0.05 * 0.95 / runs)
    message = f"clustered {clustered_level:.3f}, naive {naive_level:.3f}"
    assert abs(clustered_level - 0.05) < margin, message
    assert naive_level > 0.05 + 2 * margin, message  # about 0.2


@pytest.mark.slow
def test_the_bootstrap_of_patients_keeps_its_level_and_covers(rng):
    runs = 40
    found = [
        compare(
            clustered(rng, films=3), "ctr", "label", clustering="bootstrap", rng=rng, resamples=79, correction="none"
        )
        for _ in range(runs)
    ]
    rows = pd.concat(found)
    level, naive = (rows["p"] <= 0.05).mean(), (rows["p_naive"] < 0.05).mean()
    assert level < 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / runs), f"bootstrap {level:.3f}, naive {naive:.3f}"
    covered = ((rows["shift_low"] <= 0) & (rows["shift_high"] >= 0)).mean()
    # percentile intervals of 24 patients are somewhat narrow: 0.93 is typical
    assert covered > 0.93 - 3.3 * np.sqrt(0.93 * 0.07 / runs)
