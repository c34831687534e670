"""Films classified, one file a film: whole films in batches, or by the vote of their patches.

Each function skips the films that are done, returns the films that failed as a table of study, stage and error, and
loses nothing when it is interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.errors import PatchCXRError
from patchcxr.explain.gradcam import grad_cam
from patchcxr.inference.voting import VoteConfig, VoteResult, classify_global
from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.measure.patches import patch_intensity_at
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.explain_view import explain_patches
from patchcxr.study.lung_view import LungView, lung_view, trained_region
from patchcxr.study.predict import Lungs, failure_table
from patchcxr.study.reading import batches, up_to_date
from patchcxr.types import FloatArray

PATCH_COLUMNS: Final = ("row", "column", "predicted", "mean", "std")
"""What is kept of each patch: its centre, its most probable class, and the intensity of its lung pixels; after these
columns, its probability of each class."""


def classify_whole_films(
    model: TrainedModel,
    films: FilmStore,
    lungs: Lungs,
    studies: Sequence[str],
    folder: Path,
    target: int | None,
    map_size: int,
    normalization: str = "minmax",
    batch_size: int = 16,
    since: int = 0,
) -> pd.DataFrame:
    """Class probabilities of the whole masked film, and its Grad-CAM for ``target`` (eq. 3).

    Results that are older than ``since`` (nanoseconds) or than their film are made again.
    """
    maps, scores, failures = ArrayFolder(folder / "maps"), ArrayFolder(folder / "scores"), []
    todo = [study for study in studies if not up_to_date(scores.path(study), films, study, since)]
    region = trained_region(model)
    for part in batches(todo, batch_size):
        images, kept, views = [], [], []
        for study in part:
            try:
                view = lung_view(films, lungs, study, region)
                images.append(resize_image(view.image, model.image_size))
                kept.append(study)
                views.append(view)
            except PatchCXRError as error:
                failures.append((study, "global classifier", str(error)))
        if not kept:
            continue
        batch = np.stack(images)
        probabilities = classify_global(model.module, batch)
        if target is not None:
            found = grad_cam(model.module, batch, target, normalization=normalization)
            for study, view, saliency in zip(kept, views, found, strict=True):
                maps.save(study, view.place(saliency, map_size))
        for study, row in zip(kept, probabilities, strict=True):
            scores.save(study, row.astype(np.float64))
    return failure_table(failures)


def classify_by_patches(
    model: TrainedModel,
    films: FilmStore,
    lungs: Lungs,
    studies: Sequence[str],
    folder: Path,
    vote: VoteConfig,
    target: int | None,
    map_size: int,
    normalization: str = "minmax",
    since: int = 0,
) -> pd.DataFrame:
    """Vote of K patches, and the probabilistic Grad-CAM for ``target`` from the same patches (eq. 5).

    Results that are older than ``since`` (nanoseconds) or than their film are made again.
    """
    maps, votes, failures = ArrayFolder(folder / "maps"), folder / "votes", []
    names, patches = ArrayFolder(votes), ArrayFolder(folder / "patches")
    region = trained_region(model)
    for study in studies:
        record = names.path(study).with_suffix(".json")
        if up_to_date(record, films, study, since):
            continue
        try:
            view = lung_view(films, lungs, study, region)
            found = explain_patches(model, view, study, vote, () if target is None else (target,), normalization)
        except PatchCXRError as error:
            failures.append((study, "local classifier", str(error)))
            continue
        if target is not None:
            maps.save(study, view.place(found.maps[target], map_size))
        if found.vote is not None:
            patches.save(study, _patches(found.vote, view, vote.patch_size))
            write_bytes_atomically(record, json.dumps(_record(found.vote)).encode())
    return failure_table(failures)


def _patches(said: VoteResult, view: LungView, patch_size: int) -> FloatArray:
    """What is kept of each patch: :data:`PATCH_COLUMNS` and its probabilities, float32 (K, 5 + C)."""
    mean, std = patch_intensity_at(view.image, said.centres, patch_size, view.lung)
    seen = [said.centres, said.probabilities.argmax(axis=1), mean, std, said.probabilities]
    return np.column_stack(seen).astype(np.float32)


def _record(said: VoteResult) -> dict[str, int | float | list[int] | list[float]]:
    """What is kept of a vote."""
    return {
        "prediction": int(said.prediction),
        "votes": [int(n) for n in said.votes],
        "probability": [float(p) for p in said.mean_probability],
        "entropy": float(said.entropy),
        "margin": float(said.margin),
        "minimum_coverage": int(said.coverage.minimum),
        "median_coverage": float(said.coverage.median),
        "uncovered_share": float(said.coverage.uncovered_share),
    }
