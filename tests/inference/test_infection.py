from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError, MaskError, ModelError
from patchcxr.inference.infection import (
    DetectionConfig,
    detect,
    infection_input,
    infection_mask,
    infection_probability,
    infection_score,
    infection_severity,
    needs_lung_masks,
    within_lungs,
)
from patchcxr.models.registry import ModelConfig
from patchcxr.models.trained import TrainedModel

TAHIR = DetectionConfig(rule="tahir")


class Logit(nn.Module):
    """One channel: the logit is 10 (x - 0.5)."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, channels, 1, 1), 10.0))

    def forward(self, x):
        return self.weight * (x - 0.5)


def test_probability_is_the_sigmoid_of_the_network_for_one_film_and_for_many(rng):
    films = rng.random((5, 4, 6)).astype(np.float32)
    expected = 1 / (1 + np.exp(-10 * (films - 0.5)))
    np.testing.assert_allclose(infection_probability(Logit(), films, batch_size=2), expected, atol=1e-6)
    np.testing.assert_allclose(infection_probability(Logit(), films[3]), expected[3], atol=1e-6)


def test_two_channels_are_background_and_infection_with_a_softmax(rng):
    films = rng.random((3, 4, 6)).astype(np.float32)
    model = Logit(2)
    with torch.no_grad():
        model.weight[:, 0] = -4.0
    infection, background = np.exp(10 * (films - 0.5)), np.exp(-4 * (films - 0.5))
    expected = infection / (infection + background)
    np.testing.assert_allclose(infection_probability(model, films, batch_size=2), expected, atol=1e-6)
    np.testing.assert_allclose(infection_probability(model, films[1]), expected[1], atol=1e-6)


def test_a_network_with_several_channels_is_refused():
    with pytest.raises(ModelError, match=r"Logit has 4 output channels; expected 1 .* or 2"):
        infection_probability(Logit(4), np.zeros((4, 4)))


def trained(**training):
    return TrainedModel(Logit(), ModelConfig(architecture="unet", num_classes=1), ("infection",), 4, {}, training)


def test_a_network_of_the_cascaded_scheme_sees_the_lungs_alone_and_refuses_films_without():
    film, lung = np.array([[0.25, 0.5]], dtype=np.float32), np.array([[True, False]])
    model = trained(input="masked_lungs")
    assert needs_lung_masks(model)
    assert infection_input(model, film, lung).tolist() == [[0.25, 0.0]]
    with pytest.raises(MaskError, match=r"masked_lungs\) but got no lung_mask; give one"):
        infection_input(model, film)
    with pytest.raises(MaskError, match="shape"):
        infection_input(model, film, lung[:, :1])


@pytest.mark.parametrize("training", [{}, {"input": "plain"}])
def test_a_network_of_the_parallel_scheme_sees_the_plain_film(training):
    film, lung = np.array([[0.25, 0.5]], dtype=np.float32), np.array([[True, False]])
    assert not needs_lung_masks(trained(**training))
    assert infection_input(trained(**training), film, lung) is film


def test_infection_outside_the_lungs_is_removed():
    probability = np.array([[0.9, 0.8], [0.3, 0.2]], dtype=np.float32)
    lung = np.array([[True, False], [True, False]])
    found = within_lungs(probability, lung)
    np.testing.assert_array_equal(found, np.float32([[0.9, 0], [0.3, 0]]))
    assert found.dtype == np.float32
    with pytest.raises(MaskError, match="resize_mask"):
        within_lungs(probability, lung[:1])


def test_the_threshold_itself_is_positive_for_degerli_and_not_for_tahir():
    probability, lung = np.array([[0.5, 0.1]]), np.array([[True, True]])
    assert detect(probability)
    assert not detect(probability, lung, TAHIR)
    assert infection_mask(probability).tolist() == [[True, False]]
    assert infection_mask(probability, lung, TAHIR).tolist() == [[False, False]]


def test_only_tahir_looks_at_the_lungs_alone():
    probability, lung = np.array([[0.9, 0.1]]), np.array([[False, True]])
    assert detect(probability, lung)
    assert not detect(probability, lung, TAHIR)
    with pytest.raises(MaskError, match="'tahir' got no lung_mask"):
        detect(probability, None, TAHIR)


@pytest.mark.parametrize("minimum_area", [1, 3, 10])
@pytest.mark.parametrize("rule", ["degerli", "tahir"])
def test_the_score_is_the_largest_threshold_at_which_the_film_is_positive(rng, minimum_area, rule):
    probability, lung = rng.random((8, 9)), rng.random((8, 9)) < 0.5
    score = infection_score(probability, lung, DetectionConfig(minimum_area=minimum_area, rule=rule))

    def positive(threshold: float) -> bool:
        return detect(probability, lung, DetectionConfig(threshold=threshold, minimum_area=minimum_area, rule=rule))

    assert positive(score - 1e-9)
    assert not positive(score + 1e-9)
    assert positive(score) == (rule == "degerli")


def test_a_film_with_fewer_pixels_than_the_least_area_scores_zero():
    assert infection_score(np.full((2, 2), 0.9), config=DetectionConfig(minimum_area=5)) == 0
    assert infection_score(np.full((2, 2), 0.9), np.zeros((2, 2), dtype=bool), TAHIR) == 0


def test_severity_is_the_infected_share_of_each_lung_in_percent():
    probability = np.array([[0.9, 0.2, 0.9, 0.8, 0.1, 0.1], [0.9, 0.9, 0.9, 0.1, 0.1, 0.1]])
    right, left = np.zeros((2, 6), dtype=bool), np.zeros((2, 6), dtype=bool)
    right[:, :2], left[:, 3:5] = True, True
    found = infection_severity(probability, right, left)
    assert found == {"overall_percent": 50.0, "right_lung_percent": 75.0, "left_lung_percent": 25.0}


def test_a_missing_lung_has_no_severity():
    right = np.array([[True, False]])
    found = infection_severity(np.array([[0.9, 0.9]]), right, np.zeros_like(right))
    assert found["right_lung_percent"] == 100
    assert np.isnan(found["left_lung_percent"])


@pytest.mark.parametrize(("field", "value"), [("threshold", 1.5), ("minimum_area", 0), ("rule", "oh")])
def test_a_wrong_detection_setting_is_named(field, value):
    with pytest.raises(ConfigError, match=f"detection.{field}"):
        DetectionConfig(**{field: value})
