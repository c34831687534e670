"""The networks of Degerli 2021 and Tahir 2021 have the sizes that the papers print."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from patchcxr.inference.complexity import complexity_table, measure_complexity
from patchcxr.models.published import degerli_networks, tahir_networks
from patchcxr.models.registry import create_model

DEGERLI = [n for n in degerli_networks(pretrained=False) if n.encoder != "CheXNet"]

COLOUR_INPUT = {"DenseNet-121": 2 * 64 * 49, "Inception-v3": 2 * 32 * 9, "ResNet-50": 2 * 64 * 49}
"""Values that the first convolution of the papers' networks has besides, for three colours instead of one."""

NORMALISED_MAPS_OF_KERAS_RESNET50 = 22_787
"""Its units normalise before they convolve; half of (47.56 K - 1,984 of the decoder), or of (50.37 K - 4,800)."""


def without_weights(network):
    with torch.device("meta"):
        return create_model(network.config)


def printed_as(value, printed, digits):
    """Whether a paper that rounds or cuts off prints the value so."""
    rounded = {round(value, digits), math.floor(value * 10**digits) / 10**digits}
    return any(abs(number - printed) < 1e-9 for number in rounded)


@pytest.mark.slow
@pytest.mark.parametrize("network", tahir_networks(pretrained=False), ids=lambda n: f"{n.decoder} {n.encoder}")
def test_all_networks_of_tahir_have_the_sizes_of_table_4(network):
    counted = measure_complexity(without_weights(network), repeats=0).trainable / 1e6
    assert printed_as(counted, network.trainable, 1 if network.trainable == 32.5 else 2)


@pytest.mark.slow
@pytest.mark.parametrize("network", DEGERLI, ids=lambda n: f"{n.decoder} {n.encoder} {n.config.encoder_frozen}")
def test_all_networks_of_degerli_have_the_sizes_of_table_8(network):
    """Exactly, once what Keras's encoders have otherwise is added or taken away.

    Films have three colours there; frozen encoders still train their batch
    normalisation; Inception-v3 normalises without a scale; ResNet-50 is a
    variant with fewer normalised maps, which decides for its rows to 0.02 M.
    """
    model = without_weights(network)
    counted = measure_complexity(model, repeats=0)
    maps = sum(m.num_features for m in model.encoder.modules() if isinstance(m, nn.BatchNorm2d))
    scales, shifts = (0 if network.encoder == "Inception-v3" else maps), maps
    if network.config.encoder_frozen:
        trainable = counted.trainable + scales + shifts
        other = counted.non_trainable - 2 * maps + COLOUR_INPUT[network.encoder]
    else:
        trainable = counted.trainable - (maps - scales) + COLOUR_INPUT[network.encoder]
        other = counted.non_trainable
    if network.encoder == "ResNet-50":
        assert trainable / 1e6 == pytest.approx(network.trainable, abs=0.02)
        if network.config.encoder_frozen:
            assert other / 1e6 == pytest.approx(network.non_trainable, abs=0.02)
        else:
            fewer = 2 * (maps - NORMALISED_MAPS_OF_KERAS_RESNET50)
            assert round((other - fewer) / 1e6, 5) == network.non_trainable
    else:
        assert round(trainable / 1e6, 2) == network.trainable
        assert round(other / 1e6, 2 if network.config.encoder_frozen else 5) == network.non_trainable


def test_dla_is_larger_than_unet_and_smaller_than_unetplusplus():
    unet, plusplus, dla = (measure_complexity(without_weights(n), repeats=0).trainable for n in DEGERLI[::6])
    assert unet < dla < plusplus


def test_every_network_of_the_papers_is_listed_once():
    degerli = degerli_networks(chexnet="weights.pt")
    assert len({n.config for n in degerli}) == 24
    assert sum(n.config.encoder_weights == "chexnet" for n in degerli) == 6
    assert len({n.config for n in tahir_networks()}) == 15


def test_the_table_puts_measured_beside_printed():
    network = tahir_networks(pretrained=False)[10]
    row = complexity_table([network], image_size=64, repeats=1).iloc[0]
    assert (row["decoder"], row["encoder"]) == ("FPN", "ResNet-18")
    assert row["trainable"] == pytest.approx(row["trainable_paper"], abs=0.01)
    assert row["milliseconds_paper"] == 5.74
    assert row["milliseconds"] > 0


def test_time_is_the_median_without_the_first_pass_and_for_one_film(monkeypatch):
    ticks = iter([0.0, 100.0, 0.0, 2.0, 0.0, 4.0, 0.0, 50.0])
    monkeypatch.setattr("patchcxr.inference.complexity.time.perf_counter", lambda: next(ticks))
    model = nn.Conv2d(1, 1, 1).train()
    assert measure_complexity(model, image_size=8, repeats=3, batch=2).seconds == 2.0
    assert model.training
