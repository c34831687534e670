from __future__ import annotations

import numpy as np
import pytest

from patchcxr.errors import MaskError
from patchcxr.patches.assembly import PatchAggregator
from patchcxr.patches.location import coverage
from patchcxr.patches.sampling import cut_patches, sample_centres


def test_two_overlapping_patches_are_averaged_where_they_overlap():
    aggregator = PatchAggregator((3, 4), channels=1)
    aggregator.add(np.full((1, 1, 2, 2), 0.2), np.array([[1, 1]]))
    aggregator.add(np.full((1, 1, 2, 2), 0.6), np.array([[1, 2]]))
    expected = [[0.2, 0.4, 0.6, 0.0], [0.2, 0.4, 0.6, 0.0], [0.0, 0.0, 0.0, 0.0]]
    np.testing.assert_allclose(aggregator.average()[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(aggregator.counts, [[1, 2, 1, 0], [1, 2, 1, 0], [0, 0, 0, 0]])


def test_cutting_and_reassembling_gives_the_film_back_where_it_is_covered(rng):
    image = rng.random((40, 50)).astype(np.float32)
    centres = sample_centres(np.ones(image.shape, dtype=bool), 30, rng)
    patches = cut_patches(image, centres, 15)
    aggregator = PatchAggregator(image.shape, channels=2)
    for part in range(0, 30, 7):
        aggregator.add(np.stack([patches, 2 * patches], axis=1)[part : part + 7], centres[part : part + 7])
    covered = coverage(centres, 15, image.shape) > 0
    assert 0.3 < covered.mean() < 1
    expected = np.where(covered, image, 0)
    np.testing.assert_allclose(aggregator.average(), [expected, 2 * expected], atol=1e-6)
    np.testing.assert_array_equal(aggregator.counts, coverage(centres, 15, image.shape))


def test_only_the_inside_of_a_patch_counts():
    patch = np.arange(16, dtype=float).reshape(1, 1, 4, 4)
    aggregator = PatchAggregator((3, 3), channels=1)
    aggregator.add(patch, np.array([[0, 2]]))
    np.testing.assert_array_equal(aggregator.average()[0], [[8, 9, 10], [12, 13, 14], [0, 0, 0]])


def test_maps_that_do_not_fit_are_refused():
    aggregator = PatchAggregator((8, 8), channels=2)
    for shape in [(1, 2, 3, 3), (2, 1, 3, 3), (2, 2, 3, 4), (2, 3, 3)]:
        with pytest.raises(MaskError, match=r"expected \(2, 2, size, size\)"):
            aggregator.add(np.zeros(shape), np.array([[1, 1], [2, 2]]))
