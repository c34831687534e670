"""Probability of the one structure that a binary network marks, whichever way its last layer tells it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from patchcxr.errors import ModelError
from patchcxr.inference.batches import BatchSize
from patchcxr.inference.segmentation import predict_probabilities
from patchcxr.types import AnyArray


class _OneLogit(nn.Module):
    """One logit a pixel: that of a single channel, or the difference of two, whose sigmoid is their softmax."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(x).float()
        channels = logits.shape[1]
        if channels not in (1, 2):
            raise ModelError(
                f"{type(self.network).__name__} has {channels} output channels; expected 1 (a sigmoid) or 2 "
                "(background and structure, a softmax); load a network of num_classes: 1 or 2"
            )
        return logits if channels == 1 else logits[:, 1:] - logits[:, :1]


def foreground_probability(
    model: nn.Module, images: AnyArray, batch_size: int | BatchSize = 8
) -> Iterator[npt.NDArray[np.float32]]:
    """Probability of the structure at every pixel of many films, one batch at a time.

    Parameters
    ----------
    model
        Segmentation network with one channel (the sigmoid of Degerli 2021) or
        with two, the first of them the background (the softmax of Tahir 2021).
    images
        Prepared films (N, H, W), floating point in [0, 1] or uint8.
    batch_size
        Films a forward pass.

    Yields
    ------
    float32 (b, H, W) in [0, 1]

    Raises
    ------
    ModelError
        If the network has more than two channels.
    """
    for batch in predict_probabilities(_OneLogit(model), images, batch_size, activation="sigmoid"):
        yield batch[:, 0]
