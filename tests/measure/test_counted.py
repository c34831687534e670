"""Curves from counts are those from the scores themselves, as far as bins tell scores apart."""

import numpy as np
import pytest
from sklearn import metrics

from patchcxr.errors import ImageError, MaskError
from patchcxr.measure.counted import (
    BINS,
    bin_edges,
    count_scores,
    counted_auroc,
    counted_average_precision,
    counted_curve,
)


def drawn(rng, n=20_000):
    truth = rng.random(n) < 0.1
    logit = rng.normal(-6, 4, n) + 7 * truth
    return truth, (1 / (1 + np.exp(-logit))).astype(np.float32)


def test_every_score_is_counted_in_the_bin_that_begins_below_it(rng):
    edges = bin_edges()
    assert len(edges) == BINS
    assert (np.diff(edges) > 0).all()
    middles = (edges + np.append(edges[1:], 1.0)) / 2
    counts = count_scores(middles, np.zeros(BINS, dtype=bool))
    assert (counts[0] == 1).all()
    assert counts[1].sum() == 0


def test_counts_on_either_side_of_a_half_are_exact():
    score = np.array([0.0, -0.0, np.nextafter(np.float32(0.5), np.float32(0)), 0.5, 1.0], dtype=np.float32)
    counts = count_scores(score, np.ones(5, dtype=bool))[1]
    half = int(np.searchsorted(bin_edges(), 0.5))
    assert bin_edges()[half] == 0.5
    assert (counts[:half].sum(), counts[half:].sum()) == (3, 2)
    assert counts[0] == 2


def test_areas_are_those_of_scikit_learn(rng):
    truth, score = drawn(rng)
    counts = count_scores(score, truth)
    assert float(counted_auroc(counts)) == pytest.approx(metrics.roc_auc_score(truth, score), abs=2e-4)
    expected = metrics.average_precision_score(truth, score)
    assert float(counted_average_precision(counts)) == pytest.approx(expected, abs=2e-3)


def test_areas_are_exact_where_a_bin_holds_one_value(rng):
    truth, score = drawn(rng, 3000)
    edges = bin_edges()
    rounded = edges[np.searchsorted(edges, score, side="right") - 1]
    counts = np.stack([np.bincount(np.searchsorted(edges, rounded[truth == kind]), minlength=BINS) for kind in (0, 1)])
    assert float(counted_auroc(counts)) == pytest.approx(metrics.roc_auc_score(truth, rounded), abs=1e-12)
    expected = metrics.average_precision_score(truth, rounded)
    assert float(counted_average_precision(counts)) == pytest.approx(expected, abs=1e-12)
    found = counted_curve(counts)
    false_positive_rate, sensitivity, _ = metrics.roc_curve(truth, rounded, drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rate, false_positive_rate[1:])
    np.testing.assert_allclose(found.sensitivity, sensitivity[1:])


def test_counts_of_films_add_up_and_stacks_are_judged_one_by_one(rng):
    truth, score = drawn(rng, 4000)
    parts = [count_scores(score[part], truth[part]) for part in (slice(0, 1000), slice(1000, None))]
    np.testing.assert_array_equal(sum(parts), count_scores(score, truth))
    stacked = counted_auroc(np.stack(parts))
    np.testing.assert_allclose(stacked, [float(counted_auroc(part)) for part in parts])


def test_areas_with_one_class_are_undefined():
    counts = count_scores(np.array([0.2, 0.7]), np.array([False, False]))
    assert np.isnan(counted_auroc(counts))
    assert np.isnan(counted_average_precision(counts))


def test_counts_beyond_the_range_of_float32_are_not_lost():
    counts = np.zeros((2, BINS), dtype=np.int64)
    counts[0, 0], counts[1, -1], counts[1, 0] = 10**10, 3 * 10**9, 10**9
    assert float(counted_auroc(counts)) == pytest.approx(0.75 + 0.25 / 2)


def test_logits_and_label_maps_are_refused():
    with pytest.raises(ImageError, match="sigmoid"):
        count_scores(np.array([0.1, 1.5]), np.array([True, False]))
    with pytest.raises(ImageError, match="NaN"):
        count_scores(np.array([0.1, np.nan]), np.array([True, False]))
    with pytest.raises(MaskError, match="boolean"):
        count_scores(np.array([0.1, 0.5]), np.array([0, 1]))
