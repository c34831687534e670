"""A network gets as many films as memory holds, and the next ones are read while it works."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from patchcxr.errors import ConfigError, ModelError
from patchcxr.inference import batches
from patchcxr.inference.batches import (
    BatchSize,
    as_batch_size,
    bytes_of_a_film,
    choose_device,
    fitting_batch,
    free_memory,
    read_ahead,
)
from patchcxr.inference.segmentation import predict_probabilities
from patchcxr.models.fcdensenet import FCDenseNet


class Small(nn.Module):
    """Doubles films, and runs out of memory above ``most`` of them."""

    def __init__(self, most: int, error: type[RuntimeError] = torch.cuda.OutOfMemoryError) -> None:
        super().__init__()
        self.most, self.error, self.sizes = most, error, []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise self.error("CUDA out of memory. Tried to allocate 20.00 MiB")
        return torch.cat([x, 1 - x], dim=1)


def test_a_batch_is_halved_until_it_fits_and_nothing_is_lost():
    films, room = torch.arange(13.0).reshape(13, 1, 1, 1), BatchSize(8)
    network = Small(most=3)
    found = room.forward(network, films)
    torch.testing.assert_close(found, torch.cat([films, 1 - films], dim=1))
    assert room.size == 2
    assert network.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 1]


def test_the_smaller_size_is_kept_for_the_next_films():
    network, room = Small(most=3), BatchSize(8)
    room.forward(network, torch.zeros(4, 1, 1, 1))
    assert network.sizes == [4, 4, 2, 2]
    network.sizes.clear()
    room.forward(network, torch.zeros(4, 1, 1, 1))
    assert network.sizes == [2, 2]


def test_probabilities_are_the_same_whatever_memory_holds(rng):
    films = rng.random((11, 4, 4)).astype(np.float32)
    plenty, little = (
        np.concatenate(list(predict_probabilities(Small(most), films, BatchSize(8)))) for most in (100, 1)
    )
    np.testing.assert_array_equal(plenty, little)
    assert plenty.shape == (11, 2, 4, 4)


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes",
        "MPS backend out of memory (MPS allocated: 1 GB)",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_other_words_for_no_memory_are_understood(text):
    def network(x):
        if len(x) > 1:
            raise RuntimeError(text)
        return x

    assert len(BatchSize(4).forward(network, torch.zeros(4, 1))) == 4


def test_one_film_that_does_not_fit_is_an_error_in_words_and_other_errors_stay_as_they_are():
    with pytest.raises(ModelError, match=r"does not suffice for one film.*--device"):
        BatchSize(4).forward(Small(most=0), torch.zeros(2, 1, 1, 1))

    def broken(_x):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        BatchSize(4).forward(broken, torch.zeros(2, 1))


def test_sizes_below_one_are_refused():
    with pytest.raises(ConfigError, match="batch size: got 0"):
        BatchSize(0)
    room = BatchSize(3)
    assert as_batch_size(room) is room
    assert as_batch_size(5).size == 5


def test_bytes_of_a_film_add_up_what_every_layer_gives():
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    assert bytes_of_a_film(network, 8) == 4 * (3 * 64 + 3 * 64 + 3 * 16)
    assert not network[0]._forward_hooks
    assert network.training


def test_the_bytes_of_fc_densenet_bound_the_buffers_of_its_evaluation():
    network = FCDenseNet(num_classes=2, variant=56).eval()
    buffers = [4 * (64 // 2**level) ** 2 * one.joined.out_channels for level, one in enumerate(network.levels)]
    assert bytes_of_a_film(network, 64) > sum(buffers)
    assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())


@pytest.mark.parametrize(("free", "size"), [(10**15, 8), (8 * 4 * 64 * 3, 3), (1, 1)])
def test_the_first_guess_fills_half_of_the_free_memory_within_its_bounds(free, size, monkeypatch):
    monkeypatch.setattr(batches, "free_memory", lambda _device: free)
    network = nn.Conv2d(1, 4, 3, padding=1)  # 4 channels x 8 x 8 x 4 bytes = 1024 a film
    expected = {10**15: 8, 1: 1}.get(free, int(0.5 * free / 1024))
    assert fitting_batch(network, 8).size == expected == size
    assert fitting_batch(network, 8, 50).size == 50


def test_free_memory_is_some_and_a_device_is_chosen_by_name():
    assert free_memory(torch.device("cpu")) > 2**20
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match=r"'gpu'; expected auto or one that this machine has: cpu"):
        choose_device("gpu")


def test_the_next_part_is_read_while_this_one_is_worked_on():
    second = threading.Event()

    def load(part: int) -> int:
        if part == 1:
            second.set()
        return 10 * part

    found = []
    for value in read_ahead(load, [0, 1, 2]):
        if not found:
            assert second.wait(timeout=10)
        found.append(value)
    assert found == [0, 10, 20]


def test_an_error_while_reading_ahead_comes_in_its_turn():
    def load(part: int) -> int:
        return 1 // part

    reading = read_ahead(load, [1, 0])
    assert next(reading) == 1
    with pytest.raises(ZeroDivisionError):
        next(reading)
