"""Validation scores against scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import f1_score

from patchcxr.training.scores import MacroF1, MeanDice


def test_macro_f1_over_batches_is_that_of_scikit_learn(rng):
    truth = torch.from_numpy(rng.integers(3, size=50))
    logits = torch.from_numpy(rng.normal(size=(50, 3)))
    score = MacroF1(3)
    score.update(logits[:20], truth[:20])
    score.update(logits[20:], truth[20:])
    assert score.compute() == pytest.approx(f1_score(truth, logits.argmax(1), average="macro"))
    score.reset()
    assert math.isnan(score.compute())


def test_dice_of_label_maps_is_the_f1_of_their_pixels_without_background(rng):
    truth = torch.from_numpy(rng.integers(4, size=(3, 8, 8)))
    logits = torch.from_numpy(rng.normal(size=(3, 4, 8, 8)))
    score = MeanDice(4)
    for film in range(3):
        score.update(logits[film : film + 1], truth[film : film + 1])
    expected = f1_score(truth.flatten(), logits.argmax(1).flatten(), labels=[1, 2, 3], average="macro")
    assert score.compute() == pytest.approx(expected)


def test_dice_of_a_binary_mask_by_hand():
    score = MeanDice(1)
    score.update(torch.tensor([[[[1.0, 2.0, -1.0, -2.0]]]]), torch.tensor([[[[1.0, 0.0, 1.0, 0.0]]]]))
    assert score.compute() == pytest.approx(2 * 1 / (2 + 2))


def test_dice_is_undefined_where_nothing_is_there_or_predicted():
    score = MeanDice(1)
    score.update(torch.full((1, 1, 2, 2), -1.0), torch.zeros(1, 1, 2, 2))
    assert math.isnan(score.compute())
