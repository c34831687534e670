"""Checks that the measures share: what a mask is, and that shapes agree."""

from __future__ import annotations

import numpy as np

from patchcxr.errors import ImageError, MaskError
from patchcxr.types import AnyArray, BoolArray


def as_mask(mask: AnyArray, name: str, dimensions: int | None = None) -> BoolArray:
    """Return ``mask`` unchanged if it is a boolean array; refuse anything else by name.

    Label maps, 0/255 masks and probability maps are refused rather than cast: a cast
    turns every non-zero pixel, and so almost every probability, into foreground.

    Raises
    ------
    MaskError
        If the dtype is not bool, or the number of axes is not ``dimensions``.
    """
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        raise MaskError(
            f"{name} has dtype {array.dtype}; expected bool; threshold it first, as in {name} > 0 or {name} >= 0.5"
        )
    if dimensions is not None and array.ndim != dimensions:
        raise MaskError(f"{name} has shape {array.shape}; expected {dimensions} axes (row, column); select one film")
    return array


def check_same_shape(mask: AnyArray, name: str, shape: tuple[int, ...], other: str) -> None:
    """Raise :class:`~patchcxr.errors.MaskError` unless ``mask`` has the shape of ``other``."""
    if mask.shape != shape:
        raise MaskError(
            f"{name} has shape {mask.shape} but {other} has {shape}; "
            "resize the mask with preprocessing.geometry.resize_mask"
        )


def as_map(values: AnyArray, name: str) -> AnyArray:
    """Return a finite, non-empty float map (H, W); float32 and float64 are kept.

    Raises
    ------
    ImageError
        If the array has not two axes, is empty, or holds NaN or infinity.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.size == 0:
        raise ImageError(f"{name} has shape {array.shape}; expected one map with axes (row, column); select one film")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    if not np.isfinite(array).all():
        raise ImageError(
            f"{name} has {np.count_nonzero(~np.isfinite(array))} pixels that are NaN or infinite; "
            "expected finite values; find the step that made them before measuring"
        )
    return array
