"""What the header of a DICOM film says about film and patient, read without its pixels.

Facts and identity are kept apart: :class:`DicomFacts` holds nothing that
names the patient, so it may be printed and stored; :class:`DicomIdentity`
prints as nothing and is for grouping the films of one patient.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.multival import MultiValue

from patchcxr.errors import ImageError
from patchcxr.io.dicom import pixel_spacing_mm
from patchcxr.io.dicom_file import DICOM_FAULTS, parse_dicom, quiet
from patchcxr.io.limits import check_file

_TAGS: Final = (
    *("Modality", "ViewPosition", "ViewCodeSequence", "PatientAge", "PatientSex", "PatientID"),
    *("StudyDate", "AcquisitionDate", "PixelSpacing", "ImagerPixelSpacing", "PresentationIntentType"),
)
_VIEWS: Final = {
    "PA": "PA",
    "POSTEROANTERIOR": "PA",
    "AP": "AP",
    "ANTEROPOSTERIOR": "AP",
    "APSUPINE": "AP Supine",
    "APERECT": "AP",
    "PAERECT": "PA",
    "L": "L",
    "LL": "L",
    "RL": "L",
    "LAT": "L",
    "LATERAL": "L",
    "LLAT": "L",
    "RLAT": "L",
    "LEFTLATERAL": "L",
    "RIGHTLATERAL": "L",
    **dict.fromkeys(("LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBLIQUE"), "Oblique"),
}
_YEARS: Final = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25, "": 1.0}
_NO_ID: Final = frozenset(
    ("", "anonymous", "anonymized", "anonymised", "anon", "unknown", "none", "na", "noid", "removed")
)


@dataclass(frozen=True)
class DicomFacts:
    """Facts of one film that do not identify the patient; each is ``None`` where the header does not say.

    Attributes
    ----------
    modality
        ``CR``, ``DX``, ...
    view
        ``PA``, ``AP``, ``AP Supine``, ``L`` (either lateral) or ``Oblique``, from ViewPosition, else ViewCodeSequence.
    age_years
        0 to 120, from PatientAge; months, weeks and days become fractions.
    sex
        ``M``, ``F`` or ``O``.
    pixel_spacing_mm
        (row, column), as :func:`patchcxr.io.dicom.read_dicom` gives it.
    for_processing
        Whether the pixels are raw detector values, not meant to be looked at.
    """

    modality: str | None = None
    view: str | None = None
    age_years: float | None = None
    sex: str | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    for_processing: bool | None = None


@dataclass(frozen=True)
class DicomIdentity:
    """What groups the films of a patient; it never shows in a repr and belongs in no output.

    Attributes
    ----------
    patient_id
        PatientID; ``None`` where it is empty or says no more than "anonymous".
    date
        StudyDate, else AcquisitionDate: only differences between films of one patient mean anything.
    """

    patient_id: str | None = field(default=None, repr=False)
    date: datetime.date | None = field(default=None, repr=False)


def read_dicom_facts(path: str | Path) -> DicomFacts:
    """Facts of a film from its header; nothing in them identifies the patient.

    Raises
    ------
    ImageError
        If the file is missing, not DICOM or damaged. What single elements
        hold is no reason: those that make no sense count as absent.
    """
    return read_dicom_header(path)[0]


def read_dicom_header(path: str | Path) -> tuple[DicomFacts, DicomIdentity]:
    """Facts of a film and the identity of its patient, read at once; errors as in :func:`read_dicom_facts`."""
    path = Path(path)
    check_file(path)
    try:
        with path.open("rb") as file:
            dataset = parse_dicom(file, path, header_only=True, tags=_TAGS)
        with quiet():
            return _facts(dataset), _identity(dataset)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); give the path of a readable image file") from None
    except DICOM_FAULTS as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: damaged DICOM header ({type(error).__name__}); export it again") from None


def _facts(dataset: pydicom.Dataset) -> DicomFacts:
    intent = _text(dataset, "PresentationIntentType").upper()
    return DicomFacts(
        modality=_known(_text(dataset, "Modality").upper(), r"[A-Z]{2,16}"),
        view=_view(dataset),
        age_years=_age_years(_text(dataset, "PatientAge")),
        sex=_known(_text(dataset, "PatientSex").upper()[:1], "[MFO]"),
        pixel_spacing_mm=pixel_spacing_mm(dataset),
        for_processing=None if not intent else intent == "FOR PROCESSING",
    )


def _identity(dataset: pydicom.Dataset) -> DicomIdentity:
    patient = _text(dataset, "PatientID")
    known = re.sub(r"[^0-9a-z]", "", patient.lower()) not in _NO_ID or not patient.isascii()
    dates = (_date(_text(dataset, keyword)) for keyword in ("StudyDate", "AcquisitionDate"))
    return DicomIdentity(patient if patient and known else None, next((date for date in dates if date), None))


def _text(dataset: pydicom.Dataset, keyword: str) -> str:
    """First value of an element as text; empty where it is absent or cannot be read."""
    value = _value(dataset, keyword)
    if isinstance(value, (list, MultiValue)):
        value = value[0] if len(value) else None
    return "" if value is None else str(value).replace("\0", "").strip()


def _value(dataset: pydicom.Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except DICOM_FAULTS:
        return None  # pydicom converts elements when they are asked for; this one cannot be


def _known(text: str, pattern: str) -> str | None:
    return text if re.fullmatch(pattern, text) else None


def _view(dataset: pydicom.Dataset) -> str | None:
    words = [_text(dataset, "ViewPosition")]
    codes = _value(dataset, "ViewCodeSequence")
    if isinstance(codes, pydicom.Sequence) and len(codes):
        words.append(_text(codes[0], "CodeMeaning"))
    found = (_VIEWS.get(re.sub(r"[^A-Z]", "", word.upper())) for word in words)
    return next((view for view in found if view), None)


def _age_years(text: str) -> float | None:
    match = re.fullmatch(r"([0-9]{1,4})\s*([YMWD]?)", text.upper())
    if not match:
        return None
    age = int(match[1]) * _YEARS[match[2]]
    return round(age, 3) if age <= 120 else None


def _date(text: str) -> datetime.date | None:
    match = re.match(r"([0-9]{4})[.-]?([0-9]{2})[.-]?([0-9]{2})", text)
    if not match:
        return None
    try:
        return datetime.date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
