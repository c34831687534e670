"""Networks with an encoder of segmentation_models_pytorch, with our input and our errors (Degerli 2021, Tahir 2021)."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn

from patchcxr.errors import ModelError
from patchcxr.models.chexnet import read_chexnet
from patchcxr.models.degerli import DegerliNetwork
from patchcxr.models.inception import keep_sizes
from patchcxr.models.inputs import Standardize, check_input

_INCEPTION = "tu-inception_v3"
COMMON_ENCODERS = ("densenet121", "densenet161", "inception_v3", "inceptionv4", "resnet18", "resnet34", "resnet50")


def load_network(family: str, **options: Any) -> nn.Module:
    """Build a network; downloads the encoder's weights where asked to.

    ``family`` is a class of segmentation_models_pytorch, such as ``Unet``, or
    ``degerli_`` and a decoder of :class:`~patchcxr.models.degerli.DegerliNetwork`.
    """
    if family.startswith("degerli_"):
        return DegerliNetwork(family.removeprefix("degerli_"), **options)
    import segmentation_models_pytorch

    return getattr(segmentation_models_pytorch, family)(**options)


class SMPSegmenter(nn.Module):
    """A network with an encoder of segmentation_models_pytorch, on grey films.

    An encoder with ImageNet weights sums the first convolution's weights over
    the three colours, and sees films standardised by the mean grey level and
    spread of its pretraining; a random one sees (x - 0.5) / 0.25. An encoder
    with CheXNet's weights is treated as its file's origin asks
    (:mod:`patchcxr.models.chexnet`).

    Parameters
    ----------
    family
        See :func:`load_network`.
    num_classes
        Channels of the logits.
    encoder
        Encoder of segmentation_models_pytorch, such as ``densenet121``, one of
        timm as ``tu-NAME``, or ``inception_v3``, which is timm's with maps of
        exactly half the size at each level.
    encoder_weights
        ``"imagenet"``, ``"chexnet"`` (``densenet121`` only), or None for a random start.
    encoder_checkpoint
        File of CheXNet's weights.
    encoder_frozen
        Whether the encoder stays as it is: its parameters do not train, and
        its batch normalisation keeps its statistics, also in training mode.

    Raises
    ------
    ModelError
        If the encoder is unknown, or its weights cannot be downloaded.
    CheckpointError
        If the file of CheXNet's weights does not fit.
    """

    def __init__(
        self,
        family: str,
        num_classes: int,
        encoder: str | None,
        encoder_weights: str | None = None,
        encoder_checkpoint: str | None = None,
        encoder_frozen: bool = False,
    ) -> None:
        super().__init__()
        name = _known_encoder(encoder)
        imagenet = encoder_weights == "imagenet"
        try:
            self.network = load_network(
                family,
                encoder_name=name,
                encoder_weights=(True if name.startswith("tu-") else "imagenet") if imagenet else None,
                in_channels=1,
                classes=num_classes,
            )
            self.standardize = _grey_standardization(name) if imagenet else Standardize()
        except (OSError, RuntimeError) as error:
            raise ModelError(
                f"the {encoder_weights} weights of encoder {encoder!r} cannot be downloaded "
                f"({type(error).__name__}); connect to the network once, or set encoder_weights: none"
            ) from error
        except (KeyError, ValueError) as error:
            raise ModelError(
                f"encoder {encoder!r} does not fit {family} with {encoder_weights} weights ({error}); set "
                f"encoder_weights: none, or choose another encoder, such as {', '.join(COMMON_ENCODERS)}"
            ) from error
        if name.startswith(_INCEPTION):
            keep_sizes(self.encoder)
        if encoder_weights == "chexnet":
            if name != "densenet121":
                raise ModelError(
                    f"got encoder {encoder!r} with chexnet weights, which are those of densenet121; "
                    "set encoder: densenet121, or encoder_weights: imagenet"
                )
            read = read_chexnet(str(encoder_checkpoint), self.encoder.state_dict())
            self.encoder.load_state_dict(read.weights)
            self.standardize = read.standardize
        self.encoder_frozen = encoder_frozen
        if encoder_frozen:
            self.encoder.requires_grad_(False)
            self.encoder.eval()

    @property
    def encoder(self) -> nn.Module:
        """The part of the network that reads the film."""
        return self.network.get_submodule("encoder")

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.encoder_frozen:
            self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W) of films (B, 1, H, W) in [0, 1], sides divisible by 32."""
        check_input(x, 1, multiple=32)
        return self.network(self.standardize(x))


def _known_encoder(encoder: str | None) -> str:
    """The name by which segmentation_models_pytorch knows the encoder."""
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    known = get_encoder_names()
    name = f"tu-{encoder}" if encoder == "inception_v3" else encoder
    if name is None or not (name in known or (name.startswith("tu-") and timm.is_model(name.removeprefix("tu-")))):
        raise ModelError(
            f"got encoder {encoder!r}; expected one of segmentation_models_pytorch, such as "
            f"{', '.join(COMMON_ENCODERS)} ({len(known)} in all: "
            "segmentation_models_pytorch.encoders.get_encoder_names()), or tu- and a name of timm"
        )
    return name


def _grey_standardization(encoder: str) -> Standardize:
    """Mean over the colours of the mean and the standard deviation that the encoder's weights were trained with."""
    from segmentation_models_pytorch.encoders import get_preprocessing_params

    values = get_preprocessing_params(encoder, "imagenet")
    return Standardize((sum(values["mean"]) / 3,), (sum(values["std"]) / 3,))
