"""Train a network: one function for all networks, data sets and losses.

Lightning, which takes seconds to import, is imported by :func:`fit` only.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.utils.data import Dataset

from patchcxr.config import fingerprint
from patchcxr.errors import TrainingError
from patchcxr.io.atomic import sync_file, write_bytes_atomically
from patchcxr.io.checkpoint import load_weights, save_weights
from patchcxr.io.outages import outage
from patchcxr.models.state_dicts import load_pickled
from patchcxr.training.recipe import TrainConfig
from patchcxr.training.record import Record, Row
from patchcxr.training.scores import Score
from patchcxr.training.stages import Stages

log = logging.getLogger(__name__)

LAST = "last.ckpt"
BEST = "best.safetensors"
HISTORY = "history.csv"


@dataclass(frozen=True)
class FitResult:
    """What a training gave; the network itself holds the weights of the best epoch.

    Attributes
    ----------
    history
        One row an epoch: epoch (from 1), train_loss, val_loss, the score,
        lr, with ``unfreeze`` the groups of layers that trained, and seconds
        (since the start, over all resumed runs).
    best_epoch, best_value
        Epoch (from 1) with the best ``monitor``, and its value.
    stopped_early
        Whether the patience ran out.
    out_of_time
        Whether ``max_seconds`` ran out.
    seconds
        Time spent, over all resumed runs.
    epochs_run
        Epochs, over all resumed runs; the last may be partial if out of time.
    """

    history: pd.DataFrame
    best_epoch: int
    best_value: float
    stopped_early: bool
    out_of_time: bool
    seconds: float
    epochs_run: int


class Session:
    """State of one training on disk and in memory; what Lightning does not know of."""

    def __init__(self, module: nn.Module, config: TrainConfig, out_dir: Path, settings: str) -> None:
        self.module = module
        self.config = config
        self.out_dir = out_dir
        self.settings = settings
        self.stages = Stages(module, config.unfreeze, config.frozen_statistics)
        grace = self.stages.complete_after
        self.record = Record(config.monitor, config.mode, config.early_stopping_patience, grace)
        self.resumed: dict[str, Any] | None = None

    @property
    def out_of_time(self) -> bool:
        """Whether the finished epochs have spent the time budget."""
        return self.config.max_seconds is not None and self.record.seconds >= self.config.max_seconds

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.record.epochs >= self.config.epochs or self.record.out_of_patience or self.out_of_time

    def resume(self) -> None:
        """Take up the last whole epoch on disk, if there is one.

        Raises
        ------
        TrainingError
            If the checkpoint is damaged or belongs to another training.
        """
        path = self.out_dir / LAST
        if not path.is_file():
            return
        try:
            state = load_pickled(path)
            settings = state["settings"]
        except MemoryError:
            raise
        except Exception as error:  # torch may raise any when a file is damaged
            if (fault := outage(error)) is not None:
                raise fault from None  # the file must not be deleted
            raise TrainingError(
                f"{path}: not a readable checkpoint ({_reason(error)}); delete it to train from the start"
            ) from error
        if settings != self.settings:
            raise TrainingError(
                f"{path}: belongs to a training with another network, data set, loss or recipe; delete the folder, "
                "choose another one, or train with resume=False"
            )
        try:
            self.record.restore(state["record"])
            self.module.load_state_dict(state["module"])
            _ = self.finished, self.record.seconds  # rows and counts of another type fail here, not amid the training
        except Exception as error:  # its values may be of any type
            raise TrainingError(
                f"{path}: does not hold the state of a training ({_reason(error)}); delete it to train from the start"
            ) from error
        self.resumed = state

    def finish_epoch(
        self,
        row: Row,
        optimizer: torch.optim.Optimizer,
        plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None,
        write: bool = True,
    ) -> None:
        """Record an epoch; write the history, the best weights and the state to resume from, in this order.

        An interruption between the three repeats the epoch, with the same
        result. With several devices only one of the processes writes.
        """
        improved = self.record.add(row)
        if not write:
            return
        csv = pd.DataFrame(self.record.rows).astype({"epoch": int}).to_csv(index=False)
        write_bytes_atomically(self.out_dir / HISTORY, csv.encode())
        if improved:
            save_weights(self.out_dir / BEST, self.module.state_dict(), {"epoch": self.record.best_epoch})
        state = {
            "settings": self.settings,
            "record": self.record.state(),
            "module": self.module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "plateau": None if plateau is None else plateau.state_dict(),
        }
        temporary = self.out_dir / f"{LAST}.part"
        with temporary.open("wb") as file:
            torch.save(state, file)
            sync_file(file)
        os.replace(temporary, self.out_dir / LAST)
        log.info("epoch %d: %s", self.record.epochs, ", ".join(f"{key} {value:.4g}" for key, value in row.items()))

    def result(self) -> FitResult:
        """Load the best weights into the network and sum up."""
        weights, _ = load_weights(self.out_dir / BEST)
        self.module.load_state_dict(weights)
        history = pd.DataFrame(self.record.rows).astype({"epoch": int})
        return FitResult(
            history=history,
            best_epoch=self.record.best_epoch,
            best_value=self.record.best_value,
            stopped_early=self.record.out_of_patience,
            out_of_time=self.out_of_time,
            seconds=self.record.seconds,
            epochs_run=self.record.epochs,
        )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def fit(
    module: nn.Module,
    train: Dataset[Any],
    validation: Dataset[Any] | None = None,
    *,
    loss: nn.Module,
    config: TrainConfig,
    out_dir: str | Path,
    score: Score | None = None,
    resume: bool = True,
    progress: bool = True,
) -> FitResult:
    """Train ``module`` in place and leave it with the weights of its best epoch, in evaluation mode.

    Each epoch writes ``history.csv``, ``last.ckpt`` and, if it is the best so
    far, ``best.safetensors`` to ``out_dir``. An interrupted training called
    again goes on after its last whole epoch and ends, on the CPU, with the
    same weights as one that was not interrupted: the order of items and the
    dropout of an epoch depend on the seed and the epoch only.

    Several processes, one a device, share each batch: with ``devices: 2`` and
    ``batch_size: 8`` each takes 4 of the same 8 items that one process would
    take, and the gradients are averaged. Each item is seen once an epoch, in
    training and in validation. What differs from one process: batch
    normalisation and dropout work on each process's own items, and so does a
    loss that is not a plain mean over items. ``strategy: ddp`` starts the
    other processes itself, by running the same command again. Under
    ``torchrun`` or SLURM's ``srun`` they are there already, and ``nodes`` says
    on how many machines; with the settings of one stage in its configuration::

        train: {accelerator: gpu, devices: 4, nodes: 2, strategy: ddp, batch_size: 32}

        torchrun --nnodes 2 --nproc-per-node 4 -m patchcxr train ...   (devices: 4, nodes: 2)
        srun --nodes 2 --ntasks-per-node 4 patchcxr train ...          (the same)
        patchcxr train ...                                             (nodes: 1)

    Only the process of rank 0 writes files; all return the same result. A
    process can take part in one such training: train one network a command,
    not a whole study.

    Parameters
    ----------
    module
        Network; stored channels last from now on.
    train, validation
        Items (input, target). A method ``set_epoch`` is told the epoch; it is
        0 throughout for ``validation``.
    loss
        Loss of (logits, target), a mean over the batch.
    config
        The recipe.
    out_dir
        Folder of this training alone.
    score
        Score of the validation set after each epoch.
    resume
        Go on from ``last.ckpt`` in ``out_dir``; otherwise start anew.
    progress
        Draw a progress bar where the output is a terminal.

    Raises
    ------
    TrainingError
        If a data set is empty, ``monitor`` is not computed, the loss becomes
        NaN or infinite, the network gives such values for a validation item,
        it has no groups of layers for ``unfreeze``, or ``last.ckpt`` belongs
        to another training.
    KeyboardInterrupt
        When interrupted; the epochs finished before are on disk.
    """
    out_dir = Path(out_dir)
    check_plan(train, validation, config, score)
    module.to(memory_format=torch.channels_last)
    session = Session(module, config, out_dir, settings_of(module, train, validation, loss, config))
    out_dir.mkdir(parents=True, exist_ok=True)
    if resume:
        session.resume()
    else:
        (out_dir / LAST).unlink(missing_ok=True)
    if not session.finished:
        from patchcxr.training.lightning_loop import run

        run(session, train, validation, loss, score, progress)
        if config.processes > 1:
            session.resume()
    result = session.result()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()  # rank 0 may delete the checkpoints now
    module.eval()
    return result


def check_plan(train: Dataset[Any], validation: Dataset[Any] | None, config: TrainConfig, score: Score | None) -> None:
    """Refuse a training that could not end well.

    Raises
    ------
    TrainingError
        See :func:`fit`.
    """
    for name, data in (("training", train), ("validation", validation)):
        items = 1 if data is None else len(data)  # type: ignore[arg-type]
        if items == 0:
            raise TrainingError(f"the {name} set is empty; check the cohort's splits, labels and masks")
        if data is not None and items < config.processes:
            raise TrainingError(f"the {name} set has {items} items for {config.processes} processes; use fewer devices")
    known = {"train_loss"}
    if validation is not None:
        known |= {"val_loss"} | ({score.name} if score else set())
    for key, value in (("monitor", config.monitor), ("plateau_monitor", config.plateau_monitor)):
        if value not in known and (key == "monitor" or config.scheduler == "plateau"):
            raise TrainingError(
                f"{key}: got {value!r}, but this training computes {sorted(known)} only; choose one of these"
            )


def settings_of(
    module: nn.Module, train: Dataset[Any], validation: Dataset[Any] | None, loss: nn.Module, config: TrainConfig
) -> str:
    """Fingerprint of all that must stay the same when a training is resumed.

    What only says when to stop, or where to compute, may change; with the
    cosine schedule the number of epochs shapes every step, and may not.
    """
    free = {"epochs", "early_stopping_patience", "max_seconds", "workers"}
    free |= {"accelerator", "devices", "nodes", "strategy"}
    if config.scheduler == "cosine":
        free.remove("epochs")
    free |= {name for name in ("start_from", "unfreeze") if getattr(config, name) is None}
    if not config.frozen_statistics:
        free.add("frozen_statistics")
    recipe = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in free}
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    sizes = [0 if data is None else len(data) for data in (train, validation)]  # type: ignore[arg-type]
    weights = {name: value.tolist() for name, value in loss.state_dict().items()}
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    parts = [recipe, type(module).__name__, shapes, sizes, type(loss).__name__, weights]
    return fingerprint(*parts, *([frozen] if frozen else []))
