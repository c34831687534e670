"""FC-DenseNet against the numbers of Jégou 2017."""

from __future__ import annotations

import pytest
import torch

from patchcxr.errors import ModelError
from patchcxr.models.fcdensenet import DenseBlock, FCDenseNet, TransitionUp
from patchcxr.models.registry import count_parameters


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize(("variant", "millions"), [(103, 9.4), (67, 3.5), (56, 1.4)])
def test_parameters_are_those_of_the_paper(variant, millions, in_channels):
    # The paper states 1.5 for FC-DenseNet56; the layers that it lists have 1.4.
    network = FCDenseNet(4, variant, in_channels)
    assert round(count_parameters(network, running_statistics=True) / 1e6, 1) == millions


def test_feature_maps_of_103_are_those_of_jegou_table_2():
    network = FCDenseNet(4, 103)
    down = [block.out_channels for block in network.down_blocks]
    up = [block.out_channels for block in network.up_blocks]
    assert [network.first.out_channels, *down] == [48, 112, 192, 304, 464, 656]
    assert network.bottleneck.out_channels == 896
    assert up == [1088, 816, 578 - 2, 384, 256]  # the paper's 578 is a slip: 16 * 7 + 160 + 304 = 576


def test_variant_103_has_103_layers():
    network = FCDenseNet(4, 103)
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    assert sum(isinstance(module, kinds) for module in network.modules()) == 103


def test_a_dense_block_keeps_its_input_and_appends_what_each_layer_makes_of_all_before(rng):
    torch.manual_seed(0)
    block = DenseBlock(3, growth=2, layers=2, dropout=0.0).eval()
    x = torch.rand(1, 3, 8, 8)
    first = block.layers[0](x)
    second = block.layers[1](torch.cat([x, first], dim=1))
    torch.testing.assert_close(block(x), torch.cat([x, first, second], dim=1))


def test_only_new_maps_go_up():
    network = FCDenseNet(4, 67)
    assert [up.up.in_channels for up in network.ups] == [80] * 5


@pytest.mark.parametrize("side", [6, 7])
def test_a_transition_up_meets_even_and_odd_skips(side):
    up = TransitionUp(5)
    skip = torch.rand(1, 2, side, side)
    joined = up(torch.rand(1, 5, side // 2, side // 2), skip)
    assert joined.shape == (1, 7, side, side)
    assert torch.equal(joined[:, 5:], skip)


def test_odd_sizes_give_logits_of_the_same_size():
    network = FCDenseNet(4, 56).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 65, 99)).shape == (1, 4, 65, 99)


def test_channels_last_gives_the_same_logits():
    torch.manual_seed(0)
    network = FCDenseNet(4, 56).eval()
    films = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        plain = network(films)
        torch.testing.assert_close(network.to(memory_format=torch.channels_last)(films), plain, rtol=1e-3, atol=1e-4)


def test_every_parameter_learns():
    network = FCDenseNet(2, 56)
    network(torch.rand(2, 1, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in network.named_parameters() if "weight" in n)


@pytest.mark.parametrize(
    ("shape", "mend"),
    [((1, 1, 16, 64), "resize it to a larger size"), ((1, 3, 64, 64), "grey films"), ((64, 64), "batch and a channel")],
)
def test_input_that_cannot_be_taken_is_refused_with_a_remedy(shape, mend):
    with pytest.raises(ModelError, match=mend):
        FCDenseNet(4, 56)(torch.rand(shape))


def test_an_unknown_variant_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"\[56, 67, 103\]"):
        FCDenseNet(4, 121)
