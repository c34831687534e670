"""CheXNet, DenseNet-121 trained on ChestX-ray14 (Rajpurkar 2017), from a file that the user has.

Two layouts are read: that of github.com/arnoweng/CheXNet (colour input,
ImageNet's standardisation, keys of an early torchvision) and that of
torchxrayvision (grey input from -1024 to 1024).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from patchcxr.errors import CheckpointError
from patchcxr.models.inputs import GREY_IMAGENET, Standardize
from patchcxr.models.state_dicts import misfits, read_state_dict

_OLD_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.")
_PREFIXES = ("module.", "model.", "densenet121.")
_LISTED = 6


class CheXNet(NamedTuple):
    """Weights of the encoder, and the standardisation that they were trained with.

    Attributes
    ----------
    weights
        By their names in torchvision's DenseNet-121, ``features.…``; the first convolution has one input channel.
    standardize
        From films in [0, 1] to what the weights expect.
    """

    weights: dict[str, Tensor]
    standardize: Standardize


def read_chexnet(path: str | Path, expected: dict[str, Tensor]) -> CheXNet:
    """Read a checkpoint of CheXNet; no code in the file is run.

    Colour weights of the first convolution are summed, as grey films have
    three equal colours.

    Parameters
    ----------
    path
        File of ``torch.save`` with a ``state_dict``, bare or below the key ``state_dict``.
    expected
        The ``state_dict`` of the encoder for grey films; its keys and shapes decide what fits.

    Raises
    ------
    CheckpointError
        If the file is missing, is not readable without running code, or does
        not fit DenseNet-121; the message lists what does not fit.
    """
    weights = {_modern(name): value for name, value in read_state_dict(path).items()}
    weights = {name: value for name, value in weights.items() if name.startswith("features.")}
    first = weights.get("features.conv0.weight")
    colour = first is not None and first.ndim == 4 and first.shape[1] == 3
    if first is not None and colour:
        weights["features.conv0.weight"] = first.sum(dim=1, keepdim=True)
    faults = misfits(weights, expected)
    if faults:
        more = f", and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
        raise CheckpointError(
            f"{path}: does not fit the encoder densenet121 ({len(faults)} faults): "
            f"{'; '.join(faults[:_LISTED])}{more}; expected a checkpoint of CheXNet as "
            "github.com/arnoweng/CheXNet or torchxrayvision (densenet121-res224-…) has it"
        )
    # torchxrayvision.datasets.normalize: (2 x - 1) · 1024
    return CheXNet(weights, Standardize(*GREY_IMAGENET) if colour else Standardize((0.5,), (1 / 2048,)))


def _modern(name: str) -> str:
    """The name of a weight in today's torchvision.

    >>> _modern("module.densenet121.features.denseblock1.denselayer1.norm.1.weight")
    'features.denseblock1.denselayer1.norm1.weight'
    """
    name = str(name)
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return _OLD_LAYER.sub(r"\1\2.", name)
