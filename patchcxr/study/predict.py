"""Trained networks applied to the films of a cohort, one file a film.

Each function skips the films that are done, returns the films that failed
as a table of study, stage and error, and loses nothing when it is interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from patchcxr.errors import EmptyLungError, MaskError, PatchCXRError
from patchcxr.explain.gradcam import grad_cam
from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.batches import BatchSize, as_batch_size
from patchcxr.inference.infection import infection_input, infection_probability, needs_lung_masks
from patchcxr.inference.lungs import is_lung_network, segment_lungs
from patchcxr.inference.segmentation import clean_labels, segment_partition, structure_mask
from patchcxr.inference.voting import VoteConfig, classify_global
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.patches import patch_intensity_at
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.preprocessing.lungfields import crop_to_lungs, lung_box, mask_image, place_crop
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.provenance import claim_folder
from patchcxr.study.reading import Prepare, Progress, as_film, batches, film_batches, up_to_date
from patchcxr.study.steps import FAILURE_COLUMNS
from patchcxr.types import AnyArray, BoolArray, FloatArray

PATCH_COLUMNS = ("row", "column", "predicted", "mean", "std")
"""What is kept of each patch: its centre, its most probable class, and the intensity of its lung pixels; after these
columns, its probability of each class."""


def failure_table(rows: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """The films that failed, as a table."""
    return pd.DataFrame(list(rows), columns=list(FAILURE_COLUMNS))


def segment_films(
    model: TrainedModel,
    store: FilmStore,
    studies: Sequence[str],
    folder: Path,
    minimum_share: float = 0.05,
    batch_size: int | BatchSize = 8,
    prepare: Prepare | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Predict heart and lungs of every study, post-processed as in Tahir 2021, section 3.2.

    Writes one label map a study (uint8, indices into
    :data:`patchcxr.types.PARTITION`, of which a network of ``ANATOMY`` has the
    first four) to ``folder/labels``, for :class:`Lungs`.

    Parameters
    ----------
    model
        Network of ``ANATOMY``, of ``PARTITION``, or of the lungs alone.
    store, studies, folder
        Films, and where the label maps go.
    minimum_share
        See :func:`patchcxr.inference.segmentation.anatomy_masks`.
    batch_size
        Films a forward pass; halved where memory runs out.
    prepare, progress
        See :func:`patchcxr.study.reading.film_batches`.

    Raises
    ------
    ConfigError
        If the folder holds the label maps of another network.
    """
    done, failures, size = ArrayFolder(folder / "labels"), [], as_batch_size(batch_size)
    claim_folder(done.root, model)
    for part, films in film_batches(store, studies, done, size, prepare, progress):
        if is_lung_network(model):
            found = segment_lungs(model.module, films, size, minimum_share)
        else:
            maps = segment_partition(model.module, films, size)
            found = np.stack([clean_labels(labels, minimum_share) for labels in maps])
        for study, labels in zip(part, found, strict=True):
            done.save(study, labels)
    for study in studies:
        if study in done and not structure_mask(done.load(study), "lung").any():
            failures.append((study, "anatomy", "no lung was found in this film; look at it, or leave it out"))
    return failure_table(failures)


class Lungs:
    """Lung and heart masks of a cohort: predicted label maps, or the readers' masks of the store.

    Parameters
    ----------
    store
        Films, with the readers' masks.
    labels
        Folder of label maps of :func:`segment_films`; None takes the readers' masks.
    whole
        Count the part of the lungs behind the heart as lung, where the label
        maps tell it apart; readers' masks stay as they are.
    heart
        Whether there can be a heart; a network of the lungs alone finds none,
        which says nothing of the film.
    """

    def __init__(self, store: FilmStore, labels: Path | None = None, whole: bool = False, heart: bool = True) -> None:
        self.store = store
        self.labels = None if labels is None else ArrayFolder(labels)
        self.whole = whole
        self.heart = heart

    def structure(self, study: str, name: str, size: int | None = None) -> BoolArray:
        """Mask of one structure: ``heart``, ``left_lung``, ``right_lung`` or ``lung`` (both)."""
        if self.labels is None:
            mask = self.store.mask(study, name)
        else:
            mask = structure_mask(self.labels.load(study), name, self.whole)
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


class KnownLungs(Lungs):
    """Lungs as the reader drew them, or else those of ``other``."""

    def __init__(self, store: FilmStore, other: Lungs | None = None) -> None:
        super().__init__(store)
        self.other = other

    def structure(self, study: str, name: str, size: int | None = None) -> BoolArray:
        """Mask of one structure.

        Raises
        ------
        MaskError
            If the reader drew none and there is no other.
        """
        if self.store.has(study, name):
            return super().structure(study, name, size)
        if self.other is None:
            raise MaskError(
                f"study {study!r} has no mask {name!r}, and the infection is looked for within the lungs; fill in "
                "lung_mask, or give an anatomy network"
            )
        return self.other.structure(study, name, size)


def predict_infection(
    model: TrainedModel,
    store: FilmStore,
    studies: Sequence[str],
    folder: Path,
    batch_size: int | BatchSize = 8,
    prepare: Prepare | None = None,
    progress: Progress | None = None,
    lungs: Lungs | None = None,
) -> pd.DataFrame:
    """Probability of infection at every pixel, float16 (H, W) in [0, 1] (see :func:`round_down`), one file a study.

    The parameters are those of :func:`segment_films`; the maps go to
    ``folder/probability``. A network that was trained on films masked by the
    lungs needs ``lungs``.

    Raises
    ------
    ConfigError
        If the folder holds the maps of another network.
    MaskError
        If the network needs lungs and there are none.
    """
    done, size, masked = ArrayFolder(folder / "probability"), as_batch_size(batch_size), needs_lung_masks(model)
    claim_folder(done.root, model)
    for part, stored in film_batches(store, studies, done, size, prepare, progress):
        films = []
        for study, film in zip(part, stored, strict=True):
            lung = lungs.structure(study, "lung", store.size) if masked and lungs else None
            films.append(infection_input(model, as_film(film), lung))
        batch = np.stack([resize_image(film, model.image_size) for film in films])
        for study, probability in zip(part, infection_probability(model.module, batch, size), strict=True):
            done.save(study, round_down(probability))
    return failure_table([])


def round_down(probability: FloatArray) -> FloatArray:
    """Probabilities as float16, on the side of a half on which they were, so that no rule with that threshold changes.

    They are never rounded up, but for those that would become a half from above. With another threshold a pixel
    within 0.0005 above it may count as below.

    >>> round_down(np.array([0.4999, 0.5, 0.50001], dtype=np.float32)).tolist()
    [0.499755859375, 0.5, 0.50048828125]
    """
    rounded = probability.astype(np.float16)
    rounded = np.where(rounded > probability, np.nextafter(rounded, np.float16(0)), rounded)
    return np.where((probability > 0.5) & (rounded == 0.5), np.nextafter(np.float16(0.5), np.float16(1)), rounded)


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
    ``lungs_only``: the lung mask itself, 1 in the lungs and 0 elsewhere, for
    what their outline alone tells (Oh 2020, section V-F).
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
    elif region == "lungs_only":
        film = lung.astype(np.float32)
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
    since: int = 0,
) -> pd.DataFrame:
    """Vote of K patches, and the probabilistic Grad-CAM for ``target`` from the same patches (eq. 5).

    The patches of a study are drawn from (vote.seed, study id), so they do
    not depend on which other films are scored. Results that are older than
    ``since`` (nanoseconds) or than their film are made again.
    """
    maps, votes, failures = ArrayFolder(folder / "maps"), folder / "votes", []
    names, patches = ArrayFolder(votes), ArrayFolder(folder / "patches")
    votes.mkdir(parents=True, exist_ok=True)
    region = trained_region(model)
    for study in studies:
        record = names.path(study).with_suffix(".json")
        if up_to_date(record, films, study, since):
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
        seen = np.column_stack([found.centres, found.probabilities.argmax(axis=1), mean, std, found.probabilities])
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
