"""The networks of Degerli 2021 for infection: U-Net, UNet++ and DLA on four encoders.

They differ from those of segmentation_models_pytorch of the same names, and
have the sizes that Table 8 of the paper states: nested decoders have a fixed
number of filters a level, and DenseNet hands on the maps of its transitions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from patchcxr.models.unet import DoubleConvolution

UNET_FILTERS = (256, 128, 64, 32, 16)
"""Filters of the U-Net's decoder, from the smallest maps to the largest."""

NESTED_FILTERS = (32, 64, 128, 256, 16)
"""Filters of the nodes of levels 0 to 4.

The 16 on level 4, where 512 would be expected, follow from Table 8: with them
and with no others the three nested networks have its numbers of parameters.
"""


class NestedDecoder(nn.Module):
    """Grid of nodes between encoder and output (Zhou 2018): UNet++, or with short skips only UNet+.

    Level i has maps of 1 / 2^i of the film's side; node (i, 0) is the encoder's.
    Node (i, j) sees the up-sampled node (i + 1, j - 1) and, on its own level,
    node (i, j - 1), or with ``dense`` all nodes before it. Level 0 has the
    output's node only, which sees the up-sampled node (1, 4).

    Parameters
    ----------
    encoder_channels
        Maps of the film and of the encoder's levels 1 to 5.
    filters
        Filters of the nodes of levels 0 to 4.
    dense
        Whether a node sees all nodes before it on its level (UNet++); Degerli
        2021 calls the network without these long skips DLA.
    """

    def __init__(
        self, encoder_channels: Sequence[int], filters: Sequence[int] = NESTED_FILTERS, dense: bool = False
    ) -> None:
        super().__init__()
        self.dense = dense
        self.depth = len(filters)
        self.nodes = nn.ModuleDict()
        channels = {level: [count] for level, count in enumerate(encoder_channels)}
        for j in range(1, self.depth):
            for level in range(1, self.depth - j + 1):
                left = channels[level] if dense else channels[level][-1:]
                seen = channels[level + 1][j - 1] + sum(left)
                self.nodes[f"{level}_{j}"] = DoubleConvolution(seen, filters[level])
            for level in range(1, self.depth - j + 1):
                channels[level].append(filters[level])
        self.nodes[f"0_{self.depth}"] = DoubleConvolution(channels[1][-1], filters[0])

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps (B, filters[0], H, W) from the film and the encoder's maps of levels 1 to 5."""
        grid = [[maps] for maps in features]
        for j in range(1, self.depth):
            for level in range(1, self.depth - j + 1):
                left = grid[level] if self.dense else grid[level][-1:]
                seen = torch.cat([_double(grid[level + 1][j - 1]), *left], dim=1)
                grid[level].append(self.nodes[f"{level}_{j}"](seen))
        return self.nodes[f"0_{self.depth}"](_double(grid[1][-1]))


def _double(maps: Tensor) -> Tensor:
    return nn.functional.interpolate(maps, scale_factor=2, mode="nearest")


class TransitionSkips(nn.Module):
    """A DenseNet of segmentation_models_pytorch that hands on the maps of its transitions.

    They come after the transition's 1 × 1 convolution, before its pooling, and
    are half as many as the maps before it. Keys of the weights stay the same.
    """

    output_stride = 32

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.features = encoder.get_submodule("features")
        transitions = [self.features.get_submodule(f"transition{i}.conv") for i in (1, 2, 3)]
        first = self.features.get_submodule("conv0")
        last = self.features.get_submodule("norm5")
        self.out_channels = [
            first.in_channels,
            first.out_channels,
            *(transition.out_channels for transition in transitions),
            last.num_features,
        ]

    def forward(self, x: Tensor) -> list[Tensor]:
        """The film and the maps of levels 1 to 5."""
        stages = dict(self.features.named_children())
        maps = stages["relu0"](stages["norm0"](stages["conv0"](x)))
        features = [x, maps]
        maps = stages["pool0"](maps)
        for i in (1, 2, 3):
            transition = dict(stages[f"transition{i}"].named_children())
            maps = transition["relu"](transition["norm"](stages[f"denseblock{i}"](maps)))
            features.append(transition["conv"](maps))
            maps = transition["pool"](features[-1])
        features.append(stages["norm5"](stages["denseblock4"](maps)).relu())
        return features


class DegerliNetwork(nn.Module):
    """Encoder, decoder and head, built like a network of segmentation_models_pytorch.

    Parameters
    ----------
    decoder
        ``unet``, ``unetplusplus`` or ``dla``.
    encoder_name, encoder_weights, in_channels, classes
        As in segmentation_models_pytorch.
    """

    def __init__(
        self, decoder: str, encoder_name: str, encoder_weights: str | bool | None, in_channels: int, classes: int
    ) -> None:
        super().__init__()
        from segmentation_models_pytorch.base import SegmentationHead
        from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
        from segmentation_models_pytorch.encoders import get_encoder

        self.encoder = get_encoder(encoder_name, in_channels=in_channels, depth=5, weights=encoder_weights)
        if encoder_name.startswith("densenet"):
            self.encoder = TransitionSkips(self.encoder)
        channels = self.encoder.out_channels
        if decoder == "unet":
            self.decoder, last = UnetDecoder(channels, UNET_FILTERS), UNET_FILTERS[-1]
        else:
            self.decoder, last = NestedDecoder(channels, dense=decoder == "unetplusplus"), NESTED_FILTERS[0]
        self.segmentation_head = SegmentationHead(last, classes, kernel_size=3)
        initialize_decoder(self.decoder)
        initialize_head(self.segmentation_head)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of standardised films (B, in_channels, H, W)."""
        return self.segmentation_head(self.decoder(self.encoder(x)))
