"""Trained models survive the disk."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from patchcxr.errors import CheckpointError, ConfigError
from patchcxr.io.checkpoint import load_weights, save_weights
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel, load_model, save_model


@pytest.fixture(scope="module")
def trained():
    config = ModelConfig(architecture="resnet18", num_classes=2)
    return TrainedModel(
        module=create_model(config, seed=3),
        config=config,
        classes=("normal", "viral"),
        image_size=224,
        preprocessing={"equalize": True, "gamma": 0.5},
        training={"seed": 3, "best_value": 0.5},
    )


def test_a_saved_model_comes_back_whole(trained, tmp_path):
    save_model(tmp_path / "model.safetensors", trained)
    loaded = load_model(tmp_path / "model.safetensors")
    films = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded.module(films), trained.module.eval()(films))
    for name in ("config", "classes", "image_size", "preprocessing"):
        assert getattr(loaded, name) == getattr(trained, name)
    assert loaded.training["best_value"] == 0.5
    assert loaded.training["patchcxr_version"]
    assert not loaded.module.training


def test_the_standardisation_of_training_is_kept_and_nothing_is_downloaded(tmp_path):
    plain = ModelConfig(architecture="smp_unet", num_classes=1, encoder="resnet18")
    module = create_model(plain, seed=0)
    module.standardize.mean.fill_(0.449)
    config = dataclasses.replace(plain, encoder_weights="imagenet")
    save_model(tmp_path / "m.safetensors", TrainedModel(module, config, ("infection",), 224))
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.config == config
    assert float(loaded.module.standardize.mean) == pytest.approx(0.449)


def test_weights_of_another_network_are_named(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, trained)
    weights, description = load_weights(path)
    del description["format_version"]
    description["model"]["num_classes"] = 3
    description["classes"].append("bacterial")
    save_weights(path, weights, description)
    with pytest.raises(
        CheckpointError, match=r"do not fit resnet18 with 3 classes \(2 faults, the first: .*head"
    ) as caught:
        load_model(path)
    assert "they fit resnet18 with 2 classes" in str(caught.value)


def test_weights_that_no_network_has_are_called_so(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, trained)
    weights, description = load_weights(path)
    del description["format_version"], weights["trunk.conv1.weight"]
    save_weights(path, weights, description)
    with pytest.raises(CheckpointError, match=r"trunk.conv1.weight is missing\); they fit no known network"):
        load_model(path)


def test_a_network_for_other_classes_is_refused_with_both_lists(trained):
    trained.require(("normal", "viral"), "classifier")
    trained.require()
    with pytest.raises(CheckpointError, match=r"m\.st: resnet18 tells normal, viral apart; expected lung, heart; give"):
        trained.require(("lung", "heart"), where="m.st")
    with pytest.raises(CheckpointError, match="expected viral, normal in this order"):
        trained.require(("viral", "normal"))


def test_a_classifier_is_refused_where_masks_are_needed(trained):
    with pytest.raises(CheckpointError, match=r"holds the classifier resnet18; expected a segmenter \(fc_densenet56,"):
        trained.require(kind="segmenter")


@pytest.mark.parametrize("missing", ["model", "classes", "image_size"])
def test_a_description_that_lacks_something_is_refused(trained, tmp_path, missing):
    path = tmp_path / "model.safetensors"
    save_model(path, trained)
    weights, description = load_weights(path)
    del description[missing], description["format_version"]
    save_weights(path, weights, description)
    with pytest.raises(CheckpointError, match=missing):
        load_model(path)


def test_class_names_must_match_the_network(trained):
    with pytest.raises(ConfigError, match="one name a channel"):
        dataclasses.replace(trained, classes=("normal",))


def test_values_that_json_cannot_hold_are_refused(trained, tmp_path):
    with pytest.raises(CheckpointError, match="plain, finite values"):
        save_model(tmp_path / "m.safetensors", dataclasses.replace(trained, training={"best": float("nan")}))
    assert not (tmp_path / "m.safetensors").exists()
