"""Decoding of PNG, JPEG, TIFF, BMP, GIF and NPY into an array, for films and for masks.

Which library decodes what, and why:

==================== ======= ==========================================================
PNG, JPEG, BMP       OpenCV  keeps 16 bits in colour too, where Pillow drops to 8
TIFF above 8 bits    OpenCV  the same
TIFF up to 8 bits    Pillow  OpenCV fails on tiles and multiplies colour by alpha
GIF                  Pillow  not in every OpenCV that is supported
==================== ======= ==========================================================

OpenCV decodes 16-bit planes of colour to noise and 16-bit grey with alpha to
8 bits, both without a word; such TIFF files are refused.
"""

from __future__ import annotations

import io
import re
import struct
import tokenize
import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from patchcxr.errors import ImageError
from patchcxr.io.headers import RasterHeader, raster_kind, read_header
from patchcxr.io.limits import check_pixels
from patchcxr.types import AnyArray

NPY_MAGIC = b"\x93NUMPY"

_FAULTS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
)


class Raster(NamedTuple):
    """Pixels of a file, upright but not otherwise changed.

    Attributes
    ----------
    stored
        Shape (H, W), or (H, W, 3) in RGB; alpha is dropped.
    white_is_zero
        Whether the values are those of a negative (TIFF, MinIsWhite).
    """

    stored: AnyArray
    white_is_zero: bool = False


def is_raster(data: bytes) -> bool:
    """Whether the first bytes are those of a format that :func:`decode_raster` reads."""
    return raster_kind(data) is not None or data.startswith(NPY_MAGIC)


def decode_raster(data: bytes, path: str | Path) -> Raster:
    """Decode a file in memory; the orientation that EXIF or TIFF gives is applied.

    Raises
    ------
    ImageError
        If the file is of no known type, damaged or truncated, too large for
        :func:`patchcxr.io.limits.max_pixels`, or holds several pages or
        frames, or samples that no library decodes rightly.
    """
    if data.startswith(NPY_MAGIC):
        return Raster(_npy(data, path))
    try:
        header = read_header(data)
    except ValueError as error:
        raise ImageError(f"{path}: {error}; copy or export it again") from None
    check_pixels(header.rows, header.columns, path)
    _refuse_what_decodes_wrongly(header, path)
    by_pillow = header.kind == "GIF" or (header.kind == "TIFF" and header.bits <= 8)
    stored = _pillow(data, header, path) if by_pillow else _opencv(data, header, path)
    if sorted(stored.shape[:2]) != sorted((header.rows, header.columns)):
        raise ImageError(
            f"{path}: damaged, the header says {header.rows} x {header.columns} pixels but"
            f" {stored.shape[0]} x {stored.shape[1]} were decoded; copy or export it again"
        )
    return Raster(_upright(stored, header.orientation), header.white_is_zero)


def _refuse_what_decodes_wrongly(header: RasterHeader, path: str | Path) -> None:
    fault = None
    deep = header.kind == "TIFF" and header.bits > 8
    if header.several:
        fault = "several pages" if header.kind == "TIFF" else "several frames"
    elif header.kind == "JPEG" and header.bits != 8:
        fault = f"{header.bits} bits a sample"
    elif header.kind == "TIFF" and header.bits <= 8 and header.sample_format != 1:
        fault = f"{header.bits}-bit samples that are not unsigned integers"
    elif deep and header.photometric > 2:
        fault = f"photometric interpretation {header.photometric} at {header.bits} bits"
    elif (
        header.kind == "TIFF" and header.bits > 8 and (header.samples == 2 or (header.separate and header.samples > 1))
    ):
        fault = f"{header.samples} samples of {header.bits} bits a pixel, in planes or with alpha"
    if fault:
        raise ImageError(f"{path}: {header.kind} with {fault}; expected a single grey or RGB radiograph, so save one")


def _opencv(data: bytes, header: RasterHeader, path: str | Path) -> AnyArray:
    try:
        stored = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{path}: cannot be decoded ({_one_line(error.err)}); export it again") from None
    if stored is None:
        raise ImageError(f"{path}: damaged {header.kind} file; copy or export it again")
    if header.bits > 8 and stored.dtype == np.uint8:
        raise ImageError(f"{path}: {header.bits}-bit {header.kind} that OpenCV reads as 8 bits; export it as grey PNG")
    if stored.ndim == 3:
        stored = stored[:, :, 2::-1] if stored.shape[2] >= 3 else stored[:, :, 0]
    return stored


def _pillow(data: bytes, header: RasterHeader, path: str | Path) -> AnyArray:
    several = False
    try:
        with warnings.catch_warnings():
            # The size is checked already; metadata that Pillow finds odd does not touch the pixels.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(io.BytesIO(data), formats=[header.kind]) as image:
                check_pixels(image.height, image.width, path)
                image.load()
                stored = _grey_or_rgb(image)
                if header.kind == "GIF":
                    several = _has_another_frame(image)
    except _FAULTS as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: damaged {header.kind} file ({_one_line(error)}); copy or export it again") from None
    if several:
        raise ImageError(f"{path}: GIF with several frames; expected a single image, so save one frame")
    return 255 - stored if header.white_is_zero else stored


def _grey_or_rgb(image: Image.Image) -> AnyArray:
    if image.mode in ("L", "LA", "RGB", "RGBA", "RGBX"):
        stored: AnyArray = np.array(image)
        return stored if stored.ndim == 2 else stored[:, :, 0] if image.mode == "LA" else stored[:, :, :3]
    if image.mode == "1":
        return np.array(image.convert("L"))
    if image.mode in ("P", "PA", "CMYK", "YCbCr", "LAB"):
        return np.array(image.convert("RGB"))
    if image.mode in ("RGBa", "La"):
        return np.array(image.convert("RGBA" if image.mode == "RGBa" else "LA").convert("RGB"))
    raise ValueError(f"pixels of mode {image.mode!r}")


def _has_another_frame(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _upright(stored: AnyArray, orientation: int) -> AnyArray:
    """Turn an image as its EXIF orientation asks (Exif 2.3, tag 274)."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)  # 5 is the transpose; 6 to 8 turn or mirror it further
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    return stored


def _npy(data: bytes, path: str | Path) -> AnyArray:
    """Array of an NPY file, without a copy; its size is known to be in the file before anything is allocated."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format version {version[0]}.{version[1]}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            # A header that only old Python wrote, or that is damaged, is parsed with warnings.
            for category in (UserWarning, SyntaxWarning, DeprecationWarning):
                warnings.simplefilter("ignore", category)
            shape, by_column, dtype = read(stream)
        if dtype.kind not in "buif" or dtype.itemsize > 16:
            raise ValueError(f"elements of type {dtype}")
    except (*_FAULTS, tokenize.TokenError) as error:
        raise ImageError(f"{path}: damaged NPY file ({_one_line(error)}); save it again") from None
    if len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    if len(shape) != 2 and not (len(shape) == 3 and shape[2] == 3):
        raise ImageError(f"{path}: array of shape {shape}; expected (H, W), or (H, W, 3) for RGB")
    check_pixels(shape[0], shape[1], path)
    count = int(np.prod(shape, dtype=object))
    if len(data) - stream.tell() < count * dtype.itemsize:
        raise ImageError(f"{path}: damaged NPY file (shorter than its shape {shape} says); save it again")
    stored: AnyArray = np.frombuffer(data, dtype=dtype, count=count, offset=stream.tell())
    return stored.reshape(shape, order="F" if by_column else "C")


def _one_line(error: object) -> str:
    said = re.sub("<[^>]*>", "it", " ".join(str(error).split()))  # Pillow prints addresses of objects
    return said[:200] or type(error).__name__
