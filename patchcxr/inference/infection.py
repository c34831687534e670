"""Infection probability of films, and what follows from it: detection and severity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from patchcxr.config import config
from patchcxr.errors import ConfigError, MaskError
from patchcxr.inference.batches import BatchSize
from patchcxr.inference.foreground import foreground_probability
from patchcxr.measure.severity import detect_infection, severity
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.lungfields import mask_image
from patchcxr.types import AnyArray, BoolArray, FloatArray

RULES = ("degerli", "tahir")
INFECTION_CLASSES = {1: ("infection",), 2: ("background", "infection")}
"""Class names of an infection network by its channels."""


@config
class DetectionConfig:
    """When a film counts as infected.

    Attributes
    ----------
    threshold
        Probability from which a pixel is infected, in [0, 1].
    minimum_area
        Infected pixels that make a film positive.
    rule
        ``degerli``: any pixel of the film with probability >= threshold
        (Degerli 2021). ``tahir``: a lung pixel with probability > threshold
        (Tahir 2021, algorithm 2).
    """

    threshold: float = 0.5
    minimum_area: int = 1
    rule: str = "degerli"

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"detection.threshold: got {self.threshold}; expected a probability in [0, 1]")
        if self.minimum_area < 1:
            raise ConfigError(f"detection.minimum_area: got {self.minimum_area}; expected at least 1 pixel")
        if self.rule not in RULES:
            raise ConfigError(f"detection.rule: got {self.rule!r}; expected one of {RULES}")


def needs_lung_masks(model: TrainedModel) -> bool:
    """Whether an infection network was trained on films masked by the lungs (Tahir 2021, cascaded scheme)."""
    return model.training.get("input", "plain") == "masked_lungs"


def infection_input(model: TrainedModel, film: FloatArray, lung_mask: BoolArray | None = None) -> FloatArray:
    """A film as an infection network saw films when it was trained.

    Parameters
    ----------
    model
        Infection network; its description says what it was trained on.
    film
        Prepared film (H, W).
    lung_mask
        Lungs (H, W). Needed by a network of the cascaded scheme, left aside by
        one of the parallel scheme (Tahir 2021, section 4.2).

    Raises
    ------
    MaskError
        If the network needs lungs and there are none, or their shape is another.
    """
    if not needs_lung_masks(model):
        return film
    if lung_mask is None:
        raise MaskError(
            "the infection network was trained on films masked by the lungs (input: masked_lungs) but got no "
            "lung_mask; give one, or use a network trained with input: plain"
        )
    return mask_image(film, lung_mask)


def infection_probability(
    model: nn.Module, images: AnyArray, batch_size: int | BatchSize = 8
) -> npt.NDArray[np.float32]:
    """Probability of infection at every pixel (Degerli 2021; Tahir 2021).

    Fed with masked films this is the cascaded scheme of Tahir 2021, with
    plain films the parallel one; :func:`infection_input` gives the right ones.

    Parameters
    ----------
    model
        Segmentation network with one output channel (a sigmoid), or two
        (background and infection, a softmax).
    images
        One film (H, W), or films (N, H, W); floating point in [0, 1] or uint8.
    batch_size
        Films a forward pass.

    Returns
    -------
    float32 in [0, 1], shape of ``images``

    Raises
    ------
    ModelError
        If the network has more than two output channels.
    """
    films = images[None] if images.ndim == 2 else images
    probability = np.zeros(films.shape, dtype=np.float32)
    start = 0
    for batch in foreground_probability(model, films, batch_size):
        probability[start : start + len(batch)] = batch
        start += len(batch)
    return probability[0] if images.ndim == 2 else probability


def within_lungs(probability: FloatArray, lung_mask: BoolArray) -> FloatArray:
    """Infection probability with 0 outside the lungs (Tahir 2021, section 3.2).

    ``lung_mask`` is a cleaned mask, such as ``lung`` of
    :func:`~patchcxr.inference.segmentation.anatomy_masks`, of the same shape.
    """
    return np.where(_fitting(lung_mask, probability), probability, np.zeros((), dtype=probability.dtype))


def infection_mask(
    probability: FloatArray, lung_mask: BoolArray | None = None, config: DetectionConfig | None = None
) -> BoolArray:
    """Pixels that count as infected by ``config``, inside the lungs where a mask is given.

    The threshold itself counts under the rule ``degerli`` and not under ``tahir``.
    """
    config = config or DetectionConfig()
    infected = probability >= config.threshold if config.rule == "degerli" else probability > config.threshold
    return infected if lung_mask is None else infected & _fitting(lung_mask, probability)


def detect(probability: FloatArray, lung_mask: BoolArray | None = None, config: DetectionConfig | None = None) -> bool:
    """Whether a film is infected by the rule of ``config``.

    Parameters
    ----------
    probability
        Infection probability (H, W).
    lung_mask
        Cleaned lung mask (H, W). The rule ``tahir`` needs it; ``degerli``
        looks at the whole film and leaves it aside.
    config
        Threshold, least area and rule.
    """
    config = config or DetectionConfig()
    return detect_infection(
        probability,
        _lungs_of_rule(lung_mask, config),
        threshold=config.threshold,
        minimum_area=config.minimum_area,
        inclusive=config.rule == "degerli",
    )


def infection_score(
    probability: FloatArray, lung_mask: BoolArray | None = None, config: DetectionConfig | None = None
) -> float:
    """Score of a film for ROC curves: the largest threshold at which it would still be positive.

    That is the ``minimum_area``-th largest probability, of the whole film
    (``degerli``) or of the lungs (``tahir``). A film with fewer pixels than
    ``minimum_area`` is never positive and scores 0.

    >>> infection_score(np.array([[0.9, 0.4], [0.7, 0.1]]), config=DetectionConfig(minimum_area=2))
    0.7
    """
    config = config or DetectionConfig()
    mask = _lungs_of_rule(lung_mask, config)
    values = probability.ravel() if mask is None else probability[_fitting(mask, probability)]
    if values.size < config.minimum_area:
        return 0.0
    return float(np.partition(values, -config.minimum_area)[-config.minimum_area])


def infection_severity(
    probability: FloatArray, right_lung: BoolArray, left_lung: BoolArray, config: DetectionConfig | None = None
) -> dict[str, float]:
    """Infected share of both lungs, the right and the left, in percent (Tahir 2021, section 3.2).

    Only infection inside the lungs counts. A lung without a pixel has NaN.
    """
    right, left = _fitting(right_lung, probability), _fitting(left_lung, probability)
    return severity(infection_mask(probability, right | left, config), right, left)


def _lungs_of_rule(lung_mask: BoolArray | None, config: DetectionConfig) -> BoolArray | None:
    if config.rule == "degerli":
        return None
    if lung_mask is None:
        raise MaskError("the rule 'tahir' got no lung_mask; expected one; give it, or use the rule 'degerli'")
    return lung_mask


def _fitting(lung_mask: BoolArray, probability: FloatArray) -> BoolArray:
    mask = np.asarray(lung_mask, dtype=bool)
    if mask.shape != probability.shape:
        raise MaskError(
            f"lung_mask has shape {mask.shape} but the probability has {probability.shape}; "
            "resize the mask with preprocessing.geometry.resize_mask"
        )
    return mask
