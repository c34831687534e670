from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError, ConfigError, SplitError
from patchcxr.inference.predictions import as_predictions, by_method
from patchcxr.measure.calibration import expected_calibration_error
from patchcxr.measure.selective import selective_curve
from patchcxr.report.calibration import reliability_figure, selective_figure, stability_figure
from patchcxr.report.calibration_tables import (
    GIVEN,
    SCALED,
    Calibrated,
    calibrate,
    calibration_table,
    confidence_scores,
    reliability_table,
    selective_table,
    three_way_summary,
    write_calibration,
)
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.stats.intervals import wilson_interval

CLASSES = ("normal", "viral", "bacterial")


def films(rng, count=60, start=0, sharpness=3.0):
    """Overconfident predictions: logits times ``sharpness``, two films a patient."""
    logits = rng.normal(0, 1.5, (count, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (p.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    sharp = np.exp(sharpness * logits) / np.exp(sharpness * logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame(sharp, columns=[f"p_{name}" for name in CLASSES])
    table.insert(0, "study", [f"s{start + i}" for i in range(count)])
    table.insert(1, "patient", [f"p{start + i // 2}" for i in range(count)])
    table["truth"] = [CLASSES[i] for i in truth]
    table["predicted"] = [CLASSES[i] for i in sharp.argmax(axis=1)]
    return table


def test_the_reliability_table_counts_a_worked_example():
    table = pd.DataFrame(
        {
            "study": list("wxyz"), "truth": ["a", "a", "b", "b"], "predicted": ["a", "a", "a", "b"],
            "p_a": [0.9, 0.8, 0.9, 0.3], "p_b": [0.1, 0.2, 0.1, 0.7],
        }
    )  # fmt: skip
    found = reliability_table(as_predictions(table), bins=4)
    assert found["n"].tolist() == [0, 0, 1, 3]
    assert found["confidence"].tolist()[2:] == [pytest.approx(0.7), pytest.approx(2.6 / 3)]
    assert found["accuracy"].tolist()[2:] == [1, pytest.approx(2 / 3)]
    assert found.loc[3, ["accuracy_low", "accuracy_high"]].tolist() == pytest.approx(wilson_interval(2, 3))
    assert found.loc[0, ["confidence", "accuracy", "accuracy_low"]].isna().all()


def test_the_calibration_error_and_its_interval_are_those_of_resampled_patients(rng):
    predictions = as_predictions(films(rng))
    found = calibration_table({"x": Calibrated(predictions)}, np.random.default_rng(1), 400, bins=10).iloc[0]
    p, truth = predictions.probability, predictions.truth
    assert found["ece"] == pytest.approx(expected_calibration_error(p, truth, bins=10))
    assert found["class_wise_ece"] == pytest.approx(expected_calibration_error(p, truth, "class_wise", bins=10))
    assert found["patients"] == 30
    slow = cluster_bootstrap(
        lambda a, b: expected_calibration_error(a, b, bins=10),
        p, truth, rng=np.random.default_rng(2), groups=predictions.patients, resamples=400,
    )  # fmt: skip
    assert found["ece_low"] == pytest.approx(slow.low, abs=0.03)
    assert found["ece_high"] == pytest.approx(slow.high, abs=0.03)


def test_a_temperature_from_other_patients_lowers_the_error_and_keeps_the_accuracy(rng):
    test, validation = films(rng, 400), films(rng, 400, start=1000)
    found = calibrate(by_method(test), by_method(validation))
    table = calibration_table(found, rng, 200).set_index("probabilities")
    assert table.loc[SCALED, "temperature"] == pytest.approx(3, rel=0.35)
    assert table.loc[SCALED, "ece"] < 0.5 * table.loc[GIVEN, "ece"]
    assert table.loc[SCALED, "nll"] < table.loc[GIVEN, "nll"]
    assert table.loc[SCALED, "accuracy"] == table.loc[GIVEN, "accuracy"]
    assert table.loc[SCALED, "ece_change"] == pytest.approx(table.loc[SCALED, "ece"] - table.loc[GIVEN, "ece"])
    assert table.loc[SCALED, "ece_change_high"] < 0


def test_validation_of_the_same_patients_or_of_other_methods_is_refused(rng):
    table = films(rng)
    with pytest.raises(SplitError, match="same study"):
        calibrate(by_method(table), by_method(table))
    with pytest.raises(CohortError, match="no validation films of the method 'given'"):
        calibrate(by_method(table), by_method(films(rng, start=500).assign(method="local")))


def test_scores_of_the_vote_are_used_where_every_film_has_them(rng):
    table = films(rng).assign(margin=0.5, entropy=np.linspace(0, 1, 60))
    scores = confidence_scores(as_predictions(table))
    assert list(scores) == ["probability", "margin", "entropy"]
    assert scores["entropy"][0] == 1
    table.loc[3, "margin"] = np.nan
    assert list(confidence_scores(as_predictions(table))) == ["probability", "entropy"]


def test_the_selective_table_has_the_scores_of_the_films_that_are_kept():
    table = pd.DataFrame(
        {
            "study": list("wxyz"), "truth": ["a", "a", "b", "b"], "predicted": ["a", "a", "a", "b"],
            "p_a": [0.9, 0.8, 0.6, 0.3], "p_b": [0.1, 0.2, 0.4, 0.7],
        }
    )  # fmt: skip
    methods = {"x": Calibrated(as_predictions(table))}
    found = selective_table(methods, np.random.default_rng(0), 50, coverages=(1.0, 0.75)).iloc[0]
    assert found["accuracy_at_100"] == 0.75
    assert found["accuracy_at_75"] == 1
    assert found["f1_at_75"] == 1
    assert found["aurc"] == pytest.approx(0.25 / 4)
    assert found["excess_aurc"] == pytest.approx(0)


def test_the_three_way_summary_is_one_row_a_method(rng):
    table = pd.concat([films(rng).assign(method="global"), films(rng, sharpness=1).assign(method="local")])
    validation = pd.concat([films(rng, start=500).assign(method=name) for name in ("global", "local")])
    found = three_way_summary(by_method(table), rng, 100, by_method(validation))
    assert found["method"].tolist() == ["global", "local"]
    assert found["ece"][0] > found["ece"][1]
    assert found["ece_scaled"][0] < found["ece"][0]
    assert {"macro_f1", "aurc", "accuracy_at_80"} <= set(found.columns)
    assert "temperature" not in three_way_summary(by_method(table), rng, 10)


def test_the_tables_are_written(tmp_path, rng):
    write_calibration(calibrate(by_method(films(rng))), tmp_path, rng, 20, bins=5)
    assert len(pd.read_csv(tmp_path / "reliability.csv")) == 5
    curve = pd.read_csv(tmp_path / "selective_curve.csv")
    assert curve["coverage"].iloc[-1] == 1
    assert pd.read_csv(tmp_path / "calibration.csv")["n"].tolist() == [60]


def test_the_reliability_figure_shows_each_bin_and_the_diagonal(rng):
    table = reliability_table(as_predictions(films(rng)), 5)
    figure = reliability_figure({"Global": table, "Local": table}, {"Global": "ECE 0.1"})
    panel, counts = figure.axes[0], figure.axes[2]
    assert panel.get_title(loc="left") == "Global\nECE 0.1"
    assert [bar.get_height() for bar in counts.patches] == table["n"].tolist()
    points = panel.containers[-1].lines[0].get_xydata()
    filled = table[table["n"] > 0]
    np.testing.assert_allclose(points, filled[["confidence", "accuracy"]].to_numpy())
    diagonal = next(line for line in panel.lines if line.get_gid() == "diagonal")
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]


def test_the_other_figures_draw_what_the_tables_say():
    curve = selective_curve(np.array([0.9, 0.5]), np.array([0, 1]), np.array([0, 0]), 2)
    figure = selective_figure({"Local": curve}, {"Local": "0.25"})
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0.5, 0], [1, 0.5]]
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "Local: 0.25"
    table = pd.DataFrame({"patches": [1, 10, 100], "share": [0.1, 0.5, 0.9], "low": 0.0, "high": 1.0})
    axes = stability_figure(table, 0.95, 100).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 0.1], [10, 0.5], [100, 0.9]]
    assert axes.texts[0].get_text() == "K = 100"


def test_nothing_to_draw_is_a_named_error():
    with pytest.raises(ConfigError, match="no reliability table"):
        reliability_figure({})
    with pytest.raises(ConfigError, match="no selective"):
        selective_figure({})
    with pytest.raises(ConfigError, match="accuracy_low"):
        reliability_figure({"x": pd.DataFrame({"low": [0]})})
    with pytest.raises(ConfigError, match="no row"):
        stability_figure(pd.DataFrame(columns=["patches", "share", "low", "high"]), 0.95)
