"""The general way to Grad-CAM: the last maps of any convolutional classifier, and the gradient of a score there."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from patchcxr.errors import ModelError
from patchcxr.inference.forward import check_logits, features_of, has_closed_form, pool

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def find_layer(model: nn.Module, batch: Tensor) -> nn.Module:
    """Module whose output Grad-CAM explains where none is named.

    The attribute ``trunk`` if the network has it. Else one forward pass of
    the first image finds the last convolution that gives a map and no single
    pixel (as those of squeeze-and-excitation do), and of the modules that run
    after it, once, and give maps of that size the last one: ``layer4`` of a
    ResNet, ``features`` of a DenseNet, with the norm and the ReLU of the last
    block where they are modules.

    Parameters
    ----------
    model
        Classifier in evaluation mode.
    batch
        Images (B, 1, H, W).

    Raises
    ------
    ModelError
        If no module gives maps of shape (B, F, h, w).
    """
    trunk = getattr(model, "trunk", None)
    if isinstance(trunk, nn.Module):
        return trunk
    runs: Counter[nn.Module] = Counter()
    order: list[tuple[nn.Module, tuple[int, ...]]] = []

    def remember(module: nn.Module, inputs: object, output: Any) -> None:
        runs[module] += 1
        if isinstance(output, Tensor) and output.ndim == 4:
            order.append((module, tuple(output.shape[2:])))

    with ExitStack() as hooks, torch.no_grad():
        for module in model.modules():
            hooks.callback(module.register_forward_hook(remember).remove)
        model(batch[:1].clone())
    convolutions = [place for place, (module, _) in enumerate(order) if isinstance(module, _CONVOLUTIONS)]
    maps = [place for place in convolutions if order[place][1] != (1, 1)] or convolutions
    if maps:
        after = order[maps[-1] :]
        found = [module for module, size in after if size == after[0][1] and runs[module] == 1 and module is not model]
        if found:
            return found[-1]
    raise ModelError(
        f"no module of {type(model).__name__} gives feature maps (B, F, h, w) after a convolution; expected a "
        "convolutional classifier; give the block to explain, such as layer=model.layer4"
    )


def forward_with_features(model: nn.Module, batch: Tensor, layer: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and the features that they depend on, with the graph between them alone.

    Without a layer the features are those of the closed form if the network
    has it, else the output of :func:`find_layer`. What comes before the layer
    leaves no graph, which saves its memory. The hook on the layer is gone
    when this returns or raises. It hands a copy of the features on, so that
    an activation that works in place does not change them.

    Raises
    ------
    ModelError
        If the layer does not give one output of shape (B, F, h, w), or the
        logits are not finite.
    """
    if layer is None and has_closed_form(model, batch.shape[2:]):
        with torch.no_grad():
            features = features_of(model, batch)
        features.requires_grad_()
        return check_logits(pool(model, features)), features
    layer = find_layer(model, batch) if layer is None else layer
    seen: list[Any] = []

    def begin(module: nn.Module, inputs: object, output: Any) -> Any:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            seen.append(output)
            return output
        seen.append(output.detach().requires_grad_())
        torch.set_grad_enabled(True)  # until no_grad ends below
        return seen[-1].clone()

    handle = layer.register_forward_hook(begin)
    try:
        with torch.no_grad():
            logits = model(batch.clone())
    finally:
        handle.remove()
    if len(seen) != 1 or not isinstance(seen[0], Tensor) or seen[0].ndim != 4:
        got = [tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__ for output in seen]
        raise ModelError(
            f"layer {type(layer).__name__} gave {got} in one forward pass; expected one output of shape (B, F, h, w); "
            "give a convolutional block of this network that runs once"
        )
    return check_logits(logits), seen[0]


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

    Raises
    ------
    ModelError
        If a class is none of the network's, its score does not depend on the
        features, or the gradient is not finite.
    """
    scores = logits.gather(1, check_classes(classes, logits.shape[1])[:, None])
    gradient = None
    if scores.requires_grad:
        (gradient,) = torch.autograd.grad(scores.sum(), features, retain_graph=retain_graph, allow_unused=True)
    if gradient is None:
        raise ModelError(
            "the logits do not depend on the output of the layer to explain; give a block that they are computed from"
        )
    alpha = gradient.mean(dim=(2, 3))  # (4), Z = uv
    maps = torch.einsum("bk,bkuv->buv", alpha, features.detach()).relu()  # (3)
    if not maps.isfinite().all():
        raise ModelError(
            "the gradient of a score is NaN or infinite; expected finite numbers; check the network's weights, or "
            "explain another layer"
        )
    return maps


def check_classes(classes: Tensor, known: int) -> Tensor:
    """Return ``classes`` if a network of ``known`` classes has them all."""
    if classes.numel() and not (classes.min() >= 0 and classes.max() < known):
        raise ModelError(
            f"got classes {sorted(set(classes.flatten().tolist()))} for a network of {known} classes; "
            f"expected 0 to {known - 1}; correct the target"
        )
    return classes
