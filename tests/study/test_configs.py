"""Every configuration that comes with the project can be read, and says what the papers say."""

import dataclasses
from pathlib import Path

import pytest

from patchcxr.config import from_dict, load_yaml, to_dict
from patchcxr.errors import ConfigError
from patchcxr.inference.infection import DetectionConfig
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.study.config import AnatomyConfig, CohortConfig, InfectionConfig, StudyConfig
from patchcxr.training.augmentation import AugmentConfig
from patchcxr.training.recipe import TrainConfig

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_bundled_configuration_reads_and_survives_a_round_trip(path):
    config = load_yaml(StudyConfig, path)
    assert from_dict(StudyConfig, to_dict(config)) == config


NETWORKS = {
    model for path in CONFIGS for config in [load_yaml(StudyConfig, path)]
    for model in (config.anatomy.model, config.infection.model)
}  # fmt: skip


@pytest.mark.parametrize("model", sorted(NETWORKS, key=str), ids=lambda model: f"{model.architecture}-{model.encoder}")
def test_the_networks_of_the_bundled_configurations_can_be_built(model):
    network = create_model(dataclasses.replace(model, encoder_weights=None), seed=0)
    assert sum(p.numel() for p in network.parameters()) > 1e6


def bundled(name):
    return load_yaml(StudyConfig, Path(__file__).parents[2] / "configs" / f"{name}.yaml")


def test_the_recipe_of_oh_2020_is_the_printed_one():
    config = bundled("oh2020")
    assert config.anatomy.model.architecture == "fc_densenet103"
    assert (config.anatomy.image_size, config.anatomy.train.batch_size) == (256, 2)
    assert config.anatomy.train.learning_rate == 1e-4
    assert (config.anatomy.train.scheduler, config.anatomy.train.plateau_factor) == ("plateau", 0.1)
    assert config.anatomy.train.plateau_monitor == "train_loss"
    assert (config.anatomy.train.monitor, config.anatomy.loss) == ("val_loss", "cross_entropy")
    assert config.anatomy.train.early_stopping_patience is not None
    assert config.anatomy.train.augment is None
    local = config.classification.local_classifier
    assert (local.model.architecture, local.model.encoder_weights) == ("resnet18", "imagenet")
    assert (local.train.learning_rate, local.train.batch_size, local.train.epochs) == (1e-5, 16, 100)
    vote = config.classification.vote
    assert (vote.patches, vote.patch_size, vote.image_size) == (100, 224, 1024)
    assert config.infection.train.epochs == 50


def test_the_recipe_of_degerli_2021_is_the_printed_one():
    stage = bundled("degerli2021").infection
    model = stage.model
    assert (model.architecture, model.encoder, model.encoder_weights) == ("degerli_unet", "densenet121", "imagenet")
    assert (model.num_classes, model.encoder_frozen, stage.loss, stage.input) == (1, False, "hybrid", "plain")
    train = stage.train
    assert (stage.image_size, train.epochs, train.batch_size, train.learning_rate) == (224, 50, 32, 1e-4)
    assert (train.sampler, train.augment) == ("balanced", AugmentConfig(shift=0.1, rotation=10))
    assert (train.scheduler, train.early_stopping_patience, train.weight_decay) == ("none", None, 0)
    assert stage.detection == DetectionConfig(threshold=0.5, minimum_area=1, rule="degerli")
    classifier = bundled("degerli2021").classification.global_classifier.train
    assert (classifier.epochs, classifier.learning_rate) == (10, 1e-5)


def test_the_recipe_of_tahir_2021_is_the_printed_one():
    config = bundled("tahir2021")
    for stage in (config.anatomy, config.infection):
        assert (stage.model.num_classes, stage.model.encoder, stage.loss) == (2, "densenet121", "cross_entropy")
        train = stage.train
        assert (stage.image_size, train.epochs, train.batch_size, train.learning_rate) == (256, 40, 4, 1e-4)
        assert (train.scheduler, train.plateau_factor, train.plateau_patience) == ("plateau", 1 / 5, 3)
        assert (train.plateau_monitor, train.monitor, train.early_stopping_patience) == ("val_loss", "val_loss", 8)
    assert (config.anatomy.target, config.anatomy.class_weights, config.anatomy.minimum_share) == (
        "lungs",
        "none",
        0.05,
    )
    assert (config.infection.input, config.infection.within_lungs) == ("plain", True)
    assert config.infection.detection == DetectionConfig(threshold=0.5, minimum_area=1, rule="tahir")
    training, validation, test = config.cohort.fractions
    assert test == pytest.approx(0.2)
    assert validation / (training + validation) == pytest.approx(0.2)


def test_the_recipe_of_hertel_2022_is_the_printed_one():
    stage = bundled("hertel2022").anatomy
    assert (stage.target, stage.model.architecture, stage.model.num_classes) == ("lungs", "resunet", 1)
    assert (stage.image_size, stage.train.epochs, stage.train.monitor) == (256, 45, "dice")
    moves = AugmentConfig(rotation=180, shift=0.3, shear=0.2, zoom=0.2, horizontal_flip=True)
    assert stage.train.augment == moves


@pytest.mark.parametrize(
    ("stage", "values", "message"),
    [
        (AnatomyConfig, {"target": "lungs"}, r"num_classes: got 4; expected 1 or 2 for target: lungs"),
        (AnatomyConfig, {"whole_lungs": ("cohen",)}, r"got 4; expected 6 for target: anatomy with whole_lungs"),
        (AnatomyConfig, {"model": ModelConfig(architecture="unet", num_classes=2)}, "got 2; expected 4"),
        (AnatomyConfig, {"loss": "hybrid"}, r"anatomy\.loss: got 'hybrid' .* expected cross_entropy"),
        (AnatomyConfig, {"train": TrainConfig(augment=AugmentConfig(horizontal_flip=True))}, "mirrored film swaps"),
        (InfectionConfig, {"loss": "cross_entropy"}, r"infection\.loss: got 'cross_entropy'.*num_classes: 2 or more"),
        (InfectionConfig, {"model": ModelConfig(architecture="unet", num_classes=4)}, "got 4; expected 1 .* or 2"),
    ],
)
def test_a_stage_whose_parts_do_not_fit_is_refused_in_words(stage, values, message):
    with pytest.raises(ConfigError, match=message):
        stage(**values)


def test_lungs_alone_are_of_one_convention():
    model = ModelConfig(architecture="unet", num_classes=1)
    with pytest.raises(ConfigError, match="whole_lungs: got cohen with target: lungs"):
        AnatomyConfig(target="lungs", model=model, loss="dice", whole_lungs=("cohen",))


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
