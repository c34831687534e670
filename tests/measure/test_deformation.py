"""Deformation against a mean shape, on drawn lungs and on real ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from patchcxr.errors import MaskError
from patchcxr.measure.deformation import UNDER_SEGMENTED, deformation, lung_deformation, lung_templates, mean_shape


def ellipse(size=200, angle=20.0, width=0.2, height=0.33, column=0.5):
    canvas = np.zeros((size, size), np.uint8)
    centre, axes = (int(column * size), size // 2), (int(width * size), int(height * size))
    cv2.ellipse(canvas, centre, axes, angle, 0, 360, 1, -1)
    return canvas.astype(bool)


def test_the_mean_shape_is_the_share_of_the_aligned_masks():
    square = np.zeros((40, 40), bool)
    square[3:35, 10:26] = True
    upper = square.copy()
    upper[19:, 18:] = False
    template = mean_shape([square, upper, square, square])
    assert np.unique(template).tolist() == [0.75, 1.0]
    assert (template < 1).mean() == 0.25


def test_deformation_ignores_place_and_size_and_counts_what_is_lost():
    template = mean_shape([ellipse(), ellipse(300)])
    assert deformation(ellipse(400), template) < 0.03
    assert deformation(np.roll(ellipse(), 30, axis=0), template) < 0.03
    square = np.ones((64, 64), bool)
    for lost in (0, 16, 32):
        mask = square.copy()
        mask[64 - lost :, 1:] = False
        assert deformation(mask, mean_shape([square])) == pytest.approx(lost * 63 / 64**2, abs=0.01)


def test_a_lung_cut_short_shows_only_in_the_frame_of_both_lungs():
    right, left = ellipse(width=0.12, angle=0, column=0.3), ellipse(width=0.12, angle=0, column=0.7)
    templates = lung_templates([(right, left)])
    assert set(lung_deformation(right, left, templates).values()) == {0.0}
    short = right & (np.arange(200) < 100)[:, None]
    found = lung_deformation(short, left, templates)
    assert found["right_lung_deformation"] == pytest.approx(0.5, abs=0.02)
    assert found["left_lung_deformation"] == 0
    assert found["lung_deformation"] == pytest.approx(0.25, abs=0.01)
    assert deformation(short, mean_shape([right])) < found["right_lung_deformation"] - 0.2


def test_the_width_of_the_mediastinum_does_not_matter():
    right, left = ellipse(width=0.12, angle=0, column=0.3), ellipse(width=0.12, angle=0, column=0.7)
    templates = lung_templates([(right, left)])
    assert set(lung_deformation(right, np.roll(left, 20, axis=1), templates).values()) == {0.0}


def test_deformation_without_a_frame_or_a_template_is_nan():
    lung = ellipse()
    template = mean_shape([lung])
    assert np.isnan(deformation(np.zeros_like(lung), template))
    assert deformation(np.zeros_like(lung), template, lung) == 1
    assert np.isnan(list(lung_deformation(lung, lung, None).values())).all()
    missing = lung_deformation(lung, np.zeros_like(lung), {"right_lung": template, "left_lung": template})
    assert np.isnan(list(missing.values())).all()


def test_masks_without_a_mean_are_refused():
    lung = ellipse()
    with pytest.raises(MaskError, match="got no mask"):
        mean_shape([])
    with pytest.raises(MaskError, match="mask 1 or its frame has no pixel"):
        mean_shape([lung, np.zeros_like(lung)])
    with pytest.raises(MaskError, match="end after 1"):
        mean_shape([lung, lung], [lung])
    with pytest.raises(MaskError, match="expected one that mean_shape returned"):
        deformation(lung, np.ones((3, 3)))
    with pytest.raises(MaskError, match="the templates lack left_lung"):
        lung_deformation(lung, lung, {"right_lung": mean_shape([lung])})
    with pytest.raises(MaskError, match="expected bool"):
        mean_shape([lung.astype(np.uint8)])


@pytest.mark.real
def test_normal_lungs_are_rarely_deformed_by_a_quarter(real_data: Path):
    masks = real_data / "jsrt" / "masks"
    names = sorted(path.name for path in (masks / "right_lung").glob("JPCNN*.png"))

    def lungs(name):
        return [
            cv2.imread(str(masks / organ / name), cv2.IMREAD_GRAYSCALE) > 0 for organ in ("right_lung", "left_lung")
        ]

    templates = lung_templates(tuple(lungs(name)) for name in names[::2])
    found = np.array([lung_deformation(*lungs(name), templates)["lung_deformation"] for name in names[1::2]])
    assert 0.1 < np.median(found) < 0.2
    assert (found > UNDER_SEGMENTED).mean() <= 0.05
    cut = np.array([_without_base(*lungs(name), templates) for name in names[1:20:2]])
    assert (cut > UNDER_SEGMENTED).all()


def _without_base(right, left, templates):
    rows = np.flatnonzero(right.any(axis=1))
    short = right & (np.arange(right.shape[0]) < rows[len(rows) // 2])[:, None]
    return lung_deformation(short, left, templates)["lung_deformation"]
