"""What a classifier says of what it sees, and why: by the whole film, or by its patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patchcxr.explain.gradcam import grad_cam_of_classes
from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.voting import VoteConfig, VoteResult
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.study.lung_view import LungView
from patchcxr.types import FloatArray


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a classifier says of a film, and why.

    Attributes
    ----------
    prediction
        Class index.
    probabilities
        Softmax of the film, or mean over its patches, (C,).
    maps
        Maps of the classes asked for by index, (H, W) of the view.
    vote
        The vote of the patches; None for a whole film.
    """

    prediction: int
    probabilities: FloatArray
    maps: dict[int, FloatArray]
    vote: VoteResult | None = None


def explain_whole(
    model: TrainedModel, view: LungView, classes: Sequence[int] | None = None, normalization: str = "minmax"
) -> Explanation:
    """Classify a whole film, with the Grad-CAM of ``classes`` (eq. 3), of all by default."""
    image = resize_image(view.image, model.image_size)
    found = grad_cam_of_classes(model.module, image, classes, normalization)
    probabilities, maps = found.probabilities[0], found.maps[0]
    return Explanation(int(probabilities.argmax()), probabilities, _by_class(maps, classes))


def explain_patches(
    model: TrainedModel,
    view: LungView,
    study: str,
    vote: VoteConfig,
    classes: Sequence[int] | None = None,
    normalization: str = "minmax",
) -> Explanation:
    """Let patches vote, with the probabilistic Grad-CAM of ``classes`` from them (eq. 5), of all classes by default.

    The patches of a study are drawn from (vote.seed, study id), so they do not depend on which other films are scored.
    """
    rng = np.random.default_rng([vote.seed, *study.encode()])
    found = probabilistic_grad_cam(model.module, view.image, view.lung, vote, rng, classes, normalization)
    said = found.vote
    return Explanation(said.prediction, said.mean_probability, _by_class(found.maps, classes), said)


def _by_class(maps: FloatArray, classes: Sequence[int] | None) -> dict[int, FloatArray]:
    return {index: maps[place] for place, index in enumerate(range(len(maps)) if classes is None else classes)}
