"""Start a training from the weights of another trained network."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import nn

from patchcxr.errors import TrainingError
from patchcxr.io.checkpoint import load_weights

log = logging.getLogger(__name__)

LEAST_SHARE: Final = 0.5
"""Share of a network's values that another one has to give; with less it is hardly the same network."""


class Start(NamedTuple):
    """What a network took from another one.

    Attributes
    ----------
    path
        File of the other network, as it was given.
    tensors, of_tensors
        Weights and statistics taken, and how many the network has.
    share
        Share of the network's single values that were taken, in [0.5, 1].
    left
        Names of the weights that keep their own start, such as the head's.
    """

    path: str
    tensors: int
    of_tensors: int
    share: float
    left: tuple[str, ...]

    @property
    def name(self) -> str:
        """File and folder of the other network, without the folders above."""
        return "/".join(Path(self.path).parts[-2:])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the description of a trained network."""
        return {"tensors": self.tensors, "of_tensors": self.of_tensors, "share": self.share}


def start_from(module: nn.Module, path: str | Path) -> Start:
    """Give a network the weights of another trained one wherever name and shape agree; in place.

    An infection network so starts with the encoder and decoder of an anatomy
    network and a new head. Weights in half precision are taken as float32.

    Parameters
    ----------
    module
        Network to start.
    path
        File written by :func:`patchcxr.models.trained.save_model`; environment
        variables and ``~`` are expanded.

    Raises
    ------
    CheckpointError
        If the file is missing or not one of ours.
    TrainingError
        If less than half of the network's values fit.
    """
    given, description = load_weights(Path(os.path.expandvars(path)).expanduser())
    own = module.state_dict()
    fitting = [name for name, value in own.items() if name in given and given[name].shape == value.shape]
    size = sum(value.numel() for value in own.values())
    share = sum(own[name].numel() for name in fitting) / size if size else 0.0
    if share < LEAST_SHARE:
        other = description.get("model", {})
        raise TrainingError(
            f"start_from: {path} is a {other.get('architecture', 'network of unknown architecture')} with "
            f"{other.get('num_classes', '?')} classes and encoder {other.get('encoder')}, of which {len(fitting)} of "
            f"{len(own)} weights fit this {type(module).__name__} ({share:.0%} of its values); expected at least "
            f"{LEAST_SHARE:.0%}; start from a network of the same architecture and encoder, or remove start_from"
        )
    with torch.no_grad():
        for name in fitting:
            own[name].copy_(given[name])
    left = tuple(name for name in own if name not in set(fitting))
    log.info("started from %s: %d of %d weights, %.1f %% of the values", path, len(fitting), len(own), 100 * share)
    return Start(str(path), len(fitting), len(own), round(share, 6), left)
