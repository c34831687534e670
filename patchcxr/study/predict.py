"""Trained networks applied to the films of a cohort, one file a film.

Each function skips the films that are done, returns the films that failed
as a table of study, stage and error, and loses nothing when it is interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from patchcxr.errors import EmptyLungError, PatchCXRError
from patchcxr.explain.gradcam import grad_cam
from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.infection import infection_probability
from patchcxr.inference.segmentation import anatomy_masks, segment_anatomy
from patchcxr.inference.voting import VoteConfig, classify_global
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.patches import patch_intensity_at
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.preprocessing.lungfields import crop_to_lungs, lung_box, mask_image, place_crop
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.steps import FAILURE_COLUMNS
from patchcxr.types import ANATOMY, AnyArray, BoolArray, FloatArray

T = TypeVar("T")
PATCH_COLUMNS = ("row", "column", "predicted", "mean", "std")
"""What is kept of each patch: its centre, its most probable class, and the intensity of its lung pixels."""


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive parts of ``items``, each of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def failure_table(rows: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """The films that failed, as a table."""
    return pd.DataFrame(list(rows), columns=list(FAILURE_COLUMNS))


def as_film(stored: AnyArray) -> FloatArray:
    """A stored film (uint8) as float32 in [0, 1]."""
    return np.asarray(stored, dtype=np.float32) / np.float32(255)


def segment_films(
    model: TrainedModel,
    store: FilmStore,
    studies: Sequence[str],
    folder: Path,
    minimum_share: float = 0.05,
    batch_size: int = 8,
) -> pd.DataFrame:
    """Predict heart and lungs of every study, post-processed as in Tahir 2021, section 3.2.

    Writes one label map a study (uint8, indices into :data:`patchcxr.types.ANATOMY`).
    """
    done, failures = ArrayFolder(folder / "labels"), []
    todo = [study for study in studies if study not in done]
    for part in batches(todo, batch_size):
        films = np.stack([as_film(store.film(study)) for study in part])
        for study, labels in zip(part, segment_anatomy(model.module, films), strict=True):
            masks = anatomy_masks(labels, minimum_share=minimum_share)
            cleaned = np.zeros_like(labels)
            for index, name in enumerate(ANATOMY[1:], start=1):
                cleaned[masks[name]] = index
            done.save(study, cleaned)
    for study in studies:
        if not np.isin(done.load(study), (2, 3)).any():
            failures.append((study, "anatomy", "no lung was found in this film; look at it, or leave it out"))
    return failure_table(failures)


class Lungs:
    """Lung and heart masks of a cohort: predicted label maps, or the readers' masks of the store."""

    def __init__(self, store: FilmStore, labels: Path | None = None) -> None:
        self.store = store
        self.labels = None if labels is None else ArrayFolder(labels)

    def structure(self, study: str, name: str, size: int | None = None) -> BoolArray:
        """Mask of one structure: ``heart``, ``left_lung``, ``right_lung`` or ``lung`` (both)."""
        if self.labels is None:
            mask = self.store.mask(study, name)
        else:
            labels = self.labels.load(study)
            mask = labels >= ANATOMY.index("left_lung") if name == "lung" else labels == ANATOMY.index(name)
        return mask if size is None else resize_mask(mask, size)

    def lung(self, study: str, size: int | None = None) -> BoolArray:
        """Both lungs of a study.

        Raises
        ------
        EmptyLungError
            If there is no lung pixel.
        """
        mask = self.structure(study, "lung", size)
        if not mask.any():
            raise EmptyLungError(
                f"the lung mask of study {study!r} is empty; expected lung pixels; look at the film, "
                "leave it out, or give a mask by hand"
            )
        return mask


def predict_infection(
    model: TrainedModel, store: FilmStore, studies: Sequence[str], folder: Path, batch_size: int = 8
) -> pd.DataFrame:
    """Probability of infection at every pixel, float16 (H, W) in [0, 1] (see :func:`round_down`), one file a study."""
    done = ArrayFolder(folder / "probability")
    todo = [study for study in studies if study not in done]
    for part in batches(todo, batch_size):
        films = np.stack([resize_image(as_film(store.film(study)), model.image_size) for study in part])
        for study, probability in zip(part, infection_probability(model.module, films), strict=True):
            done.save(study, round_down(probability))
    return failure_table([])


def round_down(probability: FloatArray) -> FloatArray:
    """Probabilities as float16, never larger than they were, so that none below a half counts as a half.

    >>> round_down(np.array([0.4999, 0.5], dtype=np.float32)).tolist()
    [0.499755859375, 0.5]
    """
    rounded = probability.astype(np.float16)
    return np.where(rounded > probability, np.nextafter(rounded, np.float16(0)), rounded)


@dataclass(frozen=True, eq=False)
class LungView:
    """What a classifier sees of a film.

    Attributes
    ----------
    image, lung
        float32 and bool, (H, W) at the film's stored size.
    box
        ``top, left, bottom, right`` of the part of the film that is seen.
    """

    image: FloatArray
    lung: BoolArray
    box: tuple[int, int, int, int]

    def place(self, saliency: FloatArray, size: int) -> AnyArray:
        """Saliency map of the view as a map of the whole film, float16 (size, size)."""
        shape = self.image.shape
        if self.box != (0, 0, *shape):
            saliency = place_crop(saliency, self.box, (shape[0], shape[1]))
        return resize_image(saliency, size).astype(np.float16)


def lung_view(films: FilmStore, lungs: Lungs, study: str, region: str = "mask") -> LungView:
    """The film of a study as the classifiers see it.

    ``mask``: film times lung mask (Oh 2020, section II.B). ``crop``: the
    smallest rectangle round the lungs and a border of 2.5 %, stretched to the
    film's size (Tabik 2020; Hertel 2022). ``whole``: the film as it is.
    """
    film = as_film(films.film(study))
    lung = lungs.lung(study, film.shape[0])
    box = (0, 0, *film.shape)
    if region == "mask":
        film = mask_image(film, lung)
    elif region == "crop":
        box = lung_box(lung)
        film, lung = crop_to_lungs(film, lung)
        film, lung = resize_image(film, films.size), resize_mask(lung, films.size)
    return LungView(film, lung, box)


def trained_region(model: TrainedModel) -> str:
    """What of the film a classifier was trained on (see :func:`lung_view`)."""
    return str(model.training.get("region", "mask"))


def classify_and_explain_global(
    model: TrainedModel,
    films: FilmStore,
    lungs: Lungs,
    studies: Sequence[str],
    folder: Path,
    target: int | None,
    map_size: int,
    normalization: str = "minmax",
    batch_size: int = 16,
) -> pd.DataFrame:
    """Class probabilities of the whole masked film, and its Grad-CAM for ``target`` (eq. 3)."""
    maps, scores, failures = ArrayFolder(folder / "maps"), ArrayFolder(folder / "scores"), []
    todo, region = [study for study in studies if study not in scores], trained_region(model)
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


def classify_and_explain_local(
    model: TrainedModel,
    films: FilmStore,
    lungs: Lungs,
    studies: Sequence[str],
    folder: Path,
    vote: VoteConfig,
    target: int | None,
    map_size: int,
    normalization: str = "minmax",
) -> pd.DataFrame:
    """Vote of K patches, and the probabilistic Grad-CAM for ``target`` from the same patches (eq. 5).

    The patches of a study are drawn from (vote.seed, study id), so they do
    not depend on which other films are scored.
    """
    maps, votes, failures = ArrayFolder(folder / "maps"), folder / "votes", []
    names, patches = ArrayFolder(votes), ArrayFolder(folder / "patches")
    votes.mkdir(parents=True, exist_ok=True)
    region = trained_region(model)
    for study in studies:
        record = names.path(study).with_suffix(".json")
        if record.is_file():
            continue
        try:
            view = lung_view(films, lungs, study, region)
            rng = np.random.default_rng([vote.seed, *study.encode()])
            classes = () if target is None else (target,)
            result = probabilistic_grad_cam(
                model.module, view.image, view.lung, vote, rng, classes=classes, normalization=normalization
            )
        except PatchCXRError as error:
            failures.append((study, "local classifier", str(error)))
            continue
        if target is not None:
            maps.save(study, view.place(result.maps[0], map_size))
        found = result.vote
        mean, std = patch_intensity_at(view.image, found.centres, vote.patch_size, view.lung)
        seen = np.column_stack([found.centres, found.probabilities.argmax(axis=1), mean, std])
        patches.save(study, seen.astype(np.float32))
        temporary = record.with_suffix(".tmp")
        temporary.write_text(
            json.dumps(
                {
                    "prediction": int(found.prediction),
                    "votes": [int(n) for n in found.votes],
                    "probability": [float(p) for p in found.mean_probability],
                    "entropy": float(found.entropy),
                    "margin": float(found.margin),
                    "minimum_coverage": int(found.coverage.minimum),
                    "median_coverage": float(found.coverage.median),
                    "uncovered_share": float(found.coverage.uncovered_share),
                }
            )
        )
        temporary.replace(record)
    return failure_table(failures)
