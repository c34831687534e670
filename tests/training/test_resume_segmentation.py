"""A segmentation that is stopped or killed goes on to the very weights of one that was not."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

SCRIPT = '''
import os, signal
from pathlib import Path
import numpy as np, torch
from torch import nn
from patchcxr.training.augmentation import AugmentConfig
from patchcxr.training.datasets import SegmentationDataset
from patchcxr.training.fit import fit
from patchcxr.training.recipe import TrainConfig
from patchcxr.training.losses import HybridLoss
from patchcxr.training.scores import MeanDice

INFECTED = np.arange(11) % 3 == 0
RNG = np.random.default_rng(0)
MASKS = (RNG.random((11, 16, 16)) < 0.3) & INFECTED[:, None, None]
FILMS = RNG.random((11, 16, 16)).astype(np.float32)


def train(folder, epochs=5, killed_at=None):
    """Augmented, balanced, with plateau, batch normalisation and dropout: all that could be forgotten."""
    calls = []

    def load(index):
        calls.append(index)
        if len(calls) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return FILMS[index], MASKS[index]

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.3), nn.Conv2d(6, 1, 1)
        )
    config = TrainConfig(
        epochs=epochs, batch_size=4, learning_rate=0.3, weight_decay=0.001, scheduler="plateau", plateau_patience=1,
        plateau_factor=0.5, plateau_monitor="val_loss", monitor="val_loss", seed=3,
    )
    augment = AugmentConfig(rotation=30, zoom=0.2, gamma=0.5)
    training = SegmentationDataset(load, 11, augment, 3, INFECTED.astype(int), "balanced")
    validation = SegmentationDataset(lambda index: (FILMS[index], MASKS[index]), 11)
    result = fit(network, training, validation, loss=HybridLoss(), config=config, out_dir=folder, score=MeanDice(1))
    return network, result


if __name__ == "__main__":
    import sys

    train(Path(sys.argv[1]), killed_at=int(sys.argv[2]))
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "train.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture(scope="module")
def train(script):
    return runpy.run_path(str(script))["train"]


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"))


def same(one, other):
    """Whether networks, and histories but for the time, are the same to the last bit."""
    for a, b in zip(one[0].state_dict().values(), other[0].state_dict().values(), strict=True):
        assert torch.equal(a, b)
    histories = [result.history.drop(columns="seconds") for _, result in (one, other)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


def test_a_stopped_segmentation_ends_with_the_weights_of_an_uninterrupted_one(train, whole, tmp_path):
    assert whole[1].history["lr"].nunique() > 1
    train(tmp_path, epochs=1)
    train(tmp_path, epochs=3)
    same(train(tmp_path), whole)


@pytest.mark.slow
def test_a_killed_segmentation_ends_with_the_weights_of_an_uninterrupted_one(script, train, whole, tmp_path):
    # An epoch has 14 items, so that the 35th falls into the third.
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script), str(tmp_path), "35"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert len(pd.read_csv(tmp_path / "history.csv")) == 2
    same(train(tmp_path), whole)
