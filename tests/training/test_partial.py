"""Sets of possible classes from masks of both conventions, and the loss that learns from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from patchcxr.errors import MaskError, TrainingError
from patchcxr.preprocessing.lungfields import separate_lungs
from patchcxr.training.losses import PartialCrossEntropy
from patchcxr.training.partial import EVERYTHING, bits, possible_classes
from patchcxr.types import PARTITION


def row(*values: int) -> np.ndarray:
    return np.array([values], dtype=bool)


def names(value: int) -> set[str]:
    return {name for index, name in enumerate(PARTITION) if value >> index & 1}


def test_jsrt_masks_leave_open_only_whether_heart_hides_lung() -> None:
    sets = possible_classes(
        {"right_lung": row(1, 0, 0, 0), "heart": row(0, 1, 0, 0), "left_lung": row(0, 0, 1, 0)}, whole_lungs=False
    )
    assert [names(value) for value in sets[0]] == [
        {"right_lung"},
        {"heart", "left_lung_behind_heart", "right_lung_behind_heart"},
        {"left_lung"},
        {"background"},
    ]


def test_lungs_that_include_the_heart_side_leave_open_what_lies_in_front() -> None:
    lung = np.zeros((4, 24), dtype=bool)
    lung[:, 2:8] = True
    lung[:, 14:22] = True
    sets = possible_classes({"lung": lung}, whole_lungs=True)
    assert names(sets[0, 0]) == {"background", "heart"}
    assert names(sets[0, 4]) == {"right_lung", "right_lung_behind_heart"}
    assert names(sets[0, 18]) == {"left_lung", "left_lung_behind_heart"}


def test_lungs_grown_together_have_no_side() -> None:
    lung = np.ones((4, 20), dtype=bool)
    assert separate_lungs(lung) is None
    sets = possible_classes({"lung": lung}, whole_lungs=True)
    assert names(sets[0, 0]) == set(PARTITION) - {"background", "heart"}


def test_whole_lungs_and_heart_together_name_the_part_behind_it() -> None:
    sets = possible_classes({"left_lung": row(1, 1, 0), "heart": row(0, 1, 1)}, whole_lungs=True)
    assert [names(value) for value in sets[0]] == [
        {"left_lung"},
        {"left_lung_behind_heart"},
        {"heart", "right_lung_behind_heart"},
    ]


def test_a_contradiction_says_nothing() -> None:
    sets = possible_classes({"left_lung": row(1, 0), "right_lung": row(1, 1)})
    assert sets[0, 0] == EVERYTHING
    assert names(sets[0, 1]) == {"right_lung"}


def test_one_mask_rules_out_only_what_it_shows() -> None:
    sets = possible_classes({"heart": row(0, 1)})
    assert names(sets[0, 0]) == {"background", "left_lung", "right_lung"}
    with pytest.raises(MaskError, match="expected some of"):
        possible_classes({"infection": row(0, 1)})


def test_small_parts_go_with_the_nearer_lung() -> None:
    lung = np.zeros((10, 40), dtype=bool)
    lung[:, 2:12] = True
    lung[:, 28:38] = True
    lung[0, 14] = True
    right, left = separate_lungs(lung) or pytest.fail("two lungs")
    assert right[0, 14]
    assert not left[0, 14]
    assert (right | left == lung).all()
    assert not (right & left).any()
    assert right[5, 5]
    assert left[5, 30]


def test_a_set_of_one_class_is_the_plain_cross_entropy_and_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 5, 5, generator=generator, requires_grad=True)
    labels = torch.randint(0, 6, (2, 5, 5), generator=generator)
    ours = PartialCrossEntropy()(logits, 1 << labels)
    plain = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(ours, plain)
    gradients = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (ours, plain)]
    torch.testing.assert_close(*gradients)


def test_a_set_has_the_sum_of_its_probabilities() -> None:
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).reshape(1, 4, 1, 1)
    loss = PartialCrossEntropy()
    assert loss(logits, torch.tensor([[[0b0110]]])).item() == pytest.approx(-np.log(0.5))
    assert loss(logits, torch.tensor([[[0b1111]]])).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(TrainingError, match="no possible class"):
        loss(logits, torch.tensor([[[0]]]))


def test_bits_follow_the_order_of_the_partition() -> None:
    assert [bits([name]) for name in PARTITION] == [1, 2, 4, 8, 16, 32]
