"""All biomarkers of a film in one call."""

import numpy as np
import pytest
from drawn_thorax import HEART, LEFT, RIGHT

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.measure.biomarkers import (
    biomarkers,
    cardiothoracic_ratio,
    lung_intensity,
    lung_shape,
    lung_templates,
    missing_organs,
    transverse_diameter,
)
from patchcxr.measure.severity import severity
from patchcxr.measure.shape import SHAPE_MEASURES
from patchcxr.measure.zones import REGIONS

EMPTY_FILM = np.zeros((30, 40), bool)


@pytest.fixture
def image(rng):
    return rng.random(HEART.shape).astype(np.float32)


@pytest.fixture
def full(rng):
    """A film whose every zone has pixels, with masks of all organs and of an infection."""
    right, left, heart = (np.zeros((30, 40), bool) for _ in range(3))
    right[3:24, 4:16], left[5:27, 24:36], heart[14:26, 14:28] = True, True, True
    image = (rng.integers(0, 256, right.shape) / 255).astype(np.float32)
    return image, right & ~heart, left & ~heart, heart, rng.random(right.shape) < 0.2


def test_biomarkers_agree_with_their_single_functions(image):
    row = biomarkers(image, RIGHT, LEFT, HEART)
    lungs = RIGHT | LEFT
    assert (row["lung_mean"], row["lung_std"]) == pytest.approx(lung_intensity(image, lungs), rel=1e-13)
    assert (row["right_lung_mean"], row["right_lung_std"]) == pytest.approx(lung_intensity(image, RIGHT), rel=1e-13)
    assert (row["left_lung_mean"], row["left_lung_std"]) == pytest.approx(lung_intensity(image, LEFT), rel=1e-13)
    assert row["cardiothoracic_ratio"] == cardiothoracic_ratio(HEART, lungs)
    assert (row["heart_width"], row["thorax_width"]) == (3, 9)
    assert row["heart_width"] == transverse_diameter(HEART)
    assert row["lung_area_fraction"] == 10 / 40
    assert row["area_asymmetry"] == pytest.approx((7 - 3) / 10)
    assert row["right_lung_height"] == 3
    assert row["left_lung_solidity"] == lung_shape(LEFT)["solidity"]


def test_every_value_of_a_whole_film_is_a_finite_float(full):
    image, right, left, heart, infection = full
    row = biomarkers(image, right, left, heart, infection, (0.7, 0.9), lung_templates([(right, left)]))
    assert all(type(value) is float and np.isfinite(value) for value in row.values())
    assert row["right_lung_infected_percent"] == severity(infection, right, left)["right_lung_percent"]
    assert row["heart_width_mm"] == 14 * 0.9
    assert row["thorax_width_mm"] == 32 * 0.9
    assert row["lung_area_mm2"] == pytest.approx((right | left).sum() * 0.7 * 0.9)
    assert row["left_lung_height_mm"] == 22 * 0.7
    assert row["lung_deformation"] == 0


def test_the_keys_are_always_the_same_and_all_in_the_docstring(full):
    image, right, left, heart, infection = full
    row = biomarkers(image, right, left, heart, infection, (0.7, 0.9))
    assert list(row) == list(biomarkers(image, EMPTY_FILM, EMPTY_FILM, EMPTY_FILM))
    table = biomarkers.__doc__ or ""
    measures = {key.split("lung_")[-1] for key in row}
    for zone in ("upper_", "middle_", "lower_", "central_", "peripheral_"):
        measures = {name.removeprefix(zone) for name in measures}
    assert [name for name in measures if f"{name}``" not in table] == []


def test_the_infection_spacing_and_templates_change_only_what_needs_them(full):
    image, right, left, heart, infection = full
    bare = biomarkers(image, right, left, heart)
    row = biomarkers(image, right, left, heart, infection, (0.7, 0.9), lung_templates([(right, left)]))
    needed = ("_infected_percent", "_mm", "_mm2", "_deformation")
    for name, value in bare.items():
        assert np.isnan(value) == name.endswith(needed), name
        assert name.endswith(needed) or value == row[name], name


def test_overlapping_lungs_have_the_area_of_their_union(full):
    image, right, left, heart, infection = full
    wide = left | right & (np.arange(40) > 10)
    row = biomarkers(image, right, wide, heart, infection)
    assert row["lung_area_fraction"] == (right | wide).mean()
    assert row["lung_infected_percent"] == pytest.approx(100 * infection[right | wide].mean())


def test_mirroring_the_film_swaps_right_and_left_and_flips_the_asymmetries(full):
    image, right, left, heart, infection = full
    row = biomarkers(image, right, left, heart, infection)
    mirrored = biomarkers(*(array[:, ::-1] for array in (image, left, right, heart, infection)))
    for name, value in row.items():
        swapped = name.replace("right", "?").replace("left", "right").replace("?", "left")
        expected = -value if name.endswith("asymmetry") else value
        assert mirrored[swapped] == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_a_missing_lung_makes_every_value_that_needs_it_nan_and_is_named(full):
    image, right, _, heart, infection = full
    row = biomarkers(image, right, EMPTY_FILM, heart, infection, (1, 1))
    defined = {name for name, value in row.items() if np.isfinite(value)}
    of_right = {name for name in row if name.startswith("right_lung_") and not name.endswith("deformation")}
    assert defined == of_right | {"heart_width", "heart_width_mm"}
    assert list(missing_organs(right, EMPTY_FILM, heart)) == ["left_lung"]


def test_a_missing_heart_leaves_the_lungs_measured(full):
    image, right, left, heart, infection = full
    row = biomarkers(image, right, left, EMPTY_FILM, infection, (1, 1), lung_templates([(right, left)]))
    undefined = {name for name, value in row.items() if np.isnan(value)}
    assert undefined == {"heart_width", "heart_width_mm", "cardiothoracic_ratio"}
    assert missing_organs(right, left, EMPTY_FILM)["heart"].endswith("no cardiothoracic ratio")
    assert missing_organs(right, left, heart) == {}


def test_a_film_without_organs_is_a_row_of_nan(full):
    row = biomarkers(full[0], EMPTY_FILM, EMPTY_FILM, EMPTY_FILM, full[4], (1, 1))
    assert np.isnan(list(row.values())).all()
    assert len(row) == 10 * len(REGIONS) + 6 + 2 * len(SHAPE_MEASURES) + 2 + 3 + 5 + 1


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
    with pytest.raises(MaskError, match="infection_mask has shape"):
        biomarkers(np.nan_to_num(image), RIGHT, LEFT, HEART, HEART[:3])
    with pytest.raises(ConfigError, match="pixel_spacing_mm is"):
        biomarkers(np.nan_to_num(image), RIGHT, LEFT, HEART, pixel_spacing_mm=(0, 1))
