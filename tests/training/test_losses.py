"""Losses worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.training.losses import HybridLoss, WeightedCrossEntropy, class_weights


def test_cross_entropy_weighs_each_pixel_by_its_true_class():
    # Two pixels with softmax probabilities (1/4, 3/4); the first is class 0, the second class 1.
    logits = torch.log(torch.tensor([[1.0, 3.0], [1.0, 3.0]])).T[None, :, None, :]
    target = torch.tensor([[[0, 1]]])
    expected = (2.0 * math.log(4) + 0.5 * math.log(4 / 3)) / 2.5
    assert WeightedCrossEntropy([2.0, 0.5])(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_depends_neither_on_scale_of_weights_nor_on_size():
    torch.manual_seed(0)
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(3, (1, 4, 4))
    loss = WeightedCrossEntropy([1.0, 2.0, 3.0])(logits, target)
    torch.testing.assert_close(WeightedCrossEntropy([10.0, 20.0, 30.0])(logits, target), loss)
    twice = logits.repeat(1, 1, 2, 2), target.repeat(1, 2, 2)
    torch.testing.assert_close(WeightedCrossEntropy([1.0, 2.0, 3.0])(*twice), loss)


def test_too_few_weights_are_refused():
    with pytest.raises(TrainingError, match="one weight a class"):
        WeightedCrossEntropy([1.0, 1.0])(torch.zeros(1, 3), torch.tensor([0]))


def test_focal_loss_by_hand():
    # q = 3/4 at both pixels, one infected and one not.
    logits = torch.full((1, 1, 1, 2), math.log(3))
    target = torch.tensor([[[[1.0, 0.0]]]])
    infected = -0.25 * (1 / 4) ** 2 * math.log(3 / 4)
    healthy = -0.75 * (3 / 4) ** 2 * math.log(1 / 4)
    assert HybridLoss().focal(logits, target).item() == pytest.approx((infected + healthy) / 2, rel=1e-5)


def test_focal_loss_without_focus_is_half_the_cross_entropy():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 1, 3, 3), torch.randint(2, (2, 1, 3, 3)).float()
    reference = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(HybridLoss(alpha=0.5, gamma=0.0).focal(logits, target), reference / 2)


def test_dice_loss_by_hand_is_taken_of_each_film():
    # Film 1: q = 3/4 on one infected and one healthy pixel; film 2: the same, both infected.
    logits = torch.full((2, 1, 1, 2), math.log(3))
    target = torch.tensor([[[[1.0, 0.0]]], [[[1.0, 1.0]]]])
    first = 1 - 2 * 0.75 / (1 + 1.5)
    second = 1 - 2 * 1.5 / (2 + 1.5)
    value = HybridLoss(smooth=1e-7).dice(logits, target).item()
    assert value == pytest.approx((first + second) / 2, rel=1e-5)


def test_smoothing_adds_one_to_both_parts_of_the_quotient():
    logits, target = torch.full((1, 1, 1, 2), math.log(3)), torch.tensor([[[[1.0, 0.0]]]])
    assert HybridLoss().dice(logits, target).item() == pytest.approx(1 - (1.5 + 1) / (2.5 + 1), rel=1e-6)


def test_an_empty_mask_costs_nothing_if_nothing_is_predicted_and_something_if_not():
    empty = torch.zeros(1, 1, 8, 8)
    loss = HybridLoss()
    assert loss(torch.full_like(empty, -50.0), empty).item() == pytest.approx(0, abs=1e-6)
    assert loss.dice(torch.full_like(empty, 50.0), empty).item() == pytest.approx(64 / 65, rel=1e-6)


def test_hybrid_loss_is_the_sum_and_stays_finite_for_extreme_logits():
    logits = torch.tensor([[[[-1000.0, 1000.0]]]], requires_grad=True)
    target = torch.tensor([[[[1.0, 0.0]]]])
    loss = HybridLoss()
    total = loss(logits, target)
    total.backward()
    assert total.item() == pytest.approx((loss.focal(logits, target) + loss.dice(logits, target)).item())
    assert torch.isfinite(total.detach())
    assert torch.isfinite(logits.grad).all()


def test_hybrid_loss_refuses_label_maps():
    with pytest.raises(TrainingError, match="num_classes: 1"):
        HybridLoss()(torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 8))


@pytest.mark.parametrize("options", [{"alpha": 1.5}, {"gamma": -1}, {"smooth": 0}])
def test_impossible_parameters_of_the_hybrid_loss_are_refused(options):
    with pytest.raises(ConfigError, match="expected alpha"):
        HybridLoss(**options)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("balanced", [0.25, 1.0, 0.0, 1.75]), ("none", [1, 1, 1, 1]), ("sqrt", [0.5, 1.0, 0.0, 1.5])],
)
def test_class_weights_by_hand(scheme, expected):
    counts = {"balanced": [28, 7, 0, 4], "none": [1, 2, 0, 3], "sqrt": [36, 9, 0, 4]}[scheme]
    np.testing.assert_allclose(class_weights(counts, scheme), expected)


def test_balanced_weights_make_all_classes_count_alike():
    counts = np.array([900, 30, 70])
    weighed = counts * class_weights(counts)
    np.testing.assert_allclose(weighed, weighed[0])


def test_unusable_counts_and_schemes_are_refused():
    with pytest.raises(ConfigError, match="balanced, sqrt, none"):
        class_weights([1, 2], "inverse")
    with pytest.raises(TrainingError, match="at least one above 0"):
        class_weights([0, 0])
