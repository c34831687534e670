"""Grad-CAM (Selvaraju 2017; Oh 2020, eq. 3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from patchcxr.errors import ConfigError, ModelError
from patchcxr.explain.gradients import check_classes, forward_with_features, gradient_map
from patchcxr.inference.forward import (
    as_batch,
    check_logits,
    device_of,
    evaluating,
    features_of,
    has_closed_form,
    is_pooled_linear,
    pool,
)
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
        where the network allows it and ``layer`` is not given. Whether it
        does is tried, once a network
        (:func:`~patchcxr.inference.forward.has_closed_form`).
    layer
        Module whose output is f of eq. 3, the last convolutional block as a
        rule. None leaves it to
        :func:`~patchcxr.explain.gradients.find_layer` where the gradient is
        needed; that costs a forward pass of one image.

    Returns
    -------
    float32 (B, H, W)

    Raises
    ------
    ModelError
        If a target is no class of the network, its logits are not finite,
        the layer gives no feature maps, or the identity does not hold.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    >>> grad_cam(network, torch.rand(4, 16, 16), targets=[0, 1, 2, 0]).shape
    (4, 16, 16)
    """
    if normalization not in NORMALIZATIONS:
        raise ConfigError(f"normalization: got {normalization!r}; expected one of {NORMALIZATIONS}")
    batch = as_batch(images, device_of(model))
    identity = uses_identity(model, method, layer, batch.shape[2:])
    with evaluating(model), torch.inference_mode(identity), torch.set_grad_enabled(not identity):
        classes = torch.as_tensor(targets, dtype=torch.long, device=batch.device)
        if classes.ndim and classes.shape != batch.shape[:1]:
            raise ModelError(
                f"got targets of shape {tuple(classes.shape)} for {len(batch)} images; expected one class, or one for "
                "each image; give as many targets as images"
            )
        classes = classes.expand(len(batch))
        if identity:
            features = features_of(model, batch)
            check_logits(pool(model, features))
            maps = pooled_linear_maps(model, features, classes)
        else:
            maps = gradient_map(*forward_with_features(model, batch, layer), classes)[:, None]
        scaled = upsample(scale_maps(maps.float(), batch.shape[2:], normalization), batch.shape[2:])
        return (scaled if normalization == "none" else scaled.clamp_(0, 1))[:, 0].numpy(force=True)


class ClassCams(NamedTuple):
    """Softmax of each image, float32 (B, C); and its Grad-CAM for each class asked for, float32 (B, C', H, W)."""

    probabilities: FloatArray
    maps: FloatArray


def grad_cam_of_classes(
    model: nn.Module,
    images: AnyArray | Tensor,
    classes: Sequence[int] | None = None,
    normalization: str = "minmax",
    method: str = "auto",
    layer: nn.Module | None = None,
) -> ClassCams:
    """Probabilities of each image and its Grad-CAM for several classes, from one forward pass.

    Parameters
    ----------
    model, images, normalization, method, layer
        As for :func:`grad_cam`.
    classes
        Class indices, in this order; None maps all.
    """
    if normalization not in NORMALIZATIONS:
        raise ConfigError(f"normalization: got {normalization!r}; expected one of {NORMALIZATIONS}")
    batch = as_batch(images, device_of(model))
    identity = uses_identity(model, method, layer, batch.shape[2:])
    with evaluating(model), torch.inference_mode(identity), torch.set_grad_enabled(not identity):
        logits, maps = class_maps(model, batch, classes, identity, layer)
        scaled = upsample(scale_maps(maps, batch.shape[2:], normalization), batch.shape[2:])
        scaled = scaled if normalization == "none" else scaled.clamp_(0, 1)
        return ClassCams(logits.softmax(dim=1).numpy(force=True), scaled.numpy(force=True))


def class_maps(
    model: nn.Module, batch: Tensor, classes: Sequence[int] | None, identity: bool, layer: nn.Module | None
) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and Grad-CAM at feature resolution (B, C', u, v), float32, of a network in evaluation mode."""
    if identity:
        features = features_of(model, batch).float()
        with torch.autocast(batch.device.type, enabled=False):
            logits = check_logits(pool(model, features))
            return logits, pooled_linear_maps(model, features, _indices(classes, logits)[None])
    logits, features = forward_with_features(model, batch, layer)
    wanted = _indices(classes, logits)
    maps = [gradient_map(logits, features, c.expand(len(logits)), retain_graph=True) for c in wanted]
    return logits.detach().float(), torch.stack(maps, dim=1).float()


def _indices(classes: Sequence[int] | None, logits: Tensor) -> Tensor:
    wanted = range(logits.shape[1]) if classes is None else classes
    return torch.as_tensor(list(wanted), dtype=torch.long, device=logits.device)


def uses_identity(model: nn.Module, method: str, layer: nn.Module | None, size: Sequence[int]) -> bool:
    """Whether ``method`` means the closed form for this network and images of this height and width.

    Raises
    ------
    ModelError
        If the identity is asked for and does not hold.
    """
    if method not in METHODS:
        raise ConfigError(f"method: got {method!r}; expected one of {METHODS}")
    if method == "autograd":
        return False
    holds = layer is None and has_closed_form(model, size)
    if method == "identity" and not holds:
        fault = "its logits are not head(mean of features)" if layer is None and is_pooled_linear(model) else ""
        raise ModelError(
            f"got {type(model).__name__} for the identity{fault and ': ' + fault}; expected features(), their mean "
            "and a linear head with nothing between, and no layer; use method='autograd'"
        )
    return holds


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


def upsample(maps: Tensor, size: Sequence[int]) -> Tensor:
    """UP of eq. 3: bilinear, pixel centres aligned, (B, C, u, v) to (B, C, H, W)."""
    return functional.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def scale_maps(maps: Tensor, size: Sequence[int], normalization: str) -> Tensor:
    """Scale each map of (B, C, u, v) so that it lies on the scale of ``normalization`` once it is upsampled.

    The weights of an interpolated pixel add up to 1, so that scaling before
    :func:`upsample` is scaling after it, on far fewer numbers. The largest
    and the smallest pixel are found without the others: between neighbouring
    features the map is bilinear, so they lie where such a stretch begins or
    ends in both directions.

    A map whose range is below 1e-6 of its maximum counts as constant: what
    is left then is rounding.

    Parameters
    ----------
    maps
        Not negative, (B, C, u, v).
    size
        Height and width that the maps will have.
    normalization
        See :func:`grad_cam`.
    """
    if normalization == "none":
        return maps
    rows, columns = (_ends(cells, pixels).to(maps) for cells, pixels in zip(maps.shape[2:], size, strict=True))
    with torch.autocast(maps.device.type, enabled=False):
        ends = rows @ maps @ columns.T
    high = ends.amax(dim=(2, 3), keepdim=True)
    low = ends.amin(dim=(2, 3), keepdim=True) if normalization == "minmax" else torch.zeros_like(high)
    span = high - low
    return (maps - low) * torch.where(span > 1e-6 * high, 1 / span, 0)


def _ends(cells: int, pixels: int) -> Tensor:
    """Weights (n, cells) of the first and last pixel of each stretch over which interpolation is linear."""
    weights = functional.interpolate(torch.eye(cells)[None], size=pixels, mode="linear", align_corners=False)[0].T
    stretch = (weights > 0).int().argmax(dim=1)
    begins = torch.ones(pixels, dtype=torch.bool)
    begins[1:] = stretch[1:] != stretch[:-1]
    return weights[begins | begins.roll(-1)]
