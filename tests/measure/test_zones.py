"""Zones of the lungs on drawn masks, and their invariants."""

import numpy as np
import pytest

from patchcxr.errors import MaskError
from patchcxr.measure.severity import severity, zone_severity
from patchcxr.measure.zones import DEPTH, ORGANS, REGIONS, VERTICAL, bounding_box, lung_zones


def draw(text):
    return np.array([[int(pixel) for pixel in line] for line in text.split()]).astype(bool)


RIGHT = draw("00000000 00110000 01110000 01110000 01110000 11110000 00000000")
LEFT = draw("00000000 00000000 00000110 00000111 00000111 00000000 00000000")


def random_lungs(rng, size=40):
    right, left = np.zeros((size, size), bool), np.zeros((size, size), bool)
    right[5:33, 3:18] = rng.random((28, 15)) < 0.7
    left[9:35, 20:36] = rng.random((26, 16)) < 0.7
    return right, left


def test_thirds_are_those_of_each_lungs_own_height():
    zones = lung_zones(RIGHT, LEFT)
    # The right lung has the rows 1 to 5 with centres at 0.1, 0.3, 0.5, 0.7 and 0.9 of its height; the left one 2 to 4.
    assert [int(zones[f"right_lung_{name}"].sum()) for name in VERTICAL] == [5, 3, 7]
    assert [int(zones[f"left_lung_{name}"].sum()) for name in VERTICAL] == [2, 3, 3]
    assert [int(zones[f"lung_{name}"].sum()) for name in VERTICAL] == [7, 6, 10]


def test_peripheral_is_the_lateral_half_of_each_row_and_the_dividing_pixel_is_central():
    zones = lung_zones(RIGHT, LEFT)
    assert np.array_equal(
        zones["right_lung_peripheral"],
        draw("00000000 00100000 01000000 01000000 01000000 11000000 00000000"),
    )
    assert np.array_equal(
        zones["left_lung_peripheral"],
        draw("00000000 00000000 00000010 00000001 00000001 00000000 00000000"),
    )


def test_a_film_mirrored_with_its_labels_keeps_its_zones():
    zones, mirrored = lung_zones(RIGHT, LEFT), lung_zones(RIGHT[:, ::-1], LEFT[:, ::-1])
    for name in REGIONS:
        assert np.array_equal(mirrored[name], zones[name][:, ::-1])


def test_mirroring_the_patient_swaps_right_and_left():
    zones, mirrored = lung_zones(RIGHT, LEFT), lung_zones(LEFT[:, ::-1], RIGHT[:, ::-1])
    for name in REGIONS:
        swapped = name.replace("right", "x").replace("left", "right").replace("x", "left")
        assert np.array_equal(mirrored[swapped], zones[name][:, ::-1])


def test_zones_partition_each_organ_once_by_height_and_once_by_depth(rng):
    right, left = random_lungs(rng)
    zones = lung_zones(right, left)
    for organ in ORGANS:
        for names in (VERTICAL, DEPTH):
            count = sum(zones[f"{organ}_{name}"].astype(int) for name in names)
            assert np.array_equal(count, zones[organ].astype(int))
    assert np.array_equal(zones["lung"], right | left)


def test_overlapping_lungs_are_each_whole_and_count_once_together():
    right, left = draw("111100 111100 111100"), draw("000111 000111 000111")
    zones = lung_zones(right, left)
    assert zones["right_lung"].sum() == 12
    assert zones["left_lung"].sum() == 9
    assert zones["lung"].sum() == 18
    assert sum(int(zones[f"lung_{name}"].sum()) for name in DEPTH) == 18
    assert zones["lung_central"][0].tolist() == [False, False, True, True, True, False]


@pytest.mark.parametrize(
    ("text", "third"), [("1", "middle"), ("1 1", "upper"), ("1 1", "lower"), ("1 1 1", "middle"), ("1 1 1 1", "middle")]
)
def test_lungs_of_a_few_rows_have_the_thirds_that_hold_a_row_centre(text, third):
    lung = draw(text)
    zones = lung_zones(lung, np.zeros_like(lung))
    assert zones[f"right_lung_{third}"].any()
    assert sum(zones[f"right_lung_{name}"].sum() for name in VERTICAL) == lung.size
    assert not zones["right_lung_peripheral"].any()


def test_an_empty_lung_has_empty_zones():
    zones = lung_zones(RIGHT, np.zeros_like(RIGHT))
    assert not any(zones[name].any() for name in REGIONS if name.startswith("left"))
    assert np.array_equal(zones["lung"], RIGHT)
    assert bounding_box(np.zeros((3, 3), bool)) == (slice(0, 0), slice(0, 0))


def test_infected_share_by_zone_is_that_of_the_zones_masks(rng):
    right, left = random_lungs(rng)
    infection = rng.random(right.shape) < 0.3
    found = zone_severity(infection, right, left)
    for name, zone in lung_zones(right, left).items():
        assert found[f"{name}_infected_percent"] == pytest.approx(100 * infection[zone].mean(), rel=1e-12)
    whole = severity(infection, right, left)
    assert found["lung_infected_percent"] == pytest.approx(whole["overall_percent"], rel=1e-12)
    assert found["left_lung_infected_percent"] == pytest.approx(whole["left_lung_percent"], rel=1e-12)


def test_infected_share_of_both_lungs_needs_both():
    found = zone_severity(RIGHT, RIGHT, np.zeros_like(RIGHT))
    assert found["right_lung_infected_percent"] == found["right_lung_upper_infected_percent"] == 100
    assert all(np.isnan(value) for name, value in found.items() if not name.startswith("right"))


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(MaskError, match="left_lung has shape"):
        lung_zones(RIGHT, LEFT[:3])
    with pytest.raises(MaskError, match="expected bool"):
        lung_zones(RIGHT.astype(int), LEFT)
    with pytest.raises(MaskError, match="infection_mask has shape"):
        zone_severity(RIGHT[:3], RIGHT, LEFT)
