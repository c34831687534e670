"""Whether weights fit a network, and which network they fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from patchcxr.models.backbones import LIBRARIES
from patchcxr.models.registry import CLASSIFIERS, SEGMENTERS, ModelConfig, create_model, takes_encoder
from patchcxr.models.state_dicts import misfits

_HEADS = ("head.weight", "network.segmentation_head.0.weight")


def fitting_networks(weights: Mapping[str, Tensor], described: ModelConfig) -> list[str]:
    """Networks that the weights fit, as they are or with another number of classes.

    Networks with an encoder are tried with the encoder of ``described`` only.
    No weights are made, so this takes a second or two.

    Examples
    --------
    >>> weights = create_model(ModelConfig(architecture="fc_densenet56", num_classes=4)).state_dict()
    >>> fitting_networks(weights, ModelConfig(architecture="unet", num_classes=4))
    ['fc_densenet56 with 4 classes']
    """
    counts = {len(value) for name, value in weights.items() if name in _HEADS}
    fitting = []
    for architecture in SEGMENTERS | CLASSIFIERS:
        on_encoder = architecture in SEGMENTERS and takes_encoder(architecture)
        if on_encoder != any(name.startswith("network.encoder.") for name in weights):
            continue
        if (architecture in CLASSIFIERS) != any(name.startswith("trunk.") for name in weights):
            continue
        if architecture in LIBRARIES and architecture != described.architecture:
            continue
        for classes in sorted(counts):
            config = ModelConfig(
                architecture=architecture,
                num_classes=classes,
                encoder=described.encoder if takes_encoder(architecture) else None,
                hidden=described.hidden if architecture in CLASSIFIERS else None,
            )
            with torch.device("meta"):
                expected = create_model(config).state_dict()
            if not misfits(weights, expected):
                fitting.append(f"{architecture} with {classes} classes")
    return fitting
