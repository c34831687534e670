"""Kappa against R's vcd, statsmodels and published values, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from patchcxr.errors import CohortError, ConfigError, LabelError
from patchcxr.stats.agreement import cohen_kappa, fleiss_kappa

# Two pathologists on carcinoma in situ (Agresti 2002, table 10.8)
SLIDES = np.array([[22, 2, 2, 0], [5, 7, 14, 0], [0, 2, 36, 0], [0, 1, 17, 10]])
# Ten subjects, fourteen raters, five categories; kappa 0.210 (a worked example of Fleiss' kappa)
FOURTEEN = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def readings(counts):
    first, second = np.indices(counts.shape)
    return pd.DataFrame({"a": np.repeat(first.ravel(), counts.ravel()), "b": np.repeat(second.ravel(), counts.ravel())})


def panel(counts):
    rows = [np.repeat(np.arange(counts.shape[1]), row) for row in counts]
    return pd.DataFrame(rows, columns=[f"reader{i}" for i in range(counts[0].sum())])


@pytest.mark.parametrize(
    ("weights", "kappa", "se"),
    [
        # R: vcd::Kappa(k) -> 0.493005596, ASE 0.0567431504
        ("none", 0.493005596, 0.0567431504),
        # R: vcd::Kappa(k, weights = "Equal-Spacing") -> 0.648809524, ASE 0.0476524224
        ("linear", 0.648809524, 0.0476524224),
        # R: vcd::Kappa(k, weights = "Fleiss-Cohen") -> 0.783821871, ASE 0.0386703361
        ("quadratic", 0.783821871, 0.0386703361),
    ],
)
def test_cohens_kappa_and_its_error_equal_r(weights, kappa, se):
    row = cohen_kappa(readings(SLIDES), "a", "b", weights).iloc[0]
    assert (row["kappa"], row["se"]) == pytest.approx((kappa, se))
    assert (row["low"], row["high"]) == pytest.approx((kappa - 1.959964 * se, kappa + 1.959964 * se))
    assert row["n"] == SLIDES.sum()


def test_exchanging_the_readers_changes_nothing():
    for weights in ("none", "linear", "quadratic"):
        there = cohen_kappa(readings(SLIDES), "a", "b", weights).iloc[0]
        back = cohen_kappa(readings(SLIDES), "b", "a", weights).iloc[0]
        assert (there["kappa"], there["se"], there["p"]) == pytest.approx((back["kappa"], back["se"], back["p"]))


def test_full_agreement_is_one_and_a_single_category_is_undefined():
    full = cohen_kappa(pd.DataFrame({"a": [0, 1, 1, 2], "b": [0, 1, 1, 2]}), "a", "b").iloc[0]
    assert (full["kappa"], full["low"], full["high"]) == (1, 1, 1)
    assert "the interval has no width" in full["note"]
    single = cohen_kappa(pd.DataFrame({"a": [1, 1], "b": [1, 1]}), "a", "b").iloc[0]
    assert np.isnan([single["kappa"], single["low"], single["p"]]).all()
    assert single["note"].startswith("one category throughout")
    none = cohen_kappa(pd.DataFrame({"a": [None, "x"], "b": ["y", None]}), "a", "b").iloc[0]
    assert np.isnan(none["kappa"])
    assert (none["dropped"], none["note"].split(";")[0]) == (2, "no film has both readings")


def test_films_that_lack_a_reading_are_dropped_and_counted():
    table = readings(SLIDES).astype(float)
    table.loc[[0, 50], "a"] = np.nan
    row = cohen_kappa(table, "a", "b").iloc[0]
    assert (row["n"], row["dropped"]) == (SLIDES.sum() - 2, 2)


def test_the_order_matters_for_weights_and_must_name_every_category():
    table = readings(SLIDES).replace({0: "no", 1: "mild", 2: "severe", 3: "tumour"})
    row = cohen_kappa(table, "a", "b", "linear", ["no", "mild", "severe", "tumour"]).iloc[0]
    assert row["kappa"] == pytest.approx(0.648809524)
    assert cohen_kappa(table, "a", "b", "linear")["kappa"].iloc[0] != pytest.approx(0.648809524)
    with pytest.raises(LabelError, match=r"readings \['tumour'\] are not in the order"):
        cohen_kappa(table, "a", "b", "linear", ["no", "mild", "severe"])


def test_where_patients_repeat_the_interval_resamples_them():
    table = pd.concat([readings(SLIDES)] * 3, ignore_index=True)
    table["patient"] = np.tile(np.arange(SLIDES.sum()), 3)
    row = cohen_kappa(table, "a", "b", rng=np.random.default_rng(0), resamples=500).iloc[0]
    assert (row["interval"], row["patients"]) == ("patient bootstrap", 118)
    # three copies of each patient hold no more than one
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * 0.0567431504, rel=0.12)
    without = cohen_kappa(table, "a", "b").iloc[0]
    assert np.isnan(without["low"])
    assert without["note"] == "patients repeat: pass rng for an interval that resamples them"


def test_fleiss_kappa_equals_the_worked_example_and_statsmodels():
    row = fleiss_kappa(panel(FOURTEEN), list(panel(FOURTEEN).columns)).iloc[0]
    assert (row["agreement"], row["expected"], row["kappa"]) == pytest.approx((0.378, 0.213, 0.210), abs=5e-4)
    assert row["kappa"] == pytest.approx(statsmodels_fleiss(FOURTEEN))
    assert row["note"] == "films are few: the interval is too narrow"


def test_the_error_of_fleiss_kappa_is_about_that_of_leaving_films_out(rng):
    truth = rng.integers(0, 3, 150)
    read = np.where(rng.random((150, 4)) < 0.6, truth[:, None], rng.integers(0, 3, (150, 4)))
    counts = np.stack([np.bincount(row, minlength=3) for row in read])
    row = fleiss_kappa(panel(counts), [f"reader{i}" for i in range(4)]).iloc[0]
    left_out = np.array([statsmodels_fleiss(np.delete(counts, i, axis=0)) for i in range(150)])
    jackknife = np.sqrt(149 / 150 * ((left_out - left_out.mean()) ** 2).sum())
    assert row["se"] == pytest.approx(jackknife, rel=0.02)


def test_two_readers_give_scotts_pi():
    row = fleiss_kappa(readings(SLIDES), ["a", "b"]).iloc[0]
    share = (SLIDES.sum(axis=0) + SLIDES.sum(axis=1)) / (2 * SLIDES.sum())
    agreement = np.trace(SLIDES) / SLIDES.sum()
    assert row["kappa"] == pytest.approx((agreement - (share**2).sum()) / (1 - (share**2).sum()))


def test_fleiss_kappa_of_thin_tables_is_undefined_and_noted():
    single = fleiss_kappa(pd.DataFrame({"a": [1, 1], "b": [1, 1]}), ["a", "b"]).iloc[0]
    assert np.isnan(single["kappa"])
    assert single["note"] == "one category throughout"
    none = fleiss_kappa(pd.DataFrame({"a": [1, None], "b": [None, 1]}), ["a", "b"]).iloc[0]
    assert (none["dropped"], none["note"]) == (2, "no film has all readings")
    one = fleiss_kappa(pd.DataFrame({"a": [1], "b": [2]}), ["a", "b"]).iloc[0]
    assert np.isnan(one["se"])
    assert one["note"] == "one film: no interval"


def test_unusable_settings_are_refused():
    table = readings(SLIDES)
    with pytest.raises(ConfigError, match="expected 'none', 'linear' or 'quadratic'"):
        cohen_kappa(table, "a", "b", "cubic")
    with pytest.raises(ConfigError, match="two or more different columns"):
        fleiss_kappa(table, ["a", "a"])
    with pytest.raises(CohortError, match=r"no column \['c'\]"):
        cohen_kappa(table, "a", "c")
    with pytest.raises(CohortError, match="repeat a study"):
        cohen_kappa(table.assign(study="s"), "a", "b")


@pytest.mark.slow
def test_intervals_of_kappa_cover_and_p_is_uniform_without_agreement(rng):
    runs = 400
    cells = np.array([[0.35, 0.08, 0.02], [0.06, 0.2, 0.05], [0.01, 0.05, 0.18]])
    rows, columns = cells.sum(axis=1), cells.sum(axis=0)
    expected = rows @ columns
    truth = (np.trace(cells) - expected) / (1 - expected)
    share = (rows + columns) / 2
    pi = (np.trace(cells) - share @ share) / (1 - share @ share)
    cohen, fleiss, rejected = [], [], []
    for _ in range(runs):
        table = readings(rng.multinomial(150, cells.ravel()).reshape(3, 3))
        row = cohen_kappa(table, "a", "b").iloc[0]
        cohen.append(row["low"] <= truth <= row["high"])
        row = fleiss_kappa(table, ["a", "b"]).iloc[0]
        fleiss.append(row["low"] <= pi <= row["high"])
        null = readings(rng.multinomial(150, np.outer(rows, columns).ravel()).reshape(3, 3))
        rejected.append(cohen_kappa(null, "a", "b")["p"].iloc[0] < 0.05)
    margin = 3.3 * np.sqrt(0.95 * 0.05 / runs)
    assert abs(np.mean(cohen) - 0.95) < margin
    assert abs(np.mean(fleiss) - 0.95) < margin
    assert abs(np.mean(rejected) - 0.05) < margin
