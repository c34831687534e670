"""Networks by file or name, with the preprocessing, lungs or vote that they were trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from patchcxr.config import from_dict
from patchcxr.errors import CheckpointError
from patchcxr.inference.infection import INFECTION_CLASSES
from patchcxr.inference.lungs import LUNG_CLASSES
from patchcxr.inference.voting import VoteConfig
from patchcxr.models.shipped import SHIPPED, shipped
from patchcxr.models.trained import TrainedModel, load_model
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.types import ANATOMY, PARTITION

STAND_INS: Final = {
    ANATOMY: (PARTITION, *LUNG_CLASSES.values()),
    ("infection",): (INFECTION_CLASSES[2],),
}
"""Classes that serve where others are asked for: those that tell more apart, and lungs without a heart."""


def open_model(path: str, classes: tuple[str, ...] | None = None) -> tuple[TrainedModel, PreprocessConfig]:
    """Load a network and the preprocessing it was trained with.

    ``path`` is a file, or the name of a network that comes with patchcxr.

    Raises
    ------
    CheckpointError
        If its classes are neither ``classes`` nor some that stand in for them (:data:`STAND_INS`).
    """
    model = shipped(path) if path in SHIPPED and not Path(path).is_file() else load_model(path)
    if classes is not None:
        stands_in = model.classes in STAND_INS.get(classes, ())
        model.require(model.classes if stands_in else classes, "segmenter", path)
    return model, from_dict(PreprocessConfig, model.preprocessing, where=f"{path}: preprocessing")


def open_classifier(path: str | None, whole: bool) -> tuple[TrainedModel, PreprocessConfig]:
    """Load a classifier of patches, or of whole films; without a path that of patchcxr.

    Raises
    ------
    CheckpointError
        If the network is none, or is one of the other kind.
    """
    path = path or "patches"
    model, config = open_model(path)
    model.require(kind="classifier", where=path)
    if whole and "vote" in model.training:
        raise CheckpointError(f"{path}: learnt patches, not whole films; remove --global")
    if not whole and model.training.get("view") == "film":
        raise CheckpointError(f"{path}: learnt whole films, not patches; add --global")
    return model, config


def vote_settings(model: TrainedModel, changes: Mapping[str, Any] | None = None) -> VoteConfig:
    """How the patches of a network vote: as in its training, with ``changes`` laid over it."""
    known = {field.name for field in dataclasses.fields(VoteConfig)}
    trained = {key: value for key, value in dict(model.training.get("vote", {})).items() if key in known}
    settings: dict[str, Any] = {"patch_size": model.image_size, **trained, **(changes or {})}
    return from_dict(VoteConfig, settings, where="--set")
