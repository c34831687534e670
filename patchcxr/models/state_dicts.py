"""Weights by name, compared with those that a network has."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def misfits(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """What is missing, unknown or of another shape, in words.

    Counters of batches may be missing, as in files of early PyTorch.

    >>> import torch
    >>> misfits({"head.weight": torch.zeros(2, 3), "tail": torch.zeros(1)}, {"head.weight": torch.zeros(4, 3)})
    ['tail is unknown', 'head.weight has shape (2, 3), expected (4, 3)']
    """
    needed = [name for name in expected if name in weights or not name.endswith("num_batches_tracked")]
    faults = [f"{name} is missing" for name in needed if name not in weights]
    faults += [f"{name} is unknown" for name in weights if name not in expected]
    faults += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in needed
        if name in weights and weights[name].shape != expected[name].shape
    ]
    return faults
