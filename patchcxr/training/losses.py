"""Losses: weighted cross-entropy (Oh 2020, eq. 2), its form for partial labels, focal plus Dice (Degerli 2021).

Those that a configuration can name are in :data:`SEGMENTATION_LOSSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.types import AnyArray, FloatArray


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy with a weight a class (Oh 2020, eq. 2; without weights Tahir 2021, eq. 1).

    Eq. 2 sums over pixels. Here, as in PyTorch, the sum is divided by the sum
    of the weights of the targets, so that the loss depends neither on the
    size of the film nor on the scale of the weights. Without weights that is
    the mean over all pixels, eq. 1 of Tahir.

    Parameters
    ----------
    weights
        The lambda of eq. 2, one a class; None weighs all classes alike.

    Examples
    --------
    >>> loss = WeightedCrossEntropy([1.0, 3.0])
    >>> round(float(loss(torch.zeros(2, 2), torch.tensor([0, 1]))), 4)
    0.6931
    """

    weights: Tensor | None

    def __init__(self, weights: Sequence[float] | FloatArray | None = None) -> None:
        super().__init__()
        values = None if weights is None else torch.as_tensor(np.asarray(weights), dtype=torch.float32)
        self.register_buffer("weights", values)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (B, C) or (B, C, H, W) against class indices (B,) or (B, H, W)."""
        if self.weights is not None and len(self.weights) != logits.shape[1]:
            raise TrainingError(
                f"got {len(self.weights)} class weights for {logits.shape[1]} classes; give one weight a class"
            )
        return functional.cross_entropy(logits, target, weight=self.weights)  # eq. 2


class PartialCrossEntropy(nn.Module):
    """Cross-entropy for pixels of which only a set of possible classes is known.

    The probability of a set is the sum over its classes, and the loss its
    negative logarithm, averaged over the pixels (the marginal loss of Shi et
    al. 2021, Medical Image Analysis 70:101979, for partially labelled organs).
    A set of one class gives the cross-entropy; a set of all classes gives 0.

    Examples
    --------
    >>> loss = PartialCrossEntropy()
    >>> round(float(loss(torch.zeros(1, 4, 1, 1), torch.tensor([[[0b0011]]]))), 4)
    0.6931
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (B, C, H, W) against sets (B, H, W): bit c is set where class c is possible."""
        bits = torch.arange(logits.shape[1], device=target.device)
        possible = (target[:, None] >> bits[:, None, None]) & 1
        if not bool(possible.any(1).all()):
            raise TrainingError("a pixel has no possible class; expected at least one bit of each target")
        chosen = logits.masked_fill(possible == 0, -torch.inf).logsumexp(1)
        return (logits.logsumexp(1) - chosen).mean()


class HybridLoss(nn.Module):
    """Focal loss plus Dice loss of a binary mask (Degerli 2021, eq. 5 and 7).

    The focal loss is the mean over all pixels. The Dice loss is taken of each
    film, then averaged: eq. 7 sums over the height and width of one mask.
    Degerli sums both without weights.

    Parameters
    ----------
    alpha
        Weight of the positive class in eq. 5; 1 - alpha is the negative's.
    gamma
        Focusing parameter of eq. 5; 0 gives the balanced cross-entropy of eq. 4.
    smooth
        Added to numerator and denominator of eq. 7, so that an empty mask has
        a Dice loss between 0, for an empty prediction, and 1, and not 0 / 0.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, smooth: float = 1.0) -> None:
        super().__init__()
        if not 0 <= alpha <= 1 or gamma < 0 or smooth <= 0:
            raise ConfigError(
                f"got alpha={alpha}, gamma={gamma}, smooth={smooth}; "
                "expected alpha from 0 to 1, gamma of 0 or more and smooth above 0"
            )
        self.alpha = alpha
        self.gamma = gamma
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (B, 1, H, W) against masks (B, 1, H, W) of 0 and 1."""
        _check_masks(logits, target)
        return self.focal(logits, target) + self.dice(logits, target)

    def focal(self, logits: Tensor, target: Tensor) -> Tensor:
        """Focal loss, the mean over all pixels."""
        p = target.to(logits.dtype)
        log_q, log_1_q = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        q = logits.sigmoid()
        positive = -self.alpha * (1 - q) ** self.gamma * p * log_q
        negative = -(1 - self.alpha) * q**self.gamma * (1 - p) * log_1_q
        return (positive + negative).mean()  # eq. 5

    def dice(self, logits: Tensor, target: Tensor) -> Tensor:
        """Dice loss of each film, averaged over the batch."""
        return dice_loss(logits, target, self.smooth)


class DiceLoss(nn.Module):
    """Dice loss of a binary mask, alone (Degerli 2021, eq. 7; see :class:`HybridLoss` for ``smooth``)."""

    def __init__(self, smooth: float = 1.0) -> None:
        super().__init__()
        if smooth <= 0:
            raise ConfigError(f"got smooth={smooth}; expected a number above 0")
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (B, 1, H, W) against masks (B, 1, H, W) of 0 and 1."""
        _check_masks(logits, target)
        return dice_loss(logits, target, self.smooth)


class BinaryCrossEntropy(nn.Module):
    """Cross-entropy of a binary mask (Degerli 2021, eq. 3), the mean over all pixels."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (B, 1, H, W) against masks (B, 1, H, W) of 0 and 1."""
        _check_masks(logits, target)
        return functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))  # eq. 3


SEGMENTATION_LOSSES: Final[dict[str, Callable[[FloatArray | None], nn.Module]]] = {
    "cross_entropy": WeightedCrossEntropy,
    "hybrid": lambda weights: HybridLoss(),
    "dice": lambda weights: DiceLoss(),
    "bce": lambda weights: BinaryCrossEntropy(),
}
"""Losses of segmentation networks by name, each made from the weights of the classes.

``cross_entropy`` is for a softmax over two or more channels, the others are
for one channel with a sigmoid and know no weights.
"""


def check_loss(name: str, channels: int, where: str) -> None:
    """Refuse a loss that is unknown or does not fit a network's channels.

    Raises
    ------
    ConfigError
        The message starts with ``where``, the stage of the configuration.
    """
    if name not in SEGMENTATION_LOSSES:
        raise ConfigError(f"{where}.loss: got {name!r}; expected one of {', '.join(SEGMENTATION_LOSSES)}")
    if (channels > 1) != (name == "cross_entropy"):
        fitting = [other for other in SEGMENTATION_LOSSES if (other == "cross_entropy") == (channels > 1)]
        raise ConfigError(
            f"{where}.loss: got {name!r} for a network of num_classes: {channels}; expected {' or '.join(fitting)}, "
            f"or num_classes: {'1 (a sigmoid)' if channels > 1 else '2 or more (a softmax)'}"
        )


def dice_loss(logits: Tensor, target: Tensor, smooth: float) -> Tensor:
    """Dice loss of each film, averaged over the batch; logits and masks (B, 1, H, W)."""
    p = target.to(logits.dtype).flatten(1)
    q = logits.sigmoid().flatten(1)
    overlap = 2 * (p * q).sum(1) + smooth
    return (1 - overlap / (p.sum(1) + q.sum(1) + smooth)).mean()  # eq. 7


def _check_masks(logits: Tensor, target: Tensor) -> None:
    if logits.shape != target.shape:
        raise TrainingError(
            f"got logits of shape {tuple(logits.shape)} and masks of shape {tuple(target.shape)}; "
            "expected (batch, 1, height, width) for both: use a network with num_classes: 1"
        )


def class_weights(counts: AnyArray, scheme: Literal["balanced", "sqrt", "none"] | str = "balanced") -> FloatArray:
    """Weight of each class from how often it occurs, with mean 1 over the classes that occur.

    Parameters
    ----------
    counts
        Cases, or pixels, of each class (C,).
    scheme
        ``balanced``: inverse to the count; ``sqrt``: inverse to its square
        root; ``none``: all 1.

    Returns
    -------
    numpy.ndarray
        Weights (C,); 0 for a class that does not occur, except with ``none``.

    Raises
    ------
    ConfigError
        If the scheme is unknown.
    TrainingError
        If no class occurs, or a count is negative.

    Examples
    --------
    >>> class_weights([30, 10]).tolist()
    [0.5, 1.5]
    """
    counts = np.asarray(counts, dtype=np.float64)
    powers = {"balanced": -1.0, "sqrt": -0.5, "none": 0.0}
    if scheme not in powers:
        raise ConfigError(f"class_weights: got {scheme!r}; expected one of {', '.join(powers)}")
    if counts.ndim != 1 or (counts < 0).any() or not counts.any():
        raise TrainingError(f"got class counts {counts.tolist()}; expected one count a class, at least one above 0")
    if scheme == "none":
        return np.ones(len(counts))
    occurs = counts > 0
    weights = np.zeros(len(counts))
    weights[occurs] = counts[occurs] ** powers[scheme]
    return weights / weights[occurs].mean()
