"""Maps of one pass over the film: worked by hand, equal to patches where no padding is, and bounded in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from patchcxr.errors import EmptyLungError, MaskError, ModelError
from patchcxr.explain.dense import sum_windows
from patchcxr.explain.gradcam import scale_maps, upsample
from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.voting import VoteConfig


class Unpadded(nn.Module):
    """Convolutions without padding whose windows tile the film: what a window sees is what a patch sees."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.trunk = nn.Sequential(nn.Conv2d(1, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 2, stride=2), nn.ReLU())
        self.head = nn.Linear(8, classes)
        with torch.no_grad():
            self.head.weight.mul_(8)

    def features(self, x):
        return self.trunk(x)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class Worked(nn.Module):
    """f = x averaged over 2 x 2 pixels; y = (ln 3 / mean of ones) * (f, 0): p is 3/4 for a patch of mean 1."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[np.log(3.0)], [0.0]]))

    def features(self, x):
        return functional.avg_pool2d(x, 2)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


@pytest.fixture
def film(rng):
    lung = np.zeros((48, 48), dtype=bool)
    lung[4:40, 4:22] = lung[8:44, 26:44] = True
    return (rng.random((48, 48)) * lung).astype(np.float32), lung


@pytest.mark.parametrize("mode", ["sampled", "dense"])
def test_two_overlapping_patches_worked_out_by_hand(mode):
    # Patches of 4 x 4 at columns 0 to 3 and 2 to 5, features 2 x 2. Rows are all alike.
    # First: features (0, 2, over ones) -> mean 1, p 3/4; map (0, 1) -> upsampled 0, 1/4, 3/4, 1, times 3/4.
    # Second: features (2, 0) halved below by the film's range: the same mirrored.
    film = np.zeros((4, 6), dtype=np.float32)
    film[:, 2:4] = 1
    model = Worked()
    with torch.no_grad():
        model.head.weight.mul_(2)  # a patch of mean 1/2 has p = 3/4
    image = np.zeros((6, 6), dtype=np.float32)
    image[1:5] = film
    lung = np.zeros((6, 6), dtype=bool)
    lung[3, 2] = lung[3, 4] = True
    config = VoteConfig(patches=40, patch_size=4, image_size=6, mode=mode, stride=2, batch_size=8)
    if mode == "dense":
        # The grid of stride 2 has its points at odd pixels.
        image, lung = np.roll(image, 1, axis=1), np.roll(lung, 1, axis=1)
        image[:, 0] = 0
    found = probabilistic_grad_cam(model, image, lung, config, np.random.default_rng(0), classes=[0])
    r = found.vote.probabilities[:, 0]
    np.testing.assert_allclose(r, 0.75, atol=1e-6)
    first = 0.75 * np.array([0, 0.25, 0.75, 1])
    share = (found.vote.centres[:, 1] == found.vote.centres[:, 1].min()).mean()
    both = share * first[2:] + (1 - share) * first[::-1][:2]
    expected = np.concatenate([first[:2], both, first[::-1][2:]])
    if mode == "dense":
        assert share == 0.5
        expected = np.concatenate([[0], expected[:5]])
    else:
        assert 0 < share < 1
    np.testing.assert_allclose(found.maps[0, 1:5], np.tile(expected, (4, 1)), atol=1e-6)
    assert not found.maps[0, [0, 5]].any()


@pytest.mark.parametrize("normalization", ["minmax", "max", "none"])
@pytest.mark.parametrize("stride", [4, 8])
def test_a_network_without_padding_gives_the_same_maps_from_windows_as_from_patches(film, normalization, stride):
    image, lung = film
    model = Unpadded()
    config = VoteConfig(patch_size=16, image_size=48, mode="dense", stride=stride, batch_size=7)
    dense = probabilistic_grad_cam(model, image, lung, config, normalization=normalization)

    class SameCentres:
        """Draws the windows' centres in their order."""

        def integers(self, high, size):
            pixels = np.flatnonzero(lung)
            return np.searchsorted(pixels, np.ravel_multi_index(dense.vote.centres.T, lung.shape))

    sampled = replace(config, mode="sampled", patches=len(dense.vote.centres))
    patches = probabilistic_grad_cam(model, image, lung, sampled, SameCentres(), normalization=normalization)
    np.testing.assert_array_equal(patches.vote.centres, dense.vote.centres)
    np.testing.assert_allclose(dense.vote.probabilities, patches.vote.probabilities, atol=1e-6)
    scale = patches.maps.max()
    assert scale > 0
    np.testing.assert_allclose(dense.maps / scale, patches.maps / scale, atol=2e-6)


def test_the_sum_of_windows_is_the_sum_of_upsampled_windows(rng):
    maps = torch.from_numpy(rng.random((6, 2, 3, 3)).astype(np.float32))
    places = torch.tensor([[0, 2], [0, 4], [2, 0], [2, 2], [4, 0], [4, 4]])
    for cell in (2, 5):
        expected = torch.zeros(2, 7 * cell, 7 * cell)
        for found, (row, column) in zip(upsample(maps, (3 * cell, 3 * cell)), places.tolist(), strict=True):
            expected[:, row * cell : (row + 3) * cell, column * cell : (column + 3) * cell] += found
        torch.testing.assert_close(sum_windows(maps, places, 2, cell), expected)


@pytest.mark.parametrize("size", [(28, 28), (35, 30), (7, 5), (13, 50), (3, 2), (1, 1)])
@pytest.mark.parametrize("normalization", ["minmax", "max"])
def test_scaling_before_upsampling_is_scaling_after_it(rng, size, normalization):
    maps = torch.from_numpy(rng.random((4, 2, 7, 5)).astype(np.float32) ** 3)
    maps[0, 0] = 0.5
    maps[1, 1] = 0
    large = upsample(maps, size)
    high = large.amax((2, 3), keepdim=True)
    low = large.amin((2, 3), keepdim=True) if normalization == "minmax" else torch.zeros_like(high)
    span = high - low
    expected = torch.where(span > 1e-6 * high, (large - low) / span, 0)
    torch.testing.assert_close(upsample(scale_maps(maps, size, normalization), size), expected, atol=1e-6, rtol=1e-5)


def test_padding_makes_windows_differ_from_patches(film):
    image, lung = film
    model = Unpadded()
    model.trunk[0] = nn.Conv2d(1, 8, 4, stride=2, padding=1)
    dense = VoteConfig(patch_size=16, image_size=48, mode="dense", stride=4)
    found = probabilistic_grad_cam(model, image, lung, dense)
    assert found.maps.max() > 0.05
    assert np.isfinite(found.maps).all()


def test_a_film_and_a_lung_smaller_than_a_patch_have_a_map_on_the_film(rng):
    image, lung = rng.random((12, 12)).astype(np.float32), np.zeros((12, 12), dtype=bool)
    lung[5:7, 5:7] = True
    for mode in ("sampled", "dense"):
        config = VoteConfig(patches=4, patch_size=32, image_size=12, mode=mode, stride=4)
        found = probabilistic_grad_cam(Unpadded(), image, lung, config)
        assert found.maps.shape == (3, 12, 12)
        assert found.maps.max() > 0
        assert found.vote.coverage.uncovered_share == 0


def test_empty_and_foreign_masks_are_named(film):
    image, lung = film
    for mode in ("sampled", "dense"):
        config = VoteConfig(patch_size=16, image_size=48, mode=mode, stride=4)
        with pytest.raises(EmptyLungError):
            probabilistic_grad_cam(Unpadded(), image, np.zeros_like(lung), config)
        with pytest.raises(MaskError, match="resize"):
            probabilistic_grad_cam(Unpadded(), image, lung[:24], config)
        with pytest.raises(ModelError, match="expected 0 to 2"):
            probabilistic_grad_cam(Unpadded(), image, lung, config, classes=[0, 3])


def test_gradients_of_a_dense_pass_are_refused(film):
    config = VoteConfig(patch_size=16, image_size=48, mode="dense", stride=4)
    with pytest.raises(ModelError, match="sampled"):
        probabilistic_grad_cam(Unpadded(), *film, config, method="autograd")


@pytest.mark.parametrize("method", ["identity", "autograd"])
def test_memory_is_bounded_by_the_batch_and_not_by_the_number_of_patches(film, method):
    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        """Remembers the largest tensor that any operation gives."""

        size = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for found in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(found, torch.Tensor):
                    self.size = max(self.size, found.numel())
            return result

    def largest(patches: int, batch: int) -> int:
        config = VoteConfig(patches=patches, patch_size=16, image_size=48, batch_size=batch)
        with Largest() as seen:
            probabilistic_grad_cam(Unpadded(), *film, config, method=method)
        return seen.size

    assert largest(96, 4) == largest(16, 4)
    assert largest(96, 8) == 2 * largest(96, 4)


def test_bfloat16_convolutions_give_nearly_the_same_map(film):
    config = VoteConfig(patches=8, patch_size=16, image_size=48)
    for mode in ("sampled", "dense"):
        chosen = replace(config, mode=mode, stride=4)
        exact = probabilistic_grad_cam(Unpadded(), *film, chosen)
        with torch.autocast("cpu", torch.bfloat16):
            rough = probabilistic_grad_cam(Unpadded(), *film, chosen)
        assert rough.maps.dtype == np.float32
        difference = np.abs(rough.maps - exact.maps)
        assert 0 < difference.max() < 0.05
        assert difference.mean() < 0.005
