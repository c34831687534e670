"""The epochs of :func:`patchcxr.training.fit.fit`, run by Lightning's Trainer.

Lightning moves data, precision and gradients to the devices and runs the
steps. Shuffling, scheduling, patience and checkpoints belong to the session,
so that a resumed training repeats an uninterrupted one exactly.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.training.fit import Session
from patchcxr.training.recipe import NO_HALF_ON_CPU
from patchcxr.training.scores import Score

_ADVICE = (
    ".*LeafSpec.*is deprecated",
    ".*does not have many workers",
    ".*have no `val_dataloader`",
    ".*AMP with fp16 is not supported on CPU",
    ".*srun. command is available on your system but is not used",
)


def run(
    session: Session,
    train: Dataset[Any],
    validation: Dataset[Any] | None,
    loss: nn.Module,
    score: Score | None,
    progress: bool,
) -> None:
    """Train until the session is finished; see :func:`patchcxr.training.fit.fit`."""
    config = session.config
    session.module.train()
    with _quiet(), torch.random.fork_rng():
        trainer = _trainer(session, validation is not None, progress)
        if config.precision == "16-mixed" and isinstance(trainer.accelerator, CPUAccelerator):
            raise ConfigError(NO_HALF_ON_CPU)
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(_Steps(session, train, validation, loss, score))
        except SystemExit:
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
        finally:
            session.stages.end()
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, handler)
    session.module.cpu()
    loss.cpu()


def _trainer(session: Session, validates: bool, progress: bool) -> pl.Trainer:
    config = session.config
    try:
        return pl.Trainer(
            max_epochs=config.epochs - session.record.epochs,
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.nodes,
            use_distributed_sampler=False,
            limit_val_batches=1.0 if validates else 0,
            strategy=config.strategy,
            precision=config.precision,  # type: ignore[arg-type]
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress and sys.stdout.isatty(),
            num_sanity_val_steps=0,
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        said = ", ".join(f"{name} {getattr(config, name)}" for name in ("accelerator", "devices", "nodes", "strategy"))
        raise ConfigError(f"a training on {said} cannot begin: {' '.join(str(error).split())}") from error


class _Steps(pl.LightningModule):
    """What happens in a step and after an epoch."""

    def __init__(
        self,
        session: Session,
        train: Dataset[Any],
        validation: Dataset[Any] | None,
        loss: nn.Module,
        score: Score | None,
    ) -> None:
        super().__init__()
        self.module = session.module
        self.data = (train, validation)
        self.loss = loss
        self.session = session
        self.score = score
        self.train_score = copy.deepcopy(score) if score is not None and score.of_training else None
        self.first = session.record.epochs
        self.started = time.monotonic() - session.record.seconds
        self.penalised = [p for p in self.module.parameters() if p.ndim > 1 and p.requires_grad]

    @property
    def epoch(self) -> int:
        """Epoch over all resumed runs, from 0."""
        return self.first + self.current_epoch

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.data[0], self.session.config.seed)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return [] if self.data[1] is None else self._loader(self.data[1], None)

    def _loader(self, data: Dataset[Any], seed: int | None) -> DataLoader[Any]:
        """The batches of this process; with a generator of its own, since a loader draws from the global one."""
        workers = self.session.config.workers
        rank, processes = self.trainer.global_rank, self.trainer.world_size
        batches = Batches(len(data), self.session.config.batch_size, seed, self.first, rank, processes)  # type: ignore[arg-type]
        return DataLoader(
            _AtEpoch(data),
            batch_sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            generator=torch.Generator(),
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.session.config
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        fused = config.precision != "16-mixed"  # fused Adam unscales gradients itself, after the L1 penalty is added
        optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused)
        self.plateau = None
        if config.scheduler == "plateau":
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=config.plateau_factor, patience=config.plateau_patience - 1, eps=0.0
            )
        if self.session.resumed is not None:
            optimizer.load_state_dict(self.session.resumed["optimizer"])
            if self.plateau is not None:
                self.plateau.load_state_dict(self.session.resumed["plateau"])
        return optimizer

    def on_train_epoch_start(self) -> None:
        seed = np.random.SeedSequence([self.session.config.seed, self.epoch, self.global_rank]).generate_state(1)[0]
        torch.manual_seed(int(seed))
        config, stages = self.session.config, self.session.stages
        stages.begin(self.epoch)
        rate = None
        if config.scheduler == "cosine":
            rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * self.epoch / config.epochs))
        elif config.unfreeze is not None:
            rate = stages.learning_rate(self.epoch) or config.learning_rate
        if rate is not None:
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = rate
        self.train_sum = torch.zeros(2, dtype=torch.float64)
        self.val_sum = torch.zeros(2, dtype=torch.float64)
        if self.train_score is not None:
            self.train_score.reset()

    def training_step(self, batch: tuple[Tensor, Tensor], step: int) -> Tensor:
        inputs, target = batch
        logits = self.module(inputs).float()
        loss = self.loss(logits, target)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} in epoch {self.epoch + 1}, step {step + 1}; lower learning_rate "
                f"(now {self.trainer.optimizers[0].param_groups[0]['lr']:g}), check the films for NaN, "
                "or set precision: 32-true"
            )
        self.train_sum += torch.tensor([value * len(inputs), len(inputs)], dtype=torch.float64)
        if self.train_score is not None:
            self.train_score.update(logits.detach(), target)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        l1 = self.session.config.l1
        if l1:
            for parameter in self.penalised:
                if parameter.grad is not None:
                    parameter.grad.add_(parameter.detach().sign(), alpha=l1)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        budget = self.session.config.max_seconds
        if budget is not None:
            spent = time.monotonic() - self.started >= budget
            if self.trainer.strategy.reduce_boolean_decision(spent, all=False):
                self.trainer.should_stop = True

    def on_validation_epoch_start(self) -> None:
        if self.score is not None:
            self.score.reset()

    def validation_step(self, batch: tuple[Tensor, Tensor], step: int) -> None:
        inputs, target = batch
        logits = self.module(inputs).float()
        if not bool(torch.isfinite(logits).all()):
            raise TrainingError(
                f"the network gives NaN or infinite logits for items of validation batch {step + 1} after epoch "
                f"{self.epoch + 1}; check the validation films for NaN, or lower learning_rate"
            )
        value = float(self.loss(logits, target))
        self.val_sum += torch.tensor([value * len(inputs), len(inputs)], dtype=torch.float64)
        if self.score is not None:
            self.score.update(logits, target)

    def on_train_epoch_end(self) -> None:
        row = {"epoch": float(self.epoch + 1), "train_loss": self._mean(self.train_sum)}
        if self.data[1] is not None:
            row["val_loss"] = self._mean(self.val_sum)
            if self.score is not None:
                self.score.counts = self._over_devices(self.score.counts)
                row |= self.score.values()
        if self.train_score is not None:
            self.train_score.counts = self._over_devices(self.train_score.counts)
            row |= {f"train_{name}": value for name, value in self.train_score.values().items()}
        optimizer = self.trainer.optimizers[0]
        row["lr"] = optimizer.param_groups[0]["lr"]
        if self.session.config.unfreeze is not None:
            row["groups"] = float(self.session.stages.training(self.epoch))
        row["seconds"] = time.monotonic() - self.started
        if self.plateau is not None:
            self.plateau.step(row[self.session.config.plateau_monitor])
        self.session.finish_epoch(row, optimizer, self.plateau, write=self.trainer.is_global_zero)
        self.trainer.strategy.barrier("epoch written")
        if self.session.finished:
            self.trainer.should_stop = True

    def _mean(self, total: Tensor) -> float:
        weighted, count = self._over_devices(total).tolist()
        return weighted / count

    def _over_devices(self, counts: Tensor) -> Tensor:
        if self.trainer.world_size == 1:
            return counts
        return self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum").cpu()


class _AtEpoch(Dataset[Any]):
    """Tells the data set the epoch with each index, so that worker processes hear of it too."""

    def __init__(self, data: Dataset[Any]) -> None:
        self.data = data
        self.set_epoch = getattr(data, "set_epoch", None)

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __getitem__(self, place: tuple[int, int]) -> Any:
        epoch, index = place
        if self.set_epoch is not None:
            self.set_epoch(epoch)
        return self.data[index]


class Batches(Sampler[list[tuple[int, int]]]):
    """One process's share of every batch, as pairs of epoch and index.

    All processes cut the same order into the same batches, and each takes
    every ``processes``-th item of each: together they see what one process
    alone would see. So that none is left without an item, a last batch of
    fewer items than processes joins the one before. So does a single last
    item of a shuffled data set, because batch normalisation over one item
    says nothing, and fails where its features are a single pixel; unless
    batches are of one item anyway.

    Parameters
    ----------
    n
        Items of the data set.
    batch_size
        Items of a batch, of all processes together.
    seed
        The order depends on it and on the epoch only; None keeps the items in
        order, always at epoch 0.
    first
        Epoch at which this run starts.
    rank, processes
        Number of this process, and of all.
    """

    def __init__(
        self, n: int, batch_size: int, seed: int | None, first: int = 0, rank: int = 0, processes: int = 1
    ) -> None:
        self.n = n
        self.seed = seed
        self.first = first
        self.epoch = 0 if seed is None else first
        self.rank = rank
        self.processes = processes
        self.ends = [*range(batch_size, n, batch_size), n]
        least = processes if seed is None else max(processes, min(2, batch_size))
        if len(self.ends) > 1 and self.ends[-1] - self.ends[-2] < least:
            del self.ends[-2]

    @property
    def sampler(self) -> Batches:
        """Where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, from 0 in each run."""
        if self.seed is not None:
            self.epoch = self.first + epoch

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.arange(self.n)
        if self.seed is not None:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.n)
        for batch in np.split(order, self.ends[:-1]):
            yield [(self.epoch, int(index)) for index in batch[self.rank :: self.processes]]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice out of the output; its errors still show."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for advice in _ADVICE:
            warnings.filterwarnings("ignore", message=advice)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
