"""Classifiers that end in a mean over the last maps and one linear layer.

That ending makes Grad-CAM a weighted sum of the last maps by the rows of the
linear layer (Oh 2020, eq. 3 and 4), without a backward pass.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import Tensor, nn

from patchcxr.errors import ModelError
from patchcxr.models.inputs import IMAGENET_MEAN, IMAGENET_STD, Standardize, StandardizeBatch, check_input

if TYPE_CHECKING:
    from torchvision.models import ResNet


class PooledLinearClassifier(nn.Module):
    """Convolutional trunk, mean over height and width, linear layer.

    Grey films are replicated to three channels and standardised by ImageNet's
    mean and standard deviation, whatever the weights start from, or batch by
    batch.

    Parameters
    ----------
    trunk
        Maps (B, 3, H, W) to the last maps (B, F, H / feature_stride, W / feature_stride).
    feature_channels
        F, the number of the last maps.
    num_classes
        Channels of the logits.
    feature_stride
        Pixels of the film a step of the last maps.
    standardization
        ``fixed`` or ``batch``.
    """

    def __init__(
        self,
        trunk: nn.Module,
        feature_channels: int,
        num_classes: int,
        feature_stride: int = 32,
        standardization: str = "fixed",
    ) -> None:
        super().__init__()
        fixed = standardization == "fixed"
        self.standardize = Standardize(IMAGENET_MEAN, IMAGENET_STD) if fixed else StandardizeBatch()
        self.trunk = trunk
        self.head = nn.Linear(feature_channels, num_classes)
        self.feature_stride = feature_stride

    def features(self, x: Tensor) -> Tensor:
        """Last maps (B, F, h, w), after their ReLU, of films (B, 1, H, W) in [0, 1], sides of 32 or more."""
        check_input(x, 1, minimum=self.feature_stride)
        return self.trunk(self.standardize(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes)."""
        return self.head(self.features(x).mean((2, 3)))


def load_resnet(name: str, weights: str | None) -> ResNet:
    """Torchvision's ResNet; downloads ``weights`` where they are not cached."""
    import torchvision.models

    return torchvision.models.get_model(name, weights=weights)


def resnet_classifier(
    name: str, num_classes: int, encoder_weights: str | None = None, standardization: str = "fixed"
) -> PooledLinearClassifier:
    """Classifier on a ResNet of torchvision; the last maps are the output of layer4.

    The ReLU of layer4 works on a copy, so that hooks on its convolutions see
    what the convolutions gave.

    Parameters
    ----------
    name
        Such as ``resnet18``.
    num_classes
        Channels of the logits.
    encoder_weights
        ``"imagenet"`` (torchvision's ``IMAGENET1K_V1``), or None for a random start.
    standardization
        ``fixed`` or ``batch``; see :class:`PooledLinearClassifier`.

    Raises
    ------
    ModelError
        If the weights cannot be downloaded.
    """
    try:
        network = load_resnet(name, "IMAGENET1K_V1" if encoder_weights == "imagenet" else None)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"the {encoder_weights} weights of {name} cannot be downloaded ({type(error).__name__}); "
            "connect to the network once, or set encoder_weights: none"
        ) from error
    parts = OrderedDict(network.named_children())
    del parts["avgpool"], parts["fc"]
    for block in parts["layer4"].children():
        block.relu = nn.ReLU(inplace=False)
    return PooledLinearClassifier(
        nn.Sequential(parts), network.fc.in_features, num_classes, standardization=standardization
    )
