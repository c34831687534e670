"""One reader for all radiographs: DICOM, PNG, JPEG, TIFF, BMP, GIF, NPY and raw JSRT.

Whatever the source, the result is float32 in [0, 1] with bone bright, so that
8-, 12- and 16-bit films from different makers can be used side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from patchcxr.errors import ImageError
from patchcxr.io.dicom import decode_dicom
from patchcxr.io.dicom_file import is_dicom
from patchcxr.io.limits import read_file
from patchcxr.io.raster import decode_raster, is_raster
from patchcxr.types import AnyArray, FloatArray

MINIMUM_SIDE = 32
"""Images with a shorter side than this are refused."""

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
DICOM_SUFFIXES = (".dcm", ".dicom")
RAW_SUFFIX = ".img"
IMAGE_SUFFIXES = (*RASTER_SUFFIXES, ".npy", *DICOM_SUFFIXES, RAW_SUFFIX)

JSRT_SIDE = 2048
JSRT_SPACING_MM = 0.175


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A radiograph in memory.

    Attributes
    ----------
    pixels
        float32, shape (H, W), range [0, 1]; higher is brighter (bone white).
    bit_depth
        Bits that a grey level of the source takes (8, 12, 16, ...; 32 or 64
        for floating point).
    photometric
        DICOM photometric interpretation of the source, ``"MONOCHROME1"`` for
        an inverted TIFF or raw JSRT file, else ``None``. ``pixels`` are
        already inverted back, as the file says; whether they still look like
        a negative is not judged here.
    pixel_spacing_mm
        (row, column) spacing in millimetres where the file gives it.
    source_path
        The file.
    """

    pixels: FloatArray
    bit_depth: int
    photometric: str | None
    pixel_spacing_mm: tuple[float, float] | None
    source_path: Path


def read_radiograph(path: str | Path) -> Radiograph:
    """Read one radiograph from a DICOM, PNG, JPEG, TIFF, BMP, GIF, NPY or raw JSRT file.

    What a file is, its content says; its name counts only for raw files,
    which have no mark.

    Eight-bit values are divided by 255. A 16-bit file often holds fewer bits:
    the values are divided by the full range of the smallest of 12, 14 and 16
    bits that holds the largest of them, so a dim 16-bit film stays dim and is
    never taken for 8 bits. (Histogram equalisation gives the same film
    whichever is taken.) Floating-point files must lie in [0, 1]. Colour,
    palettes and CMYK become grey by ITU-R 601 luminance; an alpha channel is
    dropped; the orientation of EXIF and TIFF is applied. For DICOM see
    :func:`patchcxr.io.dicom.read_dicom`.

    A raw JSRT file (``.img``) is 2048 x 2048 big-endian 16-bit values from 0
    to 4095 without a header, 0.175 mm apart. They grow with the density of
    the film, so that bone has low values, and are inverted (Shiraishi 2000,
    AJR 174:71).

    Files and images above the limits of :mod:`patchcxr.io.limits` are refused
    before they are decoded.

    Raises
    ------
    ImageError
        If the file is missing, empty, truncated, of an unknown type, too
        large, holds several frames or pages, is smaller than 32 pixels on a
        side, has a single grey level, or has values outside its range.
    MissingExtraError
        If a compressed DICOM needs a decoder that is not installed.
    """
    path = Path(path)
    data = read_file(path)
    if not data:
        raise ImageError(f"{path}: file is empty (0 bytes); copy or download it again")
    photometric: str | None = None
    spacing: tuple[float, float] | None = None
    if is_raster(data) and data[128:132] != b"DICM":
        stored, white_is_zero = decode_raster(data, path)
        pixels, bit_depth = _scale(stored, path)
        if white_is_zero:
            photometric, pixels = "MONOCHROME1", np.subtract(1.0, pixels, dtype=np.float32)
    elif path.suffix.lower() == RAW_SUFFIX and data[128:132] != b"DICM":
        pixels, bit_depth, photometric = _jsrt(data, path), 12, "MONOCHROME1"
        spacing = (JSRT_SPACING_MM, JSRT_SPACING_MM)
    elif path.suffix.lower() in DICOM_SUFFIXES or is_dicom(data[:132]):
        pixels, bit_depth, photometric, spacing = decode_dicom(data, path)
    else:
        known = ", ".join(suffix.lstrip(".") for suffix in IMAGE_SUFFIXES)
        raise ImageError(f"{path}: damaged, or not an image; expected one of {known}")
    if min(pixels.shape) < MINIMUM_SIDE:
        raise ImageError(
            f"{path}: image is {pixels.shape[0]} x {pixels.shape[1]} pixels; expected at least"
            f" {MINIMUM_SIDE} on each side, so leave this film out or find its original"
        )
    lowest, highest = float(pixels.min()), float(pixels.max())
    if not 0 <= lowest <= highest <= 1:  # no reader should give these; a film of NaN would pass unseen
        raise ImageError(f"{path}: grey levels from {lowest:.4g} to {highest:.4g}; expected 0 to 1, so export it again")
    if lowest == highest:
        raise ImageError(
            f"{path}: every pixel has the same value ({lowest:.3g} of 1); leave this film out or export it again"
        )
    return Radiograph(np.ascontiguousarray(pixels), bit_depth, photometric, spacing, path)


def _jsrt(data: bytes, path: Path) -> FloatArray:
    expected = 2 * JSRT_SIDE * JSRT_SIDE
    if len(data) != expected:
        raise ImageError(
            f"{path}: raw file of {len(data)} bytes; expected the {expected} of a JSRT film"
            f" ({JSRT_SIDE} x {JSRT_SIDE}, 16 bit, no header), so save other films as PNG"
        )
    stored = np.frombuffer(data, dtype=">u2").reshape(JSRT_SIDE, JSRT_SIDE)
    if stored.max() > 4095:
        raise ImageError(f"{path}: raw values up to {stored.max()}; JSRT films hold big-endian values from 0 to 4095")
    return np.subtract(1.0, stored / np.float32(4095), dtype=np.float32)


def _scale(stored: AnyArray, path: Path) -> tuple[FloatArray, int]:
    """Grey float32 in [0, 1] and the bit depth."""
    if np.issubdtype(stored.dtype, np.floating):
        bits = stored.dtype.itemsize * 8
        low, high = float(stored.min(initial=np.inf)), float(stored.max(initial=-np.inf))
        if not (0.0 <= low <= high <= 1.0):
            raise ImageError(
                f"{path}: floating-point values from {low:.4g} to {high:.4g}; expected 0 to 1, so scale them"
            )
        return _gray(stored.astype(np.float32)), bits
    if stored.dtype == np.uint8:
        return np.divide(_gray(stored), 255, dtype=np.float32), 8
    if stored.dtype.kind in "ui" and stored.size:
        low, high = int(stored.min()), int(stored.max())
        if low < 0 or high > 65535:
            raise ImageError(f"{path}: integer values from {low} to {high}; expected 0 to 65535, so rescale them")
        bits = next(bits for bits in (12, 14, 16) if high < 1 << bits)
        return np.divide(_gray(stored.astype(np.uint16)), (1 << bits) - 1, dtype=np.float32), bits
    raise ImageError(
        f"{path}: array of {stored.dtype} with {stored.size} elements; expected unsigned integers or floating point"
    )


def _gray(stored: AnyArray) -> AnyArray:
    return stored if stored.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(stored), cv2.COLOR_RGB2GRAY)
