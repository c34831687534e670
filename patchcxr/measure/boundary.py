"""How far the outline of a predicted mask lies from the true one: Hausdorff distance, HD95, ASSD and surface Dice.

Dice and Jaccard weigh pixels, so a large organ hides a wrong outline and a small one is punished for a thin rim; these
measures look at the outline alone. *Outline*: the pixels of a mask with at least one of their four neighbours outside
it, beyond the edge of the film counting as outside; the rims of holes belong to it. Distances run between the centres
of outline pixels, from each of one mask to the nearest of the other, in both directions.

====================  ==============================================================================================
``hausdorff``         the largest distance of either direction; a single stray pixel decides it
``hd95``              95th percentile (linear) of each direction, the larger of the two: that of MONAI and the BraTS
                      challenges. MedPy takes one percentile of both directions together, which is smaller as a rule
``assd``              average symmetric surface distance: mean over the distances of both directions together, so the
                      longer outline weighs more (MedPy averages the means of the two directions)
``surface_dice``      normalised surface Dice: share of the pixels of both outlines that lie within a tolerance of the
                      other one (Nikolov 2018), counted in pixels, not weighed by the length of the outline in each
====================  ==============================================================================================

**Empty masks.** Where one mask has pixels and the other has none, the organ was missed or invented: no distance
exists, but the worst that the film allows does, and it stands in: the diagonal of the film for the three distances, 0
for surface Dice; ``failed`` is set. A mean over films thus gets worse with each failure, as that of Dice does, where a
NaN would leave it and make a network that misses organs look better. The films without failures are a choice of
the reader: drop the rows with ``failed``. Where both masks are empty there is nothing to measure: every value is NaN
and ``reason`` says why.

The distances are exact. They are looked up in one distance transform a mask, over the box that holds both masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from patchcxr.errors import ConfigError
from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.measure.zones import bounding_box
from patchcxr.types import BoolArray, FloatArray

NAN: Final = float("nan")
TOLERANCE: Final = 2.0
"""Distance in pixels within which outlines agree for surface Dice: about 1 % of a film of 256 pixels."""

TOLERANCE_MM: Final = 3.0
"""The same in millimetres: about 1 % of a chest film's width, and two of the 256 pixels of a 36 cm film."""

PERCENTILE: Final = 95.0
DISTANCES: Final = ("hausdorff", "hd95", "assd")
BOUNDARY_MEASURES: Final = (*DISTANCES, "surface_dice")

_ROUNDING: Final = 1e-6
_CROSS: Final = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True)
class BoundaryScores:
    """How far two outlines lie apart.

    Attributes
    ----------
    hausdorff, hd95, assd
        Distances in the unit of the spacing, 0 for equal masks; NaN if both masks are empty.
    surface_dice
        In [0, 1]; NaN if both masks are empty.
    failed
        Whether one mask is empty and the other is not; the values are then the worst that the film allows.
    reason
        Which masks are empty; "" if none is.
    """

    hausdorff: float
    hd95: float
    assd: float
    surface_dice: float
    failed: bool = False
    reason: str = ""


def boundary_scores(
    predicted: BoolArray,
    truth: BoolArray,
    spacing: Sequence[float] = (1.0, 1.0),
    tolerance: float = TOLERANCE,
) -> BoundaryScores:
    """Compare the outlines of two masks; see the module for every definition.

    Parameters
    ----------
    predicted, truth
        Boolean masks (H, W).
    spacing
        Distance of neighbouring rows and of neighbouring columns; ones give pixels, millimetres millimetres.
    tolerance
        For ``surface_dice``, in the unit of ``spacing``; a distance equal to it is within.

    Raises
    ------
    MaskError
        If a mask is not boolean or not (H, W), or the shapes differ.
    ConfigError
        If the spacing is not two positive numbers, or the tolerance is negative or not a number.

    References
    ----------
    Nikolov et al. 2018, arXiv:1809.04430 (surface Dice); Heimann et al. 2009, IEEE Trans. Med. Imaging 28:1251 (ASSD).

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.zeros((6, 8), bool)
    >>> truth[1:5, 1:5] = True
    >>> boundary_scores(np.roll(truth, 2, axis=1), truth).hausdorff
    2.0
    >>> boundary_scores(np.zeros_like(truth), truth, tolerance=1)
    BoundaryScores(hausdorff=8.602325267042627, hd95=8.602325267042627, assd=8.602325267042627, surface_dice=0.0, \
failed=True, reason='predicted is empty')
    """
    return _compare(predicted, truth, [(spacing, tolerance)])[0]


def boundary_row(
    predicted: BoolArray,
    truth: BoolArray,
    pixel_spacing_mm: Sequence[float] | None = None,
    tolerance: float = TOLERANCE,
    tolerance_mm: float = TOLERANCE_MM,
) -> dict[str, float | bool]:
    """Outline measures as the cells of a table, in pixels and, where the spacing is known, in millimetres.

    Parameters
    ----------
    predicted, truth
        Boolean masks (H, W).
    pixel_spacing_mm
        (row, column) spacing of the masks as they are given; None leaves the millimetres out.
    tolerance, tolerance_mm
        Of surface Dice, in pixels and in millimetres.

    Returns
    -------
    dict
        ``hausdorff``, ``hd95``, ``assd``, ``surface_dice`` and ``failed``; with a spacing also the first four with
        ``_mm`` (``surface_dice_mm`` is the share within ``tolerance_mm``).

    Raises
    ------
    MaskError, ConfigError
        As :func:`boundary_scores`.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.ones((4, 4), bool)
    >>> row = boundary_row(mask[:, ::-1], mask, (0.5, 0.5))
    >>> row["hd95"], row["surface_dice_mm"], row["failed"]
    (0.0, 1.0, False)
    """
    scales: list[tuple[Sequence[float], float]] = [((1.0, 1.0), tolerance)]
    if pixel_spacing_mm is not None:
        scales.append((pixel_spacing_mm, tolerance_mm))
    pixels, *millimetres = _compare(predicted, truth, scales)
    row: dict[str, float | bool] = {name: getattr(pixels, name) for name in (*BOUNDARY_MEASURES, "failed")}
    return row | {f"{name}_mm": getattr(found, name) for found in millimetres for name in BOUNDARY_MEASURES}


def _compare(
    predicted: BoolArray, truth: BoolArray, scales: Sequence[tuple[Sequence[float], float]]
) -> list[BoundaryScores]:
    """Scores by each spacing and tolerance, from as few distance transforms as there are shapes of pixels."""
    predicted, truth = as_mask(predicted, "predicted", 2), as_mask(truth, "truth", 2)
    check_same_shape(predicted, "predicted", truth.shape, "truth")
    checked = [_checked(*scale) for scale in scales]
    missing = [name for name, mask in (("predicted", predicted), ("truth", truth)) if not mask.any()]
    if len(missing) == 2:
        return [BoundaryScores(NAN, NAN, NAN, NAN, reason="both masks are empty")] * len(scales)
    if missing:
        extent = np.array(truth.shape) - 1
        worst = [float(np.hypot(*(extent * spacing))) for spacing, _ in checked]
        return [BoundaryScores(value, value, value, 0.0, True, f"{missing[0]} is empty") for value in worst]
    first, second = bounding_box(predicted), bounding_box(truth)
    box = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    outlines = _outline(predicted[box]), _outline(truth[box])
    found: dict[float, tuple[FloatArray, FloatArray]] = {}
    scores = []
    for (row, column), tolerance in checked:
        shape = column / row
        if shape not in found:
            found[shape] = _distances(*outlines, shape), _distances(*outlines[::-1], shape)
        there, back = found[shape]
        scores.append(_scores(row * there, row * back, tolerance))
    return scores


def _checked(spacing: Sequence[float], tolerance: float) -> tuple[tuple[float, float], float]:
    try:
        row, column = (float(value) for value in spacing)
    except (TypeError, ValueError):
        row = column = NAN
    if not (0 < row < np.inf and 0 < column < np.inf):
        raise ConfigError(f"spacing is {spacing}; expected the (row, column) distance of pixels, two positive numbers")
    if not tolerance >= 0:
        raise ConfigError(f"tolerance is {tolerance}; expected 0 or more, in the unit of the spacing")
    return (row, column), tolerance


def _outline(mask: BoolArray) -> BoolArray:
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    inside = cv2.erode(pixels, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(pixels != inside)


def _distances(outline: BoolArray, other: BoolArray, shape: float) -> FloatArray:
    """Distance of each pixel of one outline to the nearest of the other; rows are 1 apart, columns ``shape``."""
    if shape == 1:
        # Several times as fast as SciPy's and exact too, but for square pixels only.
        away = cv2.distanceTransform((~other).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[outline]
        # Squares of distances are whole numbers, which takes away the rounding of float32.
        return np.sqrt(np.rint(np.square(away, dtype=np.float64)))
    return np.asarray(distance_transform_edt(~other, sampling=(1.0, shape)))[outline]


def _scores(there: FloatArray, back: FloatArray, tolerance: float) -> BoundaryScores:
    both = np.concatenate([there, back])
    return BoundaryScores(
        hausdorff=float(both.max()),
        hd95=float(max(np.percentile(there, PERCENTILE), np.percentile(back, PERCENTILE))),
        assd=float(both.mean()),
        surface_dice=float(np.mean(both <= tolerance * (1 + _ROUNDING))),
    )
