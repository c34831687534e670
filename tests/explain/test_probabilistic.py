from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError, EmptyLungError, ModelError
from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.voting import VoteConfig, vote
from patchcxr.models.registry import ModelConfig, create_model

SIDE, PATCH = 60, 28
CONFIG = VoteConfig(patches=23, patch_size=PATCH, image_size=SIDE, batch_size=6, stride=4)


class PatchNetwork(nn.Module):
    """Pooled-linear classifier, stride 4, with enough context that borders matter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 6, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(8, 4)
        with torch.no_grad():
            self.head.weight.mul_(6)

    def features(self, x):
        return self.trunk(x)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class TwoLayerNetwork(nn.Module):
    """No closed form: a hidden layer between the features and the logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.block = nn.Sequential(nn.Conv2d(1, 6, 3, stride=4, padding=1), nn.ReLU())
        self.end = nn.Sequential(nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(24, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, x):
        return self.end(self.block(x))


def reference(image, centres, features_of, logits_of, n_classes, size, scaled=True):
    """Eq. 3 to 5 as they are printed: one patch and one class at a time, by backward passes."""
    height, width = image.shape
    sums = np.zeros((n_classes, height, width))
    counts = np.zeros((height, width))
    votes = []
    for row, column in centres:
        patch = np.zeros((size, size), dtype=np.float32)
        inside = np.zeros((size, size), dtype=bool)
        for i in range(size):
            for j in range(size):
                r, c = row - size // 2 + i, column - size // 2 + j
                if 0 <= r < height and 0 <= c < width:
                    patch[i, j], inside[i, j] = image[r, c], True
                    counts[r, c] += 1
        features = features_of(torch.from_numpy(patch)[None, None]).detach().requires_grad_()
        logits = logits_of(features)
        probability = torch.softmax(logits, dim=1)[0].detach().numpy()
        votes.append(int(logits.argmax()))
        for k in range(n_classes):
            (gradient,) = torch.autograd.grad(logits[0, k], features, retain_graph=True)
            z = features.shape[2] * features.shape[3]
            cam = torch.zeros(features.shape[2:])
            for channel in range(features.shape[1]):
                cam += gradient[0, channel].sum() / z * features[0, channel].detach()
            cam = cam.clamp(min=0)[None, None]
            cam = nn.functional.interpolate(cam, (size, size), mode="bilinear", align_corners=False)[0, 0].numpy()
            if scaled:
                cam = (cam - cam.min()) / (cam.max() - cam.min()) if cam.max() > cam.min() else np.zeros_like(cam)
            for i, j in np.argwhere(inside):
                sums[k, row - size // 2 + i, column - size // 2 + j] += probability[k] * cam[i, j]
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0), counts, votes


@pytest.fixture(scope="module")
def film():
    rng = np.random.default_rng(7)
    lung = np.zeros((SIDE, SIDE), dtype=bool)
    lung[0:50, 2:24] = True
    lung[4:60, 34:60] = True
    return (rng.random((SIDE, SIDE)) * lung).astype(np.float32), lung


def overhanging(centres, size, side):
    low, high = centres - size // 2, centres - size // 2 + size
    return ((low < 0) | (high > side)).any(axis=1)


@pytest.mark.parametrize("normalization", ["minmax", "none"])
@pytest.mark.parametrize("method", ["identity", "autograd"])
def test_it_equals_eq_5_patch_by_patch_for_all_classes(film, method, normalization):
    image, lung = film
    model = PatchNetwork().train()
    found = probabilistic_grad_cam(
        model, image, lung, CONFIG, np.random.default_rng(1), normalization=normalization, method=method
    )
    assert model.training
    model.eval()
    centres = found.vote.centres
    assert 3 < overhanging(centres, PATCH, SIDE).sum() < len(centres)
    scaled = normalization == "minmax"
    expected, counts, votes = reference(
        image, centres, model.features, lambda f: model.head(f.mean((2, 3))), 4, PATCH, scaled
    )
    assert 0 < (counts == 0).sum() < counts.size
    scale = expected.max(axis=(1, 2), keepdims=True)
    assert (scale > (0.05 if scaled else 1e-4)).all()
    np.testing.assert_allclose(found.maps / scale, expected / scale, atol=1e-5)
    assert not found.maps[:, counts == 0].any()
    assert found.vote.votes.tolist() == np.bincount(votes, minlength=4).tolist()


def test_a_network_without_a_closed_form_equals_eq_5_too(film):
    image, lung = film
    model = TwoLayerNetwork()
    found = probabilistic_grad_cam(model, image, lung, CONFIG, layer=model.block)
    expected, _, _ = reference(image, found.vote.centres, model.block, model.end, 4, PATCH)
    np.testing.assert_allclose(found.maps, expected, atol=1e-5)
    assert not any(module._forward_hooks for module in model.modules())
    unnamed = probabilistic_grad_cam(model, image, lung, CONFIG)
    np.testing.assert_array_equal(unnamed.maps, found.maps)


def test_a_resnet_equals_eq_5_patch_by_patch(film):
    rng = np.random.default_rng(3)
    image, lung = rng.random((80, 80)).astype(np.float32), np.ones((80, 80), dtype=bool)
    model = create_model(ModelConfig(architecture="resnet18", num_classes=3), seed=1)
    config = VoteConfig(patches=5, patch_size=64, image_size=80, batch_size=2)
    found = probabilistic_grad_cam(model, image, lung, config, rng)
    model.eval()
    expected, _, _ = reference(image, found.vote.centres, model.features, lambda f: model.head(f.mean((2, 3))), 3, 64)
    np.testing.assert_allclose(found.maps, expected, atol=1e-5)


def test_one_patch_at_a_time_gives_the_same_maps_as_large_batches(film):
    image, lung = film
    model = PatchNetwork()
    one, many = (probabilistic_grad_cam(model, image, lung, replace(CONFIG, batch_size=size)) for size in (1, 50))
    np.testing.assert_allclose(one.maps, many.maps, atol=1e-6)


def test_the_vote_is_the_vote_of_the_same_patches(film):
    image, lung = film
    model = PatchNetwork()
    for mode in ("sampled", "dense"):
        config = replace(CONFIG, mode=mode)
        found = probabilistic_grad_cam(model, image, lung, config, np.random.default_rng(9)).vote
        alone = vote(model, image, lung, config, np.random.default_rng(9))
        np.testing.assert_array_equal(found.centres, alone.centres)
        np.testing.assert_allclose(found.probabilities, alone.probabilities, atol=1e-6)
        assert (found.prediction, found.votes.tolist()) == (alone.prediction, alone.votes.tolist())


def test_dense_maps_equal_eq_5_over_windows_of_one_pass(film):
    image, lung = film
    model = PatchNetwork().eval()
    found = probabilistic_grad_cam(model, image, lung, replace(CONFIG, mode="dense"))
    centres = found.vote.centres
    first, last = centres.min(0) - PATCH // 2, centres.max(0) - PATCH // 2 + PATCH
    padded = np.pad(image, PATCH)
    region = padded[first[0] + PATCH : last[0] + PATCH, first[1] + PATCH : last[1] + PATCH]
    with torch.no_grad():
        cells = model.features(torch.from_numpy(region)[None, None])
    windows = iter(centres)

    def cut(_patch):
        i, j = (next(windows) - PATCH // 2 - first) // 4
        return cells[:, :, i : i + 7, j : j + 7]

    expected, _, _ = reference(image, centres, cut, lambda f: model.head(f.mean((2, 3))), 4, PATCH)
    np.testing.assert_allclose(found.maps, expected, atol=1e-5)


def test_classes_are_mapped_in_the_order_asked_for(film):
    image, lung = film
    model = PatchNetwork()
    everything = probabilistic_grad_cam(model, image, lung, CONFIG)
    some = probabilistic_grad_cam(model, image, lung, CONFIG, classes=[3, 1])
    np.testing.assert_allclose(some.maps, everything.maps[[3, 1]], atol=1e-6)
    np.testing.assert_array_equal(some.vote.probabilities, everything.vote.probabilities)
    none = probabilistic_grad_cam(model, image, lung, CONFIG, classes=())
    assert none.maps.shape == (0, SIDE, SIDE)
    np.testing.assert_array_equal(none.vote.votes, everything.vote.votes)


def test_a_patch_of_low_probability_is_dimmer_than_one_of_high_probability():
    """Two patches that do not touch: each map peaks at the probability of its own patch."""
    image, lung = np.zeros((32, 32), dtype=np.float32), np.zeros((32, 32), dtype=bool)
    lung[8, 8] = lung[24, 24] = True
    rng = np.random.default_rng(0)
    image[:16, :16], image[16:, 16:] = rng.random((16, 16)), rng.random((16, 16)) * 0.3
    config = VoteConfig(patches=12, patch_size=16, image_size=32)
    found = probabilistic_grad_cam(PatchNetwork(), image, lung, config, rng)
    first = found.vote.probabilities[found.vote.centres[:, 0] == 8][0]
    second = found.vote.probabilities[found.vote.centres[:, 0] == 24][0]
    peaks = found.maps[:, :16, :16].max(axis=(1, 2)), found.maps[:, 16:, 16:].max(axis=(1, 2))
    seen = (peaks[0] > 0) & (peaks[1] > 0)
    assert seen.sum() >= 2
    assert np.abs(first - second)[seen].max() > 0.05
    np.testing.assert_allclose(peaks[0][seen], first[seen], atol=1e-5)
    np.testing.assert_allclose(peaks[1][seen], second[seen], atol=1e-5)


def test_maps_stay_in_the_unit_interval(film):
    image, lung = film
    maps = probabilistic_grad_cam(PatchNetwork(), image, lung, CONFIG).maps
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_what_cannot_be_done_is_named(film):
    image, lung = film
    with pytest.raises(EmptyLungError):
        probabilistic_grad_cam(PatchNetwork(), image, np.zeros_like(lung), CONFIG)
    with pytest.raises(ModelError, match="expected 0 to 3"):
        probabilistic_grad_cam(PatchNetwork(), image, lung, CONFIG, classes=[4])
    model, dense = TwoLayerNetwork(), replace(CONFIG, mode="dense")
    with pytest.raises(ModelError, match="sampled"):
        probabilistic_grad_cam(model, image, lung, dense, layer=model.block)
    with pytest.raises(ConfigError, match="normalization"):
        probabilistic_grad_cam(PatchNetwork(), image, lung, CONFIG, normalization="sum")
