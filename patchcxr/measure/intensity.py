"""Distribution of the intensity in the lungs and their zones (Oh 2020, section III-B and Tables VI to VIII).

Mean, standard deviation and skewness come from the exact values; entropy and percentiles from 256 grey levels
(``round(255 * value)``), the levels in which prepared films are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from patchcxr.errors import ImageError
from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.measure.zones import CELLS, MEMBERS, REGIONS, Part, partition
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

NAN: Final = float("nan")
GREY_LEVELS: Final = 256
PERCENTILES: Final = (5, 25, 50, 75, 95)
STATISTICS: Final = ("mean", "std", "skewness", "entropy", *(f"p{percent}" for percent in PERCENTILES))
"""Statistics of a region, in the order in which they are given."""

_LEAST_SPREAD: Final = 1e-9
"""A standard deviation below this is rounding, and leaves the skewness undefined."""

_ROUNDING: Final = 1e-6
"""How far an intensity may leave [0, 1], as after interpolation in single precision."""


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
    return mean_std(_inside(image, lung_mask))


def intensity_statistics(image: FloatArray, mask: BoolArray) -> dict[str, float]:
    """Describe the intensity in a region.

    Parameters
    ----------
    image
        Prepared film (H, W), in [0, 1] inside the mask.
    mask
        Boolean mask (H, W).

    Returns
    -------
    dict
        - ``mean`` and ``std`` (population), in [0, 1];
        - ``skewness``, the moment coefficient g1 (population); NaN where all pixels are alike;
        - ``entropy`` in bits, of the shares p of the 256 grey levels: - sum p log2 p, in [0, 8];
        - ``p5``, ``p25``, ``p50``, ``p75``, ``p95``: percentiles of the grey levels, interpolated linearly between
          order statistics, in [0, 1]; at most 1/510 away from those of the exact values.

        All NaN if the mask is empty.

    Raises
    ------
    ImageError
        If the image is not (H, W), or is NaN, infinite or outside [0, 1] in the region.
    MaskError
        If the mask is not boolean or has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> found = intensity_statistics(np.array([[0.0, 0.2, 1.0]]), np.array([[True, True, True]]))
    >>> round(found["mean"], 3), round(found["skewness"], 3), round(found["entropy"], 3), found["p50"]
    (0.4, 0.595, 1.585, 0.2)
    """
    values = _inside(image, mask)
    row = _describe(_cell_sums(values, np.zeros(values.size, np.uint8), cells=1))[0]
    return dict(zip(STATISTICS, row.tolist(), strict=True))


def zone_intensity(image: FloatArray, right_lung: BoolArray, left_lung: BoolArray) -> dict[str, float]:
    """Intensity of both lungs, of each lung and of each zone, and how the right differs from the left.

    Parameters
    ----------
    image
        Prepared film (H, W), in [0, 1] inside the lungs.
    right_lung, left_lung
        Boolean masks (H, W); the patient's right and left.

    Returns
    -------
    dict
        ``<region>_<statistic>`` for each of :data:`patchcxr.measure.zones.REGIONS` and :data:`STATISTICS`, as in
        ``lung_mean`` or ``left_lung_lower_p95``; ``mean_asymmetry`` and ``<zone>_mean_asymmetry``, which are
        (right - left) / (right + left) of the means, in [-1, 1]. NaN where a region has no pixel; the regions of both
        lungs need both.

    Raises
    ------
    ImageError, MaskError
        As :func:`intensity_statistics`.
    """
    image = film(image)
    parts = partition(right_lung, left_lung)
    check_same_shape(right_lung, "right_lung", image.shape, "image")
    return region_intensity(image, parts)


def region_intensity(image: FloatArray, parts: Sequence[Part]) -> dict[str, float]:
    """As :func:`zone_intensity`, for lungs that :func:`~patchcxr.measure.zones.partition` has cut already."""
    right, left, rest = parts
    sums = [_cell_sums(image[part.box][part.mask], part.cell, CELLS) for part in (right, left)]
    sums.append(sums[1] if rest is left else _cell_sums(image[rest.box][rest.mask], rest.cell, CELLS))
    table = _describe(_pool(_Sums(*(np.concatenate(column) for column in zip(*sums, strict=True))), MEMBERS))
    per_organ = len(REGIONS) // 3
    if right.cell.size == 0 or left.cell.size == 0:
        table[:per_organ] = NAN
    means = table[:, 0]
    row = {
        f"{region}_{statistic}": value
        for region, values in zip(REGIONS, table.tolist(), strict=True)
        for statistic, value in zip(STATISTICS, values, strict=True)
    }
    compared = zip(REGIONS[:per_organ], means[per_organ : 2 * per_organ], means[2 * per_organ :], strict=True)
    for region, of_right, of_left in compared:
        name = f"{region}_mean_asymmetry".removeprefix("lung_")
        row[name] = asymmetry(float(of_right), float(of_left))
    return row


def asymmetry(right: float, left: float) -> float:
    """(right - left) / (right + left), in [-1, 1] for values that are not negative; NaN if both are 0 or one is NaN."""
    return (right - left) / (right + left) if right + left else NAN


def film(image: AnyArray) -> AnyArray:
    """Return the image if it has two axes; raise :class:`~patchcxr.errors.ImageError` otherwise."""
    image = np.asarray(image)
    if image.ndim != 2:
        raise ImageError(f"image has shape {image.shape}; expected one film with axes (row, column)")
    return image


def mean_std(values: AnyArray) -> tuple[float, float]:
    """Mean and population standard deviation in double precision; NaN without a value."""
    if values.size == 0:
        return NAN, NAN
    values = values.astype(np.float64)
    mean = values.mean()
    if not np.isfinite(mean):
        raise _not_finite()
    values -= mean
    return float(mean), float(np.sqrt(values @ values / values.size))


def _inside(image: AnyArray, mask: AnyArray) -> AnyArray:
    image, mask = film(image), as_mask(mask, "lung_mask", 2)
    check_same_shape(mask, "lung_mask", image.shape, "image")
    return image[mask]


def _not_finite() -> ImageError:
    return ImageError("image is NaN or infinite in the lungs; expected finite values; prepare the film again")


class _Sums(NamedTuple):
    """Pixels, mean, sums of squared and cubed deviations (n,), and pixels by grey level (n, 256) of n cells."""

    pixels: FloatArray
    mean: FloatArray
    squares: FloatArray
    cubes: FloatArray
    levels: FloatArray


def _cell_sums(values: AnyArray, cell: IntArray, cells: int) -> _Sums:
    """Sum over the pixels of each cell."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _not_finite()
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise ImageError(
            f"image lies in [{low:.4g}, {high:.4g}] in the lungs; expected [0, 1]; divide 8-bit grey levels by 255"
        )
    grey = np.rint(values * (GREY_LEVELS - 1)).astype(np.uint8)
    key = cell.astype(np.uint16) * GREY_LEVELS + grey
    levels = np.bincount(key, minlength=cells * GREY_LEVELS).reshape(cells, GREY_LEVELS).astype(np.float64)
    pixels = levels.sum(axis=1)
    mean, squares, cubes = np.zeros((3, cells))
    for index in np.flatnonzero(pixels):
        inside = values[cell == index].astype(np.float64)
        mean[index] = inside.mean()
        inside -= mean[index]
        squared = inside * inside
        squares[index], cubes[index] = squared.sum(), squared @ inside
    return _Sums(pixels, mean, squares, cubes, levels)


def _pool(cells: _Sums, members: FloatArray) -> _Sums:
    """Sums of unions of cells; central moments are shifted to the pooled mean, so that nothing cancels."""
    pixels = members @ cells.pixels
    mean = members @ (cells.pixels * cells.mean) / np.maximum(pixels, 1)
    shift = cells.mean - mean[:, None]
    squares = (members * (cells.squares + cells.pixels * shift**2)).sum(axis=1)
    cubes = (members * (cells.cubes + 3 * shift * cells.squares + cells.pixels * shift**3)).sum(axis=1)
    return _Sums(pixels, mean, squares, cubes, members @ cells.levels)


def _describe(sums: _Sums) -> FloatArray:
    """:data:`STATISTICS` of each region, (n, 9)."""
    pixels = np.maximum(sums.pixels, 1)
    std = np.sqrt(sums.squares / pixels)
    skewness = sums.cubes / pixels / np.where(std > _LEAST_SPREAD, std, NAN) ** 3
    share = sums.levels / pixels[:, None]
    entropy = np.abs((share * np.log2(np.where(share > 0, share, 1))).sum(axis=1))
    last = pixels[:, None] - 1
    place = last * np.array(PERCENTILES) / 100
    below = np.floor(place)
    up_to = sums.levels.cumsum(axis=1)
    lower, upper = (_level_of(rank, up_to) for rank in (below, np.minimum(below + 1, last)))
    percentiles = (lower + (place - below) * (upper - lower)) / (GREY_LEVELS - 1)
    table = np.column_stack([sums.mean, std, skewness, entropy, percentiles])
    table[sums.pixels == 0] = NAN
    return table


def _level_of(rank: FloatArray, up_to: FloatArray) -> IntArray:
    """Grey level of the pixel with this rank (n, k), counted from 0, from the pixels up to each level (n, 256)."""
    return (up_to[:, None] <= rank[:, :, None]).sum(axis=2)
