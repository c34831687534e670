from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.stats.contingency import association
from sklearn.metrics import homogeneity_score

from patchcxr.data.audit.confounding import (
    associations,
    check_confounding,
    contingency,
    factors,
    nominal_association,
    noncentrality_interval,
    rank_association,
)
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig


def films(cells: dict[tuple[str, str], int]) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Labels, values and patients of one film a patient, with so many films of each (label, value)."""
    pairs = [pair for pair, count in cells.items() for _ in range(count)]
    label, value = (pd.Series([pair[side] for pair in pairs], dtype="string") for side in (0, 1))
    return label, value, pd.Series([f"p{index}" for index in range(len(pairs))], dtype="string")


def scan_of(n: int, rows: object = 64, columns: object = 64, bits: object = 8) -> FilmScan:
    facts = pd.DataFrame({"error": [""] * n}).assign(rows=rows, columns=columns, bit_depth=bits)
    empty = np.zeros((n, 64, 64))
    return FilmScan(
        facts, np.zeros((n, 256), bool), empty.astype(np.uint8), empty.astype(bool), np.zeros(n, dtype=bool)
    )


def cohort(cells: dict[tuple[str, str], int], **columns: object) -> pd.DataFrame:
    label, source, patient = films(cells)
    study = "s" + patient
    return pd.DataFrame({"study": study, "patient": patient, "label": label, "source": source, **columns})


def by_check(table: pd.DataFrame, scan: FilmScan | None = None) -> dict[str, object]:
    found = check_confounding(table, scan or scan_of(len(table)), AuditConfig())
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


def test_bias_corrected_v_of_a_two_by_two_table_is_the_one_worked_by_hand():
    result = nominal_association(*films({("a", "x"): 30, ("a", "y"): 10, ("b", "x"): 10, ("b", "y"): 30}))
    # chi-square = 80 * (30*30 - 10*10)^2 / 40^4 = 20, so phi^2 = 0.25; each side has 2 - 1/79 corrected categories
    assert result.value == pytest.approx(np.sqrt((20 / 80 - 1 / 79) / (1 - 1 / 79)))
    assert result.p == pytest.approx(stats.chi2.sf(20, 1))
    assert (result.accuracy, result.majority, result.patients) == (0.75, 0.5, 80)


def test_with_many_patients_the_correction_vanishes_and_v_is_that_of_scipy(rng):
    counts = rng.integers(200, 4000, (3, 5))
    cells = {(f"l{row}", f"v{column}"): int(counts[row, column]) for row, column in np.ndindex(3, 5)}
    result = nominal_association(*films(cells))
    assert result.value == pytest.approx(association(counts, method="cramer"), abs=2e-3)
    assert result.low < result.value < result.high


def test_uncertainty_is_the_homogeneity_of_the_values_as_clusters(rng):
    label, value = (pd.Series(rng.choice(list("abc"), 300, p=[0.6, 0.3, 0.1])) for _ in range(2))
    value = value.where(rng.random(300) < 0.5, label)
    result = nominal_association(label, value, pd.Series(range(300)))
    assert result.uncertainty == pytest.approx(homogeneity_score(label, value))


def test_a_factor_that_tells_the_label_has_v_and_uncertainty_of_one():
    result = nominal_association(*films({("a", "x"): 20, ("b", "y"): 30, ("c", "z"): 10}))
    assert (result.value, result.uncertainty, result.accuracy) == (pytest.approx(1.0), pytest.approx(1.0), 1.0)
    assert 0.7 < result.low < result.high == 1.0


def test_intervals_cover_independence_and_a_known_association(rng):
    independent, covered = 0, 0
    for _ in range(60):
        label = pd.Series(rng.choice(["a", "b", "c"], 150))
        result = nominal_association(label, pd.Series(rng.choice(list("wxyz"), 150)), pd.Series(range(150)))
        independent += result.low == 0
        value = label.where(rng.random(150) < 0.4, pd.Series(rng.choice(["a", "b", "c"], 150)))
        # the value is the label with probability 0.4 and independent of it otherwise: V = 0.4 for equal classes
        result = nominal_association(label, value, pd.Series(range(150)))
        covered += result.low <= 0.4 <= result.high
    assert independent >= 53
    assert 52 <= covered <= 60


@pytest.mark.parametrize(("statistic", "freedom"), [(20.0, 1), (55.5, 12), (3e5, 9)])
def test_the_ends_of_the_interval_leave_the_tails_of_the_noncentral_distribution(statistic, freedom):
    low, high = noncentrality_interval(statistic, freedom)
    assert stats.ncx2.cdf(statistic, freedom, low) == pytest.approx(0.975, abs=1e-6)
    assert stats.ncx2.cdf(statistic, freedom, high) == pytest.approx(0.025, abs=1e-6)


def test_a_statistic_below_its_expectation_has_an_interval_from_zero():
    assert noncentrality_interval(0.0, 4) == (0.0, 0.0)
    low, high = noncentrality_interval(4.0, 4)
    assert low == 0.0 < high


def test_more_films_of_the_same_patients_change_nothing():
    once = films({("a", "x"): 30, ("a", "y"): 10, ("b", "x"): 10, ("b", "y"): 30})
    thrice = tuple(pd.concat([column] * 3, ignore_index=True) for column in once)
    assert nominal_association(*thrice).value == pytest.approx(nominal_association(*once).value)
    assert nominal_association(*thrice).low == pytest.approx(nominal_association(*once).low)
    assert nominal_association(*thrice).patients == 80


def test_cells_sum_to_the_patients_and_a_follow_up_with_another_label_is_shared():
    label, view = pd.Series(["a", "a", "b", "b", None]), pd.Series(["PA", "AP", "AP", "PA", "PA"])
    counts = contingency(label, view, pd.Series(["p", "p", "p", "q", "r"]))
    assert counts.loc["a"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert counts.loc["b"].tolist() == pytest.approx([1 / 3, 1.0])
    assert counts.to_numpy().sum() == pytest.approx(2)


def test_rank_eta_is_the_adjusted_r_of_a_regression_of_the_ranks(rng):
    label = pd.Series(rng.choice(["a", "b", "c"], 90))
    age = pd.Series(rng.permutation(90) + 40.0 * (label == "b") + 0.01)
    result = rank_association(label, age, pd.Series(range(90)))
    ranks = stats.rankdata(age)
    fit = sm.OLS(ranks, pd.get_dummies(label).to_numpy(float)).fit()
    ties = 1 - sum(t**3 - t for t in np.unique(ranks, return_counts=True)[1]) / (90**3 - 90)
    assert ties == pytest.approx(1, abs=1e-3)
    assert result.value**2 == pytest.approx(fit.rsquared_adj, abs=2e-3)
    assert result.low < result.value < result.high


def test_equal_ages_in_all_labels_give_an_eta_near_zero_and_apart_ages_near_one():
    label = pd.Series(["a", "b"] * 50)
    alike = rank_association(label, pd.Series(np.repeat(np.arange(50.0), 2)), pd.Series(range(100)))
    apart = rank_association(label, pd.Series([5.0, 60.0] * 50), pd.Series(range(100)))
    assert (alike.value, alike.low) == (0.0, 0.0)
    assert apart.value == pytest.approx(1.0)


def test_one_class_a_source_is_an_error_that_names_both():
    found = by_check(cohort({("normal", "jsrt"): 40, ("covid19", "cohen"): 30, ("covid19", "bimcv"): 10}))
    finding = found["one-source-one-class"]
    assert finding.severity == "error"
    assert "covid19 (bimcv, cohen); normal (jsrt)" in finding.message
    assert len(finding.studies) == 80
    assert finding.drop == ()
    assert found["label-source"].severity == "warning"


def test_a_few_strays_do_not_hide_that_a_source_is_of_one_class():
    found = by_check(cohort({("a", "x"): 99, ("b", "x"): 1, ("b", "y"): 100}))
    assert found["one-source-one-class"].severity == "error"
    assert "a (x)" in found["one-source-one-class"].message


def test_a_label_of_one_source_that_holds_others_is_a_warning_only():
    table = cohort({("tuberculosis", "tb"): 40, ("normal", "tb"): 40, ("normal", "jsrt"): 30, ("nodule", "jsrt"): 30})
    found = by_check(table)
    assert "one-source-one-class" not in found
    finding = found["label-in-one-source"]
    assert finding.severity == "warning"
    assert "nodule (jsrt, 100 %); tuberculosis (tb, 100 %)" in finding.message
    assert set(finding.studies) == set(table.loc[table["label"].isin(["nodule", "tuberculosis"]), "study"])


def test_balanced_sources_give_a_note_with_the_number():
    found = by_check(cohort({(label, source): 40 for label in "ab" for source in "xy"}))
    assert set(found) == {"label-source"}
    assert found["label-source"].severity == "note"
    assert "Cramér's V 0.00 (0.00 to 0.0" in found["label-source"].message
    assert "right for 50.0 % of the patients, against 50.0 %" in found["label-source"].message


def test_view_sex_age_size_and_depth_are_each_held_against_the_label():
    half = np.arange(200) < 100
    table = cohort({("a", "x"): 100, ("b", "x"): 100}).assign(
        view=np.where(half, "pa ", "AP"), sex=["M", "F"] * 100, age_years=np.where(half, 5, 60).astype(float)
    )
    scan = scan_of(200, np.where(half, 512, 1024), 512, np.where(half, 8, 12))
    found = by_check(table, scan)
    severities = {check: finding.severity for check, finding in found.items()}
    assert severities == {
        "label-view": "warning",
        "label-sex": "note",
        "label-age": "warning",
        "label-image-size": "warning",
        "label-bit-depth": "warning",
    }
    assert "median age from 5 (a) to 60 (b)" in found["label-age"].message
    assert list(found["label-image-size"].details.columns) == ["label", "512 × 1024", "512 × 512"]
    assert list(found["label-view"].details.columns) == ["label", "AP", "PA"]


def test_rare_sizes_count_as_one_and_unreadable_films_as_unknown():
    rows = np.full(200, 512.0)
    rows[:3] = [100, 101, 102]
    rows[3] = np.nan
    size = factors(cohort({("a", "x"): 100, ("b", "x"): 100}), scan_of(200, rows, rows, rows).facts)["image size"]
    assert size.iloc[:5].tolist() == ["other sizes"] * 3 + [pd.NA, "512 × 512"]


def test_unknown_values_are_left_out_and_counted():
    table = cohort({("a", "x"): 30, ("b", "x"): 30}).assign(view=["PA", None] * 30)
    table.loc[0, "label"] = None
    view = next(one for one in associations(table, scan_of(60).facts) if one.factor == "view")
    assert (view.patients, view.unknown_films) == (29, 31)


@pytest.mark.parametrize("absent", ["label", "source", "patient", "all"])
def test_a_cohort_without_the_columns_gives_no_finding_and_no_error(absent):
    table = cohort({("a", "x"): 20, ("b", "y"): 20})
    table = table[["study"]] if absent == "all" else table.drop(columns=absent)
    checks = {finding.check for finding in check_confounding(table, scan_of(40), AuditConfig())}
    assert checks == ({"one-source-one-class", "label-source"} if absent == "patient" else set())


def test_a_single_label_cannot_be_confounded():
    assert check_confounding(cohort({("a", "x"): 20, ("a", "y"): 20}), scan_of(40), AuditConfig()) == []
