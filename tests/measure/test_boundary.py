"""Outlines by hand, against brute force, and against MONAI where it is installed."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from patchcxr.errors import ConfigError, MaskError
from patchcxr.io.masks import read_mask
from patchcxr.measure.boundary import BOUNDARY_MEASURES, BoundaryScores, boundary_row, boundary_scores


def square(shape=(40, 50), corner=(10, 12), size=(12, 15)):
    mask = np.zeros(shape, bool)
    mask[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = True
    return mask


def blobs(rng, shape=(48, 60)):
    return [ndimage.gaussian_filter(rng.random(shape), 3) > 0.5 for _ in range(2)]


def outline_points(mask):
    """Pixels with a neighbour outside, found one by one."""
    rows, columns = mask.shape
    points = []
    for row, column in np.argwhere(mask):
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        if any(not (0 <= r < rows and 0 <= c < columns) or not mask[r, c] for r, c in around):
            points.append((row, column))
    return np.array(points)


def brute_force(predicted, truth, spacing=(1.0, 1.0), tolerance=2.0):
    """Every distance between two outlines, without any transform."""
    first, second = (outline_points(mask) * np.array(spacing) for mask in (predicted, truth))
    table = np.sqrt(((first[:, None] - second[None]) ** 2).sum(axis=2))
    there, back = table.min(axis=1), table.min(axis=0)
    both = np.concatenate([there, back])
    near = (both <= tolerance + 1e-9).mean()
    return max(there.max(), back.max()), max(np.percentile(there, 95), np.percentile(back, 95)), both.mean(), near


def values(scores):
    return [getattr(scores, name) for name in BOUNDARY_MEASURES]


def test_equal_masks_are_at_no_distance():
    assert boundary_scores(square(), square()) == BoundaryScores(0.0, 0.0, 0.0, 1.0)


def test_two_pixels_are_as_far_apart_as_pythagoras_says():
    first, second = np.zeros((2, 10, 10), bool)
    first[2, 1] = second[5, 5] = True
    assert values(boundary_scores(first, second)) == [5.0, 5.0, 5.0, 0.0]
    assert values(boundary_scores(first, second, (2.0, 0.5), tolerance=7)) == pytest.approx([40**0.5] * 3 + [1.0])


def test_a_line_beside_a_longer_one_by_hand():
    truth, predicted = np.zeros((2, 5, 30), bool)
    truth[1, :20] = True
    predicted[1, :10] = True
    # Outwards nothing; back 10 zeros, then 1 to 10: sum 55 over 30 pixels, and the 95th percentile at rank 18.05.
    scores = boundary_scores(predicted, truth, tolerance=3)
    assert (scores.hausdorff, scores.hd95, scores.assd) == pytest.approx((10, 9.05, 55 / 30))
    assert scores.surface_dice == pytest.approx(23 / 30)


def test_a_stray_pixel_moves_the_hausdorff_distance_but_not_hd95():
    truth = square()
    predicted = truth.copy()
    predicted[39, 49] = True
    scores = boundary_scores(predicted, truth)
    assert scores.hausdorff == pytest.approx(np.hypot(39 - 21, 49 - 26))
    assert scores.hd95 == 0


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.35, 0.35), (0.4, 1.3), (2.0, 0.7)])
def test_distances_equal_brute_force(rng, spacing):
    for _ in range(3):
        predicted, truth = blobs(rng)
        found = boundary_scores(predicted, truth, spacing, 1.5)
        assert values(found) == pytest.approx(brute_force(predicted, truth, spacing, 1.5), rel=1e-6)


def test_the_edge_of_the_film_is_an_outline_and_so_is_a_hole():
    whole = np.ones((9, 9), bool)
    holed = whole.copy()
    holed[4, 4] = False
    # The four neighbours of the hole lie 3 from the film's edge; 32 outline pixels on the edge, at distance 0.
    scores = boundary_scores(holed, whole)
    assert scores.hausdorff == 3.0
    assert scores.assd == pytest.approx(4 * 3 / (36 + 32))
    assert values(boundary_scores(holed, whole)) == pytest.approx(brute_force(holed, whole))


def test_the_measures_are_symmetric_and_do_not_depend_on_the_place(rng):
    predicted, truth = (np.pad(mask, 12) for mask in blobs(rng, (30, 36)))
    there, back = boundary_scores(predicted, truth), boundary_scores(truth, predicted)
    assert values(there) == pytest.approx(values(back), rel=1e-12)
    moved = boundary_scores(np.roll(predicted, (5, -7), (0, 1)), np.roll(truth, (5, -7), (0, 1)))
    assert values(moved) == values(there)


def test_a_shift_sideways_is_measured_in_columns_and_one_downwards_in_rows():
    truth = square()
    aside, below = np.roll(truth, 3, axis=1), np.roll(truth, 3, axis=0)
    assert boundary_scores(aside, truth, (1.0, 2.0)).hausdorff == 6.0
    assert boundary_scores(below, truth, (1.0, 2.0)).hausdorff == 3.0


def test_a_distance_at_the_tolerance_is_within_it_whatever_the_unit():
    first, second = np.zeros((2, 3, 9), bool)
    first[1, 1] = second[1, 4] = True
    for unit in (1.0, 0.1, 0.143, 0.7):
        assert boundary_scores(first, second, (unit, unit), 3 * unit).surface_dice == 1
        assert boundary_scores(first, second, (unit, unit), 2.999 * unit).surface_dice == 0


@pytest.mark.parametrize("swap", [False, True])
def test_a_missed_or_invented_organ_gets_the_worst_value_of_the_film_and_is_marked(swap):
    pair = [square(), np.zeros((40, 50), bool)]
    scores = boundary_scores(*(pair[::-1] if swap else pair))
    diagonal = np.hypot(39, 49)
    assert scores == BoundaryScores(
        diagonal, diagonal, diagonal, 0.0, failed=True, reason=f"{'predicted' if swap else 'truth'} is empty"
    )
    assert boundary_scores(*pair, spacing=(2.0, 2.0)).hd95 == pytest.approx(2 * diagonal)


def test_no_value_of_the_film_is_worse_than_the_one_of_a_failure():
    first, second = np.zeros((2, 12, 17), bool)
    first[0, 0] = second[-1, -1] = True
    assert boundary_scores(first, second).hausdorff == boundary_scores(first, np.zeros_like(first)).hausdorff


def test_two_empty_masks_are_undefined_with_the_reason_and_no_failure():
    empty = np.zeros((5, 5), bool)
    scores = boundary_scores(empty, empty)
    assert np.isnan(values(scores)).all()
    assert (scores.failed, scores.reason) == (False, "both masks are empty")


def test_a_mean_over_films_gets_worse_with_a_missed_organ():
    good = boundary_scores(np.roll(square(), 1, axis=0), square()).hd95
    missed = boundary_scores(np.zeros_like(square()), square()).hd95
    assert np.mean([good, good, missed]) > good


def test_a_row_has_millimetres_only_where_the_spacing_is_known(rng):
    predicted, truth = blobs(rng)
    pixels = boundary_row(predicted, truth)
    assert set(pixels) == {*BOUNDARY_MEASURES, "failed"}
    row = boundary_row(predicted, truth, (0.5, 0.5), tolerance_mm=1.0)
    for name in ("hausdorff", "hd95", "assd"):
        assert row[f"{name}_mm"] == pytest.approx(row[name] / 2)
    assert row["surface_dice_mm"] == row["surface_dice"] == pixels["surface_dice"]
    stretched = boundary_row(predicted, truth, (0.5, 0.8))
    assert stretched["assd_mm"] == boundary_scores(predicted, truth, (0.5, 0.8)).assd


def test_unusable_input_is_refused_by_name():
    mask = square()
    with pytest.raises(MaskError, match=r"predicted has dtype float64; expected bool"):
        boundary_scores(mask * 0.4, mask)
    with pytest.raises(MaskError, match="resize the mask"):
        boundary_scores(mask[:-1], mask)
    with pytest.raises(MaskError, match="expected 2 axes"):
        boundary_scores(mask[None], mask[None])
    for spacing in ((0, 1), (1,), (float("nan"), 1), None, 1.0):
        with pytest.raises(ConfigError, match="spacing is"):
            boundary_scores(mask, mask, spacing)
    with pytest.raises(ConfigError, match="tolerance is"):
        boundary_scores(mask, mask, tolerance=float("nan"))


def test_masks_cut_out_of_others_and_masks_of_one_pixel_are_read(rng):
    predicted, truth = blobs(rng)
    assert boundary_scores(predicted[::2, ::-1], truth[::2, ::-1]) == boundary_scores(
        predicted[::2, ::-1].copy(), truth[::2, ::-1].copy()
    )
    assert boundary_scores(np.ones((1, 1), bool), np.ones((1, 1), bool)).surface_dice == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_values_are_those_of_monai_but_for_missed_organs(rng):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")

    def theirs(predicted, truth):
        pair = [torch.from_numpy(mask[None, None].astype(np.uint8)) for mask in (predicted, truth)]
        return [
            float(metrics.compute_hausdorff_distance(*pair, include_background=True)),
            float(metrics.compute_hausdorff_distance(*pair, include_background=True, percentile=95)),
            float(metrics.compute_average_surface_distance(*pair, include_background=True, symmetric=True)),
            float(metrics.compute_surface_dice(*pair, [2.0], include_background=True)),
        ]

    for _ in range(3):
        predicted, truth = blobs(rng)
        assert values(boundary_scores(predicted, truth)) == pytest.approx(theirs(predicted, truth), rel=1e-5)
    missed = np.zeros_like(truth)
    assert np.isnan(
        metrics.compute_hausdorff_distance(
            *(torch.from_numpy(mask[None, None].astype(np.uint8)) for mask in (missed, truth)),
            include_background=True,
            percentile=95,
        ).numpy()
    ).all()
    assert boundary_scores(missed, truth).failed


@pytest.mark.real
def test_outlines_of_real_lungs_equal_brute_force(real_data):
    masks = [read_mask(path)[::8, ::8] for path in sorted((real_data / "jsrt/masks/right_lung").glob("*.png"))[:3]]
    for predicted, truth in itertools.pairwise(masks):
        found = boundary_scores(predicted, truth, (1.4, 1.5), 3.0)
        assert values(found) == pytest.approx(brute_force(predicted, truth, (1.4, 1.5), 3.0), rel=1e-6)
