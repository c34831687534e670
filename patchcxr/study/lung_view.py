"""What a classifier sees of a film, and its maps put back onto the film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.preprocessing.lungfields import crop_to_lungs, lung_box, mask_image, place_crop
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.predict import Lungs
from patchcxr.study.reading import as_film
from patchcxr.types import AnyArray, BoolArray, FloatArray


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
