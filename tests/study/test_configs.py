"""Every configuration that comes with the project can be read, and says what the papers say."""

from pathlib import Path

import pytest

from patchcxr.config import from_dict, load_yaml, to_dict
from patchcxr.errors import ConfigError
from patchcxr.models.registry import create_model
from patchcxr.study.config import CohortConfig, StudyConfig

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_bundled_configuration_reads_and_survives_a_round_trip(path):
    config = load_yaml(StudyConfig, path)
    assert from_dict(StudyConfig, to_dict(config)) == config


@pytest.mark.parametrize("path", [p for p in CONFIGS if p.stem != "oh2020"], ids=lambda path: path.stem)
def test_the_networks_of_a_bundled_configuration_can_be_built(path):
    config = load_yaml(StudyConfig, path)
    for model in (config.anatomy.model, config.infection.model):
        assert sum(p.numel() for p in create_model(model, seed=0).parameters()) > 1e6


def test_the_recipe_of_oh_2020_is_the_printed_one():
    config = load_yaml(StudyConfig, Path(__file__).parents[2] / "configs" / "oh2020.yaml")
    assert config.anatomy.model.architecture == "fc_densenet103"
    assert (config.anatomy.image_size, config.anatomy.train.batch_size) == (256, 2)
    assert config.anatomy.train.learning_rate == 1e-4
    assert config.anatomy.train.plateau_factor == 0.1
    local = config.classification.local_classifier
    assert (local.model.architecture, local.model.encoder_weights) == ("resnet18", "imagenet")
    assert (local.train.learning_rate, local.train.batch_size, local.train.epochs) == (1e-5, 16, 100)
    vote = config.classification.vote
    assert (vote.patches, vote.patch_size, vote.image_size) == (100, 224, 1024)
    assert config.infection.train.epochs == 50


def test_a_cohort_comes_from_exactly_one_place():
    with pytest.raises(ConfigError, match="exactly one of synthetic, sources and table"):
        CohortConfig()
    with pytest.raises(ConfigError, match="exactly one"):
        CohortConfig(table="cohort.csv", sources={"jsrt": "/films"})


def test_an_unknown_class_is_refused_with_the_classes_of_the_scheme():
    values = {"title": "x", "cohort": {"table": "c.csv"}, "explanation": {"target": "influenza"}}
    with pytest.raises(ConfigError, match=r"'influenza'.*normal, bacterial, tuberculosis, viral"):
        from_dict(StudyConfig, values)


def test_a_misspelt_key_is_named_with_its_place():
    values = {"title": "x", "cohort": {"table": "c.csv"}, "classification": {"vote": {"patchs": 3}}}
    with pytest.raises(ConfigError, match=r"classification\.vote\.patchs: unknown key"):
        from_dict(StudyConfig, values)
