"""FC-DenseNet without concatenations, for evaluation.

The plain network copies all maps of a block at each of its layers, and writes
their normalised copy to memory before it convolves it. Here

- each level has one buffer, in which the up-sampled maps, the maps of the way
  down and the new maps lie beside each other from the start, so that nothing
  is ever concatenated;
- batch normalisation, ReLU and convolution run over strips of rows that stay
  in the processor's cache, so that the normalised maps never exist whole.

The numbers are those of the plain network up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

if TYPE_CHECKING:
    from patchcxr.models.fcdensenet import DenseBlock, FCDenseNet, TransitionDown

STRIP_BYTES = 4 * 2**20
"""Size of a strip for each thread of the CPU."""


def infer(network: FCDenseNet, x: Tensor) -> Tensor:
    """Logits (B, num_classes, H, W) of standardised films (B, C, H, W).

    Needs ``torch.no_grad`` or ``torch.inference_mode``, and a network in
    evaluation mode; hooks on its inner layers are not called. On the CPU it
    works film by film, in the memory of one. Under ``torch.autocast`` the
    buffers have autocast's type and the logits are float32.
    """
    device = x.device.type
    if device == "cpu" and len(x) > 1:
        return torch.cat([infer(network, film) for film in x.split(1)])
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype

    buffers = []
    maps = network.first(x)
    for level in network.levels:
        buffers.append(_empty(len(x), level.joined.out_channels, maps.shape[2:], x.device, dtype))
        skip = buffers[-1][:, level.up.up.out_channels : level.joined.channels]
        skip[:, : level.block.channels] = maps
        _fill(level.block, skip)
        maps = _shrink(level.down, skip)

    block = network.bottleneck
    buffer = _empty(len(x), block.out_channels, maps.shape[2:], x.device, dtype)
    buffer[:, : block.channels] = maps
    _fill(block, buffer)
    for level in reversed(network.levels):
        maps = level.up.up(buffer[:, block.channels :])
        block, buffer = level.joined, buffers.pop()
        buffer[:, : maps.shape[1]] = maps[:, :, : buffer.shape[2], : buffer.shape[3]]
        del maps
        _fill(block, buffer)
    return network.head(buffer).to(x.dtype)


def _empty(films: int, channels: int, sides: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.empty((films, channels, *sides), device=device, dtype=dtype, memory_format=torch.channels_last)


def _fill(block: DenseBlock, buffer: Tensor) -> None:
    """Write a block's new maps behind its input, which the buffer holds already."""
    strips = _Strips(buffer, border=1)
    seen = block.channels
    for layer in block.dense_layers:
        convolution = layer.convolution
        weight = convolution.weight.contiguous(memory_format=torch.channels_last)
        new = buffer[:, seen : seen + block.growth]
        for top, strip in strips.activated(buffer[:, :seen], layer.norm):
            made = conv2d(strip, weight, convolution.bias)
            new[:, :, top : top + made.shape[2]] = made
        seen += block.growth


def _shrink(down: TransitionDown, x: Tensor) -> Tensor:
    """What a transition down makes of ``x``."""
    convolution = down.convolution
    height, width = (side // 2 for side in x.shape[2:])
    out = _empty(len(x), x.shape[1], torch.Size((height, width)), x.device, x.dtype)
    x = x[:, :, : 2 * height]
    for top, strip in _Strips(x).activated(x, down.norm):
        made = max_pool2d(conv2d(strip, convolution.weight, convolution.bias), 2)
        out[:, :, top // 2 : top // 2 + made.shape[2]] = made
    return out


class _Strips:
    """Memory for strips of rows of maps like ``x`` (B, C, H, W) or of fewer channels, with a border of zeros.

    The number of rows is even, and such that each thread's part stays in the cache; on other devices than
    the CPU one strip is the whole.
    """

    def __init__(self, x: Tensor, border: int = 0) -> None:
        films, channels, height, width = x.shape
        self.rows = height + height % 2
        if x.device.type == "cpu":
            row_bytes = films * channels * width * x.element_size()
            fitting = STRIP_BYTES * torch.get_num_threads() // row_bytes
            self.rows = min(self.rows, max(4, fitting // 2 * 2))
        self.border = border
        self.memory = x.new_empty(films * channels * (self.rows + 2 * border) * (width + 2 * border))

    def activated(self, x: Tensor, norm: nn.BatchNorm2d) -> Iterator[tuple[int, Tensor]]:
        """First row, and batch normalisation and ReLU of the strip, (B, C, rows + 2 · border, W + 2 · border).

        The border holds the neighbouring rows, and zeros outside of ``x``. Each strip overwrites the last.
        """
        scale = norm.weight * torch.rsqrt(norm.get_buffer("running_var") + norm.eps)
        shift = norm.bias - norm.get_buffer("running_mean") * scale
        scale, shift = (value.to(x.dtype)[:, None, None] for value in (scale, shift))

        films, channels, height, width = x.shape
        border = self.border
        shape = (films, self.rows + 2 * border, width + 2 * border, channels)
        whole = self.memory[: math.prod(shape)].view(shape).permute(0, 3, 1, 2)
        if border:
            whole[:, :, :, :border] = 0
            whole[:, :, :, -border:] = 0
        for top in range(0, height, self.rows):
            first, stop = max(0, top - border), min(height, top + self.rows + border)
            strip = whole[:, :, : min(self.rows, height - top) + 2 * border]
            start = first - (top - border)
            end = start + stop - first
            torch.addcmul(shift, x[:, :, first:stop], scale, out=strip[:, :, start:end, border : border + width])
            strip[:, :, :start] = 0
            strip[:, :, end:] = 0
            yield top, strip.relu_()
