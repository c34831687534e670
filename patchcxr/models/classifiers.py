"""Classifiers: a trunk of torchvision or timm, a mean over its last maps, and one linear layer or two.

With one layer the ending makes Grad-CAM a weighted sum of the last maps by the rows of the
linear layer (Oh 2020, eq. 3 and 4), without a backward pass.
"""

from __future__ import annotations

from torch import Tensor, nn

from patchcxr.models.backbones import Backbone, backbone
from patchcxr.models.inputs import IMAGENET_MEAN, IMAGENET_STD, Standardize, StandardizeBatch, check_input


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


class DenseHeadClassifier(nn.Module):
    """Convolutional trunk, mean over height and width, a dense layer with ReLU and dropout, linear layer (Hertel 2022).

    Grad-CAM of it needs the gradient, at the output of ``trunk``.

    Parameters
    ----------
    found
        Trunk of the classifier.
    num_classes
        Channels of the logits.
    hidden
        Units of the dense layer.
    dropout
        Share of them dropped in training.
    standardization
        ``fixed`` or ``batch``.
    """

    def __init__(
        self, found: Backbone, num_classes: int, hidden: int, dropout: float = 0.1, standardization: str = "fixed"
    ) -> None:
        super().__init__()
        self.standardize = Standardize(found.mean, found.std) if standardization == "fixed" else StandardizeBatch()
        self.trunk = found.trunk
        self.dense = nn.Linear(found.channels, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, num_classes)
        self.feature_stride = found.stride

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of films (B, 1, H, W) in [0, 1]."""
        check_input(x, 1, minimum=self.feature_stride)
        maps = self.trunk(self.standardize(x))
        return self.head(self.dropout(self.dense(maps.mean((2, 3))).relu()))


def classifier(
    library: str,
    name: str,
    num_classes: int,
    weights: str | None = None,
    checkpoint: str | None = None,
    standardization: str = "fixed",
    hidden: int | None = None,
    dropout: float = 0.1,
) -> nn.Module:
    """Classifier on a trunk of torchvision or timm.

    Parameters
    ----------
    library, name, weights, checkpoint
        See :func:`patchcxr.models.backbones.backbone`.
    num_classes
        Channels of the logits.
    standardization
        ``fixed``, by the values of the library's weights, or ``batch``.
    hidden, dropout
        Units of a dense layer before the last one, and the share of them dropped in training; None for no such layer,
        which keeps Grad-CAM a weighted sum of the last maps.

    Raises
    ------
    ModelError, CheckpointError
        As :func:`patchcxr.models.backbones.backbone`.
    """
    found = backbone(library, name, weights, checkpoint)
    if hidden is not None:
        return DenseHeadClassifier(found, num_classes, hidden, dropout, standardization)
    network = PooledLinearClassifier(found.trunk, found.channels, num_classes, found.stride, standardization)
    if standardization == "fixed":
        network.standardize = Standardize(found.mean, found.std)
    return network
