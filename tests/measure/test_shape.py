"""Size and outline of the lungs by hand, against scikit-image, and their invariants."""

import cv2
import numpy as np
import pytest
from skimage.measure import regionprops

from patchcxr.errors import ConfigError
from patchcxr.measure.shape import SHAPE_MEASURES, lung_shape

EMPTY = np.zeros((6, 9), bool)


def ellipse(size=200, angle=20.0):
    canvas = np.zeros((size, size), np.uint8)
    centre, axes = (size // 2, size // 2), (size // 5, size // 3)
    cv2.ellipse(canvas, centre, axes, angle, 0, 360, 1, -1)
    return canvas.astype(bool)


def test_shape_equals_scikit_image():
    mask = ellipse()
    expected = regionprops(mask.astype(np.uint8))[0]
    shape = lung_shape(mask)
    assert shape["area_fraction"] == expected.area / mask.size
    assert shape["height"] == expected.bbox[2] - expected.bbox[0]
    assert shape["width"] == expected.bbox[3] - expected.bbox[1]
    assert shape["solidity"] == pytest.approx(expected.solidity, rel=0.01)
    assert shape["contour_length"] == pytest.approx(expected.perimeter, rel=0.06)


def test_solidity_is_exact_for_drawn_masks():
    assert lung_shape(np.ones((3, 5), bool))["solidity"] == 1
    corner = np.array([[1, 0], [1, 1]]).astype(bool)
    assert lung_shape(corner)["solidity"] == pytest.approx(3 / 3.5)
    apart = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]).astype(bool)
    assert lung_shape(apart)["solidity"] == 4 / 16


def test_a_notch_lowers_the_solidity_and_lengthens_the_contour():
    mask = ellipse()
    notched = mask.copy()
    notched[90:110, 100:] = False
    whole, cut = lung_shape(mask), lung_shape(notched)
    assert cut["solidity"] < whole["solidity"] - 0.03
    assert cut["contour_length"] > whole["contour_length"]
    assert cut["contour_roughness"] > whole["contour_roughness"] + 0.1


def test_contour_length_of_a_rectangle_runs_through_the_centres_of_its_border_pixels():
    mask = np.zeros((10, 10), bool)
    mask[2:6, 3:8] = True
    shape = lung_shape(mask, pixel_spacing_mm=(2, 0.5))
    assert shape["contour_length"] == 2 * (3 + 4)
    assert shape["contour_length_mm"] == 2 * (3 * 2 + 4 * 0.5)
    assert (shape["height_mm"], shape["width_mm"], shape["area_mm2"]) == (8, 2.5, 20)


def test_roughness_of_a_comb_is_worked_by_hand():
    comb = np.zeros((21, 31), bool)
    comb[10:] = True
    comb[:, :11] = comb[:, 20:] = True
    # Through the centres: 20 down, 30 across, 20 up, two tops of 10, and the gap: 9 down, 8 across and 9 up, with a
    # diagonal step at both of its corners. The hull is 30 by 20.
    outline = 20 + 30 + 20 + 2 * 10 + 9 + 8 + 9 + 2 * np.sqrt(2)
    shape = lung_shape(comb)
    assert shape["contour_length"] == pytest.approx(outline, rel=1e-6)
    assert shape["contour_roughness"] == pytest.approx(outline / 100, abs=0.015)


@pytest.mark.parametrize("angle", [0.0, 17.0, 45.0, 70.0])
def test_a_convex_outline_is_smooth_at_every_angle(angle):
    assert 1 <= lung_shape(ellipse(angle=angle))["contour_roughness"] < 1.01


def test_roughness_is_never_below_1_and_parts_are_hulled_one_by_one(rng):
    for _ in range(20):
        assert lung_shape(rng.random((20, 20)) < 0.6)["contour_roughness"] >= 1 - 1e-6
    two = np.zeros((30, 30), bool)
    two[:10, :10] = two[20:, 20:] = True
    assert lung_shape(two)["contour_roughness"] == 1
    assert np.isnan(lung_shape(np.ones((1, 1), bool))["contour_roughness"])


def test_turning_and_mirroring_leave_the_area_and_the_outline():
    mask = ellipse(angle=33)
    mask[90:110, 120:] = False
    before = lung_shape(mask)
    for changed in (np.rot90(mask), mask[::-1], mask.T):
        after = lung_shape(changed)
        for name in ("area_fraction", "solidity", "contour_length"):
            assert after[name] == pytest.approx(before[name], rel=1e-9)
        assert after["contour_roughness"] == pytest.approx(before["contour_roughness"], abs=0.01)
    assert lung_shape(np.rot90(mask))["height"] == before["width"]
    assert lung_shape(ellipse(angle=0))["area_fraction"] == pytest.approx(before["area_fraction"], rel=0.1)


def test_millimetres_do_not_depend_on_how_the_film_was_resized():
    mask = ellipse(400)
    squeezed = cv2.resize(mask.astype(np.uint8), (200, 400), interpolation=cv2.INTER_AREA) > 0
    whole, narrow = lung_shape(mask, (0.4, 0.4)), lung_shape(squeezed, (0.4, 0.8))
    for name in ("area_mm2", "height_mm", "width_mm", "contour_length_mm"):
        tolerance = 0.06 if name.startswith("contour") else 0.03
        assert narrow[name] == pytest.approx(whole[name], rel=tolerance), name


def test_shape_of_an_empty_mask_is_nan_and_lengths_need_a_spacing():
    empty = lung_shape(EMPTY, (1, 1))
    assert tuple(empty) == SHAPE_MEASURES
    assert np.isnan(list(empty.values())).all()
    unknown = {name for name, value in lung_shape(~EMPTY).items() if np.isnan(value)}
    assert unknown == {"area_mm2", "height_mm", "width_mm", "contour_length_mm"}


@pytest.mark.parametrize("spacing", [(1,), (0, 1), (1, -1), (np.nan, 1), (1, np.inf), (1, 1, 1)])
def test_a_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(ConfigError, match=r"expected two positive numbers \(row, column\)"):
        lung_shape(~EMPTY, spacing)
