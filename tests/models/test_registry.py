"""Networks by name."""

from __future__ import annotations

import pytest
import torch

from patchcxr.config import from_dict
from patchcxr.errors import ConfigError, ModelError
from patchcxr.models.registry import CLASSIFIERS, SEGMENTERS, ModelConfig, create_model, takes_encoder


@pytest.mark.parametrize("name", sorted(SEGMENTERS))
def test_every_segmenter_gives_logits_of_the_size_of_the_film(name):
    encoder = "resnet18" if takes_encoder(name) else None
    network = create_model(ModelConfig(architecture=name, num_classes=4, encoder=encoder), seed=0).eval()
    with torch.inference_mode():
        logits = network(torch.rand(1, 1, 32, 64))
    assert logits.shape == (1, 4, 32, 64)
    assert logits.std() > 0


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_every_classifier_gives_one_logit_a_class(name):
    network = create_model(ModelConfig(architecture=name, num_classes=5), seed=0).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 1, 64, 64)).shape == (2, 5)


def test_the_seed_decides_the_weights_and_leaves_the_global_generator():
    config = ModelConfig(architecture="resnet18", num_classes=2)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, third = (create_model(config, seed=seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_name_lists_all_networks():
    with pytest.raises(ModelError) as caught:
        create_model(ModelConfig(architecture="fcdensenet", num_classes=4))
    assert all(name in str(caught.value) for name in SEGMENTERS | CLASSIFIERS)


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"encoder": "resnet18"}, "remove encoder"),
        ({"encoder_weights": "imagenet"}, "set encoder_weights: none"),
        ({"encoder_weights": "chexnet", "encoder_checkpoint": "m.pt"}, "set encoder_weights: none"),
        ({"encoder_frozen": True}, "remove encoder_frozen"),
    ],
)
def test_options_of_other_networks_are_refused(options, mend):
    with pytest.raises(ModelError, match=mend):
        create_model(ModelConfig(architecture="unet", num_classes=1, **options))


@pytest.mark.parametrize(
    "values",
    [
        {"num_classes": 0},
        {"num_classes": 1, "encoder_weights": "noisy"},
        {"num_classes": 1, "dropout": 1.0},
    ],
)
def test_impossible_values_are_refused(values):
    with pytest.raises(ConfigError, match="expected"):
        ModelConfig(architecture="unet", **values)


def test_none_may_be_written_as_a_word():
    made = from_dict(ModelConfig, {"architecture": "resnet18", "num_classes": 2, "encoder_weights": "none"})
    assert made.encoder_weights is None


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"encoder_weights": "chexnet"}, "set encoder_checkpoint"),
        ({"encoder_checkpoint": "m.pt"}, "set encoder_weights: chexnet, or remove"),
        ({"encoder_weights": "imagenet", "encoder_checkpoint": "m.pt"}, "set encoder_weights: chexnet, or remove"),
    ],
)
def test_a_file_of_weights_and_its_kind_go_together(values, mend):
    with pytest.raises(ConfigError, match=mend):
        ModelConfig(architecture="smp_unet", num_classes=1, encoder="densenet121", **values)


def test_classifiers_refuse_the_weights_of_chexnet():
    with pytest.raises(ModelError, match="resnet18 has no chexnet weights"):
        create_model(
            ModelConfig(
                architecture="resnet18", num_classes=2, encoder_weights="chexnet", encoder_checkpoint="weights.pt"
            )
        )
