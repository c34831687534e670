"""Binary networks of one and of two channels say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from patchcxr.errors import ModelError
from patchcxr.inference.foreground import foreground_probability
from patchcxr.inference.lungs import LUNG_CLASSES, is_lung_network, lung_labels, segment_lungs
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel
from patchcxr.types import ANATOMY

LEFT, RIGHT = ANATOMY.index("left_lung"), ANATOMY.index("right_lung")


class Channels(nn.Module):
    """Logits 3 x, -2 x, 3 x, ... of a film x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        factors = torch.tensor([3.0, -2.0] * channels)[:channels]
        self.weight = nn.Parameter(factors[None, :, None, None])

    def forward(self, x):
        return self.weight * x


def test_one_channel_is_a_sigmoid_and_two_are_a_softmax(rng):
    films = rng.random((5, 4, 6)).astype(np.float32)
    one = np.concatenate(list(foreground_probability(Channels(1), films, 2)))
    np.testing.assert_allclose(one, 1 / (1 + np.exp(-3 * films)), atol=1e-6)
    two = np.concatenate(list(foreground_probability(Channels(2), films, 2)))
    np.testing.assert_allclose(two, np.exp(-2 * films) / (np.exp(3 * films) + np.exp(-2 * films)), atol=1e-6)


def test_a_network_of_more_channels_is_refused_by_its_name():
    with pytest.raises(ModelError, match=r"Channels has 4 output channels; expected 1 \(a sigmoid\) or 2"):
        list(foreground_probability(Channels(4), np.zeros((1, 4, 4))))


def test_the_network_keeps_its_mode():
    model = Channels(1).train()
    list(foreground_probability(model, np.zeros((1, 4, 4))))
    assert model.training


def drawn(text: str) -> np.ndarray:
    """Probability 0.9 where the drawing has ``#``, 0.5 where it has ``o``, else 0.1."""
    values = {"#": 0.9, "o": 0.5, ".": 0.1}
    return np.array([[values[sign] for sign in row] for row in text.split()])


def test_lungs_are_filled_cleaned_of_specks_and_told_apart():
    probability = drawn(
        """
        .####...####.
        .#..#...####.
        .####...####.
        .####...####.
        .............
        .....#.......
        """
    )
    # 16 and 16 pixels, the hole filled, and one that is less than 5 % of 33.
    labels = lung_labels(probability)
    assert (labels == RIGHT).sum() == (labels == LEFT).sum() == 16
    assert (labels[:4, 1:5] == RIGHT).all()
    assert (labels[:4, 8:12] == LEFT).all()


def test_a_pixel_of_exactly_one_half_is_no_lung():
    assert lung_labels(drawn("##..oo")).tolist() == [[RIGHT, RIGHT, 0, 0, 0, 0]]


def test_lungs_that_touch_are_cut_where_they_are_thinnest():
    labels = lung_labels(
        drawn(
            """
            .####...####.
            .####...####.
            .###########.
            .####...####.
            """
        )
    )
    assert (labels[:, :5][labels[:, :5] > 0] == RIGHT).all()
    assert (labels[:, 8:][labels[:, 8:] > 0] == LEFT).all()


def test_one_lung_has_its_side_and_no_lung_gives_an_empty_map():
    assert set(np.unique(lung_labels(drawn(".....## .....##")))) == {0, LEFT}
    assert not lung_labels(np.zeros((4, 5))).any()


def test_every_film_of_a_batch_gets_its_own_map(rng):
    films = np.full((5, 2, 6), 0.0, dtype=np.float32)
    for number in range(5):
        films[number, 0, : number % 3 + 1] = 1
    labels = segment_lungs(Channels(1), films, batch_size=2)  # sigmoid of 3 x: above a half where the film is not black
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels == RIGHT, films > 0)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_lung_network_is_known_by_its_classes(channels):
    config = ModelConfig(architecture="compact_unet", num_classes=channels)
    module = create_model(config, seed=0)
    assert is_lung_network(TrainedModel(module, config, LUNG_CLASSES[channels], 64))
    assert not is_lung_network(TrainedModel(module, config, ("infection", "other")[:channels], 64))
