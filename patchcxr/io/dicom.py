"""Radiographs in DICOM: decoded, rescaled, windowed and the right way round.

The steps follow the grayscale pipeline of DICOM PS3.4, annex N: modality
transform (rescale or modality LUT), VOI transform (LUT or window), then the
inversion that MONOCHROME1 asks for. The transforms are computed here:
pydicom's own turn a window round when the rescale slope is negative, and
wrap the index into 8-bit tables of more than 256 entries (seen in 3.0.2).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels import get_decoder

from patchcxr.errors import ImageError, MissingExtraError
from patchcxr.types import AnyArray, FloatArray

_FAULTS = (AttributeError, EOFError, KeyError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError)


class DicomImage(NamedTuple):
    """What one DICOM file says about its only frame."""

    pixels: FloatArray
    bit_depth: int
    photometric: str
    pixel_spacing_mm: tuple[float, float] | None


def is_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes of a file carry the DICOM mark."""
    return head[128:132] == b"DICM"


def read_dicom(path: str | Path) -> DicomImage:
    """Read a single-frame DICOM radiograph.

    Rescale slope and intercept (or the modality LUT) are applied, then the
    VOI LUT or the first window (LINEAR, LINEAR_EXACT or SIGMOID). The output
    range of the last of these steps is mapped to [0, 1]; without a window
    this is the whole range of the stored bits. MONOCHROME1 is inverted, so
    that bone is bright. Colour becomes grey by ITU-R 601 luminance.

    ``pixel_spacing_mm`` is (row, column) spacing from PixelSpacing, else from
    ImagerPixelSpacing (at the detector, magnification not corrected), else
    ``None``; spacings that are not positive count as absent.

    Raises
    ------
    ImageError
        If the file is not DICOM, is damaged, holds no pixels or several
        frames, or has a photometric interpretation other than MONOCHROME1,
        MONOCHROME2, RGB or YBR.
    MissingExtraError
        If no installed plugin can decompress the pixels.
    """
    try:
        dataset = pydicom.dcmread(path)
    except InvalidDicomError:
        raise ImageError(f"{path}: the name says DICOM but the file lacks the DICOM header; export it again") from None
    except _FAULTS as error:
        raise ImageError(f"{path}: damaged DICOM file ({_one_line(error)}); export it again") from error
    if "PixelData" not in dataset:
        raise ImageError(f"{path}: DICOM object without pixels ({_sop_class(dataset)}); give an image object")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise ImageError(f"{path}: {frames} frames; expected a single radiograph, so export one frame")
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip()
    if not photometric.startswith(("MONOCHROME1", "MONOCHROME2", "RGB", "YBR")):
        raise ImageError(
            f"{path}: photometric interpretation {photometric!r}; expected MONOCHROME1, MONOCHROME2, RGB or YBR"
        )
    _require_decoder(dataset, path)
    try:
        pixels = _to_unit_range(dataset)
        bit_depth = int(dataset.BitsStored)
        spacing = _pixel_spacing_mm(dataset)
    except _FAULTS as error:
        raise ImageError(f"{path}: DICOM pixels cannot be decoded ({_one_line(error)}); export it again") from error
    if photometric == "MONOCHROME1":
        pixels = np.subtract(1.0, pixels, dtype=np.float32)
    return DicomImage(pixels, bit_depth, photometric, spacing)


def _to_unit_range(dataset: pydicom.Dataset) -> FloatArray:
    stored = dataset.pixel_array
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
        full = float((1 << int(item.LUTDescriptor[2])) - 1)
        return apply_lut(stored, item) * np.float32(full), 0.0, full
    slope, intercept = _first(dataset.get("RescaleSlope")), _first(dataset.get("RescaleIntercept"))
    if slope is None and intercept is None:
        return stored, low, high
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if slope == 0:
        raise ValueError("RescaleSlope is 0")
    low, high = sorted((low * slope + intercept, high * slope + intercept))
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
        If the width is below 1 (LINEAR) or not positive, or the function is unknown.

    Examples
    --------
    >>> apply_window(np.array([0.0, 1.0, 2.0, 9.0]), centre=2, width=4, function="LINEAR_EXACT").tolist()
    [0.0, 0.25, 0.5, 1.0]
    """
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ValueError(f"VOILUTFunction is {function!r}")
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise ValueError(f"WindowWidth is {width:g}")
    values = np.asarray(values, dtype=np.float32)
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values - np.float32(centre)) / np.float32(width), -80, 80)
        return 1 / (1 + np.exp(exponent))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > np.float32(centre)).astype(np.float32)
    return np.clip((values - np.float32(centre)) / np.float32(width) + np.float32(0.5), 0, 1)


def apply_lut(values: AnyArray, item: pydicom.Dataset) -> FloatArray:
    """Map values through a modality or VOI lookup table to [0, 1] of its bits (PS3.3 C.11.1.1 and C.11.2.1.1)."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 65536
    data = item.LUTData
    if isinstance(data, bytes):
        table = np.frombuffer(data, dtype="<u2" if len(data) >= 2 * entries else np.uint8)
    else:
        table = np.atleast_1d(np.asarray(data))
    if len(table) < entries:
        raise ValueError(f"LUTData holds {len(table)} of {entries} entries")
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, entries - 1)
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


def _pixel_spacing_mm(dataset: pydicom.Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = dataset.get(keyword)
        if spacing is not None and len(spacing) == 2 and min(float(s) for s in spacing) > 0:
            return float(spacing[0]), float(spacing[1])
    return None


def _require_decoder(dataset: pydicom.Dataset, path: str | Path) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax.is_deflated:
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


def _sop_class(dataset: pydicom.Dataset) -> str:
    uid = dataset.get("SOPClassUID")
    return uid.name if uid else "no SOP class"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
