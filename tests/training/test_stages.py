"""Staged unfreezing (Hertel 2022): which weights move in which epoch, and statistics that stay."""

from __future__ import annotations

import itertools
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.training.datasets import GlobalDataset
from patchcxr.training.fit import fit, settings_of
from patchcxr.training.losses import WeightedCrossEntropy
from patchcxr.training.recipe import TrainConfig
from patchcxr.training.scores import MacroF1
from patchcxr.training.stages import Stages, UnfreezeConfig, layer_groups

LABELS = np.arange(12) % 2
FILMS = np.random.default_rng(0).random((12, 16, 16)).astype(np.float32) * np.where(LABELS, 0.5, 1)[:, None, None]
FILMS = FILMS.astype(np.float32)
STAGED = UnfreezeConfig(head_epochs=2, head_learning_rate=0.05, epochs_per_group=2)


class Small(nn.Module):
    """A classifier with a trunk of two convolutions, each with its normalisation."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.dropout(self.trunk(x).mean((2, 3))))


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small()


def data(load=FILMS.__getitem__):
    return GlobalDataset(load, LABELS, 16)


def train(folder, module=None, training=None, **options):
    values = {"epochs": 8, "batch_size": 4, "learning_rate": 0.01, "monitor": "macro_f1"} | options
    module = network() if module is None else module
    result = fit(
        module, training or data(), data(), loss=WeightedCrossEntropy(), config=TrainConfig(**values), out_dir=folder,
        score=MacroF1(2),
    )  # fmt: skip
    return module, result


def last(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)


def moved(before, after):
    return {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}


def statistics(state):
    return {name: value.clone() for name, value in state.items() if "running" in name or "num_batches" in name}


def test_the_head_trains_alone_then_one_group_after_the_other_from_the_last(tmp_path):
    states = [network().state_dict()]
    for epochs in range(1, 8):
        _, result = train(tmp_path, epochs=epochs, unfreeze=STAGED, frozen_statistics=True)
        states.append(last(tmp_path)["module"])
    found = [moved(a, b) for a, b in itertools.pairwise(states)]
    late, all_layers = {"head", "trunk.3", "trunk.4"}, {"head", "trunk.0", "trunk.1", "trunk.3", "trunk.4"}
    assert found == [{"head"}, {"head"}, late, late, all_layers, all_layers, all_layers]
    assert result.history["groups"].tolist() == [1, 1, 2, 2, 3, 3, 3]
    assert result.history["lr"].tolist() == [0.05, 0.05, 0.01, 0.01, 0.01, 0.01, 0.01]


def test_the_first_step_of_unfrozen_weights_is_adams_first_step(tmp_path):
    train(tmp_path, epochs=2, unfreeze=STAGED)
    assert len(last(tmp_path)["optimizer"]["state"]) == 2  # weight and bias of the head
    before = last(tmp_path)["module"]
    train(tmp_path, epochs=3, unfreeze=STAGED)
    after = last(tmp_path)
    weights = dict(network().named_parameters())
    steps = {name: after["optimizer"]["state"].get(i, {}).get("step") for i, name in enumerate(weights)}
    assert (steps["head.weight"], steps["trunk.3.weight"], steps["trunk.0.weight"]) == (9, 3, None)
    # Adam moves each weight by about its rate a step: three steps of 0.01, not 0.05.
    change = (after["module"]["trunk.3.weight"] - before["trunk.3.weight"]).abs().max()
    assert 0.01 < change < 0.0301


@pytest.mark.parametrize("stop", [1, 3])
def test_a_staged_training_resumed_at_any_stage_ends_with_the_same_weights(tmp_path, stop):
    options = {"unfreeze": STAGED, "weight_decay": 0.01, "l1": 0.001}
    _, expected = train(tmp_path / "whole", epochs=6, **options)
    train(tmp_path / "parts", epochs=stop, **options)
    _, result = train(tmp_path / "parts", epochs=6, **options)
    pd.testing.assert_frame_equal(result.history.drop(columns="seconds"), expected.history.drop(columns="seconds"))
    one, other = last(tmp_path / "whole")["module"], last(tmp_path / "parts")["module"]
    assert not moved(one, other)


def test_an_interrupted_staged_training_goes_on_with_the_same_network(tmp_path):
    calls = []

    def load(index):
        calls.append(index)
        if len(calls) == 42:  # in the fourth epoch of 12 films
            os.kill(os.getpid(), signal.SIGINT)
        return FILMS[index]

    module = network()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", module, data(load), unfreeze=STAGED)
    assert all(weight.requires_grad for weight in module.parameters())
    train(tmp_path / "parts", module, unfreeze=STAGED)
    train(tmp_path / "whole", unfreeze=STAGED)
    assert not moved(last(tmp_path / "whole")["module"], last(tmp_path / "parts")["module"])


def test_frozen_statistics_do_not_change_by_one_bit_while_scale_and_shift_train(tmp_path):
    module = network()
    with torch.no_grad():
        module.trunk[1].running_mean += 0.123
    before = statistics(module.state_dict())
    seen = []
    module.trunk[1].register_forward_pre_hook(lambda norm, _: seen.append((module.training, norm.training)))
    train(tmp_path, module, epochs=3, frozen_statistics=True)
    after = last(tmp_path)["module"]
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert (True, False) in seen
    assert not any(norm for _, norm in seen)
    assert {"trunk.1", "trunk.4"} <= moved(network().state_dict(), after)


def test_without_freezing_the_statistics_of_trained_groups_move_and_those_of_waiting_ones_do_not(tmp_path):
    states = [network().state_dict()]
    for epochs in (2, 4, 6):
        train(tmp_path, epochs=epochs, unfreeze=STAGED)
        states.append(last(tmp_path)["module"])
    found = [moved(statistics(a), statistics(b)) for a, b in itertools.pairwise(states)]
    assert found == [set(), {"trunk.4"}, {"trunk.1", "trunk.4"}]


def test_normalisation_with_frozen_statistics_is_that_of_evaluation():
    module = network()
    Stages(module, frozen_statistics=True).begin(0)
    module.dropout.eval()
    films = torch.from_numpy(FILMS)[:, None]
    frozen = module(films)
    torch.testing.assert_close(frozen, module.eval()(films), rtol=0, atol=0)
    assert frozen.requires_grad


def test_patience_is_not_used_up_before_all_layers_train(tmp_path):
    options = {"learning_rate": 1e-12, "unfreeze": UnfreezeConfig(head_epochs=2, head_learning_rate=1e-12)}
    _, result = train(tmp_path, epochs=50, early_stopping_patience=2, **options)
    assert result.stopped_early
    assert result.epochs_run >= 4 + 2  # 2 of the head, 2 of the last convolution, then the patience
    assert result.history["groups"].iloc[-2:].tolist() == [3, 3]


def test_weights_that_a_network_froze_itself_stay_frozen(tmp_path):
    module = network()
    module.trunk[0].requires_grad_(False)
    first = module.trunk[0].weight.clone()
    train(tmp_path, module, epochs=6, unfreeze=STAGED)
    assert torch.equal(last(tmp_path)["module"]["trunk.0.weight"], first)
    assert [weight.requires_grad for weight in module.trunk[0].parameters()] == [False, False]


def holds_every_weight_once(module, groups):
    held = [id(weight) for group in groups for weight in group.parameters]
    return sorted(held) == sorted(id(weight) for weight in module.parameters())


def test_groups_of_a_classifier_are_the_stages_of_its_trunk_last_first():
    module = create_model(ModelConfig(architecture="resnet18", num_classes=3, hidden=8), seed=0)
    groups = layer_groups(module)
    assert [group.name for group in groups] == ["dense+head", "layer4", "layer3", "layer2", "layer1", "conv1+bn1"]
    assert holds_every_weight_once(module, groups)


def test_without_a_trunk_the_last_part_of_a_network_is_its_head():
    parts = {"encoder": nn.Conv2d(1, 4, 3), "norm": nn.BatchNorm2d(4), "decoder": nn.Conv2d(4, 4, 3),
             "last": nn.Conv2d(4, 1, 1)}  # fmt: skip
    module = nn.Sequential(nn.ModuleDict(parts))
    groups = layer_groups(module)
    assert [group.name for group in groups] == ["last", "decoder", "encoder+norm"]
    assert holds_every_weight_once(module, groups)


def test_the_blocks_of_a_trunk_within_a_trunk_are_groups():
    inner = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2))
    module = nn.Module()
    module.trunk = nn.Sequential(inner, nn.ReLU())
    module.dense, module.head = nn.Linear(2, 3), nn.Linear(3, 2)
    assert [group.name for group in layer_groups(module)] == ["dense+head", "2+3", "0"]


def test_a_network_of_one_part_is_refused():
    with pytest.raises(TrainingError, match=r"Linear has no head and trunk.*remove unfreeze"):
        layer_groups(nn.Linear(2, 2))
    bare = nn.Module()
    bare.trunk = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    with pytest.raises(TrainingError, match="no head and trunk"):
        layer_groups(bare)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scheduler": "cosine"}, "'cosine' with unfreeze.*set scheduler: none"),
        ({"scheduler": "plateau"}, "'plateau' with unfreeze"),
        ({"devices": 2}, "2 processes .*one device"),
    ],
)
def test_what_does_not_go_with_stages_is_refused_in_words(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(unfreeze=STAGED, **values)


@pytest.mark.parametrize("values", [{"head_epochs": 0}, {"epochs_per_group": 0}, {"head_learning_rate": 0.0}])
def test_impossible_stages_are_refused(values):
    with pytest.raises(ConfigError, match="unfreeze: got"):
        UnfreezeConfig(**values)


def test_stages_belong_to_the_settings_of_a_training_and_their_absence_does_not():
    plain, staged, frozen = (
        settings_of(network(), data(), None, WeightedCrossEntropy(), TrainConfig(**values))
        for values in ({}, {"unfreeze": STAGED}, {"frozen_statistics": True})
    )
    assert len({plain, staged, frozen}) == 3


def test_a_network_that_gives_no_numbers_for_a_validation_film_is_an_error_and_no_class(tmp_path):
    films = FILMS.copy()
    films[7] = np.nan
    with pytest.raises(TrainingError, match=r"NaN or infinite logits .* validation batch 2 after epoch 1"):
        fit(
            network(), data(), GlobalDataset(films.__getitem__, LABELS, 16), loss=WeightedCrossEntropy(),
            config=TrainConfig(batch_size=4, monitor="macro_f1"), out_dir=tmp_path, score=MacroF1(2),
        )  # fmt: skip
