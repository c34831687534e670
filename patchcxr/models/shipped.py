"""The networks that come with patchcxr: weights in half precision, a model card beside each; nothing is downloaded."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Final

import torch

from patchcxr.errors import CheckpointError, ConfigError
from patchcxr.models.trained import TrainedModel, load_model, save_model

WEIGHTS: Final = Path(__file__).parent / "weights"
SHIPPED: Final = {
    "anatomy": "lungs and heart, with the part of the lungs behind the heart",
    "infection": "infection of the lungs (opacities)",
    "patches": "normal, bacterial, tuberculosis or viral, by the vote of patches",
}
MOST_BYTES: Final = 20_000_000
"""A shipped file is part of the package, which everybody downloads."""


def weights_path(name: str) -> Path:
    """File of a shipped network.

    Raises
    ------
    ConfigError
        If no network has the name.
    CheckpointError
        If this installation lacks its file.
    """
    path = WEIGHTS / f"{_known(name)}.safetensors"
    if not path.is_file():
        raise CheckpointError(
            f"{path}: this installation of patchcxr lacks the weights of its network {name!r}; "
            "install the package again, or give a network of your own (--model, --anatomy)"
        )
    return path


def shipped(name: str) -> TrainedModel:
    """Network that comes with patchcxr, in single precision and in evaluation mode, on the CPU.

    Parameters
    ----------
    name
        One of :data:`SHIPPED`, such as ``anatomy``.

    Raises
    ------
    ConfigError, CheckpointError
        As :func:`weights_path` and :func:`patchcxr.models.trained.load_model`.
    """
    return load_model(weights_path(name))


def card(name: str) -> str:
    """Model card of a shipped network, Markdown: what it was trained and measured on, and what it is not for.

    Raises
    ------
    ConfigError
        If no network has the name.
    CheckpointError
        If this installation lacks the card.
    """
    path = WEIGHTS / f"{_known(name)}.md"
    if not path.is_file():
        raise CheckpointError(f"{path}: this installation of patchcxr lacks this card; install the package again")
    return path.read_text(encoding="utf-8")


def ship(trained: TrainedModel, path: str | Path) -> None:
    """Write a trained network in half precision; :func:`~patchcxr.models.trained.load_model` reads it in single.

    Raises
    ------
    CheckpointError
        If a weight is too large for half precision, or the file for shipping
        (:data:`MOST_BYTES`). Nothing is left behind.
    """
    module = copy.deepcopy(trained.module).half()
    weights = module.state_dict()
    size = sum(value.numel() * value.element_size() for value in weights.values())
    if size > MOST_BYTES:
        raise CheckpointError(
            f"{path}: {trained.config.architecture} takes {size / 1e6:.1f} MB in half precision; "
            f"expected at most {MOST_BYTES / 1e6:.0f}; ship a smaller network"
        )
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{path}: weight {name} is beyond half precision (65504), or not finite; save it with save_model"
            )
    save_model(path, dataclasses.replace(trained, module=module, training={**trained.training, "stored": "float16"}))


def _known(name: str) -> str:
    if name not in SHIPPED:
        raise ConfigError(f"network: got {name!r}; expected one of {', '.join(SHIPPED)}")
    return name
