"""Radiographs in DICOM: decoded, rescaled, windowed and the right way round.

The steps follow the grayscale pipeline of DICOM PS3.4, annex N: modality
transform (rescale or modality LUT), VOI transform (LUT or window), then the
inversion that MONOCHROME1 asks for.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder

from patchcxr.errors import ImageError, MissingExtraError
from patchcxr.types import FloatArray

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
    low, high = _stored_range(dataset)
    if stored.min() < low or stored.max() > high:
        raise ValueError(
            f"stored values {stored.min()} to {stored.max()} exceed the {int(dataset.BitsStored)} bits of BitsStored"
        )
    values = apply_voi_lut(apply_modality_lut(stored, dataset), dataset)
    low, high = _output_range(dataset)
    unit = (np.asarray(values, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    return np.clip(unit, 0, 1)


def _stored_range(dataset: pydicom.Dataset) -> tuple[float, float]:
    bits = int(dataset.BitsStored)
    if int(dataset.PixelRepresentation) == 0:
        return 0.0, float((1 << bits) - 1)
    return float(-(1 << (bits - 1))), float((1 << (bits - 1)) - 1)


def _output_range(dataset: pydicom.Dataset) -> tuple[float, float]:
    """Lowest and highest value that the last transform of the pipeline can give."""
    voi = dataset.get("VOILUTSequence")
    if voi:
        return 0.0, float((1 << int(voi[0].LUTDescriptor[2])) - 1)
    modality = dataset.get("ModalityLUTSequence")
    if modality:
        return 0.0, float((1 << int(modality[0].LUTDescriptor[2])) - 1)
    low, high = _stored_range(dataset)
    slope = float(dataset.get("RescaleSlope", None) or 1.0)
    intercept = float(dataset.get("RescaleIntercept", None) or 0.0)
    low, high = sorted((low * slope + intercept, high * slope + intercept))
    return low, high


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
