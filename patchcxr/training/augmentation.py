"""Random shifts, rotations and other affine maps of a film with its mask (Degerli 2021; Hertel 2022)."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from patchcxr.config import config
from patchcxr.errors import ConfigError
from patchcxr.types import AnyArray, FloatArray


@config
class AugmentConfig:
    """Ranges from which each film's transformation is drawn uniformly.

    The defaults are those of Degerli 2021; the papers' ranges have names in
    :data:`AUGMENTATIONS`.

    Attributes
    ----------
    shift
        Largest shift along each axis, as a share of the film's side.
    rotation
        Largest rotation to either side, in degrees.
    zoom
        Largest relative change of size, to either side.
    shear
        Largest horizontal shear: columns moved a row.
    horizontal_flip
        Mirror half of the films. Leave it off where left and right lung are
        classes, since a mirrored film swaps them.
    gamma
        Grey levels in [0, 1] are raised to a power between 1 / (1 + gamma)
        and 1 + gamma, its logarithm drawn uniformly. No paper's; for networks
        that shall work on films of other hospitals.
    """

    shift: float = 0.1
    rotation: float = 10.0
    zoom: float = 0.0
    shear: float = 0.0
    horizontal_flip: bool = False
    gamma: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.shift < 1 and 0 <= self.rotation <= 180 and 0 <= self.zoom < 1 and 0 <= self.shear < 1):
            raise ConfigError(
                f"augment: got {self}; expected shift, zoom and shear from 0 up to 1, and rotation from 0 to 180"
            )
        if not 0 <= self.gamma <= 10:
            raise ConfigError(f"augment: got gamma={self.gamma}; expected 0 to 10")


AUGMENTATIONS: Final[dict[str, AugmentConfig]] = {
    "degerli2021": AugmentConfig(shift=0.1, rotation=10),
    "hertel2022_segmentation": AugmentConfig(shift=0.3, rotation=180, zoom=0.2, shear=0.2, horizontal_flip=True),
    "hertel2022_classification": AugmentConfig(shift=0.15, rotation=15, zoom=0.15, shear=0.15, horizontal_flip=True),
}
"""Ranges of the papers by name, as a configuration may give them.

``degerli2021``: shifts of 10 %, rotations of 10 degrees, nearest fill; with
``sampler: balanced`` the infected films are brought up to the number of the
controls. ``hertel2022_segmentation`` and ``hertel2022_classification``: the
ranges printed in sections on segmentation and classification. That paper gives
its rotation for classification as "15 %", taken here as 15 degrees, the unit
of the tool that it names; the same tool takes a shear in degrees, where 20 %
would be next to nothing, so shears are taken here as a share of the side.
"""


def named_augmentation(value: object) -> object:
    """Replace the name of a paper's augmentation by its ranges; anything else stays as it is.

    Raises
    ------
    ConfigError
        If no augmentation has this name.
    """
    if not isinstance(value, str):
        return value
    if value not in AUGMENTATIONS:
        raise ConfigError(f"augment: got {value!r}; expected ranges, or one of {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[value]


def draw_transformation(config: AugmentConfig, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Affine map (2, 3) from places (column, row) in the film to places in the augmented film.

    The film turns, shears, zooms and flips about its centre, then shifts.
    """
    height, width = shape[:2]
    angle = np.deg2rad(rng.uniform(-config.rotation, config.rotation))
    across, down = rng.uniform(-config.shift, config.shift, size=2) * (width, height)
    zoom = 1 + rng.uniform(-config.zoom, config.zoom)
    shear = rng.uniform(-config.shear, config.shear)
    mirror = -1.0 if config.horizontal_flip and rng.random() < 0.5 else 1.0

    cosine, sine = np.cos(angle), np.sin(angle)
    linear = zoom * np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[mirror, shear], [0.0, 1.0]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([linear, centre - linear @ centre + (across, down)])


def augment_film(image: FloatArray, config: AugmentConfig, rng: np.random.Generator) -> FloatArray:
    """Transform a film (H, W), float32, as :func:`augment_pair` does."""
    moved = _move_film(image, draw_transformation(config, image.shape, rng))
    return _change_contrast(moved, config, rng)


def augment_pair(
    image: FloatArray, target: AnyArray, config: AugmentConfig, rng: np.random.Generator
) -> tuple[FloatArray, AnyArray]:
    """Transform a film and its mask alike.

    What comes in from beyond the edge repeats the nearest pixel of the edge,
    in the film and in the mask (Degerli's nearest fill). The film is
    interpolated linearly, the mask takes the nearest pixel.

    Parameters
    ----------
    image
        Film (H, W), float32.
    target
        Mask (bool) or label map (integers) (H, W).
    config
        Ranges of the transformation.
    rng
        Source of randomness.
    """
    matrix = draw_transformation(config, image.shape, rng)
    moved = cv2.warpAffine(
        target.astype(np.int16), matrix, target.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return _change_contrast(_move_film(image, matrix), config, rng), moved.astype(target.dtype)


def _move_film(image: FloatArray, matrix: FloatArray) -> FloatArray:
    moved = cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)


def _change_contrast(image: FloatArray, config: AugmentConfig, rng: np.random.Generator) -> FloatArray:
    if config.gamma == 0:
        return image
    power = np.exp(rng.uniform(-1, 1) * np.log1p(config.gamma))
    return np.power(np.clip(image, 0, 1), np.float32(power))
