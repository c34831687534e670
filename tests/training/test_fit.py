"""Training: it learns, it can be interrupted and repeated, and it says what went wrong."""

from __future__ import annotations

import math
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.training.augmentation import AugmentConfig
from patchcxr.training.datasets import GlobalDataset
from patchcxr.training.fit import fit, settings_of
from patchcxr.training.losses import WeightedCrossEntropy
from patchcxr.training.recipe import TrainConfig
from patchcxr.training.scores import MacroF1

LABELS = np.arange(24) % 2
FILMS = np.random.default_rng(0).random((24, 16, 16)).astype(np.float32) * np.where(LABELS, 0.5, 1)[:, None, None]
FILMS = FILMS.astype(np.float32)


class Tiny(nn.Sequential):
    """A network with all that makes repeating hard: batch normalisation and dropout."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
        )  # fmt: skip


def network(kind=Tiny):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind()


def data(load=FILMS.__getitem__):
    return GlobalDataset(load, LABELS, 16, augment=AugmentConfig())


def train(folder, module=None, training=None, validation=None, **options):
    values = {"epochs": 4, "batch_size": 5, "learning_rate": 0.01, "monitor": "macro_f1"} | options
    resume = values.pop("resume", True)
    module = network() if module is None else module
    result = fit(
        module, training or data(), validation or data(), loss=WeightedCrossEntropy([1.0, 2.0]),
        config=TrainConfig(**values), out_dir=folder, score=MacroF1(2), resume=resume,
    )  # fmt: skip
    return module, result


def equal_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def untimed(history):
    return history.drop(columns="seconds")


def test_training_learns_and_its_history_is_on_disk(tmp_path):
    module, result = train(tmp_path, epochs=12, learning_rate=0.03)
    assert result.history["train_loss"].iloc[-1] < 0.8 * result.history["train_loss"].iloc[0]
    assert list(result.history) == [
        *(
            "epoch",
            "train_loss",
            "val_loss",
            "macro_f1",
            "accuracy",
            "train_macro_f1",
            "train_accuracy",
            "lr",
            "seconds",
        )
    ]
    assert list(result.history["epoch"]) == list(range(1, 13))
    assert result.best_value == result.history["macro_f1"].max()
    assert result.best_epoch == 1 + result.history["macro_f1"].argmax()
    assert result.epochs_run == 12
    assert not result.stopped_early
    assert not result.out_of_time
    assert not module.training
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "history.csv"), result.history)


def test_the_network_is_left_with_the_weights_of_the_best_epoch(tmp_path):
    validation = data()
    module, result = train(tmp_path, validation=validation, epochs=6, learning_rate=0.05, monitor="val_loss")
    validation.set_epoch(0)
    items = [validation[index] for index in range(len(validation))]
    with torch.inference_mode():
        logits = module(torch.stack([film for film, _ in items]))
        # A loss of weighted batches is a mean over batches: compute it in the same batches.
        loss, target = WeightedCrossEntropy([1.0, 2.0]), torch.stack([label for _, label in items])
        parts = [loss(logits[i : i + 5], target[i : i + 5]) * len(target[i : i + 5]) for i in range(0, 24, 5)]
    assert result.best_value == pytest.approx(float(sum(parts)) / 24, rel=1e-4)
    assert result.best_value == result.history["val_loss"].min()


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    torch.manual_seed(1)
    first, _ = train(tmp_path / "a", epochs=2)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second, _ = train(tmp_path / "b", epochs=2)
    third, _ = train(tmp_path / "c", epochs=2, seed=1)
    assert equal_weights(first, second)
    assert not equal_weights(first, third)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("scheduler", ["none", "plateau"])
def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, scheduler):
    options = {"scheduler": scheduler, "plateau_patience": 1, "weight_decay": 0.01, "l1": 0.001, "learning_rate": 0.05}
    whole, expected = train(tmp_path / "whole", epochs=4, **options)
    train(tmp_path / "parts", epochs=2, **options)
    resumed, result = train(tmp_path / "parts", epochs=4, **options)
    pd.testing.assert_frame_equal(untimed(result.history), untimed(expected.history))
    assert equal_weights(whole, resumed)
    last = [torch.load(tmp_path / name / "last.ckpt", weights_only=True)["module"] for name in ("whole", "parts")]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])


@pytest.mark.parametrize("scheduler", ["none", "cosine"])
def test_an_interrupt_is_raised_again_and_the_training_goes_on_after_the_last_whole_epoch(tmp_path, scheduler):
    training = data()
    calls = []

    def load(index):
        calls.append(index)
        if len(calls) == 60:  # in the third epoch of 24 films
            os.kill(os.getpid(), signal.SIGINT)
        return FILMS[index]

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", training=data(load), scheduler=scheduler)
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(pd.read_csv(tmp_path / "parts" / "history.csv")) == 2
    resumed, _ = train(tmp_path / "parts", training=training, scheduler=scheduler)
    whole, _ = train(tmp_path / "whole", scheduler=scheduler)
    assert equal_weights(resumed, whole)


def test_the_cosine_schedule_starts_at_the_learning_rate_and_fixes_the_number_of_epochs(tmp_path):
    _, result = train(tmp_path, epochs=4, scheduler="cosine", learning_rate=0.02)
    np.testing.assert_allclose(result.history["lr"], 0.01 * (1 + np.cos(np.pi * np.arange(4) / 4)))
    with pytest.raises(TrainingError, match="another network, data set, loss or recipe"):
        train(tmp_path, epochs=5, scheduler="cosine", learning_rate=0.02)


def test_a_finished_training_is_not_repeated(tmp_path):
    first, expected = train(tmp_path, epochs=2)

    def load(index):
        raise AssertionError("a film was read")

    second, result = train(tmp_path, training=data(load), epochs=2)
    assert equal_weights(first, second)
    pd.testing.assert_frame_equal(result.history, expected.history, check_exact=True)


def test_a_folder_of_another_training_is_refused_unless_it_starts_anew(tmp_path):
    train(tmp_path, epochs=1)
    with pytest.raises(TrainingError, match="another network, data set, loss or recipe"):
        train(tmp_path, epochs=1, learning_rate=0.02)
    _, result = train(tmp_path, epochs=1, learning_rate=0.02, resume=False)
    assert result.history["lr"].tolist() == [0.02]


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"last\.ckpt: not a readable checkpoint .* delete it"):
        train(tmp_path)


def test_training_stops_when_the_patience_runs_out(tmp_path):
    _, result = train(tmp_path, epochs=50, learning_rate=1e-9, early_stopping_patience=2)
    assert result.stopped_early
    assert result.epochs_run == result.best_epoch + 2


def test_the_learning_rate_falls_when_the_training_loss_stalls(tmp_path):
    frozen = network()
    frozen[3].p = 0.0  # without dropout and augmentation nothing changes at so low a rate
    training = GlobalDataset(FILMS.__getitem__, LABELS, 16)
    _, result = train(
        tmp_path, frozen, training, epochs=5, batch_size=24, learning_rate=1e-12, scheduler="plateau",
        plateau_patience=2, plateau_factor=0.1,
    )  # fmt: skip
    np.testing.assert_allclose(result.history["lr"], [1e-12, 1e-12, 1e-12, 1e-13, 1e-13])


@pytest.mark.filterwarnings("default::UserWarning")
def test_worker_processes_give_the_same_weights(tmp_path):
    alone, _ = train(tmp_path / "alone", epochs=2)
    helped, _ = train(tmp_path / "helped", epochs=2, workers=1)
    assert equal_weights(alone, helped)


def test_a_time_budget_ends_the_training_within_an_epoch(tmp_path):
    _, result = train(tmp_path, epochs=10_000, max_seconds=0.3)
    assert result.out_of_time
    assert 0.3 <= result.seconds < 5
    assert result.history["val_loss"].notna().all()
    _, again = train(tmp_path, epochs=10_000, max_seconds=0.3)
    assert again.epochs_run == result.epochs_run


def test_l1_pulls_weights_towards_zero(tmp_path):
    free, _ = train(tmp_path / "free", monitor="train_loss")
    pulled, _ = train(tmp_path / "pulled", monitor="train_loss", l1=1.0)
    assert pulled[0].weight.abs().sum() < free[0].weight.abs().sum()


def test_frozen_weights_stay_whatever_penalties_pull_at_them(tmp_path):
    module = network()
    module[0].requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    train(tmp_path, module, epochs=2, weight_decay=0.5, l1=0.5, monitor="train_loss")
    assert torch.equal(module[0].weight, before["0.weight"])
    assert torch.equal(module[0].bias, before["0.bias"])
    assert not torch.equal(module[6].weight, before["6.weight"])
    with pytest.raises(TrainingError, match="another network, data set, loss or recipe"):
        train(tmp_path, epochs=2, weight_decay=0.5, l1=0.5, monitor="train_loss")


def test_mixed_precision_on_the_cpu_is_close_and_keeps_weights_in_float32(tmp_path):
    options = {"epochs": 3, "monitor": "val_loss", "learning_rate": 0.003}
    full, expected = train(tmp_path / "full", **options)
    mixed, found = train(tmp_path / "mixed", precision="bf16-mixed", **options)
    assert {value.dtype for value in mixed.parameters()} == {torch.float32}
    losses = ["train_loss", "val_loss"]
    np.testing.assert_allclose(found.history[losses], expected.history[losses], rtol=0.02)
    assert not equal_weights(full, mixed)


def test_half_precision_is_refused_on_the_cpu_in_words():
    with pytest.raises(ConfigError, match=r"'16-mixed' on the CPU.*expected 32-true or bf16-mixed"):
        TrainConfig(precision="16-mixed")
    with pytest.raises(ConfigError, match="precision: got 'half'; expected one of 32-true"):
        TrainConfig(precision="half")


@pytest.mark.skipif(torch.cuda.is_available(), reason="accelerator auto takes the GPU")
def test_half_precision_is_refused_where_the_automatic_choice_is_the_cpu(tmp_path):
    with pytest.raises(ConfigError, match="'16-mixed' on the CPU"):
        train(tmp_path, precision="16-mixed", accelerator="auto")


def test_the_start_of_a_network_belongs_to_its_settings_only_if_it_is_given():
    plain = settings_of(network(), data(), None, WeightedCrossEntropy(), TrainConfig())
    given = settings_of(network(), data(), None, WeightedCrossEntropy(), TrainConfig(start_from="a.safetensors"))
    spread = settings_of(network(), data(), None, WeightedCrossEntropy(), TrainConfig(devices=2, strategy="ddp"))
    assert plain != given
    assert plain == spread


def test_a_loss_that_is_no_number_names_epoch_and_step(tmp_path):
    films = FILMS.copy()
    films[:] = math.nan
    with pytest.raises(TrainingError, match=r"nan in epoch 1, step 1; lower learning_rate \(now 0.01\)"):
        train(tmp_path, training=GlobalDataset(films.__getitem__, LABELS, 16))


def test_a_training_without_validation_watches_its_own_loss(tmp_path):
    config = TrainConfig(epochs=2, monitor="train_loss")
    result = fit(network(), data(), loss=WeightedCrossEntropy(), config=config, out_dir=tmp_path)
    assert list(result.history) == ["epoch", "train_loss", "lr", "seconds"]


def test_a_monitor_that_is_not_computed_lists_those_that_are(tmp_path):
    with pytest.raises(TrainingError, match=r"\['macro_f1', 'train_loss', 'val_loss'\]"):
        train(tmp_path, monitor="dice")


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"l1": -1.0}, {"plateau_factor": 1.0},
        {"early_stopping_patience": 0}, {"max_seconds": 0.0},
    ],
)  # fmt: skip
def test_impossible_recipes_are_refused(values):
    with pytest.raises(ConfigError, match="expected"):
        TrainConfig(**values)


def test_nothing_is_printed_where_the_output_is_no_terminal(tmp_path, capfd):
    train(tmp_path, epochs=1)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
