"""Inception-v3 with maps of exactly half the side at each level, as decoders with skips need."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn.functional import pad

_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3")
_POOLS = ("Pool1", "Pool2")
_REDUCTIONS = ("Mixed_6a", "Mixed_7a")


def keep_sizes(encoder: nn.Module) -> None:
    """Pad what Inception-v3 leaves unpadded, in place; weights and their names stay.

    timm's Inception-v3, like the paper's, does not pad several convolutions
    and poolings: 224 pixels become 109, 52, 25, 12 and 5. With one pixel of
    zeros around each of these they become 112, 56, 28, 14 and 7, as in the
    U-Net that Degerli 2021 used, and as segmentation_models_pytorch does with
    Inception-v4. Inside the maps nothing changes.

    Parameters
    ----------
    encoder
        ``tu-inception_v3`` of segmentation_models_pytorch.
    """
    trunk = encoder.get_submodule("model")
    for name in _STEM:
        cast(nn.Conv2d, trunk.get_submodule(f"{name}.conv")).padding = (1, 1)
    for name in _POOLS:
        cast(nn.MaxPool2d, trunk.get_submodule(name)).padding = 1
    for name in _REDUCTIONS:
        trunk.get_submodule(name).register_forward_pre_hook(_pad_input)


def _pad_input(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (pad(inputs[0], (1, 1, 1, 1)),)
