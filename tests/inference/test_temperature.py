from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from patchcxr.errors import CohortError, ConfigError, SplitError
from patchcxr.inference.predictions import as_predictions
from patchcxr.inference.temperature import calibrated, check_apart, fit_temperature, scale
from patchcxr.measure.calibration import expected_calibration_error, negative_log_likelihood


def test_a_network_that_says_99_and_is_right_in_80_of_100_is_scaled_to_80():
    p = np.repeat([[0.99, 0.01], [0.01, 0.99]], 5, axis=0)
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0])
    found = fit_temperature(p, truth)
    # 0.99^(1/T) / 0.01^(1/T) = 0.8 / 0.2
    assert found.value == pytest.approx(np.log(99) / np.log(4), rel=1e-6)
    np.testing.assert_allclose(scale(p, found.value)[0], [0.8, 0.2], rtol=1e-6)
    assert found.after == pytest.approx(-0.8 * np.log(0.8) - 0.2 * np.log(0.2), rel=1e-6)
    assert found.note == ""


def test_the_temperature_that_spoilt_calibrated_logits_is_found_again(rng):
    logits = rng.normal(0, 2, (20_000, 4))
    p = softmax(logits, axis=1)
    truth = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    spoilt = softmax(logits * 3, axis=1)
    found = fit_temperature(spoilt, truth)
    assert found.value == pytest.approx(3, rel=0.03)
    assert expected_calibration_error(spoilt, truth) > 0.15
    assert expected_calibration_error(scale(spoilt, found.value), truth) < 0.015


def test_no_temperature_on_a_grid_is_better(rng):
    p = rng.dirichlet([0.3, 0.3, 0.3], 80)
    truth = np.where(rng.random(80) < 0.6, p.argmax(axis=1), rng.integers(3, size=80))
    found = fit_temperature(p, truth)
    grid = [negative_log_likelihood(scale(p, t), truth) for t in np.geomspace(0.02, 50, 400)]
    assert found.after <= min(grid) + 1e-9
    assert found.before == pytest.approx(negative_log_likelihood(p, truth))


def test_a_weight_of_two_is_the_film_counted_twice(rng):
    p, truth = rng.dirichlet([1, 1], 30), rng.integers(2, size=30)
    p[:20] = np.where((p[:20].argmax(axis=1) == truth[:20])[:, None], p[:20], p[:20, ::-1])
    weights = rng.integers(0, 3, 30)
    repeated = np.repeat(np.arange(30), weights)
    assert fit_temperature(p, truth, weights).value == pytest.approx(
        fit_temperature(p[repeated], truth[repeated]).value, rel=1e-5
    )


def test_scaling_log_probabilities_is_scaling_logits(rng):
    logits = rng.normal(0, 3, (10, 4))
    np.testing.assert_allclose(scale(softmax(logits, axis=1), 1.7), softmax(logits / 1.7, axis=1), atol=1e-12)
    p = softmax(logits, axis=1)
    assert (np.argsort(scale(p, 5.0)) == np.argsort(p)).all()


def test_where_no_temperature_is_best_it_stays_at_one_and_says_why():
    truth = np.array([0, 1])
    right = fit_temperature(np.array([[0.6, 0.4], [0.2, 0.8]]), truth)
    assert right.value == 1
    assert right.after == right.before
    assert "every validation film is right" in right.note
    wrong = fit_temperature(np.array([[0.4, 0.6], [0.9, 0.1]]), truth)
    assert wrong.value == 1
    assert "chance" in wrong.note


def test_a_probability_of_zero_of_the_true_class_still_gives_a_temperature():
    p = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    found = fit_temperature(p, np.array([0, 1, 0, 1]))
    assert scale(p, found.value)[0, 0] == pytest.approx(0.75, rel=1e-3)


def test_one_class_and_nan_are_named_errors():
    with pytest.raises(SplitError, match="class 1"):
        fit_temperature(np.array([[0.4, 0.6], [0.6, 0.4]]), np.array([1, 1]))
    with pytest.raises(CohortError, match="NaN"):
        fit_temperature(np.array([[0.4, np.nan], [0.6, 0.4]]), np.array([0, 1]))
    with pytest.raises(CohortError, match="weights"):
        fit_temperature(np.array([[0.4, 0.6], [0.6, 0.4]]), np.array([0, 1]), np.array([1.0]))
    with pytest.raises(ConfigError, match="temperature is 0"):
        scale(np.array([[0.5, 0.5]]), 0)


def films(studies, patients):
    count = len(studies)
    return as_predictions(
        pd.DataFrame(
            {
                "study": studies, "patient": patients, "truth": ["a", "b"] * (count // 2), "predicted": ["a"] * count,
                "p_a": [0.9] * count, "p_b": [0.1] * count,
            }
        )
    )  # fmt: skip


def test_calibrated_predictions_change_in_the_table_and_keep_what_was_said():
    given = films(["x", "y"], ["1", "2"])
    found = calibrated(given, fit_temperature(np.array([[0.9, 0.1]] * 3 + [[0.1, 0.9]]), np.array([0, 0, 1, 1])))
    assert found.table["p_a"].tolist() == found.probability[:, 0].tolist()
    assert found.probability[0, 0] == pytest.approx(0.75, rel=1e-6)
    assert found.table["predicted"].tolist() == ["a", "a"]


def test_validation_patients_among_the_test_films_are_refused():
    with pytest.raises(SplitError, match=r"patient.*'1'"):
        check_apart(films(["v", "w"], ["1", "9"]), films(["x", "y"], ["1", "2"]))
    with pytest.raises(SplitError, match=r"study.*'x'"):
        check_apart(films(["x", "w"], ["8", "9"]), films(["x", "y"], ["1", "2"]))
    check_apart(films(["v", "w"], ["8", "9"]), films(["x", "y"], ["1", "2"]))
