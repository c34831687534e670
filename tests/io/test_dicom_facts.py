"""Facts from DICOM headers: what is normalised, what counts as absent, and that nothing names the patient."""

from __future__ import annotations

import datetime

import pytest
from dicom_files import write_dicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from patchcxr.errors import ImageError
from patchcxr.io.dicom_facts import DicomFacts, read_dicom_facts, read_dicom_header

KNOWN = {
    "ViewPosition": "AP",
    "PatientAge": "018M",
    "PatientSex": "F",
    "PatientID": "SECRET-7",
    "PatientName": "SECRET^NAME",
    "StudyDate": "20200229",
    "PixelSpacing": [0.14, 0.15],
    "PresentationIntentType": "FOR PROCESSING",
}


def test_facts_and_identity_come_apart_and_neither_prints_the_patient(tmp_path):
    facts, identity = read_dicom_header(write_dicom(tmp_path / "film.dcm", **KNOWN))
    assert facts == DicomFacts("CR", "AP", 1.5, "F", (0.14, 0.15), True)
    assert (identity.patient_id, identity.date) == ("SECRET-7", datetime.date(2020, 2, 29))
    assert "SECRET" not in f"{facts!r} {identity!r}"
    assert "2020" not in f"{facts!r} {identity!r}"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_facts_are_read_from_other_encodings(tmp_path, syntax):
    assert read_dicom_facts(write_dicom(tmp_path / "film.dcm", syntax=syntax, **KNOWN)).age_years == 1.5


def test_pixels_are_not_read(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", **KNOWN)
    path.write_bytes(path.read_bytes()[:-3900])
    assert read_dicom_facts(path).view == "AP"
    with pytest.raises(ImageError, match="no such image"):
        read_dicom_facts(tmp_path / "absent.dcm")


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("062Y", 62),
        ("62", 62),
        ("006M", 0.5),
        ("026W", 0.498),
        ("010D", 0.027),
        ("121Y", None),
        ("Y", None),
    ],
)
def test_ages_become_years(tmp_path, text, years):
    assert read_dicom_facts(write_dicom(tmp_path / "film.dcm", PatientAge=text)).age_years == years


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("PA", "PA"),
        ("pa ", "PA"),
        ("POSTERO_ANTERIOR", "PA"),
        ("AP SUPINE", "AP Supine"),
        ("LL", "L"),
        ("RL", "L"),
        ("LATERAL", "L"),
        ("RLO", "Oblique"),
        ("CHEST", None),
    ],
)
def test_views_get_the_names_of_the_cohort(tmp_path, text, view):
    assert read_dicom_facts(write_dicom(tmp_path / "film.dcm", ViewPosition=text.upper().strip())).view == view


def test_the_view_code_stands_in_for_an_empty_view_position(tmp_path):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "272479007", "SCT", "postero-anterior"
    path = write_dicom(tmp_path / "film.dcm", ViewPosition="", ViewCodeSequence=[code])
    assert read_dicom_facts(path).view == "PA"


@pytest.mark.parametrize("text", ["", "Anonymous", "UNKNOWN", "N/A", "removed"])
def test_an_id_that_names_nobody_is_none(tmp_path, text):
    assert read_dicom_header(write_dicom(tmp_path / "film.dcm", PatientID=text))[1].patient_id is None


def test_elements_that_make_no_sense_count_as_absent(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", PatientSex="X", StudyDate="20201399", PixelSpacing=[0, 0.1])
    facts, identity = read_dicom_header(path)
    assert facts == DicomFacts(modality="CR")
    assert identity.date is None


@pytest.mark.real
def test_facts_of_real_films(real_data):
    facts = {path.name[:6]: read_dicom_facts(path) for path in (real_data / "dicom").iterdir()}
    assert facts["Fake_M"] == DicomFacts("CR", "PA", 62, "M", (0.168, 0.168), None)
    assert facts["RG1_UN"] == DicomFacts("CR", "PA", None, "F", None, None)
    assert facts["c64d56"].view == "AP"
