"""Scores of a whole validation pass, summed up batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from patchcxr.measure.classification import classification_scores


class Score(ABC):
    """A number that judges a network after each epoch; higher is better.

    Attributes
    ----------
    name
        Column of the history, and the name that ``TrainConfig.monitor`` takes.
    counts
        What :meth:`update` adds up.
    of_training
        Whether the training items are scored too, as they are met in the epoch: augmented, and by weights that change.
    """

    name: str
    counts: Tensor
    of_training = False

    def reset(self) -> None:
        """Forget all batches."""
        self.counts = torch.zeros_like(self.counts)

    @abstractmethod
    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add a batch."""

    @abstractmethod
    def compute(self) -> float:
        """Score of all batches since :meth:`reset`; NaN where it is undefined."""

    def values(self) -> dict[str, float]:
        """The score and what goes with it, by their columns in the history."""
        return {self.name: self.compute()}


class MacroF1(Score):
    """F1 averaged over classes, on which Oh 2020 stops early, with the accuracy; an absent class is left out."""

    name = "macro_f1"
    of_training = True

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add logits (B, C) and class indices (B,)."""
        pairs = (target * self.num_classes + logits.argmax(1)).flatten()
        confusion = torch.bincount(pairs, minlength=self.num_classes**2).reshape(self.num_classes, self.num_classes)
        self.counts += confusion.to(self.counts.device)

    def compute(self) -> float:
        """Macro-F1 in [0, 1]."""
        return classification_scores(self.counts.numpy())["macro"]["f1"]

    def values(self) -> dict[str, float]:
        """Macro-F1 and accuracy."""
        return super().values() | {"accuracy": float(self.counts.diagonal().sum() / self.counts.sum())}


class MeanDice(Score):
    """Dice of each class over all pixels of the set, averaged over the classes but the background.

    One channel is a mask with a sigmoid, cut at 0.5; more channels are classes
    of which the first is the background.
    """

    name = "dice"

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(3, max(2, num_classes), dtype=torch.int64)

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Add logits (B, C, H, W), and labels (B, H, W) or, for one channel, masks (B, 1, H, W)."""
        predicted = (logits > 0).long() if self.num_classes == 1 else logits.argmax(1)
        target = target.long()
        size = self.counts.shape[1]
        both = torch.where(predicted == target, target, size).flatten()
        counts = [torch.bincount(both, minlength=size + 1)[:size]]
        counts += [torch.bincount(labels.flatten(), minlength=size) for labels in (predicted, target)]
        self.counts += torch.stack(counts).to(self.counts.device)

    def compute(self) -> float:
        """Mean Dice in [0, 1]; a class that is neither there nor predicted is left out."""
        overlap, predicted, truth = self.counts[:, 1:].double()
        total = predicted + truth
        return float((2 * overlap / total)[total > 0].mean()) if (total > 0).any() else float("nan")
