"""``explain`` and ``sanity`` on drawn films with a tiny classifier: files, tables, failures, and what is compared."""

from __future__ import annotations

import argparse
import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from patchcxr.cli import explain as commands
from patchcxr.data.cohort import write_cohort
from patchcxr.data.inputs import read_inputs
from patchcxr.errors import CohortError, ConfigError, ModelError
from patchcxr.io.masks import write_mask
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel, save_model

CLASSES = ("normal", "viral", "covid19")
VOTE = ["image_size=128", "patch_size=64", "patches=6", "stride=32", "batch_size=8"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A patch classifier with random weights, and a head that tells classes apart."""
    module = create_model(ModelConfig(architecture="resnet18", num_classes=3), seed=2)
    with torch.no_grad():
        module.get_submodule("head").weight.mul_(20)
    path = tmp_path_factory.mktemp("model") / "local.safetensors"
    save_model(path, TrainedModel(module.eval(), ModelConfig(architecture="resnet18", num_classes=3), CLASSES, 64))
    return path


@pytest.fixture
def cohort(tmp_path, rng):
    """Three films with lung masks; the last mask is empty."""
    rows = []
    for index in range(3):
        film = cv2.resize((rng.random((12, 16)) * 255).astype(np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        image, mask = tmp_path / f"film{index}.png", np.zeros((120, 160), dtype=bool)
        if index < 2:
            mask[20:100, 20:65] = mask[20:100, 95:140] = True
        image.write_bytes(cv2.imencode(".png", film)[1].tobytes())
        write_mask(tmp_path / f"lung{index}.png", mask)
        rows.append({"image": str(image), "lung_mask": str(tmp_path / f"lung{index}.png"), "label": "viral"})
    table = read_inputs([row["image"] for row in rows]).cohort
    path = tmp_path / "cohort.csv"
    write_cohort(table.assign(**{key: [row[key] for row in rows] for key in ("lung_mask", "label")}), path)
    return path


def run(command, cohort, model_file, out, **changes):
    options = {
        "inputs": [str(cohort)], "out": str(out), "model": str(model_file), "anatomy": None, "whole": False,
        "target": "predicted", "mode": None, "normalization": "minmax", "map_size": 64, "colormap": "jet",
        "no_pictures": True, "device": "cpu", "set": VOTE,
    }  # fmt: skip
    return command(argparse.Namespace(**(options | changes)))


def explain(cohort, model_file, out, **changes):
    return run(commands.explain, cohort, model_file, out, **changes)


def test_a_cohort_is_explained_film_by_film_and_an_empty_lung_is_a_failure(tmp_path, cohort, model_file, capsys):
    out = tmp_path / "out"
    assert explain(cohort, model_file, out, no_pictures=False) == 0
    said = pd.read_csv(out / "predictions.csv")
    assert said["study"].tolist() == ["film0", "film1"]
    np.testing.assert_allclose(said[[f"p_{name}" for name in CLASSES]].sum(axis=1), 1, atol=1e-6)
    assert (said[[f"votes_{name}" for name in CLASSES]].sum(axis=1) == 6).all()
    assert (said["explained"] == said["predicted"]).all()
    for row in said.to_dict("records"):
        found = np.load(out / "maps" / f"{row['study']}.npy")
        assert found.shape == (64, 64)
        # A map weighted by probabilities cannot exceed the largest one of any patch; outside the patches it is 0.
        assert 0 < found.max() <= 1
        assert not found[:, 31:33][:2].any()
        picture = cv2.imread(str(out / "pictures" / f"{row['study']}.png"))
        assert picture.std() > 20
    failures = pd.read_csv(out / "failures.csv")
    assert failures["study"].tolist() == ["film2"]
    assert "empty" in failures["error"][0]
    assert "1 films failed" in capsys.readouterr().err


def test_all_classes_have_a_folder_each_and_one_class_is_one_of_them(tmp_path, cohort, model_file):
    everything, one = tmp_path / "all", tmp_path / "one"
    explain(cohort, model_file, everything, target="all")
    explain(cohort, model_file, one, target="covid19")
    for name in CLASSES:
        assert (everything / "maps" / name / "film1.npy").is_file()
    np.testing.assert_array_equal(
        np.load(everything / "maps" / "covid19" / "film0.npy"), np.load(one / "maps" / "film0.npy")
    )
    first, second = (pd.read_csv(out / "predictions.csv").drop(columns="explained") for out in (everything, one))
    pd.testing.assert_frame_equal(first, second)


def test_a_dense_pass_covers_more_of_the_lungs_than_a_few_patches(tmp_path, cohort, model_file):
    explain(cohort, model_file, tmp_path / "dense", mode="dense")
    explain(cohort, model_file, tmp_path / "sampled", mode="sampled")
    uncovered = [
        pd.read_csv(tmp_path / mode / "predictions.csv")["uncovered_share"][0] for mode in ("dense", "sampled")
    ]
    assert uncovered[0] < uncovered[1]


def test_a_whole_film_has_a_map_and_no_votes(tmp_path, cohort, model_file):
    explain(cohort, model_file, tmp_path / "whole", whole=True, no_pictures=False)
    said = pd.read_csv(tmp_path / "whole" / "predictions.csv")
    assert "entropy" not in said
    assert not any(column.startswith("votes_") for column in said)
    found = np.load(tmp_path / "whole" / "maps" / "film0.npy")
    assert found.max() == pytest.approx(1, abs=0.15)


def test_a_second_run_computes_nothing_and_other_settings_everything(tmp_path, cohort, model_file, monkeypatch):
    out = tmp_path / "out"
    explain(cohort, model_file, out)
    record = out / "records" / "film0.json"
    made = record.stat().st_mtime_ns
    first = (out / "predictions.csv").read_bytes()
    explain(cohort, model_file, out)
    assert record.stat().st_mtime_ns == made
    assert (out / "predictions.csv").read_bytes() == first
    explain(cohort, model_file, out, set=[*VOTE, "seed=1"])
    assert record.stat().st_mtime_ns > made
    assert json.loads(record.read_text())["predicted"] in CLASSES
    other = tmp_path / "other.safetensors"
    module = create_model(ModelConfig(architecture="resnet18", num_classes=3), seed=9)
    save_model(other, TrainedModel(module.eval(), ModelConfig(architecture="resnet18", num_classes=3), CLASSES, 64))
    with pytest.raises(ConfigError, match="another network"):
        explain(cohort, other, out)


def test_an_unknown_class_is_named_and_no_usable_film_is_an_error(tmp_path, cohort, model_file):
    with pytest.raises(ModelError, match="normal, viral, covid19"):
        explain(cohort, model_file, tmp_path / "a", target="flu")
    table = pd.read_csv(cohort)
    table.iloc[2:].to_csv(tmp_path / "empty.csv", index=False)
    with pytest.raises(CohortError, match="empty"):
        explain(tmp_path / "empty.csv", model_file, tmp_path / "b")


@pytest.mark.slow
def test_sanity_writes_the_cascade_the_agreement_and_a_figure(tmp_path, cohort, model_file, capsys):
    out = tmp_path / "out"
    options = {"target": "viral", "films": 3, "draws": 2, "patches": [4, 8], "seed": 0}
    before = model_file.read_bytes()
    assert run(commands.sanity, cohort, model_file, out, random_labels=str(model_file), **options) == 0
    cascade = pd.read_csv(out / "cascade.csv")
    of_film = cascade[cascade["study"] == "film0"].set_index("step")
    assert of_film.index[0] == "original"
    assert of_film.index[-1] == "random labels"
    # The network itself stands in for the one of random labels: it shows that the weights came back.
    for step in ("original", "random labels"):
        np.testing.assert_allclose(of_film.loc[step, ["spearman", "ssim", "top_overlap"]].astype(float), 1, atol=1e-6)
    assert of_film.loc["trunk.conv1", "spearman"] < 0.9
    agreement = pd.read_csv(out / "agreement.csv")
    assert sorted(set(agreement["patches"])) == [4, 8]
    assert pd.read_csv(out / "summary.csv")["check"].nunique() == 2
    assert cv2.imread(str(out / "sanity.png")).std() > 20
    assert pd.read_csv(out / "failures.csv")["study"].tolist() == ["film2"]
    assert model_file.read_bytes() == before
