"""``classify``: nothing of another film, vote or network is taken for the answer, and labels get their class."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.cli.classify import with_truth
from patchcxr.data.cohort import write_cohort
from patchcxr.data.inputs import read_inputs
from patchcxr.io.masks import write_mask
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel, save_model

CLASSES = ("normal", "bacterial", "tuberculosis", "viral")


def network(path, seed=2, **training):
    config = ModelConfig(architecture="resnet18", num_classes=4)
    module = create_model(config, seed=seed)
    save_model(path, TrainedModel(module.eval(), config, CLASSES, 64, {}, training))
    return path


def film(folder, name, rng, label="covid19"):
    """A cohort of one film, with its lungs."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = cv2.resize((rng.random((12, 16)) * 255).astype(np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
    (folder / "film.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    mask = np.zeros((120, 160), dtype=bool)
    mask[20:100, 20:65] = mask[20:100, 95:140] = True
    write_mask(folder / "lung.png", mask)
    table = read_inputs([folder / "film.png"]).cohort
    write_cohort(table.assign(patient=name, label=label, lung_mask=str(folder / "lung.png")), folder / "cohort.csv")
    return folder / "cohort.csv"


def said(cohort, model, out, *more):
    small = ["--set", "image_size=128", "--set", "patches=5"]
    assert main(["classify", str(cohort), "--model", str(model), "--out", str(out), *small, *more]) == 0
    return pd.read_csv(out / "predictions.csv").iloc[0]


def test_another_film_of_the_same_name_and_another_vote_are_classified_anew(tmp_path, rng):
    model = network(tmp_path / "m.safetensors")
    first, second = film(tmp_path / "a", "pa", rng), film(tmp_path / "b", "pb", rng)
    one = said(first, model, tmp_path / "out")
    assert (one["patient"], one["truth"]) == ("pa", "viral")
    other = said(second, model, tmp_path / "out")
    alone = said(second, model, tmp_path / "alone")
    assert other["patient"] == "pb"
    assert other["p_viral"] == alone["p_viral"] != one["p_viral"]
    more = said(second, model, tmp_path / "out", "--set", "patches=9", "--explain", "viral")
    assert more[[f"votes_{name}" for name in CLASSES]].sum() == 9
    assert (tmp_path / "out" / "maps" / "film.npy").is_file()


def test_a_folder_of_another_network_is_refused_and_so_is_a_network_of_the_other_kind(tmp_path, rng, capsys):
    cohort = film(tmp_path / "a", "pa", rng)
    said(cohort, network(tmp_path / "m.safetensors"), tmp_path / "out")
    other = network(tmp_path / "n.safetensors", seed=3)
    command = ["classify", str(cohort), "--out", str(tmp_path / "out"), "--set", "image_size=128"]
    assert main([*command, "--model", str(other)]) == 2
    assert "holds the results of another network" in capsys.readouterr().err
    patches = network(tmp_path / "p.safetensors", vote={"patches": 5})
    assert main([*command, "--model", str(patches), "--global"]) == 2
    assert "learnt patches, not whole films; remove --global" in capsys.readouterr().err
    films = network(tmp_path / "f.safetensors", view="film")
    assert main([*command, "--model", str(films)]) == 2
    assert "learnt whole films, not patches; add --global" in capsys.readouterr().err


@pytest.mark.parametrize("classes", [CLASSES, ("w", "x")])
def test_each_label_gets_its_class_and_an_unknown_one_none(classes):
    labels = pd.Series(["normal", "covid19", "nodule", "covid", pd.NA], dtype="string")
    table = pd.DataFrame({"study": list("abcde"), "label": labels})
    expected = ["normal", "viral", None, None, None] if classes == CLASSES else [None] * 5
    found = with_truth(table, classes)["truth"]
    assert [None if pd.isna(value) else value for value in found] == expected
