"""What every network does with its input: check the shape, standardise the grey levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from patchcxr.errors import ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY_IMAGENET = ((0.449,), (0.226,))
"""ImageNet's mean and standard deviation, each averaged over the colours."""


class Standardize(nn.Module):
    """Subtract a mean and divide by a standard deviation, one of each a channel.

    With three values a grey input (B, 1, H, W) becomes (B, 3, H, W). The
    values are saved with the weights, so that a loaded network standardises
    as it did in training.

    >>> Standardize((0.5,), (0.25,))(torch.tensor([[[[0.0, 1.0]]]])).tolist()
    [[[[-2.0, 2.0]]]]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...] = (0.5,), std: tuple[float, ...] = (0.25,)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise ``x`` of shape (B, C, H, W) in [0, 1]; the result lies channels last in memory."""
        return ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


class StandardizeBatch(nn.Module):
    """Give every batch mean 0 and standard deviation 1 over all its pixels (Hertel 2022, section on preprocessing).

    The batch's own values are used in training and in use, so the scores of a
    film depend on the films beside it: classify film by film for scores that
    do not. Grey inputs (B, 1, H, W) become (B, 3, H, W), as with
    :class:`Standardize`.

    >>> StandardizeBatch()(torch.tensor([[[[0.0, 1.0]]]]))[0, 0].tolist()
    [[-1.0, 1.0]]
    """

    smallest = 1e-3

    def forward(self, x: Tensor) -> Tensor:
        """Standardise ``x`` of shape (B, 1, H, W); the result lies channels last in memory."""
        spread = x.std(correction=0).clamp(min=self.smallest)
        return ((x - x.mean()) / spread).repeat(1, 3, 1, 1).contiguous(memory_format=torch.channels_last)


def check_input(x: Tensor, channels: int, minimum: int = 1, multiple: int = 1) -> None:
    """Refuse a batch that the network cannot take.

    Raises
    ------
    ModelError
        If ``x`` is not (B, channels, H, W), or a side is below ``minimum`` or
        not divisible by ``multiple``.
    """
    if x.ndim != 4 or x.shape[1] != channels:
        raise ModelError(
            f"got an input of shape {tuple(x.shape)}; expected (batch, {channels}, height, width): "
            "give grey films in [0, 1] with a batch and a channel axis"
        )
    height, width = x.shape[2:]
    if min(height, width) < minimum:
        raise ModelError(
            f"got a film of {height} × {width} pixels; expected sides of at least {minimum}: resize it to a larger size"
        )
    if height % multiple or width % multiple:
        nearest = tuple(max(multiple, round(side / multiple) * multiple) for side in (height, width))
        raise ModelError(
            f"got a film of {height} × {width} pixels; expected sides divisible by {multiple}: "
            f"resize it, for instance to {nearest[0]} × {nearest[1]}"
        )
