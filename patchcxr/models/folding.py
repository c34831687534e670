"""Batch normalisation folded into the convolutions before it: the same network, less traffic of memory.

In evaluation mode batch normalisation multiplies each channel by a constant and adds another, which the weights and the
bias of the convolution before it can do as well. Outputs differ by rounding alone.
"""

from __future__ import annotations

import copy
import logging
from typing import Final

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

TOLERANCE: Final = 2e-5
"""Largest difference of the outputs, as a share of the largest of them."""
CHECKED: Final = 128
"""Side of the images for the check, in pixels, at most."""

log = logging.getLogger(__name__)


def fold_batch_norm(model: nn.Module, side: int) -> nn.Module:
    """A copy of a network in evaluation mode, with batch normalisation folded away where it follows a convolution.

    Which module follows which is taken from the order in which they are declared, and then checked: both networks see
    noise and a ramp. Where their outputs differ by more than rounding, the copy keeps its batch normalisation.

    Parameters
    ----------
    model
        Network of films (N, 1, H, W); it is left as it is.
    side
        Of the images for the check, in pixels.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    >>> fold_batch_norm(network, 8)
    Sequential(
      (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    """
    plain = copy.deepcopy(model).eval()
    weight = next(model.parameters(), torch.zeros(0))
    side = min(side, CHECKED)
    noise = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    images = torch.cat([noise, torch.linspace(0, 1, side).expand(1, 1, side, side)]).to(weight)
    try:
        folded = _folded(copy.deepcopy(plain))
        with torch.inference_mode():
            expected, found = plain(images), folded(images)
            same = torch.allclose(found, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max()))
    except Exception as error:  # whatever a network of the user's does with its parts, it can do without folding
        log.info("batch normalisation is kept: %s", error)
        return plain
    if not same:
        log.info("batch normalisation is kept: the network without it gives other outputs")
        return plain
    return folded


def _folded(model: nn.Module) -> nn.Module:
    for parent in model.modules():
        before: nn.Module | None = None
        for name, child in list(parent.named_children()):
            if isinstance(before, nn.Conv2d) and isinstance(child, nn.BatchNorm2d) and _fits(before, child):
                _fold(before, child)
                # timm's batch normalisation brings its activation with it.
                setattr(parent, name, getattr(child, "act", None) or nn.Identity())
            before = child
    return model


def _fits(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    return norm.running_mean is not None and norm.num_features == convolution.out_channels


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
