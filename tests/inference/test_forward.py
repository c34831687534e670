from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from patchcxr.errors import ImageError
from patchcxr.inference.forward import as_batch, device_of, evaluating

CPU = torch.device("cpu")


def test_each_module_has_its_own_mode_back_even_after_an_error():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Dropout())
    model.train()
    model[1].eval()
    seen = []

    def fail():
        with evaluating(model):
            seen.extend(module.training for module in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [False] * 4
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_films_become_a_batch_with_a_channel_and_bytes_become_fractions():
    film = np.array([[0, 51], [102, 255]], dtype=np.uint8)
    for given in (film, film[None], film[None, None], torch.from_numpy(film)[None]):
        batch = as_batch(given, CPU)
        assert batch.dtype == torch.float32
        torch.testing.assert_close(batch, torch.tensor([[[[0, 0.2], [0.4, 1]]]]))


def test_a_read_only_memory_map_is_taken(tmp_path):
    np.save(tmp_path / "film.npy", np.full((2, 4, 4), 0.5, dtype=np.float16))
    batch = as_batch(np.load(tmp_path / "film.npy", mmap_mode="c"), CPU)
    assert (batch == 0.5).all()


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4, 4), (0, 4, 4)])
def test_a_shape_that_is_no_batch_of_grey_films_is_refused(shape):
    with pytest.raises(ImageError, match=r"expected \(H, W\)"):
        as_batch(np.zeros(shape), CPU)


@pytest.mark.parametrize("value", [255.0, -0.5, np.nan])
def test_intensities_on_another_scale_are_refused(value):
    with pytest.raises(ImageError, match=r"expected \[0, 1\]"):
        as_batch(np.array([[0.0, value]]), CPU)


def test_device_of_a_network_without_weights_is_the_cpu():
    assert device_of(nn.ReLU()) == CPU
