"""Small DICOM files, run lengths, outlines and boxes that claim what no film or mask can hold: refused at once."""

from __future__ import annotations

import json
import struct
import time
import tracemalloc
import zlib

import cv2
import numpy as np
import pydicom
import pytest
from hostile_readers import DEEP, GREY, dicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

import patchcxr.io.dicom as dicom_module
import patchcxr.io.dicom_seg as dicom_seg_module
import patchcxr.io.radiograph as radiograph_module
from patchcxr.data.boxes import boxes_mask, parse_boxes
from patchcxr.errors import ImageError, MaskError
from patchcxr.io.chexlocalize import draw_outlines
from patchcxr.io.dicom import DicomImage
from patchcxr.io.dicom_facts import read_dicom_header
from patchcxr.io.dicom_seg import read_dicom_seg, write_dicom_seg
from patchcxr.io.radiograph import read_radiograph
from patchcxr.io.rle import decode_rle

NO_WINDOW = {"WindowCenter": None, "WindowWidth": None}
DEFLATED = b"1.2.840.10008.1.2.1.99"


def film(path, **tags):
    with pydicom.config.disable_value_validation():
        dicom(**tags)(path)
    return path


def bits(number, signed=0):
    return {"BitsAllocated": number, "BitsStored": number, "HighBit": number - 1, "PixelRepresentation": signed}


def colour(path, number, signed):
    stored = np.arange(40 * 48 * 3).astype(f"u{number // 8}").tobytes()
    tags = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    return film(path, PixelData=stored, **tags, **bits(number, signed))


@pytest.mark.parametrize(("number", "signed"), [(8, 1), (16, 1), (32, 0), (32, 1)])
def test_colour_that_is_signed_or_of_32_bits_is_refused(tmp_path, number, signed):
    with pytest.raises(ImageError, match=rf"colour in {number} (un)?signed bits; expected 8 or 16 unsigned"):
        read_radiograph(colour(tmp_path / "f.dcm", number, signed))


@pytest.mark.parametrize("number", [8, 16])
def test_unsigned_colour_is_read(tmp_path, number):
    assert read_radiograph(colour(tmp_path / "f.dcm", number, 0)).bit_depth == number


def test_what_opencv_cannot_convert_is_refused_by_name(tmp_path, monkeypatch):
    def broken(*_):
        raise cv2.error("no such depth")

    monkeypatch.setattr(cv2, "cvtColor", broken)
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_radiograph(colour(tmp_path / "f.dcm", 8, 0))


@pytest.mark.parametrize("window", [{}, NO_WINDOW])
@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleIntercept": "NaN"},
        {"RescaleSlope": "NaN"},
        {"RescaleIntercept": "1e22"},
        {"RescaleIntercept": "-1e29"},
        {"RescaleIntercept": "inf"},
        {"RescaleSlope": "9e29"},
        {"RescaleSlope": "9e29", "PixelData": np.arange(40 * 48, dtype="<u4").tobytes(), **bits(32)},
    ],
)
def test_a_rescaling_that_leaves_no_numbers_is_refused(tmp_path, tags, window):
    with pytest.raises(ImageError, match=r"RescaleSlope .* RescaleIntercept"):
        read_radiograph(film(tmp_path / "f.dcm", **tags, **window))


def table(*values, vr="FD"):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), 0, 16])
    item.add_new("LUTData", vr, list(values))
    return [item]


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_table_of_values_that_are_no_numbers_is_refused(tmp_path, sequence, value):
    with pytest.raises(ImageError, match="LUTData holds values that are no numbers"):
        read_radiograph(film(tmp_path / "f.dcm", **{sequence: table(0.0, value, 1.0)}))


def test_the_largest_values_take_the_last_entry_of_a_table(tmp_path):
    stored = np.where(GREY > 99, DEEP, 0).astype(np.uint16)
    path = film(tmp_path / "f.dcm", stored=stored, RescaleSlope="1e25", VOILUTSequence=table(0, 65535, vr="US"))
    np.testing.assert_array_equal(read_radiograph(path).pixels, stored > 0)


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 1.5, np.inf])
def test_no_film_has_grey_levels_outside_the_range_whatever_a_decoder_gives(tmp_path, monkeypatch, wrong):
    pixels = np.linspace(0, 1, 1600, dtype=np.float32).reshape(40, 40)
    pixels[3, 3] = wrong
    monkeypatch.setattr(radiograph_module, "decode_dicom", lambda *_: DicomImage(pixels, 8, "MONOCHROME2", None))
    with pytest.raises(ImageError, match=r"grey levels from .* expected 0 to 1"):
        read_radiograph(film(tmp_path / "f.dcm"))


def element(group, number, vr, value):
    length = struct.pack("<HI", 0, len(value)) if vr in (b"OB", b"OW") else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + vr + length + value


def deflated(path, data, padding=0):
    """A deflated file whose transfer syntax comes after some padding."""
    meta = element(2, 1, b"OB", b"\0\1" + bytes(padding)) + element(2, 0x10, b"UI", DEFLATED)
    meta = element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    path.write_bytes(bytes(128) + b"DICM" + meta + packer.compress(data) + packer.flush())
    return path


@pytest.mark.parametrize("padding", [0, 2000])
@pytest.mark.parametrize("read", [read_dicom_header, read_radiograph])
def test_a_deflated_file_stops_at_the_limit_wherever_it_says_that_it_is_deflated(tmp_path, monkeypatch, padding, read):
    limit = 12 * 2**20
    monkeypatch.setenv("PATCHCXR_MAX_FILE_BYTES", str(limit))
    pixels = element(0x7FE0, 0x10, b"OW", bytes(4 * limit))
    path = deflated(tmp_path / "f.dcm", element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.1\0") + pixels, padding)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=f"inflates to more than the limit of {limit}"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * limit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["noise", "even"])
def test_a_deflated_film_of_several_pieces_is_read_as_the_plain_one(tmp_path, rng, kind):
    stored = rng.integers(0, 4096, (900, 1000)).astype(np.uint16) if kind == "noise" else np.zeros((1200, 1300), "u2")
    stored[:600] |= 1
    dicom(stored)(tmp_path / "plain.dcm")
    plain = (tmp_path / "plain.dcm").read_bytes()
    data = plain[144 + struct.unpack_from("<I", plain, 140)[0] :]
    expected = read_radiograph(tmp_path / "plain.dcm")
    for padding in (0, 2000):
        packed = deflated(tmp_path / "packed.dcm", data, padding)
        np.testing.assert_array_equal(read_radiograph(packed).pixels, expected.pixels)
        assert read_dicom_header(packed) == read_dicom_header(tmp_path / "plain.dcm")


def jpeg(side):
    pixels = GREY if side is None else np.zeros((side, side), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def test_a_film_whose_second_table_of_offsets_names_another_frame_is_refused_before_it_is_decoded(
    tmp_path, monkeypatch
):
    path = film(tmp_path / "f.dcm", stored=GREY, syntax=JPEGBaseline8Bit)
    header = pydicom.dcmread(path)
    small, large = jpeg(None), jpeg(3000)
    header.PixelData = encapsulate([small, large], has_bot=False)
    header.ExtendedOffsetTable = struct.pack("<Q", 8 + len(small) + len(small) % 2)
    header.ExtendedOffsetTableLengths = struct.pack("<Q", len(large))
    header.save_as(path)
    monkeypatch.setattr(dicom_module, "pixel_array", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="40 x 48 pixels but the compressed frame 3000 x 3000"):
        read_radiograph(path)


@pytest.fixture
def fractions(tmp_path):
    """Writes a FRACTIONAL object of two masks, changed in some way."""

    def write(**tags):
        path = tmp_path / "masks.dcm"
        probability = (GREY / 255).astype(np.float32)
        write_dicom_seg(path, film(tmp_path / "f.dcm"), {"heart": probability, "lung": probability})
        written = pydicom.dcmread(path)
        with pydicom.config.disable_value_validation():
            for name, value in tags.items():
                setattr(written, name, value)
            if "PixelData" in tags:
                written.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
                written["PixelData"].VR = "OB"
            written.save_as(path)
        return path

    return write


@pytest.mark.parametrize("largest", [0, 256, 65535])
def test_fractions_need_a_possible_maximum(fractions, largest):
    with pytest.raises(MaskError, match=f"got a MaximumFractionalValue of {largest}; expected 1 to 255"):
        read_dicom_seg(fractions(MaximumFractionalValue=largest))


@pytest.mark.parametrize("largest", [1, 100, 254])
def test_no_fraction_is_above_one(fractions, largest):
    with pytest.raises(MaskError, match=f"got values up to 255; expected none above .* {largest},"):
        read_dicom_seg(fractions(MaximumFractionalValue=largest))


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"PixelRepresentation": 1}, "got signed values of 8 bits, 1 a pixel"),
        ({"BitsAllocated": 16, "Columns": 24}, "got values of 16 bits, 1 a pixel"),
        ({"SamplesPerPixel": 3, "Columns": 16}, "got values of 8 bits, 3 a pixel"),
    ],
)
def test_masks_are_unsigned_and_of_one_byte(fractions, tags, said):
    with pytest.raises(MaskError, match=f"{said}; expected one unsigned"):
        read_dicom_seg(fractions(**tags))


def test_a_maximum_below_255_is_one(fractions):
    half = np.stack([GREY // 2, GREY // 2]).tobytes()
    path = fractions(MaximumFractionalValue=127)
    written = pydicom.dcmread(path)
    written.PixelData = half
    written.save_as(path)
    np.testing.assert_allclose(read_dicom_seg(path)["heart"], (GREY // 2) / 127, atol=1e-6)


@pytest.mark.parametrize("sides", [(3000, None), (None, 3000)])
@pytest.mark.parametrize("offsets", [False, True])
def test_no_frame_of_a_segmentation_is_larger_than_its_header_says(fractions, monkeypatch, sides, offsets):
    path = fractions(PixelData=encapsulate([jpeg(side) for side in sides], has_bot=offsets))
    monkeypatch.setattr(dicom_seg_module, "pixel_array", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(MaskError, match="40 x 48 pixels but the compressed frame 3000 x 3000"):
        read_dicom_seg(path)


def test_compressed_frames_beyond_those_of_the_header_are_left_alone(fractions, monkeypatch):
    path = fractions(PixelData=encapsulate([jpeg(None), jpeg(None)]))
    expected = read_dicom_seg(path)
    assert abs(expected["heart"] - GREY / 255).mean() < 0.05
    opened = []
    check = dicom_module.codestream_size
    monkeypatch.setattr(dicom_module, "codestream_size", lambda frame: opened.append(frame) or check(frame))
    found = read_dicom_seg(fractions(PixelData=encapsulate([jpeg(None), jpeg(None), jpeg(3000), jpeg(None)])))
    assert len(opened) == 2
    assert all(np.array_equal(found[name], expected[name]) for name in ("heart", "lung"))


def test_a_decoder_that_panics_makes_a_damaged_segmentation(fractions, monkeypatch):
    class PanicException(BaseException):
        """As decoders written in Rust raise it."""

    def broken(*_, **__):
        raise PanicException("index out of bounds")

    path = fractions()
    monkeypatch.setattr(dicom_seg_module, "pixel_array", broken)
    with pytest.raises(MaskError, match=r"damaged segmentation object .*the decoder gave up"):
        read_dicom_seg(path)


@pytest.mark.parametrize("text", [r"\ud800", r"\udcff", r"1\ud8002", "\u00e9"])
def test_characters_that_are_no_text_are_no_run_lengths(text):
    # 3 x 5 pixels: what usually stands in for such a character, "?", is the count 15
    with pytest.raises(MaskError, match="no COCO run lengths"):
        decode_rle(json.loads(f'{{"size": [3, 5], "counts": "{text}"}}'))


def test_outlines_of_more_points_than_can_be_drawn_are_refused_at_once(rng):
    start = time.process_time()
    for outlines in ([rng.integers(0, 10_000, (60_000, 2))], rng.integers(0, 10_000, (20_000, 3, 2))):
        with pytest.raises(MaskError, match="outlines of 60000 points; expected at most 5000 on 10000 x 10000"):
            draw_outlines(outlines, [10_000, 10_000])
    assert time.process_time() - start < 2


@pytest.mark.parametrize("outline", [7, [], [1, 2, 3]])
def test_outlines_without_points_are_refused_in_words(outline):
    with pytest.raises(MaskError, match=r"expected two or more \[x, y\]"):
        draw_outlines([outline], [40, 48])


def test_outlines_as_fine_as_a_reader_can_draw_them_are_drawn():
    angles = np.linspace(0, 2 * np.pi, 15_000)
    circle = np.c_[1400 + 1000 * np.cos(angles), 1100 + 1000 * np.sin(angles)]
    assert draw_outlines([circle], [2320, 2828]).sum() == pytest.approx(np.pi * 1000**2, rel=0.01)


@pytest.mark.parametrize("film_shape", [None, (80, 96), (4, 4)])
@pytest.mark.parametrize(
    ("cell", "marked"),
    [
        ("1e308,0,5,5", 0),
        ("1e308,1e308,1e308,1e308", 0),
        ("-1e308,0,5,5", 0),
        ("-1e308,-1e308,1e308,1e308", 0),
        ("-1,-1,1e308,1e308", 40 * 48),
        ("-1e9,-1e9,1e300,1e300", 40 * 48),
    ],
)
def test_boxes_of_any_size_are_cut_off_at_the_film(cell, marked, film_shape):
    assert boxes_mask(parse_boxes(cell), (40, 48), film_shape).sum() == marked
