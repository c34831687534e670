"""Reading of radiographs: values are the same whatever the file type, and bad files are refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from patchcxr.errors import ImageError
from patchcxr.io.radiograph import read_radiograph


def film(dtype=np.uint8, highest=255, shape=(40, 48)):
    """A ramp that uses 0 and ``highest``."""
    return np.linspace(0, highest, shape[0] * shape[1]).round().astype(dtype).reshape(shape)


def write(path: Path, pixels) -> Path:
    done, data = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(data.tobytes())
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_eight_bit_values_are_divided_by_255(tmp_path, suffix):
    pixels = film()
    read = read_radiograph(write(tmp_path / f"film{suffix}", pixels))
    np.testing.assert_array_equal(read.pixels, (pixels / np.float32(255)).astype(np.float32))
    assert read.pixels.dtype == np.float32
    assert (read.bit_depth, read.photometric, read.pixel_spacing_mm) == (8, None, None)
    assert read.source_path == tmp_path / f"film{suffix}"


def test_a_jpeg_is_close_to_what_was_written(tmp_path):
    read = read_radiograph(write(tmp_path / "film.jpg", film()))
    np.testing.assert_allclose(read.pixels * 255, film(), atol=4)


@pytest.mark.parametrize(
    ("highest", "bits"), [(200, 12), (4095, 12), (4096, 14), (16383, 14), (16384, 16), (65535, 16)]
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_sixteen_bit_files_are_scaled_by_the_bits_in_use(tmp_path, suffix, highest, bits):
    pixels = film(np.uint16, highest)
    path = tmp_path / f"film{suffix}"
    if suffix == ".npy":
        np.save(path, pixels)
    else:
        write(path, pixels)
    read = read_radiograph(path)
    assert read.bit_depth == bits
    np.testing.assert_allclose(read.pixels, pixels / (2**bits - 1), rtol=1e-6)


def test_a_dim_sixteen_bit_png_stays_dim(tmp_path):
    read = read_radiograph(write(tmp_path / "dim.png", film(np.uint16, 255)))
    assert read.pixels.max() == pytest.approx(255 / 4095)


def test_colour_becomes_grey_by_luminance_and_alpha_is_dropped(tmp_path):
    rgb = np.zeros((40, 48, 3), np.uint8)
    rgb[:, :16, 0], rgb[:, 16:32, 1], rgb[:, 32:, 2] = 255, 255, 255
    bgra = np.dstack([rgb[:, :, ::-1], np.full((40, 48), 7, np.uint8)])
    np.save(tmp_path / "rgb.npy", rgb)
    for path in (write(tmp_path / "rgba.png", bgra), tmp_path / "rgb.npy"):
        pixels = read_radiograph(path).pixels
        np.testing.assert_allclose(pixels[0, [0, 16, 32]], [0.299, 0.587, 0.114], atol=0.5 / 255)


def test_grey_saved_as_rgb_is_read_exactly(tmp_path):
    read = read_radiograph(write(tmp_path / "film.png", np.dstack([film()] * 3)))
    np.testing.assert_array_equal(np.rint(read.pixels * 255), film())


def test_floating_point_in_the_unit_range_is_taken_as_it_is(tmp_path):
    np.save(tmp_path / "film.npy", film() / 255)
    read = read_radiograph(tmp_path / "film.npy")
    np.testing.assert_allclose(read.pixels, film() / 255, rtol=1e-7)
    assert read.bit_depth == 64


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.5])
def test_floating_point_outside_the_unit_range_is_refused(tmp_path, value):
    pixels = film() / 255
    pixels[3, 3] = value
    np.save(tmp_path / "film.npy", pixels)
    with pytest.raises(ImageError, match="expected 0 to 1"):
        read_radiograph(tmp_path / "film.npy")


def test_unicode_and_spaces_in_the_path_do_not_matter(tmp_path):
    folder = tmp_path / "Röntgen 胸部 (1)"
    folder.mkdir()
    assert read_radiograph(write(folder / "film ü.png", film())).pixels.shape == (40, 48)


def pil(path: Path, pixels, **options) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def by_pillow(path: Path) -> np.ndarray:
    """Grey values from 0 to 1 as Pillow sees an 8-bit file."""
    with Image.open(path) as image:
        rgb = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=float)
    return rgb @ [0.299, 0.587, 0.114] / 255


@pytest.fixture
def colour(rng):
    small = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return cv2.resize(small, (48, 40), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_png_is_read_by_its_colours(tmp_path, colour, bits, transparent):
    image = Image.fromarray(colour).quantize(2**bits)
    path = pil(tmp_path / "film.png", image, bits=bits, **({"transparency": 0} if transparent else {}))
    assert path.read_bytes()[24:26] == bytes([bits, 3])
    np.testing.assert_allclose(read_radiograph(path).pixels, by_pillow(path), atol=0.6 / 255)


def png(pixels_by_row: list[bytes], bits: int, kind: int) -> bytes:
    """A PNG of 40 rows of 48 pixels from packed rows."""
    header = struct.pack(">IIBBBBB", 48, 40, bits, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in pixels_by_row))
    parts = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    chunks = (struct.pack(">I", len(b)) + name + b + struct.pack(">I", zlib.crc32(name + b)) for name, b in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_grey_png_of_few_bits_spans_the_range(tmp_path, bits):
    levels = np.arange(40 * 48).reshape(40, 48) % 2**bits
    text = ["".join(f"{level:0{bits}b}" for level in row) for row in levels.tolist()]
    rows = [int(line, 2).to_bytes(48 * bits // 8, "big") for line in text]
    (tmp_path / "film.png").write_bytes(png(rows, bits, 0))
    np.testing.assert_allclose(read_radiograph(tmp_path / "film.png").pixels, levels / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "RGB", "L", "1"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pixels_under_a_transparent_part_keep_their_value(tmp_path, colour, mode, suffix):
    image = Image.fromarray(colour).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(film()))
    path = pil(tmp_path / f"film{suffix}", image)
    np.testing.assert_allclose(read_radiograph(path).pixels, by_pillow(path), atol=0.6 / 255)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_sixteen_bit_png_is_never_read_as_eight_bits(tmp_path, channels):
    grey, alpha = film(np.uint16, 65535), film(np.uint16, 1000)
    samples = {1: [grey], 2: [grey, alpha], 3: [grey] * 3, 4: [grey, grey, grey, alpha]}[channels]
    rows = [row.astype(">u2").tobytes() for row in np.dstack(samples)]
    (tmp_path / "film.png").write_bytes(png(rows, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels]))
    read = read_radiograph(tmp_path / "film.png")
    assert read.bit_depth == 16
    np.testing.assert_allclose(read.pixels, grey / 65535, atol=1e-6)


# Exif 2.3, tag 274: which corner of the scene the first row and the first column of the file are
TURNED = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_that_the_file_gives_is_applied(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = pil(tmp_path / f"film{suffix}", film(), exif=exif, **({"quality": 100} if suffix == ".jpg" else {}))
    np.testing.assert_allclose(read_radiograph(path).pixels, TURNED[orientation](film()) / 255, atol=2 / 255)


@pytest.mark.parametrize("transform", [None, 0, 2])
def test_cmyk_and_ycck_jpeg_are_inverted_as_adobe_writes_them(tmp_path, colour, transform):
    path = pil(tmp_path / "film.jpg", Image.fromarray(colour).convert("CMYK"), quality=95)
    data = bytearray(path.read_bytes())
    adobe = data.index(b"Adobe")
    if transform is None:
        del data[adobe - 4 : adobe + 12]
    else:
        data[adobe + 11] = transform
    path.write_bytes(data)
    np.testing.assert_allclose(read_radiograph(path).pixels, by_pillow(path), atol=2 / 255)
    if transform == 0:
        expected = colour @ np.array([0.299, 0.587, 0.114]) / 255
        np.testing.assert_allclose(read_radiograph(path).pixels, expected, atol=0.06)


def test_a_gif_of_one_frame_is_read_and_an_animation_refused(tmp_path, colour):
    path = pil(tmp_path / "film.gif", Image.fromarray(colour).quantize(64))
    np.testing.assert_allclose(read_radiograph(path).pixels, by_pillow(path), atol=0.6 / 255)
    grey = pil(tmp_path / "grey.gif", film())
    np.testing.assert_allclose(read_radiograph(grey).pixels, film() / 255, atol=1e-6)
    frames = [Image.fromarray(film()), Image.fromarray(film()[::-1].copy())]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="several frames"):
        read_radiograph(tmp_path / "moving.gif")


TIFF_KINDS = {
    "zlib": {"compression": "zlib"},
    "predictor": {"compression": "zlib", "predictor": True},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "tiled": {"tile": (16, 16)},
    "strips": {"rowsperstrip": 7},
    "inverted": {"photometric": "miniswhite"},
    "turned": {"extratags": [(274, 3, 1, 6, True)]},
}


@pytest.mark.parametrize("kind", TIFF_KINDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_is_read_as_an_independent_writer_meant_it(tmp_path, kind, dtype):
    full = np.iinfo(dtype).max
    pixels = film(dtype, full)
    tifffile.imwrite(tmp_path / "film.tif", pixels, **TIFF_KINDS[kind])
    expected = pixels / full
    expected = 1 - expected if kind == "inverted" else np.rot90(expected, -1) if kind == "turned" else expected
    read = read_radiograph(tmp_path / "film.tif")
    np.testing.assert_allclose(read.pixels, expected, atol=1e-6)
    assert read.bit_depth == 8 * np.dtype(dtype).itemsize


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_colour_tiff_is_read_or_refused_but_never_wrong(tmp_path, colour, separate, dtype):
    full = np.iinfo(dtype).max
    pixels = colour.astype(dtype) * (full // 255)
    stored = np.moveaxis(pixels, 2, 0) if separate else pixels
    planes = {"planarconfig": "separate"} if separate else {}
    tifffile.imwrite(tmp_path / "film.tif", stored, photometric="rgb", **planes)
    if separate and dtype == np.uint16:  # OpenCV decodes these to noise
        with pytest.raises(ImageError, match="in planes"):
            read_radiograph(tmp_path / "film.tif")
    else:
        expected = pixels @ np.array([0.299, 0.587, 0.114]) / full
        np.testing.assert_allclose(read_radiograph(tmp_path / "film.tif").pixels, expected, atol=0.6 / 255)


def test_a_sixteen_bit_grey_tiff_with_alpha_is_refused_not_read_as_eight_bits(tmp_path):
    both = np.dstack([film(np.uint16, 65535)] * 2)
    tifffile.imwrite(
        tmp_path / "film.tif", both, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]
    )
    with pytest.raises(ImageError, match="with alpha"):
        read_radiograph(tmp_path / "film.tif")


def test_a_floating_point_tiff_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", (film() / 255).astype(np.float32))
    np.testing.assert_allclose(read_radiograph(tmp_path / "film.tif").pixels, film() / 255, rtol=1e-6)


@pytest.mark.parametrize("group4", [False, True])
def test_a_bilevel_tiff_is_black_and_white(tmp_path, group4):
    path = pil(tmp_path / "film.tif", film() > 99, **({"compression": "group4"} if group4 else {}))
    np.testing.assert_array_equal(read_radiograph(path).pixels, film() > 99)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_bmp_is_read_as_pillow_reads_it(tmp_path, colour, mode):
    image = Image.fromarray(colour)
    path = pil(tmp_path / "film.bmp", image.quantize(32) if mode == "P" else image.convert(mode))
    np.testing.assert_allclose(read_radiograph(path).pixels, by_pillow(path), atol=0.6 / 255)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["|u1", "<u2", ">u2", "<i4", "<f2", ">f4"])
def test_npy_is_read_in_any_byte_and_axis_order(tmp_path, order, dtype):
    pixels = (film() / 255).astype(dtype) if "f" in dtype else film().astype(dtype)
    np.save(tmp_path / "film.npy", np.asarray(pixels, order=order))
    full = 1 if "f" in dtype else 255 if dtype == "|u1" else 4095
    np.testing.assert_allclose(read_radiograph(tmp_path / "film.npy").pixels, pixels.astype(float) / full, rtol=1e-6)


def test_a_raw_jsrt_film_is_big_endian_and_inverted(tmp_path):
    stored = (np.add.outer(np.arange(2048), np.arange(2048)) % 4096).astype(">u2")
    (tmp_path / "JPCLN001.IMG").write_bytes(stored.tobytes())
    read = read_radiograph(tmp_path / "JPCLN001.IMG")
    assert (read.bit_depth, read.photometric, read.pixel_spacing_mm) == (12, "MONOCHROME1", (0.175, 0.175))
    np.testing.assert_allclose(read.pixels, 1 - stored / 4095, atol=1e-6)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(bytes(1000), "1000 bytes; expected the 8388608"), (b"\xff\x0f" * 2048**2, "values up to 65295")],
)
def test_a_raw_file_that_is_no_jsrt_film_is_refused(tmp_path, data, reason):
    (tmp_path / "film.img").write_bytes(data)
    with pytest.raises(ImageError, match=reason):
        read_radiograph(tmp_path / "film.img")


def test_the_content_counts_and_not_the_name(tmp_path):
    data = write(tmp_path / "film.png", film()).read_bytes()
    for name in ("film.dcm", "film.jpg", "film", "film.img", "film.npy"):
        (tmp_path / name).write_bytes(data)
        np.testing.assert_allclose(read_radiograph(tmp_path / name).pixels, film() / 255, atol=1e-6)


def tiff(pixels: np.ndarray, photometric: int, pages: int = 1) -> bytes:
    """A minimal little-endian, uncompressed grey TIFF."""
    rows, columns = pixels.shape
    bits = pixels.dtype.itemsize * 8
    data = bytearray(b"II*\x00" + struct.pack("<I", 8))
    entries = 9
    for page in range(pages):
        start = len(data)
        strip = start + 2 + 12 * entries + 4
        after = strip + pixels.nbytes
        following = after if page + 1 < pages else 0
        values = [(256, 4, columns), (257, 4, rows), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
        values += [(273, 4, strip), (277, 3, 1), (278, 4, rows), (279, 4, pixels.nbytes)]
        data += struct.pack("<H", entries)
        for tag, kind, value in values:
            data += struct.pack(
                "<HHI" + ("I" if kind == 4 else "HH"), tag, kind, 1, *([value] if kind == 4 else [value, 0])
            )
        data += struct.pack("<I", following) + pixels.tobytes()
    return bytes(data)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_in_which_white_is_zero_is_inverted_once(tmp_path, dtype):
    pixels = film(dtype, np.iinfo(dtype).max)
    (tmp_path / "black.tif").write_bytes(tiff(pixels, photometric=1))
    (tmp_path / "white.tif").write_bytes(tiff(pixels, photometric=0))
    black, white = read_radiograph(tmp_path / "black.tif"), read_radiograph(tmp_path / "white.tif")
    assert (black.photometric, white.photometric) == (None, "MONOCHROME1")
    np.testing.assert_allclose(black.pixels, pixels / np.iinfo(dtype).max, atol=1e-6)
    np.testing.assert_allclose(white.pixels, 1 - black.pixels, atol=1e-6)


def test_a_tiff_of_several_pages_is_refused(tmp_path):
    (tmp_path / "film.tif").write_bytes(tiff(film(), photometric=1, pages=2))
    with pytest.raises(ImageError, match="several pages"):
        read_radiograph(tmp_path / "film.tif")


@pytest.mark.parametrize("keep", [0.5, 0.98])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".npy"])
def test_truncated_files_are_refused(tmp_path, rng, suffix, keep):
    path = tmp_path / f"film{suffix}"
    pixels = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    if suffix == ".npy":
        np.save(path, pixels)
    else:
        write(path, pixels)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ImageError, match="film"):
        read_radiograph(path)


def test_unusable_files_are_refused_with_the_reason(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("this is no image\n" * 20)
    (tmp_path / "noise.tif").write_bytes(b"II*\x00" + b"\xff" * 50)
    (tmp_path / "folder.png").mkdir()
    np.save(tmp_path / "stack.npy", np.zeros((3, 40, 40), np.uint8))
    np.save(tmp_path / "flags.npy", np.eye(40, dtype=bool))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "huge.npy", film(np.int64, 70000))
    np.save(tmp_path / "none.npy", np.zeros((0, 40)))
    write(tmp_path / "small.png", film(shape=(31, 100)))
    write(tmp_path / "flat.png", np.full((40, 40), 9, np.uint8))
    reasons = {
        "absent.png": "no such image file",
        "empty.png": "0 bytes",
        "text.jpg": "not an image",
        "noise.tif": "damaged header",
        "folder.png": "cannot be read",
        "stack.npy": r"\(3, 40, 40\)",
        "flags.npy": "bool",
        "objects.npy": "damaged NPY",
        "huge.npy": "0 to 70000",
        "none.npy": "0 x 40",
        "small.png": "31 x 100",
        "flat.png": "same value",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError, match=reason) as caught:
            read_radiograph(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.real
def test_real_films_of_every_source_are_read(real_data):
    for name in ("jsrt", "cohen", "nih", "tb"):
        for path in sorted((real_data / name / "images").iterdir())[:3]:
            read = read_radiograph(path)
            assert read.bit_depth == 8
            assert 0 <= read.pixels.min() < 0.2
            assert 0.6 < read.pixels.max() <= 1
