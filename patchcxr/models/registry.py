"""All networks by name.

A new network is one file with its module and one line below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from patchcxr.config import config
from patchcxr.errors import ConfigError, ModelError
from patchcxr.models.backbones import LIBRARIES
from patchcxr.models.classifiers import classifier
from patchcxr.models.compact_unet import CompactUNet
from patchcxr.models.fcdensenet import FCDenseNet
from patchcxr.models.resunet import ResUNet
from patchcxr.models.smp import SMPSegmenter
from patchcxr.models.unet import UNet


@config
class ModelConfig:
    """A network: its name, its classes and how its weights start.

    Attributes
    ----------
    architecture
        A key of :data:`SEGMENTERS` or :data:`CLASSIFIERS`.
    num_classes
        Channels of the logits; 1 for a mask with a sigmoid.
    encoder
        Encoder of the ``smp_`` and ``degerli_`` networks, such as ``densenet121``, and trunk of the classifiers
        ``torchvision`` and ``timm``, such as ``densenet201``, by the library's name; the others have none.
    encoder_weights
        ``imagenet``, or None (``none``) for a random start; networks with an
        encoder and classifiers only. ``chexnet`` for an encoder ``densenet121``.
    encoder_checkpoint
        File of CheXNet's weights, for ``encoder_weights: chexnet``; for classifiers also of ImageNet's, instead of a
        download. Environment variables and ``~`` are expanded.
    encoder_frozen
        Whether the encoder's parameters and its statistics of batch
        normalisation stay as they are in training.
    dropout
        Share of the values dropped after each convolution of FC-DenseNet
        (Jégou 2017: 0.2), and after the dense layer ``hidden`` (Hertel 2022: 0.1); the others have none.
    hidden
        Units of a dense layer with ReLU before the last layer of a classifier (Hertel 2022); None for none.
    standardization
        ``fixed`` standardises films by ImageNet's mean and standard
        deviation, ``batch`` each batch by its own (Hertel 2022). Classifiers only.
    """

    architecture: str
    num_classes: int
    encoder: str | None = None
    encoder_weights: str | None = None
    encoder_checkpoint: str | None = None
    encoder_frozen: bool = False
    dropout: float = 0.2
    hidden: int | None = None
    standardization: Literal["fixed", "batch"] = "fixed"

    def __post_init__(self) -> None:
        if self.encoder_weights == "none":
            object.__setattr__(self, "encoder_weights", None)
        if self.encoder_weights not in (None, "imagenet", "chexnet"):
            raise ConfigError(f"encoder_weights: got {self.encoder_weights!r}; expected imagenet, chexnet or none")
        if self.encoder_weights == "chexnet" and self.encoder_checkpoint is None:
            raise ConfigError("encoder_weights: got chexnet without its file; set encoder_checkpoint to it")
        reads = ("chexnet", "imagenet") if self.architecture in CLASSIFIERS else ("chexnet",)
        if self.encoder_weights not in reads and self.encoder_checkpoint is not None:
            raise ConfigError(
                f"encoder_checkpoint: got {self.encoder_checkpoint!r} with encoder_weights "
                f"{self.encoder_weights or 'none'}; set encoder_weights: {' or '.join(reads)}, or remove "
                "encoder_checkpoint"
            )
        if self.hidden is not None and (self.hidden < 1 or self.architecture in SEGMENTERS):
            raise ConfigError(f"hidden: got {self.hidden} for {self.architecture}; expected 1 or more for a classifier")
        if self.num_classes < 1:
            raise ConfigError(f"num_classes: got {self.num_classes}; expected 1 or more")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: got {self.dropout}; expected a share from 0 up to, not including, 1")


SEGMENTERS: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "fc_densenet56": lambda c: FCDenseNet(c.num_classes, variant=56, dropout=c.dropout),
    "fc_densenet67": lambda c: FCDenseNet(c.num_classes, variant=67, dropout=c.dropout),
    "fc_densenet103": lambda c: FCDenseNet(c.num_classes, variant=103, dropout=c.dropout),
    "unet": lambda c: UNet(c.num_classes),
    "compact_unet": lambda c: CompactUNet(c.num_classes),
    "resunet": lambda c: ResUNet(c.num_classes),
    "smp_unet": lambda c: _with_encoder("Unet", c),
    "smp_unetplusplus": lambda c: _with_encoder("UnetPlusPlus", c),
    "smp_fpn": lambda c: _with_encoder("FPN", c),
    "degerli_unet": lambda c: _with_encoder("degerli_unet", c),
    "degerli_unetplusplus": lambda c: _with_encoder("degerli_unetplusplus", c),
    "degerli_dla": lambda c: _with_encoder("degerli_dla", c),
}
"""Networks that give logits (B, num_classes, H, W)."""


def _with_encoder(family: str, c: ModelConfig) -> nn.Module:
    return SMPSegmenter(family, c.num_classes, c.encoder, c.encoder_weights, c.encoder_checkpoint, c.encoder_frozen)


def _classifier(library: str, c: ModelConfig, name: str | None = None) -> nn.Module:
    trunk = name or c.encoder
    if trunk is None:
        raise ModelError(f"{library} needs the name of a network; set encoder, for instance to densenet201")
    return classifier(
        library,
        trunk,
        c.num_classes,
        c.encoder_weights,
        c.encoder_checkpoint,
        c.standardization,
        c.hidden,
        c.dropout,
    )


CLASSIFIERS: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "resnet18": lambda c: _classifier("torchvision", c, "resnet18"),
    "resnet34": lambda c: _classifier("torchvision", c, "resnet34"),
    "resnet50": lambda c: _classifier("torchvision", c, "resnet50"),
    "resnet101": lambda c: _classifier("torchvision", c, "resnet101"),
    "resnet152": lambda c: _classifier("torchvision", c, "resnet152"),
    "torchvision": lambda c: _classifier("torchvision", c),
    "timm": lambda c: _classifier("timm", c),
}
"""Networks that give logits (B, num_classes)."""


def takes_encoder(architecture: str) -> bool:
    """Whether the network of this name is built on an encoder of one's choice."""
    return architecture.startswith(("smp_", "degerli_")) or architecture in LIBRARIES


def create_model(config: ModelConfig, seed: int | None = None) -> nn.Module:
    """Build the network that ``config`` names.

    Parameters
    ----------
    config
        Name, classes and start of the network.
    seed
        Seed of the random weights; the global generator is left as it was.
        None draws from the global generator.

    Raises
    ------
    ModelError
        If the name is unknown, an option does not belong to the network, or
        weights cannot be downloaded or read (CheckpointError).

    Examples
    --------
    >>> network = create_model(ModelConfig(architecture="resnet18", num_classes=4), seed=0)
    >>> network(torch.rand(2, 1, 64, 64)).shape
    torch.Size([2, 4])
    """
    networks = SEGMENTERS | CLASSIFIERS
    name = config.architecture
    if name not in networks:
        raise ModelError(f"got architecture {name!r}; expected one of {', '.join(networks)}")
    has_encoder = takes_encoder(name)
    if config.encoder is not None and not has_encoder:
        raise ModelError(f"{name} takes no encoder, got {config.encoder!r}; remove encoder or choose an smp_ network")
    if config.encoder_frozen and (not has_encoder or name in CLASSIFIERS):
        raise ModelError(f"{name} has no encoder to freeze; remove encoder_frozen or choose an smp_ network")
    if not (
        has_encoder or config.encoder_weights is None or (name in CLASSIFIERS and config.encoder_weights == "imagenet")
    ):
        raise ModelError(
            f"{name} has no {config.encoder_weights} weights; set encoder_weights: none, or choose an smp_ network"
        )
    if config.standardization != "fixed" and name not in CLASSIFIERS:
        raise ModelError(f"{name} knows fixed standardization only, got {config.standardization!r}; remove the option")
    if seed is None:
        return networks[name](config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return networks[name](config)


def count_parameters(model: nn.Module, running_statistics: bool = False) -> int:
    """Number of trainable values of a network.

    ``running_statistics`` adds the means and variances of batch normalisation,
    which Lasagne counts as parameters: so counted, FC-DenseNet103 and 67 have
    the 9.4 and 3.5 million of Jégou 2017. FC-DenseNet56 has 1.4 million either
    way, where Jégou states 1.5.
    """
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if running_statistics:
        count += sum(buffer.numel() for name, buffer in model.named_buffers() if ".running_" in name)
    return count
