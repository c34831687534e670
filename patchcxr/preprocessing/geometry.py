"""Sizes: films and masks on a square grid, and the whole preparation of a film."""

from __future__ import annotations

import cv2
import numpy as np

from patchcxr.errors import ImageError
from patchcxr.io.masks import as_shape, resize_mask
from patchcxr.preprocessing.intensity import PreprocessConfig, normalize_intensity
from patchcxr.types import FloatArray

__all__ = ["prepare", "resize_image", "resize_mask"]


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
    rows, columns = as_shape(size)
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


def prepare(pixels: FloatArray, size: int | tuple[int, int], config: PreprocessConfig | None = None) -> FloatArray:
    """Prepare a film: equalise and correct gamma at its own resolution, then resize.

    This is the order of Oh 2020, section II-A; the paper's size is 256 for
    segmentation and 1024 for patches.

    Returns
    -------
    float32, shape (rows, columns), range [0, 1].
    """
    return resize_image(normalize_intensity(pixels, config), size)
