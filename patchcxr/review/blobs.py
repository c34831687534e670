"""Masks as PNG bytes, and the digest that names a mask by its pixels."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import cv2
import numpy as np

from patchcxr.errors import ImageError, ReviewError
from patchcxr.io.headers import read_header
from patchcxr.io.raster import decode_raster
from patchcxr.types import BoolArray

MAX_PNG_BYTES: Final = 16 * 2**20
PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"


class MaskBlob(NamedTuple):
    """A mask as the store keeps it: digest, size and area in pixels, and a 1-bit PNG."""

    digest: str
    height: int
    width: int
    area: int
    png: bytes


def mask_digest(mask: BoolArray) -> str:
    """SHA-256 of a mask's shape and pixels, as 64 hexadecimal digits.

    It is taken of the pixels and not of the file, so equal masks have one digest whatever wrote them.

    Examples
    --------
    >>> mask_digest(np.array([[True, False]]))[:12]
    '87190ceffeaa'
    """
    rows, columns = mask.shape
    return hashlib.sha256(f"{rows}x{columns}\n".encode() + np.packbits(mask).tobytes()).hexdigest()


def encode_mask(mask: BoolArray) -> bytes:
    """Mask (H, W) as a 1-bit PNG.

    Raises
    ------
    ReviewError
        If it is not a two-dimensional boolean array with at least one pixel.
    """
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise ReviewError(f"mask is {mask.dtype} of shape {mask.shape}; expected bool of shape (H, W), so threshold it")
    done, data = cv2.imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    if not done:
        raise ReviewError(f"mask of shape {mask.shape} cannot be encoded as PNG; make it smaller")
    return data.tobytes()


def decode_mask(png: bytes, shape: tuple[int, int] | None = None, what: str = "mask") -> BoolArray:
    """Mask of PNG bytes: the pixels above half of the range, or above 0 where only 0 and 1 occur.

    Parameters
    ----------
    png
        At most :data:`MAX_PNG_BYTES`; of a colour file the brightest channel counts, alpha is dropped.
    shape
        (rows, columns) that the mask must have; checked before anything is decoded.
    what
        For the messages.

    Returns
    -------
    bool, shape (H, W)

    Raises
    ------
    ReviewError
        If the bytes are no PNG, too many, damaged, a label map, or of another shape.
    """
    if len(png) > MAX_PNG_BYTES:
        raise ReviewError(f"{what}: {len(png)} bytes, more than the limit of {MAX_PNG_BYTES}; send a 1-bit PNG")
    if not png.startswith(PNG_MAGIC):
        raise ReviewError(f"{what}: not a PNG file; send the mask as PNG")
    try:
        header = read_header(png)
        if shape is not None and (header.rows, header.columns) != tuple(shape):
            raise ReviewError(
                f"{what}: {header.rows} x {header.columns} pixels, but its film has {shape[0]} x {shape[1]}; "
                "give a mask of exactly the film's size"
            )
        stored = decode_raster(png, what).stored
    except (ImageError, ValueError) as error:
        raise ReviewError(f"{error}; send the mask as PNG again") from None
    if stored.ndim == 3:
        stored = stored.max(axis=2)
    half = np.iinfo(stored.dtype).max // 2 if stored.dtype != np.bool_ else 0
    highest = int(stored.max())
    if 1 < highest <= half:
        raise ReviewError(
            f"{what}: values up to {highest} are neither 0/1 nor 0/{2 * half + 1}; send white for the mask on black"
        )
    return np.asarray(stored > (0 if highest <= 1 else half))


def as_blob(png: bytes, shape: tuple[int, int] | None = None, what: str = "mask") -> MaskBlob:
    """Bring a PNG to the form that is kept; parameters and errors as of :func:`decode_mask`."""
    mask = decode_mask(png, shape, what)
    rows, columns = mask.shape
    return MaskBlob(mask_digest(mask), rows, columns, int(np.count_nonzero(mask)), encode_mask(mask))
