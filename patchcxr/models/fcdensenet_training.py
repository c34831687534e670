"""A dense block that trains without concatenations, in a fraction of the memory (Pleiss et al. 2017).

The plain block keeps, for its backward pass, the input of each layer twice:
concatenated, and normalised. Here all maps lie in one buffer, the mean and
variance of a map are measured once and not by each layer that reads it, and
the backward pass computes the normalised maps again. The numbers are those of
the plain block up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from patchcxr.errors import ModelError

if TYPE_CHECKING:
    from patchcxr.models.fcdensenet import DenseBlock


def grow(block: DenseBlock, x: Tensor) -> Tensor:
    """Input and new maps of a block in training mode, (B, channels + layers · growth, H, W).

    Hooks on the block's layers are not called. Under ``torch.autocast`` the
    maps have autocast's type.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x = x.to(torch.get_autocast_dtype(device))
    if len(x) * x.shape[2] * x.shape[3] < 2:
        raise ModelError("got a single value a map to normalise in training; give larger films, or two or more")
    parameters = [parameter for layer in block.dense_layers for parameter in layer.parameters()]
    return _Grow.apply(x, block, *parameters)


class _Grow(torch.autograd.Function):
    """All layers of a block; parameters come as scale, shift, weight and bias of each layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, block: DenseBlock, *parameters: Tensor) -> Tensor:
        shape = (len(x), block.out_channels, *x.shape[2:])
        buffer = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        buffer[:, : block.channels] = x
        variance, mean = torch.var_mean(x.to(parameters[0].dtype), (0, 2, 3), correction=0)
        count = x.numel() // x.shape[1]
        masks: list[Tensor | None] = []
        seen = block.channels
        for i, layer in enumerate(block.dense_layers):
            norm, dropout = layer.norm, layer.dropout
            _track(norm, mean, variance * count / (count - 1))
            scale, shift, weight, bias = parameters[4 * i : 4 * i + 4]
            strength = scale * torch.rsqrt(variance + norm.eps)
            maps = _activate(buffer[:, :seen], strength, shift - mean * strength)
            new = torch.conv2d(maps, weight.to(maps.dtype), bias.to(maps.dtype), padding=1)
            mask = nn.functional.dropout(torch.ones_like(new), dropout.p) if dropout.p else None
            if mask is not None:
                new *= mask
            masks.append(mask)
            buffer[:, seen : seen + block.growth] = new
            more = torch.var_mean(new.to(mean.dtype), (0, 2, 3), correction=0)
            variance, mean = torch.cat([variance, more[0]]), torch.cat([mean, more[1]])
            seen += block.growth
        ctx.block, ctx.masks = block, masks
        ctx.save_for_backward(buffer, mean, variance, *parameters)
        return buffer

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        block = ctx.block
        buffer, mean, variance, *parameters = ctx.saved_tensors
        gradient = gradient.clone(memory_format=torch.channels_last)
        found: list[Tensor] = []
        layers = block.dense_layers
        seen = block.out_channels
        for i in reversed(range(len(layers))):
            seen -= block.growth
            scale, shift, weight, _ = parameters[4 * i : 4 * i + 4]
            norm = layers[i].norm
            inverse = torch.rsqrt(variance[:seen] + norm.eps)
            strength = scale * inverse
            # A copy, since PyTorch's backward pass of batch normalisation is slow on part of a buffer.
            read = buffer[:, :seen].contiguous(memory_format=torch.channels_last)
            maps = _activate(read, strength, shift - mean[:seen] * strength)
            new = gradient[:, seen : seen + block.growth]
            new = new.contiguous(memory_format=torch.channels_last) if ctx.masks[i] is None else new * ctx.masks[i]
            back, weight_gradient, bias_gradient = torch.ops.aten.convolution_backward(
                new, maps, weight.to(maps.dtype), [block.growth], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True] * 3
            )
            back = torch.ops.aten.threshold_backward(back, maps, 0)
            to_input, scale_gradient, shift_gradient = torch.ops.aten.native_batch_norm_backward(
                back, read, scale, None, None, mean[:seen], inverse, True, norm.eps, [True] * 3
            )
            gradient[:, :seen] += to_input
            found[:0] = [
                scale_gradient,
                shift_gradient,
                weight_gradient.to(weight.dtype),
                bias_gradient.to(weight.dtype),
            ]
        return gradient[:, : block.channels], None, *found


def _activate(x: Tensor, strength: Tensor, shift: Tensor) -> Tensor:
    """ReLU(strength · x + shift), a value of each a map."""
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    strength, shift = (value.to(x.dtype)[:, None, None] for value in (strength, shift))
    return torch.addcmul(shift, x, strength, out=out).relu_()


def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Let the running statistics follow, as ``nn.BatchNorm2d`` does."""
    momentum = 0.1 if norm.momentum is None else norm.momentum
    norm.get_buffer("running_mean").lerp_(mean, momentum)
    norm.get_buffer("running_var").lerp_(variance, momentum)
    norm.get_buffer("num_batches_tracked").add_(1)
