"""A whole study on small synthetic films: every step, a broken film among them, a second run, and the commands."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.cli.study import load_study
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.types import ANATOMY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A synthetic cohort with one truncated film and one mask of another size."""
    folder = tmp_path_factory.mktemp("cohort")
    table = generate_cohort(folder, SyntheticConfig(size=128, patients=48, films_per_patient_max=2))
    broken, misfit = table["study"].iloc[0], table["study"].iloc[2]
    image = folder / table["image"].iloc[0]
    image.write_bytes(image.read_bytes()[:100])
    from patchcxr.io.masks import write_mask

    write_mask(folder / table["heart_mask"].iloc[2], np.ones((7, 9), dtype=bool))
    return folder / "cohort.csv", broken, misfit


@pytest.fixture(scope="module")
def study(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    arguments = ["study", "smoke", "--out", str(out), "--set", "cohort.synthetic=null"]
    arguments += ["--set", f"cohort.table={cohort[0]}"]
    assert main(arguments) == 0
    return out, arguments


def test_the_report_is_one_file_with_every_section_and_no_missing_part(study):
    page = (study[0] / "report.html").read_text(encoding="utf-8")
    for title in (
        "Cohort",
        "Segmentation of lungs and heart",
        "Biomarkers",
        "Classification",
        "Intensity of the patches",
        "Detection",
        "Activation maps against infection maps",
        "Trainings",
        "Films and steps that failed",
    ):
        assert title in page
    assert "Not available" not in page
    assert "not for clinical use" in page.lower()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]+"', page)


def test_the_broken_film_and_the_misfitting_mask_are_listed_and_the_rest_goes_on(study, cohort):
    failures = pd.read_csv(study[0] / "failures.csv", dtype=str).set_index("study")
    _, broken, misfit = cohort
    assert failures.loc[[broken], "stage"].tolist() == ["film"]
    assert "heart_mask" in failures.loc[[misfit], "stage"].tolist()
    assert "(7, 9)" in failures.loc[[misfit], "error"].iloc[0]
    assert len(pd.read_csv(study[0] / "segmentation" / "scores.csv")) > 20


def test_no_patient_is_in_two_splits(study):
    table = pd.read_csv(study[0] / "cohort" / "cohort.csv")
    assert (table.groupby("patient")["split"].nunique() == 1).all()


def test_tables_agree_with_one_another(study):
    out = study[0]
    predictions = pd.read_csv(out / "classification" / "predictions.csv")
    local = predictions[predictions["method"] == "local"]
    matrix = pd.read_csv(out / "classification" / "confusion_local.csv").set_index("truth")
    assert matrix.to_numpy().sum() == len(local)
    assert np.trace(matrix.to_numpy()) == (local["truth"] == local["predicted"]).sum()
    votes = local[[c for c in local if c.startswith("votes_")]]
    assert (votes.sum(axis=1) == 10).all()
    films, scores = pd.read_csv(out / "detectors" / "films.csv"), pd.read_csv(out / "detectors" / "scores.csv")
    assert (scores[["tp", "fp", "fn", "tn"]].sum(axis=1) == len(films)).all()
    from sklearn.metrics import roc_auc_score

    for row in scores.itertuples():
        assert row.auroc == pytest.approx(roc_auc_score(films["truth"], films[f"{row.detector}_score"]))


def test_patches_are_those_that_voted_and_their_intensity_is_that_of_the_lung(study):
    out = study[0]
    patches = pd.read_csv(out / "patches" / "patches.csv", dtype={"study": str})
    local = pd.read_csv(out / "classification" / "predictions.csv", dtype={"study": str})
    local = local[local["method"] == "local"].set_index("study")
    counted = patches.groupby(["study", "predicted"]).size().unstack(fill_value=0)
    for name in counted:
        assert (counted[name] == local.loc[counted.index, f"votes_{name}"]).all()
    assert (patches["correct"] == (patches["predicted"] == patches["class_name"])).all()
    assert patches["mean"].between(0, 1).all()
    by_class = pd.read_csv(out / "patches" / "by_class.csv")
    assert by_class["n"].sum() == patches["correct"].sum()


def test_statistics_and_triage_come_from_the_tables_of_a_study(study, tmp_path, capsys):
    films = str(study[0] / "biomarkers" / "films.csv")
    arguments = ["stats", films, "--value", "lung_mean", "--value", "lung_entropy", "--group", "label"]
    assert main([*arguments, "--out", str(tmp_path / "s")]) == 0
    pairs = pd.read_csv(tmp_path / "s" / "lung_entropy_pairs.csv")
    assert (pairs["p_adjusted"] >= pairs["p"] - 1e-12).all()
    assert (
        "booktabs" in (tmp_path / "s" / "lung_mean_table.tex").read_text()
        or "toprule" in (tmp_path / "s" / "lung_mean_table.tex").read_text()
    )
    assert "not for clinical use" in (tmp_path / "s" / "report.html").read_text(encoding="utf-8").lower()
    predictions = str(study[0] / "classification" / "predictions.csv")
    arguments = ["triage", predictions, "--positive", "viral", "--out", str(tmp_path / "t")]
    assert main(arguments) == 2
    assert "--method" in capsys.readouterr().err
    assert main([*arguments, "--method", "local", "--threshold", "0.9"]) == 0
    assert (tmp_path / "t" / "triage.png").is_file()


def test_a_second_run_does_nothing_again(study):
    out, arguments = study
    weights = out / "local" / "model.safetensors"
    before = weights.stat().st_mtime_ns, (out / "report.html").stat().st_mtime_ns
    assert main(arguments) == 0
    assert (weights.stat().st_mtime_ns, (out / "report.html").stat().st_mtime_ns) == before


def test_a_study_in_which_no_film_has_a_left_lung_ends_with_a_report(study, tmp_path):
    out = tmp_path / "study"
    shutil.copytree(study[0], out)
    for path in (out / "lungs" / "labels").glob("*.npy"):
        labels = np.load(path)
        labels[labels == ANATOMY.index("left_lung")] = 0
        np.save(path, labels)
    shutil.rmtree(out / "biomarkers")
    for step in ("biomarkers", "report"):
        (out / "steps" / f"{step}.json").unlink()
    assert main([str(out) if one == str(study[0]) else one for one in study[1]]) == 0
    assert pd.read_csv(out / "biomarkers" / "films.csv")["lung_mean"].isna().all()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "No film has a value of lung intensity" in page
    assert "Not available" not in page


def test_the_weights_carry_their_classes_and_preprocessing(study):
    from patchcxr.models.trained import load_model

    model = load_model(study[0] / "local" / "model.safetensors")
    assert model.classes == ("normal", "bacterial", "tuberculosis", "viral")
    assert model.preprocessing == {"equalize": True, "gamma": 0.5}
    assert model.image_size == load_study("smoke", []).classification.vote.patch_size


def test_stages_run_alone_with_the_trained_networks(study, cohort, tmp_path, capsys):
    out, table = study[0], str(cohort[0])
    model = {name: str(out / name / "model.safetensors") for name in ("anatomy", "infection", "global", "local")}
    assert main(["segment", table, "--model", model["anatomy"], "--out", str(tmp_path / "s")]) == 0
    assert len(pd.read_csv(tmp_path / "s" / "biomarkers.csv")) > 20
    assert main(["infection", table, "--model", model["infection"], "--out", str(tmp_path / "i")]) == 0
    infected = pd.read_csv(tmp_path / "i" / "infection.csv")
    assert infected["score"].between(0, 1).all()
    assert (infected["positive"] == (infected["score"] >= 0.5)).all()
    classify = ["classify", table, "--model", model["local"], "--explain", "viral", "--out", str(tmp_path / "c")]
    assert main([*classify, "--set", "patches=4", "--set", "image_size=128"]) == 0
    predictions = pd.read_csv(tmp_path / "c" / "predictions.csv")
    assert (predictions.filter(like="votes_").sum(axis=1) == 4).all()
    whole = ["classify", table, "--model", model["global"], "--global", "--out", str(tmp_path / "g")]
    assert main([*whole, "--set", "image_size=128"]) == 0
    saliency = ["compare-maps", table, "--maps", f"cam={tmp_path / 'c' / 'maps'}", "--out", str(tmp_path / "m")]
    assert main(saliency) == 0
    assert pd.read_csv(tmp_path / "m" / "films.csv")["value"].max() <= 1
    assert main(["biomarkers", table, "--out", str(tmp_path / "b"), "--set", "correction=none"]) == 0
    pairs = pd.read_csv(tmp_path / "b" / "lung_mean_pairs.csv")
    np.testing.assert_allclose(pairs["p"], pairs["p_adjusted"])
    capsys.readouterr()


def test_a_network_can_be_trained_alone(cohort, tmp_path):
    train = ["train", "infection", str(cohort[0]), "--config", "smoke", "--out", str(tmp_path)]
    assert main([*train, "--set", "infection.train.epochs=1", "--set", "cohort.synthetic=null"]) == 0
    assert (tmp_path / "model.safetensors").is_file()
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1


def test_the_notebook_runs_on_the_outputs_of_a_study(study, monkeypatch):
    import warnings
    from pathlib import Path

    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PATCHCXR_RUN", str(study[0]))
    path = Path(__file__).parents[2] / "notebooks" / "01_tour_of_the_demo.ipynb"
    notebook = nbformat.read(path, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "vote entropy" in printed


@pytest.mark.parametrize("script", ["detector_benchmark"])
def test_the_analysis_scripts_read_a_finished_study(study, script):
    import subprocess
    import sys
    from pathlib import Path

    path = Path(__file__).parents[2] / "analysis" / f"{script}.py"
    found = subprocess.run([sys.executable, path, study[0]], capture_output=True, text=True, check=True)
    assert "| infection" in found.stdout.lower() or "infection_map" in found.stdout.lower()


@pytest.mark.parametrize(
    ("script", "arguments", "made"),
    [
        ("oh2020_tables_6_to_9", "{study}/biomarkers/films.csv --out {out}", "cardiothoracic_ratio_table.tex"),
        ("oh2020_figure_5_patch_intensity", "{study} --out {out}/figure_5", "figure_5.pdf"),
        (
            "oh2020_figure_9_triage",
            "{study}/classification/predictions.csv --method local --positive viral --out {out}",
            "triage.pdf",
        ),
    ],
)
def test_the_papers_tables_and_figures_come_from_a_finished_study(study, tmp_path, script, arguments, made):
    import subprocess
    import sys
    from pathlib import Path

    path = Path(__file__).parents[2] / "analysis" / f"{script}.py"
    words = arguments.format(study=study[0], out=tmp_path).split()
    subprocess.run([sys.executable, path, *words], capture_output=True, text=True, check=True)
    assert (tmp_path / made).stat().st_size > 100
