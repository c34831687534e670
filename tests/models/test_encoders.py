"""Encoders: their weights, their sizes, and how they are kept from training."""

from __future__ import annotations

import os

import pytest
import timm
import torch
from torch import nn
from torchvision.models import densenet121

from patchcxr.errors import CheckpointError, ModelError
from patchcxr.models import smp
from patchcxr.models.degerli import NestedDecoder, TransitionSkips
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel, load_model, save_model


def unet(encoder="densenet121", architecture="smp_unet", seed=0, **options):
    return create_model(
        ModelConfig(architecture=architecture, num_classes=1, encoder=encoder, **options),
        seed=seed,
    )


@pytest.fixture(scope="module")
def reference():
    """DenseNet-121 of torchvision with 14 findings, as CheXNet was made."""
    torch.manual_seed(7)
    network = densenet121(weights=None, num_classes=14)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.1)
    return network.eval()


def as_arnoweng(network):
    """Keys of an early torchvision below two wrappers, without counters of batches."""
    weights = {}
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            for kind in ("norm", "conv"):
                for number in "12":
                    name = name.replace(f".{kind}{number}.", f".{kind}.{number}.") if "denselayer" in name else name
            weights[f"module.densenet121.{name.replace('classifier.', 'classifier.0.')}"] = value
    return {"epoch": 1, "state_dict": weights, "best_loss": 0.5}


def as_torchxrayvision(network):
    """Grey input, and thresholds beside the weights."""
    weights = dict(network.state_dict())
    weights["features.conv0.weight"] = weights["features.conv0.weight"].sum(1, keepdim=True)
    return {**weights, "op_threshs": torch.zeros(14)}


@pytest.mark.parametrize("architecture", ["smp_unet", "degerli_dla"])
@pytest.mark.parametrize(
    ("layout", "to_input"),
    [(as_arnoweng, lambda x: (x - 0.449) / 0.226), (as_torchxrayvision, lambda x: (2 * x - 1) * 1024)],
)
def test_chexnet_is_read_in_both_layouts(reference, layout, to_input, architecture, tmp_path):
    torch.save(layout(reference), tmp_path / "m.pth.tar")
    network = unet(
        architecture=architecture, encoder_weights="chexnet", encoder_checkpoint=str(tmp_path / "m.pth.tar")
    ).eval()
    films = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        standard = to_input(films)
        torch.testing.assert_close(network.standardize(films), standard, rtol=1e-4, atol=1e-4)
        last = network.encoder(network.standardize(films))[-1]
        expected = reference.features(standard.expand(-1, 3, -1, -1))
        if architecture == "degerli_dla":
            expected = expected.relu()
    torch.testing.assert_close(last, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_a_model_that_started_from_chexnet_loads_without_its_file(reference, tmp_path):
    checkpoint = tmp_path / "private" / "m.pt"
    checkpoint.parent.mkdir()
    torch.save(as_torchxrayvision(reference), checkpoint)
    config = ModelConfig(
        architecture="smp_unet",
        num_classes=1,
        encoder="densenet121",
        encoder_weights="chexnet",
        encoder_checkpoint=str(checkpoint),
        encoder_frozen=True,
    )
    module = create_model(config, seed=0).eval()
    save_model(tmp_path / "trained.safetensors", TrainedModel(module, config, ("infection",), 64))
    checkpoint.unlink()
    loaded = load_model(tmp_path / "trained.safetensors")
    films = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded.module(films), module(films))
    assert (loaded.config.encoder_weights, loaded.config.encoder_checkpoint) == ("chexnet", "m.pt")
    assert b"private" not in (tmp_path / "trained.safetensors").read_bytes()


def test_a_checkpoint_that_does_not_fit_lists_what_does_not(reference, tmp_path):
    content = as_arnoweng(reference)
    weights = content["state_dict"]
    del weights["module.densenet121.features.norm0.weight"]
    weights["module.densenet121.features.conv0.weight"] = torch.zeros(64, 2, 7, 7)
    weights["module.densenet121.features.extra"] = torch.zeros(1)
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"m\.pt: does not fit the encoder densenet121 \(3 faults\)") as caught:
        unet(encoder_weights="chexnet", encoder_checkpoint=str(tmp_path / "m.pt"))
    for fault in (
        "features.norm0.weight is missing",
        "features.extra is unknown",
        "features.conv0.weight has shape (64, 2, 7, 7), expected (64, 1, 7, 7)",
    ):
        assert fault in str(caught.value)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return (os.mkdir, (str(self.folder),))


def test_a_pickled_model_is_refused_unopened_and_the_remedy_is_told(tmp_path):
    torch.save({"state_dict": Trap(tmp_path / "sprung")}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"could run code when opened.*state_dict\(\), NEW_FILE"):
        unet(encoder_weights="chexnet", encoder_checkpoint=str(tmp_path / "m.pt"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "no such file"), (b"", "not readable|is no file"), (b"nothing", "not readable|is no file")],
)
def test_files_that_hold_no_weights_are_refused(content, fault, tmp_path):
    path = tmp_path / "m.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=fault):
        unet(encoder_weights="chexnet", encoder_checkpoint=str(path))


def test_a_checkpoint_of_a_list_is_refused(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="got a list; expected weights by name"):
        unet(encoder_weights="chexnet", encoder_checkpoint=str(tmp_path / "m.pt"))


def test_chexnet_goes_with_densenet121_only():
    with pytest.raises(ModelError, match="set encoder: densenet121"):
        unet("resnet18", encoder_weights="chexnet", encoder_checkpoint="m.pt")


@pytest.mark.parametrize("architecture", ["smp_unet", "degerli_unetplusplus"])
def test_a_frozen_encoder_stays_as_it_is_while_the_rest_learns(architecture):
    network = unet("resnet18", architecture, encoder_frozen=True).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.rand(2, 1, 64, 64)).square().mean().backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith("network.encoder.") for name in changed)
    assert any("running_mean" in name for name in changed)
    assert not any(module.training for module in network.encoder.modules())
    assert network.network.decoder.training


def test_an_encoder_that_is_not_frozen_learns():
    network = unet("resnet18").train()
    before = network.encoder.bn1.running_mean.clone()
    network(torch.rand(2, 1, 64, 64)).square().mean().backward()
    assert all(p.grad is not None for p in network.encoder.parameters())
    assert not torch.equal(network.encoder.bn1.running_mean, before)


def test_imagenet_weights_bring_their_own_grey_level_and_spread(monkeypatch):
    asked = {}

    def offline(family, **options):
        asked.update(options)
        return load(family, **{**options, "encoder_weights": None})

    load = smp.load_network
    monkeypatch.setattr(smp, "load_network", offline)
    network = unet("inception_v3", encoder_weights="imagenet")
    assert (asked["encoder_name"], asked["encoder_weights"]) == ("tu-inception_v3", True)
    assert (float(network.standardize.mean), float(network.standardize.std)) == (0.5, 0.5)


def test_an_encoder_without_imagenet_weights_says_so(monkeypatch):
    def unknown(family, **options):
        raise KeyError("Wrong pretrained weights `imagenet` for encoder `vgg`")

    monkeypatch.setattr(smp, "load_network", unknown)
    with pytest.raises(ModelError, match=r"does not fit Unet with imagenet weights .*set encoder_weights: none"):
        unet("vgg11", encoder_weights="imagenet")


@pytest.mark.slow
@pytest.mark.parametrize("side", [64, 224])
def test_inception_v3_halves_the_side_exactly_at_each_level(side):
    network = unet("inception_v3").eval()
    with torch.inference_mode():
        maps = network.encoder(torch.rand(1, 1, side, side))
    assert [m.shape[2] for m in maps] == [side // 2**level for level in range(6)]
    assert [m.shape[1] for m in maps] == [1, 64, 192, 288, 768, 2048]


@pytest.mark.slow
def test_padding_does_not_change_inception_v3_inside_the_maps():
    network = unet("inception_v3").eval()
    plain = timm.create_model("inception_v3", features_only=True, in_chans=1).eval()
    plain.load_state_dict(network.encoder.model.state_dict())
    film = torch.rand(1, 1, 96, 96)
    with torch.inference_mode():
        padded = network.encoder(film)[1]
        # The first window begins one pixel before the film, and a second convolution loses one place.
        expected = plain(nn.functional.pad(film, (1, 1, 1, 1)))[0]
    assert padded.shape[2:] == (48, 48)
    torch.testing.assert_close(padded[:, :, 3:-3, 3:-3], expected[:, :, 2:-2, 2:-2], rtol=1e-3, atol=1e-4)


def test_skips_of_densenet_are_the_maps_of_its_transitions():
    encoder = unet(architecture="degerli_unet").encoder.eval()
    assert isinstance(encoder, TransitionSkips)
    film = torch.rand(1, 1, 64, 64)
    features = encoder.features
    with torch.inference_mode():
        maps = encoder(film)
        first = features.transition1.pool(maps[2])
        second = features.transition2.conv(features.transition2.norm(features.denseblock2(first)).relu())
        torch.testing.assert_close(maps[3], second)
        torch.testing.assert_close(maps[5], features(film).relu())
    assert [m.shape[1] for m in maps] == encoder.out_channels == [1, 64, 128, 256, 512, 1024]


def test_nodes_of_dla_see_the_node_before_and_those_of_unetplusplus_all_before():
    encoder = [1, 2, 4, 8, 16, 32]
    seen = {}
    for dense in (False, True):
        nodes = NestedDecoder(encoder, filters=(3, 5, 7, 9, 11), dense=dense).nodes
        seen[dense] = {name: node[0].in_channels for name, node in nodes.items()}
    below_and_before = {
        "1_1": 4 + 2, "2_1": 8 + 4, "3_1": 16 + 8, "4_1": 32 + 16,
        "1_2": 7 + 5, "2_2": 9 + 7, "3_2": 11 + 9,
        "1_3": 7 + 5, "2_3": 9 + 7,
        "1_4": 7 + 5,
        "0_5": 5,
    }  # fmt: skip
    assert seen[False] == below_and_before
    more = {"1_2": 2, "2_2": 4, "3_2": 8, "1_3": 2 + 5, "2_3": 4 + 7, "1_4": 2 + 5 + 5}
    assert seen[True] == {name: count + more.get(name, 0) for name, count in below_and_before.items()}


def test_a_nested_decoder_is_the_grid_worked_out_by_hand():
    torch.manual_seed(0)
    decoder = NestedDecoder([1, 2, 3, 4], filters=(2, 3, 4)).eval()
    film, *maps = (torch.rand(1, c, 32 // 2**level, 32 // 2**level) for level, c in enumerate([1, 2, 3, 4]))
    up = nn.Upsample(scale_factor=2)
    node = decoder.nodes
    a = node["1_1"](torch.cat([up(maps[1]), maps[0]], 1))
    b = node["2_1"](torch.cat([up(maps[2]), maps[1]], 1))
    c = node["1_2"](torch.cat([up(b), a], 1))
    torch.testing.assert_close(decoder([film, *maps]), node["0_3"](up(c)))
