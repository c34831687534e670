"""Reading of radiographs: values are the same whatever the file type, and bad files are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

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
        "none.npy": "values from",
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
