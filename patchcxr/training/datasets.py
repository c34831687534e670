"""Films, masks and lung-centred patches as tensors.

An item depends only on the seed, the epoch and its index, never on the order
in which items are asked for: :meth:`set_epoch` chooses the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.patches.sampling import cut_patches, sample_centres
from patchcxr.training.augmentation import AugmentConfig, augment_film, augment_pair
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

Sampler = Literal["uniform", "balanced"]


class FilmDataset(Dataset[tuple[Tensor, Tensor]]):
    """What all data sets share: which film an index means, and its random generator.

    With ``sampler="uniform"`` each film comes once an epoch. With
    ``"balanced"`` each class comes as often as the most frequent one: each of
    its films once, and then films drawn from it again (Degerli 2021 brings the
    infected films up to the number of controls so).

    Parameters
    ----------
    n
        Number of films.
    labels
        Class index of each film; needed for ``"balanced"`` only.
    sampler
        ``"uniform"`` or ``"balanced"``.
    seed
        Seed of all draws.
    """

    def __init__(
        self, n: int, labels: Sequence[int] | IntArray | None = None, sampler: Sampler = "uniform", seed: int = 0
    ) -> None:
        if n < 1:
            raise TrainingError("got no film to train on; check the cohort's splits, labels and masks")
        if labels is not None and len(labels) != n:
            raise TrainingError(f"got {len(labels)} labels for {n} films; give one a film")
        if sampler not in ("uniform", "balanced"):
            raise ConfigError(f"sampler: got {sampler!r}; expected 'uniform' or 'balanced'")
        self.films_by_class: list[IntArray] | None = None
        self.films_per_epoch = n
        if sampler == "balanced":
            if labels is None:
                raise TrainingError("sampler 'balanced' needs the class of each film; give labels")
            classes = np.asarray(labels)
            self.films_by_class = [np.flatnonzero(classes == label) for label in np.unique(classes)]
            self.films_per_epoch = len(self.films_by_class) * max(len(films) for films in self.films_by_class)
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.films_per_epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next items belong to."""
        self.epoch = epoch

    def generator(self, index: int) -> np.random.Generator:
        """Random generator of one item."""
        return np.random.default_rng((self.seed, self.epoch, index))

    def film_index(self, turn: int, rng: np.random.Generator) -> int:
        """Film of the given turn of the epoch, in [0, n)."""
        if self.films_by_class is None:
            return turn
        label, place = divmod(turn, self.films_per_epoch // len(self.films_by_class))
        films = self.films_by_class[label]
        return int(films[place] if place < len(films) else rng.choice(films))


class SegmentationDataset(FilmDataset):
    """Films with label maps or binary masks.

    Items are a film (1, H, W) float32 in [0, 1], and either its label map
    (H, W) int64 or, where ``load`` gives a bool mask, its mask (1, H, W)
    float32.

    Parameters
    ----------
    load
        Gives the film (H, W), uint8 or float in [0, 1], and its label map
        (integers) or mask (bool) for a number in [0, n).
    n
        Number of films.
    augment
        Ranges of the augmentation, or None for none.
    seed, labels, sampler
        See :class:`FilmDataset`.
    """

    def __init__(
        self,
        load: Callable[[int], tuple[AnyArray, AnyArray]],
        n: int,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        labels: Sequence[int] | IntArray | None = None,
        sampler: Sampler = "uniform",
    ) -> None:
        super().__init__(n, labels, sampler, seed)
        self.load = load
        self.augment = augment

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = self.generator(index)
        film, target = self.load(self.film_index(index, rng))
        image = unit_range(film)
        if image.shape != target.shape:
            raise TrainingError(
                f"got a film of shape {image.shape} and a mask of shape {target.shape}; "
                "resize the mask with preprocessing.geometry.resize_mask"
            )
        if self.augment is not None:
            image, target = augment_pair(image, target, self.augment, rng)
        if target.dtype == np.bool_:
            return as_tensor(image), torch.from_numpy(target.astype(np.float32))[None]
        return as_tensor(image), torch.from_numpy(target.astype(np.int64))


class PatchDataset(FilmDataset):
    """Patches centred in the lungs, drawn anew each epoch (Oh 2020, section II.B).

    Items are a patch (1, size, size) float32 in [0, 1], zero where it reaches
    beyond the film, and the class index of its film.

    Parameters
    ----------
    load
        Gives the masked film (H, W), uint8 or float in [0, 1], and its lung
        mask (H, W) bool for a number in [0, n).
    labels
        Class index of each film.
    size
        Side of a patch in pixels.
    patches_per_film
        Patches of each film an epoch.
    seed, sampler
        See :class:`FilmDataset`.
    augment
        Ranges of the augmentation of a patch, or None for none.
    """

    def __init__(
        self,
        load: Callable[[int], tuple[AnyArray, BoolArray]],
        labels: Sequence[int] | IntArray,
        size: int = 224,
        patches_per_film: int = 4,
        seed: int = 0,
        sampler: Sampler = "uniform",
        augment: AugmentConfig | None = None,
    ) -> None:
        super().__init__(len(labels), labels, sampler, seed)
        if size < 1 or patches_per_film < 1:
            raise ConfigError(f"got size {size} and patches_per_film {patches_per_film}; expected 1 or more of both")
        self.load = load
        self.labels = labels
        self.size = size
        self.patches_per_film = patches_per_film
        self.augment = augment

    def __len__(self) -> int:
        return self.films_per_epoch * self.patches_per_film

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = self.generator(index)
        number = self.film_index(index // self.patches_per_film, rng)
        film, lung_mask = self.load(number)
        patch = unit_range(cut_patches(film, sample_centres(lung_mask, 1, rng), self.size)[0])
        if self.augment is not None:
            patch = augment_film(patch, self.augment, rng)
        return as_tensor(patch), torch.tensor(int(self.labels[number]))


class GlobalDataset(FilmDataset):
    """Whole films and their classes (the global approach of Oh 2020).

    Items are a film (1, size, size) float32 in [0, 1] and its class index.

    Parameters
    ----------
    load
        Gives the film (size, size), uint8 or float in [0, 1], for a number in [0, n).
    labels
        Class index of each film.
    size
        Side of the films in pixels.
    seed, sampler
        See :class:`FilmDataset`.
    augment
        Ranges of the augmentation, or None for none.
    """

    def __init__(
        self,
        load: Callable[[int], AnyArray],
        labels: Sequence[int] | IntArray,
        size: int = 224,
        seed: int = 0,
        sampler: Sampler = "uniform",
        augment: AugmentConfig | None = None,
    ) -> None:
        super().__init__(len(labels), labels, sampler, seed)
        self.load = load
        self.labels = labels
        self.size = size
        self.augment = augment

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = self.generator(index)
        number = self.film_index(index, rng)
        image = unit_range(self.load(number))
        if image.shape != (self.size, self.size):
            raise TrainingError(
                f"film {number} has shape {image.shape}; expected ({self.size}, {self.size}): "
                "resize it with preprocessing.geometry.resize_image"
            )
        if self.augment is not None:
            image = augment_film(image, self.augment, rng)
        return as_tensor(image), torch.tensor(int(self.labels[number]))


def unit_range(film: AnyArray) -> FloatArray:
    """Film as float32 in [0, 1]; uint8 is divided by 255, floats are taken as they are.

    Raises
    ------
    TrainingError
        If the film is neither uint8 nor float.
    """
    if film.dtype == np.uint8:
        return film.astype(np.float32) / np.float32(255)
    if not np.issubdtype(film.dtype, np.floating):
        raise TrainingError(f"got a film of type {film.dtype}; expected uint8, or float in [0, 1]")
    return np.asarray(film, dtype=np.float32)


def as_tensor(image: FloatArray) -> Tensor:
    """Tensor (1, H, W) of a film (H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image))[None]
