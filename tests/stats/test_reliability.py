"""Intraclass correlation and limits of agreement against published tables and R."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from patchcxr.errors import CohortError
from patchcxr.stats.reliability import bland_altman, icc

# Shrout & Fleiss 1979, table 2: six subjects, four judges
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
# Bland & Altman 1986, table 1: peak flow in l/min by two meters, first measurement
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def ratings(values):
    subjects, raters = np.indices(values.shape)
    return pd.DataFrame({"subject": subjects.ravel(), "rater": raters.ravel(), "score": values.ravel().astype(float)})


@pytest.fixture
def peak_flow():
    return pd.DataFrame({"large": LARGE, "mini": MINI})


def test_the_six_coefficients_equal_shrout_and_fleiss_and_r():
    result = icc(ratings(JUDGES), "subject", "rater", "score").set_index("type")
    published = {
        "ICC(1,1)": 0.17,
        "ICC(2,1)": 0.29,
        "ICC(3,1)": 0.71,
        "ICC(1,k)": 0.44,
        "ICC(2,k)": 0.62,
        "ICC(3,k)": 0.91,
    }
    assert {name: round(value, 2) for name, value in result["icc"].items()} == published
    # R: psych::ICC(sf, lmer = FALSE)$results: ICC, lower bound, upper bound
    golden = {
        "ICC(1,1)": (0.16574177, -0.132932325, 0.72256006),
        "ICC(2,1)": (0.28976378, 0.018786513, 0.76108437),
        "ICC(3,1)": (0.71484071, 0.342464765, 0.94585826),
        "ICC(1,k)": (0.44279713, -0.884442155, 0.91241542),
        "ICC(2,k)": (0.62005055, 0.071136815, 0.92723204),
        "ICC(3,k)": (0.90931554, 0.675674714, 0.98589168),
    }
    for name, values in golden.items():
        assert result.loc[name, ["icc", "low", "high"]].tolist() == pytest.approx(values, rel=1e-6)
    # R: F 1.7946785 on 5 and 18, p 0.16476880834; 11.0272480 on 5 and 15, p 0.00013456652
    assert result.loc["ICC(1,1)", ["f", "df1", "df2", "p"]].tolist() == pytest.approx([1.7946785, 5, 18, 0.16476880834])
    assert result.loc["ICC(2,1)", ["f", "df1", "df2", "p"]].tolist() == pytest.approx([11.027248, 5, 15, 0.00013456652])


def test_a_constant_between_raters_costs_agreement_but_not_consistency(rng):
    base = rng.normal(size=(30, 1)) + 0.1 * rng.normal(size=(30, 2))
    shifted = base + np.array([0, 2])
    before, after = (icc(ratings(x), "subject", "rater", "score").set_index("type")["icc"] for x in (base, shifted))
    assert after["ICC(3,1)"] == pytest.approx(before["ICC(3,1)"])
    assert after["ICC(2,1)"] < before["ICC(2,1)"] - 0.3


def test_subjects_that_lack_a_rating_are_dropped_and_counted():
    table = ratings(np.vstack([JUDGES, [[5, 5, 5, 5], [6, 6, 6, 6]]]))
    table.loc[24, "score"] = np.inf
    table = table.drop(index=28)
    result = icc(table, "subject", "rater", "score")
    assert (result["subjects"] == 6).all()
    assert (result["dropped"] == 2).all()
    assert result["icc"].iloc[0] == pytest.approx(0.16574177)


def test_thin_ratings_are_undefined_and_noted():
    for values in (np.full((4, 3), 2), JUDGES[:1], JUDGES[:, :1]):
        result = icc(ratings(values), "subject", "rater", "score")
        assert len(result) == 6
        assert result[["icc", "low", "high", "p"]].isna().all(axis=None)
        assert (result["note"] != "").all()
    full = icc(ratings(np.repeat([[1], [2], [4]], 2, axis=1)), "subject", "rater", "score")
    assert (full["icc"] == 1).all()
    assert full["note"].str.startswith("the raters agree fully").all()


def test_a_subject_rated_twice_is_refused():
    table = ratings(JUDGES)
    with pytest.raises(CohortError, match="1 rows repeat a pair of subject and rater"):
        icc(pd.concat([table, table.iloc[:1]]), "subject", "rater", "score")


def test_limits_of_agreement_equal_bland_and_altman(peak_flow):
    row = bland_altman(peak_flow, "large", "mini").iloc[0]
    # published: bias -2.1, standard deviation 38.8, interval of the bias -22.0 to 17.8
    # R: t.test(large - mini)$conf.int -> -22.04884 17.81354
    assert (row["bias"], row["sd"]) == pytest.approx((-2.117647059, 38.765129874))
    assert (row["bias_low"], row["bias_high"]) == pytest.approx((-22.04884, 17.81354), abs=1e-4)
    # R: mean(d) -+ 1.96 * sd(d) -> -78.097301611 73.862007493
    assert (row["lower"], row["upper"]) == pytest.approx((-78.097301611, 73.862007493))
    # published for limits of 2 sd: -114.3 to -45.1 and 40.9 to 110.1, a half width of 34.6
    assert row["upper_high"] - row["upper"] == pytest.approx(34.6, abs=0.4)
    assert row["slope_p"] == pytest.approx(stats.pearsonr(np.subtract(LARGE, MINI), np.add(LARGE, MINI) / 2).pvalue)


def test_repeated_patients_add_both_variances_and_resample_patients(rng):
    who = np.repeat(np.arange(60), 4)
    d = 3 * rng.normal(size=60)[who] + 4 * rng.normal(size=240)
    table = pd.DataFrame({"a": d + 100, "b": 100.0, "patient": who})
    row = bland_altman(table, "a", "b", rng=rng, resamples=400).iloc[0]
    groups = [d[who == patient] for patient in range(60)]
    within = np.mean([part.var(ddof=1) for part in groups])
    between = (4 * np.var([part.mean() for part in groups], ddof=1) - within) / 4
    assert row["sd"] == pytest.approx(np.sqrt(between + within))
    assert row["interval"] == "patient bootstrap"
    error = np.std([part.mean() for part in groups], ddof=1) / np.sqrt(60)
    assert row["bias_high"] - row["bias_low"] == pytest.approx(2 * 1.96 * error, rel=0.15)
    naive = bland_altman(table, "a", "b", patient=None).iloc[0]
    assert naive["bias_high"] - naive["bias_low"] < 0.8 * (row["bias_high"] - row["bias_low"])
    without = bland_altman(table, "a", "b").iloc[0]
    assert np.isnan(without["bias_low"])
    assert "pass rng" in without["note"]


def test_thin_and_constant_differences_are_defined_and_noted():
    one = bland_altman(pd.DataFrame({"a": [1.0, np.nan], "b": [2.0, 3.0]}), "a", "b").iloc[0]
    assert (one["bias"], one["dropped"], one["note"].split(";")[0]) == (-1, 1, "fewer than two films")
    assert np.isnan([one["sd"], one["lower"], one["bias_low"]]).all()
    none = bland_altman(pd.DataFrame({"a": [np.nan], "b": [np.nan]}), "a", "b").iloc[0]
    assert np.isnan(none["bias"])
    flat = bland_altman(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 2.0]}), "a", "b").iloc[0]
    assert (flat["bias"], flat["sd"], flat["lower"]) == (1, 0, 1)
    assert flat["note"].startswith("every difference is equal")


def test_unpaired_and_repeated_rows_are_refused(peak_flow):
    with pytest.raises(CohortError, match="no row has both 'a' and 'b'; expected paired data"):
        bland_altman(pd.DataFrame({"a": [1.0, np.nan], "b": [np.nan, 2.0]}), "a", "b")
    with pytest.raises(CohortError, match="16 rows repeat a study"):
        bland_altman(peak_flow.assign(study="s"), "large", "mini")


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_say(rng):
    runs = 300
    covered = {"ICC(1,1)": [], "ICC(2,1)": [], "ICC(3,1)": [], "bias": [], "upper": []}
    for _ in range(runs):
        subjects, raters = rng.normal(size=(25, 1)), 0.5 * rng.normal(size=(1, 6))
        noise = 0.7 * rng.normal(size=(25, 6))
        two_way = icc(ratings(subjects + raters + noise), "subject", "rater", "score").set_index("type")
        one_way = icc(ratings(subjects + noise), "subject", "rater", "score").set_index("type")
        for name, found, truth in (
            ("ICC(1,1)", one_way, 1 / 1.49),
            ("ICC(2,1)", two_way, 1 / 1.74),
            ("ICC(3,1)", two_way, 1 / 1.49),
        ):
            covered[name].append(found.loc[name, "low"] <= truth <= found.loc[name, "high"])
        row = bland_altman(pd.DataFrame({"a": rng.normal(1, 2, 40), "b": np.zeros(40)}), "a", "b").iloc[0]
        covered["bias"].append(row["bias_low"] <= 1 <= row["bias_high"])
        covered["upper"].append(row["upper_low"] <= 1 + 1.96 * 2 <= row["upper_high"])
    margin = 3.3 * np.sqrt(0.95 * 0.05 / runs)
    for name, found in covered.items():
        # the interval of ICC(2,1) is approximate, and so is that of the limits
        assert abs(np.mean(found) - 0.95) < margin + (0.015 if name in ("ICC(2,1)", "upper") else 0), (
            name,
            np.mean(found),
        )
