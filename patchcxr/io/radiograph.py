"""One reader for all radiographs: DICOM, PNG, JPEG, TIFF, BMP and NPY.

Whatever the source, the result is float32 in [0, 1] with bone bright, so that
8-, 12- and 16-bit films from different makers can be used side by side.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from patchcxr.errors import ImageError
from patchcxr.io.dicom import is_dicom, read_dicom
from patchcxr.types import AnyArray, FloatArray

MINIMUM_SIDE = 32
"""Images with a shorter side than this are refused."""

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
DICOM_SUFFIXES = (".dcm", ".dicom")
IMAGE_SUFFIXES = (*RASTER_SUFFIXES, ".npy", *DICOM_SUFFIXES)


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
        an inverted TIFF, else ``None``. ``pixels`` are already inverted back.
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
    """Read one radiograph from a DICOM, PNG, JPEG, TIFF, BMP or NPY file.

    Eight-bit values are divided by 255. A 16-bit file often holds fewer bits:
    the values are divided by the full range of the smallest of 12, 14 and 16
    bits that holds the largest of them, so a dim 16-bit film stays dim and is
    never taken for 8 bits. (Histogram equalisation gives the same film
    whichever is taken.) Floating-point files must lie in [0, 1]. Colour
    becomes grey by ITU-R 601 luminance; an alpha channel is dropped; EXIF
    rotation is not applied. For DICOM see :func:`patchcxr.io.dicom.read_dicom`.

    A file whose name has no known suffix is read by its content.

    Raises
    ------
    ImageError
        If the file is missing, empty, truncated, of an unknown type, holds
        several frames or pages, is smaller than 32 pixels on a side, has a
        single grey level, or has values outside its range.
    MissingExtraError
        If a compressed DICOM needs a decoder that is not installed.
    """
    path = Path(path)
    data = _read_bytes(path)
    photometric: str | None = None
    spacing: tuple[float, float] | None = None
    if path.suffix.lower() in DICOM_SUFFIXES or is_dicom(data[:132]):
        pixels, bit_depth, photometric, spacing = read_dicom(path)
    else:
        if data[:6] == b"\x93NUMPY":
            stored = _load_npy(data, path)
        else:
            stored, photometric = _decode(data, path)
        pixels, bit_depth = _scale(stored, path)
        if photometric == "MONOCHROME1":
            pixels = np.subtract(1.0, pixels, dtype=np.float32)
    if min(pixels.shape) < MINIMUM_SIDE:
        raise ImageError(
            f"{path}: image is {pixels.shape[0]} x {pixels.shape[1]} pixels; expected at least"
            f" {MINIMUM_SIDE} on each side, so leave this film out or find its original"
        )
    lowest, highest = float(pixels.min()), float(pixels.max())
    if lowest == highest:
        raise ImageError(
            f"{path}: every pixel has the same value ({lowest:.3g} of 1); leave this film out or export it again"
        )
    return Radiograph(np.ascontiguousarray(pixels), bit_depth, photometric, spacing, path)


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such image file; correct the path") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); give the path of a readable image file") from None
    if not data:
        raise ImageError(f"{path}: file is empty (0 bytes); copy or download it again")
    return data


def _decode(data: bytes, path: Path) -> tuple[AnyArray, str | None]:
    """Pixels as stored, as (H, W) or as (H, W, 3) in RGB, and the photometric interpretation of a TIFF."""
    _refuse_truncated(data, path)
    photometric = None
    is_tiff = data[:4] in _TIFF_MAGIC
    if is_tiff:
        min_is_white, several = _tiff_header(data, path)
        if several:
            raise ImageError(f"{path}: TIFF with several pages; expected a single radiograph, so save one page")
        photometric = "MONOCHROME1" if min_is_white else None
    try:
        stored = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{path}: cannot be decoded ({' '.join(str(error.err).split())}); export it again") from None
    if stored is None:
        known = ", ".join(suffix.lstrip(".") for suffix in IMAGE_SUFFIXES)
        raise ImageError(f"{path}: damaged, or not an image; expected one of {known}")
    if photometric and stored.dtype == np.uint8:
        stored = 255 - stored  # OpenCV has already inverted 8-bit MinIsWhite, but not 16-bit
    if stored.ndim == 3:
        stored = stored[:, :, 2::-1] if stored.shape[2] >= 3 else stored[:, :, 0]
    return stored, photometric


def _refuse_truncated(data: bytes, path: Path) -> None:
    """Refuse cut files, whose missing part some decoders fill with grey without a word."""
    cut = False
    if data[:3] == b"\xff\xd8\xff":
        scan = data.rfind(b"\xff\xda")
        cut = scan < 0 or data.find(b"\xff\xd9", scan) < 0
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        cut = data.rfind(b"IEND") < 0
    if cut:
        raise ImageError(f"{path}: truncated, the end of the image is missing; copy or download it again")


_TIFF_MAGIC = {b"II*\x00": ("<", False), b"MM\x00*": (">", False), b"II+\x00": ("<", True), b"MM\x00+": (">", True)}
_TIFF_PHOTOMETRIC = 262


def _tiff_header(data: bytes, path: Path) -> tuple[bool, bool]:
    """Whether white is the lowest value, and whether more pages follow."""
    order, big = _TIFF_MAGIC[data[:4]]
    try:
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
        first, width = start + (8 if big else 2), (20 if big else 12)
        min_is_white = False
        for index in range(entries):
            offset = first + index * width
            (tag,) = struct.unpack_from(order + "H", data, offset)
            if tag == _TIFF_PHOTOMETRIC:
                (value,) = struct.unpack_from(order + "H", data, offset + (12 if big else 8))
                min_is_white = value == 0
        (following,) = struct.unpack_from(order + ("Q" if big else "I"), data, first + entries * width)
    except struct.error:
        raise ImageError(f"{path}: TIFF with a damaged header; copy or export it again") from None
    return min_is_white, following != 0


def _load_npy(data: bytes, path: Path) -> AnyArray:
    try:
        stored = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ImageError(f"{path}: damaged NPY file ({' '.join(str(error).split())}); save it again") from None
    if stored.ndim == 3 and stored.shape[2] == 1:
        stored = stored[:, :, 0]
    if stored.ndim != 2 and not (stored.ndim == 3 and stored.shape[2] == 3):
        raise ImageError(f"{path}: array of shape {stored.shape}; expected (H, W), or (H, W, 3) for RGB")
    return stored


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
