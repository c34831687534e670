"""The classic U-Net (Ronneberger et al. 2015), the baseline of Oh 2020, Tables XIII and XIV."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from patchcxr.models.inputs import Standardize, check_input

FILTERS = (64, 128, 256, 512, 1024)


class DoubleConvolution(nn.Sequential):
    """Twice a 3 × 3 convolution, BN and ReLU."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__(
            nn.Conv2d(channels, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
            nn.Conv2d(filters, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """U-Net of five levels, 64 to 1024 filters, with 2 × 2 up-convolutions.

    Departures from Ronneberger: convolutions are padded, so that the output
    has the size of the input, and each is followed by batch normalisation.

    Parameters
    ----------
    num_classes
        Channels of the logits.
    in_channels
        Channels of the input; 1 for films.
    filters
        Filters of each level, from the top down.
    """

    def __init__(self, num_classes: int, in_channels: int = 1, filters: tuple[int, ...] = FILTERS) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.standardize = Standardize()
        self.encoders = nn.ModuleList(
            DoubleConvolution(above, here) for above, here in zip((in_channels, *filters), filters, strict=False)
        )
        levels = filters[::-1]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(below, here, 2, stride=2) for below, here in pairwise(levels))
        self.decoders = nn.ModuleList(DoubleConvolution(2 * here, here) for here in levels[1:])
        self.head = nn.Conv2d(filters[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W) of films (B, 1, H, W) in [0, 1], sides divisible by 16."""
        check_input(x, self.in_channels, multiple=2 ** (len(self.encoders) - 1))
        x = self.standardize(x)
        skips: list[Tensor] = []
        for encoder in self.encoders:
            x = encoder(nn.functional.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(torch.cat([skips.pop(), up(x)], dim=1))
        return self.head(x)
