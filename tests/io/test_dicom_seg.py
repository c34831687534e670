from __future__ import annotations

import io

import cv2
import highdicom
import numpy as np
import pydicom
import pytest
from dicom_files import RAMP, recompress, write_dicom, write_jpeg_dicom
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import RLELossless

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.io.dicom_seg import SEGMENTS, Algorithm, read_dicom_seg, write_dicom_seg
from patchcxr.io.radiograph import read_radiograph

STUDY, SERIES = "1.2.3.4.5", "1.2.3.4.6"
IDS = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "PatientID": "MRN 4711", "PatientName": "Meyer^Anna"}
SHAPE = RAMP.shape

# Type 1 of the modules of the segmentation IOD (PS3.3 A.51), where it has no 3-D frame of reference.
TYPE_1 = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality"),
    *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "InstanceNumber"),
    *("ContentDate", "ContentTime", "ContentLabel", "ImageType", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PixelRepresentation", "BitsAllocated", "BitsStored", "HighBit", "Rows", "Columns", "LossyImageCompression"),
    *("SegmentationType", "SegmentSequence", "NumberOfFrames", "PixelData", "ReferencedSeriesSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("DimensionOrganizationSequence", "DimensionIndexSequence"),
)
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "PatientOrientation", "ContentDescription"),
)
SEGMENT_TYPE_1 = (
    *("SegmentNumber", "SegmentLabel", "SegmentAlgorithmType", "SegmentAlgorithmName"),
    *("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence"),
)


def film(path, stored=RAMP, **tags):
    return write_dicom(path / "film.dcm", stored, **{**IDS, **tags})


def five_masks(rng, shape=SHAPE):
    """Overlapping masks at random, one empty, one full."""
    masks = {name: rng.random(shape) < 0.5 for name in SEGMENTS}
    masks["heart"][:] = False
    masks["lung"][:] = True
    return masks


def by_highdicom(path, source):
    """Masks as highdicom finds them, from the film that they belong to."""
    found = highdicom.seg.segread(path)
    uid = pydicom.dcmread(source, stop_before_pixels=True).SOPInstanceUID
    numbers = found.segment_numbers
    frames = found.get_pixels_by_source_instance([uid], segment_numbers=numbers)[0]
    return {found.get_segment_description(number).segment_label: frames[..., number - 1] for number in numbers}


@pytest.mark.parametrize("shape", [(33, 47), (40, 50), (35, 35), (64, 64)])
def test_masks_come_back_bit_for_bit_whatever_the_number_of_pixels(tmp_path, rng, shape):
    source, masks = film(tmp_path, np.arange(shape[0] * shape[1]).reshape(shape)), five_masks(rng, shape)
    write_dicom_seg(tmp_path / "seg" / "masks.dcm", source, masks)
    found = read_dicom_seg(tmp_path / "seg" / "masks.dcm")
    assert list(found) == list(masks)
    for name, mask in masks.items():
        assert found[name].dtype == bool
        np.testing.assert_array_equal(found[name], mask)
    plain = pydicom.dcmread(tmp_path / "seg" / "masks.dcm")
    np.testing.assert_array_equal(plain.pixel_array, np.stack(list(masks.values())))
    theirs = by_highdicom(tmp_path / "seg" / "masks.dcm", source)
    for label, name in (("Right lung", "right_lung"), ("Heart", "heart"), ("Infection", "infection")):
        np.testing.assert_array_equal(theirs[label], masks[name])


@pytest.mark.parametrize("name", ["infection", "heart"])
def test_one_mask_alone_comes_back_even_if_it_is_empty(tmp_path, rng, name):
    mask = five_masks(rng)[name]
    write_dicom_seg(tmp_path / "seg.dcm", film(tmp_path), {name: mask})
    found = read_dicom_seg(tmp_path / "seg.dcm")
    assert list(found) == [name]
    np.testing.assert_array_equal(found[name], mask)


def test_probabilities_come_back_to_half_a_step_of_255(tmp_path, rng):
    probability = rng.random(SHAPE, dtype=np.float32)
    exact = rng.integers(0, 256, SHAPE) / np.float32(255)
    source = film(tmp_path)
    write_dicom_seg(tmp_path / "seg.dcm", source, {"infection": probability, "heart": exact.astype(np.float16)})
    found = read_dicom_seg(tmp_path / "seg.dcm")
    assert found["infection"].dtype == np.float32
    np.testing.assert_allclose(found["infection"], probability, atol=0.5 / 255 + 1e-6, rtol=0)
    np.testing.assert_allclose(found["heart"], exact, atol=1e-6)
    np.testing.assert_allclose(by_highdicom(tmp_path / "seg.dcm", source)["Infection"], found["infection"], atol=1e-6)
    plain = pydicom.dcmread(tmp_path / "seg.dcm")
    assert (plain.SegmentationType, plain.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")


def test_every_segment_has_its_code(tmp_path, rng):
    write_dicom_seg(tmp_path / "seg.dcm", film(tmp_path), five_masks(rng))
    coded = {}
    for segment in pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence:
        category, kind = (segment[f"SegmentedProperty{what}CodeSequence"].value[0] for what in ("Category", "Type"))
        region = segment.AnatomicRegionSequence[0].CodeValue if "AnatomicRegionSequence" in segment else None
        coded[segment.SegmentLabel] = (category.CodeValue, kind.CodeValue, kind.CodingSchemeDesignator, region)
    assert coded == {
        "Right lung": ("91723000", "3341006", "SCT", None),
        "Left lung": ("91723000", "44029006", "SCT", None),
        "Lung": ("91723000", "39607008", "SCT", None),
        "Heart": ("91723000", "80891009", "SCT", None),
        "Infection": ("49755003", "112001", "DCM", "39607008"),
    }


def test_the_object_belongs_to_the_study_of_its_film_in_a_series_of_its_own(tmp_path, rng):
    source = film(tmp_path)
    header = pydicom.dcmread(source)
    for name in ("a.dcm", "b.dcm"):
        write_dicom_seg(tmp_path / name, source, five_masks(rng), Algorithm("compact U-Net", "2026.1"))
    one, other = pydicom.dcmread(tmp_path / "a.dcm"), pydicom.dcmread(tmp_path / "b.dcm")
    assert (one.StudyInstanceUID, one.PatientID, str(one.PatientName)) == (STUDY, "MRN 4711", "Meyer^Anna")
    assert len({one.SeriesInstanceUID, other.SeriesInstanceUID, SERIES}) == 3
    assert len({one.SOPInstanceUID, other.SOPInstanceUID, header.SOPInstanceUID}) == 3
    series = one.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == SERIES
    for reference in (
        series.ReferencedInstanceSequence[0],
        *(frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in one.PerFrameFunctionalGroupsSequence),
    ):
        assert reference.ReferencedSOPInstanceUID == header.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == header.SOPClassUID
    assert one.SegmentSequence[0].SegmentAlgorithmName == "compact U-Net"
    assert one.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "2026.1"


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_what_the_standard_wants_is_there(tmp_path, rng, kind):
    masks = five_masks(rng)
    if kind == "FRACTIONAL":
        masks = {name: mask.astype(np.float32) for name, mask in masks.items()}
    write_dicom_seg(tmp_path / "seg.dcm", film(tmp_path), masks)
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    assert [keyword for keyword in TYPE_1 if made.get(keyword) in (None, "", b"", [])] == []
    assert [keyword for keyword in TYPE_2 if keyword not in made] == []
    for segment in made.SegmentSequence:
        assert [keyword for keyword in SEGMENT_TYPE_1 if segment.get(keyword) in (None, "", [])] == []
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert made.SegmentsOverlap == ("YES" if kind == "BINARY" else "UNDEFINED")
    assert made.PixelRepresentation == 0
    assert (made.BitsAllocated, made.HighBit) == ((1, 0) if kind == "BINARY" else (8, 7))
    assert kind == "BINARY" or made.MaximumFractionalValue == 255
    assert len(made.PerFrameFunctionalGroupsSequence) == made.NumberOfFrames == len(masks)


IDENTIFYING = {
    "PatientAge": "042Y",
    "PatientAddress": "7 Example Road",
    "OtherPatientIDs": "other 815",
    "PatientComments": "calls often",
    "InstitutionName": "St Example",
    "StudyDescription": "thorax of Anna",
    "OperatorsName": "Operator^Ole",
    "PhysiciansOfRecord": "Record^Rita",
    "DeviceSerialNumber": "serial 99",
    "ProtocolName": "protocol P",
}
STUDY_FACTS = {
    "PatientBirthDate": "19700102",
    "PatientSex": "F",
    "StudyDate": "20200304",
    "StudyTime": "050607",
    "StudyID": "study 88",
    "AccessionNumber": "acc 77",
    "ReferringPhysicianName": "Refer^Ralf",
}


def test_no_more_of_the_patient_is_copied_than_the_standard_wants(tmp_path, rng):
    source = film(tmp_path, **IDENTIFYING, **STUDY_FACTS)
    with_private = pydicom.dcmread(source)
    with_private.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "private secret")
    with_private.save_as(source)
    write_dicom_seg(tmp_path / "seg.dcm", source, five_masks(rng))
    raw, made = (tmp_path / "seg.dcm").read_bytes(), pydicom.dcmread(tmp_path / "seg.dcm")
    assert [value for value in (*IDENTIFYING.values(), "private secret") if value.encode() in raw] == []
    assert {keyword: str(made[keyword].value) for keyword in STUDY_FACTS} == STUDY_FACTS
    patient = {element.keyword for element in made if element.tag.group == 0x0010}
    assert patient == {"PatientName", "PatientID", "PatientBirthDate", "PatientSex"}


def test_with_a_pseudonym_nothing_of_the_patient_is_left_but_the_uids(tmp_path, rng):
    source = film(tmp_path, **IDENTIFYING, **STUDY_FACTS)
    write_dicom_seg(tmp_path / "seg.dcm", source, five_masks(rng), pseudonym="cohort-p0001")
    raw, made = (tmp_path / "seg.dcm").read_bytes(), pydicom.dcmread(tmp_path / "seg.dcm")
    told = [*IDENTIFYING.values(), *STUDY_FACTS.values(), "MRN 4711", "Meyer", "Anna"]
    assert [value for value in told if len(value) > 1 and value.encode() in raw] == []
    assert (made.PatientID, str(made.PatientName), made.PatientSex) == ("cohort-p0001", "cohort-p0001", "")
    assert made.StudyInstanceUID == STUDY


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 100", "Jäger^Zoë"), ("ISO_IR 192", "山田^太郎"), ("ISO_IR 144", "Люкceмбypг")]
)
def test_names_survive_in_any_alphabet(tmp_path, rng, charset, name):
    source = film(tmp_path, SpecificCharacterSet=charset, PatientName=name)
    write_dicom_seg(tmp_path / "seg.dcm", source, five_masks(rng))
    assert str(pydicom.dcmread(tmp_path / "seg.dcm").PatientName) == name


def test_empty_and_impossible_facts_are_left_empty(tmp_path, rng):
    source = film(tmp_path, PatientID="", PatientSex="female", StudyDate="yesterday", StudyTime="noon")
    write_dicom_seg(tmp_path / "seg.dcm", source, five_masks(rng))
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    assert [str(made.get(keyword)) for keyword in ("PatientID", "PatientSex", "StudyDate")] == ["", "", ""]


def test_compressed_films_need_no_decoding_and_lossy_ones_stay_marked(tmp_path, rng):
    masks = five_masks(rng)
    lossless = recompress(film(tmp_path), RLELossless)
    write_dicom_seg(tmp_path / "a.dcm", lossless, masks)
    lossy = write_jpeg_dicom(tmp_path / "jpeg.dcm", RAMP % 256, **IDS)
    write_dicom_seg(tmp_path / "b.dcm", lossy, masks)
    for name, mark in (("a.dcm", "00"), ("b.dcm", "01")):
        assert pydicom.dcmread(tmp_path / name).LossyImageCompression == mark
        np.testing.assert_array_equal(read_dicom_seg(tmp_path / name)["infection"], masks["infection"])


def test_masks_that_a_reader_drew_name_no_algorithm(tmp_path, rng):
    write_dicom_seg(tmp_path / "seg.dcm", film(tmp_path), five_masks(rng), Algorithm(kind="MANUAL"))
    segment = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "MANUAL"
    assert "SegmentationAlgorithmIdentificationSequence" not in segment
    assert "SegmentAlgorithmName" not in segment


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"StudyInstanceUID": None}, "lacks StudyInstanceUID, which"),
        ({"StudyInstanceUID": ""}, "lacks StudyInstanceUID, which"),
        ({"SeriesInstanceUID": None, "Rows": None}, "lacks SeriesInstanceUID, Rows, which"),
        ({"PatientID": None}, "lacks PatientID.* give a pseudonym"),
        ({"NumberOfFrames": "3"}, "3 frames; expected a single radiograph"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, r"no image \(Basic Text SR Storage\)"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, r"no image \(Segmentation Storage\)"),
    ],
)
def test_films_that_an_object_cannot_belong_to_are_refused_in_words(tmp_path, rng, tags, said):
    source = film(tmp_path, **{name: value for name, value in tags.items() if value is not None})
    header = pydicom.dcmread(source)
    for name, value in tags.items():
        if value is None:
            delattr(header, name)
    header.save_as(source)
    with pytest.raises(ImageError, match=said):
        write_dicom_seg(tmp_path / "seg.dcm", source, five_masks(rng))
    assert not (tmp_path / "seg.dcm").exists()


def test_a_film_without_patient_id_can_have_a_pseudonym(tmp_path, rng):
    header = pydicom.dcmread(film(tmp_path))
    del header.PatientID
    header.save_as(tmp_path / "film.dcm")
    write_dicom_seg(tmp_path / "seg.dcm", tmp_path / "film.dcm", five_masks(rng), pseudonym="p1")
    assert pydicom.dcmread(tmp_path / "seg.dcm").PatientID == "p1"


def test_films_that_are_no_dicom_are_refused_in_words(tmp_path, rng):
    cv2.imwrite(str(tmp_path / "film.png"), np.zeros(SHAPE, np.uint8))
    (tmp_path / "text.dcm").write_text("no film")
    for name, said in (
        ("film.png", "PNG file; .* give the DICOM film"),
        ("text.dcm", "no DICOM file"),
        ("absent.dcm", "no such DICOM film"),
    ):
        with pytest.raises(ImageError, match=said):
            write_dicom_seg(tmp_path / "seg.dcm", tmp_path / name, five_masks(rng))


def test_a_film_that_is_dicom_and_tiff_at_once_is_taken_as_dicom(tmp_path, rng):
    source, masks = film(tmp_path), five_masks(rng)
    source.write_bytes(b"II*\x00" + source.read_bytes()[4:])
    write_dicom_seg(tmp_path / "seg.dcm", source, masks)
    np.testing.assert_array_equal(read_dicom_seg(tmp_path / "seg.dcm")["infection"], masks["infection"])


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({}, "no masks"),
        ({"liver": np.zeros(SHAPE, bool)}, "'liver'; expected right_lung"),
        ({"heart": np.zeros((50, 40), bool)}, r"heart has shape \(50, 40\) but the film has \(40, 50\)"),
        ({"heart": np.zeros((*SHAPE, 1), bool)}, "heart has shape"),
        ({"heart": np.zeros(SHAPE, np.uint8)}, "masks are uint8"),
        ({"heart": np.zeros(SHAPE, bool), "lung": np.zeros(SHAPE)}, "masks are bool, float64"),
        ({"heart": np.full(SHAPE, 1.5)}, "values from 1.5 to 1.5"),
        ({"heart": np.full(SHAPE, np.nan)}, "values from nan"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, masks, said):
    with pytest.raises(MaskError, match=said):
        write_dicom_seg(tmp_path / "seg.dcm", film(tmp_path), masks)


@pytest.mark.parametrize("wrong", [{"kind": "DREAMT"}, {"name": ""}, {"version": "v" * 65}, {"name": "a\\b"}])
def test_algorithms_that_dicom_cannot_name_are_refused(wrong):
    with pytest.raises(ConfigError):
        Algorithm(**wrong)


def test_a_segment_that_another_program_wrote_without_a_frame_is_empty(tmp_path, rng):
    masks = five_masks(rng)
    write_dicom_seg(tmp_path / "seg.dcm", film(tmp_path), masks)
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    kept = [index for index, name in enumerate(masks) if name != "heart"]
    made.PerFrameFunctionalGroupsSequence = [made.PerFrameFunctionalGroupsSequence[index] for index in kept]
    made.NumberOfFrames = len(kept)
    made.PixelData = pack_bits(np.stack(list(masks.values()))[kept])
    made.save_as(tmp_path / "seg.dcm")
    found = read_dicom_seg(tmp_path / "seg.dcm")
    assert not found["heart"].any()
    np.testing.assert_array_equal(found["infection"], masks["infection"])


def test_what_is_no_object_of_one_film_is_refused(tmp_path, rng):
    source = film(tmp_path)
    write_dicom_seg(tmp_path / "seg.dcm", source, five_masks(rng))
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    second = Dataset()
    second.ReferencedSegmentNumber = 1
    made.PerFrameFunctionalGroupsSequence[1].SegmentIdentificationSequence = [second]
    made.save_as(tmp_path / "volume.dcm")
    made.SegmentationType = "LABELMAP"
    made.save_as(tmp_path / "labels.dcm")
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "seg.dcm").read_bytes()[:-200])
    del made.PerFrameFunctionalGroupsSequence, made.SegmentationType
    made.save_as(tmp_path / "bare.dcm")
    for name, said in (
        ("film.dcm", "no DICOM segmentation object"),
        ("volume.dcm", "several frames for the segment 'right_lung'"),
        ("labels.dcm", "type LABELMAP"),
        ("cut.dcm", "damaged"),
        ("bare.dcm", "damaged"),
        ("absent.dcm", "no such segmentation object"),
    ):
        with pytest.raises(MaskError, match=said):
            read_dicom_seg(tmp_path / name)


def test_a_failed_write_leaves_the_object_of_before(tmp_path, rng):
    source, masks = film(tmp_path), five_masks(rng)
    write_dicom_seg(tmp_path / "seg.dcm", source, masks)
    before = (tmp_path / "seg.dcm").read_bytes()
    with pytest.raises(MaskError):
        write_dicom_seg(tmp_path / "seg.dcm", source, {"heart": np.zeros((2, 2), bool)})
    assert (tmp_path / "seg.dcm").read_bytes() == before
    assert pydicom.dcmread(io.BytesIO(before)).SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"


@pytest.mark.slow
@pytest.mark.real
def test_masks_of_real_films_come_back_on_the_films_own_pixels(real_data, tmp_path, rng):
    sources = sorted((real_data / "dicom").glob("*.dcm"))
    assert len(sources) == 5
    for source in sources:
        masks = five_masks(rng, read_radiograph(source).pixels.shape)
        write_dicom_seg(tmp_path / "seg.dcm", source, masks)
        found, theirs = read_dicom_seg(tmp_path / "seg.dcm"), by_highdicom(tmp_path / "seg.dcm", source)
        for name, mask in masks.items():
            np.testing.assert_array_equal(found[name], mask)
            np.testing.assert_array_equal(theirs[name.replace("_", " ").capitalize()], mask)
        plain = pydicom.dcmread(tmp_path / "seg.dcm")
        np.testing.assert_array_equal(plain.pixel_array, np.stack(list(masks.values())))
