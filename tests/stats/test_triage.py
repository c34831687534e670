from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from patchcxr.errors import CohortError, ConfigError, LabelError
from patchcxr.stats.triage import (
    CONFIRM,
    EXCLUDED,
    GROUPS,
    UNCERTAIN,
    by_patient_group,
    triage,
    triage_curve,
    triage_scores,
    triage_summary,
    uncertainty,
)

FILMS = pd.DataFrame(
    {
        "study": list("abcdefgh"),
        "patient": ["1", "1", "2", "3", "4", "4", "5", "6"],
        "truth": ["viral", "viral", "viral", "normal", "normal", "normal", "bacterial", "viral"],
        "predicted": ["viral", "normal", "normal", "viral", "normal", "normal", "bacterial", "viral"],
        "entropy": [0.1, 0.9, 0.3, 0.8, 0.2, 0.5, 0.5, 0.0],
    }
)


def scores(films, unit="film"):
    table = triage_scores(films, ["viral"])
    return table[table["unit"] == unit].set_index("measure")


def test_without_a_threshold_the_papers_two_groups_are_the_prediction():
    found = triage(FILMS, ["viral"])
    assert found["group"].tolist() == [CONFIRM, EXCLUDED, EXCLUDED, CONFIRM, EXCLUDED, EXCLUDED, EXCLUDED, CONFIRM]
    assert triage(FILMS.drop(columns="entropy"), ["viral"])["group"].tolist() == found["group"].tolist()


def test_a_film_is_uncertain_from_the_threshold_on_whatever_was_predicted():
    found = triage(FILMS, ["viral"], "entropy", 0.5)
    assert found["group"].tolist() == [
        CONFIRM, UNCERTAIN, EXCLUDED, UNCERTAIN, EXCLUDED, UNCERTAIN, UNCERTAIN, CONFIRM
    ]  # fmt: skip
    margins = FILMS.assign(margin=1 - FILMS["entropy"])
    assert triage(margins, ["viral"], "margin", 0.5)["group"].tolist() == found["group"].tolist()


def test_scores_by_hand():
    found = scores(triage(FILMS, ["viral"], "entropy", 0.85))  # only film b is read
    counts = {name: (row["count"], row["n"]) for name, row in found.iterrows()}
    assert counts == {
        "sensitivity": (3, 4),
        "sensitivity_confirmed": (2, 4),
        "npv_of_exclusion": (3, 4),
        "negatives_excluded": (3, 4),
        "ppv_of_confirmation": (2, 3),
        "confirmations_spared": (5, 8),
        "readings": (1, 8),
    }
    assert (found["missed"] == 1).all()
    assert found["note"].unique().tolist() == ["films of one patient taken as independent"]


def test_a_patient_goes_with_the_most_urgent_film_and_is_positive_if_any_film_is():
    found = by_patient_group(triage(FILMS, ["viral"], "entropy", 0.85), ["viral"]).set_index("patient")
    assert found["group"].tolist() == [CONFIRM, EXCLUDED, CONFIRM, EXCLUDED, EXCLUDED, CONFIRM]
    assert found["truth"].tolist() == [True, True, False, False, False, True]
    assert found["films"].tolist() == [2, 1, 1, 2, 1, 1]
    patients = scores(triage(FILMS, ["viral"]), "patient")
    assert patients.loc["sensitivity", ["count", "n"]].tolist() == [2, 3]
    assert patients.loc["npv_of_exclusion", ["count", "n"]].tolist() == [2, 3]


def test_intervals_are_those_of_statsmodels_and_scipy(rng):
    films = pd.DataFrame({"study": range(300), "truth": rng.choice(["viral", "normal"], 300)})
    films["predicted"] = rng.choice(["viral", "normal"], 300)
    row = scores(triage(films, ["viral"])).loc["npv_of_exclusion"]
    assert (row["low"], row["high"]) == pytest.approx(proportion_confint(row["count"], row["n"], method="wilson"))
    exact = stats.binomtest(row["count"], row["n"]).proportion_ci(method="exact")
    assert (row["exact_low"], row["exact_high"]) == pytest.approx((exact.low, exact.high))


def test_every_film_and_patient_is_in_one_group():
    summary = triage_summary(triage(FILMS, ["viral"], "entropy", 0.5), ["viral"])
    assert summary.groupby("unit")["n"].sum().to_dict() == {"film": 8, "patient": 6}
    assert summary.groupby("unit")["share"].sum().tolist() == pytest.approx([1, 1])
    assert (summary[["positive", "negative", "unknown"]].sum(axis=1) == summary["n"]).all()
    assert summary["group"].tolist() == [*GROUPS, *GROUPS]


def test_what_is_not_known_is_not_excluded():
    films = FILMS.assign(entropy=[np.nan, *FILMS["entropy"][1:7], np.inf], predicted=["viral", None, *["normal"] * 6])
    found = triage(films, ["viral"], "entropy", 1.0)
    assert found["group"].tolist() == [UNCERTAIN, UNCERTAIN, *[EXCLUDED] * 5, UNCERTAIN]
    assert found["note"].tolist() == ["no entropy", "no prediction", "", "", "", "", "", "no entropy"]
    assert triage(films, ["viral"])["group"].tolist() == [CONFIRM, UNCERTAIN, *[EXCLUDED] * 6]


def test_films_without_truth_are_left_out_of_the_scores_and_counted():
    films = FILMS.assign(truth=[None, *FILMS["truth"][1:]])
    found = scores(triage(films, ["viral"]))
    assert found.loc["sensitivity", ["count", "n", "unknown"]].tolist() == [1, 3, 1]
    assert by_patient_group(triage(films, ["viral"]), ["viral"])["truth"][0]


def test_scores_without_positives_or_excluded_films_are_undefined():
    films = pd.DataFrame({"study": ["a"], "truth": ["normal"], "predicted": ["viral"]})
    found = scores(triage(films, ["viral"]))
    assert np.isnan(found.loc[["sensitivity", "npv_of_exclusion"], "value"]).all()
    assert found.loc["ppv_of_confirmation", "value"] == 0


def test_the_curve_agrees_with_the_triage_at_each_threshold():
    curve = triage_curve(FILMS, ["viral"])
    assert np.isnan(curve["threshold"][0])
    assert curve["missed"].iloc[[0, -1]].tolist() == [2, 0]
    assert curve["read_share"].iloc[-1] == 1
    assert curve["missed"].is_monotonic_decreasing
    for row in curve.iloc[1:].itertuples():
        found = triage(FILMS, ["viral"], "entropy", row.threshold)
        assert row.read == (found["group"] == UNCERTAIN).sum()
        assert row.missed == ((found["group"] == EXCLUDED) & (found["truth"] == "viral")).sum()
    margins = triage_curve(FILMS.assign(margin=1 - FILMS["entropy"]), ["viral"], "margin")
    pd.testing.assert_frame_equal(margins.drop(columns="threshold"), curve.drop(columns="threshold"))
    given = triage_curve(FILMS, ["viral"], thresholds=[0.85, 0.5])
    assert given["threshold"].tolist() == [0.85, 0.5]
    assert given["read"].tolist() == [1, 4]


def test_uncertainty_of_probabilities_by_hand():
    films = pd.DataFrame({"p_a": [0.5, 1.0, 0.25, np.nan], "p_b": [0.5, 0.0, 0.75, 0.5]})
    assert uncertainty(films, "p_margin")[:3] == pytest.approx([0, 1, 0.5])
    entropy = uncertainty(films, "p_entropy")
    assert entropy[:2] == pytest.approx([1, 0])
    assert entropy[2] == pytest.approx(stats.entropy([0.25, 0.75], base=2))
    assert np.isnan([entropy[3], uncertainty(films, "p_margin")[3]]).all()


@pytest.mark.parametrize(
    ("films", "positive", "options", "error", "words"),
    [
        (FILMS, ["fungal"], {}, LabelError, "fungal"),
        (FILMS, "viral", {}, ConfigError, "list of classes"),
        (FILMS, [], {}, ConfigError, "list of classes"),
        (FILMS, ["viral"], {"by": "variance"}, ConfigError, "p_margin"),
        (FILMS, ["viral"], {"threshold": 40}, ConfigError, r"\[0, 1\]"),
        (FILMS, ["viral"], {"by": "margin", "threshold": 0.5}, CohortError, "margin"),
        (FILMS, ["viral"], {"by": "p_entropy", "threshold": 0.5}, CohortError, "two classes"),
        (pd.concat([FILMS, FILMS]), ["viral"], {}, CohortError, "one method"),
        (FILMS.drop(columns="predicted"), ["viral"], {}, CohortError, "predicted"),
    ],
)
def test_unusable_input_is_named(films, positive, options, error, words):
    with pytest.raises(error, match=words):
        triage(films, positive, **options)
    with pytest.raises(CohortError, match="truth"):
        triage_scores(triage(FILMS, ["viral"]).drop(columns="truth"), ["viral"])
