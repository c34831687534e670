"""Detection rules and infected shares by hand."""

import numpy as np
import pytest

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.measure.severity import detect_infection, infected_share, severity

RIGHT = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0]]).astype(bool)
LEFT = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]).astype(bool)
INFECTION = np.array([[1, 0, 1, 1, 1], [0, 0, 1, 0, 0]]).astype(bool)


def test_a_pixel_exactly_at_the_threshold_separates_the_two_papers_rules():
    probability = np.array([[0.0, 0.5], [0.2, 0.1]])
    lungs = np.ones((2, 2), bool)
    assert detect_infection(probability)
    assert not detect_infection(probability, lungs, inclusive=False)
    assert detect_infection(probability + 0.001, lungs, inclusive=False)


def test_infection_outside_the_lungs_is_ignored_when_lungs_are_given():
    probability = np.array([[0.9, 0.0]])
    assert detect_infection(probability)
    assert not detect_infection(probability, np.array([[False, True]]))


def test_the_minimum_area_counts_pixels():
    probability = np.array([[0.9, 0.0, 0.9], [0.0, 0.9, 0.0]])
    assert detect_infection(probability, minimum_area=3)
    assert not detect_infection(probability, minimum_area=4)


def test_raising_the_threshold_never_adds_a_detection(rng):
    probability = rng.random((16, 16))
    detected = [detect_infection(probability, threshold=t, minimum_area=20) for t in np.linspace(0, 1, 21)]
    assert detected == sorted(detected, reverse=True)


def test_empty_lungs_are_never_infected_and_have_no_share():
    empty = np.zeros((2, 2), bool)
    assert not detect_infection(np.ones((2, 2)), empty)
    assert np.isnan(infected_share(np.ones((2, 2), bool), empty))


def test_share_counts_lung_pixels_only():
    assert infected_share(INFECTION, RIGHT) == 25.0
    assert infected_share(INFECTION, LEFT) == 100.0
    assert infected_share(INFECTION, RIGHT | LEFT) == 50.0


def test_severity_is_the_area_weighted_mean_of_the_two_lungs():
    assert severity(INFECTION, RIGHT, LEFT) == {
        "overall_percent": 50.0,
        "right_lung_percent": 25.0,
        "left_lung_percent": 100.0,
    }


def test_a_missing_lung_leaves_the_other_measured():
    result = severity(INFECTION, RIGHT, np.zeros_like(LEFT))
    assert np.isnan(result["left_lung_percent"])
    assert result["overall_percent"] == result["right_lung_percent"] == 25.0


def test_logits_are_refused_with_the_remedy():
    with pytest.raises(ImageError, match="apply a sigmoid or softmax to logits"):
        detect_infection(np.array([[-3.0, 2.0]]))
    with pytest.raises(ImageError, match="1 pixels that are NaN or infinite"):
        detect_infection(np.array([[np.nan, 0.2]]))


def test_unusable_parameters_and_masks_are_refused():
    with pytest.raises(ConfigError, match="threshold is 50"):
        detect_infection(np.zeros((2, 2)), threshold=50)
    with pytest.raises(ConfigError, match="at least 1 pixel"):
        detect_infection(np.zeros((2, 2)), minimum_area=0)
    with pytest.raises(MaskError, match="resize the mask"):
        detect_infection(np.zeros((2, 2)), np.ones((4, 4), bool))
    with pytest.raises(MaskError, match="expected bool"):
        infected_share(INFECTION.astype(np.uint8), RIGHT)
