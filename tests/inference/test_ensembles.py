from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError, ConfigError, LabelError
from patchcxr.inference.ensembles import align, combine, fit_weights, weight_table
from patchcxr.inference.predictions import as_predictions, by_method
from patchcxr.inference.vote_agreement import vote_agreement


def classifier(p, truth=None, predicted=None, studies=None, classes="abc"):
    """Predictions from probabilities (N, C); by default the most probable class is said."""
    p = np.asarray(p, dtype=float)
    names = list(classes[: p.shape[1]])
    said = p.argmax(axis=1) if predicted is None else predicted
    table = pd.DataFrame(p, columns=[f"p_{name}" for name in names])
    table.insert(0, "study", studies or [f"s{i}" for i in range(len(p))])
    table["predicted"] = [names[i] for i in said]
    if truth is not None:
        table["truth"] = [names[i] for i in truth]
    return as_predictions(table)


def test_the_majority_wins_over_one_that_is_surer():
    members = {"x": classifier([[0.55, 0.45]]), "y": classifier([[0.55, 0.45]]), "z": classifier([[0.0, 1.0]])}
    assert combine(members, "majority")["predicted"].tolist() == ["a"]
    assert combine(members, "majority")["margin"].tolist() == [pytest.approx(1 / 3)]
    assert combine(members, "weighted")["predicted"].tolist() == ["b"]


def test_a_tie_goes_to_the_larger_mean_probability_then_to_the_first_class():
    members = {"x": classifier([[0.6, 0.4, 0.0]]), "y": classifier([[0.1, 0.9, 0.0]])}
    found = combine(members, "majority")
    assert found["predicted"].tolist() == ["b"]
    assert found[["votes_a", "votes_b", "votes_c"]].to_numpy().tolist() == [[1, 1, 0]]
    assert found["margin"].tolist() == [0]
    assert found["entropy"].tolist() == [pytest.approx(np.log(2) / np.log(3))]
    # three ways tied: c has the largest mean probability
    members = {
        "x": classifier([[0.5, 0.1, 0.4]]), "y": classifier([[0.1, 0.5, 0.4]]), "z": classifier([[0.2, 0.2, 0.6]])
    }  # fmt: skip
    assert combine(members, "majority")["predicted"].tolist() == ["c"]
    members = {"x": classifier([[0.6, 0.4]]), "y": classifier([[0.4, 0.6]])}
    assert combine(members, "majority")["predicted"].tolist() == ["a"]


def test_a_classifier_votes_for_what_it_said_even_if_another_class_is_more_probable():
    votes = classifier([[0.6, 0.4]], predicted=[1])
    assert combine({"x": votes, "y": votes}, "majority")["predicted"].tolist() == ["b"]


def test_weights_are_made_to_add_up_and_average_the_probabilities():
    members = {"x": classifier([[0.8, 0.2]]), "y": classifier([[0.2, 0.8]])}
    found = combine(members, "weighted", np.array([3.0, 1.0]))
    assert found["p_a"].tolist() == [pytest.approx(0.65)]
    assert found["predicted"].tolist() == ["a"]


def test_weights_have_the_least_loss_of_a_grid_and_agree_with_expectation_maximisation(rng):
    truth = rng.integers(3, size=120)
    eye = np.eye(3)[truth]
    noise = [rng.dirichlet([1, 1, 1], 120) for _ in range(3)]
    p = np.stack([0.5 * eye + 0.5 * noise[0], 0.2 * eye + 0.8 * noise[1], noise[2]])
    found = fit_weights(p, truth)

    def loss(weights):
        return -np.log(np.tensordot(weights, p, axes=1)[np.arange(120), truth]).mean()

    steps = np.linspace(0, 1, 41)
    grid = [loss(np.array([a, b, 1 - a - b])) for a in steps for b in steps if a + b <= 1]
    assert loss(found) <= min(grid) + 1e-6
    weights = np.full(3, 1 / 3)
    for _ in range(3000):
        member = p[:, np.arange(120), truth]
        weights = (weights[:, None] * member / (weights @ member)).mean(axis=1)
    np.testing.assert_allclose(found, weights, atol=2e-3)
    assert found.sum() == pytest.approx(1)
    assert found.min() >= 0


def test_a_copy_of_a_classifier_shares_its_weight_and_the_average_stays(rng):
    truth = rng.integers(2, size=60)
    good = 0.6 * np.eye(2)[truth] + 0.4 * rng.dirichlet([1, 1], 60)
    poor = rng.dirichlet([1, 1], 60)
    two, three = fit_weights(np.stack([good, poor]), truth), fit_weights(np.stack([good, good, poor]), truth)
    assert three[:2].sum() == pytest.approx(two[0], abs=1e-3)


def test_films_that_a_classifier_lacks_are_listed_and_the_rest_is_put_in_order():
    p = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
    x = classifier(p, [0, 1, 0], studies=["one", "two", "three"])
    y = classifier([p[2], p[1], p[0]], [0, 1, 0], studies=["three", "four", "one"])
    members, missing = align({"x": x, "y": y})
    assert members["x"].table["study"].tolist() == members["y"].table["study"].tolist() == ["one", "three"]
    np.testing.assert_array_equal(members["x"].probability, members["y"].probability)
    assert sorted(map(tuple, missing.to_numpy())) == [("four", "x"), ("two", "y")]


def test_classifiers_that_do_not_fit_are_named_errors():
    x = classifier([[0.9, 0.1]], [0])
    with pytest.raises(ConfigError, match="at least two"):
        align({"x": x})
    with pytest.raises(CohortError, match="no film is in the tables"):
        align({"x": x, "y": classifier([[0.9, 0.1]], [0], studies=["other"])})
    with pytest.raises(CohortError, match="disagree on the truth"):
        align({"x": x, "y": classifier([[0.9, 0.1]], [1])})
    with pytest.raises(CohortError, match="classes"):
        align({"x": x, "y": classifier([[0.9, 0.1]], [0], classes="ab"[::-1])})
    with pytest.raises(ConfigError, match="rule"):
        combine({"x": x, "y": x}, "stacking")
    with pytest.raises(ConfigError, match="one vote"):
        combine({"x": x, "y": x}, "majority", np.ones(2))
    with pytest.raises(ConfigError, match="weights are"):
        combine({"x": x, "y": x}, "weighted", np.array([1.0, -1.0]))


def test_the_table_of_weights_has_each_classifiers_own_scores():
    x, y = classifier([[0.8, 0.2], [0.5, 0.5]], [0, 1]), classifier([[0.4, 0.6], [0.1, 0.9]], [0, 1])
    found = weight_table({"x": x, "y": y}, np.array([0.7, 0.3]))
    assert found["validation_nll"][0] == pytest.approx(-(np.log(0.8) + np.log(0.5)) / 2)
    assert found["validation_accuracy"].tolist() == [0.5, 0.5]


def test_agreement_of_two_votes_by_hand():
    a = classifier([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], studies=["x", "y", "z"])
    b = classifier([[0.3, 0.7], [0.8, 0.2], [0.7, 0.3]], studies=["z", "x", "y"])
    found = vote_agreement(a, b).set_index("class")
    assert found.loc["all", "share"] == 1
    assert found.loc["all", "low"] == pytest.approx(3 / (3 + 1.959964**2))
    assert found.loc["a", "mean_absolute_difference"] == pytest.approx(0.1)
    assert found.loc["a", "correlation"] == pytest.approx(np.corrcoef([0.9, 0.6, 0.2], [0.8, 0.7, 0.3])[0, 1])
    c = classifier([[0.4, 0.6], [0.6, 0.4]], studies=["x", "w"])
    found = vote_agreement(a, c).set_index("class")
    assert found.loc["all", ["n", "only_a", "only_b", "equal"]].tolist() == [1, 2, 1, 0]
    assert found.loc["all", "maximum_difference"] == pytest.approx(0.5)
    assert np.isnan(found.loc["a", "correlation"])
    with pytest.raises(CohortError, match="no film"):
        vote_agreement(a, classifier([[0.4, 0.6]], studies=["w"]))


ROW = {"study": ["s"], "truth": ["a"], "predicted": ["b"], "p_a": [0.4], "p_b": [0.6]}


def test_a_table_becomes_arrays_and_rounded_probabilities_add_up_again():
    found = as_predictions(pd.DataFrame(ROW | {"p_a": [0.396], "p_b": [0.6]}))
    assert found.probability.sum() == pytest.approx(1)
    assert found.confidence[0] == pytest.approx(0.6 / 0.996)
    assert found.correct.tolist() == [False]
    assert found.table["patient"].tolist() == ["s"]
    unknown = as_predictions(pd.DataFrame(ROW).drop(columns="truth"))
    assert unknown.truth.tolist() == [-1]
    with pytest.raises(CohortError, match="no film has a truth"):
        unknown.known()


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"p_a": [np.nan]}, CohortError, "NaN"),
        ({"p_a": [3.0]}, CohortError, "add up to 1"),
        ({"p_a": ["x"]}, CohortError, "add up to 1"),
        ({"truth": ["c"]}, LabelError, "expected a, b"),
        ({"predicted": [None]}, CohortError, "no prediction"),
    ],
)
def test_a_wrong_cell_is_a_named_error(change, error, told):
    with pytest.raises(error, match=told):
        as_predictions(pd.DataFrame(ROW | change))


def test_repeated_films_and_missing_columns_are_named_errors():
    table = pd.DataFrame(ROW)
    with pytest.raises(CohortError, match="repeat a film"):
        as_predictions(pd.concat([table, table]))
    with pytest.raises(CohortError, match="lacks predicted"):
        as_predictions(table.drop(columns="predicted"))
    with pytest.raises(CohortError, match="two classes"):
        as_predictions(table.drop(columns="p_b"))
    with pytest.raises(CohortError, match="no film"):
        as_predictions(table.iloc[:0])
    assert list(by_method(pd.concat([table.assign(method="x"), table.assign(method="y")]))) == ["x", "y"]
