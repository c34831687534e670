from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError, EmptyLungError, ImageError, MaskError, ModelError
from patchcxr.inference.voting import (
    VoteConfig,
    classify_global,
    count_votes,
    majority,
    patch_features,
    vote,
    vote_entropy,
    vote_margin,
)
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.patches.location import PatchLocation
from patchcxr.patches.sampling import sample_centres


class PooledNetwork(nn.Module):
    """One feature every ``stride`` pixels; each feature sees only its own cell, so dense voting is exact."""

    def __init__(self, classes: int = 3, stride: int = 4, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = nn.Sequential(nn.Conv2d(1, 5, stride, stride=stride), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(5, classes)
        with torch.no_grad():
            self.head.weight.mul_(8)

    def features(self, x):
        return self.trunk(x)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class Plain(nn.Module):
    """The same network, hidden behind a plain forward."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)


@pytest.fixture
def film(rng):
    lung = np.zeros((48, 48), dtype=bool)
    lung[2:40, 4:20] = True
    lung[3:46, 26:48] = True
    return (rng.random((48, 48)) * lung).astype(np.float32), lung


SMALL = VoteConfig(patches=30, patch_size=16, image_size=48, stride=4, batch_size=7)


def softmax_by_hand(logits):
    shifted = np.exp(logits - logits.max())
    return shifted / shifted.sum()


def test_the_most_frequent_class_wins_even_with_a_smaller_mean_probability():
    prediction, votes = majority(np.array([[0.6, 0.4], [0.6, 0.4], [0.0, 1.0]]))
    assert prediction == 0
    assert votes.tolist() == [2, 1]


def test_a_tie_goes_to_the_larger_mean_probability_then_to_the_lower_class():
    assert majority(np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0]]))[0] == 1
    assert majority(np.array([[0.2, 0.7, 0.1], [0.1, 0.2, 0.7]]))[0] == 1
    assert majority(np.array([[0.2, 0.1, 0.7], [0.2, 0.7, 0.1]]))[0] == 1
    assert majority(np.array([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]]))[0] == 0
    # class 2 has the largest mean of all, but it is not among the tied ones
    tied = np.array([[0.52, 0.0, 0.48], [0.52, 0.0, 0.48], [0.0, 0.53, 0.47], [0.0, 0.53, 0.47], [0.0, 0.0, 1.0]])
    assert majority(tied)[0] == 1


def test_a_network_that_gives_nan_is_named():
    with pytest.raises(ModelError, match="NaN"):
        majority(np.array([[np.nan, 0.5]]))


def test_entropy_and_margin_by_hand():
    assert vote_entropy(np.array([10, 0, 0, 0])) == 0
    assert vote_entropy(np.array([5, 5, 5, 5])) == pytest.approx(1)
    assert vote_entropy(np.array([2, 2, 0, 0])) == pytest.approx(0.5)
    assert np.isnan(vote_entropy(np.array([4])))
    assert vote_margin(np.array([2, 7, 1]), 1) == pytest.approx(0.5)
    assert vote_margin(np.array([2, 7, 1]), 0) == pytest.approx(-0.5)
    assert vote_margin(np.array([4]), 0) == 1


def test_vote_equals_classifying_patch_by_patch(film, rng):
    image, lung = film
    model = PooledNetwork().eval()
    result = vote(model, image, lung, SMALL, np.random.default_rng(5))
    np.testing.assert_array_equal(result.centres, sample_centres(lung, 30, np.random.default_rng(5)))
    expected = []
    for row, column in result.centres:
        inside, place = PatchLocation(row, column, 16).window(image.shape)
        patch = np.zeros((16, 16), dtype=np.float32)
        patch[place] = image[inside]
        with torch.no_grad():
            expected.append(softmax_by_hand(model(torch.from_numpy(patch)[None, None]).numpy()[0].astype(float)))
    expected = np.array(expected)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
    assert len(set(expected.argmax(1))) > 1
    assert result.votes.tolist() == [np.count_nonzero(expected.argmax(1) == c) for c in range(3)]
    assert result.prediction == np.argmax(result.votes)
    np.testing.assert_allclose(result.mean_probability, expected.mean(0), atol=1e-6)
    assert result.margin == pytest.approx((np.sort(result.votes)[-1] - np.sort(result.votes)[-2]) / 30)
    assert 0 < result.entropy < 1
    assert result.coverage.uncovered_share < 1


def test_the_vote_does_not_depend_on_batches_or_on_the_form_of_the_network(film):
    image, lung = film
    model = PooledNetwork()
    one = vote(model, image, lung, SMALL)
    other = vote(Plain(model), image, lung, VoteConfig(patches=30, patch_size=16, image_size=48, batch_size=100))
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
    assert model.training


def test_the_mean_probability_can_outvote_the_majority():
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4], [0.0, 1.0]], dtype=np.float32)
    centres, lung = np.array([[1, 1], [1, 2], [2, 1]]), np.ones((4, 4), dtype=bool)
    by_votes = count_votes(probabilities, centres, lung, VoteConfig(patch_size=2))
    by_mean = count_votes(probabilities, centres, lung, VoteConfig(patch_size=2, rule="mean_probability"))
    assert (by_votes.prediction, by_mean.prediction) == (0, 1)
    assert by_votes.margin == pytest.approx(1 / 3)
    assert by_mean.margin == pytest.approx(-1 / 3)
    # 3 patches of 4 pixels on 16: 8 pixels are covered, 4 of them twice
    assert (by_votes.coverage.minimum, by_votes.coverage.median) == (0, 0.5)
    assert by_votes.coverage.uncovered_share == 0.5


def test_dense_voting_equals_cut_patches_for_a_network_without_context(film):
    image, lung = film
    model = PooledNetwork().eval()
    result = vote(model, image, lung, replace(SMALL, mode="dense"))
    rows, columns = np.indices(lung.shape)
    on_grid = lung & (rows % 4 == 2) & (columns % 4 == 2)
    np.testing.assert_array_equal(result.centres, np.argwhere(on_grid))
    sampled = [features.detach() for features in patch_features(model, image, result.centres, SMALL)]
    logits = model.head(torch.cat(sampled).mean((2, 3)))
    np.testing.assert_allclose(result.probabilities, logits.softmax(1).detach().numpy(), atol=1e-6)


def test_dense_voting_needs_a_pooled_linear_network_and_a_stride_of_it(film):
    image, lung = film
    dense = replace(SMALL, mode="dense")
    with pytest.raises(ModelError, match="sampled"):
        vote(Plain(PooledNetwork()), image, lung, dense)
    with pytest.raises(ModelError, match="multiples of 4"):
        vote(PooledNetwork(), image, lung, replace(dense, stride=6))
    with pytest.raises(ModelError, match="multiples of 4"):
        vote(PooledNetwork(), image, lung, replace(dense, patch_size=18))


def test_dense_windows_of_a_resnet_are_means_over_one_map_of_the_film(rng):
    lung = np.zeros((128, 128), dtype=bool)
    lung[8:120, 8:56] = lung[8:120, 70:120] = True
    image = (rng.random((128, 128)) * lung).astype(np.float32)
    model = create_model(ModelConfig(architecture="resnet18", num_classes=4), seed=0).eval()
    result = vote(model, image, lung, VoteConfig(mode="dense", image_size=128, patch_size=64, stride=32, batch_size=5))
    # centres 16, 48, 80, 112 in rows and columns: windows of 2 x 2 cells on the film with 16 zeros around it
    assert [tuple(centre) for centre in result.centres] == [
        (r, c) for r in range(16, 128, 32) for c in range(16, 128, 32)
    ]
    with torch.no_grad():
        cells = model.features(torch.from_numpy(np.pad(image, 16))[None, None])[0]
        for (row, column), found in zip(result.centres, result.probabilities, strict=True):
            i, j = row // 32, column // 32
            logits = model.head(cells[:, i : i + 2, j : j + 2].mean((1, 2)))
            np.testing.assert_allclose(found, softmax_by_hand(logits.numpy()), atol=1e-5)


def test_film_and_mask_must_have_the_size_of_the_configuration(film):
    image, lung = film
    with pytest.raises(ImageError, match="from vote"):
        vote(PooledNetwork(), image, lung, VoteConfig())
    with pytest.raises(MaskError, match="resize_mask"):
        vote(PooledNetwork(), image, lung[:40], SMALL)
    with pytest.raises(EmptyLungError):
        vote(PooledNetwork(), image, np.zeros_like(lung), SMALL)


@pytest.mark.parametrize(
    ("field", "value"), [("patches", 0), ("patch_size", 0), ("mode", "grid"), ("rule", "max"), ("seed", -1)]
)
def test_a_wrong_setting_is_named(field, value):
    with pytest.raises(ConfigError, match=f"vote.{field}"):
        VoteConfig(**{field: value})


def test_global_classification_equals_one_film_at_a_time(rng):
    model = PooledNetwork()
    films = rng.random((5, 16, 16)).astype(np.float32)
    together = classify_global(model, films, batch_size=2)
    model.eval()
    for film, row in zip(films, together, strict=True):
        with torch.no_grad():
            logits = model(torch.from_numpy(film)[None, None]).numpy()[0]
        np.testing.assert_allclose(row, softmax_by_hand(logits), atol=1e-6)


def test_global_classification_resizes_films_and_takes_bytes(rng):
    model = PooledNetwork()
    small = rng.integers(0, 256, (2, 8, 8)).astype(np.uint8)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(classify_global(model, large, size=8), classify_global(model, small / 255.0), atol=1e-5)
