"""U-Net, ResUnet and the networks of segmentation_models_pytorch."""

from __future__ import annotations

import pytest
import torch

from patchcxr.errors import ModelError
from patchcxr.models import smp
from patchcxr.models.registry import ModelConfig, count_parameters, create_model
from patchcxr.models.resunet import ResidualUnit, ResUNet
from patchcxr.models.unet import UNet


def test_unet_has_the_31_million_parameters_of_ronneberger():
    assert round(count_parameters(UNet(2)) / 1e6, 1) == 31.0


def test_resunet_has_a_quarter_of_them_or_so():
    # Zhang 2018 states 7.8 M against 30.6 M for its U-Net; shortcuts are counted here.
    assert 7.5e6 < count_parameters(ResUNet(1)) < 8.5e6


def test_resunet_filters_are_64_128_256_512_and_back():
    network = ResUNet(1)
    encoders = [unit.shortcut.out_channels for unit in network.encoders]
    decoders = [unit.shortcut.out_channels for unit in network.decoders]
    assert (encoders, decoders) == ([64, 128, 256, 512], [256, 128, 64])


def test_a_residual_unit_adds_its_shortcut():
    torch.manual_seed(0)
    unit = ResidualUnit(2, 3, stride=2)
    for parameter in unit.residual.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(1, 2, 8, 8)
    torch.testing.assert_close(unit(x), unit.shortcut(x))


@pytest.mark.parametrize(("name", "multiple"), [("unet", 16), ("resunet", 8), ("smp_unet", 32)])
def test_sides_that_do_not_divide_are_refused_with_a_size_that_does(name, multiple):
    encoder = "resnet18" if name == "smp_unet" else None
    network = create_model(ModelConfig(architecture=name, num_classes=1, encoder=encoder), seed=0).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 64, 96)).shape == (1, 1, 64, 96)
        with pytest.raises(ModelError, match=rf"divisible by {multiple}: resize it, for instance to 64 × 64"):
            network(torch.rand(1, 1, 64, 66))


def test_unet_skips_carry_detail_that_the_bottleneck_loses():
    torch.manual_seed(0)
    network = UNet(1, filters=(4, 8)).eval()
    film = torch.zeros(1, 1, 16, 16)
    dotted = film.clone()
    dotted[0, 0, 8, 8] = 1
    changed = (network(dotted) - network(film)).abs()[0, 0]
    assert changed.argmax() in [r * 16 + c for r in range(4, 13) for c in range(4, 13)]


def test_smp_unet_standardises_grey_films_then_calls_the_library():
    network = create_model(ModelConfig(architecture="smp_unet", num_classes=1, encoder="resnet18"), seed=0).eval()
    films = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(films), network.network((films - 0.5) / 0.25))


def test_weights_that_cannot_be_downloaded_name_the_remedy(monkeypatch):
    def offline(family, **options):
        raise OSError("Name or service not known")

    monkeypatch.setattr(smp, "load_network", offline)
    config = ModelConfig(architecture="smp_unet", num_classes=1, encoder="densenet121", encoder_weights="imagenet")
    with pytest.raises(ModelError, match="set encoder_weights: none"):
        create_model(config)


@pytest.mark.parametrize("encoder", [None, "densnet121", "tu-densnet121"])
def test_an_unknown_encoder_names_some_known_ones(encoder):
    with pytest.raises(ModelError, match="densenet121"):
        create_model(ModelConfig(architecture="smp_unet", num_classes=1, encoder=encoder))
