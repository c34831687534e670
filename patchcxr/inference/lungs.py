"""Label maps from networks of the lungs alone (Tahir 2021; Hertel 2022), side by side with those of heart and lungs."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from torch import nn

from patchcxr.inference.batches import BatchSize
from patchcxr.inference.foreground import foreground_probability
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.lungfields import lungs_from_probability, split_lungs
from patchcxr.types import ANATOMY, AnyArray, FloatArray

LUNG_CLASSES: Final = {1: ("lung",), 2: ("background", "lung")}
"""Class names of a lung network by its channels."""


def is_lung_network(model: TrainedModel) -> bool:
    """Whether a network marks both lungs as one mask, and no heart."""
    return model.classes in LUNG_CLASSES.values()


def segment_lungs(
    model: nn.Module, images: AnyArray, batch_size: int | BatchSize = 8, minimum_share: float = 0.05
) -> npt.NDArray[np.uint8]:
    """Right and left lung of every film from a network of both lungs in one mask; there is no heart.

    Parameters
    ----------
    model
        Network with one or two channels.
    images
        Prepared films (N, H, W), floating point in [0, 1] or uint8.
    batch_size
        Films a forward pass.
    minimum_share
        See :func:`lung_labels`.

    Returns
    -------
    uint8 (N, H, W), indices into :data:`patchcxr.types.ANATOMY`; cleaned already

    Raises
    ------
    ModelError
        If the network has more than two channels.
    """
    labels = np.zeros(np.shape(images), dtype=np.uint8)
    done = 0
    for batch in foreground_probability(model, images, batch_size):
        for probability in batch:
            labels[done] = lung_labels(probability, minimum_share)
            done += 1
    return labels


def lung_labels(probability: FloatArray, minimum_share: float = 0.05) -> npt.NDArray[np.uint8]:
    """Label map of one film from the probability of lung at every pixel (H, W).

    Lung is what is above 0.5, holes filled and regions below
    ``minimum_share`` removed (Tahir 2021, section 3.2); then
    :func:`patchcxr.preprocessing.lungfields.split_lungs` tells the sides
    apart, also where the lungs touch. No lung gives an empty map.

    Returns
    -------
    uint8 (H, W), indices into :data:`patchcxr.types.ANATOMY`

    Examples
    --------
    The patient's right lung is on the left of the film.

    >>> lung_labels(np.array([[0.9, 0.9, 0.1, 0.1, 0.8, 0.8]])).tolist()
    [[3, 3, 0, 0, 2, 2]]
    """
    lung = lungs_from_probability(probability, 0.5, minimum_share)
    labels = np.zeros(lung.shape, dtype=np.uint8)
    if lung.any():
        right, left = split_lungs(lung)
        labels[right] = ANATOMY.index("right_lung")
        labels[left] = ANATOMY.index("left_lung")
    return labels
