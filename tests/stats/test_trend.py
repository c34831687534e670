"""Trends within patients against R's lme, and by simulation."""

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError
from patchcxr.stats.trend import trend

# Distance from pituitary to pterygomaxillary fissure of 27 children at 8, 10, 12 and 14 years
# (Potthoff & Roy 1964), as in R's nlme::Orthodont
DISTANCES = """
26 25 29 31 21.5 22.5 23 26.5 23 22.5 24 27.5 25.5 27.5 26.5 27 20 23.5 22.5 26 24.5 25.5 27 28.5 22 22 24.5 26.5
24 21.5 24.5 25.5 23 20.5 31 26 27.5 28 31 31.5 23 23 23.5 25 21.5 23.5 24 28 17 24.5 26 29.5 22.5 25.5 25.5 26
23 24.5 26 30 22 21.5 23.5 25 21 20 21.5 23 21 21.5 24 25.5 20.5 24 24.5 26 23.5 24.5 25 26.5 21.5 23 22.5 23.5
20 21 21 22.5 21.5 22.5 23 25 23 23 23.5 24 20 21 22 21.5 16.5 19 19 19.5 24.5 25 28 28
"""


@pytest.fixture
def children():
    distance = np.array(DISTANCES.split(), dtype=float)
    return pd.DataFrame({"child": np.repeat(np.arange(27), 4), "age": np.tile([8, 10, 12, 14], 27), "mm": distance})


def test_random_intercepts_equal_r(children):
    row = trend(children, "mm", "age", "child").iloc[0]
    # R: m <- lme(distance ~ age, random = ~ 1 | Subject, data = Orthodont); summary(m)$tTable; intervals(m)
    assert (row["slope"], row["se"], row["df"]) == pytest.approx((0.6601851852, 0.0616059163, 80), rel=1e-5)
    assert row["intercept"] == pytest.approx(16.7611111111)
    assert (row["low"], row["high"]) == pytest.approx((0.5375855, 0.7827849), abs=1e-5)
    assert row["p"] == pytest.approx(3.952235413e-17, rel=1e-3)
    assert (row["sd_patient"], row["sd_residual"]) == pytest.approx((2.114724, 1.431592), rel=1e-3)
    assert (row["patients"], row["films"], row["converged"], row["note"]) == (27, 108, True, "")


def test_random_slopes_equal_r(children):
    row = trend(children, "mm", "age", "child", random_slope=True).iloc[0]
    # R: lme(distance ~ age, random = ~ age | Subject, data = Orthodont)
    assert (row["slope"], row["se"]) == pytest.approx((0.6601851852, 0.07125326387), rel=1e-3)
    assert (row["sd_slope"], row["sd_residual"]) == pytest.approx((0.2264278, 1.3100397), rel=1e-2)
    assert row["df"] == 26


def test_the_slope_scales_with_the_unit_of_days_and_values(children):
    base = trend(children, "mm", "age", "child").iloc[0]
    scaled = children.assign(days=children["age"] * 365.25 + 1e4, km=children["mm"] * 1e-6)
    row = trend(scaled, "km", "days", "child").iloc[0]
    assert row["slope"] == pytest.approx(base["slope"] * 1e-6 / 365.25, rel=1e-6)
    assert row["p"] == pytest.approx(base["p"], rel=1e-4)
    assert row["converged"]


def test_rows_without_a_value_or_day_are_dropped_and_counted(children):
    children["age"] = children["age"].astype(float)
    children.loc[0, "mm"], children.loc[5, "age"], children.loc[9, "mm"] = np.nan, np.nan, np.inf
    row = trend(children, "mm", "age", "child").iloc[0]
    assert (row["films"], row["dropped"]) == (105, 3)
    clean = trend(children.drop(index=[0, 5, 9]), "mm", "age", "child").iloc[0]
    assert row["slope"] == clean["slope"]


@pytest.mark.parametrize(
    ("days", "values", "patients", "note"),
    [
        ([], [], [], "no patient has films on two days"),
        ([1, 2, 3], [1, 2, 3], [1, 2, 3], "no patient has films on two days"),
        ([1, 2, 1, 2], [5, 5, 5, 5], [1, 1, 2, 2], "all values are equal"),
        ([1, 2, 3], [1, 2, 4], [1, 1, 1], "one patient: use a plain regression"),
        ([1, 2, 1], [1, 2, 4], [1, 1, 2], "too few films for a slope and its error"),
        ([np.nan, np.inf], [1, 2], [1, 1], "no patient has films on two days"),
    ],
)
def test_what_cannot_be_fitted_is_noted(days, values, patients, note):
    table = pd.DataFrame({"day": np.array(days, float), "ctr": np.array(values, float), "patient": patients})
    row = trend(table, "ctr", "day", "patient").iloc[0]
    assert row["note"] == note
    assert np.isnan([row["slope"], row["p"]]).all()
    assert not row["converged"]


def test_singular_fits_and_few_patients_are_noted_not_raised(rng):
    table = pd.DataFrame({"patient": np.repeat([1, 2, 3], 4), "day": [0, 1, 2, 3] * 3})
    table["ctr"] = np.array([1, 2, 3, 4.2] * 3) + np.tile([0.1, -0.1, 0.05, -0.05], 3)
    for random_slope in (False, True):
        row = trend(table, "ctr", "day", "patient", random_slope=random_slope).iloc[0]
        assert "3 patients are few" in row["note"]
        assert "singular" in row["note"]
        assert row["slope"] == pytest.approx(1.04, abs=0.05)


def test_a_study_twice_and_films_without_a_patient_are_refused(children):
    with pytest.raises(CohortError, match="107 rows repeat a study"):
        trend(children.assign(study="s"), "mm", "age", "child")
    children["child"] = children["child"].astype(object)
    children.loc[3, "child"] = None
    with pytest.raises(CohortError, match="1 rows have no 'child'"):
        trend(children, "mm", "age", "child")


@pytest.mark.slow
def test_intervals_cover_and_the_naive_regression_does_not(rng):
    runs, covered, naive = 40, [], []
    for _ in range(runs):
        who = np.repeat(np.arange(15), 4)
        day = np.tile([0.0, 1.0, 2.0, 3.0], 15) + rng.uniform(0, 3, 15)[who]
        # patients differ in level and in slope
        value = rng.normal(size=15)[who] + (0.1 + 0.5 * rng.normal(size=15))[who] * day + 0.3 * rng.normal(size=60)
        table = pd.DataFrame({"patient": who, "day": day, "ctr": value})
        row = trend(table, "ctr", "day", "patient", random_slope=True).iloc[0]
        covered.append(row["low"] <= 0.1 <= row["high"])
        slope, *_ = np.linalg.lstsq(np.column_stack([day, np.ones(60)]), value, rcond=None)
        residual = value - np.column_stack([day, np.ones(60)]) @ slope
        error = np.sqrt(residual @ residual / 58 / (60 * day.var()))
        naive.append(abs(slope[0] - 0.1) < 2.0017 * error)
    margin = 3.3 * np.sqrt(0.95 * 0.05 / runs)
    assert abs(np.mean(covered) - 0.95) < margin, f"mixed {np.mean(covered):.3f}, plain {np.mean(naive):.3f}"
    assert np.mean(naive) < 0.95 - margin, f"mixed {np.mean(covered):.3f}, plain {np.mean(naive):.3f}"
