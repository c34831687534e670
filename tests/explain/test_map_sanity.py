"""Measures of similar maps against references, and networks that come out of the cascade as they went in."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import nn

from patchcxr.errors import MaskError, ModelError
from patchcxr.explain.gradcam import grad_cam
from patchcxr.explain.sanity import cascade, cascade_steps, map_similarity, randomise, seed_agreement
from patchcxr.models.registry import ModelConfig, create_model


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    model = nn.Sequential(*layers)
    model(torch.rand(8, 1, 16, 16))  # running statistics that are not those of the start
    return model


def test_similarity_equals_scipy_and_skimage(rng):
    first, second = rng.random((40, 50)), rng.random((40, 50)) ** 2
    first[:, :10] = 0  # ties
    found = map_similarity(first, second)
    assert found.spearman == pytest.approx(spearmanr(first.ravel(), second.ravel())[0], abs=1e-12)
    _, full = structural_similarity(
        first / first.max(), second / second.max(), data_range=1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    assert found.ssim == pytest.approx(full.mean(), abs=1e-9)
    top = [set(np.argsort(values.ravel())[-200:].tolist()) for values in (first, second)]
    assert found.top_overlap == pytest.approx(len(top[0] & top[1]) / 200)
    assert 0.03 < found.top_overlap < 0.2


def test_only_pixels_of_the_mask_that_both_maps_know_are_compared(rng):
    first, second, within = rng.random((20, 20)), rng.random((20, 20)), np.zeros((20, 20), dtype=bool)
    within[5:15, 5:15] = True
    changed = np.where(within, second, 0)
    assert map_similarity(first, changed, within).spearman == map_similarity(first, second, within).spearman
    assert map_similarity(first, changed).spearman != map_similarity(first, second).spearman
    holed = second.copy()
    holed[5:10] = np.nan
    half = within & (np.indices((20, 20))[0] >= 10)
    assert map_similarity(first, holed, within).spearman == map_similarity(first, second, half).spearman


def test_a_reversed_map_and_a_constant_one():
    ramp = np.arange(100.0).reshape(10, 10) + 1
    assert map_similarity(ramp, ramp[::-1, ::-1]).spearman == pytest.approx(-1)
    assert map_similarity(ramp, ramp[::-1, ::-1]).top_overlap == 0
    assert all(math.isnan(value) for value in map_similarity(ramp, np.zeros((10, 10))))
    assert all(math.isnan(value) for value in map_similarity(ramp, np.full((10, 10), np.nan)))


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(MaskError, match="one shape"):
        map_similarity(np.ones((3, 3)), np.ones((3, 4)))
    with pytest.raises(MaskError, match="at least one pixel"):
        map_similarity(np.ones((3, 3)), np.ones((3, 3)), np.zeros((3, 3), dtype=bool))
    with pytest.raises(MaskError, match="two or more"):
        seed_agreement([np.ones((3, 3))])


def test_agreement_is_the_mean_over_all_pairs(rng):
    maps = [rng.random((12, 12)) for _ in range(3)]
    pairs = [spearmanr(maps[i].ravel(), maps[j].ravel())[0] for i, j in ((0, 1), (0, 2), (1, 2))]
    assert seed_agreement(maps) == pytest.approx(np.mean(pairs))


def test_parts_of_a_resnet_run_from_the_head_to_the_first_convolution():
    model = create_model(ModelConfig(architecture="resnet18", num_classes=3), seed=0)
    steps = cascade_steps(model)
    names = [name.removeprefix("trunk.") for name in steps]
    assert names == ["head", "layer4", "layer3", "layer2", "layer1", "bn1", "conv1"]
    known = {id(weight) for modules in steps.values() for module in modules for weight in module.parameters()}
    assert known == {id(weight) for weight in model.parameters()}


def test_each_step_changes_its_part_and_those_before_it_and_everything_comes_back(rng):
    model = network()
    before = copy.deepcopy(model.state_dict())

    def changed() -> set[str]:
        return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}

    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    found = cascade(model, changed)
    assert list(found) == ["original", "5", "1", "0"]
    assert found["original"] == set()
    assert found["5"] == {"5.weight", "5.bias"}
    assert found["1"] - found["5"] == statistics  # a fresh norm has the weights 1 and 0 that this one never left
    assert found["0"] - found["1"] == {"0.weight", "0.bias"}
    assert changed() == set()


def test_weights_come_back_after_an_error_and_the_global_seed_is_left_alone():
    model = network()
    before = copy.deepcopy(model.state_dict())
    calls = []

    def fail() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyError

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with pytest.raises(KeyError):
        cascade(model, fail)
    assert torch.rand(1) == expected
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_same_seed_draws_the_same_weights_and_another_one_others():
    drawn = []
    for seed in (0, 0, 1):
        model = network()
        randomise(list(model), seed)
        drawn.append(model[0].weight.detach().clone())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_weights_of_a_module_that_cannot_reset_itself_keep_their_mean_and_spread():
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(3 + 0.5 * torch.randn(4000, generator=torch.Generator().manual_seed(0)))

    module = Scale()
    before = module.factor.detach().clone()
    randomise([module], 1)
    drawn = module.factor.detach()
    assert not torch.equal(drawn, before)
    assert float(drawn.mean()) == pytest.approx(3, abs=0.05)
    assert float(drawn.std()) == pytest.approx(0.5, abs=0.05)


def test_a_map_of_the_weights_changes_along_the_cascade_and_one_of_edges_does_not(rng):
    model, film = network(), rng.random((16, 16))
    maps = cascade(model, lambda: grad_cam(model, film, 1)[0])
    edges = cascade(model, lambda: np.hypot(*np.gradient(film)))
    assert map_similarity(maps["original"], maps["0"]).spearman < 0.9
    assert map_similarity(edges["original"], edges["0"]).spearman == pytest.approx(1)


def test_a_network_without_weights_is_named():
    with pytest.raises(ModelError, match="no weights"):
        cascade(nn.ReLU(), lambda: 0)
