from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError, MaskError, ModelError
from patchcxr.inference.segmentation import (
    anatomy_masks,
    clean_labels,
    keep_one_heart,
    merge_partition,
    predict_probabilities,
    segment_partition,
    structure_mask,
)
from patchcxr.types import ANATOMY, PARTITION

BACKGROUND, HEART, LEFT, RIGHT, LEFT_BEHIND, RIGHT_BEHIND = range(6)


class Levels(nn.Module):
    """Logits by grey level: class c is most probable around c / (C - 1)."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(0, 1, classes).reshape(1, -1, 1, 1))
        self.scale = nn.Parameter(torch.tensor(50.0))

    def forward(self, x):
        return -self.scale * (x - self.centres).abs()


class Pooled(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def test_probabilities_come_batch_by_batch_with_progress(rng):
    films, steps = rng.random((5, 6, 7)).astype(np.float32), []
    batches = list(predict_probabilities(Levels(), films, batch_size=2, progress=lambda *step: steps.append(step)))
    assert [batch.shape for batch in batches] == [(2, 4, 6, 7), (2, 4, 6, 7), (1, 4, 6, 7)]
    assert steps == [(2, 5), (4, 5), (5, 5)]
    logits = -50 * np.abs(films[:, None] - np.linspace(0, 1, 4).reshape(1, -1, 1, 1))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.concatenate(batches), expected, atol=1e-5)


def test_sigmoid_treats_each_channel_by_itself(rng):
    films = rng.random((1, 3, 3)).astype(np.float32)
    (found,) = predict_probabilities(Levels(1), films, activation="sigmoid")
    np.testing.assert_allclose(found[:, 0], 1 / (1 + np.exp(50 * films)), atol=1e-6)
    with pytest.raises(ConfigError, match="activation"):
        next(predict_probabilities(Levels(1), films, activation="relu"))


def test_bytes_and_fractions_give_the_same_probabilities():
    films = np.arange(24, dtype=np.uint8).reshape(1, 4, 6) * 10
    (from_bytes,) = predict_probabilities(Levels(), films)
    (from_fractions,) = predict_probabilities(Levels(), films / 255)
    np.testing.assert_allclose(from_bytes, from_fractions, atol=1e-6)


def test_a_network_that_is_no_segmenter_is_named():
    with pytest.raises(ModelError, match="Pooled gives logits"):
        next(predict_probabilities(Pooled(), np.zeros((1, 4, 4))))
    with pytest.raises(ModelError, match="has 2 classes; expected 4"):
        segment_partition(Levels(2), np.zeros((1, 4, 4)))


def test_label_maps_hold_the_most_probable_structure():
    films = np.array([[[0.0, 0.3], [0.7, 1.0]]])
    labels = segment_partition(Levels(), films)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, [[[0, 1], [2, 3]]])
    assert segment_partition(Levels(), np.zeros((0, 4, 4))).shape == (0, 4, 4)


@pytest.fixture
def chest() -> np.ndarray:
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[5:35, 4:16] = RIGHT
    labels[5:35, 24:36] = LEFT
    labels[20:34, 16:24] = HEART
    return labels


def test_clean_structures_stay_as_they_are(chest):
    masks = anatomy_masks(chest)
    for name in ("right_lung", "left_lung", "heart"):
        np.testing.assert_array_equal(masks[name], chest == ANATOMY.index(name))
    np.testing.assert_array_equal(masks["lung"], chest >= LEFT)


def test_holes_are_filled_and_specks_removed_in_each_structure(chest):
    spoiled = chest.copy()
    spoiled[10:12, 8:10] = BACKGROUND
    spoiled[15, 30] = HEART
    spoiled[0, 0] = RIGHT
    spoiled[38:40, 38] = LEFT
    spoiled[1, 20] = HEART
    spoiled[25, 18] = BACKGROUND
    masks = anatomy_masks(spoiled)
    for name in ("right_lung", "left_lung", "heart"):
        np.testing.assert_array_equal(masks[name], chest == ANATOMY.index(name), err_msg=name)


def test_a_speck_of_the_other_lung_joins_the_lung_around_it(chest):
    spoiled = chest.copy()
    spoiled[12:14, 8:10] = LEFT
    masks = anatomy_masks(spoiled)
    np.testing.assert_array_equal(masks["right_lung"], chest == RIGHT)
    np.testing.assert_array_equal(masks["left_lung"], chest == LEFT)


def test_a_large_part_of_the_other_lung_keeps_its_label_and_lungs_stay_apart(chest):
    spoiled = chest.copy()
    spoiled[10:20, 6:12] = LEFT
    masks = anatomy_masks(spoiled)
    assert not (masks["right_lung"] & masks["left_lung"]).any()
    np.testing.assert_array_equal(masks["left_lung"], spoiled == LEFT)
    np.testing.assert_array_equal(masks["lung"], chest >= LEFT)


def test_lungs_that_touch_above_and_below_do_not_close_over_the_heart(chest):
    joined = chest.copy()
    joined[5:8, 16:20], joined[5:8, 20:24] = RIGHT, LEFT
    joined[34, 16:20], joined[34, 20:24] = RIGHT, LEFT
    masks = anatomy_masks(joined)
    np.testing.assert_array_equal(masks["heart"], chest == HEART)
    np.testing.assert_array_equal(masks["lung"], joined >= LEFT)


def test_a_missing_structure_has_an_empty_mask_and_masks_are_resized(chest):
    chest[chest == LEFT] = BACKGROUND
    masks = anatomy_masks(chest, size=80)
    assert not masks["left_lung"].any()
    np.testing.assert_array_equal(masks["lung"], (chest == RIGHT).repeat(2, 0).repeat(2, 1))


def test_something_else_than_a_label_map_is_refused():
    with pytest.raises(MaskError, match="label map"):
        anatomy_masks(np.full((3, 3), 7, dtype=np.uint8))
    with pytest.raises(MaskError, match="label map"):
        anatomy_masks(np.zeros((2, 3, 3), dtype=np.uint8))


def pixel(**probabilities: float) -> np.ndarray:
    """Probabilities (1, 6, 1, 1) of one pixel, by name."""
    return np.array([probabilities.get(name, 0.0) for name in PARTITION], dtype=np.float32).reshape(1, -1, 1, 1)


def test_the_part_behind_the_heart_goes_to_the_heart_or_to_its_lung():
    found = pixel(background=0.1, heart=0.2, left_lung=0.1, right_lung=0.1, left_lung_behind_heart=0.3,
                  right_lung_behind_heart=0.2)  # fmt: skip
    beside, whole = merge_partition(found).ravel(), merge_partition(found, whole_lungs=True).ravel()
    np.testing.assert_allclose(beside, [0.1, 0.7, 0.1, 0.1], atol=1e-6)
    np.testing.assert_allclose(whole, [0.1, 0.2, 0.4, 0.3], atol=1e-6)


def test_merging_keeps_probabilities_that_sum_to_one_and_does_not_change_its_input(rng):
    raw = rng.dirichlet(np.ones(6), size=(2, 3, 3)).transpose(0, 3, 1, 2).astype(np.float32)
    before = raw.copy()
    for whole in (False, True):
        np.testing.assert_allclose(merge_partition(raw, whole).sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(raw, before)
    four = raw[:, :4]
    assert merge_partition(four) is four


def test_whole_lungs_of_a_network_that_cannot_and_other_numbers_of_classes_are_refused():
    with pytest.raises(ModelError, match=r"whole lungs need a network of 6 classes .* has 4"):
        merge_partition(np.zeros((1, 4, 2, 2), np.float32), whole_lungs=True)
    with pytest.raises(ModelError, match=r"has 5 classes; expected 4 .* or 6"):
        merge_partition(np.zeros((1, 5, 2, 2), np.float32))


class Fixed(nn.Module):
    """The same logits (1, C, H, W) for every film."""

    def __init__(self, probabilities: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("logits", torch.from_numpy(np.log(probabilities + 1e-9)))

    def forward(self, x):
        return self.logits.expand(len(x), -1, -1, -1)


def test_one_label_map_holds_both_conventions(rng):
    """Heart of the one convention and lung of the other is the part behind the heart."""
    raw = rng.dirichlet(np.full(6, 0.5), size=(1, 20, 20)).transpose(0, 3, 1, 2).astype(np.float32)
    (labels,) = segment_partition(Fixed(raw), np.zeros((1, 20, 20), np.float32))
    (beside,), (whole,) = (merge_partition(raw, whole_lungs).argmax(axis=1) for whole_lungs in (False, True))
    assert {LEFT_BEHIND, RIGHT_BEHIND} <= set(np.unique(labels))
    np.testing.assert_array_equal(structure_mask(labels, "heart"), beside == HEART)
    np.testing.assert_array_equal(structure_mask(labels, "left_lung"), beside == LEFT)
    np.testing.assert_array_equal(labels == LEFT_BEHIND, (beside == HEART) & (whole == LEFT))
    np.testing.assert_array_equal(labels == RIGHT_BEHIND, (beside == HEART) & (whole == RIGHT))


def test_cleaning_a_partition_keeps_clean_parts_and_removes_specks_of_them(chest):
    chest[20:34, 20:24] = LEFT_BEHIND
    np.testing.assert_array_equal(clean_labels(chest), chest)
    spoiled = chest.copy()
    spoiled[28, 17] = LEFT_BEHIND  # a speck in the heart, away from the lung it would belong to
    spoiled[26, 22] = HEART  # a hole in the part behind the heart
    np.testing.assert_array_equal(clean_labels(spoiled), chest)


def test_cleaning_without_parts_behind_the_heart_is_that_of_the_masks(chest):
    chest[10:12, 8:10] = BACKGROUND
    masks, labels = anatomy_masks(chest), clean_labels(chest)
    for name in ("right_lung", "left_lung", "heart", "lung"):
        np.testing.assert_array_equal(structure_mask(labels, name), masks[name], err_msg=name)


def test_whole_lungs_overlap_the_heart_and_unknown_structures_are_named(chest):
    chest[20:34, 20:24] = LEFT_BEHIND
    left, heart = structure_mask(chest, "left_lung", whole_lungs=True), structure_mask(chest, "heart", whole_lungs=True)
    assert (left & heart).sum() == 14 * 4
    np.testing.assert_array_equal(heart, structure_mask(chest, "heart"))
    np.testing.assert_array_equal(structure_mask(chest, "lung", True), left | structure_mask(chest, "right_lung"))
    with pytest.raises(MaskError, match="'liver'; expected heart"):
        structure_mask(chest, "liver")


def test_what_does_not_touch_the_heart_does_not_lie_behind_it() -> None:
    labels = np.array(
        [
            [HEART, HEART, LEFT_BEHIND, LEFT, LEFT, LEFT_BEHIND],
            [HEART, HEART, HEART, LEFT, LEFT, LEFT],
            [0, 0, 0, 0, HEART, 0],
        ],
        dtype=np.uint8,
    )
    kept = labels[:, :4].copy()
    keep_one_heart(labels)
    assert (labels[:, :4] == kept).all()
    assert labels[:, 4:].tolist() == [[LEFT, LEFT], [LEFT, LEFT], [0, 0]]
