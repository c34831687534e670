"""Biomarkers on drawn masks, against scikit-image, and on real films."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.measure import regionprops

from patchcxr.errors import ImageError, MaskError
from patchcxr.measure.biomarkers import (
    biomarkers,
    cardiothoracic_ratio,
    lung_intensity,
    lung_shape,
    missing_organs,
    transverse_diameter,
)

RIGHT = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    ]
).astype(bool)
LEFT = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
).astype(bool)
HEART = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0, 0, 0],
    ]
).astype(bool)
EMPTY = np.zeros_like(HEART)


@pytest.fixture
def image(rng):
    return rng.random(HEART.shape).astype(np.float32)


def ellipse(size=200, angle=20.0):
    canvas = np.zeros((size, size), np.uint8)
    cv2.ellipse(canvas, (size // 2, size // 2), (size // 5, size // 3), angle, 0, 360, 1, -1)
    return canvas.astype(bool)


def test_transverse_diameter_counts_both_end_columns():
    assert transverse_diameter(HEART) == 3
    assert transverse_diameter(HEART[:3]) == 1
    assert np.isnan(transverse_diameter(EMPTY))


def test_cardiothoracic_ratio_of_the_drawn_thorax():
    assert cardiothoracic_ratio(HEART, RIGHT | LEFT) == pytest.approx(3 / 9)


def test_cardiothoracic_ratio_survives_mirroring_and_enlargement():
    expected = cardiothoracic_ratio(HEART, RIGHT | LEFT)
    assert cardiothoracic_ratio(HEART[:, ::-1], (RIGHT | LEFT)[:, ::-1]) == expected
    larger = np.ones((5, 5), bool)
    assert cardiothoracic_ratio(np.kron(HEART, larger), np.kron(RIGHT | LEFT, larger)) == expected


@pytest.mark.parametrize(("heart", "lungs"), [(EMPTY, RIGHT), (HEART, EMPTY), (EMPTY, EMPTY)])
def test_cardiothoracic_ratio_without_an_organ_is_nan(heart, lungs):
    assert np.isnan(cardiothoracic_ratio(heart, lungs))


def test_lung_intensity_is_the_population_mean_and_std(image):
    mean, std = lung_intensity(image, RIGHT)
    values = image[RIGHT].astype(np.float64)
    assert mean == pytest.approx(values.mean(), rel=1e-12)
    assert std == pytest.approx(np.sqrt(np.mean((values - values.mean()) ** 2)), rel=1e-12)


def test_a_constant_lung_has_no_spread_even_in_half_a_million_float32_pixels():
    mean, std = lung_intensity(np.full((1024, 512), 0.1, np.float32), np.ones((1024, 512), bool))
    assert mean == pytest.approx(0.1, abs=1e-8)
    assert std == pytest.approx(0, abs=1e-12)


def test_intensity_outside_the_lungs_does_not_matter(image):
    expected = lung_intensity(image, RIGHT)
    image[~RIGHT] = np.nan
    assert lung_intensity(image, RIGHT) == expected


def test_an_empty_lung_has_no_intensity(image):
    assert np.isnan(lung_intensity(image, EMPTY)).all()


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


def test_a_notch_lowers_the_solidity_and_lengthens_the_contour():
    mask = ellipse()
    notched = mask.copy()
    notched[90:110, 100:] = False
    assert lung_shape(notched)["solidity"] < lung_shape(mask)["solidity"] - 0.03
    assert lung_shape(notched)["contour_length"] > lung_shape(mask)["contour_length"]


def test_contour_length_of_a_rectangle_runs_through_the_centres_of_its_border_pixels():
    mask = np.zeros((10, 10), bool)
    mask[2:6, 3:8] = True
    assert lung_shape(mask)["contour_length"] == 2 * (3 + 4)


def test_shape_of_an_empty_mask_is_nan():
    assert np.isnan(list(lung_shape(EMPTY).values())).all()


def test_biomarkers_agree_with_their_single_functions(image):
    row = biomarkers(image, RIGHT, LEFT, HEART)
    lungs = RIGHT | LEFT
    assert (row["lung_mean"], row["lung_std"]) == lung_intensity(image, lungs)
    assert (row["right_lung_mean"], row["right_lung_std"]) == lung_intensity(image, RIGHT)
    assert (row["left_lung_mean"], row["left_lung_std"]) == lung_intensity(image, LEFT)
    assert row["cardiothoracic_ratio"] == cardiothoracic_ratio(HEART, lungs)
    assert (row["heart_width"], row["thorax_width"]) == (3, 9)
    assert row["lung_area_fraction"] == 10 / 40
    assert row["area_asymmetry"] == pytest.approx((7 - 3) / 10)
    assert row["right_lung_height"] == 3
    assert row["left_lung_solidity"] == lung_shape(LEFT)["solidity"]


def test_mirroring_the_film_flips_only_the_asymmetry(image):
    row = biomarkers(image, RIGHT, LEFT, HEART)
    mirrored = biomarkers(image[:, ::-1], LEFT[:, ::-1], RIGHT[:, ::-1], HEART[:, ::-1])
    assert mirrored["area_asymmetry"] == -row["area_asymmetry"]
    assert mirrored["right_lung_mean"] == pytest.approx(row["left_lung_mean"])
    assert mirrored["cardiothoracic_ratio"] == row["cardiothoracic_ratio"]


def test_a_missing_lung_makes_every_value_that_needs_it_nan_and_is_named(image):
    row = biomarkers(image, RIGHT, EMPTY, HEART)
    undefined = {name for name, value in row.items() if np.isnan(value)}
    left = {f"left_lung_{name}" for name in ("mean", "std", "area_fraction", "solidity", "height", "contour_length")}
    both = {"lung_mean", "lung_std", "lung_area_fraction", "thorax_width", "cardiothoracic_ratio", "area_asymmetry"}
    assert undefined == left | both
    assert list(missing_organs(RIGHT, EMPTY, HEART)) == ["left_lung"]


def test_a_missing_heart_leaves_the_lungs_measured(image):
    row = biomarkers(image, RIGHT, LEFT, EMPTY)
    assert {name for name, value in row.items() if np.isnan(value)} == {"heart_width", "cardiothoracic_ratio"}
    assert missing_organs(RIGHT, LEFT, EMPTY)["heart"].endswith("no cardiothoracic ratio")
    assert missing_organs(RIGHT, LEFT, HEART) == {}


def test_unusable_films_and_masks_are_refused(image):
    image[2, 1] = np.nan
    with pytest.raises(ImageError, match="NaN or infinite in the lungs"):
        lung_intensity(image, RIGHT)
    with pytest.raises(ImageError, match="expected one film"):
        biomarkers(image[None], RIGHT, LEFT, HEART)
    with pytest.raises(MaskError, match=r"heart has shape \(3, 10\) but image has \(4, 10\)"):
        biomarkers(image, RIGHT, LEFT, HEART[:3])
    with pytest.raises(MaskError, match="expected bool"):
        cardiothoracic_ratio(HEART.astype(np.uint8) * 255, RIGHT)


@pytest.mark.real
def test_cardiothoracic_ratio_of_jsrt_is_near_the_papers_normal_class(real_data: Path):
    masks = real_data / "jsrt" / "masks"
    ratios = []
    for path in sorted((masks / "heart").glob("JPCNN*.png"))[:30]:
        organs = {
            organ: cv2.imread(str(masks / organ / path.name), cv2.IMREAD_GRAYSCALE) > 0
            for organ in ("heart", "right_lung", "left_lung")
        }
        ratios.append(cardiothoracic_ratio(organs["heart"], organs["right_lung"] | organs["left_lung"]))
    # Oh 2020, Table IX: 0.446 with a standard deviation of 0.051 for normal films.
    assert np.mean(ratios) == pytest.approx(0.446, abs=0.051)
