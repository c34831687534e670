"""What an object made from a DICOM film takes over from it, so that it belongs to the same study, and no more.

That is what PS3.3 wants in every object of a study (type 1 and 2 of the
patient and the general study module) and which way the film lies: no age,
address, comment, institution, device or private element. With a pseudonym,
only the UIDs of study, series and film are kept, without which the object
would belong to no film; who has the film can still tell the patient by them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pydicom
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit
from pydicom.valuerep import DA, TM

from patchcxr.errors import ImageError
from patchcxr.io.dicom_file import DICOM_FAULTS, one_line, parse_dicom, quiet, sop_class_name
from patchcxr.io.headers import raster_kind
from patchcxr.io.limits import check_file, check_pixels

REQUIRED: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
_IDENTITY: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_LOSSY: Final = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_TAGS: Final = (*REQUIRED, *_IDENTITY, *_LOSSY, "Modality", "NumberOfFrames", "PatientOrientation")


def taken_from_film(path: Path, pseudonym: str | None) -> pydicom.Dataset:
    """Give what a new object takes over from the DICOM film that it belongs to.

    Parameters
    ----------
    path
        The film; its header alone is read.
    pseudonym
        Stands for name and id of the patient. The other facts of patient and
        study are then left empty, and their UIDs kept.

    Returns
    -------
    A data set with nothing of the film's header but :data:`REQUIRED`, the
    facts of patient and study (each empty where it is absent or impossible),
    size, modality, orientation and whether the film was compressed with loss.

    Raises
    ------
    ImageError
        If the file is no DICOM film, no single radiograph, or lacks what
        objects of its study need.
    """
    check_file(path, "DICOM film")
    try:
        with path.open("rb") as file:
            head = file.read(132)
            file.seek(0)
            kind = raster_kind(head)
            if kind and head[128:] != b"DICM":  # a DICOM file may have the start of a TIFF in its preamble
                raise ImageError(
                    f"{path}: {kind} file; a segmentation object belongs to a DICOM study, so give the DICOM film that"
                    " the image was made from, or keep the masks as PNG"
                )
            header = parse_dicom(file, path, header_only=True, tags=_TAGS)
        with quiet():
            return _taken_over(header, path, pseudonym)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); give a readable DICOM film") from None
    except DICOM_FAULTS as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: damaged DICOM header ({one_line(error)}); export it again") from None


def _taken_over(header: pydicom.Dataset, path: Path, pseudonym: str | None) -> pydicom.Dataset:
    sop_class = header.get("SOPClassUID")
    if sop_class and "Image Storage" not in UID(sop_class).name:
        raise ImageError(f"{path}: DICOM object that is no image ({sop_class_name(header)}); give a radiograph")
    absent = [keyword for keyword in REQUIRED if not header.get(keyword)]
    if "PatientID" not in header and pseudonym is None:
        absent.append("PatientID")
    if absent:
        remedy = "export it again" + (", or give a pseudonym" if absent == ["PatientID"] else "")
        raise ImageError(f"{path}: lacks {', '.join(absent)}, which objects of its study need; {remedy}")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"{path}: {frames} frames; expected a single radiograph, so export one frame")
    check_pixels(int(header.Rows), int(header.Columns), path)
    film = pydicom.Dataset()
    film.SpecificCharacterSet = "ISO_IR 192"  # UTF-8 holds whatever character set the film was written in
    for keyword in REQUIRED:
        setattr(film, keyword, header[keyword].value)
    film.Modality = header.get("Modality") or "OT"
    film.PatientOrientation = header.get("PatientOrientation") or ""
    for keyword in _IDENTITY:
        setattr(film, keyword, "" if pseudonym is not None else _usable(keyword, header))
    if pseudonym is not None:
        film.PatientID = film.PatientName = pseudonym
    for keyword in _LOSSY:
        if header.get(keyword):
            setattr(film, keyword, header[keyword].value)
    if header.file_meta.TransferSyntaxUID in (JPEGBaseline8Bit, JPEGExtended12Bit):
        film.LossyImageCompression = "01"
    return film


def _usable(keyword: str, header: pydicom.Dataset) -> str:
    """Value of an element as text; empty where it is no possible date, time or sex."""
    text = str(header.get(keyword) or "").strip()
    try:
        if keyword.endswith("Date"):
            return str(DA(text) or "")
        if keyword.endswith("Time"):
            return str(TM(text) or "")
    except ValueError:
        return ""
    return "" if keyword == "PatientSex" and text not in ("M", "F", "O") else text
