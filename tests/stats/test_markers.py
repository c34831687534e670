"""The one-call comparison and the triangular tables of Oh 2020."""

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError, LabelError
from patchcxr.stats.comparisons import by_patient, rank_sum_pairs
from patchcxr.stats.markers import compare_groups, group_summary, triangular_table

ORDER = ["normal", "tuberculosis", "viral"]


@pytest.fixture
def films(rng):
    """Thirty patients a class; each viral patient has four nearly equal films."""
    rows = []
    for label, centre, copies in (("normal", 0.44, 1), ("tuberculosis", 0.46, 1), ("viral", 0.47, 4)):
        for patient in range(30):
            value = rng.normal(centre, 0.05)
            rows += [(f"{label}-{patient}", label, value + 0.001 * rng.normal()) for _ in range(copies)]
    return pd.DataFrame(rows, columns=["patient", "label", "ctr"])


def test_patients_are_the_unit_and_the_film_level_result_stands_beside(films):
    result = compare_groups(films, "ctr", "label", ORDER, patient="patient")
    assert result.unit == "patient"
    assert result.summary["n"].tolist() == [30, 30, 30]
    assert result.summary["films"].tolist() == [30, 30, 120]
    expected = rank_sum_pairs(by_patient(films, "ctr", "label", "patient"), "ctr", "label", ORDER)
    pd.testing.assert_frame_equal(result.pairs[list(expected)], expected)
    pd.testing.assert_frame_equal(result.naive_pairs, rank_sum_pairs(films, "ctr", "label", ORDER))


def test_repeated_films_make_the_naive_p_value_too_small(films):
    result = compare_groups(films, "ctr", "label", ["normal", "viral"], patient="patient")
    assert result.naive_pairs["p"].iloc[0] < result.pairs["p"].iloc[0]


def test_without_patients_the_unit_is_the_film(films):
    result = compare_groups(films, "ctr", "label", ORDER, patient=None)
    assert result.unit == "film"
    pd.testing.assert_frame_equal(result.pairs[list(result.naive_pairs)], result.naive_pairs)
    assert result.omnibus["n"].iloc[0] == 180


def test_groups_outside_the_order_take_no_part(films):
    chosen = compare_groups(films, "ctr", "label", ["normal", "viral"], patient="patient")
    alone = compare_groups(films[films["label"] != "tuberculosis"], "ctr", "label", patient="patient")
    pd.testing.assert_frame_equal(chosen.pairs, alone.pairs)
    assert chosen.omnibus["df"].iloc[0] == 1


def test_summary_describes_the_values_and_counts_the_dropped(films):
    films.loc[0, "ctr"] = np.nan
    summary = group_summary(films, "ctr", "label", ORDER).set_index("group")
    normal = films.loc[films["label"] == "normal", "ctr"]
    assert summary.loc["normal", ["films", "n", "dropped"]].tolist() == [30, 29, 1]
    assert summary.loc["normal", "std"] == pytest.approx(normal.std())
    assert summary.loc["normal", "q75"] == pytest.approx(normal.quantile(0.75))
    by_patients = group_summary(films, "ctr", "label", ORDER, "patient").set_index("group")
    assert by_patients.loc["normal", ["films", "n", "dropped"]].tolist() == [30, 29, 1]


def test_triangle_has_the_form_of_table_seven():
    # Oh 2020, Table VII, first three classes.
    pairs = pd.DataFrame(
        {
            "group_a": ["normal", "normal", "tuberculosis"],
            "group_b": ["tuberculosis", "viral", "viral"],
            "stars": ["-", "***", "**"],
        }
    )
    summary = pd.DataFrame({"group": ORDER, "mean": [0.139, 0.136, 0.165], "std": [0.017, 0.016, 0.022]})
    triangle = triangular_table(pairs, ORDER, summary)
    assert triangle.columns.tolist() == ["Mean", "STD", "normal", "tuberculosis"]
    assert triangle.index.tolist() == ORDER
    assert triangle["normal"].tolist() == ["", "-", "***"]
    assert triangle["tuberculosis"].tolist() == ["", "", "**"]
    assert triangle["Mean"].tolist() == [0.139, 0.136, 0.165]


def test_triangle_of_a_comparison_shows_its_corrected_stars(films):
    result = compare_groups(films, "ctr", "label", ORDER, patient="patient")
    triangle = result.triangle()
    for pair in result.pairs.itertuples():
        assert triangle.loc[pair.group_b, pair.group_a] == pair.stars
    assert triangle.loc["viral", "Mean"] == pytest.approx(result.summary["mean"].iloc[2])


def test_a_triangle_with_an_untested_pair_is_refused(films):
    result = compare_groups(films, "ctr", "label", ["normal", "viral"])
    with pytest.raises(LabelError, match=r"without a summary: \['bacterial'\]"):
        triangular_table(result.pairs, ["normal", "viral", "bacterial"], result.summary)


def test_films_without_a_patient_are_refused(films):
    films.loc[0, "patient"] = None
    with pytest.raises(CohortError, match="1 rows have no 'patient'"):
        compare_groups(films, "ctr", "label", ORDER, patient="patient")
