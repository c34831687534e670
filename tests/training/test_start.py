"""A training starts with the weights of another network wherever they fit, and nowhere else."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from patchcxr.errors import CheckpointError, TrainingError
from patchcxr.io.checkpoint import save_weights
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel, save_model
from patchcxr.training.start import start_from


def network(outputs, width=8, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, outputs))


def saved(folder, module):
    path = folder / "model.safetensors"
    save_weights(path, module.state_dict(), {"model": {"architecture": "three_layers", "num_classes": 6}})
    return path


def test_all_weights_but_those_of_another_head_are_taken(tmp_path, caplog):
    given, own = network(6, seed=1), network(1, seed=2)
    given[1].running_mean += 3
    head = own[2].weight.clone()
    with caplog.at_level(logging.INFO):
        start = start_from(own, saved(tmp_path, given))
    assert torch.equal(own[0].weight, given[0].weight)
    assert torch.equal(own[1].running_mean, given[1].running_mean)
    assert torch.equal(own[2].weight, head)
    assert (start.tensors, start.of_tensors, start.left) == (7, 9, ("2.weight", "2.bias"))
    # 40 of the first layer, 4 x 8 + 1 of the normalisation; 9 of the head stay.
    assert start.share == pytest.approx(73 / 82, abs=1e-6)
    assert "7 of 9 weights, 89.0 % of the values" in caplog.text


def test_weights_in_half_precision_become_float32(tmp_path):
    given, own = network(1, seed=1), network(1, seed=2)
    expected = given[0].weight.detach().half().float()
    start_from(own, saved(tmp_path, given.half()))
    assert own[0].weight.dtype == torch.float32
    assert torch.equal(own[0].weight, expected)


def test_a_network_of_which_less_than_half_fits_is_refused_and_changes_nothing(tmp_path):
    own = network(1, width=9)
    before = [value.clone() for value in own.state_dict().values()]
    with pytest.raises(TrainingError, match=r"three_layers with 6 classes.*2 of 9 weights fit.*at least 50%"):
        start_from(own, saved(tmp_path, network(1)))
    assert all(torch.equal(a, b) for a, b in zip(before, own.state_dict().values(), strict=True))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.safetensors: no such file"):
        start_from(network(1), tmp_path / "nothing.safetensors")


def test_an_infection_network_takes_everything_but_the_head_of_an_anatomy_network(tmp_path, monkeypatch):
    model = ModelConfig(architecture="compact_unet", num_classes=6)
    anatomy = create_model(model, seed=1)
    save_model(tmp_path / "a.safetensors", TrainedModel(anatomy, model, tuple("abcdef"), 64))
    infection = create_model(ModelConfig(architecture="compact_unet", num_classes=1), seed=2)
    monkeypatch.setenv("NETWORKS", str(tmp_path))
    start = start_from(infection, "$NETWORKS/a.safetensors")
    assert len(start.left) == 2
    assert all("head" in name for name in start.left)
    assert start.share > 0.99
