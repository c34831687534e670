"""Networks of segmentation_models_pytorch, with our input and our errors (Degerli 2021)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from patchcxr.errors import ModelError
from patchcxr.models.inputs import Standardize, check_input


def load_network(family: str, **options: Any) -> nn.Module:
    """Build ``family`` of segmentation_models_pytorch; downloads the encoder's weights where asked to."""
    import segmentation_models_pytorch

    return getattr(segmentation_models_pytorch, family)(**options)


class SMPSegmenter(nn.Module):
    """A network of segmentation_models_pytorch on grey films.

    An encoder with ImageNet weights sums the first convolution's weights over
    the three colours, and sees films standardised by ImageNet's mean grey
    level and spread; a random one sees (x - 0.5) / 0.25.

    Parameters
    ----------
    family
        Class name in segmentation_models_pytorch, such as ``Unet``.
    num_classes
        Channels of the logits.
    encoder
        Encoder name, such as ``densenet121``.
    encoder_weights
        ``"imagenet"``, or None for a random start.

    Raises
    ------
    ModelError
        If the encoder is unknown, or its weights cannot be downloaded.
    """

    def __init__(self, family: str, num_classes: int, encoder: str | None, encoder_weights: str | None = None) -> None:
        super().__init__()
        from segmentation_models_pytorch.encoders import get_encoder_names

        known = get_encoder_names()
        if encoder is None or (encoder not in known and not encoder.startswith("tu-")):
            common = [
                name for name in ("densenet121", "inceptionv4", "resnet18", "resnet34", "resnet50") if name in known
            ]
            raise ModelError(
                f"got encoder {encoder!r}; expected an encoder of segmentation_models_pytorch, such as "
                f"{', '.join(common)} ({len(known)} in all: segmentation_models_pytorch.encoders.get_encoder_names())"
            )
        try:
            self.network = load_network(
                family, encoder_name=encoder, encoder_weights=encoder_weights, in_channels=1, classes=num_classes
            )
        except (OSError, RuntimeError) as error:
            raise ModelError(
                f"the {encoder_weights} weights of encoder {encoder!r} cannot be downloaded "
                f"({type(error).__name__}); connect to the network once, or set encoder_weights: none"
            ) from error
        self.standardize = Standardize((0.449,), (0.226,)) if encoder_weights == "imagenet" else Standardize()

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W) of films (B, 1, H, W) in [0, 1], sides divisible by 32."""
        check_input(x, 1, multiple=32)
        return self.network(self.standardize(x))
