"""What every forward pass needs: a batch, a device, and a network in evaluation mode."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from patchcxr.errors import ImageError, ModelError
from patchcxr.types import AnyArray

PROMISE_TOLERANCE: Final = 1e-3
"""Largest difference between two ways to the same logits, as a share of their terms; 50 times that in bfloat16."""

_kept: weakref.WeakKeyDictionary[nn.Module, tuple[weakref.ref[nn.Module], bool]] = weakref.WeakKeyDictionary()


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


def has_closed_form(model: nn.Module, size: Sequence[int]) -> bool:
    """Whether a network says that it is pooled-linear (:func:`is_pooled_linear`), and is.

    Its two ways to the logits are compared on two images, noise and a ramp,
    once a network and head; what was found is remembered as long as the
    network lives. A network with a norm, a ReLU or a second layer between
    ``features`` and ``head`` is found out here.

    Parameters
    ----------
    model
        Classifier of (B, 1, H, W).
    size
        Height and width of its images.
    """
    if not is_pooled_linear(model):
        return False
    head = model.get_submodule("head")
    known = _kept.get(model)
    if known is not None and known[0]() is head:
        return known[1]
    keeps = _keeps_promise(model, size)
    if keeps is None:
        return True
    _kept[model] = (weakref.ref(head), keeps)
    return keeps


def _keeps_promise(model: nn.Module, size: Sequence[int]) -> bool | None:
    """Whether ``forward`` is ``head`` of the mean of ``features``; None where weights that are not finite hide it."""
    noise = torch.rand(tuple(size), generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(0, 1, noise.numel()).reshape(noise.shape)
    weight = model.get_submodule("head").get_parameter("weight")
    with evaluating(model), torch.inference_mode():
        images = as_batch(torch.stack([noise, ramp]), weight.device)
        features = features_of(model, images)
        if not isinstance(features, Tensor) or features.ndim != 4 or features.shape[1] != weight.shape[1]:
            return False
        promised, given = pool(model, features), model(images)
        if not isinstance(given, Tensor) or given.shape != promised.shape:
            return False
        if not promised.isfinite().all():
            return None
        terms = (features.float().mean(dim=(2, 3)).abs() @ weight.float().abs().T).max()
        allowed = PROMISE_TOLERANCE * (1 if features.dtype.itemsize >= 4 else 50) * terms + 1e-5 * promised.abs().max()
        return bool((given - promised).abs().max() <= allowed)


def check_logits(logits: Any) -> Tensor:
    """Return the logits (B, C) of a batch.

    Raises
    ------
    ModelError
        If they are of another shape, NaN or infinite.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ModelError(f"got logits of {got}; expected (B, C); give a classifier with one output")
    bad = (~logits.isfinite()).any(dim=1)
    if bad.any():
        raise ModelError(
            f"the network gives NaN or infinite logits for {int(bad.sum())} of {len(logits)} images; expected finite "
            "numbers; check its weights (a training that diverged?) and the images"
        )
    return logits


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
