"""Lung fields: cleaned, split into right and left, laid over a film, cropped to."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from patchcxr.errors import ConfigError, EmptyLungError, ImageError, MaskError
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.types import BoolArray, FloatArray

SEPARATE_SHARE: Final = 0.2
"""A part of a mask of both lungs counts as one of the two lungs from this share of the mask on."""


def fill_holes(mask: BoolArray) -> BoolArray:
    """Fill background that does not reach the border of the image (4-connected)."""
    mask = _checked(mask)
    padded = np.pad(~mask, 1, constant_values=True).view(np.uint8)
    _, label = cv2.connectedComponents(padded, connectivity=4)
    return np.asarray(label[1:-1, 1:-1] != label[0, 0])


def lungs_from_probability(probability: FloatArray, threshold: float = 0.5, minimum_share: float = 0.05) -> BoolArray:
    """Lung mask from the probability of lung at every pixel: all of the post-processing of Tahir 2021, section 3.2.

    Lung is where the probability is *above* the threshold; then come
    :func:`postprocess_lungs`, and its rules for films with one lung or none.

    Parameters
    ----------
    probability
        Probability (H, W) of either lung, in [0, 1].
    threshold
        In [0, 1]; a pixel exactly at it is no lung.
    minimum_share
        Regions smaller than this share of all positive pixels are removed.

    Returns
    -------
    bool, shape (H, W).

    Raises
    ------
    ImageError
        If the map is not (H, W), or holds NaN or values outside [0, 1], as logits do.
    ConfigError
        If a setting is outside [0, 1].

    Examples
    --------
    The middle is a hole, which is filled; the corner is at the threshold, not above it.

    >>> lungs_from_probability(np.array([[0.9, 0.9, 0.9], [0.9, 0.1, 0.9], [0.9, 0.9, 0.5]])).astype(int)
    array([[1, 1, 1],
           [1, 1, 1],
           [1, 1, 0]])
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold is {threshold}; expected a probability from 0 to 1")
    probability = np.asarray(probability)
    if probability.ndim != 2 or probability.size == 0:
        raise ImageError(f"probability has shape {probability.shape}; expected one map (H, W)")
    if not (probability.min() >= 0 and probability.max() <= 1):
        raise ImageError(
            f"probability lies in [{probability.min():.3g}, {probability.max():.3g}]; expected [0, 1] without NaN; "
            "apply a sigmoid or softmax to logits"
        )
    return postprocess_lungs(probability > threshold, minimum_share)


def postprocess_lungs(mask: BoolArray, minimum_share: float = 0.05) -> BoolArray:
    """Fill holes, then remove regions below a share of the positive pixels (Tahir 2021, section 3.2).

    Shares are taken of the filled mask; regions are 8-connected.

    - *No lung*: an empty mask stays empty, and so does one whose regions are
      all below the share, which takes more than ``1 / minimum_share`` of them.
    - *One lung*: a single region stays as it is. A second lung below the share
      goes, like any other small region: lungs are cleaned one by one where
      they are known apart (:func:`patchcxr.inference.segmentation.anatomy_masks`).

    Neither is an error here; :func:`patchcxr.measure.lung_flags.lung_flags`
    names both.

    Parameters
    ----------
    mask
        bool, shape (H, W): the lungs as a network or a reader gave them.
    minimum_share
        Regions smaller than this share of all positive pixels are removed.

    Returns
    -------
    bool, shape (H, W).

    Raises
    ------
    MaskError
        If ``mask`` is not a two-dimensional boolean array.
    """
    if not 0 <= minimum_share <= 1:
        raise ConfigError(f"minimum_share is {minimum_share}; expected a share from 0 to 1")
    filled = fill_holes(mask)
    _, label, stats, _ = cv2.connectedComponentsWithStats(filled.view(np.uint8), connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    area[0] = 0
    keep = (area > 0) & (area >= minimum_share * area.sum())
    return keep[label]


def split_lungs(mask: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Split a joint lung mask into the patient's (right, left) lung.

    Regions go to one side or the other as a whole; the dividing column is the
    one with the fewest pixels on the wrong side of it, among those that give
    each lung at least 5 % of the mask. Where one region spans four fifths of the
    mask's width, the lungs touch: then the dividing column is the emptiest in
    the middle 40 % of that width, and regions with at least a fifth of their
    pixels on either side of it are cut there. A mask wholly on one side of the
    image's middle column counts as a single lung.

    The film must be upright and not mirrored: the patient's right lung is on
    the left of the image.

    Returns
    -------
    right_lung, left_lung : bool, shape (H, W)
        Disjoint; their union is ``mask``.

    Raises
    ------
    EmptyLungError
        If the mask has no pixel.
    """
    mask = _checked(mask)
    _, left, _, right = _bounding_box(mask)
    middle = mask.shape[1] / 2
    nothing = np.zeros_like(mask)
    if right <= middle:
        return mask.copy(), nothing
    if left >= middle:
        return nothing, mask.copy()
    count, label = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    cell = label.astype(np.int64) * mask.shape[1] + np.arange(mask.shape[1])
    per_column = np.bincount(cell.ravel(), minlength=count * mask.shape[1]).reshape(count, -1)[1:]
    total = per_column.sum(axis=1)
    before = np.cumsum(per_column, axis=1) - per_column
    assigned = (total[:, None] * (before > total[:, None] / 2)).sum(axis=0) / total.sum()
    reach = np.flatnonzero(per_column[np.argmax(total)])
    width = right - left
    candidates = np.flatnonzero((assigned >= 0.05) & (assigned <= 0.95))
    touching = reach[-1] - reach[0] + 1 >= 0.8 * width or not candidates.size
    if touching:
        cost = per_column.sum(axis=0)
        candidates = np.arange(left + round(0.3 * width), max(left + round(0.7 * width), left + round(0.3 * width) + 1))
    else:
        cost = np.minimum(before, total[:, None] - before).sum(axis=0)
    distance = np.abs(candidates - (left + right - 1) / 2)
    divide = candidates[np.lexsort((distance, cost[candidates]))[0]]

    share = np.concatenate([[0.0], before[:, divide] / total])
    cut = (share >= 0.2) & (share <= 0.8) & touching
    right_lung = mask & np.where(cut[label], np.arange(mask.shape[1]) < divide, share[label] > 0.5)
    return right_lung, mask & ~right_lung


def separate_lungs(mask: BoolArray) -> tuple[BoolArray, BoolArray] | None:
    """Split a joint lung mask into the patient's (right, left) lung where that is certain, else None.

    It is where the mask falls into two parts of at least :data:`SEPARATE_SHARE`
    of it side by side. Smaller parts go with the nearer of the two, by their
    centre's column. :func:`split_lungs` gives an answer for every mask, also by
    cutting, which would teach a network a line that is not there.

    Returns
    -------
    right_lung, left_lung : bool, shape (H, W), or None

    Examples
    --------
    >>> separate_lungs(np.array([[True, True, False, False, True, True]]))[0].astype(int).tolist()
    [[1, 1, 0, 0, 0, 0]]
    >>> separate_lungs(np.ones((1, 6), dtype=bool)) is None
    True
    """
    count, labels, stats, centres = cv2.connectedComponentsWithStats(_checked(mask).view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count < 3 or np.sort(areas)[-2] < SEPARATE_SHARE * areas.sum():
        return None
    two = np.argsort(areas)[-2:] + 1
    first, second = sorted(two, key=lambda label: centres[label, 0])
    if centres[second, 0] - centres[first, 0] < mask.shape[1] / 10:
        return None
    middle = (centres[first, 0] + centres[second, 0]) / 2
    is_right = centres[:, 0] < middle
    return mask & is_right[labels], mask & ~is_right[labels]


def mask_image(image: FloatArray, lung_mask: BoolArray) -> FloatArray:
    """Film times lung mask; the background is exactly 0 (Oh 2020, section II-B).

    Raises
    ------
    MaskError
        If the shapes differ.

    Examples
    --------
    >>> mask_image(np.array([[0.25, 0.5]]), np.array([[True, False]])).tolist()
    [[0.25, 0.0]]
    """
    _check_fit(image, lung_mask)
    return np.where(lung_mask, image, 0).astype(np.float32)


def lung_box(lung_mask: BoolArray, border: float = 0.025) -> tuple[int, int, int, int]:
    """Smallest rectangle round the lungs, widened by a share of the image on each side (Tabik 2020).

    Returns
    -------
    top, left, bottom, right : int
        Rows ``top`` to ``bottom - 1``, columns ``left`` to ``right - 1``; cut
        at the border of the image.

    Raises
    ------
    EmptyLungError
        If the mask has no pixel.
    """
    if not 0 <= border < 1:
        raise ConfigError(f"border is {border}; expected a share of the image from 0 to 1")
    lung_mask = _checked(lung_mask)
    rows, columns = lung_mask.shape
    top, left, bottom, right = _bounding_box(lung_mask)
    more_rows, more_columns = math.ceil(border * rows), math.ceil(border * columns)
    return (
        max(top - more_rows, 0),
        max(left - more_columns, 0),
        min(bottom + more_rows, rows),
        min(right + more_columns, columns),
    )


def crop_to_lungs(image: FloatArray, lung_mask: BoolArray, border: float = 0.025) -> tuple[FloatArray, BoolArray]:
    """Crop a film and its lung mask to :func:`lung_box`, as an alternative to masking.

    Raises
    ------
    MaskError
        If the shapes differ.
    EmptyLungError
        If the mask has no pixel.
    """
    _check_fit(image, lung_mask)
    top, left, bottom, right = lung_box(lung_mask, border)
    return image[top:bottom, left:right].copy(), lung_mask[top:bottom, left:right].copy()


def place_crop(crop: FloatArray, box: tuple[int, int, int, int], shape: tuple[int, int]) -> FloatArray:
    """Put what was made of a crop back where it came from; beyond the box lies 0.

    Parameters
    ----------
    crop
        Shape (h, w), such as a saliency map of the crop at any size.
    box
        ``top, left, bottom, right`` as :func:`lung_box` gives it.
    shape
        (rows, columns) of the image that the box belongs to.

    Returns
    -------
    float32, shape ``shape``; ``crop`` resized to the box inside it.

    Examples
    --------
    >>> place_crop(np.array([[0.5]]), (0, 1, 2, 2), (2, 3)).tolist()
    [[0.0, 0.5, 0.0], [0.0, 0.5, 0.0]]
    """
    top, left, bottom, right = box
    if not (0 <= top < bottom <= shape[0] and 0 <= left < right <= shape[1]):
        raise ConfigError(f"box is {box}; expected top, left, bottom, right within an image of {shape}")
    placed = np.zeros(shape, dtype=np.float32)
    placed[top:bottom, left:right] = resize_image(crop, (bottom - top, right - left))
    return placed


def _bounding_box(mask: BoolArray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise EmptyLungError(
            f"lung mask of shape {mask.shape} has no pixel; leave the film out or draw or predict its lungs again"
        )
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _checked(mask: BoolArray) -> BoolArray:
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise MaskError(f"mask is {mask.dtype} of shape {mask.shape}; expected bool of shape (H, W), so threshold it")
    return np.ascontiguousarray(mask)


def _check_fit(image: FloatArray, lung_mask: BoolArray) -> None:
    if _checked(lung_mask).shape != np.shape(image):
        raise MaskError(
            f"lung_mask has shape {lung_mask.shape} but the image has {np.shape(image)};"
            " resize the mask with preprocessing.geometry.resize_mask"
        )
