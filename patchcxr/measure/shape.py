"""Size and outline of the lungs (Oh 2020, section III-B)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from patchcxr.measure._checks import as_mask
from patchcxr.measure.cardiothoracic import spacing
from patchcxr.measure.zones import bounding_box
from patchcxr.types import AnyArray, BoolArray

NAN: Final = float("nan")
SHAPE_MEASURES: Final = (
    "area_fraction",
    "area_mm2",
    "height",
    "height_mm",
    "width",
    "width_mm",
    "solidity",
    "contour_length",
    "contour_length_mm",
    "contour_roughness",
)
"""Keys of :func:`lung_shape`."""


def lung_shape(mask: BoolArray, pixel_spacing_mm: Sequence[float] | None = None) -> dict[str, float]:
    """Shape of a lung field (lung morphology of Oh 2020, section III-B).

    Parameters
    ----------
    mask
        Boolean mask (H, W).
    pixel_spacing_mm
        Distance of neighbouring rows, and of neighbouring columns, of the mask as it is given.

    Returns
    -------
    dict
        :data:`SHAPE_MEASURES`, all NaN for an empty mask, those in millimetres also without a spacing:

        - ``area_fraction`` (of the film) and ``area_mm2``;
        - ``height``, ``width`` (pixels, inclusive), ``height_mm`` and ``width_mm``;
        - ``solidity``: area over the area of the convex hull of the pixel squares, in (0, 1]; deformed and
          under-segmented lungs are low;
        - ``contour_length`` (pixels, along the centres of the outer border pixels of every part) and
          ``contour_length_mm``; the staircase of the pixel grid lengthens slanting borders by up to 8 %;
        - ``contour_roughness``: length of the outline over the length of its convex hull, at least 1, and 1 for a
          convex outline. The outline is first simplified to within one pixel (Douglas and Peucker), which takes away
          the staircase of the pixel grid; parts are hulled one by one. In pixels, so that films with and without a
          spacing compare; NaN for single pixels.

    Raises
    ------
    MaskError
        If the mask is not boolean or not (H, W).
    ConfigError
        If the spacing is not two positive numbers.

    Examples
    --------
    >>> import numpy as np
    >>> shape = lung_shape(np.ones((4, 3), bool), pixel_spacing_mm=(2, 10))
    >>> shape["area_mm2"], shape["height_mm"], shape["contour_length"], shape["contour_roughness"]
    (240.0, 8.0, 10.0, 1.0)
    """
    mask = as_mask(mask, "mask", 2)
    row_mm, column_mm = spacing(pixel_spacing_mm)
    shape = dict.fromkeys(SHAPE_MEASURES, NAN)
    organ = np.ascontiguousarray(mask[bounding_box(mask)])
    if organ.size == 0:
        return shape
    area = int(np.count_nonzero(organ))
    contours, _ = cv2.findContours(organ.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    shape["area_fraction"], shape["area_mm2"] = area / mask.size, area * row_mm * column_mm
    shape["height"], shape["width"] = (float(length) for length in organ.shape)
    shape["height_mm"], shape["width_mm"] = shape["height"] * row_mm, shape["width"] * column_mm
    shape["solidity"] = area / _hull_area(contours)
    shape["contour_length"] = _length(contours)
    if pixel_spacing_mm is not None:
        millimetres = np.array([column_mm, row_mm], np.float32)
        shape["contour_length_mm"] = _length([np.asarray(contour, np.float32) * millimetres for contour in contours])
    outlines = [cv2.approxPolyDP(contour, 1.0, True) for contour in contours]
    hull_length = _length([cv2.convexHull(outline) for outline in outlines])
    shape["contour_roughness"] = _length(outlines) / hull_length if hull_length else NAN
    return shape


def _length(contours: Sequence[AnyArray]) -> float:
    return float(sum(cv2.arcLength(contour, True) for contour in contours))


def _hull_area(contours: Sequence[AnyArray]) -> float:
    """Area of the convex hull of the pixel squares, from the corners of the pixels on the hull of their centres."""
    centres = np.asarray(cv2.convexHull(np.concatenate(contours)))
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int32)
    return float(cv2.contourArea(cv2.convexHull((centres + corners).reshape(-1, 2))))
