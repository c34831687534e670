"""Tables XIV, XVI and XVII and Fig. 12 of Oh 2020 from finished ablations, and the scripts that print them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError, ConfigError
from patchcxr.report.ablation import (
    ABLATION_TABLES,
    Ablation,
    ablation_table,
    classification_scores_of,
    outline_table,
    read_ablation,
    training_share_figure,
)
from patchcxr.study.ablation import ABLATIONS

ANALYSIS = Path(__file__).parents[2] / "analysis"


def row(variant, method, accuracy, **more):
    scores = {"precision": 0.7, "recall": 0.6, "f1": 0.65, "specificity": 0.9, "f1_low": 0.5, "f1_high": 0.8}
    low, high = accuracy - 0.1, min(1, accuracy + 0.1)
    return {"variant": variant, "table": "classification/scores", "method": method, "n": 40, "accuracy": accuracy,
            "accuracy_low": low, "accuracy_high": high} | scores | more  # fmt: skip


def ablation(names, error=None):
    rows = [row(name, method, 0.8 - 0.1 * i) for i, name in enumerate(names) for method in ("global", "local")]
    if error:
        rows.append({"variant": error, "table": "x", "error": "no lung was found"})
    tests = [
        {"family": method, "a": names[0], "b": name, "p_mcnemar_holm": 0.03, "p_delong_holm": 0.0002}
        for method in ("global", "local")
        for name in names[1:]
    ]
    return Ablation(pd.DataFrame(rows), pd.DataFrame(tests))


@pytest.mark.parametrize("table", ABLATION_TABLES)
def test_every_table_belongs_to_an_ablation_and_compares_with_one_of_its_variants(table):
    plan = ABLATION_TABLES[table]
    assert plan.reference in ABLATIONS[plan.ablation]
    made = ablation_table(ablation(list(ABLATIONS[plan.ablation])), table)
    assert made.data["published"].notna().any()


@pytest.mark.parametrize(
    ("table", "variant", "accuracy", "specificity"),
    [
        ("Table XIV", "U-Net", 0.859, 0.953),
        ("Table XIV", "FC-DenseNet67", 0.818, 0.915),
        ("Table XVI", "whole", 0.798, 0.919),
        ("Table XVI", "mask", 0.889, 0.964),
        ("Table XVII", "112 x 112", 0.788, 0.932),
        ("Table XVII", "448 x 448", 0.848, 0.948),
        ("Fig. 12", "100 %", 0.889, 0.964),
    ],
)
def test_the_printed_values_stand_beside_those_of_the_patches(table, variant, accuracy, specificity):
    data = ablation_table(ablation(list(ABLATIONS[ABLATION_TABLES[table].ablation])), table).data
    local = data[(data["variant"] == variant) & (data["method"] == "local")].set_index("measure")["published"]
    assert (local["accuracy"], local["specificity"]) == pytest.approx((accuracy, specificity))


def test_a_variant_that_the_paper_lacks_has_no_printed_row():
    shown = ablation_table(ablation(list(ABLATIONS["region"])), "Table XVI").readable
    assert shown.loc[shown["Variant"] == "crop", "From"].tolist() == ["here", "here"]
    assert shown.loc[shown["Variant"] == "whole", "From"].tolist() == ["here", "here", "Oh 2020"]


def test_scores_are_in_percent_with_the_tests_against_the_first_and_failures_in_the_note():
    made = ablation_table(ablation(["FC-DenseNet103", "U-Net"], error="compact U-Net"), "Table XIV")
    shown = made.readable
    ours = shown[(shown["Variant"] == "U-Net") & (shown["From"] == "here")].iloc[1]
    assert (ours["Accuracy"], ours["F1"]) == ("70.0", "65.0 (50.0 to 80.0)")
    assert (ours["p, McNemar"], ours["p, DeLong"]) == ("0.030", "<0.001")
    assert shown["p, McNemar"][0] == ""
    assert "compact U-Net failed: no lung was found." in made.note


def test_what_is_no_such_ablation_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected one of Table XIV, Table XVI"):
        ablation_table(ablation(["a"]), "Table I")
    failed = Ablation(pd.DataFrame([{"variant": "a", "table": "x", "error": "no film"}]), pd.DataFrame())
    with pytest.raises(ConfigError, match="its first variant failed: no film"):
        ablation_table(failed, "Table XIV")
    with pytest.raises(CohortError, match="no such table"):
        read_ablation(tmp_path, "region")
    with pytest.raises(ConfigError, match="with 100 %"):
        training_share_figure(classification_scores_of(ablation(["50 %", "10 %"]).found))
    with pytest.raises(ConfigError, match="give one of lung_outline"):
        outline_table(ablation(["a"]))


def sensitivities():
    rows = [
        {"variant": variant, "table": "classification/sensitivity", "method": method, "normal": 0.7, "abnormal": value}
        for variant, value in (("masked film", 0.9), ("mask alone", 0.8))
        for method in ("global", "local")
    ]
    return pd.DataFrame(rows)


def test_the_sensitivity_of_the_mask_alone_stands_beside_the_papers():
    data = outline_table(Ablation(sensitivities(), pd.DataFrame())).data.set_index(["variant", "method"])
    found = data.loc[("mask alone", "global")]
    assert (found["sensitivity"], found["specificity"], found["published"]) == (0.8, 0.7, 0.869)
    assert data["published"].notna().sum() == 1


def test_the_figure_draws_accuracies_and_their_share_of_the_whole_set():
    shares = ["100 %", "50 %", "10 %"]
    figure = training_share_figure(classification_scores_of(ablation(shares).found))
    absolute, relative = figure.axes
    lines = [line for line in relative.lines if line.get_label() in ("Global", "Local")]
    for line in lines:
        np.testing.assert_allclose(line.get_xdata(), [10, 50, 100])
        np.testing.assert_allclose(line.get_ydata(), [75, 87.5, 100])
    drawn = absolute.containers[1].lines[0]
    np.testing.assert_allclose(drawn.get_ydata(orig=False), [60, 70, 80])


@pytest.mark.parametrize(
    ("script", "name", "options", "files"),
    [
        ("oh2020_table_14", "segmentation_network", [], 3),
        ("oh2020_table_16", "region", ["--outline"], 6),
        ("oh2020_table_17", "patch_size", [], 3),
        ("oh2020_figure_12", "training_share", [], 5),
    ],
)
def test_a_script_prints_and_writes_its_table(tmp_path, monkeypatch, capsys, script, name, options, files):
    made = ablation(list(ABLATIONS[name]))
    made.found.to_csv(tmp_path / f"{name}.csv", index=False)
    made.tests.to_csv(tmp_path / f"{name}_tests.csv", index=False)
    sensitivities().to_csv(tmp_path / "lung_outline.csv", index=False)
    extra = [word for option in options for word in (option, str(tmp_path))]
    out = tmp_path / "out" / "table"
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path), *extra, "--out", str(out)])
    with mpl.rc_context():
        runpy.run_path(str(ANALYSIS / f"{script}.py"), run_name="__main__")
    assert "Oh 2020" in capsys.readouterr().out
    assert len(list(out.parent.iterdir())) == files
