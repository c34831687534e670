"""Masks of organs and lesions: one file, several files, or none at all.

A cohort table names a mask by a *field*: a path, several paths joined by
``|`` (their union is meant), or ``(empty)``, which says that a reader looked
and found nothing. An empty cell means that nobody looked.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.limits import read_file
from patchcxr.io.raster import decode_raster, is_raster
from patchcxr.types import AnyArray, BoolArray

EMPTY_MASK = "(empty)"
MASK_SEPARATOR = "|"


def mask_paths(field: str | Path) -> list[Path]:
    """Files that a mask field names; none for ``(empty)``.

    >>> [path.name for path in mask_paths("a/right.png|a/left.png")]
    ['right.png', 'left.png']
    >>> mask_paths("(empty)")
    []
    """
    if str(field).strip() == EMPTY_MASK:
        return []
    return [Path(part.strip()) for part in str(field).split(MASK_SEPARATOR) if part.strip()]


def read_mask(field: str | Path, shape: tuple[int, int] | None = None) -> BoolArray:
    """Read the mask that a field of the cohort table names.

    A pixel belongs to the mask if it is above half of the range: above 127 in
    8-bit files, above 32767 in 16-bit files, and above 0 in files that hold
    only 0 and 1. Of a colour or palette file the brightest channel counts;
    alpha is dropped. PNG, GIF, BMP, TIFF, JPEG and NPY files are read, within
    the limits of :mod:`patchcxr.io.limits`.

    Parameters
    ----------
    field
        A path, several paths joined by ``|``, or ``(empty)``.
    shape
        (rows, columns) that the mask must have: those of its film. Needed for
        ``(empty)``.

    Returns
    -------
    bool, shape (H, W); the union of all files.

    Raises
    ------
    MaskError
        If a file is missing, unreadable or a label map, if files differ in
        shape, or if the mask does not have ``shape``.
    """
    paths = mask_paths(field)
    if not paths:
        if str(field).strip() != EMPTY_MASK:
            raise MaskError(f"mask field is {str(field)!r}; expected a path, paths joined by '|', or {EMPTY_MASK!r}")
        if shape is None:
            raise MaskError(f"mask field is {EMPTY_MASK!r}; give the shape of its film to make an empty mask")
        return np.zeros(shape, dtype=bool)
    union = _read_one(paths[0])
    for path in paths[1:]:
        mask = _read_one(path)
        if mask.shape != union.shape:
            raise MaskError(
                f"{path}: mask has shape {mask.shape} but {paths[0]} has {union.shape};"
                " masks of one film must have the same shape, so export them again"
            )
        union |= mask
    if shape is not None and union.shape != tuple(shape):
        raise MaskError(
            f"{field}: mask has shape {union.shape} but its film has {tuple(shape)}; check that it belongs to this"
            " film, then resize the mask file to the film (preprocessing.geometry.resize_mask)"
        )
    return union


def write_mask(path: str | Path, mask: BoolArray) -> None:
    """Write a mask as a 1-bit PNG, atomically; missing folders are made.

    Raises
    ------
    MaskError
        If the array is not two-dimensional and boolean, or the name does not
        end in ``.png``.
    """
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise MaskError(
            f"mask is {mask.dtype} of shape {mask.shape}; expected bool of shape (H, W) with at least one pixel,"
            " so threshold it"
        )
    if Path(path).suffix.lower() != ".png":
        raise MaskError(f"{path}: masks are written as PNG; give a name that ends in .png")
    done, data = cv2.imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    if not done:
        raise MaskError(f"{path}: mask of shape {mask.shape} cannot be encoded as PNG; make it smaller")
    write_bytes_atomically(path, data.tobytes())


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
    rows, columns = as_shape(size)
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise MaskError(f"mask is {mask.dtype} of shape {mask.shape}; expected bool of shape (H, W), so threshold it")
    if mask.shape == (rows, columns):
        return mask.copy()
    resized = cv2.resize(mask.view(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.view(np.bool_)


def as_shape(size: int | tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of a size that may be one side.

    Raises
    ------
    ConfigError
        If a side is below 1 pixel.
    """
    rows, columns = (size, size) if isinstance(size, (int, np.integer)) else size
    if rows < 1 or columns < 1:
        raise ConfigError(f"size is {size}; expected one side, or (rows, columns), of at least 1 pixel")
    return int(rows), int(columns)


def _read_one(path: Path) -> BoolArray:
    try:
        stored = _decode(path)
    except ImageError as error:
        raise MaskError(str(error)) from None
    if stored.ndim == 3:
        stored = stored.max(axis=2)
    if stored.dtype == np.bool_:
        return np.array(stored)
    highest = int(stored.max())
    if highest <= 1:
        return np.asarray(stored > 0)
    half = 127 if stored.dtype == np.uint8 else 32767
    if highest <= half:
        raise MaskError(
            f"{path}: values up to {highest} are neither 0/1 nor 0/{2 * half + 1}; a label map must be split"
            " into one mask file a structure"
        )
    return np.asarray(stored > half)


def _decode(path: Path) -> AnyArray:
    data = read_file(path, "mask")
    if not is_raster(data):
        raise MaskError(f"{path}: empty, damaged, or not an image; export the mask as PNG again")
    stored, white_is_zero = decode_raster(data, path)
    if not (stored.dtype in (np.uint8, np.uint16) or stored.dtype == np.bool_):
        raise MaskError(
            f"{path}: {stored.dtype} of shape {stored.shape}; expected bool, uint8 or uint16 of shape (H, W)"
        )
    return np.bitwise_not(stored) if white_is_zero else stored
