"""The grayscale pipeline of DICOM: rescale, window or LUT, photometric interpretation."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicom_files import RAMP, encapsulated, recompress, write_dicom, write_jpeg_dicom, write_lossless_jpeg_dicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

import patchcxr.io.dicom as dicom_module
from patchcxr.errors import ImageError, MissingExtraError
from patchcxr.io.dicom import apply_window
from patchcxr.io.radiograph import read_radiograph


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


def test_a_missing_decoder_names_the_extra_that_brings_it(tmp_path, monkeypatch):
    class NoDecoder:
        is_available = False

    monkeypatch.setattr(dicom_module, "get_decoder", lambda syntax: NoDecoder())
    with pytest.raises(MissingExtraError, match=r"patchcxr\[dicom\]"):
        read_radiograph(encapsulated(write_dicom(tmp_path / "film.dcm"), bytes(8), JPEG2000Lossless))


def test_a_video_is_refused(tmp_path):
    with pytest.raises(ImageError, match="still image"):
        read_radiograph(encapsulated(write_dicom(tmp_path / "film.dcm"), bytes(8), MPEG2MPML))


def both_ways(path):
    """Ours, and pydicom's pixels after its modality and VOI transforms, mapped to [0, 1] and upright."""
    dataset = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    bits = dataset.VOILUTSequence[0].LUTDescriptor[2] if "VOILUTSequence" in dataset else dataset.BitsStored
    expected = values / (2.0**bits - 1)
    return read_radiograph(path), 1 - expected if dataset.PhotometricInterpretation == "MONOCHROME1" else expected


WINDOW = {"WindowCenter": 1000, "WindowWidth": 1500}


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_plain_encoding_agrees_with_pydicom(tmp_path, syntax, photometric):
    path = write_dicom(tmp_path / "film.dcm", syntax=syntax, photometric=photometric, **WINDOW)
    ours, theirs = both_ways(path)
    np.testing.assert_allclose(ours.pixels, theirs, atol=1e-6)
    window = np.clip((RAMP - 999.5) / 1499 + 0.5, 0, 1)
    np.testing.assert_allclose(ours.pixels, 1 - window if photometric == "MONOCHROME1" else window, atol=1e-6)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize(("bits", "signed"), [(8, 0), (10, 0), (12, 0), (12, 1), (16, 0), (16, 1)])
def test_every_lossless_compression_gives_the_pixels_back(tmp_path, syntax, bits, signed):
    stored = np.linspace(0, 2**bits - 1, 2000).astype(np.int64).reshape(40, 50) - signed * 2 ** (bits - 1)
    plain = read_radiograph(write_dicom(tmp_path / "plain.dcm", stored, bits=bits, signed=signed))
    path = recompress(write_dicom(tmp_path / "packed.dcm", stored, bits=bits, signed=signed), syntax)
    np.testing.assert_array_equal(read_radiograph(path).pixels, plain.pixels)
    np.testing.assert_allclose(plain.pixels, np.linspace(0, 1, 2000).reshape(40, 50), atol=1.01 / 2**bits)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_jpeg_gives_the_pixels_back(tmp_path, rng, syntax, bits):
    stored = rng.integers(0, 2**bits, (40, 50))
    read = read_radiograph(write_lossless_jpeg_dicom(tmp_path / "film.dcm", stored, bits=bits, syntax=syntax))
    np.testing.assert_allclose(read.pixels, stored / (2**bits - 1), atol=1e-6)


def test_lossy_jpeg_2000_is_close(tmp_path):
    path = recompress(write_dicom(tmp_path / "film.dcm"), JPEG2000, j2k_cr=[5])
    np.testing.assert_allclose(read_radiograph(path).pixels, RAMP / 4095, atol=0.02)


def test_baseline_jpeg_agrees_with_pydicom_in_grey_and_is_close_in_colour(tmp_path):
    grey = np.linspace(0, 255, 2000).round().reshape(40, 50)
    ours, theirs = both_ways(write_jpeg_dicom(tmp_path / "grey.dcm", grey))
    np.testing.assert_allclose(ours.pixels, theirs, atol=1e-6)
    np.testing.assert_allclose(ours.pixels, grey / 255, atol=0.02)
    colour = np.dstack([grey, grey[:, ::-1], grey[::-1]])
    read = read_radiograph(write_jpeg_dicom(tmp_path / "colour.dcm", colour, photometric="YBR_FULL_422"))
    np.testing.assert_allclose(read.pixels, colour @ [0.299, 0.587, 0.114] / 255, atol=0.03)


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "image_dfl.dcm"])
def test_files_of_other_makers_agree_with_pydicom(name):
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this pydicom ships no {name}")
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array.astype(float)
    ours = read_radiograph(path).pixels
    if "WindowCenter" not in dataset:
        low = -(2.0 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
        np.testing.assert_allclose(ours, (stored - low) / (2.0**dataset.BitsStored - 1), atol=1e-6)
    else:
        centre, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
        expected = np.clip((stored - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_a_file_without_preamble_or_meta_information_is_read(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", syntax=ImplicitVRLittleEndian)
    dataset = pydicom.dcmread(path)
    for name, explicit in (("implicit", False), ("explicit.dcm", True)):
        bare = Dataset()
        bare.update(dataset)
        bare.save_as(tmp_path / name, implicit_vr=not explicit, little_endian=True)
        assert (tmp_path / name).read_bytes()[128:132] != b"DICM"
        np.testing.assert_allclose(read_radiograph(tmp_path / name).pixels, RAMP / 4095, rtol=1e-6)


def test_tags_that_are_commonly_left_out_are_not_needed(tmp_path):
    stored = RAMP % 256
    absent = dict.fromkeys(("PhotometricInterpretation", "PixelRepresentation", "HighBit", "SamplesPerPixel"))
    read = read_radiograph(write_dicom(tmp_path / "film.dcm", stored, bits=8, BitsStored=None, **absent))
    assert (read.bit_depth, read.photometric) == (8, "MONOCHROME2")
    np.testing.assert_allclose(read.pixels, stored / 255, atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_pixels_in_the_upper_bits_are_read_by_high_bit(tmp_path, signed):
    stored = RAMP - 1000 * signed
    path = write_dicom(tmp_path / "film.dcm", stored * 16, bits=16, signed=signed, BitsStored=12, HighBit=15)
    np.testing.assert_allclose(read_radiograph(path).pixels, (stored + 2048 * signed) / 4095, atol=1e-6)


def test_overlays_in_unused_bits_are_cut_off(tmp_path, rng):
    overlay = rng.integers(0, 2, RAMP.shape) << 15
    path = write_dicom(tmp_path / "film.dcm", RAMP | overlay, bits=16, BitsStored=12, HighBit=11)
    np.testing.assert_allclose(read_radiograph(path).pixels, RAMP / 4095, atol=1e-6)


def test_bytes_after_the_only_frame_are_no_second_frame(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", np.vstack([RAMP, RAMP[::-1], RAMP]), Rows=40)
    np.testing.assert_allclose(read_radiograph(path).pixels, RAMP / 4095, rtol=1e-6)


def test_a_lut_is_read_in_the_byte_order_of_its_file(tmp_path):
    item = Dataset()
    item.LUTDescriptor = [2000, 0, 12]
    item.add_new("LUTData", "US", (np.arange(2000) * 2).tolist())
    for syntax in (ExplicitVRLittleEndian, ExplicitVRBigEndian):
        path = write_dicom(tmp_path / "film.dcm", syntax=syntax, VOILUTSequence=[item])
        np.testing.assert_allclose(read_radiograph(path).pixels, RAMP * 2 / 4095, atol=1e-6)


def test_a_frame_that_is_larger_than_the_header_says_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = write_jpeg_dicom(tmp_path / "film.dcm", np.zeros((400, 500)))
    dataset = pydicom.dcmread(path)
    dataset.Rows, dataset.Columns = 40, 50
    dataset.save_as(path)
    monkeypatch.setattr(dicom_module, "pixel_array", lambda *args, **options: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=r"40 x 50 pixels but the compressed frame 400 x 500"):
        read_radiograph(path)


def test_a_deflated_file_inflates_no_further_than_the_limit(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "film.dcm", np.zeros((1000, 1000)), syntax=DeflatedExplicitVRLittleEndian)
    assert path.stat().st_size < 20_000
    monkeypatch.setenv("PATCHCXR_MAX_FILE_BYTES", "1000000")
    with pytest.raises(ImageError, match="inflates to more than the limit of 1000000"):
        read_radiograph(path)


def test_no_error_tells_who_the_patient_is(tmp_path):
    tags = {"PatientName": "SECRET^NAME", "PatientID": "SECRET", "WindowCenter": 10, "WindowWidth": 0}
    with pytest.raises(ImageError) as caught:
        read_radiograph(write_dicom(tmp_path / "film.dcm", **tags))
    assert "SECRET" not in str(caught.value)
    read = read_radiograph(write_dicom(tmp_path / "film.dcm", PatientName="SECRET^NAME", PatientID="SECRET"))
    assert "SECRET" not in repr(read)


@pytest.mark.real
def test_real_films_agree_with_pydicom(real_data):
    films = sorted((real_data / "dicom").glob("*.dcm"))
    assert len(films) == 5
    for path in films:
        ours, theirs = both_ways(path)
        np.testing.assert_allclose(ours.pixels, theirs, atol=1e-4)


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
