"""Grad-CAM (Selvaraju 2017; Oh 2020, eq. 3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from patchcxr.errors import ConfigError, ModelError
from patchcxr.inference.forward import as_batch, device_of, evaluating, features_of, is_pooled_linear, pool
from patchcxr.types import AnyArray, FloatArray, IntArray

NORMALIZATIONS = ("minmax", "max", "none")
METHODS = ("auto", "autograd", "identity")


def grad_cam(
    model: nn.Module,
    images: AnyArray | Tensor,
    targets: int | Sequence[int] | IntArray | Tensor,
    normalization: str = "minmax",
    method: str = "auto",
    layer: nn.Module | None = None,
) -> FloatArray:
    """Grad-CAM of each image for its own class (Oh 2020, eq. 3 and 4).

    Parameters
    ----------
    model
        Classifier of (B, 1, H, W). It works in evaluation mode, and has its
        own mode back afterwards.
    images
        (B, H, W) or (B, 1, H, W) in [0, 1].
    targets
        Class index of each image, or one for all.
    normalization
        ``minmax``: each map to [0, 1], as in the paper. ``max``: each map
        divided by its maximum. ``none``: as eq. 3 gives it before it is
        normalised, with Z the number of pixels of a feature map.
        A constant map becomes 0 under ``minmax``, and a map of zeros stays 0.
    method
        ``identity``: the closed form for classifiers that end in a mean over
        the features and a linear layer; no backward pass. ``autograd``: the
        gradient, for any convolutional classifier. ``auto``: the closed form
        where the network allows it and ``layer`` is not given.
    layer
        Module whose output is f of eq. 3, the last convolutional block as a
        rule. Needed for networks without ``features`` and a linear ``head``.

    Returns
    -------
    float32 (B, H, W)

    Raises
    ------
    ModelError
        If a target is no class of the network, or ``layer`` is missing or
        gives no feature maps.
    """
    if normalization not in NORMALIZATIONS:
        raise ConfigError(f"normalization: got {normalization!r}; expected one of {NORMALIZATIONS}")
    identity = uses_identity(model, method, layer)
    with evaluating(model), torch.inference_mode(identity), torch.set_grad_enabled(not identity):
        batch = as_batch(images, device_of(model))
        classes = torch.as_tensor(targets, dtype=torch.long, device=batch.device)
        if classes.ndim and classes.shape != batch.shape[:1]:
            raise ModelError(
                f"got targets of shape {tuple(classes.shape)} for {len(batch)} images; expected one class, or one for "
                "each image; give as many targets as images"
            )
        classes = classes.expand(len(batch))
        if identity:
            maps = pooled_linear_maps(model, features_of(model, batch), classes)
        else:
            maps = gradient_map(*forward_with_features(model, batch, layer), classes)[:, None]
        return normalize(upsample(maps, batch.shape[2:]), normalization)[:, 0].numpy(force=True)


def uses_identity(model: nn.Module, method: str, layer: nn.Module | None) -> bool:
    """Whether ``method`` means the closed form for this network."""
    if method not in METHODS:
        raise ConfigError(f"method: got {method!r}; expected one of {METHODS}")
    if method == "auto":
        return layer is None and is_pooled_linear(model)
    if method == "identity" and not (layer is None and is_pooled_linear(model)):
        raise ModelError(
            f"got {type(model).__name__} for the identity; expected features(), a linear head, and no layer; "
            "use method='autograd'"
        )
    return method == "identity"


def pooled_linear_maps(model: nn.Module, features: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM at feature resolution without a backward pass.

    With y_c = sum_k w_ck mean_i f_i^k the derivative of eq. 4 is w_ck / (uv)
    at every pixel i, so its sum is w_ck.

    Parameters
    ----------
    model
        Pooled-linear classifier.
    features
        f of eq. 3, (B, F, u, v).
    classes
        Class of each sample, int (B,), or classes for all samples, int (1, C).

    Returns
    -------
    (B, C, u, v), C = 1 where each sample has its own class
    """
    weight = model.get_submodule("head").get_parameter("weight")
    check_classes(classes, len(weight))
    z = features.shape[2] * features.shape[3]
    if classes.ndim == 1:
        alpha = weight[classes] / z  # (4)
        return torch.einsum("bk,bkuv->buv", alpha, features).relu()[:, None]  # (3)
    alpha = weight[classes[0]] / z  # (4)
    return functional.conv2d(features, alpha[:, :, None, None]).relu()  # (3)


def gradient_map(logits: Tensor, features: Tensor, classes: Tensor, retain_graph: bool = False) -> Tensor:
    """Grad-CAM at feature resolution, (B, u, v), by a backward pass.

    The gradient is that of the sum of y_c over the samples, each with its own
    class: in evaluation mode no sample depends on another, so each has the
    gradient of its own score.

    Parameters
    ----------
    logits
        (B, C), with the graph that leads to them from ``features``.
    features
        f of eq. 3, (B, F, u, v).
    classes
        Class c of each sample, int (B,).
    retain_graph
        Keep the graph for another class.
    """
    scores = logits.gather(1, check_classes(classes, logits.shape[1])[:, None])
    (gradient,) = torch.autograd.grad(scores.sum(), features, retain_graph=retain_graph)
    alpha = gradient.mean(dim=(2, 3))  # (4), Z = uv
    return torch.einsum("bk,bkuv->buv", alpha, features.detach()).relu()  # (3)


def forward_with_features(model: nn.Module, batch: Tensor, layer: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and the features that they depend on, with the graph between them; gradients must be on.

    The hook on ``layer`` is gone when this returns. It hands a copy of the
    features on, so that an activation that works in place does not change them.
    """
    if layer is None and is_pooled_linear(model):
        with torch.no_grad():
            features = features_of(model, batch)
        features.requires_grad_()
        return pool(model, features), features
    if layer is None:
        raise ModelError(
            f"{type(model).__name__} has no features() with a linear head; expected a layer; "
            "give its last convolutional block, such as layer=model.layer4"
        )
    seen: list[Any] = []

    def remember(module: nn.Module, inputs: object, output: Any) -> Any:
        seen.append(output)
        return output.clone() if isinstance(output, Tensor) else output

    handle = layer.register_forward_hook(remember)
    try:
        logits = model(batch.clone().requires_grad_())
    finally:
        handle.remove()
    if len(seen) != 1 or not isinstance(seen[0], Tensor) or seen[0].ndim != 4:
        got = [tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__ for output in seen]
        raise ModelError(
            f"layer {type(layer).__name__} gave {got} in one forward pass; expected one output of shape (B, F, h, w); "
            "give a convolutional block of this network that runs once"
        )
    return logits, seen[0]


def check_classes(classes: Tensor, known: int) -> Tensor:
    """Return ``classes`` if a network of ``known`` classes has them all."""
    if classes.numel() and not (classes.min() >= 0 and classes.max() < known):
        raise ModelError(
            f"got classes {sorted(set(classes.flatten().tolist()))} for a network of {known} classes; "
            f"expected 0 to {known - 1}; correct the target"
        )
    return classes


def upsample(maps: Tensor, size: Sequence[int]) -> Tensor:
    """UP of eq. 3: bilinear, pixel centres aligned, (B, C, u, v) to (B, C, H, W)."""
    return functional.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def normalize(maps: Tensor, normalization: str) -> Tensor:
    """Bring each map of (B, C, H, W) to the scale that ``normalization`` names (see :func:`grad_cam`).

    A map whose range is below 1e-6 of its maximum counts as constant: what
    is left then is rounding.
    """
    if normalization == "none":
        return maps
    high = maps.amax(dim=(2, 3), keepdim=True)
    low = maps.amin(dim=(2, 3), keepdim=True) if normalization == "minmax" else torch.zeros_like(high)
    span = high - low
    return (maps - low).mul_(torch.where(span > 1e-6 * high, 1 / span, 0))
