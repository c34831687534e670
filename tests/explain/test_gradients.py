"""The layer that is explained where none is named, hooks and memory, and networks that break what they promise."""

from __future__ import annotations

import gc
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import densenet121, resnet18

from patchcxr.errors import ImageError, ModelError
from patchcxr.explain.gradcam import grad_cam, grad_cam_of_classes
from patchcxr.explain.gradients import find_layer
from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.forward import has_closed_form
from patchcxr.inference.voting import VoteConfig, vote
from patchcxr.models.classifiers import classifier

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from captum.attr import LayerAttribution, LayerGradCam


class Promising(nn.Module):
    """Has features() and a linear head; what lies between them is ``between``."""

    def __init__(self, between: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.trunk = nn.Sequential(nn.Conv2d(1, 6, 3, stride=4, padding=1), nn.Tanh())
        self.between = nn.Identity() if between is None else between
        self.head = nn.Linear(6, 3)
        self.passes = 0

    def features(self, x):
        return self.trunk(x)

    def forward(self, x):
        self.passes += 1
        return self.head(self.between(self.features(x).mean((2, 3))))


def small(**changes) -> nn.Module:
    """A convolutional classifier with no attribute that says how it is built."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    return nn.Sequential(*layers)


def named(model: nn.Module, layer: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if module is layer)


def grey(network: nn.Module, first: str) -> nn.Module:
    """A network of torchvision for films of one channel."""
    old = network.get_submodule(first)
    parent, _, name = first.rpartition(".")
    new = nn.Conv2d(1, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False)
    setattr(network.get_submodule(parent), name, new)
    return network.eval()


@pytest.mark.parametrize(
    ("make", "first", "expected"),
    [(resnet18, "conv1", "layer4"), (densenet121, "features.conv0", "features")],
)
def test_bare_networks_with_inplace_relus_equal_captum_without_a_named_layer(rng, make, first, expected):
    torch.manual_seed(1)
    model = grey(make(weights=None, num_classes=4), first)
    films, targets = torch.from_numpy(rng.random((3, 1, 64, 64)).astype(np.float32)), [3, 0, 2]
    layer = find_layer(model, films)
    assert named(model, layer) == expected
    found = grad_cam(model, films, targets, "none")
    # captum needs the maps before anything changes them in place.
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    copied = layer.register_forward_hook(lambda module, inputs, output: output.clone())
    maps = LayerGradCam(model, layer).attribute(films, target=torch.tensor(targets), relu_attributions=True)
    copied.remove()
    expected_maps = LayerAttribution.interpolate(maps, (64, 64), "bilinear").detach().numpy()[:, 0]
    assert expected_maps.max() > 1e-4
    np.testing.assert_allclose(found, expected_maps, atol=1e-5 * max(1.0, expected_maps.max()))


def test_a_classifier_with_a_dense_layer_is_explained_at_its_trunk(rng):
    torch.manual_seed(0)
    model = classifier("torchvision", "resnet18", 3, hidden=8).eval()
    films = rng.random((2, 64, 64)).astype(np.float32)
    assert find_layer(model, torch.zeros(1, 1, 64, 64)) is model.trunk
    np.testing.assert_array_equal(
        grad_cam(model, films, [0, 2], "none"), grad_cam(model, films, [0, 2], "none", layer=model.trunk)
    )
    with pytest.raises(ModelError, match="for the identity"):
        grad_cam(model, films, 0, method="identity")


def test_squeezed_maps_of_one_pixel_are_passed_over():
    class Squeezing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.pool, self.squeeze, self.end = nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

        def forward(self, x):
            return self.end(self.squeeze(self.pool(self.norm(self.block(x)))).flatten(1))

    model = Squeezing().eval()
    assert find_layer(model, torch.rand(2, 1, 8, 8)) is model.norm


def test_a_network_without_maps_is_named():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(ModelError, match="after a convolution"):
        grad_cam(model, np.zeros((1, 8, 8)), 0)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("between", [nn.ReLU(), nn.LayerNorm(6), nn.Sequential(nn.Linear(6, 6), nn.Tanh())])
def test_a_network_that_breaks_its_promise_gets_gradients_and_no_identity(rng, between):
    films = rng.random((3, 24, 24)).astype(np.float32)
    model = Promising(between).eval()
    assert not has_closed_form(model, (24, 24))
    found = grad_cam(model, films, [0, 1, 2], "none")
    maps = LayerGradCam(model, model.trunk).attribute(
        torch.from_numpy(films)[:, None], target=torch.tensor([0, 1, 2]), relu_attributions=True
    )
    expected = LayerAttribution.interpolate(maps, (24, 24), "bilinear").detach().numpy()[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ModelError, match="not head"):
        grad_cam(model, films, 0, method="identity")
    lung, config = np.ones((24, 24), dtype=bool), VoteConfig(patches=3, patch_size=16, image_size=24)
    votes = vote(model, films[0], lung, config).probabilities
    cam = probabilistic_grad_cam(model, films[0], lung, config)
    np.testing.assert_allclose(votes, cam.vote.probabilities, atol=1e-6)


def test_a_dropout_between_keeps_the_promise_since_networks_are_explained_in_evaluation_mode():
    assert has_closed_form(Promising(nn.Dropout(0.5)).train(), (24, 24))


def test_the_promise_is_tried_once_a_network_and_again_for_another_head(rng):
    model, film = Promising(), rng.random((1, 24, 24))
    for _ in range(3):
        grad_cam(model, film, 0)
    assert model.passes == 1
    model.head = nn.Linear(6, 5)
    grad_cam(model, film, 4)
    assert model.passes == 2


def test_the_memory_of_a_promise_goes_with_its_network():
    from patchcxr.inference import forward

    gc.collect()
    before, model = len(forward._kept), Promising()
    has_closed_form(model, (24, 24))
    assert len(forward._kept) == before + 1
    del model
    gc.collect()
    assert len(forward._kept) == before


@pytest.mark.parametrize("method", ["identity", "autograd"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_named(rng, method, value):
    model = Promising()
    with torch.no_grad():
        model.head.bias[1] = value
    film, lung = rng.random((24, 24)).astype(np.float32), np.ones((24, 24), dtype=bool)
    with pytest.raises(ModelError, match="NaN or infinite logits for 2 of 2 images"):
        grad_cam(model, np.stack([film, film]), 0, method=method)
    with pytest.raises(ModelError, match="NaN or infinite logits"):
        probabilistic_grad_cam(model, film, lung, VoteConfig(patches=2, patch_size=16, image_size=24), method=method)


def test_a_dense_pass_of_a_network_with_nan_is_named(rng):
    model = Promising()
    with torch.no_grad():
        model.trunk[0].weight[0] = np.nan
    config = VoteConfig(patch_size=16, image_size=24, mode="dense", stride=4)
    with pytest.raises(ModelError, match="NaN or infinite logits"):
        probabilistic_grad_cam(model, rng.random((24, 24)).astype(np.float32), np.ones((24, 24), bool), config)


def test_nan_in_a_gradient_alone_is_named():
    class Rooted(nn.Module):
        """sqrt has an infinite slope at 0, where the logits are finite."""

        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Conv2d(1, 2, 1, bias=False)
            nn.init.ones_(self.block.weight)

        def forward(self, x):
            return (self.block(x).relu() * 0).mean((2, 3)).sqrt()

    model = Rooted()
    with pytest.raises(ModelError, match="gradient of a score"):
        grad_cam(model, np.ones((1, 4, 4)), 0, layer=model.block)


def test_a_layer_that_the_logits_do_not_use_is_named(rng):
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)

        def forward(self, x):
            self.unused(x)
            return self.used(x).mean((2, 3))

    model = Aside()
    with pytest.raises(ModelError, match="do not depend"):
        grad_cam(model, rng.random((1, 8, 8)), 0, layer=model.unused)


def test_an_output_that_is_no_table_of_logits_is_named():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(ModelError, match=r"logits of shape \(1, 2, 6, 6\)"):
        grad_cam(model, np.zeros((1, 8, 8)), 0, layer=model[0])


def test_all_classes_of_one_pass_are_the_classes_one_by_one(rng):
    films = rng.random((2, 24, 24)).astype(np.float32)
    for model in (Promising(), Promising(nn.ReLU()), small()):
        found = grad_cam_of_classes(model, films)
        for index in range(3):
            np.testing.assert_allclose(found.maps[:, index], grad_cam(model, films, index), atol=1e-6)
        with torch.no_grad():
            expected = model.eval()(torch.from_numpy(films)[:, None]).softmax(1).numpy()
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
        np.testing.assert_array_equal(grad_cam_of_classes(model, films, [2, 0]).maps, found.maps[:, [2, 0]])


def test_a_thousand_calls_leave_no_hook_no_tensor_and_no_memory(rng):
    model, film = small(), rng.random((1, 12, 12)).astype(np.float32)

    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules())

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(found), torch.Tensor) for found in gc.get_objects())

    for _ in range(20):
        grad_cam(model, film, 1)
    before = tensors()
    for _ in range(950):
        grad_cam(model, film, 1)
    tracemalloc.start()
    begin, _ = tracemalloc.get_traced_memory()
    for _ in range(50):
        grad_cam(model, film, 1)
    end, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert hooks() == 0
    assert tensors() == before
    assert end - begin < 50_000  # a film has 576 bytes, and a call keeps none of it


def test_a_failing_forward_pass_leaves_no_hook_where_the_layer_is_looked_for():
    model = small()
    model.add_module("5", nn.Linear(7, 2))
    with pytest.raises(RuntimeError):
        grad_cam(model, np.zeros((1, 12, 12)), 0)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_film_without_pixels_is_refused_and_one_of_a_few_is_not():
    with pytest.raises(ImageError):
        grad_cam(small(), np.zeros((1, 0, 0)), 0)
    assert grad_cam(small(), np.ones((1, 3, 3)), 0, "none").shape == (1, 3, 3)
