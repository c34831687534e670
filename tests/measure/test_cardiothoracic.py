"""The cardiothoracic ratio and where its diameters lie, on drawn masks and on real ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_thorax import HEART, LEFT, RIGHT

from patchcxr.errors import ConfigError, MaskError
from patchcxr.measure.cardiothoracic import (
    Diameter,
    Diameters,
    cardiothoracic_diameters,
    cardiothoracic_ratio,
    transverse_diameter,
)

EMPTY = np.zeros_like(HEART)


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


def test_diameters_take_each_border_on_the_row_where_it_reaches_farthest():
    heart = np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 1, 1, 0, 0, 0, 0],
            [0, 0, 0, 1, 1, 1, 0, 0],
            [0, 0, 0, 0, 0, 1, 1, 0],
            [0, 0, 0, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 0, 0, 1, 0],
        ]
    ).astype(bool)
    found = cardiothoracic_diameters(heart, np.ones_like(heart))
    assert found.heart == Diameter(left=2, right=6, left_row=1, right_row=4, row=2)
    assert found.heart.pixels == 5
    assert found.thorax == Diameter(left=0, right=7, left_row=3, right_row=3, row=3)
    assert found.ratio == cardiothoracic_ratio(heart, np.ones_like(heart)) == 5 / 8


def test_the_widest_row_is_measured_between_its_outer_borders():
    lungs = np.array([[1, 1, 1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 1]]).astype(bool)
    assert cardiothoracic_diameters(lungs, lungs).thorax.row == 1


def test_millimetres_take_the_spacing_of_the_columns():
    found = cardiothoracic_diameters(HEART, RIGHT | LEFT, pixel_spacing_mm=(7, 2))
    assert (found.heart_mm, found.thorax_mm) == (6, 18)
    assert found.ratio == 3 / 9
    unknown = cardiothoracic_diameters(HEART, RIGHT | LEFT)
    assert np.isnan([unknown.heart_mm, unknown.thorax_mm]).all()


def test_a_missing_organ_has_no_diameter():
    found = cardiothoracic_diameters(EMPTY, RIGHT | LEFT, (1, 1))
    assert found.heart is None
    assert np.isnan([found.heart_mm, found.ratio]).all()
    assert found.thorax_mm == 9
    assert cardiothoracic_diameters(EMPTY, EMPTY) == Diameters(None, None, pytest.approx(np.nan, nan_ok=True))


def test_unusable_masks_and_spacings_are_refused():
    with pytest.raises(MaskError, match="expected bool"):
        cardiothoracic_ratio(HEART.astype(np.uint8) * 255, RIGHT)
    with pytest.raises(MaskError, match="heart_mask has shape"):
        cardiothoracic_diameters(HEART[:3], RIGHT)
    with pytest.raises(ConfigError, match="leave it out where it is not known"):
        cardiothoracic_diameters(HEART, RIGHT, (np.nan, np.nan))


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
