"""Trained networks applied to the films of a cohort, one file a film.

Each function skips the films that are done, returns the films that failed
as a table of study, stage and error, and loses nothing when it is interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from patchcxr.errors import EmptyLungError, MaskError
from patchcxr.inference.batches import BatchSize, as_batch_size
from patchcxr.inference.infection import infection_input, infection_probability, needs_lung_masks
from patchcxr.inference.lungs import is_lung_network, segment_lungs
from patchcxr.inference.segmentation import clean_labels, segment_partition, structure_mask
from patchcxr.io.arrays import ArrayFolder
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.provenance import claim_folder
from patchcxr.study.reading import Prepare, Progress, as_film, film_batches
from patchcxr.study.steps import FAILURE_COLUMNS
from patchcxr.types import BoolArray, FloatArray


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
