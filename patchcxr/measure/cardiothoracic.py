"""Cardiothoracic ratio, and where its two diameters lie (Oh 2020, section III-B and Fig. 2a).

Both diameters run from the leftmost to the rightmost column of the organ, over all rows: each border is taken at the
row where it reaches farthest, as a reader measures the heart from the midline to either side (Danzer 1919). The two
ends of a diameter therefore lie on different rows as a rule, and the sum of the two exceeds the widest single row.
Lengths in millimetres are lengths on the detector, where the heart is magnified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patchcxr.errors import ConfigError
from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.measure.zones import bounding_box
from patchcxr.types import BoolArray

NAN = float("nan")


@dataclass(frozen=True)
class Diameter:
    """A transverse diameter, and where to draw it.

    ``left`` and ``right`` are the outermost columns (inclusive), ``left_row`` and ``right_row`` the rows on which the
    organ reaches them (the middle one of several), and ``row`` the row on which the organ is widest (the middle one of
    several), where the arrow is drawn.
    """

    left: int
    right: int
    left_row: int
    right_row: int
    row: int

    @property
    def pixels(self) -> float:
        """Length in pixels, both end columns included."""
        return float(self.right - self.left + 1)


@dataclass(frozen=True)
class Diameters:
    """The two diameters of the cardiothoracic ratio; None where the organ is missing.

    ``column_spacing_mm`` is the distance of the centres of neighbouring columns, NaN where it is not known.
    """

    heart: Diameter | None
    thorax: Diameter | None
    column_spacing_mm: float = NAN

    @property
    def heart_mm(self) -> float:
        """Maximal transverse cardiac diameter in millimetres; NaN without a heart or a spacing."""
        return _length(self.heart) * self.column_spacing_mm

    @property
    def thorax_mm(self) -> float:
        """Maximal internal thoracic diameter in millimetres; NaN without lungs or a spacing."""
        return _length(self.thorax) * self.column_spacing_mm

    @property
    def ratio(self) -> float:
        """Cardiothoracic ratio; NaN where an organ is missing."""
        return _length(self.heart) / _length(self.thorax)


def transverse_diameter(mask: BoolArray) -> float:
    """Horizontal extent of a mask in pixels, from its leftmost to its rightmost column inclusive.

    A mask one pixel wide has diameter 1 (max - min + 1); an empty mask gives NaN.

    Raises
    ------
    MaskError
        If the mask is not boolean or not (H, W).
    """
    _, columns = bounding_box(as_mask(mask, "mask", 2))
    return float(columns.stop - columns.start) or NAN


def cardiothoracic_ratio(heart_mask: BoolArray, lung_mask: BoolArray) -> float:
    """Maximal transverse cardiac diameter over maximal internal thoracic diameter (Oh 2020, Fig. 2a).

    The cardiac diameter runs from the leftmost to the rightmost column of the heart, the thoracic one from the
    leftmost to the rightmost column of the two lungs. NaN if the heart or the lungs are missing. With one lung alone
    the thoracic diameter means nothing; :func:`~patchcxr.measure.biomarkers.biomarkers` gives NaN then. A
    *cardiomediastinum* is wider than a heart, so its ratio must not be compared with one from a heart mask.

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
    heart_mask, lung_mask = _organs(heart_mask, lung_mask)
    return transverse_diameter(heart_mask) / transverse_diameter(lung_mask)


def cardiothoracic_diameters(
    heart_mask: BoolArray, lung_mask: BoolArray, pixel_spacing_mm: Sequence[float] | None = None
) -> Diameters:
    """Find the two diameters of the cardiothoracic ratio, with the rows on which to draw them.

    Parameters
    ----------
    heart_mask, lung_mask
        Boolean masks (H, W); the second holds both lungs.
    pixel_spacing_mm
        Distance of the centres of neighbouring rows, and of neighbouring columns, in the masks as they are given. Of
        a film resized without keeping its aspect, the spacing of each axis grows by its own factor.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.
    ConfigError
        If the spacing is not two positive numbers.

    Examples
    --------
    >>> import numpy as np
    >>> heart = np.array([[0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0]]).astype(bool)
    >>> lungs = np.array([[0, 1, 0, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 1, 1, 1]]).astype(bool)
    >>> found = cardiothoracic_diameters(heart, lungs, pixel_spacing_mm=(30, 40))
    >>> found.heart
    Diameter(left=2, right=4, left_row=0, right_row=1, row=1)
    >>> found.heart_mm, found.thorax_mm, found.ratio
    (120.0, 320.0, 0.375)
    """
    heart_mask, lung_mask = _organs(heart_mask, lung_mask)
    return Diameters(_diameter(heart_mask), _diameter(lung_mask), spacing(pixel_spacing_mm)[1])


def spacing(pixel_spacing_mm: Sequence[float] | None) -> tuple[float, float]:
    """Check the spacing of rows and columns in millimetres; two NaN for None.

    Raises
    ------
    ConfigError
        If it is not two positive, finite numbers.
    """
    if pixel_spacing_mm is None:
        return NAN, NAN
    values = [float(value) for value in pixel_spacing_mm]
    if len(values) != 2 or not all(np.isfinite(value) and value > 0 for value in values):
        raise ConfigError(
            f"pixel_spacing_mm is {tuple(values)}; expected two positive numbers (row, column); "
            "leave it out where it is not known"
        )
    return values[0], values[1]


def _organs(heart_mask: BoolArray, lung_mask: BoolArray) -> tuple[BoolArray, BoolArray]:
    heart_mask, lung_mask = as_mask(heart_mask, "heart_mask", 2), as_mask(lung_mask, "lung_mask", 2)
    check_same_shape(heart_mask, "heart_mask", lung_mask.shape, "lung_mask")
    return heart_mask, lung_mask


def _diameter(mask: BoolArray) -> Diameter | None:
    rows, columns = bounding_box(mask)
    organ = mask[rows, columns]
    if organ.size == 0:
        return None
    width = organ.shape[1]
    first, last = organ.argmax(axis=1), width - 1 - organ[:, ::-1].argmax(axis=1)
    extent = np.where(organ.any(axis=1), last - first, -1)

    def middle(chosen: BoolArray) -> int:
        among = np.flatnonzero(chosen)
        return rows.start + int(among[len(among) // 2])

    return Diameter(
        left=columns.start,
        right=columns.stop - 1,
        left_row=middle(organ[:, 0]),
        right_row=middle(organ[:, -1]),
        row=middle(extent == extent.max()),
    )


def _length(diameter: Diameter | None) -> float:
    return NAN if diameter is None else diameter.pixels
