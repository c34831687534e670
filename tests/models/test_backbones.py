"""Trunks of torchvision and timm: the same maps as the library's, and weights from files."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from patchcxr.errors import CheckpointError, ConfigError, ModelError
from patchcxr.models.backbones import backbone
from patchcxr.models.classifiers import DenseHeadClassifier, PooledLinearClassifier
from patchcxr.models.fitting import fitting_networks
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel, load_model, save_model


def colour(films, mean, std):
    return torchvision.transforms.functional.normalize(films.expand(-1, 3, -1, -1), mean, std)


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v2"])
def test_logits_are_those_of_the_library_with_its_own_head(name):
    network = create_model(ModelConfig(architecture="torchvision", encoder=name, num_classes=3), seed=0).eval()
    reference = torchvision.models.get_model(name, weights=None, num_classes=3).eval()
    trunk = network.trunk[0] if name == "densenet121" else network.trunk
    reference.features.load_state_dict(trunk.state_dict())
    last = reference.classifier if name == "densenet121" else reference.classifier[-1]
    last.load_state_dict(network.head.state_dict())
    films = torch.rand(2, 1, 64, 96)
    with torch.inference_mode():
        expected = reference(colour(films, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        torch.testing.assert_close(network(films), expected, rtol=1e-5, atol=1e-5)


def test_a_network_of_timm_has_its_own_standardisation_and_logits():
    network = create_model(ModelConfig(architecture="timm", encoder="tf_efficientnet_lite0", num_classes=2), seed=0)
    reference = timm.create_model("tf_efficientnet_lite0", num_classes=2).eval()
    reference.load_state_dict(network.trunk.state_dict(), strict=False)
    reference.classifier.load_state_dict(network.head.state_dict())
    films = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        expected = reference(colour(films, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
        torch.testing.assert_close(network.eval()(films), expected, rtol=1e-4, atol=1e-5)
    assert (type(network), network.feature_stride) == (PooledLinearClassifier, 32)


def test_building_a_trunk_leaves_statistics_and_modes_alone():
    found = backbone("torchvision", "resnet18")
    assert all(module.training for module in found.trunk.modules())
    assert float(found.trunk.bn1.running_mean.abs().max()) == 0


def test_a_dense_layer_before_the_head_is_hertels():
    config = ModelConfig(architecture="resnet18", num_classes=3, hidden=8, dropout=0.5)
    network = create_model(config, seed=0)
    films = torch.rand(4, 1, 32, 32)
    assert type(network) is DenseHeadClassifier
    with torch.no_grad():
        assert not torch.equal(network(films), network(films))  # dropout, and statistics of the batch
        network.eval()
        mean = network.trunk(network.standardize(films)).mean((2, 3))
        hidden = (mean @ network.dense.weight.T + network.dense.bias).clamp(min=0)
        torch.testing.assert_close(network(films), hidden @ network.head.weight.T + network.head.bias)
    with pytest.raises(ConfigError, match="expected 1 or more for a classifier"):
        ModelConfig(architecture="unet", num_classes=3, hidden=8)


def test_weights_are_read_from_a_file_instead_of_a_download(tmp_path):
    reference = timm.create_model("mobilenetv3_small_050", num_classes=5)
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    config = ModelConfig(
        architecture="timm",
        encoder="mobilenetv3_small_050",
        num_classes=2,
        encoder_weights="imagenet",
        encoder_checkpoint=str(tmp_path / "weights.pth"),
    )
    network = create_model(config, seed=1)
    assert torch.equal(network.trunk.conv_stem.weight, reference.conv_stem.weight)
    assert torch.equal(network.trunk.conv_head.weight, reference.conv_head.weight)


def test_an_efficientnet_file_with_other_names_is_read_by_the_order_of_its_layers(tmp_path):
    reference = timm.create_model("tf_efficientnet_lite0")
    renamed = {
        f"_layer{number}.{name.rpartition('.')[2]}": v
        for number, (name, v) in enumerate(reference.state_dict().items())
    }
    torch.save(renamed, tmp_path / "lite0.pth")
    found = backbone("timm", "tf_efficientnet_lite0", "imagenet", str(tmp_path / "lite0.pth"))
    expected = reference.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.trunk.state_dict().items())
    wrong = dict(reversed(renamed.items()))
    torch.save(wrong, tmp_path / "wrong.pth")
    with pytest.raises(ModelError, match=r"wrong.pth: the weights do not fit tf_efficientnet_lite0 .* is missing"):
        backbone("timm", "tf_efficientnet_lite0", "imagenet", str(tmp_path / "wrong.pth"))
    with pytest.raises(CheckpointError, match="no such file"):
        backbone("timm", "tf_efficientnet_lite0", "imagenet", str(tmp_path / "none.pth"))


def test_chexnet_gives_a_classifier_the_features_that_it_has_for_grey_films(tmp_path):
    densenet = torchvision.models.densenet121(weights=None)
    torch.save({"state_dict": densenet.state_dict()}, tmp_path / "chexnet.pth.tar")
    config = ModelConfig(
        architecture="torchvision",
        encoder="densenet121",
        num_classes=2,
        encoder_weights="chexnet",
        encoder_checkpoint=str(tmp_path / "chexnet.pth.tar"),
    )
    network = create_model(config, seed=0).eval()
    films = torch.rand(1, 1, 64, 64)
    grey = ((films - 0.449) / 0.226).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        expected = densenet.eval().features(grey).relu()
        torch.testing.assert_close(network.features(films), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ModelError, match="belong to torchvision's densenet121, got resnet18"):
        backbone("torchvision", "resnet18", "chexnet", str(tmp_path / "chexnet.pth.tar"))


@pytest.mark.parametrize(
    ("library", "name", "message"),
    [
        ("torchvision", "resnet19", "torchvision has no classifier 'resnet19'; it has .*resnet18"),
        ("timm", "resnet19", "timm has no network 'resnet19'; near it are"),
        ("timm", "vit_tiny_patch16_224", "expected a convolutional network"),
        ("torchvision", "swin_t", r"gives \(1, 3, 3, 768\) for one film; expected maps \(1, F, h, w\)"),
        ("keras", "resnet18", "expected one of torchvision, timm"),
    ],
)
def test_a_network_that_cannot_be_a_trunk_is_refused_in_words(library, name, message):
    with pytest.raises(ModelError, match=message):
        backbone(library, name)


def test_a_library_without_a_name_is_refused():
    with pytest.raises(ModelError, match="timm needs the name of a network; set encoder"):
        create_model(ModelConfig(architecture="timm", num_classes=2))


def test_a_trained_classifier_of_timm_comes_back_from_its_file(tmp_path):
    config = ModelConfig(
        architecture="timm",
        encoder="mobilenetv3_small_050",
        num_classes=2,
        encoder_weights="imagenet",
        encoder_checkpoint=str(tmp_path / "weights.pth"),
        hidden=4,
    )
    torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), tmp_path / "weights.pth")
    network = create_model(config, seed=0).eval()
    with torch.no_grad():
        nn.init.normal_(network.standardize.mean)
    save_model(tmp_path / "m.safetensors", TrainedModel(network, config, ("a", "b"), 32))
    loaded = load_model(tmp_path / "m.safetensors")
    films = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded.module(films), network(films))
    assert loaded.config.encoder_checkpoint == "weights.pth"
    assert fitting_networks(network.state_dict(), config) == ["timm with 2 classes"]
