from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError, ModelError
from patchcxr.explain.gradcam import grad_cam
from patchcxr.models.registry import ModelConfig, create_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from captum.attr import LayerAttribution, LayerGradCam


class Pooled(nn.Module):
    """Two convolutions, mean, linear; stride 4."""

    def __init__(self, classes: int = 3, inplace: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.ReLU(inplace),
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(6, classes)
        with torch.no_grad():
            self.head.weight.mul_(5)

    def features(self, x):
        return self.trunk(x)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class Deep(nn.Module):
    """A convolutional classifier with two linear layers: no closed form."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.block = nn.Conv2d(1, 5, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace)
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x):
        return self.end(self.relu(self.block(x)))


class Worked(nn.Module):
    """f = (2x, 1 - x); y = ((f0 - f1), 2 f1) of their means."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 1)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.tensor([2.0, -1.0]).reshape(2, 1, 1, 1))
            self.convolution.bias.copy_(torch.tensor([0.0, 1.0]))
            self.head.weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 2.0]]))

    def features(self, x):
        return self.convolution(x).relu()

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


@pytest.fixture
def films(rng) -> torch.Tensor:
    return torch.from_numpy(rng.random((6, 1, 24, 20)).astype(np.float32))


def captum_map(model, layer, films, targets):
    model.eval()
    maps = LayerGradCam(model, layer).attribute(films, target=torch.tensor(targets), relu_attributions=True)
    return LayerAttribution.interpolate(maps, films.shape[2:], "bilinear").detach().numpy()[:, 0]


@pytest.mark.parametrize("method", ["identity", "autograd"])
def test_a_network_worked_out_by_hand(method):
    # alpha = w / 4, so the maps are relu((3x - 1) / 4) and (1 - x) / 2
    film = np.array([[[0.0, 0.5], [1.0, 0.25]]])
    raw = [[[0.0, 0.125], [0.5, 0.0]], [[0.5, 0.25], [0.0, 0.375]]]
    scaled = [[[0.0, 0.25], [1.0, 0.0]], [[1.0, 0.5], [0.0, 0.75]]]
    both = film.repeat(2, axis=0)
    np.testing.assert_allclose(grad_cam(Worked(), both, [0, 1], "none", method), raw, atol=1e-7)
    np.testing.assert_allclose(grad_cam(Worked(), both, [0, 1], "minmax", method), scaled, atol=1e-6)
    np.testing.assert_allclose(grad_cam(Worked(), both, [0, 1], "max", method), scaled, atol=1e-6)


def test_upsampling_interpolates_between_pixel_centres():
    class Halved(Worked):
        def features(self, x):
            return nn.functional.avg_pool2d(super().features(x), 2)

    # features x = 0 and 1 give relu((3x - 1) / 2) = 0 and 1; bilinear with half-pixel centres: 0, 1/4, 3/4, 1
    film = np.array([[[0.0, 0.0, 1.0, 1.0]] * 2])
    np.testing.assert_allclose(grad_cam(Halved(), film, 0, "none"), [[[0, 0.25, 0.75, 1]] * 2], atol=1e-6)


@pytest.mark.parametrize("inplace", [False, True])
def test_raw_maps_of_mixed_classes_equal_captum(films, inplace):
    targets = [0, 1, 2, 2, 1, 0]
    reference = Pooled()
    expected = captum_map(reference, reference.trunk[4], films, targets)
    model = Pooled(inplace=inplace)
    for method in ("identity", "autograd"):
        found = grad_cam(model, films, targets, normalization="none", method=method)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert expected.max() > 0.02


@pytest.mark.parametrize("inplace", [False, True])
def test_a_layer_of_any_classifier_equals_captum_even_before_an_inplace_relu(films, inplace):
    targets = [2, 0, 1, 1, 0, 2]
    reference = Deep()
    expected = captum_map(reference, reference.block, films, targets)
    model = Deep(inplace=inplace)
    np.testing.assert_allclose(grad_cam(model, films, targets, "none", layer=model.block), expected, atol=1e-6)
    assert expected.max() > 0


def test_the_identity_equals_autograd_for_a_resnet(rng):
    model = create_model(ModelConfig(architecture="resnet18", num_classes=4), seed=0)
    films = rng.random((2, 96, 96)).astype(np.float32)
    for normalization in ("none", "minmax"):
        identity = grad_cam(model, films, [1, 3], normalization, "identity")
        autograd = grad_cam(model, films, [1, 3], normalization, "autograd")
        hooked = grad_cam(model, films, [1, 3], normalization, layer=model.trunk.get_submodule("layer4"))
        np.testing.assert_allclose(identity, autograd, atol=1e-5)
        np.testing.assert_allclose(identity, hooked, atol=1e-5)
        assert identity.max() > 1e-3


def test_each_image_has_the_map_it_has_alone(films):
    targets = [0, 1, 2, 2, 1, 0]
    for method in ("identity", "autograd"):
        together = grad_cam(Pooled(), films, targets, "none", method)
        alone = [grad_cam(Pooled(), films[i], targets[i], "none", method)[0] for i in range(6)]
        np.testing.assert_allclose(together, alone, atol=1e-6)


def test_minmax_and_max_bring_each_map_to_its_own_scale(films):
    raw = grad_cam(Pooled(), films, 1, "none")
    low, high = raw.min((1, 2), keepdims=True), raw.max((1, 2), keepdims=True)
    assert (high > 0).all()
    np.testing.assert_allclose(grad_cam(Pooled(), films, 1, "minmax"), (raw - low) / (high - low), atol=1e-6)
    np.testing.assert_allclose(grad_cam(Pooled(), films, 1, "max"), raw / high, atol=1e-6)


def test_a_constant_map_becomes_zero_and_a_map_of_zeros_stays_zero():
    constant, dark = np.full((1, 4, 4), 0.9), np.zeros((1, 4, 4))
    assert grad_cam(Worked(), constant, 0, "none").min() > 0
    assert not grad_cam(Worked(), constant, 0, "minmax").any()
    np.testing.assert_allclose(grad_cam(Worked(), constant, 0, "max"), 1)
    assert not grad_cam(Worked(), dark, 0, "max").any()


def test_nothing_is_left_behind_on_the_network(films):
    model = Deep().train()
    model.end.eval()
    grad_cam(model, films, 0, layer=model.block)
    with pytest.raises(ModelError):
        grad_cam(model, films, 7, layer=model.block)
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert all(weight.grad is None for weight in model.parameters())
    assert model.training
    assert not model.end.training


def test_a_failing_network_leaves_no_hook():
    model = Deep()
    model.end[2] = nn.Linear(3, 8)
    with pytest.raises(RuntimeError):
        grad_cam(model, np.zeros((1, 8, 8)), 0, layer=model.block)
    assert not model.block._forward_hooks


def test_it_works_where_gradients_are_switched_off_or_weights_frozen(films):
    model = Deep()
    expected = grad_cam(model, films, 1, layer=model.block)
    with torch.no_grad():
        np.testing.assert_array_equal(grad_cam(model, films, 1, layer=model.block), expected)
    with torch.inference_mode():
        np.testing.assert_array_equal(grad_cam(model, films + 0, 1, layer=model.block), expected)
    model.requires_grad_(False)
    np.testing.assert_array_equal(grad_cam(model, films, 1, layer=model.block), expected)


def test_what_cannot_be_explained_is_named(films):
    model = Deep()
    with pytest.raises(ModelError, match="for the identity"):
        grad_cam(model, films, 0, method="identity")
    with pytest.raises(ModelError, match=r"expected one output of shape"):
        grad_cam(model, films, 0, layer=model.end[2])
    with pytest.raises(ModelError, match="runs once"):
        grad_cam(model, films, 0, layer=nn.ReLU())
    with pytest.raises(ModelError, match="expected 0 to 2"):
        grad_cam(Pooled(), films, [0, 1, 2, 3, 0, 0])
    with pytest.raises(ModelError, match="for 6 images"):
        grad_cam(Pooled(), films, [0, 1])
    with pytest.raises(ConfigError, match="normalization"):
        grad_cam(Pooled(), films, 0, normalization="zscore")
    with pytest.raises(ConfigError, match="method"):
        grad_cam(Pooled(), films, 0, method="closed")
