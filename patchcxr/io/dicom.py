"""Radiographs in DICOM: decoded, rescaled, windowed and the right way round.

The steps follow the grayscale pipeline of DICOM PS3.4, annex N: modality
transform (rescale or modality LUT), VOI transform (LUT or window), then the
inversion that MONOCHROME1 asks for. The transforms are computed here:
pydicom's own turn a window round when the rescale slope is negative, and
wrap the index into 8-bit tables of more than 256 entries (seen in 3.0.2).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pydicom
from pydicom.encaps import generate_frames, get_frame
from pydicom.multival import MultiValue
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import RLELossless

from patchcxr.errors import ImageError, MissingExtraError
from patchcxr.io.dicom_file import DICOM_FAULTS, one_line, parse_dicom, quiet, sop_class_name
from patchcxr.io.headers import codestream_size
from patchcxr.io.limits import check_pixels, read_file
from patchcxr.types import AnyArray, FloatArray

_LARGEST = 1e30


class DicomImage(NamedTuple):
    """What one DICOM file says about its only frame."""

    pixels: FloatArray
    bit_depth: int
    photometric: str
    pixel_spacing_mm: tuple[float, float] | None


def read_dicom(path: str | Path) -> DicomImage:
    """Read a single-frame DICOM radiograph.

    Rescale slope and intercept (or the modality LUT) are applied, then the
    VOI LUT or the first window (LINEAR, LINEAR_EXACT or SIGMOID). The output
    range of the last of these steps is mapped to [0, 1]; without a window
    this is the whole range of the stored bits. MONOCHROME1 is inverted, so
    that bone is bright; PresentationLUTShape says the same thing once more
    and is not applied. Colour becomes grey by ITU-R 601 luminance. Overlays
    are not drawn, and bits outside BitsStored, where old files keep them, are
    cut off. Whether the photometric interpretation is true is not judged.

    ``pixel_spacing_mm`` is (row, column) spacing from PixelSpacing, else from
    ImagerPixelSpacing (at the detector, magnification not corrected), else
    ``None``; spacings that are not two positive numbers count as absent.

    Absent BitsStored, HighBit, PixelRepresentation, SamplesPerPixel and
    photometric interpretation are taken as what they nearly always are: all
    bits, the top one, unsigned, 1, and MONOCHROME2.

    Raises
    ------
    ImageError
        If the file is not DICOM, is damaged, holds no pixels, too many (see
        :mod:`patchcxr.io.limits`) or several frames, or has a photometric
        interpretation other than MONOCHROME1, MONOCHROME2, RGB or YBR. No
        message quotes an element that identifies the patient.
    MissingExtraError
        If no installed plugin can decompress the pixels.
    """
    return decode_dicom(read_file(Path(path)), path)


def decode_dicom(data: bytes, path: str | Path) -> DicomImage:
    """What :func:`read_dicom` does, for a file that is in memory already; ``path`` is only named."""
    dataset = parse_dicom(io.BytesIO(data), path)
    try:
        with quiet():
            photometric = _check_header(dataset, path)
            _require_decoder(dataset, path)
            check_compressed_frames(dataset, path, index=0)
            with panics_as_errors():
                pixels = _to_unit_range(dataset)
            bit_depth = int(dataset.BitsStored)
            spacing = pixel_spacing_mm(dataset)
    except (*DICOM_FAULTS, cv2.error) as error:
        if isinstance(error, (ImageError, MissingExtraError)):
            raise
        raise ImageError(f"{path}: DICOM pixels cannot be decoded ({one_line(error)}); export it again") from None
    if photometric == "MONOCHROME1":
        pixels = np.subtract(1.0, pixels, dtype=np.float32)
    return DicomImage(pixels, bit_depth, photometric, spacing)


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Decoders written in Rust panic on some damaged frames, with an exception that is no ``Exception``."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError(f"the decoder gave up ({error})") from None


def _check_header(dataset: pydicom.Dataset, path: str | Path) -> str:
    """Refuse what is no single radiograph, fill in what is commonly left out; the photometric interpretation."""
    if "PixelData" not in dataset:
        raise ImageError(f"{path}: DICOM object without pixels ({sop_class_name(dataset)}); give an image object")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"{path}: {frames} frames; expected a single radiograph, so export one frame")
    photometric = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    if not photometric.startswith(("MONOCHROME1", "MONOCHROME2", "RGB", "YBR")):
        named = photometric if photometric in ("PALETTE COLOR", "HSV", "ARGB", "CMYK", "XYB") else "unknown"
        raise ImageError(
            f"{path}: photometric interpretation {named}; expected MONOCHROME1, MONOCHROME2, RGB or YBR; export grey"
        )
    samples = 1 if photometric.startswith("MONOCHROME") else 3
    allocated = int(dataset.BitsAllocated)
    for keyword, usual in (
        ("PhotometricInterpretation", photometric),
        ("SamplesPerPixel", samples),
        ("BitsStored", allocated),
        ("HighBit", int(dataset.get("BitsStored") or allocated) - 1),
        ("PixelRepresentation", 0),
        *([("PlanarConfiguration", 0)] if samples == 3 else []),
    ):
        if dataset.get(keyword) in (None, ""):
            setattr(dataset, keyword, usual)
    stored, high = int(dataset.BitsStored), int(dataset.HighBit)
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise ImageError(
            f"{path}: {stored} bits stored below bit {high} in {allocated} allocated;"
            " expected up to 32 bits in 8, 16 or 32, so export it again"
        )
    if int(dataset.SamplesPerPixel) != samples:
        raise ImageError(f"{path}: {dataset.SamplesPerPixel} samples a pixel in {photometric}; expected {samples}")
    signed = int(dataset.PixelRepresentation) != 0
    if samples == 3 and (signed or allocated == 32):
        raise ImageError(
            f"{path}: colour in {allocated} {'signed' if signed else 'unsigned'} bits; expected 8 or 16 unsigned, so"
            " export grey"
        )
    check_pixels(int(dataset.Rows), int(dataset.Columns), path)
    return photometric


def check_compressed_frames(dataset: pydicom.Dataset, path: str | Path, index: int | None = None) -> None:
    """Refuse a compressed frame, or any of the NumberOfFrames for ``None``, that decodes to more than the header says.

    Frames are found as pydicom's ``pixel_array`` finds them for the same index (and without excess frames).
    """
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    count = int(dataset.get("NumberOfFrames") or 1)
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    if index is not None:
        frame = get_frame(dataset.PixelData, index, number_of_frames=count, extended_offsets=offsets)
        _check_compressed_frame(dataset, frame, path)
        return
    for frame in islice(generate_frames(dataset.PixelData, number_of_frames=count, extended_offsets=offsets), count):
        _check_compressed_frame(dataset, frame, path)


def _check_compressed_frame(dataset: pydicom.Dataset, frame: bytes, path: str | Path) -> None:
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        # Run lengths never need more than 129 bytes for 128, and can swell to 64 times their own size.
        plain = rows * columns * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated) // 8
        if len(frame) > 2 * plain + 1024:
            raise ImageError(f"{path}: {len(frame)} bytes of RLE for an image of {plain}; export it again")
    elif codestream_size(frame) != (rows, columns):
        claimed = codestream_size(frame)
        raise ImageError(
            f"{path}: damaged, the DICOM header says {rows} x {columns} pixels but the compressed frame"
            f" {claimed[0]} x {claimed[1]}; export it again"
        )


def _stored_pixels(dataset: pydicom.Dataset) -> AnyArray:
    """Pixels as stored: exactly the bits below HighBit, as signed or unsigned integers, colour as RGB."""
    plain = not dataset.file_meta.TransferSyntaxUID.is_encapsulated
    stored = pixel_array(dataset, index=0, allow_excess_frames=False, correct_unused_bits=not plain)
    colour = (3,) if int(dataset.SamplesPerPixel) == 3 else ()
    if stored.shape != (int(dataset.Rows), int(dataset.Columns), *colour):
        raise ValueError(f"decoded to shape {stored.shape}")
    if plain:
        # pydicom takes HighBit for BitsStored - 1, whatever it says
        above = int(dataset.BitsAllocated) - 1 - int(dataset.HighBit)
        unused = int(dataset.BitsAllocated) - int(dataset.BitsStored)
        if unused:
            stored = np.right_shift(np.left_shift(stored, above), unused)
    return stored


def _to_unit_range(dataset: pydicom.Dataset) -> FloatArray:
    stored = _stored_pixels(dataset)
    if stored.ndim == 3:
        gray = cv2.cvtColor(np.ascontiguousarray(stored), cv2.COLOR_RGB2GRAY)
        full = float((1 << int(dataset.BitsStored)) - 1)
        return np.clip(np.divide(gray, full, dtype=np.float32), 0, 1)
    values, low, high = _modality_transform(dataset, stored, *_stored_range(dataset))
    if dataset.get("VOILUTSequence"):
        return apply_lut(values, dataset.VOILUTSequence[0])
    centre, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None:
        return apply_window(values, centre, width, str(dataset.get("VOILUTFunction") or "LINEAR"))
    return np.clip((np.asarray(values, dtype=np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)


def _modality_transform(
    dataset: pydicom.Dataset, stored: AnyArray, low: float, high: float
) -> tuple[AnyArray, float, float]:
    """Values after the modality LUT or the rescaling, and their possible range (PS3.3 C.11.1)."""
    if dataset.get("ModalityLUTSequence"):
        item = dataset.ModalityLUTSequence[0]
        mapped = apply_lut(stored, item)
        full = float((1 << int(item.LUTDescriptor[2])) - 1)
        return mapped * np.float32(full), 0.0, full
    slope, intercept = _first(dataset.get("RescaleSlope")), _first(dataset.get("RescaleIntercept"))
    if slope is None and intercept is None:
        return stored, low, high
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if not (1 / _LARGEST < abs(slope) < _LARGEST and abs(intercept) < _LARGEST):
        raise ValueError(f"RescaleSlope is {slope:g} and RescaleIntercept {intercept:g}")
    low, high = sorted((low * slope + intercept, high * slope + intercept))
    if not 0 < high - low < _LARGEST:  # else all values become one, or infinite
        raise ValueError(f"RescaleSlope {slope:g} and RescaleIntercept {intercept:g} give {low:g} to {high:g}")
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept), low, high


def apply_window(values: AnyArray, centre: float, width: float, function: str = "LINEAR") -> FloatArray:
    """Map a window of values to [0, 1] (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Parameters
    ----------
    values
        Any shape.
    centre, width
        WindowCenter and WindowWidth.
    function
        ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``.

    Raises
    ------
    ValueError
        If the width is below 1 (LINEAR) or not positive, centre or width are
        not finite, or the function is unknown.

    Examples
    --------
    >>> apply_window(np.array([0.0, 1.0, 2.0, 9.0]), centre=2, width=4, function="LINEAR_EXACT").tolist()
    [0.0, 0.25, 0.5, 1.0]
    """
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ValueError("VOILUTFunction is none of LINEAR, LINEAR_EXACT and SIGMOID")
    if not abs(centre) < _LARGEST:
        raise ValueError(f"WindowCenter is {centre:g}")
    if not 1 / _LARGEST < width < _LARGEST or (function == "LINEAR" and width < 1):
        raise ValueError(f"WindowWidth is {width:g}")
    values = np.asarray(values, dtype=np.float32)
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values - np.float32(centre)) / np.float32(width), -80, 80)
        return 1 / (1 + np.exp(exponent))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:  # PS3.3 C.11.2.1.2.1: a width of 1 is a threshold
        return (values > np.float32(centre)).astype(np.float32)
    return np.clip((values - np.float32(centre)) / np.float32(width) + np.float32(0.5), 0, 1)


def apply_lut(values: AnyArray, item: pydicom.Dataset) -> FloatArray:
    """Map values through a modality or VOI lookup table to [0, 1] of its bits (PS3.3 C.11.1.1 and C.11.2.1.1)."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries % 65536 or 65536  # of signed images the unsigned count is read as signed
    if not 1 <= bits <= 16:
        raise ValueError(f"LUTDescriptor asks for {bits} bits")
    data = item.LUTData
    if isinstance(data, bytes):
        order = ">" if item.original_encoding[1] is False else "<"
        table = np.frombuffer(data, dtype=f"{order}u2" if len(data) >= 2 * entries else np.uint8)
    else:
        table = np.atleast_1d(np.asarray(data))
    if len(table) < entries:
        raise ValueError(f"LUTData holds {len(table)} of {entries} entries")
    if not np.isfinite(table).all():
        raise ValueError("LUTData holds values that are no numbers")
    # Clipped before they become whole numbers, which the largest values do not fit into.
    index = np.clip(np.rint(values), first, first + entries - 1, dtype=np.float64).astype(np.int64) - first
    scaled = table[:entries].astype(np.float32) / np.float32((1 << bits) - 1)
    return np.clip(scaled, 0, 1)[index]


def _first(value: Any) -> float | None:
    """First of one or several numbers; ``None`` if there is none."""
    if value is None or value == "":
        return None
    if isinstance(value, MultiValue):
        return float(value[0]) if len(value) else None
    return float(value)


def _stored_range(dataset: pydicom.Dataset) -> tuple[float, float]:
    bits = int(dataset.BitsStored)
    if int(dataset.PixelRepresentation) == 0:
        return 0.0, float((1 << bits) - 1)
    return float(-(1 << (bits - 1))), float((1 << (bits - 1)) - 1)


def pixel_spacing_mm(dataset: pydicom.Dataset) -> tuple[float, float] | None:
    """(row, column) spacing from PixelSpacing, else ImagerPixelSpacing; ``None`` unless two positive numbers."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(spacing) for spacing in dataset.get(keyword) or ())
        except (TypeError, ValueError):
            continue
        if 0 < row < math.inf and 0 < column < math.inf:
            return row, column
    return None


def _require_decoder(dataset: pydicom.Dataset, path: str | Path) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax:
        raise ImageError(f"{path}: no known transfer syntax; export it uncompressed")
    if not syntax.is_encapsulated:
        return
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise ImageError(
            f"{path}: transfer syntax {syntax.name!r} holds no still image that can be decoded; export it uncompressed"
        ) from None
    if not available:
        raise MissingExtraError(
            f"{path}: pixels are compressed as {syntax.name!r} and no decoder is installed;"
            " install one with pip install 'patchcxr[dicom]'"
        )
