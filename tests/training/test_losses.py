"""Losses worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from patchcxr.errors import ConfigError, TrainingError
from patchcxr.training.losses import (
    SEGMENTATION_LOSSES,
    BinaryCrossEntropy,
    DiceLoss,
    HybridLoss,
    PartialCrossEntropy,
    WeightedCrossEntropy,
    check_loss,
    class_weights,
)


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


def test_cross_entropy_without_weights_is_the_mean_over_pixels_of_tahir():
    # Two pixels, background and lesion, with softmax probabilities 1/4 and 3/4: eq. 1 with K = 2.
    logits = torch.log(torch.tensor([[1.0, 3.0], [1.0, 3.0]])).T[None, :, None, :]
    expected = -(math.log(1 / 4) + math.log(3 / 4)) / 2
    loss = SEGMENTATION_LOSSES["cross_entropy"](None)
    assert loss(logits, torch.tensor([[[0, 1]]])).item() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_two_channels_is_the_binary_one_of_their_difference(rng):
    logits = torch.from_numpy(rng.normal(size=(2, 2, 3, 3)))
    target = torch.from_numpy(rng.integers(2, size=(2, 3, 3)))
    difference = logits[:, 1:] - logits[:, :1]
    one = BinaryCrossEntropy()(difference, target[:, None].double())
    torch.testing.assert_close(WeightedCrossEntropy()(logits, target), one)


def test_binary_cross_entropy_by_hand():
    # q = 3/4 at both pixels, one infected and one not (Degerli 2021, eq. 3).
    logits, target = torch.full((1, 1, 1, 2), math.log(3)), torch.tensor([[[[1.0, 0.0]]]])
    expected = -(math.log(3 / 4) + math.log(1 / 4)) / 2
    assert BinaryCrossEntropy()(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_the_balanced_cross_entropy_is_the_focal_loss_without_focus():
    # Degerli 2021, eq. 4 with alpha = 1/4.
    logits, target = torch.full((1, 1, 1, 2), math.log(3)), torch.tensor([[[[1.0, 0.0]]]])
    expected = -(0.25 * math.log(3 / 4) + 0.75 * math.log(1 / 4)) / 2
    assert HybridLoss(gamma=0).focal(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_the_dice_loss_alone_is_that_of_the_hybrid_loss(rng):
    logits = torch.from_numpy(rng.normal(size=(2, 1, 4, 4)))
    target = torch.from_numpy((rng.random((2, 1, 4, 4)) < 0.5).astype(float))
    torch.testing.assert_close(DiceLoss()(logits, target), HybridLoss().dice(logits, target))
    with pytest.raises(ConfigError, match="above 0"):
        DiceLoss(smooth=0)


def test_a_pixel_of_which_two_classes_are_possible_costs_the_sum_of_both():
    # Probabilities 1/8, 2/8 and 5/8; first or second class, then the third alone.
    logits = torch.log(torch.tensor([1.0, 2.0, 5.0]))[None, :, None, None].expand(1, 3, 1, 2)
    found = PartialCrossEntropy()(logits, torch.tensor([[[0b011, 0b100]]]))
    assert found.item() == pytest.approx(-(math.log(3 / 8) + math.log(5 / 8)) / 2, rel=1e-6)


def test_known_pixels_cost_the_cross_entropy_and_unknown_ones_nothing(rng):
    logits = torch.from_numpy(rng.normal(size=(2, 4, 3, 3))).requires_grad_()
    target = torch.from_numpy(rng.integers(4, size=(2, 3, 3)))
    loss = PartialCrossEntropy()
    torch.testing.assert_close(loss(logits, 1 << target), WeightedCrossEntropy()(logits, target))
    nothing = loss(logits, torch.full((2, 3, 3), 0b1111))
    nothing.backward()
    assert nothing.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits))


def test_a_pixel_without_a_possible_class_is_refused():
    with pytest.raises(TrainingError, match="no possible class"):
        PartialCrossEntropy()(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64))


def test_a_batch_of_empty_masks_has_a_finite_hybrid_loss_that_teaches_to_predict_nothing():
    logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    loss = HybridLoss()(logits, torch.zeros(2, 1, 4, 4))
    loss.backward()
    # Focal: q = 1/2 everywhere; Dice: 8 of 8 + 1 predicted in vain.
    assert loss.item() == pytest.approx(0.75 * 0.25 * math.log(2) + 8 / 9, rel=1e-6)
    assert (logits.grad > 0).all()


def test_an_empty_film_counts_as_much_as_one_with_a_lesion_in_the_same_batch():
    lesion = torch.zeros(1, 1, 4, 4)
    lesion[..., :2] = 1
    logits, empty = torch.full((1, 1, 4, 4), -1.0), torch.zeros(1, 1, 4, 4)
    both = HybridLoss()(torch.cat([logits, logits]), torch.cat([lesion, empty]))
    torch.testing.assert_close(both, (HybridLoss()(logits, lesion) + HybridLoss()(logits, empty)) / 2)


@pytest.mark.parametrize("name", ["hybrid", "dice", "bce"])
def test_losses_of_masks_refuse_label_maps(name):
    with pytest.raises(TrainingError, match="num_classes: 1"):
        SEGMENTATION_LOSSES[name](None)(torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 8))


@pytest.mark.parametrize(
    ("name", "channels", "message"),
    [
        ("tversky", 1, r"stage\.loss: got 'tversky'; expected one of cross_entropy, hybrid, dice, bce"),
        ("hybrid", 2, r"'hybrid' for a network of num_classes: 2; expected cross_entropy, or num_classes: 1"),
        ("cross_entropy", 1, r"expected hybrid or dice or bce, or num_classes: 2 or more"),
    ],
)
def test_a_loss_that_does_not_fit_the_channels_is_refused_with_those_that_do(name, channels, message):
    with pytest.raises(ConfigError, match=message):
        check_loss(name, channels, "stage")


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
