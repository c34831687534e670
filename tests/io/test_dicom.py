"""The grayscale pipeline of DICOM: rescale, window or LUT, photometric interpretation."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_windowing
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

import patchcxr.io.dicom as dicom_module
from patchcxr.errors import ImageError, MissingExtraError
from patchcxr.io.dicom import apply_window
from patchcxr.io.radiograph import read_radiograph

RAMP = np.arange(40 * 50).reshape(40, 50)


def write_dicom(
    path, stored=RAMP, bits=12, photometric="MONOCHROME2", signed=False, syntax=ExplicitVRLittleEndian, **tags
):
    """Write a CR image; ``tags`` are added as they are, None removes."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CR"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 8 if bits <= 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    kind = ("i" if signed else "u") + str(dataset.BitsAllocated // 8)
    dataset.add_new("PixelData", "OB" if bits <= 8 else "OW", stored.astype(f"<{kind}").tobytes())
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_without_a_window_the_stored_bits_span_the_range(tmp_path):
    read = read_radiograph(write_dicom(tmp_path / "film.dcm"))
    np.testing.assert_allclose(read.pixels, RAMP / 4095, rtol=1e-6)
    assert (read.bit_depth, read.photometric) == (12, "MONOCHROME2")


@pytest.mark.parametrize("bits", [8, 10, 15, 16])
def test_eight_to_sixteen_bits_are_read(tmp_path, bits):
    stored = np.linspace(0, 2**bits - 1, 2000).astype(np.int64).reshape(40, 50)
    read = read_radiograph(write_dicom(tmp_path / "film.dcm", stored, bits=bits))
    assert read.bit_depth == bits
    np.testing.assert_allclose(read.pixels, stored / (2**bits - 1), atol=1e-6)


def test_monochrome1_is_inverted(tmp_path):
    read = read_radiograph(write_dicom(tmp_path / "film.dcm", photometric="MONOCHROME1"))
    np.testing.assert_allclose(read.pixels, 1 - RAMP / 4095, rtol=1e-6)


def test_a_linear_window_follows_the_formula_of_the_standard(tmp_path):
    centre, width = 1000, 400
    read = read_radiograph(write_dicom(tmp_path / "film.dcm", WindowCenter=centre, WindowWidth=width))
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), clipped to the output range
    expected = np.clip((RAMP - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    np.testing.assert_allclose(read.pixels, expected, atol=1e-6)


def test_a_sigmoid_window_follows_the_formula_of_the_standard(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", WindowCenter=1000, WindowWidth=400, VOILUTFunction="SIGMOID")
    # PS3.3 C.11.2.1.3.1
    expected = 1 / (1 + np.exp(-4 * (RAMP - 1000) / 400))
    np.testing.assert_allclose(read_radiograph(path).pixels, expected, atol=1e-6)


@pytest.mark.parametrize(("slope", "intercept"), [(2, -100), (-1, 4095)])
def test_rescale_comes_before_the_window(tmp_path, slope, intercept):
    tags = {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US"}
    plain = read_radiograph(write_dicom(tmp_path / "plain.dcm", **tags)).pixels
    rescaled = RAMP * float(slope) + intercept
    low, high = sorted((intercept, 4095 * slope + intercept))
    np.testing.assert_allclose(plain, (rescaled - low) / (high - low), atol=1e-6)
    windowed = read_radiograph(write_dicom(tmp_path / "w.dcm", WindowCenter=2500, WindowWidth=1001, **tags)).pixels
    np.testing.assert_allclose(windowed, np.clip((rescaled - 2499.5) / 1000 + 0.5, 0, 1), atol=1e-6)


def test_signed_pixels_are_read(tmp_path):
    stored = RAMP - 1000
    read = read_radiograph(write_dicom(tmp_path / "film.dcm", stored, signed=True))
    np.testing.assert_allclose(read.pixels, (stored + 2048) / 4095, atol=1e-6)


def test_a_voi_lut_is_preferred_to_a_window(tmp_path):
    item = Dataset()
    item.LUTDescriptor = [2000, 0, 8]
    item.add_new("LUTData", "OW", (np.arange(2000) // 8).astype("<u2").tobytes())
    path = write_dicom(tmp_path / "film.dcm", VOILUTSequence=[item], WindowCenter=10, WindowWidth=10)
    np.testing.assert_allclose(read_radiograph(path).pixels, (RAMP // 8) / 255, atol=1e-6)


def test_a_modality_lut_comes_before_the_window(tmp_path):
    item = Dataset()
    item.LUTDescriptor = [2000, 100, 16]
    item.ModalityLUTType = "US"
    item.add_new("LUTData", "OW", (np.arange(2000) * 30).astype("<u2").tobytes())
    values = np.clip(RAMP - 100, 0, 1999) * 30
    plain = read_radiograph(write_dicom(tmp_path / "plain.dcm", ModalityLUTSequence=[item])).pixels
    np.testing.assert_allclose(plain, values / 65535, atol=1e-6)
    path = write_dicom(tmp_path / "w.dcm", ModalityLUTSequence=[item], WindowCenter=30000.5, WindowWidth=10001)
    np.testing.assert_allclose(read_radiograph(path).pixels, np.clip((values - 30000) / 10000 + 0.5, 0, 1), atol=1e-5)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom_where_pydicom_is_right(function):
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 1800.5, 900, function
    expected = apply_windowing(np.arange(4096), dataset) / 4095
    np.testing.assert_allclose(apply_window(np.arange(4096), 1800.5, 900, function), expected, atol=1e-6)


def test_a_window_of_width_one_is_a_threshold_and_the_first_of_several_windows_counts(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", WindowCenter=[1000, 5], WindowWidth=[1, 5])
    np.testing.assert_array_equal(read_radiograph(path).pixels, RAMP > 999.5)


def test_colour_is_read_as_grey(tmp_path):
    stored = np.dstack([RAMP % 256] * 3)
    read = read_radiograph(write_dicom(tmp_path / "film.dcm", stored, bits=8, photometric="RGB"))
    np.testing.assert_allclose(read.pixels, (RAMP % 256) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3)),
        ({"ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
        ({"PixelSpacing": [0, 0]}, None),
        ({}, None),
    ],
)
def test_spacing_is_positive_or_absent(tmp_path, tags, expected):
    assert read_radiograph(write_dicom(tmp_path / "film.dcm", **tags)).pixel_spacing_mm == expected


def test_dicom_is_known_by_its_content_without_a_suffix(tmp_path):
    assert read_radiograph(write_dicom(tmp_path / "IM0001")).bit_depth == 12


def test_unusable_dicom_files_are_refused_with_the_reason(tmp_path):
    write_dicom(tmp_path / "frames.dcm", np.vstack([RAMP, RAMP]), NumberOfFrames=2, Rows=40)
    write_dicom(tmp_path / "report.dcm", PixelData=None)
    write_dicom(tmp_path / "palette.dcm", photometric="PALETTE COLOR")
    write_dicom(tmp_path / "width.dcm", WindowCenter=10, WindowWidth=0)
    write_dicom(tmp_path / "short.dcm", PixelData=b"\0" * 100)
    (tmp_path / "text.dcm").write_text("no DICOM" * 100)
    whole = write_dicom(tmp_path / "cut.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-900])
    reasons = {
        "frames.dcm": "2 frames",
        "report.dcm": "without pixels",
        "palette.dcm": "PALETTE COLOR",
        "width.dcm": "decoded",
        "short.dcm": "decoded",
        "text.dcm": "lacks the DICOM header",
        "cut.dcm": "cut.dcm",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError, match=reason) as caught:
            read_radiograph(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def compressed(path, syntax):
    dataset = pydicom.dcmread(write_dicom(path))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 8])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_a_missing_decoder_names_the_extra_that_brings_it(tmp_path, monkeypatch):
    class NoDecoder:
        is_available = False

    monkeypatch.setattr(dicom_module, "get_decoder", lambda syntax: NoDecoder())
    with pytest.raises(MissingExtraError, match=r"patchcxr\[dicom\]"):
        read_radiograph(compressed(tmp_path / "film.dcm", JPEG2000Lossless))


def test_a_video_is_refused(tmp_path):
    with pytest.raises(ImageError, match="still image"):
        read_radiograph(compressed(tmp_path / "film.dcm", MPEG2MPML))


@pytest.mark.real
def test_the_same_real_film_uncompressed_and_in_jpeg_2000_is_the_same(real_data):
    plain = read_radiograph(real_data / "dicom" / "RG1_UNCI.dcm")
    packed = read_radiograph(real_data / "dicom" / "RG1_J2KI.dcm")
    assert plain.bit_depth == packed.bit_depth == 15
    assert plain.pixel_spacing_mm is None  # the file says 0 mm
    np.testing.assert_allclose(plain.pixels, packed.pixels, atol=0.02)
    stored = pydicom.dcmread(real_data / "dicom" / "RG1_UNCI.dcm").pixel_array.astype(float)
    np.testing.assert_allclose(plain.pixels, 1 - np.clip((stored - 14999.5) / 29999 + 0.5, 0, 1), atol=1e-6)


@pytest.mark.real
def test_a_real_film_marked_monochrome1_is_the_negative_of_its_twin(real_data):
    negative = read_radiograph(real_data / "dicom" / "Fake_MONOHR1.dcm")
    twin = read_radiograph(real_data / "dicom" / "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm")
    np.testing.assert_allclose(negative.pixels, 1 - twin.pixels, atol=1e-6)
    assert negative.pixel_spacing_mm == pytest.approx((0.168, 0.168))


@pytest.mark.real
def test_a_real_jpeg_compressed_film_is_read(real_data):
    read = read_radiograph(real_data / "dicom" / "c64d5667-a776-4f95-9e21-bfabafb07740.dcm")
    assert read.pixels.shape == (1024, 1024)
    assert read.pixels[480:540, 480:540].mean() > read.pixels[480:540, 300:360].mean()  # spine brighter than lung
