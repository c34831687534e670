"""FC-DenseNet without concatenations against the network as Jégou writes it down."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from patchcxr.models import fcdensenet_inference
from patchcxr.models.fcdensenet import DenseBlock, FCDenseNet
from patchcxr.models.fcdensenet_training import grow


def plain_block(block, x):
    for layer in block.layers:
        x = torch.cat([x, layer(x)], dim=1)
    return x


def plain_network(network, films):
    x = network.first((films - network.standardize.mean) / network.standardize.std)
    skips = []
    for block, down in zip(network.down_blocks, network.downs, strict=True):
        skips.append(plain_block(block, x))
        x = down(skips[-1])
    block = network.bottleneck
    x = plain_block(block, x)
    for up, above in zip(network.ups, network.up_blocks, strict=True):
        x = plain_block(above, up(x[:, block.channels :], skips.pop()))
        block = above
    return network.head(x)


def made_to_differ(module):
    """Batch normalisation as after a training: scales of both signs, statistics far from 0 and 1."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, -0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return module


@pytest.mark.parametrize("size", [(2, 1, 32, 37), (1, 1, 67, 34)])
@pytest.mark.parametrize("strip_bytes", [2**12, 2**17, 2**30])
def test_evaluation_gives_the_plain_numbers_whatever_the_strips(size, strip_bytes, monkeypatch):
    monkeypatch.setattr(fcdensenet_inference, "STRIP_BYTES", strip_bytes)
    torch.manual_seed(0)
    network = made_to_differ(FCDenseNet(3, 56)).eval()
    films = torch.rand(size)
    with torch.inference_mode():
        expected = plain_network(network, films)
        torch.testing.assert_close(network(films), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.slow
def test_evaluation_of_103_layers_gives_the_plain_numbers():
    torch.manual_seed(0)
    network = made_to_differ(FCDenseNet(4, 103)).eval()
    films = torch.rand(1, 1, 96, 128)
    with torch.no_grad():
        expected = plain_network(network, films)
        torch.testing.assert_close(network(films), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_half_precision_on_request_gives_nearly_the_same_classes_as_float32():
    torch.manual_seed(0)
    network = FCDenseNet(3, 56).eval()
    films = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        exact = network(films)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(films)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()
    assert (rough.argmax(1) == exact.argmax(1)).float().mean() > 0.97


def test_networks_in_float64_are_evaluated_in_float64():
    torch.manual_seed(0)
    network = made_to_differ(FCDenseNet(2, 56)).eval().double()
    films = torch.rand(1, 1, 33, 40, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(network(films), plain_network(network, films), rtol=1e-11, atol=1e-11)


def test_dropout_that_was_left_on_is_not_skipped_in_evaluation():
    torch.manual_seed(0)
    network = FCDenseNet(2, 56, dropout=0.5).eval()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    films = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert not torch.equal(network(films), network(films))


def test_gradients_reach_the_film_in_evaluation_mode():
    network = FCDenseNet(2, 56).eval()
    film = torch.rand(1, 1, 32, 32, requires_grad=True)
    network(film).sum().backward()
    assert film.grad.abs().sum() > 0


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_training_step_gives_the_plain_numbers_gradients_and_statistics(dropout):
    torch.manual_seed(0)
    block = made_to_differ(DenseBlock(5, growth=3, layers=4, dropout=dropout)).double().train()
    plain = copy.deepcopy(block)
    x = torch.randn(2, 5, 9, 7, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    x_plain = x.detach().clone().requires_grad_()
    weigh = torch.randn(2, 17, 9, 7, dtype=torch.float64)

    torch.manual_seed(1)
    expected = plain_block(plain, x_plain)
    (expected * weigh).sum().backward()
    torch.manual_seed(1)
    got = grow(block, x)
    (got * weigh).sum().backward()

    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(x.grad, x_plain.grad, rtol=1e-9, atol=1e-9)
    for (name, ours), theirs in zip(block.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
    for ours, theirs in zip(block.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
def test_a_step_of_the_whole_network_moves_the_weights_as_the_plain_one_does():
    torch.manual_seed(0)
    network = FCDenseNet(2, 56, dropout=0.0).train()
    plain = copy.deepcopy(network)
    films, labels = torch.rand(2, 1, 64, 64), torch.randint(2, (2, 64, 64))
    losses = []
    for module, forward in ((network, network), (plain, lambda films: plain_network(plain, films))):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
        loss = nn.functional.cross_entropy(forward(films), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(network.state_dict(), plain.state_dict(), rtol=1e-3, atol=1e-4)


def test_training_in_half_precision_learns():
    torch.manual_seed(0)
    block = DenseBlock(4, growth=2, layers=2, dropout=0.0).train()
    with torch.autocast("cpu", torch.bfloat16):
        maps = block(torch.rand(2, 4, 8, 8))
    assert maps.dtype == torch.bfloat16
    maps.float().square().mean().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in block.parameters())


def test_layers_with_fixed_statistics_train_through_the_plain_block():
    block = DenseBlock(3, growth=2, layers=2, dropout=0.0).train()
    before = block.layers[0][0].running_mean.clone()
    for layer in block.layers:
        layer[0].eval()
    block(torch.rand(2, 3, 8, 8) + 5).sum().backward()
    assert torch.equal(block.layers[0][0].running_mean, before)
