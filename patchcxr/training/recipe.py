"""The recipe of a training, as a configuration states it."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from patchcxr.config import config
from patchcxr.errors import ConfigError
from patchcxr.training.augmentation import AugmentConfig, named_augmentation
from patchcxr.training.datasets import Sampler
from patchcxr.training.stages import UnfreezeConfig

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
NO_HALF_ON_CPU = (
    "precision: got '16-mixed' on the CPU, which cannot scale losses; expected 32-true or bf16-mixed there, "
    "or another accelerator"
)


@config
class TrainConfig:
    """Recipe of a training; the optimiser is Adam.

    Attributes
    ----------
    epochs
        Most epochs to train.
    batch_size
        Items a step, of all processes together.
    learning_rate
        At the start.
    weight_decay
        L2 penalty, added to the gradient of all weights (as ``torch.optim.Adam`` does).
    l1
        L1 penalty on the weights of convolutions and linear layers; not in the logged losses.
    scheduler
        ``plateau`` multiplies the learning rate by ``plateau_factor`` when
        ``plateau_monitor`` (a loss) has not fallen for ``plateau_patience``
        epochs in a row. ``cosine`` lets it fall from epoch to epoch along half
        a cosine, from ``learning_rate`` in the first towards 0 after the last:
        what short trainings from random weights need to settle.
    early_stopping_patience
        Epochs in a row without a better ``monitor`` after which training
        stops; None for never.
    monitor
        ``val_loss``, ``train_loss`` or the name of the score. The weights of
        its best epoch are kept.
    monitor_mode
        ``min``, ``max``, or ``auto``: losses fall, scores rise.
    seed
        Seed of the order of items and of dropout. The data sets have their own.
    precision
        ``32-true``, ``bf16-mixed`` (on the CPU as well) or ``16-mixed`` (not
        on the CPU). Weights, loss and score are float32 in each of them.
    accelerator, devices, nodes, strategy
        Where to train, handed to Lightning's Trainer: devices a machine, and
        machines. See :func:`patchcxr.training.fit.fit` for several processes.
    workers
        Processes that load items; 0 loads in the main process.
    max_seconds
        Stop at the step at which this much time is spent, over all resumed
        runs. A training with a time budget is not reproducible.
    augment
        Ranges of the augmentation, or None; for those who build the data
        set. A configuration file may give the name of a paper's (see
        :data:`patchcxr.training.augmentation.AUGMENTATIONS`).
    sampler
        ``uniform`` or ``balanced``; for those who build the data set.
    start_from
        Path of another trained network whose weights this one starts with,
        wherever they fit (see :func:`patchcxr.training.start.start_from`); for
        those who build the network. None starts as the model's configuration says.
    unfreeze
        Train the head alone first, then more and more layers (Hertel 2022);
        None trains all from the start. It states the rate of each stage, so
        ``scheduler`` is ``none``. ``early_stopping_patience`` counts from the
        epoch in which all layers train.
    frozen_statistics
        Whether batch normalisation keeps its running mean and variance and
        works with them, as in evaluation (Hertel 2022).
    """

    epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    l1: float = 0.0
    scheduler: Literal["none", "plateau", "cosine"] = "none"
    plateau_factor: float = 0.1
    plateau_patience: int = 3
    plateau_monitor: Literal["train_loss", "val_loss"] = "train_loss"
    early_stopping_patience: int | None = None
    monitor: str = "val_loss"
    monitor_mode: Literal["auto", "min", "max"] = "auto"
    seed: int = 0
    precision: str = "32-true"
    workers: int = 0
    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    max_seconds: float | None = None
    augment: Annotated[AugmentConfig | None, pydantic.BeforeValidator(named_augmentation)] = None
    sampler: Sampler = "uniform"
    start_from: str | None = None
    unfreeze: UnfreezeConfig | None = None
    frozen_statistics: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "plateau_patience", "devices", "nodes", "workers"):
            least = 0 if name == "workers" else 1
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: got {getattr(self, name)}; expected {least} or more")
        if self.batch_size % self.processes:
            raise ConfigError(
                f"batch_size: got {self.batch_size} for {self.processes} processes (devices x nodes), which share a "
                f"batch; expected a multiple of {self.processes}"
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision: got {self.precision!r}; expected one of {', '.join(PRECISIONS)}")
        if self.precision == "16-mixed" and self.accelerator == "cpu":
            raise ConfigError(NO_HALF_ON_CPU)
        if not self.learning_rate > 0 or self.weight_decay < 0 or self.l1 < 0:
            raise ConfigError(
                f"got learning_rate={self.learning_rate}, weight_decay={self.weight_decay}, l1={self.l1}; "
                "expected a learning rate above 0 and penalties of 0 or more"
            )
        if not 0 < self.plateau_factor < 1:
            raise ConfigError(f"plateau_factor: got {self.plateau_factor}; expected a factor between 0 and 1")
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ConfigError(
                f"early_stopping_patience: got {self.early_stopping_patience}; expected 1 or more, or none"
            )
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ConfigError(f"max_seconds: got {self.max_seconds}; expected seconds above 0, or none")
        if self.unfreeze is not None and self.scheduler != "none":
            raise ConfigError(
                f"scheduler: got {self.scheduler!r} with unfreeze, which states the learning rate of each stage; set "
                "scheduler: none, or remove unfreeze"
            )
        if self.unfreeze is not None and self.processes > 1:
            raise ConfigError(
                f"unfreeze: got {self.processes} processes (devices x nodes), which share gradients of the same "
                "weights from start to end; train on one device, or remove unfreeze"
            )

    @property
    def processes(self) -> int:
        """Processes that train together, one a device."""
        return self.devices * self.nodes

    @property
    def mode(self) -> Literal["min", "max"]:
        """Whether a good ``monitor`` is low or high."""
        if self.monitor_mode == "auto":
            return "min" if self.monitor.endswith("loss") else "max"
        return self.monitor_mode
