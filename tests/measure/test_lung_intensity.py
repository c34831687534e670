"""Distribution of the intensity against SciPy, scikit-image and NumPy, by hand, and its invariants."""

import numpy as np
import pytest
from scipy import stats
from skimage.measure import shannon_entropy

from patchcxr.errors import ImageError, MaskError
from patchcxr.measure.intensity import PERCENTILES, STATISTICS, intensity_statistics, lung_intensity, zone_intensity
from patchcxr.measure.zones import REGIONS, lung_zones


@pytest.fixture
def film(rng):
    """A film of 256 levels, darker to the left and skewed, with two lungs."""
    levels = np.rint(255 * rng.beta(2, 5, (40, 60)) * np.linspace(0.4, 1, 60))
    right, left = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    right[4:30, 5:25] = rng.random((26, 20)) < 0.8
    left[8:36, 33:52] = rng.random((28, 19)) < 0.8
    return (levels / 255).astype(np.float32), right, left


def test_lung_intensity_is_the_population_mean_and_std(film):
    image, right, _ = film
    mean, std = lung_intensity(image, right)
    values = image[right].astype(np.float64)
    assert mean == pytest.approx(values.mean(), rel=1e-12)
    assert std == pytest.approx(np.sqrt(np.mean((values - values.mean()) ** 2)), rel=1e-12)


def test_a_constant_lung_has_no_spread_even_in_half_a_million_float32_pixels():
    mean, std = lung_intensity(np.full((1024, 512), 0.1, np.float32), np.ones((1024, 512), bool))
    assert mean == pytest.approx(0.1, abs=1e-8)
    assert std == pytest.approx(0, abs=1e-12)


def test_intensity_outside_the_lungs_does_not_matter(film):
    image, right, _ = film
    expected = lung_intensity(image, right)
    image[~right] = np.nan
    assert lung_intensity(image, right) == expected


def test_an_empty_lung_has_no_intensity(film):
    assert np.isnan(lung_intensity(film[0], np.zeros_like(film[1]))).all()


def test_values_worked_by_hand():
    # 0, 0, 0, 1: mean 1/4; variance 3/16; third moment (3 * (-1/4)^3 + (3/4)^3) / 4 = 3/32; g1 = 2 / sqrt(3).
    found = intensity_statistics(np.array([[0.0, 0.0, 0.0, 1.0]]), np.ones((1, 4), bool))
    assert found["mean"] == 0.25
    assert found["std"] == pytest.approx(np.sqrt(3) / 4, rel=1e-15)
    assert found["skewness"] == pytest.approx(2 / np.sqrt(3), rel=1e-14)
    assert found["entropy"] == pytest.approx(2 - 0.75 * np.log2(3), rel=1e-14)
    assert found["p75"] == pytest.approx(0.25)
    assert found["p95"] == pytest.approx(0.85)
    assert found["p50"] == found["p25"] == found["p5"] == 0


def test_every_statistic_equals_its_reference(film):
    image, right, _ = film
    found, values = intensity_statistics(image, right), image[right].astype(np.float64)
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-13)
    assert found["std"] == pytest.approx(values.std(), rel=1e-13)
    assert found["skewness"] == pytest.approx(stats.skew(values), rel=1e-10)
    assert found["entropy"] == pytest.approx(shannon_entropy(image[right], base=2), rel=1e-12)
    for percent in PERCENTILES:
        assert found[f"p{percent}"] == pytest.approx(np.percentile(values, percent), abs=1e-7)


def test_every_region_equals_the_statistics_of_its_mask(film):
    image, right, left = film
    found = zone_intensity(image, right, left)
    for name, zone in lung_zones(right, left).items():
        expected = intensity_statistics(image, zone)
        for statistic in STATISTICS:
            assert found[f"{name}_{statistic}"] == pytest.approx(expected[statistic], rel=1e-9), (name, statistic)
    assert (found["lung_mean"], found["lung_std"]) == pytest.approx(lung_intensity(image, right | left), rel=1e-13)


def test_overlapping_lungs_count_each_pixel_once(film):
    image, right, left = film
    left = left | (right & (np.arange(60) > 20))
    found = zone_intensity(image, right, left)
    for name, zone in lung_zones(right, left).items():
        expected = intensity_statistics(image, zone)
        assert found[f"{name}_mean"] == pytest.approx(expected["mean"], rel=1e-12), name
        assert found[f"{name}_p50"] == pytest.approx(expected["p50"], rel=1e-12), name


def test_percentiles_of_values_between_the_grey_levels_are_half_a_level_away_at_most(rng):
    image = rng.random((50, 50))
    found = intensity_statistics(image, np.ones((50, 50), bool))
    for percent in PERCENTILES:
        assert abs(found[f"p{percent}"] - np.percentile(image, percent)) <= 1 / 510 + 1e-12


def test_scaling_the_film_scales_mean_and_std_and_leaves_the_skewness(film):
    image, right, left = film
    before, after = zone_intensity(image, right, left), zone_intensity(0.5 * image + 0.25, right, left)
    for region in REGIONS:
        assert after[f"{region}_mean"] == pytest.approx(0.5 * before[f"{region}_mean"] + 0.25, rel=1e-6)
        assert after[f"{region}_std"] == pytest.approx(0.5 * before[f"{region}_std"], rel=1e-6)
        assert after[f"{region}_skewness"] == pytest.approx(before[f"{region}_skewness"], rel=1e-4)
    inverted = zone_intensity(1 - image, right, left)
    assert inverted["lung_skewness"] == pytest.approx(-before["lung_skewness"], rel=1e-5)
    assert inverted["lung_entropy"] == pytest.approx(before["lung_entropy"], rel=1e-12)
    assert inverted["lung_p5"] == pytest.approx(1 - before["lung_p95"], rel=1e-12)


def test_entropy_is_0_for_one_level_1_for_two_and_8_for_all():
    def entropy(levels):
        image = np.asarray(levels, float)[None] / 255
        return intensity_statistics(image, np.ones(image.shape, bool))["entropy"]

    assert entropy([7, 7, 7]) == 0
    assert entropy([7, 9, 7, 9]) == 1
    assert entropy(np.arange(256)) == pytest.approx(8, rel=1e-14)


def test_a_constant_region_has_no_spread_and_no_skewness_even_beside_another():
    image = np.full((60, 60), 0.1, np.float32)
    image[:, 30:] = 0.9
    right, left = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    right[:, :20], left[:, 40:] = True, True
    found = zone_intensity(image, right, left)
    assert found["right_lung_std"] == pytest.approx(0, abs=1e-12)
    assert np.isnan(found["right_lung_skewness"])
    assert found["lung_std"] == pytest.approx(0.4, rel=1e-6)
    assert found["lung_skewness"] == pytest.approx(0, abs=1e-6)
    assert found["mean_asymmetry"] == pytest.approx(-0.8, rel=1e-6)


def test_asymmetry_is_right_minus_left_over_their_sum_and_flips_with_the_patient(film):
    image, right, left = film
    found = zone_intensity(image, right, left)
    a, b = found["right_lung_lower_mean"], found["left_lung_lower_mean"]
    assert found["lower_mean_asymmetry"] == pytest.approx((a - b) / (a + b), rel=1e-14)
    mirrored = zone_intensity(image[:, ::-1], left[:, ::-1], right[:, ::-1])
    for name in ("mean_asymmetry", "upper_mean_asymmetry", "peripheral_mean_asymmetry"):
        assert mirrored[name] == pytest.approx(-found[name], rel=1e-12)
    assert mirrored["left_lung_upper_p75"] == found["right_lung_upper_p75"]


def test_black_lungs_have_no_asymmetry():
    half = np.zeros((3, 8), bool)
    half[:, :4] = True
    assert np.isnan(zone_intensity(np.zeros((3, 8)), half, ~half)["mean_asymmetry"])


def test_tiny_and_missing_lungs_give_nan_where_nothing_is(film):
    image, right, _ = film
    one = np.zeros_like(right)
    one[20, 50] = True
    found = zone_intensity(image, right, one)
    assert found["left_lung_mean"] == found["left_lung_middle_mean"] == pytest.approx(image[20, 50])
    assert found["left_lung_std"] == found["left_lung_entropy"] == 0
    assert np.isnan([found["left_lung_skewness"], found["left_lung_upper_mean"], found["upper_mean_asymmetry"]]).all()
    assert np.isfinite(found["lung_upper_mean"])
    alone = zone_intensity(image, right, np.zeros_like(right))
    assert all(np.isnan(value) for name, value in alone.items() if not name.startswith("right"))
    assert np.isfinite([value for name, value in alone.items() if name.startswith("right")]).all()
    assert np.isnan(list(intensity_statistics(image, np.zeros_like(right)).values())).all()


def test_films_that_cannot_be_measured_are_refused(film):
    image, right, left = film
    with pytest.raises(ImageError, match="divide 8-bit grey levels by 255"):
        zone_intensity(image * 255, right, left)
    with pytest.raises(MaskError, match="right_lung has shape"):
        zone_intensity(image[:10], right, left)
    for bad in (np.nan, np.inf):
        spoilt = image.copy()
        spoilt[np.argwhere(left)[0][0], np.argwhere(left)[0][1]] = bad
        with pytest.raises(ImageError, match="NaN or infinite in the lungs"):
            zone_intensity(spoilt, right, left)
        assert intensity_statistics(spoilt, right) == intensity_statistics(image, right)
