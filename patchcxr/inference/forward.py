"""What every forward pass needs: a batch, a device, and a network in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from patchcxr.errors import ImageError
from patchcxr.types import AnyArray


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and give each of its modules its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def device_of(model: nn.Module) -> torch.device:
    """Device of a network's weights; the CPU for one without weights."""
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def is_pooled_linear(model: nn.Module) -> bool:
    """Whether logits are a linear function of averaged features, so that Grad-CAM needs no backward pass.

    A network says so by having ``features`` and a linear ``head``: it
    promises ``forward(x) == head(features(x).mean((2, 3)))`` in evaluation mode.
    """
    return callable(getattr(model, "features", None)) and isinstance(getattr(model, "head", None), nn.Linear)


def features_of(model: nn.Module, batch: Tensor) -> Tensor:
    """Features f of a pooled-linear classifier, (B, F, h, w)."""
    network: Any = model
    return network.features(batch)


def pool(model: nn.Module, features: Tensor) -> Tensor:
    """Logits (B, C) of a pooled-linear classifier from its features (B, F, h, w)."""
    return model.get_submodule("head")(features.mean(dim=(2, 3)))


def as_batch(images: AnyArray | Tensor, device: torch.device) -> Tensor:
    """Films as the tensor that all networks take.

    Parameters
    ----------
    images
        (H, W), (N, H, W) or (N, 1, H, W); floating point in [0, 1], or uint8.
    device
        Where the tensor goes.

    Returns
    -------
    float32 (N, 1, H, W) in [0, 1], channels last in memory

    Raises
    ------
    ImageError
        If the shape is another one, or a value is outside [0, 1] or NaN.
    """
    tensor = images if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
    if tensor.dtype == torch.uint8:
        tensor = tensor.float() / 255
    tensor = tensor.detach().float()
    if tensor.ndim == 2:
        tensor = tensor[None]
    if tensor.ndim == 3:
        tensor = tensor[:, None]
    if tensor.ndim != 4 or tensor.shape[1] != 1 or not tensor.numel():
        raise ImageError(
            f"got images of shape {tuple(images.shape)}; expected (H, W), (N, H, W) or (N, 1, H, W) with at "
            "least one pixel; give single-channel films"
        )
    low, high = (float(value) for value in tensor.aminmax())
    if not (low >= -1e-4 and high <= 1 + 1e-4):
        raise ImageError(
            f"got intensities from {low:g} to {high:g}; expected [0, 1]; prepare the film with "
            "preprocessing.geometry.prepare, or divide by its full range"
        )
    return tensor.to(device, memory_format=torch.channels_last)
