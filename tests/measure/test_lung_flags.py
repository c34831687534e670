"""Flags on drawn lungs, on real ones and on copies that are turned, mirrored and inverted."""

import cv2
import numpy as np
import pytest

from patchcxr.data.cohort import read_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.errors import ImageError, MaskError
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph
from patchcxr.measure.lung_flags import FLAGS, LungFlags, lung_flags
from patchcxr.preprocessing.geometry import resize_image, resize_mask

SIDE = 128


def triangle(apex, left, right, top=30, bottom=100):
    """A lung: narrow above, wide below."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(canvas, [np.array([[apex, top], [left, bottom], [right, bottom]], np.int32)], 1)
    return canvas.astype(bool)


def thorax():
    """Right lung, left lung and heart; the patient's right is on the left."""
    right, left = triangle(45, 15, 55), triangle(83, 75, 115)
    heart = np.zeros((SIDE, SIDE), bool)
    heart[75:100, 60:78] = True
    return right, left, heart


def raised(*masks, **options):
    flags = lung_flags(*masks, **options)
    return {name for name in FLAGS if getattr(flags, name)}


def test_a_drawn_thorax_has_no_flag_and_an_empty_text():
    flags = lung_flags(*thorax())
    assert flags == LungFlags()
    assert flags.text == ""
    assert flags.row() == {**dict.fromkeys(FLAGS, False), "flags": ""}


def test_missing_organs_are_named():
    right, left, _ = thorax()
    nothing = np.zeros_like(right)
    assert raised(nothing, nothing) == {"no_lungs"}
    assert lung_flags(right, nothing).text == "one lung (left missing)"
    assert lung_flags(nothing, left, nothing).text == "one lung (right missing); no heart"
    assert raised(right, left, nothing) == {"no_heart"}
    assert raised(right, left) == set()


def test_a_lung_of_one_pixel_is_a_speck_and_its_place_is_not_judged():
    right, left, heart = thorax()
    speck = np.zeros_like(left)
    speck[5, 5] = True
    assert raised(right, speck, heart) == {"tiny_lung"}
    assert raised(speck, np.roll(speck, 1)) == {"tiny_lung"}
    assert raised(np.ones((1, 1), bool), np.zeros((1, 1), bool)) == {"left_lung_missing"}


def test_a_mirrored_a_turned_and_a_flipped_film_are_told_apart():
    masks = thorax()
    assert raised(*(np.fliplr(mask) for mask in masks)) == {"lungs_swapped", "heart_on_right"}
    assert raised(*(np.flipud(mask) for mask in masks)) == {"lungs_upside_down"}
    half = raised(*(np.rot90(mask, 2) for mask in masks))
    assert half == {"lungs_swapped", "lungs_upside_down", "heart_on_right"}
    for quarter in (1, 3):
        assert raised(*(np.rot90(mask, quarter) for mask in masks)) == {"lungs_misplaced"}


def test_a_network_that_names_lungs_by_their_place_leaves_the_heart_to_tell_a_mirrored_film():
    right, left, heart = (np.fliplr(mask) for mask in thorax())
    assert raised(left, right, heart) == {"heart_on_right"}


def test_the_text_joins_the_flags_in_words():
    right, left, _ = (np.rot90(mask, 2) for mask in thorax())
    assert lung_flags(right, left).text == "right and left lung swapped; lungs upside down"


def test_areas_beyond_the_limits_are_flagged():
    right, left, _ = thorax()
    small = right & (np.arange(SIDE) < 65)[:, None]
    assert "uneven_lungs" in raised(small, left)
    half = np.zeros((SIDE, SIDE), bool)
    half[:, : SIDE // 2] = True
    assert {"implausible_area", "touching_edge"} <= raised(half, ~half)
    shrunk = [resize_mask(np.pad(mask, SIDE // 2), SIDE) for mask in (right, left)]
    assert raised(*shrunk) == {"implausible_area"}


def test_lungs_cut_off_by_the_edge_are_flagged_and_a_touch_is_not():
    right, left, _ = thorax()
    cut = [mask[:, 25:103] for mask in (right, left)]
    assert raised(*cut) == {"touching_edge"}
    touching = right.copy()
    touching[60:65, :40] = True
    assert lung_flags(touching, left).text == ""


def test_a_lung_in_pieces_is_flagged_and_a_speck_beside_it_is_not():
    right, left, _ = thorax()
    pieces = right.copy()
    pieces[60:70] = False
    assert raised(pieces, left) == {"fragmented"}
    speck = right.copy()
    speck[5:8, 5:8] = True
    assert raised(speck, left) == set()


def test_flags_do_not_depend_on_the_size_of_the_film():
    masks = [np.rot90(mask, 2) for mask in thorax()]
    assert raised(*(resize_mask(mask, 301) for mask in masks)) == raised(*masks)


def test_a_film_with_nan_and_masks_that_do_not_fit_are_named_failures():
    right, left, heart = thorax()
    film = np.zeros((SIDE, SIDE), np.float32)
    film[3, 4] = np.nan
    with pytest.raises(ImageError, match="film has 1 pixels that are NaN"):
        lung_flags(right, left, heart, film)
    with pytest.raises(MaskError, match="heart has shape"):
        lung_flags(right, left, heart[:-1])
    with pytest.raises(MaskError, match="right_lung has dtype float64; expected bool"):
        lung_flags(right * 0.5, left)


def test_a_constant_film_is_not_judged():
    right, left, heart = thorax()
    assert raised(right, left, heart, film=np.full((90, 70), 0.3)) == set()


COPIES = {
    "as it is": (lambda array: array, set()),
    "flipped": (np.flipud, {"lungs_upside_down", "film_turned"}),
    "turned by 180": (lambda array: np.rot90(array, 2), {"lungs_upside_down", "lungs_swapped", "film_turned"}),
    "turned by 90": (np.rot90, {"lungs_misplaced", "film_turned"}),
    "mirrored": (np.fliplr, {"lungs_swapped"}),
}


def told(cases, name):
    """Share of films whose flags, but for the side of the heart, are those of the copy."""
    copy, expected = COPIES[name]
    found = [raised(*(copy(mask) for mask in masks), film=copy(film)) - {"heart_on_right"} for film, *masks in cases]
    return np.mean([flags == expected for flags in found])


@pytest.mark.slow
def test_synthetic_films_are_clean_and_their_copies_are_told(tmp_path):
    generate_cohort(tmp_path, SyntheticConfig(size=SIDE, patients=8, films_per_patient_max=1))
    cases = [
        (
            read_radiograph(row.image).pixels,
            *(read_mask(getattr(row, f"{name}_mask")) for name in ("right_lung", "left_lung", "heart")),
        )
        for row in read_cohort(tmp_path / "cohort.csv").itertuples()
    ]
    for name in COPIES:
        assert told(cases, name) == 1, name
    inverted = [raised(*masks, film=1 - film) for film, *masks in cases]
    assert all(flags == {"film_inverted"} for flags in inverted)


@pytest.mark.real
@pytest.mark.slow
def test_no_jsrt_film_is_flagged_and_every_copy_is(real_data):
    paths = sorted((real_data / "jsrt/masks/right_lung").glob("*.png"))[::8]
    cases = []
    organs = ("right_lung", "left_lung", "heart")
    for path in paths:
        image = next((real_data / "jsrt/images").glob(f"{path.stem}.*"))
        masks = [read_mask(real_data / "jsrt/masks" / name / path.name) for name in organs]
        cases.append((resize_image(read_radiograph(image).pixels, 256), *(resize_mask(mask, 256) for mask in masks)))
    for name in COPIES:
        assert told(cases, name) == 1, name
    assert all(raised(*masks, film=1 - film) == {"film_inverted"} for film, *masks in cases)
    assert not any(raised(*masks, film=film) for film, *masks in cases)
