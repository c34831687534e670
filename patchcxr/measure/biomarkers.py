"""Biomarkers of the lungs and heart: intensity, shape and cardiothoracic ratio (Oh 2020, section III-B).

Measures of an organ that is missing are NaN; :func:`missing_organs` tells which organ and why.
"""

from __future__ import annotations

import cv2
import numpy as np

from patchcxr.errors import ImageError
from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.types import AnyArray, BoolArray, FloatArray

NAN = float("nan")


def lung_intensity(image: FloatArray, lung_mask: BoolArray) -> tuple[float, float]:
    """Mean and standard deviation of the intensity in the lungs (Oh 2020, Tables VI and VII).

    Parameters
    ----------
    image
        Prepared film (H, W), in [0, 1]; the paper's grey levels are 255 times these.
    lung_mask
        Boolean mask (H, W).

    Returns
    -------
    tuple of float
        Mean and population standard deviation (``ddof=0``: the pixels are the whole lung, not a sample of it), in the
        unit of the image; both NaN if the mask is empty.

    Raises
    ------
    ImageError
        If the image is not (H, W), or is NaN or infinite in the lungs.
    MaskError
        If the mask is not boolean or has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> lung_intensity(np.array([[0.2, 0.4, 0.9]]), np.array([[True, True, False]]))
    (0.30000000000000004, 0.1)
    """
    image = _film(image)
    lung_mask = as_mask(lung_mask, "lung_mask", 2)
    check_same_shape(lung_mask, "lung_mask", image.shape, "image")
    return _mean_std(image[lung_mask])


def transverse_diameter(mask: BoolArray) -> float:
    """Horizontal extent of a mask in pixels, from its leftmost to its rightmost column inclusive.

    A mask one pixel wide has diameter 1 (max - min + 1); an empty mask gives NaN.

    Raises
    ------
    MaskError
        If the mask is not boolean or not (H, W).
    """
    return _extent(np.logical_or.reduce(as_mask(mask, "mask", 2), axis=0))


def cardiothoracic_ratio(heart_mask: BoolArray, lung_mask: BoolArray) -> float:
    """Maximal transverse cardiac diameter over maximal internal thoracic diameter (Oh 2020, Fig. 2a).

    The cardiac diameter runs from the leftmost to the rightmost column of the heart, the thoracic one from the
    leftmost to the rightmost column of the two lungs. NaN if the heart or the lungs are missing. With one lung alone
    the thoracic diameter means nothing; :func:`biomarkers` gives NaN then. A *cardiomediastinum* is wider than a
    heart, so its ratio must not be compared with one from a heart mask.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> heart = np.array([[False, False, True, True, False, False, False, False]])
    >>> lungs = np.array([[True, True, False, False, False, True, True, True]])
    >>> cardiothoracic_ratio(heart, lungs)
    0.25
    """
    heart_mask = as_mask(heart_mask, "heart_mask", 2)
    lung_mask = as_mask(lung_mask, "lung_mask", 2)
    check_same_shape(heart_mask, "heart_mask", lung_mask.shape, "lung_mask")
    return transverse_diameter(heart_mask) / transverse_diameter(lung_mask)


def lung_shape(mask: BoolArray) -> dict[str, float]:
    """Shape of a lung field (lung morphology of Oh 2020, section III-B).

    Returns
    -------
    dict
        ``area_fraction`` (of the film), ``height`` and ``width`` (pixels, inclusive), ``solidity`` (area over the area
        of the convex hull of the pixel squares, in (0, 1]; deformed and under-segmented lungs are low) and
        ``contour_length`` (pixels, along the centres of the outer border pixels of every part); NaN for an empty mask.

    Raises
    ------
    MaskError
        If the mask is not boolean or not (H, W).
    """
    mask = as_mask(mask, "mask", 2)
    shape = dict.fromkeys(("area_fraction", "height", "width", "solidity", "contour_length"), NAN)
    rows, columns = np.logical_or.reduce(mask, axis=1), np.logical_or.reduce(mask, axis=0)
    if not rows.any():
        return shape
    top, bottom = _bounds(rows)
    left, right = _bounds(columns)
    organ = np.ascontiguousarray(mask[top : bottom + 1, left : right + 1])
    area = int(np.count_nonzero(organ))
    contours, _ = cv2.findContours(organ.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    shape["area_fraction"] = area / mask.size
    shape["height"] = float(bottom - top + 1)
    shape["width"] = float(right - left + 1)
    shape["solidity"] = area / _hull_area(organ)
    shape["contour_length"] = float(sum(cv2.arcLength(contour, True) for contour in contours))
    return shape


def biomarkers(image: FloatArray, right_lung: BoolArray, left_lung: BoolArray, heart: BoolArray) -> dict[str, float]:
    """All biomarkers of a film, as one flat row.

    Parameters
    ----------
    image
        Prepared film (H, W), in [0, 1].
    right_lung, left_lung, heart
        Boolean masks (H, W); the patient's right and left. An all-False mask says that the organ is missing.

    Returns
    -------
    dict
        ``lung_mean``, ``lung_std`` and the same for ``right_lung`` and ``left_lung`` (unit of the image);
        ``cardiothoracic_ratio``, ``heart_width`` and ``thorax_width`` (pixels); ``lung_area_fraction``,
        ``right_lung_area_fraction``, ``left_lung_area_fraction`` (of the film); ``area_asymmetry``, which is
        (right - left) / (right + left) in [-1, 1]; ``solidity``, ``height`` (pixels) and ``contour_length`` (pixels)
        of each lung. NaN where an organ that the value needs is missing; values of both lungs need both.

    Raises
    ------
    ImageError
        If the image is not (H, W), or is NaN or infinite in the lungs.
    MaskError
        If a mask is not boolean or the shapes differ.
    """
    image = _film(image)
    masks = {"right_lung": right_lung, "left_lung": left_lung, "heart": heart}
    for name, mask in masks.items():
        masks[name] = as_mask(mask, name, 2)
        check_same_shape(masks[name], name, image.shape, "image")
    both = masks["right_lung"] | masks["left_lung"]
    lungs = {"lung": both, "right_lung": masks["right_lung"], "left_lung": masks["left_lung"]}
    both_present = bool(lungs["right_lung"].any() and lungs["left_lung"].any())

    row: dict[str, float] = {}
    for name, mask in lungs.items():
        mean, std = _mean_std(image[mask]) if both_present or name != "lung" else (NAN, NAN)
        row[f"{name}_mean"], row[f"{name}_std"] = mean, std
    row["heart_width"] = transverse_diameter(masks["heart"])
    row["thorax_width"] = transverse_diameter(both) if both_present else NAN
    row["cardiothoracic_ratio"] = row["heart_width"] / row["thorax_width"]
    row["lung_area_fraction"] = np.count_nonzero(both) / both.size if both_present else NAN
    for name in ("right_lung", "left_lung"):
        shape = lung_shape(masks[name])
        row |= {f"{name}_{key}": shape[key] for key in ("area_fraction", "solidity", "height", "contour_length")}
    right, left = row["right_lung_area_fraction"], row["left_lung_area_fraction"]
    row["area_asymmetry"] = (right - left) / (right + left)
    return row


def missing_organs(right_lung: BoolArray, left_lung: BoolArray, heart: BoolArray) -> dict[str, str]:
    """Name each organ without a pixel, with what cannot be measured without it.

    Returns
    -------
    dict
        Organ to reason; empty if all organs are there.

    Examples
    --------
    >>> import numpy as np
    >>> lung = np.ones((4, 4), bool)
    >>> missing_organs(lung, lung, np.zeros((4, 4), bool))
    {'heart': 'the heart mask is empty: no heart width and no cardiothoracic ratio'}
    """
    whole = "no value of both lungs, no thorax width, no cardiothoracic ratio and no asymmetry"
    reasons = {
        "right_lung": f"the right lung mask is empty: no value of the right lung, {whole}",
        "left_lung": f"the left lung mask is empty: no value of the left lung, {whole}",
        "heart": "the heart mask is empty: no heart width and no cardiothoracic ratio",
    }
    masks = {"right_lung": right_lung, "left_lung": left_lung, "heart": heart}
    return {name: reasons[name] for name, mask in masks.items() if not as_mask(mask, name).any()}


def _film(image: AnyArray) -> AnyArray:
    image = np.asarray(image)
    if image.ndim != 2:
        raise ImageError(f"image has shape {image.shape}; expected one film with axes (row, column)")
    return image


def _mean_std(values: AnyArray) -> tuple[float, float]:
    if values.size == 0:
        return NAN, NAN
    values = values.astype(np.float64)
    mean = values.mean()
    if not np.isfinite(mean):
        raise ImageError("image is NaN or infinite in the lungs; expected finite values; prepare the film again")
    values -= mean
    return float(mean), float(np.sqrt(values @ values / values.size))


def _bounds(occupied: BoolArray) -> tuple[int, int]:
    return int(occupied.argmax()), int(occupied.size - 1 - occupied[::-1].argmax())


def _extent(occupied: BoolArray) -> float:
    if not occupied.any():
        return NAN
    first, last = _bounds(occupied)
    return float(last - first + 1)


def _hull_area(organ: BoolArray) -> float:
    """Area of the convex hull of the pixel squares; the corners of each row's outermost pixels suffice."""
    rows = np.flatnonzero(organ.any(axis=1))
    left = organ[rows].argmax(axis=1)
    right = organ.shape[1] - organ[rows, ::-1].argmax(axis=1)
    corners = np.stack([np.tile(np.concatenate([left, right]), 2), np.concatenate([rows, rows, rows + 1, rows + 1])], 1)
    return float(cv2.contourArea(cv2.convexHull(corners.astype(np.int32))))
