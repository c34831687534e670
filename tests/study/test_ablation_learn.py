"""What the classifiers of an ablation learn from: shares of the training patients, and the lung mask alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from patchcxr.cli.study import load_study
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.errors import ConfigError, SplitError
from patchcxr.models.registry import ModelConfig
from patchcxr.models.trained import load_model
from patchcxr.preprocessing.store import FilmStore, prepare_stores
from patchcxr.study import learn
from patchcxr.study.config import ClassificationConfig, ClassifierConfig, CohortConfig, ExplanationConfig, StudyConfig
from patchcxr.study.config import InfectionConfig as Infection
from patchcxr.study.lung_view import lung_view
from patchcxr.study.predict import Lungs
from patchcxr.study.run import MASK_COLUMNS
from patchcxr.training.augmentation import AugmentConfig
from patchcxr.training.recipe import TrainConfig
from patchcxr.training.stages import UnfreezeConfig

SIZE = 48
CLASSES = ("normal", "abnormal")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Forty films of twenty patients, half of them abnormal; training, validation and test by patient.

    There are pictures of the first six.
    """
    folder = tmp_path_factory.mktemp("films")
    generate_cohort(folder, SyntheticConfig(size=64, patients=6, films_per_patient_max=1))
    from patchcxr.data.cohort import read_cohort

    drawn = read_cohort(folder / "cohort.csv")
    table = drawn.iloc[np.arange(40) % 6].reset_index(drop=True)
    table["study"] = [f"film {n}" for n in range(40)]
    number = np.arange(40) // 2
    table["patient"] = [f"patient {n}" for n in number]
    table["class_name"] = np.where(number % 2 == 0, *CLASSES)
    table["split"] = np.select([number < 16, number < 18], ["train", "validation"], "test")
    store = FilmStore(folder / "store", SIZE)
    assert prepare_stores(table.iloc[:6], [store], MASK_COLUMNS).empty
    return table, store


@pytest.fixture
def seen(monkeypatch):
    """Catch which films a classifier is given instead of training it."""
    caught = {}
    made = []

    def dataset(load, labels, *args, **kwargs):
        made.append(load)
        return list(labels)

    def catch(model, data, objective, score, recipe, config, folder, classes, size, **notes):
        studies = [load.__closure__ for load in made]
        caught.update(notes=notes, sizes=[len(part) for part in data], labels=[list(part) for part in data])
        caught["studies"] = [
            next(cell.cell_contents for cell in cells if isinstance(cell.cell_contents, list)) for cells in studies
        ]
        made.clear()

    monkeypatch.setattr(learn, "GlobalDataset", dataset)
    monkeypatch.setattr(learn, "PatchDataset", dataset)
    monkeypatch.setattr(learn, "_learn", catch)
    return caught


def study(share=1.0, region="mask", train=None, seed=0):
    stage = ClassifierConfig(
        model=ModelConfig(architecture="resnet18", num_classes=2), image_size=SIZE, training_share=share,
        train=train or TrainConfig(epochs=1, batch_size=4),
    )  # fmt: skip
    return StudyConfig(
        title="x", cohort=CohortConfig(table="c.csv"), seed=seed, infection=Infection(positive=("abnormal",)),
        classification=ClassificationConfig(
            labels="normal_abnormal", region=region, global_classifier=stage, local_classifier=stage
        ),
        explanation=ExplanationConfig(target="abnormal"),
    )  # fmt: skip


@pytest.mark.parametrize("train", [learn.train_global, learn.train_local])
def test_smaller_shares_are_parts_of_larger_ones_with_whole_patients_of_each_class(films, seen, tmp_path, train):
    table, store = films
    kept = {}
    for share in (1.0, 0.5, 0.3, 0.1):
        train(table, store, Lungs(store), study(share), tmp_path)
        training, validation = seen["studies"]
        kept[share] = set(training)
        assert validation == table.loc[table["split"] == "validation", "study"].tolist()
        rows = table[table["study"].isin(kept[share])]
        assert (rows.groupby("patient").size() == 2).all()  # both films of a patient, or none
        # Of 8 patients of each class: 8, 4, 3 (2.4 rounded up) and 1.
        assert rows.groupby("class_name")["patient"].nunique().tolist() == [{1.0: 8, 0.5: 4, 0.3: 3, 0.1: 1}[share]] * 2
        assert seen["notes"].get("training_share") == (None if share == 1 else f"{share:g}")
    assert kept[0.1] < kept[0.3] < kept[0.5] < kept[1.0]


def test_both_classifiers_learn_from_the_same_patients_and_another_seed_draws_others(films, seen, tmp_path):
    table, store = films
    found = []
    for train, seed in ((learn.train_global, 0), (learn.train_local, 0), (learn.train_local, 1)):
        train(table, store, Lungs(store), study(0.3, seed=seed), tmp_path)
        found.append(set(seen["studies"][0]))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_shuffled_labels_are_those_of_the_training_films_in_another_order(films, seen, tmp_path):
    table, store = films
    learn.train_global(table, store, Lungs(store), study(), tmp_path)
    training, validation = seen["labels"]
    shuffled = dataclasses.replace(study().classification, shuffled_labels=True)
    learn.train_global(table, store, Lungs(store), dataclasses.replace(study(), classification=shuffled), tmp_path)
    assert sorted(seen["labels"][0]) == sorted(training)
    assert seen["labels"][0] != training
    assert seen["labels"][1] == validation
    assert seen["notes"]["labels"] == "shuffled"


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        ClassifierConfig(training_share=share)


def test_the_view_of_the_lungs_only_is_the_mask_and_knows_nothing_of_the_film(films):
    table, store = films
    name, lungs = table["study"][0], Lungs(store)
    view = lung_view(store, lungs, name, "lungs_only")
    np.testing.assert_array_equal(view.image, lungs.lung(name).astype(np.float32))
    assert view.image.dtype == np.float32
    assert 0 < view.image.mean() < 1
    np.testing.assert_array_equal(view.lung, lungs.lung(name))
    assert view.box == (0, 0, SIZE, SIZE)


def test_a_training_split_of_one_class_is_named(films, tmp_path):
    table, store = films
    one = table[(table["split"] != "train") | (table["class_name"] == "normal")]
    with pytest.raises(SplitError, match="the split 'train' has no film of class abnormal"):
        learn.train_global(one, store, Lungs(store), study(), tmp_path)


def test_a_classifier_of_masks_is_trained_in_stages_and_tells_both(films, tmp_path):
    table, store = films
    few = table.iloc[:6].assign(split=["train"] * 4 + ["validation"] * 2, class_name=[*CLASSES] * 3)
    recipe = TrainConfig(
        epochs=2, batch_size=4, frozen_statistics=True, unfreeze=UnfreezeConfig(head_epochs=1), monitor="macro_f1"
    )
    config = study(region="lungs_only", train=recipe)
    learn.train_global(few, store, Lungs(store), config, tmp_path)
    trained = load_model(tmp_path / "model.safetensors")
    assert trained.training["region"] == "lungs_only"
    assert trained.training["recipe"]["unfreeze"] == dataclasses.asdict(UnfreezeConfig(head_epochs=1))
    assert pd.read_csv(tmp_path / "history.csv")["groups"].tolist() == [1, 2]
    statistics = {name: value for name, value in trained.module.state_dict().items() if "running_mean" in name}
    assert all((value == 0).all() for value in statistics.values())  # as a random network starts


def test_the_classifiers_of_hertel_2022_are_trained_as_printed():
    stage = load_study("hertel2022", []).classification.global_classifier
    assert (stage.train.batch_size, stage.train.learning_rate, stage.class_weights) == (32, 1e-5, "balanced")
    assert (stage.train.unfreeze.head_epochs, stage.train.unfreeze.head_learning_rate) == (5, 1e-3)
    assert stage.train.frozen_statistics
    moves = AugmentConfig(rotation=15, shift=0.15, shear=0.15, zoom=0.15, horizontal_flip=True)
    assert (stage.train.augment, stage.model.standardization) == (moves, "batch")
    assert (stage.model.hidden, stage.model.dropout) == (1024, 0.1)


def test_a_frozen_encoder_of_degerli_2021_can_be_asked_for():
    stages = ["head_epochs=10", "head_learning_rate=0.00001"]
    changes = [f"classification.global_classifier.train.unfreeze.{change}" for change in stages]
    train = load_study("degerli2021", changes).classification.global_classifier.train
    assert (train.epochs, train.unfreeze.head_epochs, train.unfreeze.head_learning_rate) == (10, 10, 1e-5)
