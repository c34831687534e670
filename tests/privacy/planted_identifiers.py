"""DICOM films in whose headers every identifier is a string that is known again wherever it comes out."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from patchcxr.data.synthetic import SyntheticConfig, generate_cohort

BIRTH, STUDIED = (1903, 11, 29), (1987, 6, 9)
UID_ROOT = "1.2.826.0.1.31415926.7."

CLASSES = ("normal", "bacterial", "tuberculosis", "viral")

KINDS = {
    "name": ("PatientName", "PatientMotherBirthName", "OtherPatientNames"),
    "mrn": ("PatientID",),
    "otherid": ("OtherPatientIDs", "IssuerOfPatientID"),
    "acc": ("AccessionNumber",),
    "refdoctor": ("ReferringPhysicianName",),
    "doctor": ("PerformingPhysicianName", "OperatorsName", "RequestingPhysician", "NameOfPhysiciansReadingStudy"),
    "hospital": ("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
    "device": ("StationName", "DeviceSerialNumber", "PerformedStationAETitle"),
    "home": ("PatientAddress", "PatientTelephoneNumbers", "Occupation", "EthnicGroup"),
    "study": ("StudyID",),
    "comment": ("PatientComments", "ImageComments", "StudyDescription", "SeriesDescription", "ProtocolName"),
}
"""What is planted, by the word in it: ``PLANTEDMRNX7`` is the PatientID of the seventh film."""

OTHERS = ("private", "step", "birth", "date", "uid")
"""Private elements, items of sequences, and what cannot be a word: dates and UIDs."""

_WORD = re.compile(rb"planted([a-z]+)x\d")


def _forms(year: int, month: int, day: int) -> list[bytes]:
    """A date in the ways in which people and programs write it."""
    forms = f"{year}{month:02}{day:02}", f"{year}-{month:02}-{day:02}", f"{year}/{month:02}/{day:02}"
    forms += f"{day:02}.{month:02}.{year}", f"{month:02}/{day:02}/{year}", f"{day:02}/{month:02}/{year}"
    forms += f"{year}.{month:02}.{day:02}", f"{day:02}{month:02}{year}"
    return [form.encode() for form in forms]


_DATES = {"birth": _forms(*BIRTH), "date": _forms(*STUDIED)}


def kinds_in(data: bytes) -> set[str]:
    """Kinds of identifiers in bytes, in any case, and in UTF-8, UTF-16 or UTF-32."""
    found: set[str] = set()
    for text in (data.lower(), data.replace(b"\0", b"").lower()):
        if b"planted" in text:
            found |= {match.decode() for match in _WORD.findall(text)}
        if UID_ROOT.encode() in text:
            found.add("uid")
        for kind, forms in _DATES.items():
            # Digits before and after would make it a part of some other number.
            if any(form in text and re.search(rb"(?<![\d.])" + re.escape(form) + rb"(?!\d)", text) for form in forms):
                found.add(kind)
    return found


def planted_header(number: int) -> Dataset:
    """Header of a film, without its pixels."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = f"{UID_ROOT}{number}.3"
    film.StudyInstanceUID, film.SeriesInstanceUID = f"{UID_ROOT}{number}.1", f"{UID_ROOT}{number}.2"
    film.FrameOfReferenceUID = f"{UID_ROOT}{number}.4"
    for kind, keywords in KINDS.items():
        for keyword in keywords:
            setattr(film, keyword, f"PLANTED{kind.upper()}X{number}")
    film.PatientBirthDate = "{}{:02}{:02}".format(*BIRTH)
    film.StudyDate = film.SeriesDate = film.AcquisitionDate = film.ContentDate = "{}{:02}{:02}".format(*STUDIED)
    film.StudyTime, film.PatientSex, film.PatientAge = "071137", "F", "083Y"
    film.Modality, film.ViewPosition, film.PixelSpacing = "CR", "PA", [0.8, 0.8]
    step = Dataset()
    step.ScheduledProcedureStepID = step.RequestedProcedureID = f"PLANTEDSTEPX{number}"
    film.RequestAttributesSequence = Sequence([step])
    block = film.private_block(0x0019, f"PLANTEDPRIVATEX{number}", create=True)
    block.add_new(0x01, "LO", f"PLANTEDPRIVATEX{number}")
    return film


def write_film(path: Path, pixels: np.ndarray, number: int, **changes: object) -> Path:
    """A film of 12 bits with a planted header; ``changes`` are further elements, possible or not."""
    film = planted_header(number)
    film.Rows, film.Columns, film.SamplesPerPixel, film.PhotometricInterpretation = *pixels.shape, 1, "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.PixelData = pixels.astype("<u2").tobytes()
    film["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for keyword, value in changes.items():
            setattr(film, keyword, value)
        film.save_as(path, enforce_file_format=True)
    return path


def write_hospital(folder: Path, patients: int, size: int) -> pd.DataFrame:
    """A folder of DICOM films, damaged ones among them, and ``films.csv``: labels, masks and days, but no patients.

    The films of one viral patient have one PatientID, so that there is a course to follow.
    """
    settings = SyntheticConfig(size=size, patients=patients, films_per_patient_max=2, labels=CLASSES)
    drawn = generate_cohort(folder / "drawn", settings)
    masks = [column for column in drawn if column.endswith("_mask") and drawn[column].notna().any()]
    table = drawn[["study", "label", "days", *masks]].copy()
    table["image"] = [f"film{number:02}.dcm" for number in range(len(table))]
    table["study"] = [f"film{number:02}" for number in range(len(table))]
    for column in masks:
        table[column] = [str(folder / "drawn" / path) if path else "" for path in table[column]]
    people = pd.factorize(drawn["patient"])[0]
    for name, image, person in zip(table["image"], drawn["image"], people, strict=True):
        grey = cv2.imread(str(folder / "drawn" / image), cv2.IMREAD_UNCHANGED).astype(float)
        pixels = np.rint(4095 * grey / grey.max())
        number = int(name[4:6])
        write_film(folder / "films" / name, pixels, number, PatientID=f"PLANTEDMRNX{person}")
    table.to_csv(folder / "films.csv", index=False)
    _write_damaged(folder / "damaged", pixels)
    return table


def _write_damaged(folder: Path, pixels: np.ndarray) -> None:
    """Films whose reading fails at elements that hold, or stand beside, what identifies the patient."""
    word, number = "PLANTEDNAMEX9", "1234567890123"  # of one length: numbers are written as text
    write_film(folder / "photometric.dcm", pixels, 90, PhotometricInterpretation=word)
    for at, (name, keywords) in enumerate(
        {
            "slope": ("RescaleSlope", "RescaleIntercept"),
            "window": ("WindowCenter", "WindowWidth"),
            "spacing": ("PixelSpacing",),
            "frames": ("NumberOfFrames",),
        }.items()
    ):
        value = number if name != "spacing" else [number, number]
        path = write_film(folder / f"{name}.dcm", pixels, 91 + at, **dict.fromkeys(keywords, value))
        path.write_bytes(path.read_bytes().replace(number.encode(), word.encode()))
    write_film(folder / "class.dcm", pixels, 95, SOPClassUID=word)
    write_film(folder / "short.dcm", pixels, 96, PixelData=b"PLANTEDNAMEX9 ")
    whole = write_film(folder / "cut.dcm", pixels, 97).read_bytes()
    (folder / "cut.dcm").write_bytes(whole[: whole.index(b"PLANTEDNAMEX97") + 8])
    (folder / "torn.dcm").write_bytes(whole.replace(b"PLANTEDMRNX97", b"PLANTED\xff\xff\xff\xffX9"))
