"""Lung fields: holes, small regions, sides, masking and cropping."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from patchcxr.errors import ConfigError, EmptyLungError, ImageError, MaskError
from patchcxr.io.masks import read_mask
from patchcxr.preprocessing.lungfields import (
    crop_to_lungs,
    fill_holes,
    lung_box,
    lungs_from_probability,
    mask_image,
    place_crop,
    postprocess_lungs,
    split_lungs,
)


def ellipse(shape, centre, radii):
    row, column = np.ogrid[: shape[0], : shape[1]]
    return ((row - centre[0]) / radii[0]) ** 2 + ((column - centre[1]) / radii[1]) ** 2 <= 1


def two_lungs(shape=(100, 120)):
    return ellipse(shape, (50, 35), (35, 18)), ellipse(shape, (52, 85), (35, 18))


def matrix(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def test_a_hole_is_filled_and_a_bay_is_not():
    mask = matrix(
        "######",
        "#.##..",
        "####.#",
        "######",
    )
    filled = matrix(
        "######",
        "####..",
        "####.#",
        "######",
    )
    np.testing.assert_array_equal(fill_holes(mask), filled)


def test_holes_agree_with_scipy(rng):
    for _ in range(5):
        mask = ndimage.gaussian_filter(rng.random((60, 70)), 2) > 0.5
        np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


def test_regions_below_the_share_go_and_a_region_at_the_share_stays():
    mask = np.zeros((40, 40), bool)
    mask[0:10, 0:9] = True  # 90 pixels
    mask[20, 20:25] = True  # 5 of 100: exactly 5 %
    mask[30, 30:35] = True  # 5 of 100
    np.testing.assert_array_equal(postprocess_lungs(mask), mask)
    mask[20, 24] = False  # 4 of 99
    expected = mask.copy()
    expected[20] = False
    np.testing.assert_array_equal(postprocess_lungs(mask), expected)


def test_diagonal_neighbours_are_one_region():
    mask = np.eye(30, dtype=bool)
    np.testing.assert_array_equal(postprocess_lungs(mask, 0.5), mask)


def test_postprocessing_twice_changes_nothing_more(rng):
    mask = ndimage.gaussian_filter(rng.random((80, 80)), 3) > 0.5
    once = postprocess_lungs(mask)
    np.testing.assert_array_equal(postprocess_lungs(once), once)


def test_an_empty_mask_stays_empty_and_a_full_one_full():
    for value in (False, True):
        mask = np.full((10, 12), value)
        np.testing.assert_array_equal(postprocess_lungs(mask), mask)


def test_many_regions_of_one_size_are_all_below_the_share():
    mask = np.zeros((20, 22), bool)
    mask[::4, ::4] = True  # 30 single pixels, each 3.3 %
    assert not postprocess_lungs(mask).any()
    np.testing.assert_array_equal(postprocess_lungs(mask, 0.03), mask)


def test_the_patients_right_lung_is_on_the_left_of_the_film():
    right, left = two_lungs()
    got_right, got_left = split_lungs(right | left)
    np.testing.assert_array_equal(got_right, right)
    np.testing.assert_array_equal(got_left, left)


def test_lungs_that_touch_are_cut_where_they_are_narrowest():
    right, left = two_lungs()
    joint = right | left
    joint[50:52, 40:80] = True
    got_right, got_left = split_lungs(joint)
    assert (got_right & right).sum() == right.sum()
    assert (got_left & left).sum() == left.sum()
    np.testing.assert_array_equal(got_right ^ got_left, joint)


def test_tilted_lungs_that_share_columns_are_not_cut():
    right = ellipse((120, 120), (35, 45), (30, 18))
    left = ellipse((120, 120), (85, 72), (30, 18))
    got_right, got_left = split_lungs(right | left)
    np.testing.assert_array_equal(got_right, right)
    np.testing.assert_array_equal(got_left, left)


def test_a_collapsed_lung_beside_a_large_one_keeps_its_side():
    right = ellipse((120, 200), (60, 70), (50, 60))
    left = ellipse((120, 200), (80, 150), (24, 10))
    got_right, got_left = split_lungs(right | left)
    np.testing.assert_array_equal(got_right, right)
    np.testing.assert_array_equal(got_left, left)


def test_fragments_go_to_the_lung_on_their_side():
    right, left = two_lungs()
    left[48:56] = False
    right[60:62] = False
    got_right, got_left = split_lungs(right | left)
    np.testing.assert_array_equal(got_right, right)
    np.testing.assert_array_equal(got_left, left)


def test_a_mask_on_one_side_is_a_single_lung():
    right, left = two_lungs()
    np.testing.assert_array_equal(split_lungs(right)[0], right)
    assert not split_lungs(right)[1].any()
    np.testing.assert_array_equal(split_lungs(left)[1], left)


def test_splitting_nothing_is_an_error():
    with pytest.raises(EmptyLungError, match="no pixel"):
        split_lungs(np.zeros((10, 10), bool))


def test_outside_the_lungs_a_masked_image_is_zero(rng):
    image, mask = rng.random((20, 20), dtype=np.float32) + 0.1, rng.random((20, 20)) > 0.5
    masked = mask_image(image, mask)
    np.testing.assert_array_equal(masked[mask], image[mask])
    assert (masked[~mask] == 0).all()
    with pytest.raises(MaskError, match=r"\(20, 20\).*\(10, 10\).*resize_mask"):
        mask_image(image[:10, :10], mask)


def test_the_box_is_the_smallest_round_the_lungs_plus_its_border():
    mask = np.zeros((200, 100), bool)
    mask[50:120, 30:61] = True
    assert lung_box(mask, border=0) == (50, 30, 120, 61)
    assert lung_box(mask) == (45, 27, 125, 64)  # 2.5 % of 200 rows is 5, of 100 columns is 3 when rounded up
    assert lung_box(np.ones((10, 10), bool), 0.2) == (0, 0, 10, 10)
    with pytest.raises(EmptyLungError, match="no pixel"):
        lung_box(np.zeros((10, 10), bool))
    with pytest.raises(ConfigError, match="border"):
        lung_box(mask, border=-0.1)


def test_a_crop_holds_every_lung_pixel(rng):
    right, left = two_lungs()
    image = rng.random(right.shape, dtype=np.float32)
    cropped, mask = crop_to_lungs(image, right | left)
    assert cropped.shape == mask.shape
    assert mask.sum() == (right | left).sum()
    np.testing.assert_array_equal(cropped[mask], image[right | left])


def test_a_crop_goes_back_to_where_it_came_from(rng):
    right, left = two_lungs()
    image = rng.random(right.shape, dtype=np.float32)
    box = lung_box(right | left)
    cropped, _ = crop_to_lungs(image, right | left)
    placed = place_crop(cropped, box, image.shape)
    inside = np.zeros(image.shape, bool)
    inside[box[0] : box[2], box[1] : box[3]] = True
    np.testing.assert_array_equal(placed[inside], image[inside])
    assert not placed[~inside].any()
    with pytest.raises(ConfigError, match="expected top, left, bottom, right within"):
        place_crop(cropped, (0, 0, 1, 10_000), image.shape)


@pytest.mark.parametrize("bad", [np.zeros((4, 4)), np.zeros((2, 4, 4), bool), np.zeros((0, 4), bool)])
def test_only_boolean_matrices_are_taken(bad):
    with pytest.raises(MaskError, match="expected bool"):
        postprocess_lungs(bad)
    with pytest.raises(MaskError, match="expected bool"):
        split_lungs(bad)


@pytest.mark.real
def test_real_joint_masks_are_split_as_the_readers_drew_them(real_data):
    for name in ("jsrt", "cohen"):
        masks = real_data / name / "masks"
        shared = {path.name for path in (masks / "right_lung").iterdir()} & {
            path.name for path in (masks / "left_lung").iterdir()
        }
        for file in sorted(shared)[:30]:
            right, left = read_mask(masks / "right_lung" / file), read_mask(masks / "left_lung" / file)
            got_right, got_left = split_lungs(right | left)
            assert (got_right ^ right).sum() < 0.01 * right.sum()
            assert (got_left ^ left).sum() < 0.01 * left.sum()


def reference_lungs(probability):
    """Tahir's three steps by SciPy, region by region."""
    filled = ndimage.binary_fill_holes(probability > 0.5)
    labels, count = ndimage.label(filled, np.ones((3, 3)))
    kept = np.zeros_like(filled)
    for region in range(1, count + 1):
        if (labels == region).sum() >= 0.05 * filled.sum():
            kept |= labels == region
    return kept


def test_lungs_of_a_probability_map_equal_the_three_steps_of_the_paper(rng):
    for sigma in (2, 3, 5):
        noise = ndimage.gaussian_filter(rng.random((90, 110)), sigma)
        probability = (noise - noise.min()) / np.ptp(noise)
        np.testing.assert_array_equal(lungs_from_probability(probability), reference_lungs(probability))


def test_a_pixel_at_the_threshold_is_no_lung():
    probability = np.array([[0.5, 0.5000001], [0.7, 0.2]])
    np.testing.assert_array_equal(lungs_from_probability(probability, minimum_share=0), [[False, True], [True, False]])
    assert not lungs_from_probability(np.full((8, 8), 0.5)).any()


def test_a_film_without_lungs_gives_an_empty_mask_and_one_lung_stays_alone():
    right, left = two_lungs()
    assert not lungs_from_probability(np.zeros((20, 20))).any()
    np.testing.assert_array_equal(lungs_from_probability(right * 0.9), right)
    remnant = left & (np.arange(100) > 80)[:, None]
    assert 0 < remnant.sum() < 0.05 * (right | remnant).sum()
    np.testing.assert_array_equal(lungs_from_probability((right | remnant) * 0.9), right)


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.5, np.inf])
def test_logits_and_nan_are_no_probability(value):
    probability = np.full((6, 6), 0.4)
    probability[2, 3] = value
    with pytest.raises(ImageError, match=r"expected \[0, 1\] without NaN; apply a sigmoid"):
        lungs_from_probability(probability)


def test_unusable_settings_and_stacks_are_refused():
    with pytest.raises(ConfigError, match="threshold is 2"):
        lungs_from_probability(np.zeros((4, 4)), threshold=2)
    with pytest.raises(ImageError, match="one map"):
        lungs_from_probability(np.zeros((2, 4, 4)))
