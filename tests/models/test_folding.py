"""Batch normalisation folded away: the same outputs to rounding, and a network that does not fit is left alone."""

import pytest
import torch
from torch import nn

from patchcxr.models.folding import TOLERANCE, fold_batch_norm
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.shipped import SHIPPED, shipped


def norms(model):
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def with_statistics(model, side):
    """Batch normalisation as after a training: no mean is 0 and no variance is 1."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval()


def largest_difference(a, b, side):
    images = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        expected = a(images)
        return float((b(images) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("architecture", "options", "left"),
    [
        ("resnet18", {"num_classes": 3}, 0),
        ("compact_unet", {"num_classes": 4}, 0),
        ("smp_unet", {"num_classes": 1, "encoder": "resnet18"}, 0),
        ("fc_densenet56", {"num_classes": 4}, None),  # batch normalisation comes before the convolutions
    ],
)
def test_outputs_are_the_same_to_rounding(architecture, options, left):
    model = with_statistics(create_model(ModelConfig(architecture=architecture, **options), 0), 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_batch_norm(model, 64)
    assert largest_difference(model, folded, 64) < TOLERANCE
    assert norms(folded) == (norms(model) if left is None else left)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", SHIPPED)
def test_no_batch_normalisation_is_left_in_the_networks_of_patchcxr(name):
    network = shipped(name)
    folded = fold_batch_norm(network.module, network.image_size)
    assert norms(network.module) > 0
    assert norms(folded) == 0
    assert largest_difference(network.module, folded, network.image_size) < TOLERANCE


class InAnotherOrder(nn.Module):
    """Declares batch normalisation after the convolution, and uses it before."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 3)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        return self.convolution(self.norm(x))


class LooksInside(nn.Module):
    """Needs its batch normalisation to be one."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 3)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        return self.norm(self.convolution(x)) * self.norm.eps


class Parametrised(nn.Sequential):
    """Computes the weights of its convolution anew in each pass."""

    def __init__(self):
        super().__init__(nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 1, 3)), nn.BatchNorm2d(1))


@pytest.mark.parametrize("kind", [InAnotherOrder, LooksInside, Parametrised])
def test_a_network_that_cannot_be_folded_is_left_alone(kind):
    model = with_statistics(kind(), 16)
    folded = fold_batch_norm(model, 16)
    assert norms(folded) == 1
    assert largest_difference(model, folded, 16) == 0
