"""Intensity within and between patches, by hand and against cutting the patches out."""

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError, ConfigError, ImageError, MaskError
from patchcxr.measure.patches import intra_inter, patch_intensity, patch_intensity_at


def patches(**columns):
    return pd.DataFrame(columns)


def test_mean_and_std_of_drawn_patches():
    drawn = np.array([[[0.0, 0.5], [1.0, 0.5]], [[0.2, 0.2], [0.2, 0.2]]])
    mean, std = patch_intensity(drawn)
    np.testing.assert_allclose(mean, [0.5, 0.2], rtol=1e-15)
    np.testing.assert_allclose(std, [np.sqrt(1 / 8), 0], atol=1e-16)


def test_masked_zeros_count_only_without_a_mask(rng):
    inside = rng.random((4, 8, 8)) < 0.6
    drawn = np.where(inside, rng.random((4, 8, 8)) + 0.1, 0)
    mean, std = patch_intensity(drawn, inside)
    for k in range(4):
        assert mean[k] == pytest.approx(drawn[k][inside[k]].mean(), rel=1e-13)
        assert std[k] == pytest.approx(drawn[k][inside[k]].std(), rel=1e-12)
    assert (patch_intensity(drawn)[0] < mean).all()


def test_a_patch_without_a_valid_pixel_is_nan_and_none_give_none():
    valid = np.zeros((2, 3, 3), bool)
    valid[1] = True
    mean, std = patch_intensity(np.ones((2, 3, 3)), valid)
    assert np.isnan([mean[0], std[0]]).all()
    assert (mean[1], std[1]) == (1, 0)
    assert [len(column) for column in patch_intensity(np.ones((0, 3, 3)))] == [0, 0]


@pytest.mark.parametrize("size", [1, 4, 5])
def test_patches_around_centres_are_those_that_would_be_cut_out(rng, size):
    image, lung = rng.random((20, 30)).astype(np.float32), rng.random((20, 30)) < 0.7
    centres = np.array([[0, 0], [19, 29], [10, 15], [3, 28]])
    padded = np.pad(image, 5)
    for mask in (None, lung):
        valid = np.pad(np.ones(image.shape, bool) if mask is None else mask, 5)
        corners = centres - size // 2 + 5
        cut = np.stack([padded[r : r + size, c : c + size] for r, c in corners])
        cut_valid = np.stack([valid[r : r + size, c : c + size] for r, c in corners])
        np.testing.assert_array_equal(
            patch_intensity_at(image, centres, size, mask), patch_intensity(cut, cut_valid), strict=True
        )


def test_a_patch_beside_the_film_is_nan():
    mean, _ = patch_intensity_at(np.ones((4, 4)), np.array([[-9, 2], [2, 99]]), size=3)
    assert np.isnan(mean).all()


def test_intra_and_inter_by_film_are_worked_by_hand():
    table = patches(
        study=["a", "a", "a", "b", "b"],
        class_name=["viral"] * 3 + ["normal"] * 2,
        mean=[0.1, 0.2, 0.6, 0.4, 0.4],
        std=[0.1, 0.1, 0.4, 0.2, 0.3],
    )
    found = intra_inter(table).set_index("study")
    assert found.loc["a", "inter_mean"] == pytest.approx(0.3)
    assert found.loc["a", "inter_std"] == pytest.approx(np.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert found.loc["a", "intra_mean"] == pytest.approx(0.2)
    assert found.loc["b", ["inter_std", "n"]].tolist() == [0, 2]
    assert found.loc["b", "intra_std"] == pytest.approx(np.sqrt(0.005))
    assert (found["note"] == "").all()


def test_the_class_alone_pools_the_patches_of_its_films():
    table = patches(study=["a", "b"], class_name=["viral"] * 2, mean=[0.2, 0.4], std=[0.1, 0.3])
    found = intra_inter(table, by=["class_name"]).iloc[0]
    assert (found["n"], found["inter_mean"], found["intra_mean"]) == (2, pytest.approx(0.3), pytest.approx(0.2))


def test_wrong_nan_and_infinite_patches_are_counted_and_left_out():
    table = patches(
        study=["a"] * 6 + ["b", "c", None],
        class_name="viral",
        mean=[0.1, 0.3, 9.0, np.nan, np.inf, 0.2, 0.5, np.nan, 0.7],
        std=[0.1, 0.1, 9.0, 0.1, 0.1, np.nan, 0.2, 0.1, 0.1],
        correct=[True, True, False, True, True, True, True, True, True],
    )
    found = intra_inter(table)
    assert found[["n", "wrong", "dropped"]].to_numpy().tolist() == [[2, 1, 3], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert found["note"].tolist() == [
        "",
        "one patch: no spread over patches",
        "no patch counts",
        "one patch: no spread over patches",
    ]
    assert found["inter_mean"].tolist()[:2] == pytest.approx([0.2, 0.5])
    assert np.isnan(found.loc[1, ["inter_std", "intra_std"]].astype(float)).all()
    assert found[["n", "wrong", "dropped"]].to_numpy().sum() == len(table)


def test_an_empty_table_gives_an_empty_one():
    table = patches(study=[], class_name=[], mean=np.zeros(0), std=np.zeros(0))
    assert len(intra_inter(table)) == 0


def test_unusable_patches_are_refused():
    with pytest.raises(ImageError, match="expected \\(patches, rows, columns\\)"):
        patch_intensity(np.ones((3, 3)))
    with pytest.raises(MaskError, match="valid has shape"):
        patch_intensity(np.ones((2, 3, 3)), np.ones((1, 3, 3), bool))
    with pytest.raises(ImageError, match="NaN or infinite"):
        patch_intensity(np.full((1, 2, 2), np.nan))
    with pytest.raises(ConfigError, match="expected whole numbers"):
        patch_intensity_at(np.ones((4, 4)), np.array([[0.5, 1.0]]), 3)
    with pytest.raises(ConfigError, match="size is 0"):
        patch_intensity_at(np.ones((4, 4)), np.array([[0, 1]]), 0)
    with pytest.raises(CohortError, match="no column class_name, std"):
        intra_inter(patches(study=["a"], mean=[0.1]))
    with pytest.raises(CohortError, match="expected bool"):
        intra_inter(patches(study=["a"], class_name=["x"], mean=[0.1], std=[0.1], correct=[None]))
