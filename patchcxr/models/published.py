"""The networks that the papers compare, by name, with the sizes and times that they print.

Degerli 2021, Table 8 (two rows' names are shifted in the published article;
the order is that of its preprint's Table V), and Tahir 2021, Table 4.
"""

from __future__ import annotations

from typing import NamedTuple

from patchcxr.models.registry import ModelConfig


class PublishedNetwork(NamedTuple):
    """A network of a paper.

    Attributes
    ----------
    decoder, encoder
        As the paper calls them.
    config
        How to build it; CheXNet needs ``encoder_checkpoint`` besides.
    trainable, non_trainable
        Millions of parameters, as printed; None where not printed.
    milliseconds
        A film, as printed.
    """

    decoder: str
    encoder: str
    config: ModelConfig
    trainable: float
    non_trainable: float | None
    milliseconds: float


# Encoders in the order CheXNet, DenseNet-121, Inception-v3, ResNet-50; first frozen, then not.
_DEGERLI_ENCODERS = {
    "CheXNet": ("densenet121", "chexnet"),
    "DenseNet-121": ("densenet121", "imagenet"),
    "Inception-v3": ("inception_v3", "imagenet"),
    "ResNet-50": ("resnet50", "imagenet"),
}
_DEGERLI_TABLE_8 = {
    ("U-Net", "degerli_unet"): (
        ((5.19, 6.96, 2.56), (5.19, 6.96, 2.58), (8.15, 21.79, 2.53), (9.06, 23.50, 2.54)),
        ((12.06, 0.08563, 2.62), (12.06, 0.08563, 2.58), (29.9, 0.03642, 2.61), (32.51, 0.04756, 2.64)),
    ),
    ("UNet++", "degerli_unetplusplus"): (
        ((7.53, 6.96, 5.17), (7.53, 6.96, 5.10), (8.68, 21.79, 5.32), (10.88, 23.51, 5.58)),
        ((14.40, 0.08845, 5.24), (14.40, 0.08845, 5.25), (30.43, 0.03923, 5.32), (34.34, 0.05037, 5.46)),
    ),
    ("DLA", "degerli_dla"): (
        ((6.27, 6.96, 4.65), (6.27, 6.96, 4.63), (7.20, 21.79, 4.70), (8.74, 23.51, 4.90)),
        ((13.15, 0.08845, 4.63), (13.15, 0.08845, 4.65), (28.96, 0.03923, 4.72), (32.2, 0.05037, 4.90)),
    ),
}

# Encoders in the order ResNet-18, ResNet-50, DenseNet-121, DenseNet-161, Inception-v4.
_TAHIR_ENCODERS = {
    "ResNet-18": "resnet18",
    "ResNet-50": "resnet50",
    "DenseNet-121": "densenet121",
    "DenseNet-161": "densenet161",
    "Inception-v4": "inceptionv4",
}
_TAHIR_TABLE_4 = {
    ("U-Net", "smp_unet"): ((14.32, 5.78), (32.5, 10.44), (13.60, 22.86), (38.73, 29.74), (48.79, 26.53)),
    ("UNet++", "smp_unetplusplus"): ((15.96, 8.30), (48.97, 19.90), (30.06, 25.13), (79.04, 48.62), (59.35, 32.53)),
    ("FPN", "smp_fpn"): ((13.04, 5.74), (26.11, 10.34), (9.29, 22.68), (29.49, 29.62), (43.57, 26.08)),
}


def degerli_networks(
    num_classes: int = 1, pretrained: bool = True, chexnet: str | None = None
) -> list[PublishedNetwork]:
    """The 24 networks of Degerli 2021: three decoders, four encoders, frozen and not.

    Parameters
    ----------
    num_classes
        Channels of the logits; the paper has one, with a sigmoid.
    pretrained
        Whether the encoders start from the paper's weights, or at random.
    chexnet
        File of CheXNet's weights; without it the networks with CheXNet are left out, unless ``pretrained`` is False.

    Examples
    --------
    >>> len(degerli_networks(pretrained=False)), len(degerli_networks()), len(degerli_networks(chexnet="m.pt"))
    (24, 18, 24)
    """
    made = []
    for (decoder, architecture), settings in _DEGERLI_TABLE_8.items():
        for frozen, row in zip((True, False), settings, strict=True):
            for (name, (encoder, weights)), printed in zip(_DEGERLI_ENCODERS.items(), row, strict=True):
                if pretrained and weights == "chexnet" and chexnet is None:
                    continue
                config = ModelConfig(
                    architecture=architecture,
                    num_classes=num_classes,
                    encoder=encoder,
                    encoder_weights=weights if pretrained else None,
                    encoder_checkpoint=chexnet if pretrained and weights == "chexnet" else None,
                    encoder_frozen=frozen,
                )
                made.append(PublishedNetwork(decoder, name, config, *printed))
    return made


def tahir_networks(num_classes: int = 2, pretrained: bool = True) -> list[PublishedNetwork]:
    """The 15 networks of Tahir 2021: three decoders, five encoders; two classes with a softmax.

    >>> sorted({network.config.architecture for network in tahir_networks()})
    ['smp_fpn', 'smp_unet', 'smp_unetplusplus']
    """
    made = []
    for (decoder, architecture), row in _TAHIR_TABLE_4.items():
        for (name, encoder), (trainable, milliseconds) in zip(_TAHIR_ENCODERS.items(), row, strict=True):
            config = ModelConfig(
                architecture=architecture,
                num_classes=num_classes,
                encoder=encoder,
                encoder_weights="imagenet" if pretrained else None,
            )
            made.append(PublishedNetwork(decoder, name, config, trainable, None, milliseconds))
    return made
