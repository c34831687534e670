"""Curves and tables of cross-validations, and the papers' tables from several of them."""

import runpy
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics

from patchcxr.errors import ConfigError
from patchcxr.measure.counted import count_scores
from patchcxr.report.crossvalidation import (
    curve_of_films,
    curve_of_pixels,
    fold_curves_figure,
    half_width,
    pooled_table,
)
from patchcxr.report.network_tables import overlap_films, overlap_table, paper_table
from patchcxr.report.tables import write_table

ANALYSIS = Path(__file__).parents[2] / "analysis"
MEASURES = {
    "pixel": ("sensitivity", "specificity", "precision", "f1", "f2", "accuracy", "iou", "dice", "auroc"),
    "film": ("dice", "iou", "dice_empty_as_1", "iou_empty_as_1"),
    "image": ("sensitivity", "specificity", "precision", "f1", "f2", "accuracy", "auroc"),
}


def pooled(structure="infection", value=0.9):
    """A pooled table in which every score is the same."""
    shown = {"eq13_n": 100, "eq13_low": value - 0.05, "eq13_high": value + 0.05, "eq2_n": 50, "eq2_low": value - 0.07}
    shown |= {"eq2_high": value + 0.07, "low": value - 0.04, "high": value + 0.04, "interval": "Wilson"}
    shown |= {"bootstrap_low": value - 0.06, "bootstrap_high": value + 0.06, "fold_mean": value, "fold_sd": 0.01}
    shown |= {"folds": 5, "films": 50, "patients": 40, "empty_truth": 7, "both_empty": 3, "note": ""}
    levels = MEASURES if structure == "infection" else {level: MEASURES[level] for level in ("pixel", "film")}
    return pd.DataFrame(
        [
            {"structure": structure, "level": level, "measure": measure, "value": value, **shown}
            for level, measures in levels.items()
            for measure in measures
        ]
    )


def films(rng, shift=0.0, n=24):
    """Overlap of two structures on the same films; every patient has two."""
    base = np.random.default_rng(1).uniform(0.8, 0.95, n)
    rows = [
        {
            "study": f"s{i}",
            "patient": f"p{i // 2}",
            "source": "jsrt",
            "structure": name,
            "iou": base[i] + shift * jitter,
        }
        for name in ("lung", "heart")
        for i, jitter in enumerate(rng.uniform(0.2, 1, n))
    ]
    return pd.DataFrame(rows)


def texts(figure):
    return [artist.get_text() for artist in figure.findobj(matplotlib.text.Text) if artist.get_text()]


def test_curves_of_films_are_those_of_scikit_learn(rng):
    truth, score = rng.random(200) < 0.4, rng.random(200).round(2)
    curve = curve_of_films(truth, score)
    assert curve.auroc == pytest.approx(metrics.roc_auc_score(truth, score))
    assert curve.average_precision == pytest.approx(metrics.average_precision_score(truth, score))
    step = np.diff(curve.sensitivity) @ curve.precision[1:]
    assert step == pytest.approx(curve.average_precision)
    assert curve.prevalence == pytest.approx(truth.mean())


def test_curves_of_pixels_meet_those_of_films_where_the_scores_do(rng):
    truth, score = rng.random(5000) < 0.3, rng.choice([0.125, 0.25, 0.5, 1.0], 5000)
    counts = np.stack([count_scores(score[:2000], truth[:2000]), count_scores(score[2000:], truth[2000:])])
    pixels, whole = curve_of_pixels(counts), curve_of_films(truth, score)
    for ours, theirs in zip(pixels, whole, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_the_figure_has_a_line_for_every_fold_with_both_classes(rng):
    truth, score = rng.random(90) < 0.5, rng.random(90)
    folds = {fold: curve_of_films(truth[fold::3], score[fold::3]) for fold in range(3)}
    folds[3] = curve_of_films(np.ones(4, dtype=bool), score[:4])
    figure = fold_curves_figure(
        curve_of_films(truth, score),
        folds,
        {"auroc": (0.25, 0.75), "average_precision": (0.3, 0.7)},
        {"sensitivity": 0.8, "specificity": 0.7, "precision": 0.6},
    )
    roc, recall = figure.axes
    assert len([line for line in roc.lines if len(line.get_xdata()) > 2]) == 4
    dots = [(axes.lines[-5].get_xdata()[0], axes.lines[-5].get_ydata()[0]) for axes in (roc, recall)]
    assert dots == [(pytest.approx(0.3), 0.8), (0.8, 0.6)]
    words = " ".join(texts(figure))
    assert "(0.250 to 0.750)" in words
    mean = np.mean([curve.auroc for curve in list(folds.values())[:3]])
    assert f"3 folds: {mean:.3f}" in words
    assert "1 with one class only" in words
    with pytest.raises(ConfigError, match="no fold"):
        fold_curves_figure(curve_of_films(truth, score), {})


def test_the_pooled_table_says_what_is_empty_and_which_folds_are_missing():
    table = pooled_table(pooled(), 4, [2])
    assert "50 films of 40 patients, 7 with an empty true mask, 3 with an empty predicted mask too" in table.note
    assert "Folds that failed and are not in it: 2." in table.note
    first = table.readable.iloc[0]
    assert (first["eq. 13"], first["eq. 2"], first["patients"]) == ("± 0.0500", "± 0.0700", "0.8400 to 0.9600")


def test_half_widths_that_would_be_zero_are_written_with_a_power_of_ten():
    assert half_width(0.84, 0.84016) == "± 0.0002"
    assert half_width(0.9966, 0.996604) == "± 4.0e-06"
    assert half_width(1.0, 1.0) == "± 0.0000"
    assert half_width(0.5, float("nan")) == ""


def test_the_papers_tables_hold_ours_above_the_printed_row():
    table = paper_table({"U-Net, DenseNet-121": pooled(), "mine": pooled(value=0.8)}, "Degerli 2021, Table 3")
    assert table.readable["from"].tolist() == ["here", "Degerli 2021", "here"]
    assert table.readable["Sensitivity"].tolist() == [
        "90.00 ± 5.00 (84.0 to 96.0)",
        "98.37 ± 0.46",
        "80.00 ± 5.00 (74.0 to 86.0)",
    ]
    data = table.data.set_index(["network", "measure"])
    assert data.loc[("U-Net, DenseNet-121", "f2"), "published"] == pytest.approx(0.9708)
    assert data.loc[("mine", "f2"), "n"] == 100
    lungs = paper_table({"FPN, DenseNet-121": pooled("lung")}, "Tahir 2021, Table 2", prefix="lungs, ")
    assert lungs.readable["IoU"].tolist() == ["90.00 ± 7.00 (84.0 to 96.0)", "96.11 ± 0.46"]
    with pytest.raises(ConfigError, match="has no image sensitivity"):
        paper_table({"U-Net": pooled("lung")}, "Degerli 2021, Table 3")
    with pytest.raises(ConfigError, match="expected one of"):
        paper_table({}, "Degerli 2021, Table 9")


def test_overlap_of_two_networks_is_compared_over_patients_as_scipy_does(rng):
    better, worse = films(rng, 0.01), films(rng)
    table = overlap_table({"FC-DenseNet103": better, "U-Net": worse}, printed=("Table XIII", lambda n, _: f"{n}, JSRT"))
    test = table.data.set_index("structure").loc["lung"]
    lungs = [part[part["structure"] == "lung"].groupby("patient")["iou"].mean() for part in (better, worse)]
    assert test["p"] == pytest.approx(stats.wilcoxon(lungs[0] - lungs[1], method="exact").pvalue)
    assert (test["n"], test["films"]) == (12, 24)
    shown = table.readable.set_index(["structure", "network"])
    of_net = better.loc[better["structure"] == "lung", "iou"]
    assert shown.loc[("Lung", "FC-DenseNet103"), "Jaccard"] == f"{of_net.mean():.3f} ± {of_net.std():.3f}"
    assert shown.loc[("Lung", "U-Net"), "Oh 2020"] == "0.955 ± 0.014"
    assert shown.loc[("Lung", "U-Net"), "against"].startswith("FC-DenseNet103: ***")
    assert shown.loc[("Heart", "U-Net"), "Oh 2020"] == "–"


def test_shares_of_the_training_set_are_compared_with_the_whole_of_it(rng):
    tables = {"100 %": films(rng, 0.02), "50 %": films(rng, 0.01), "10 %": films(rng)}
    table = overlap_table(tables, "100 %")
    assert set(table.data["method_a"]) == {"100 %"}
    assert len(table.data) == 4
    assert table.readable.set_index(["structure", "network"]).loc[("Lung", "100 %"), "against"] == ""
    with pytest.raises(ConfigError, match="reference"):
        overlap_table(tables, "20 %")


def test_scores_of_a_study_are_read_for_unseen_films_only():
    scores = pd.DataFrame(
        {"study": ["a", "b", "c"], "patient": ["a", "b", "c"], "source": "jsrt", "role": ["train", "test", "cross"]}
    ).assign(lung_jaccard=[0.9, 0.8, 0.7], heart_jaccard=[0.8, 0.7, np.nan])
    found = overlap_films(scores)
    assert found[["study", "structure", "iou"]].to_numpy().tolist() == [
        ["b", "lung", 0.8],
        ["c", "lung", 0.7],
        ["b", "heart", 0.7],
    ]
    compared = pd.DataFrame({"study": "a", "structure": ["lung", "left_lung", "heart"], "jaccard": [0.9, 0.8, 0.7]})
    assert overlap_films(compared)[["structure", "iou"]].to_numpy().tolist() == [["lung", 0.9], ["heart", 0.7]]
    with pytest.raises(ConfigError, match="expected films"):
        overlap_films(pd.DataFrame({"a": [1]}))


@pytest.mark.parametrize(
    ("script", "arguments", "made"),
    [
        ("degerli2021_tables_2_and_3", ["U-Net, DenseNet-121={run}"], "degerli2021_table_2.tex"),
        ("tahir2021_tables_2_and_3", ["--infection", "U-Net, ResNet-18={run}"], "tahir2021_table_3.md"),
        ("oh2020_table_13", ["FC-DenseNet103={run}", "U-Net={other}"], "oh2020_table_13.md"),
        ("oh2020_table_15", ["100 %, preprocessed={run}", "50 %, preprocessed={other}"], "oh2020_table_15.csv"),
    ],
)
def test_the_scripts_of_the_papers_tables_read_finished_runs(
    script, arguments, made, rng, tmp_path, monkeypatch, capsys
):
    for name, shift in (("run", 0.01), ("other", 0.0)):
        write_table(pooled(), tmp_path / name / "pooled")
        write_table(films(rng, shift), tmp_path / name / "films")
    words = [word.format(run=tmp_path / "run", other=tmp_path / "other") for word in arguments]
    monkeypatch.setattr(sys, "argv", [script, *words, "--out", str(tmp_path / "out")])
    runpy.run_path(str(ANALYSIS / f"{script}.py"), run_name="__main__")
    assert (tmp_path / "out" / made).stat().st_size > 200
    assert "20" in capsys.readouterr().out
