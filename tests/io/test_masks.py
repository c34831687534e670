"""Masks: what counts as inside, unions, and masks that do not fit their film."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from patchcxr.errors import MaskError
from patchcxr.io.masks import EMPTY_MASK, read_mask, write_mask

RIGHT = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
LEFT = np.array([[0, 0, 0, 1], [0, 0, 1, 1]], bool)


def save(path, stored):
    assert cv2.imwrite(str(path), stored)
    return path


def test_a_written_mask_is_read_back_and_takes_one_bit_a_pixel(tmp_path, rng):
    mask = rng.random((37, 53)) > 0.5
    write_mask(tmp_path / "new" / "folder" / "mask.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "new" / "folder" / "mask.png"), mask)
    assert (tmp_path / "new" / "folder" / "mask.png").read_bytes()[24] == 1
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["mask.png"]


@pytest.mark.parametrize("inside", [1, 128, 255])
def test_zero_and_one_or_zero_and_full_mean_the_same(tmp_path, inside):
    path = save(tmp_path / "mask.png", RIGHT.astype(np.uint8) * inside)
    np.testing.assert_array_equal(read_mask(path), RIGHT)


def test_sixteen_bit_colour_and_numpy_masks_are_read(tmp_path):
    red = np.zeros((2, 4, 4), np.uint8)
    red[..., 2], red[..., 3] = RIGHT * 255, 255
    np.save(tmp_path / "mask.npy", RIGHT)
    for path in (
        save(tmp_path / "deep.png", RIGHT.astype(np.uint16) * 65535),
        save(tmp_path / "red.png", red),
        tmp_path / "mask.npy",
    ):
        np.testing.assert_array_equal(read_mask(path), RIGHT)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".bmp", ".tif"])
def test_palette_masks_are_read_by_their_colours(tmp_path, suffix):
    for name, inside in (("white", [255, 255, 255]), ("red", [128, 0, 0])):
        image = Image.fromarray(RIGHT.astype(np.uint8)).convert("P")
        image.putpalette([0, 0, 0, *inside])
        image.save(tmp_path / f"{name}{suffix}")
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}{suffix}"), RIGHT)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_in_a_tiff_whose_zero_is_white_is_inverted(tmp_path, dtype):
    stored = np.where(RIGHT, 0, np.iinfo(dtype).max).astype(dtype)
    tifffile.imwrite(tmp_path / "mask.tif", stored, photometric="miniswhite")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.tif"), RIGHT)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("suffix", [".gif", ".png", ".npy"])
def test_a_mask_of_one_pixel_is_read(tmp_path, suffix, inside):
    path = tmp_path / f"mask{suffix}"
    if suffix == ".npy":
        np.save(path, np.full((1, 1), inside))
    else:
        Image.new("1", (1, 1), inside).save(path)
    assert read_mask(path, (1, 1)).tolist() == [[inside]]


def test_the_mask_that_is_read_may_be_changed(tmp_path):
    np.save(tmp_path / "mask.npy", RIGHT)
    mask = read_mask(tmp_path / "mask.npy")
    mask[:] = True
    assert mask.all()


def test_compression_artefacts_near_black_are_outside(tmp_path):
    stored = np.where(RIGHT, 250, 6).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "mask.png", stored)), RIGHT)


def test_several_paths_are_united(tmp_path):
    write_mask(tmp_path / "right.png", RIGHT)
    write_mask(tmp_path / "left.png", LEFT)
    field = f"{tmp_path / 'right.png'}|{tmp_path / 'left.png'}"
    np.testing.assert_array_equal(read_mask(field, (2, 4)), RIGHT | LEFT)


def test_a_mask_that_a_reader_left_empty_has_the_shape_of_its_film(tmp_path):
    assert read_mask(EMPTY_MASK, (3, 5)).tolist() == [[False] * 5] * 3
    assert not read_mask(save(tmp_path / "black.png", np.zeros((3, 5), np.uint8))).any()
    with pytest.raises(MaskError, match="give the shape"):
        read_mask(EMPTY_MASK)


def test_a_mask_of_another_size_is_refused_with_both_shapes(tmp_path):
    write_mask(tmp_path / "right.png", RIGHT)
    write_mask(tmp_path / "large.png", np.ones((4, 8), bool))
    with pytest.raises(MaskError, match=r"\(2, 4\).*\(4, 8\).*resize_mask"):
        read_mask(tmp_path / "right.png", (4, 8))
    with pytest.raises(MaskError, match="same shape"):
        read_mask(f"{tmp_path / 'right.png'}|{tmp_path / 'large.png'}")


def test_a_label_map_is_not_taken_for_an_empty_mask(tmp_path):
    stored = np.array([[0, 1], [2, 3]], np.uint8)
    with pytest.raises(MaskError, match="label map"):
        read_mask(save(tmp_path / "labels.png", stored))


def test_unusable_mask_files_are_refused_with_the_reason(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no mask")
    (tmp_path / "folder.png").mkdir()
    np.save(tmp_path / "float.npy", np.ones((2, 2)))
    np.save(tmp_path / "flat.npy", np.ones(4, bool))
    reasons = {
        "absent.png": "no such mask file",
        "empty.png": "empty, damaged",
        "text.png": "not an image",
        "folder.png": "cannot be read",
        "float.npy": "float64",
        "flat.npy": r"\(4,\)",
    }
    for name, reason in reasons.items():
        with pytest.raises(MaskError, match=reason) as caught:
            read_mask(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(MaskError, match="expected a path"):
        read_mask(" ")


def test_only_boolean_matrices_are_written_and_only_as_png(tmp_path):
    with pytest.raises(MaskError, match="threshold"):
        write_mask(tmp_path / "mask.png", RIGHT.astype(float))
    with pytest.raises(MaskError, match=r"\.png"):
        write_mask(tmp_path / "mask.jpg", RIGHT)
    with pytest.raises(MaskError, match="at least one pixel"):
        write_mask(tmp_path / "mask.png", np.zeros((0, 4), bool))
    assert not list(tmp_path.iterdir())


@pytest.mark.real
def test_real_lungs_lie_on_their_own_sides_and_exclude_the_heart(real_data):
    masks = real_data / "jsrt" / "masks"
    for path in sorted((masks / "heart").iterdir())[:5]:
        right, left, heart = (
            read_mask(masks / name / path.name, (1024, 1024)) for name in ("right_lung", "left_lung", "heart")
        )
        assert np.nonzero(right)[1].mean() < 512 < np.nonzero(left)[1].mean()
        assert (heart & (right | left)).sum() < 0.03 * heart.sum()
