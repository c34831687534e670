"""Several processes see what one alone would see, each item once, and learn the same."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.training.datasets import GlobalDataset
from patchcxr.training.fit import check_plan, fit
from patchcxr.training.lightning_loop import Batches
from patchcxr.training.recipe import TrainConfig

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, torch
from torch import nn
from patchcxr.training.augmentation import AugmentConfig
from patchcxr.training.datasets import SegmentationDataset
from patchcxr.training.fit import fit
from patchcxr.training.recipe import TrainConfig
from patchcxr.training.losses import HybridLoss
from patchcxr.training.scores import MeanDice

folder, devices = Path(sys.argv[1]), int(sys.argv[2])
masks = np.zeros((13, 16, 16), dtype=bool)
for number, mask in enumerate(masks):
    mask[number % 5 : 8 + number % 4, 3:12] = True
noise = np.random.default_rng(0).random(masks.shape)
films = (0.6 * masks + 0.4 * noise).astype(np.float32)
seen = []

def load(index):
    seen.append(index)
    return films[index], masks[index]

torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
config = TrainConfig(
    epochs=3, batch_size=4, learning_rate=0.02, devices=devices, strategy="ddp" if devices > 1 else "auto"
)
training = SegmentationDataset(load, 12, AugmentConfig(), seed=1)
validation = SegmentationDataset(lambda index: (films[index], masks[index]), 13)
fit(network, training, validation, loss=HybridLoss(), config=config, out_dir=folder, score=MeanDice(1))
rank = torch.distributed.get_rank() if devices > 1 else 0
total = float(sum(value.abs().sum() for value in network.state_dict().values()))
(folder / f"rank{rank}.json").write_text(json.dumps({"seen": seen, "weights": total}))
"""


def everything(processes, **options):
    """Batches of all processes, joined as the items of one step."""
    shares = [list(Batches(rank=rank, processes=processes, **options)) for rank in range(processes)]
    assert len({len(share) for share in shares}) == 1
    return [[item for share in step for item in share] for step in zip(*shares, strict=True)]


@pytest.mark.parametrize("n", [8, 9, 10, 11, 12])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_each_item_comes_once_and_no_process_goes_without(n, processes):
    steps = everything(processes, n=n, batch_size=4, seed=0)
    assert sorted(index for step in steps for _, index in step) == list(range(n))
    for rank in range(processes):
        assert all(Batches(n, 4, 0, rank=rank, processes=processes))


@pytest.mark.parametrize("seed", [None, 3])
def test_a_step_has_the_same_items_whichever_the_number_of_processes(seed):
    alone = [sorted(step) for step in everything(1, n=22, batch_size=4, seed=seed)]
    assert [sorted(step) for step in everything(2, n=22, batch_size=4, seed=seed)] == alone


def test_the_order_changes_with_the_epoch_and_goes_on_after_a_resume():
    batches, resumed = Batches(30, 4, 0), Batches(30, 4, 0, first=2)
    orders = []
    for epoch in range(3):
        batches.sampler.set_epoch(epoch)
        orders.append(list(batches))
    assert orders[0] != orders[1]
    assert orders[2] == list(resumed)
    assert {epoch for batch in orders[2] for epoch, _ in batch} == {2}


@pytest.mark.parametrize(
    ("n", "batch_size", "seed", "sizes"),
    [(9, 4, 0, [4, 5]), (10, 4, 0, [4, 4, 2]), (9, 4, None, [4, 4, 1]), (3, 1, 0, [1, 1, 1]), (1, 4, 0, [1])],
)
def test_a_single_last_item_of_a_training_joins_the_batch_before(n, batch_size, seed, sizes):
    assert [len(batch) for batch in Batches(n, batch_size, seed)] == sizes


def test_a_network_down_to_one_pixel_learns_from_any_number_of_items(tmp_path):
    """Batch normalisation over one item of one pixel is an error of PyTorch."""
    network = create_model(ModelConfig(architecture="resnet18", num_classes=2), 0)
    items = [(np.full((32, 32), k / 9, dtype=np.float32), k % 2) for k in range(9)]
    training = GlobalDataset(lambda index: items[index][0], [label for _, label in items], size=32)
    config = TrainConfig(epochs=1, batch_size=4, monitor="train_loss", accelerator="cpu")
    assert fit(network, training, loss=torch.nn.CrossEntropyLoss(), config=config, out_dir=tmp_path).epochs_run == 1


def test_what_lightning_refuses_is_named(tmp_path, monkeypatch):
    """SLURM's --ntasks is a count that Lightning does not take; it asks for --ntasks-per-node."""
    for name, value in {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    network = create_model(ModelConfig(architecture="resnet18", num_classes=2), 0)
    training = GlobalDataset(lambda index: np.zeros((32, 32), np.float32), [0, 1], size=32)
    config = TrainConfig(epochs=1, batch_size=2, monitor="train_loss", accelerator="cpu")
    with pytest.raises(ConfigError, match=r"cannot begin: .*--ntasks-per-node"):
        fit(network, training, loss=torch.nn.CrossEntropyLoss(), config=config, out_dir=tmp_path)


def test_validation_stays_in_order_and_at_epoch_zero():
    batches = Batches(5, 2, None, first=4)
    batches.set_epoch(7)
    assert list(batches) == [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match=r"batch_size: got 6 for 4 processes.*multiple of 4"):
        TrainConfig(batch_size=6, devices=2, nodes=2)
    with pytest.raises(TrainingError, match="the validation set has 1 items for 2 processes"):
        check_plan(range(4), range(1), TrainConfig(batch_size=2, devices=2), None)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path, monkeypatch):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"):
        environment.pop(name, None)
    found, histories = {}, {}
    command = [sys.executable, str(script), str(tmp_path / "2"), "2"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    monkeypatch.setattr(sys, "argv", ["train.py", str(tmp_path / "1"), "1"])
    with torch.random.fork_rng():
        runpy.run_path(str(script))
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        histories[devices] = pd.read_csv(folder / "history.csv").drop(columns="seconds")
        found[devices] = [pd.read_json(path, typ="series") for path in sorted(folder.glob("rank*.json"))]
    # The network has no batch normalisation and no dropout, the loss is a mean over films, and 12 films fill 3 batches:
    # nothing differs but the order of sums. The 13 films of validation do not divide by 2.
    pd.testing.assert_frame_equal(histories[1], histories[2], rtol=1e-4)
    assert histories[2]["train_loss"].iloc[-1] < 0.9 * histories[2]["train_loss"].iloc[0]
    assert found[2][0]["weights"] == found[2][1]["weights"]
    shares = [np.array(rank["seen"]) for rank in found[2]]
    assert [len(share) for share in shares] == [18, 18]
    np.testing.assert_array_equal(np.bincount(np.concatenate(shares)), np.full(12, 3))
