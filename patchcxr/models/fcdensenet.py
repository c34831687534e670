"""FC-DenseNet, the one hundred layers tiramisu (Jégou et al. 2017).

Oh 2020 segments heart and lungs with the variant of 103 layers (section II.A).
The numbers below are those of Jégou's Table 2 and section 4.1.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from patchcxr.errors import ModelError
from patchcxr.models.fcdensenet_inference import infer
from patchcxr.models.fcdensenet_training import grow
from patchcxr.models.inputs import Standardize, check_input

FIRST_FILTERS = 48

VARIANTS: dict[int, tuple[int, tuple[int, ...], int]] = {
    56: (12, (4, 4, 4, 4, 4), 4),
    67: (16, (5, 5, 5, 5, 5), 5),
    103: (16, (4, 5, 7, 10, 12), 15),
}
"""Growth rate, layers of each dense block on the way down, and layers of the bottleneck."""


class DenseLayer(nn.Sequential):
    """BN, ReLU, 3 × 3 convolution, dropout: ``channels`` maps in, ``growth`` new maps out."""

    def __init__(self, channels: int, growth: int, dropout: float) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, growth, 3, padding=1),
            nn.Dropout(dropout),
        )

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The batch normalisation."""
        return cast(nn.BatchNorm2d, self[0])

    @property
    def convolution(self) -> nn.Conv2d:
        """The 3 × 3 convolution."""
        return cast(nn.Conv2d, self[2])

    @property
    def dropout(self) -> nn.Dropout:
        """The dropout."""
        return cast(nn.Dropout, self[3])


class DenseBlock(nn.Module):
    """Layers that each see the block's input and all new maps before them."""

    def __init__(self, channels: int, growth: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(channels + i * growth, growth, dropout) for i in range(layers))
        self.channels = channels
        self.growth = growth
        self.out_channels = channels + layers * growth

    @property
    def dense_layers(self) -> list[DenseLayer]:
        """The layers, in order."""
        return [cast(DenseLayer, layer) for layer in self.layers]

    def forward(self, x: Tensor) -> Tensor:
        """Input and new maps, concatenated: (B, channels + layers · growth, H, W).

        In training mode the same numbers come from
        :func:`~patchcxr.models.fcdensenet_training.grow`, which needs less memory.
        """
        if self._trains():
            return grow(self, x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x

    def _trains(self) -> bool:
        """Whether all layers are in training mode, and none was exchanged, such as for synchronised normalisation."""
        return (
            torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and all(module.training for module in self.modules())
            and all(type(layer.norm) is nn.BatchNorm2d for layer in self.dense_layers)
        )


class TransitionDown(nn.Sequential):
    """BN, ReLU, 1 × 1 convolution, dropout, 2 × 2 max pooling; an odd side loses its last row or column."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
            nn.Dropout(dropout),
            nn.MaxPool2d(2),
        )

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The batch normalisation."""
        return cast(nn.BatchNorm2d, self[0])

    @property
    def convolution(self) -> nn.Conv2d:
        """The 1 × 1 convolution."""
        return cast(nn.Conv2d, self[2])


class TransitionUp(nn.Module):
    """3 × 3 transposed convolution of stride 2, cropped to the skip and concatenated with it.

    Without padding its output has 2n + 1 pixels a side, which covers a skip
    of 2n as well as one of 2n + 1: any input size works.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """New maps of the block below, (B, C, h, w), beside the skip (B, S, H, W): (B, C + S, H, W)."""
        return torch.cat([self.up(x)[:, :, : skip.shape[2], : skip.shape[3]], skip], dim=1)


class Level(NamedTuple):
    """What a level of the network does on the way down and on the way up."""

    block: DenseBlock
    down: TransitionDown
    up: TransitionUp
    joined: DenseBlock


class FCDenseNet(nn.Module):
    """FC-DenseNet56, 67 or 103.

    A transition up carries only the new maps of the dense block below it; the
    last block hands on its input as well. Weights start as He's uniform
    distribution.

    In evaluation mode and without gradients the same numbers come from
    :func:`~patchcxr.models.fcdensenet_inference.infer`, which needs less time
    and memory; hooks on inner layers are then not called.

    Parameters
    ----------
    num_classes
        Channels of the logits.
    variant
        56, 67 or 103 layers.
    in_channels
        Channels of the input; 1 for films.
    dropout
        Share of the values dropped after each convolution (Jégou: 0.2).

    Raises
    ------
    ModelError
        If ``variant`` is not one of :data:`VARIANTS`.

    Examples
    --------
    >>> network = FCDenseNet(num_classes=4, variant=56).eval()
    >>> network(torch.rand(1, 1, 64, 64)).shape
    torch.Size([1, 4, 64, 64])
    """

    def __init__(self, num_classes: int, variant: int = 103, in_channels: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ModelError(f"got FC-DenseNet variant {variant}; expected one of {sorted(VARIANTS)}")
        growth, down, bottleneck = VARIANTS[variant]
        self.in_channels = in_channels
        self.standardize = Standardize()
        self.first = nn.Conv2d(in_channels, FIRST_FILTERS, 3, padding=1)

        channels = FIRST_FILTERS
        skips = []
        self.down_blocks = nn.ModuleList()
        self.downs = nn.ModuleList()
        for layers in down:
            block = DenseBlock(channels, growth, layers, dropout)
            channels = block.out_channels
            skips.append(channels)
            self.down_blocks.append(block)
            self.downs.append(TransitionDown(channels, dropout))

        self.bottleneck = DenseBlock(channels, growth, bottleneck, dropout)
        new = bottleneck * growth

        self.ups = nn.ModuleList()
        self.up_blocks = nn.ModuleList()
        for layers, skip in zip(reversed(down), reversed(skips), strict=True):
            self.ups.append(TransitionUp(new))
            block = DenseBlock(new + skip, growth, layers, dropout)
            channels, new = block.out_channels, layers * growth
            self.up_blocks.append(block)

        self.head = nn.Conv2d(channels, num_classes, 1)
        self.apply(_he_uniform)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W) of films (B, 1, H, W) in [0, 1], sides of 32 pixels or more."""
        check_input(x, self.in_channels, minimum=32)
        x = self.standardize(x)
        if self._evaluates():
            return infer(self, x)
        x = self.first(x)
        skips = []
        for block, down in zip(self.down_blocks, self.downs, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        block = self.bottleneck
        x = block(x)
        for up, above in zip(self.ups, self.up_blocks, strict=True):
            x = above(up(x[:, block.channels :], skips.pop()))
            block = above
        return self.head(x)

    @property
    def levels(self) -> list[Level]:
        """The levels, from the largest maps to the smallest."""
        down = zip(self.down_blocks, self.downs, strict=True)
        up = reversed(list(zip(self.ups, self.up_blocks, strict=True)))
        return [
            Level(cast(DenseBlock, a), cast(TransitionDown, b), cast(TransitionUp, c), cast(DenseBlock, d))
            for (a, b), (c, d) in zip(down, up, strict=True)
        ]

    def _evaluates(self) -> bool:
        """Whether no gradient, dropout, batch statistic or export needs the plain layers."""
        return not (
            torch.is_grad_enabled()
            or torch.compiler.is_compiling()
            or torch.onnx.is_in_onnx_export()
            or any(module.training for module in self.modules())
        )


def _he_uniform(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
