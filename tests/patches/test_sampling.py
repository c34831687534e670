from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from patchcxr.errors import ConfigError, EmptyLungError, MaskError
from patchcxr.patches.location import coverage, coverage_report
from patchcxr.patches.sampling import cut_patches, dense_centres, sample_centres


@pytest.fixture
def lungs() -> np.ndarray:
    mask = np.zeros((48, 64), dtype=bool)
    mask[8:40, 6:28] = True
    mask[10:44, 36:60] = True
    return mask


def test_centres_lie_in_the_lungs(lungs, rng):
    centres = sample_centres(lungs, 500, rng)
    assert lungs[centres[:, 0], centres[:, 1]].all()


def test_centres_are_uniform_over_the_lung_pixels(rng):
    lung = np.zeros((7, 9), dtype=bool)
    lung[1:4, 2:5] = True
    lung[5, 0] = True
    centres = sample_centres(lung, 20_000, rng)
    counts = np.bincount(np.ravel_multi_index(centres.T, lung.shape), minlength=lung.size)[lung.ravel()]
    assert len(counts) == 10
    assert stats.chisquare(counts).pvalue > 0.001


def test_the_same_seed_draws_the_same_centres(lungs):
    first, again, other = (sample_centres(lungs, 20, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_lung_pixel_is_covered_several_times_with_the_papers_patches(rng):
    lung = np.zeros((1024, 1024), dtype=bool)
    lung[150:850, 130:450] = True
    lung[150:880, 580:900] = True
    counts = coverage(sample_centres(lung, 100, rng), 224, lung.shape)
    report = coverage_report(counts, lung)
    assert report.median >= 5
    assert report.uncovered_share < 0.01


def test_an_empty_lung_mask_is_named_and_a_number_below_one_refused(rng):
    with pytest.raises(EmptyLungError, match="no lung pixel"):
        sample_centres(np.zeros((4, 4), dtype=bool), 3, rng)
    with pytest.raises(ConfigError, match="at least 1"):
        sample_centres(np.ones((4, 4), dtype=bool), 0, rng)
    with pytest.raises(MaskError, match=r"\(H, W\)"):
        sample_centres(np.ones((2, 4, 4), dtype=bool), 1, rng)


def test_dense_centres_are_all_grid_points_in_the_lungs(lungs):
    expected = [(row, column) for row in range(4, 48, 8) for column in range(4, 64, 8) if lungs[row, column]]
    assert [tuple(centre) for centre in dense_centres(lungs, 8)] == expected


def test_dense_centres_say_so_when_the_grid_misses_the_lungs():
    lung = np.zeros((32, 32), dtype=bool)
    lung[0, 0] = True
    with pytest.raises(EmptyLungError, match="lower the stride"):
        dense_centres(lung, 16)
    with pytest.raises(ConfigError, match="stride of 0"):
        dense_centres(lung, 0)


@pytest.mark.parametrize("size", [1, 4, 5, 11])
def test_patches_equal_a_window_pixel_by_pixel_with_zeros_over_the_edge(rng, size):
    image = rng.random((9, 7)).astype(np.float32)
    centres = np.argwhere(np.ones(image.shape, dtype=bool))
    patches = cut_patches(image, centres, size)
    assert patches.dtype == np.float32
    for patch, (row, column) in zip(patches, centres, strict=True):
        for i in range(size):
            for j in range(size):
                r, c = row - size // 2 + i, column - size // 2 + j
                inside = 0 <= r < 9 and 0 <= c < 7
                assert patch[i, j] == (image[r, c] if inside else 0)


def test_cut_patches_keeps_type_and_owns_its_memory():
    image = np.full((5, 5), 200, dtype=np.uint8)
    patches = cut_patches(image, np.array([[2, 2], [2, 2]]), 3)
    assert patches.dtype == np.uint8
    patches[0] = 0
    assert (patches[1] == 200).all()
    assert (image == 200).all()


def test_a_centre_outside_the_film_is_refused():
    with pytest.raises(MaskError, match=r"\(5, 0\) lies outside"):
        cut_patches(np.zeros((5, 5)), np.array([[1, 1], [5, 0]]), 3)
