from __future__ import annotations

import numpy as np
import pytest

from patchcxr.errors import EmptyLungError, MaskError
from patchcxr.patches.location import PatchLocation, coverage, coverage_report


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 12])
def test_window_holds_exactly_the_pixels_that_patch_and_film_share(size):
    shape = (6, 9)
    for row in range(shape[0]):
        for column in range(shape[1]):
            film, patch = PatchLocation(row, column, size).window(shape)
            marked = np.zeros(shape, dtype=bool)
            marked[film] = True
            rows, columns = np.indices(shape)
            expected = (
                (rows >= row - size // 2)
                & (rows < row - size // 2 + size)
                & (columns >= column - size // 2)
                & (columns < column - size // 2 + size)
            )
            np.testing.assert_array_equal(marked, expected)
            own_rows, own_columns = np.indices((size, size))
            np.testing.assert_array_equal(own_rows[patch] + row - size // 2, rows[film])
            np.testing.assert_array_equal(own_columns[patch] + column - size // 2, columns[film])


def test_window_of_a_patch_beside_the_film_is_empty():
    film, patch = PatchLocation(-20, 50, 4).window((10, 10))
    assert np.zeros((10, 10))[film].size == 0
    assert np.zeros((4, 4))[patch].size == 0


@pytest.mark.parametrize("size", [1, 4, 5, 30])
def test_coverage_equals_counting_patch_by_patch(rng, size):
    shape = (17, 23)
    centres = np.stack([rng.integers(0, length, 40) for length in shape], axis=1)
    expected = np.zeros(shape, dtype=int)
    for row, column in centres:
        expected[PatchLocation(row, column, size).window(shape)[0]] += 1
    np.testing.assert_array_equal(coverage(centres, size, shape), expected)


def test_coverage_without_patches_is_zero():
    assert not coverage(np.zeros((0, 2), dtype=int), 4, (3, 3)).any()


def test_coverage_is_reported_over_the_lung_pixels_only():
    counts = np.array([[9, 0, 1], [2, 5, 9]])
    lung = np.array([[0, 1, 1], [1, 1, 0]], dtype=bool)
    report = coverage_report(counts, lung)
    assert (report.minimum, report.median, report.uncovered_share) == (0, 1.5, 0.25)


def test_coverage_report_refuses_a_mask_of_another_shape_and_one_without_lungs():
    with pytest.raises(MaskError, match="resize_mask"):
        coverage_report(np.zeros((3, 3), dtype=int), np.ones((2, 2), dtype=bool))
    with pytest.raises(EmptyLungError, match="no lung pixel"):
        coverage_report(np.zeros((3, 3), dtype=int), np.zeros((3, 3), dtype=bool))
