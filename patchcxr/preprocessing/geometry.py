"""Sizes: films and masks on a square grid, and the whole preparation of a film."""

from __future__ import annotations

import cv2
import numpy as np

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.preprocessing.intensity import PreprocessConfig, normalize_intensity
from patchcxr.types import BoolArray, FloatArray


def resize_image(pixels: FloatArray, size: int | tuple[int, int]) -> FloatArray:
    """Resize a film; the aspect ratio is not kept, as in the paper.

    An axis that shrinks is averaged over area, an axis that grows is
    interpolated linearly, so no new extremes appear.

    Parameters
    ----------
    pixels
        Shape (H, W), any range.
    size
        Side of the square, or (rows, columns).

    Returns
    -------
    float32, shape (rows, columns), within the range of ``pixels``.
    """
    rows, columns = _shape(size)
    pixels = np.asarray(pixels, dtype=np.float32)
    if pixels.ndim != 2 or pixels.size == 0:
        raise ImageError(f"film has shape {pixels.shape}; expected (H, W) with at least one pixel")
    if pixels.shape == (rows, columns):
        return pixels.copy()
    smaller = (min(columns, pixels.shape[1]), min(rows, pixels.shape[0]))
    resized = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    if resized.shape != (rows, columns):
        resized = cv2.resize(resized, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.clip(resized, pixels.min(), pixels.max())


def resize_mask(mask: BoolArray, size: int | tuple[int, int]) -> BoolArray:
    """Resize a mask by its nearest pixel, measured from pixel centres.

    Parameters
    ----------
    mask
        bool, shape (H, W).
    size
        Side of the square, or (rows, columns).

    Raises
    ------
    MaskError
        If ``mask`` is not a two-dimensional boolean array.

    Examples
    --------
    >>> resize_mask(np.array([[True, False]]), (2, 4)).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0]]
    """
    rows, columns = _shape(size)
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise MaskError(f"mask is {mask.dtype} of shape {mask.shape}; expected bool of shape (H, W), so threshold it")
    if mask.shape == (rows, columns):
        return mask.copy()
    resized = cv2.resize(mask.view(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.view(np.bool_)


def prepare(pixels: FloatArray, size: int | tuple[int, int], config: PreprocessConfig | None = None) -> FloatArray:
    """Prepare a film: equalise and correct gamma at its own resolution, then resize.

    This is the order of Oh 2020, section II-A; the paper's size is 256 for
    segmentation and 1024 for patches.

    Returns
    -------
    float32, shape (rows, columns), range [0, 1].
    """
    return resize_image(normalize_intensity(pixels, config), size)


def _shape(size: int | tuple[int, int]) -> tuple[int, int]:
    rows, columns = (size, size) if isinstance(size, (int, np.integer)) else size
    if rows < 1 or columns < 1:
        raise ConfigError(f"size is {size}; expected one side, or (rows, columns), of at least 1 pixel")
    return int(rows), int(columns)
