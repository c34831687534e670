"""Saliency against lesions: by hand, against scikit-learn, and by invariants."""

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.measure.localization import MEASURES, localization_scores
from patchcxr.measure.overlap import dice, jaccard

SALIENCY = np.array(
    [
        [0.0, 0.2, 0.0, 0.0],
        [0.2, 0.8, 0.4, 0.0],
        [0.0, 0.4, 0.0, 0.0],
    ]
)
LESION = np.array(
    [
        [0, 0, 0, 0],
        [0, 1, 1, 1],
        [0, 0, 0, 0],
    ]
).astype(bool)
LUNGS = np.array(
    [
        [0, 0, 0, 0],
        [1, 1, 1, 1],
        [0, 1, 1, 0],
    ]
).astype(bool)
EMPTY = np.zeros_like(LESION)


def brute_force(saliency, lesion):
    """Best overlaps by trying every positive value as a threshold."""
    thresholds = [value for value in np.unique(saliency) if value > 0]
    return (
        max((jaccard(saliency >= t, lesion) for t in thresholds), default=0.0),
        max((dice(saliency >= t, lesion) for t in thresholds), default=0.0),
    )


@pytest.fixture(params=["smooth", "tied", "float64"])
def case(request, rng):
    """A map, smooth or with many ties and zeros, and a lesion that it partly finds."""
    lesion = np.zeros((48, 40), bool)
    lesion[10:25, 8:20] = True
    saliency = rng.random(lesion.shape) + 0.4 * lesion
    if request.param == "tied":
        saliency = np.maximum(np.round(saliency * 4) / 4 - 0.5, 0)
    return saliency.astype(np.float64 if request.param == "float64" else np.float32), lesion


def test_scores_of_a_drawn_map():
    scores = localization_scores(SALIENCY, LESION, LUNGS)
    assert scores["pointing_hit"] == 1
    assert scores["energy_in_lesion"] == pytest.approx(1.2 / 2.0)
    assert scores["energy_in_lungs"] == pytest.approx(1.8 / 2.0)
    assert scores["energy_outside_lungs"] == pytest.approx(0.2 / 2.0)
    # Half of 0.8 marks three pixels, two of them in the lesion of three.
    assert scores["iou_at_half"] == pytest.approx(2 / 4)
    assert scores["dice_at_half"] == pytest.approx(4 / 6)
    assert scores["best_iou"] == pytest.approx(2 / 4)
    assert scores["best_dice"] == pytest.approx(4 / 6)
    # Lesion pixels 0.8, 0.4, 0 against 0.4, 0.2, 0.2 and six zeros: 9 + 8.5 + 3 of 27 pairs.
    assert scores["auroc"] == pytest.approx(20.5 / 27)
    assert scores["average_precision"] == pytest.approx((1 * 1 + 1 * 2 / 3 + 1 * 3 / 12) / 3)


def test_areas_equal_scikit_learn(case):
    saliency, lesion = case
    scores = localization_scores(saliency, lesion)
    assert scores["auroc"] == pytest.approx(roc_auc_score(lesion.ravel(), saliency.ravel()), abs=1e-12)
    expected = average_precision_score(lesion.ravel(), saliency.ravel())
    assert scores["average_precision"] == pytest.approx(expected, abs=1e-12)


def test_overlaps_equal_a_search_over_every_threshold(case):
    saliency, lesion = case
    scores = localization_scores(saliency, lesion)
    best_iou, best_dice = brute_force(saliency, lesion)
    assert scores["best_iou"] == pytest.approx(best_iou)
    assert scores["best_dice"] == pytest.approx(best_dice)
    assert scores["iou_at_half"] == pytest.approx(jaccard(saliency >= 0.5 * saliency.max(), lesion))
    assert scores["dice_at_half"] == pytest.approx(dice(saliency >= 0.5 * saliency.max(), lesion))


def test_no_score_depends_on_the_scale_of_an_activation_map(case):
    saliency, lesion = case
    assert localization_scores(saliency * 64, lesion) == pytest.approx(
        localization_scores(saliency, lesion), nan_ok=True
    )


def test_energies_of_the_lungs_and_outside_add_up_to_one(case):
    saliency, lesion = case
    scores = localization_scores(saliency, lesion, np.roll(lesion, 7))
    assert scores["energy_in_lungs"] + scores["energy_outside_lungs"] == pytest.approx(1)


def test_the_lesion_itself_is_a_perfect_map():
    scores = localization_scores(LESION.astype(np.float32), LESION, LUNGS)
    perfect = dict.fromkeys(MEASURES, 1.0) | {"energy_outside_lungs": 0.0}
    assert scores == perfect


def test_every_score_lies_in_the_unit_interval(case):
    saliency, lesion = case
    for scale in ("max", "none"):
        scores = localization_scores(saliency / saliency.max(), lesion, lesion, scale)
        assert all(0 <= score <= 1 for score in scores.values())


def test_half_of_a_probability_map_is_one_half_whatever_its_maximum():
    faint = SALIENCY / 2
    assert localization_scores(faint, LESION, scale="max")["iou_at_half"] == pytest.approx(2 / 4)
    assert localization_scores(faint, LESION, scale="none")["iou_at_half"] == 0
    assert localization_scores(SALIENCY, LESION, scale="none")["iou_at_half"] == pytest.approx(1 / 3)


def test_a_shared_maximum_counts_by_its_share_in_the_lesion():
    saliency = np.zeros(LESION.shape, np.float32)
    saliency[1, 0:4] = 0.7
    assert localization_scores(saliency, LESION)["pointing_hit"] == pytest.approx(3 / 4)


def test_a_hit_is_the_first_maximum_row_by_row_as_in_chexlocalize():
    saliency = np.zeros(LESION.shape)
    saliency[[0, 1], [3, 2]] = 0.9
    assert localization_scores(saliency, LESION)["hit"] == 0
    assert localization_scores(saliency[::-1, ::-1], LESION)["hit"] == 1
    assert localization_scores(saliency, LESION)["pointing_hit"] == 0.5


def test_the_segmentation_by_otsu_is_that_of_chexlocalize(case):
    saliency, lesion = case
    stretched = torch.from_numpy(saliency) - saliency.min()
    grey = np.uint8(255 * stretched.div(stretched.max()).numpy())
    marked = cv2.threshold(grey, 0, int(grey.max()), cv2.THRESH_OTSU)[1] > 0
    assert localization_scores(saliency, lesion)["iou_at_otsu"] == pytest.approx(jaccard(marked, lesion))


def test_otsu_marks_nothing_of_a_constant_map():
    assert localization_scores(np.full(LESION.shape, 0.3), LESION)["iou_at_otsu"] == 0


def test_a_zero_map_points_nowhere_and_its_miss_stays_in_the_mean():
    scores = localization_scores(np.zeros(LESION.shape), LESION, LUNGS)
    for name in (*MEASURES[:3], "iou_at_half", "dice_at_half", "best_iou", "best_dice", "iou_at_otsu"):
        assert scores[name] == 0
    assert np.isnan([scores["energy_in_lungs"], scores["energy_outside_lungs"]]).all()
    assert scores["auroc"] == 0.5
    assert scores["average_precision"] == pytest.approx(LESION.mean())


def test_a_constant_map_scores_like_chance():
    scores = localization_scores(np.full(LESION.shape, 0.3), LESION, LUNGS)
    share = LESION.mean()
    for name in ("pointing_hit", "energy_in_lesion", "best_iou", "average_precision"):
        assert scores[name] == pytest.approx(share)
    assert scores["auroc"] == 0.5


def test_an_empty_lesion_is_never_a_hit():
    scores = localization_scores(SALIENCY, EMPTY, LUNGS)
    defined = {name for name, score in scores.items() if not np.isnan(score)}
    assert defined == {"energy_in_lungs", "energy_outside_lungs"}
    assert np.isnan(list(localization_scores(np.zeros_like(SALIENCY), EMPTY, LUNGS).values())).all()


def test_a_lesion_that_fills_the_film_has_no_auroc():
    scores = localization_scores(SALIENCY, np.ones_like(LESION))
    assert np.isnan(scores["auroc"])
    assert scores["average_precision"] == 1


def test_without_lungs_only_their_energies_are_undefined():
    scores = localization_scores(SALIENCY, LESION)
    assert {name for name in MEASURES if np.isnan(scores[name])} == {"energy_in_lungs", "energy_outside_lungs"}


def test_negative_zero_ties_with_zero():
    signed = np.where(SALIENCY == 0, -0.0, SALIENCY)
    signed[0, 0] = 0.0
    assert localization_scores(signed, LESION, LUNGS) == localization_scores(SALIENCY, LESION, LUNGS)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int64])
def test_other_number_types_give_the_same_scores(dtype):
    saliency = (SALIENCY * 10).round().astype(dtype)
    expected = localization_scores((SALIENCY * 10).round(), LESION, LUNGS)
    assert localization_scores(saliency, LESION, LUNGS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("saliency", "scale", "error", "message"),
    [
        (SALIENCY - 0.1, "max", ImageError, "apply the ReLU of Grad-CAM"),
        (SALIENCY * 3, "none", ImageError, "expects probabilities"),
        (np.where(SALIENCY > 0.5, np.nan, SALIENCY), "max", ImageError, "1 pixels that are NaN or infinite"),
        (SALIENCY[None], "max", ImageError, "select one film"),
        (SALIENCY[:2], "max", MaskError, "resize the mask"),
        (SALIENCY, "half", ConfigError, "expected 'max'"),
    ],
)
def test_unusable_maps_are_refused_with_the_remedy(saliency, scale, error, message):
    with pytest.raises(error, match=message):
        localization_scores(saliency, LESION, scale=scale)
