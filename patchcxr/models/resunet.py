"""ResUnet (Zhang, Liu, Wang 2018), the lung segmentation of Hertel 2022."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from patchcxr.models.inputs import Standardize, check_input

FILTERS = (64, 128, 256, 512)


class ResidualUnit(nn.Module):
    """Pre-activation residual unit: twice BN, ReLU and 3 × 3 convolution, plus the shortcut.

    The shortcut is a 1 × 1 convolution, since each unit changes the number of
    maps or the size. ``activate=False`` leaves out the first BN and ReLU, as
    the unit that sees the film does.
    """

    def __init__(self, channels: int, filters: int, stride: int = 1, activate: bool = True) -> None:
        super().__init__()
        before = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)] if activate else []
        self.residual = nn.Sequential(
            *before,
            nn.Conv2d(channels, filters, 3, stride=stride, padding=1),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
            nn.Conv2d(filters, filters, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(channels, filters, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, H, W) to (B, filters, H / stride, W / stride)."""
        return self.residual(x) + self.shortcut(x)


class ResUNet(nn.Module):
    """ResUnet of seven levels: three encoders (64, 128, 256 filters), bridge (512), three decoders.

    Size is halved by strides, not pooling, and doubled by nearest-neighbour
    upsampling before the concatenation with the skip.

    Parameters
    ----------
    num_classes
        Channels of the logits.
    in_channels
        Channels of the input; 1 for films.
    filters
        Filters of each level, from the top down; the last is the bridge.
    """

    def __init__(self, num_classes: int, in_channels: int = 1, filters: tuple[int, ...] = FILTERS) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.standardize = Standardize()
        self.encoders = nn.ModuleList([ResidualUnit(in_channels, filters[0], activate=False)])
        self.encoders.extend(ResidualUnit(above, here, stride=2) for above, here in pairwise(filters))
        levels = filters[::-1]
        self.decoders = nn.ModuleList(ResidualUnit(below + here, here) for below, here in pairwise(levels))
        self.head = nn.Conv2d(filters[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W) of films (B, 1, H, W) in [0, 1], sides divisible by 8."""
        check_input(x, self.in_channels, multiple=2 ** (len(self.encoders) - 1))
        x = self.standardize(x)
        skips: list[Tensor] = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        skips.pop()
        for decoder in self.decoders:
            larger = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = decoder(torch.cat([larger, skips.pop()], dim=1))
        return self.head(x)
