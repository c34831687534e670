"""A network with all that is needed to use it: classes, image size, preprocessing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

import patchcxr
from patchcxr.config import from_dict, to_dict
from patchcxr.errors import CheckpointError, ConfigError, ModelError
from patchcxr.io.checkpoint import load_weights, save_weights
from patchcxr.models.fitting import fitting_networks
from patchcxr.models.registry import CLASSIFIERS, SEGMENTERS, ModelConfig, create_model
from patchcxr.models.state_dicts import misfits


@dataclass(frozen=True)
class TrainedModel:
    """A trained network and how to feed it.

    Attributes
    ----------
    module
        The network; :func:`load_model` gives it in evaluation mode.
    config
        How it was built.
    classes
        Names of its classes, in channel order; one name for a binary mask.
    image_size
        Side in pixels of the films or patches it was trained on.
    preprocessing
        How the films were prepared, as plain values.
    training
        How it was trained, as plain values: seed, epochs, best score, and so on.
    """

    module: nn.Module
    config: ModelConfig
    classes: tuple[str, ...]
    image_size: int
    preprocessing: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) != self.config.num_classes:
            raise ConfigError(
                f"got {len(self.classes)} class names {tuple(self.classes)} for a network of "
                f"{self.config.num_classes} classes; give one name a channel"
            )

    @property
    def kind(self) -> Literal["segmenter", "classifier"]:
        """What the network gives: a class for each pixel, or for each film."""
        return "segmenter" if self.config.architecture in SEGMENTERS else "classifier"

    def require(
        self,
        classes: Sequence[str] | None = None,
        kind: Literal["segmenter", "classifier"] | None = None,
        where: str | Path = "network",
    ) -> None:
        """Refuse a network of another kind or of other classes than a task needs.

        Parameters
        ----------
        classes
            Names of the classes that the task needs, in channel order; None takes any.
        kind
            What the task needs; None takes either.
        where
            What the message calls the network: its file.

        Raises
        ------
        CheckpointError
            If the network does not fit the task.
        """
        name = self.config.architecture
        if kind is not None and kind != self.kind:
            fit = ", ".join(SEGMENTERS if kind == "segmenter" else CLASSIFIERS)
            raise CheckpointError(
                f"{where}: holds the {self.kind} {name}; expected a {kind} ({fit}); give the file of another training"
            )
        if classes is not None and self.classes != tuple(classes):
            order = " in this order" if sorted(self.classes) == sorted(classes) else ""
            raise CheckpointError(
                f"{where}: {name} tells {', '.join(self.classes)} apart; expected {', '.join(classes)}{order}; "
                "give the file of a network that was trained for these classes"
            )


def save_model(path: str | Path, trained: TrainedModel) -> None:
    """Write a trained network to one safetensors file; see :func:`load_model`.

    Of the path of an encoder's checkpoint only the file's name is kept.

    Raises
    ------
    CheckpointError
        If ``preprocessing`` or ``training`` hold values that JSON cannot.
    """
    checkpoint = trained.config.encoder_checkpoint
    config = dataclasses.replace(trained.config, encoder_checkpoint=checkpoint and Path(checkpoint).name)
    description = {
        "model": to_dict(config),
        "classes": list(trained.classes),
        "image_size": trained.image_size,
        "preprocessing": to_dict(trained.preprocessing),
        "training": {"patchcxr_version": patchcxr.__version__, **to_dict(trained.training)},
    }
    save_weights(path, trained.module.state_dict(), description)


def load_model(path: str | Path) -> TrainedModel:
    """Read a trained network; nothing is downloaded and no code in the file is run.

    Returns
    -------
    TrainedModel
        With its module in evaluation mode, on the CPU.

    Raises
    ------
    CheckpointError
        If the file is missing, is not one of ours, or its weights do not fit
        the network that it names.
    """
    weights, description = load_weights(path)
    try:
        config = from_dict(ModelConfig, description["model"], where=f"{path}: model")
        described: dict[str, Any] = {
            "classes": tuple(str(name) for name in description["classes"]),
            "image_size": int(description["image_size"]),
            "preprocessing": dict(description["preprocessing"]),
            "training": dict(description["training"]),
        }
        bare = dataclasses.replace(config, encoder_weights=None, encoder_checkpoint=None)
        _check_fit(path, weights, bare)
        trained = TrainedModel(module=create_model(bare, seed=0).eval(), config=config, **described)
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(
            f"{path}: the description lacks {error.args[0]!r}; expected a file written by save_model"
        ) from None
    except ConfigError as error:
        raise CheckpointError(f"{error}; the file is damaged or was written by another version of patchcxr") from None
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{path}: the description cannot be used ({type(error).__name__}: {reason}); expected that of save_model; "
            "the file is damaged"
        ) from None
    trained.module.load_state_dict(weights)
    return trained


def _check_fit(path: str | Path, weights: dict[str, Tensor], config: ModelConfig) -> None:
    """Refuse weights of another network than the described one, before it is made: it may be of any size."""
    try:
        with torch.device("meta"):
            expected = create_model(config).state_dict()
    except (ModelError, RuntimeError):  # old versions of timm need values; any other fault is raised once more
        expected = create_model(config, seed=0).state_dict()
    faults = misfits(weights, expected)
    if faults:
        others = fitting_networks(weights, config)
        raise CheckpointError(
            f"{path}: the weights do not fit {config.architecture} with {config.num_classes} classes "
            f"({len(faults)} faults, the first: {faults[0]}); they fit {' and '.join(others) or 'no known network'}; "
            "the file is damaged or mislabelled: write it again with save_model"
        )
