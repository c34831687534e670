"""The pooled-linear classifier against torchvision."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from patchcxr.errors import ModelError
from patchcxr.models.classifiers import PooledLinearClassifier, classifier
from patchcxr.models.inputs import IMAGENET_MEAN, IMAGENET_STD, Standardize, StandardizeBatch
from patchcxr.models.registry import ModelConfig, create_model


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_logits_are_those_of_torchvision(name):
    torch.manual_seed(0)
    reference = torchvision.models.get_model(name, weights=None, num_classes=4)
    network = classifier("torchvision", name, 4)
    for child, module in network.trunk.named_children():
        module.load_state_dict(getattr(reference, child).state_dict())
    network.head.load_state_dict(reference.fc.state_dict())

    films = torch.rand(2, 1, 96, 64)
    colour = torchvision.transforms.functional.normalize(films.expand(-1, 3, -1, -1), IMAGENET_MEAN, IMAGENET_STD)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(films), reference.eval()(colour), rtol=1e-5, atol=1e-5)


def test_logits_are_the_head_of_the_mean_feature():
    network = create_model(ModelConfig(architecture="resnet18", num_classes=3), seed=0).eval()
    films = torch.rand(2, 1, 64, 96)
    with torch.inference_mode():
        features = network.features(films)
        assert features.shape == (2, 512, 64 // network.feature_stride, 96 // network.feature_stride)
        assert features.min() >= 0
        expected = features.mean((2, 3)) @ network.head.weight.T + network.head.bias
        torch.testing.assert_close(network(films), expected)


def test_hooks_on_the_last_relu_see_what_came_in_and_the_gradient_that_comes_back():
    network = create_model(ModelConfig(architecture="resnet18", num_classes=2), seed=0).eval()
    seen = {}
    block = network.trunk.layer4[-1]
    block.relu.register_forward_hook(lambda module, x, y: seen.update(before=x[0], after=y))
    block.register_full_backward_hook(lambda module, x, y: seen.update(gradient=y[0]))
    network(torch.rand(1, 1, 64, 64))[0, 1].backward()
    assert seen["before"].min() < 0
    assert torch.equal(seen["before"].relu(), seen["after"])
    expected = network.head.weight[1] / 4  # the mean over 2 × 2 places
    torch.testing.assert_close(seen["gradient"][0], expected[:, None, None].expand(-1, 2, 2))


def test_weights_that_cannot_be_downloaded_name_the_remedy(monkeypatch):
    def offline(name, weights):
        assert weights == "IMAGENET1K_V1"
        raise OSError("Name or service not known")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(ModelError, match=r"resnet18 cannot be downloaded .* set encoder_weights: none"):
        create_model(ModelConfig(architecture="resnet18", num_classes=2, encoder_weights="imagenet"))


def test_grey_is_replicated_to_three_channels():
    grey = torch.tensor([[[[0.485, 0.5]]]])
    red, green, blue = Standardize(IMAGENET_MEAN, IMAGENET_STD)(grey)[0, :, 0, 0]
    assert (red, round(float(green), 4), round(float(blue), 4)) == (0, 0.1295, 0.3511)


def test_another_trunk_can_be_given():
    network = PooledLinearClassifier(nn.Conv2d(3, 2, 1, bias=False), 2, 1, feature_stride=1)
    nn.init.ones_(network.trunk.weight)
    nn.init.ones_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    film = torch.full((1, 1, 2, 2), 0.5)
    expected = 2 * sum((0.5 - m) / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    assert network(film).item() == pytest.approx(expected, abs=1e-5)


def test_batches_are_standardised_by_their_own_mean_and_deviation():
    films = torch.rand(3, 1, 8, 8) * 0.2 + 0.5
    network = create_model(ModelConfig(architecture="resnet18", num_classes=2, standardization="batch"), seed=0)
    standard = network.standardize(films)
    assert standard.shape == (3, 3, 8, 8)
    torch.testing.assert_close(standard.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(correction=0), torch.tensor(1.0), atol=1e-5, rtol=0)
    for channel in range(1, 3):
        torch.testing.assert_close(standard[:, channel], standard[:, 0])
    brighter = network.eval()(torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)))
    dimmer = network(torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.1)
    torch.testing.assert_close(brighter, dimmer, atol=1e-4, rtol=1e-4)


def test_a_batch_of_one_grey_level_gives_finite_values():
    assert StandardizeBatch()(torch.full((2, 1, 4, 4), 0.3)).abs().max() < 1e-3


def test_segmenters_refuse_standardisation_by_batch():
    with pytest.raises(ModelError, match="fixed standardization only"):
        create_model(ModelConfig(architecture="unet", num_classes=4, standardization="batch"))
