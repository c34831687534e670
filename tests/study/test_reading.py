"""Films come in batches, prepared as they are needed; results of other networks and older films are noticed."""

import json
import os

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError
from patchcxr.inference.batches import BatchSize
from patchcxr.io.arrays import ArrayFolder
from patchcxr.models.registry import ModelConfig
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.provenance import claim_folder, network_fingerprint, settings_since
from patchcxr.study.reading import Preparation, film_batches, is_current


@pytest.fixture
def table(tmp_path):
    rows = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        if number == 2:
            path.write_text("no image")
        else:
            pixels = np.full((64, 64), 10 * number, np.uint8)
            pixels[0, 0] = 255
            cv2.imwrite(str(path), pixels)
        rows.append({"study": str(number), "image": str(path)})
    return pd.DataFrame(rows)


@pytest.fixture
def store(tmp_path):
    return FilmStore(tmp_path / "store", 64, PreprocessConfig(equalize=False, gamma=1.0))


def test_films_are_prepared_batch_by_batch_and_failures_are_kept(table, store, tmp_path):
    prepare, steps = Preparation(table, [store], mask_columns=()), []
    done = ArrayFolder(tmp_path / "done")
    done.save("9", np.zeros(1))
    found = list(film_batches(store, list(table["study"]), done, BatchSize(2), prepare, lambda *at: steps.append(at)))
    assert [studies for studies, _ in found] == [["0", "1"], ["3"], ["4"]]
    assert [int(film[5, 5]) for _, films in found for film in films] == [0, 10, 30, 40]
    assert steps == [(2, 5), (4, 5), (5, 5)]
    failures = prepare.failures()
    assert failures["study"].tolist() == ["2"]
    assert "not an image" in failures["error"].iloc[0]


def test_only_films_without_a_current_result_are_read(table, store, tmp_path):
    prepare, done = Preparation(table, [store], mask_columns=()), ArrayFolder(tmp_path / "done")
    prepare(["0", "1"])
    for study in ("0", "1"):
        done.save(study, np.zeros(1))
        assert is_current(done, store, study)
    os.utime(done.path("1"), ns=(0, 0))  # made before its film
    (found,) = list(film_batches(store, ["0", "1"], done, BatchSize(8), prepare))
    assert found[0] == ["1"]


def network(weight: float = 1.0, size: int = 64, gamma: float = 0.5) -> TrainedModel:
    module = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        module.weight.fill_(weight)
        module.bias.fill_(0)
    return TrainedModel(module, ModelConfig(architecture="compact_unet", num_classes=1), ("x",), size, {"gamma": gamma})


def test_a_fingerprint_changes_with_weights_size_and_preprocessing_and_with_nothing_else():
    assert network_fingerprint(network()) == network_fingerprint(network())
    others = [network(1 + 1e-6), network(size=32), network(gamma=0.6)]
    assert len({network_fingerprint(model) for model in (network(), *others)}) == 4


def test_a_folder_belongs_to_the_first_network_that_writes_there(tmp_path):
    claim_folder(tmp_path, network())
    claim_folder(tmp_path, network())
    with pytest.raises(ConfigError, match="another network"):
        claim_folder(tmp_path, network(2.0))
    assert json.loads((tmp_path / "network.json").read_text())["fingerprint"] == network_fingerprint(network())


def test_settings_keep_their_time_until_they_change(tmp_path):
    path = tmp_path / "settings.json"
    first = settings_since(path, {"whole": True})
    os.utime(path, ns=(5, 5))
    assert settings_since(path, {"whole": True}) == 5
    assert settings_since(path, {"whole": False}) >= first
