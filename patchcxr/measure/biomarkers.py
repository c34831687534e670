"""All biomarkers of a film in one call (Oh 2020, section III-B).

The measures live in modules of their own, and can be imported from here: :mod:`~patchcxr.measure.intensity`,
:mod:`~patchcxr.measure.shape`, :mod:`~patchcxr.measure.deformation`, :mod:`~patchcxr.measure.cardiothoracic` and
:mod:`~patchcxr.measure.zones`. Measures of an organ that is missing are NaN; :func:`missing_organs` tells which organ
and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.measure.cardiothoracic import (
    Diameter,
    Diameters,
    cardiothoracic_diameters,
    cardiothoracic_ratio,
    spacing,
    transverse_diameter,
)
from patchcxr.measure.deformation import deformation, lung_deformation, lung_templates, mean_shape
from patchcxr.measure.intensity import (
    NAN,
    asymmetry,
    film,
    intensity_statistics,
    lung_intensity,
    region_intensity,
    zone_intensity,
)
from patchcxr.measure.severity import region_severity
from patchcxr.measure.shape import lung_shape
from patchcxr.measure.zones import lung_zones, partition
from patchcxr.types import BoolArray, FloatArray

__all__ = [
    "Diameter",
    "Diameters",
    "biomarkers",
    "cardiothoracic_diameters",
    "cardiothoracic_ratio",
    "deformation",
    "intensity_statistics",
    "lung_deformation",
    "lung_intensity",
    "lung_shape",
    "lung_templates",
    "lung_zones",
    "mean_shape",
    "missing_organs",
    "transverse_diameter",
    "zone_intensity",
]


def biomarkers(
    image: FloatArray,
    right_lung: BoolArray,
    left_lung: BoolArray,
    heart: BoolArray,
    infection: BoolArray | None = None,
    pixel_spacing_mm: Sequence[float] | None = None,
    templates: Mapping[str, FloatArray] | None = None,
) -> dict[str, float]:
    """All biomarkers of a film, as one flat row; the keys are always the same.

    ===============================================  ========  =====================================================
    key                                              unit      range and meaning
    ===============================================  ========  =====================================================
    ``<region>_mean``, ``_std``                      image     [0, 1]; population standard deviation
    ``<region>_skewness``                            none      moment coefficient g1; NaN where all pixels are alike
    ``<region>_entropy``                             bit       [0, 8], of 256 grey levels
    ``<region>_p5``, ``_p25``, ``_p50``, ``_p75``,   image     [0, 1], percentiles of 256 grey levels
    ``_p95``
    ``<region>_infected_percent``                    percent   [0, 100]; NaN without an infection mask
    ``mean_asymmetry``, ``<zone>_mean_asymmetry``    none      [-1, 1], (right - left) / (right + left) of the means
    ``area_asymmetry``                               none      [-1, 1], the same of the areas
    ``<organ>_area_fraction``                        of film   [0, 1]
    ``<organ>_area_mm2``                             mm²       more than 0
    ``<lung>_height``, ``<lung>_width``              pixel     at least 1, inclusive
    ``<lung>_height_mm``, ``<lung>_width_mm``        mm        more than 0
    ``<lung>_solidity``                              none      (0, 1], area over that of the convex hull
    ``<lung>_contour_length``                        pixel     along the centres of the border pixels
    ``<lung>_contour_length_mm``                     mm        the same
    ``<lung>_contour_roughness``                     none      at least 1, outline over its convex hull
    ``<organ>_deformation``                          none      [0, 1], 1 - Jaccard with the mean shape
    ``heart_width``, ``thorax_width``                pixel     at least 1, inclusive
    ``heart_width_mm``, ``thorax_width_mm``          mm        more than 0
    ``cardiothoracic_ratio``                         none      heart width over thorax width
    ===============================================  ========  =====================================================

    *lung* is ``right_lung`` or ``left_lung``; *organ* is one of these or ``lung``, which is both; *zone* is ``upper``,
    ``middle``, ``lower``, ``central`` or ``peripheral``; *region* is an organ or ``<organ>_<zone>``. The definitions
    are in :func:`~patchcxr.measure.intensity.intensity_statistics`, :func:`~patchcxr.measure.zones.lung_zones`,
    :func:`~patchcxr.measure.shape.lung_shape`, :func:`~patchcxr.measure.deformation.lung_deformation` and
    :func:`~patchcxr.measure.cardiothoracic.cardiothoracic_ratio`.

    Parameters
    ----------
    image
        Prepared film (H, W), in [0, 1] inside the lungs.
    right_lung, left_lung, heart
        Boolean masks (H, W); the patient's right and left. An all-False mask says that the organ is missing.
    infection
        Boolean mask (H, W), where the infected share is wanted.
    pixel_spacing_mm
        Distance of neighbouring rows, and of neighbouring columns, of the film as it is given here: after resizing to
        a square, ``(row_spacing * rows / H, column_spacing * columns / W)`` of the film that was read.
    templates
        Mean shapes, from :func:`~patchcxr.measure.deformation.lung_templates`.

    Returns
    -------
    dict
        NaN where an organ, or the spacing, infection mask or template that the value needs is missing, and in zones
        without a pixel. Values of both lungs need both.

    Raises
    ------
    ImageError
        If the image is not (H, W), or is NaN, infinite or outside [0, 1] in the lungs.
    MaskError
        If a mask is not boolean or the shapes differ.
    ConfigError
        If the spacing is not two positive numbers.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.linspace(0, 1, 48).reshape(4, 12)
    >>> right, left, heart = (np.zeros((4, 12), bool) for _ in range(3))
    >>> right[:, 1:5], left[:, 7:11], heart[2:, 5:9] = True, True, True
    >>> row = biomarkers(image, right, left, heart & ~left, pixel_spacing_mm=(80, 30))
    >>> row["cardiothoracic_ratio"], row["thorax_width_mm"], round(row["lung_lower_mean"], 2)
    (0.2, 300.0, 0.88)
    """
    image = film(image)
    lungs = {"right_lung": as_mask(right_lung, "right_lung", 2), "left_lung": as_mask(left_lung, "left_lung", 2)}
    heart = as_mask(heart, "heart", 2)
    for name, mask in (*lungs.items(), ("heart", heart)):
        check_same_shape(mask, name, image.shape, "image")
    row_mm, column_mm = spacing(pixel_spacing_mm)
    parts = partition(lungs["right_lung"], lungs["left_lung"])
    boxes = [part.box[1] for part in parts[:2]]
    both = all(part.cell.size for part in parts[:2])

    row = region_intensity(image, parts)
    row |= region_severity(infection, parts, image.shape)
    row["heart_width"] = transverse_diameter(heart)
    row["thorax_width"] = float(max(b.stop for b in boxes) - min(b.start for b in boxes)) if both else NAN
    row["cardiothoracic_ratio"] = row["heart_width"] / row["thorax_width"]
    row["heart_width_mm"], row["thorax_width_mm"] = (row[f"{name}_width"] * column_mm for name in ("heart", "thorax"))
    area = parts[0].cell.size + parts[2].cell.size if both else NAN
    row["lung_area_fraction"], row["lung_area_mm2"] = area / image.size, area * row_mm * column_mm
    for name, mask in lungs.items():
        row |= {f"{name}_{key}": value for key, value in lung_shape(mask, pixel_spacing_mm).items()}
    row["area_asymmetry"] = asymmetry(row["right_lung_area_fraction"], row["left_lung_area_fraction"])
    row |= lung_deformation(lungs["right_lung"], lungs["left_lung"], templates)
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
