"""Which films train which network, on what targets, and what the network's description says of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.errors import SplitError, TrainingError
from patchcxr.inference.infection import infection_input, needs_lung_masks
from patchcxr.inference.lungs import is_lung_network
from patchcxr.models.registry import ModelConfig
from patchcxr.models.trained import load_model
from patchcxr.preprocessing.store import FilmStore, prepare_stores
from patchcxr.study import learn, select
from patchcxr.study.config import AnatomyConfig, CohortConfig, InfectionConfig, StudyConfig
from patchcxr.study.predict import Lungs
from patchcxr.study.run import MASK_COLUMNS
from patchcxr.training.augmentation import AugmentConfig
from patchcxr.training.recipe import TrainConfig

SIZE = 32
TRAIN = TrainConfig(epochs=1, batch_size=4, learning_rate=0.001)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Twelve films with classes and splits, and their store at 32 pixels; the last film has no lung mask."""
    folder = tmp_path_factory.mktemp("films")
    generate_cohort(folder, SyntheticConfig(size=64, patients=12, films_per_patient_max=1))
    from patchcxr.data.cohort import read_cohort

    table = read_cohort(folder / "cohort.csv").iloc[:12].reset_index(drop=True)
    table["class_name"] = ["viral" if given else "normal" for given in table["infection_mask"].notna()]
    order = table["class_name"].groupby(table["class_name"]).cumcount()
    table["split"] = np.where(order % 3 == 2, "validation", "train")
    for column in ("lung_mask", "right_lung_mask", "left_lung_mask"):
        table.loc[11, column] = pd.NA
    store = FilmStore(folder / "store", SIZE)
    assert prepare_stores(table, [store], MASK_COLUMNS).empty
    return table, store


@pytest.fixture
def seen(monkeypatch):
    """Catch the data sets and the loss of a training instead of running it."""
    caught = {}

    def catch(model, data, objective, score, recipe, config, folder, classes, size, **notes):
        caught.update(train=data[0], validation=data[1], loss=objective, classes=classes, notes=notes)

    monkeypatch.setattr(learn, "_learn", catch)
    return caught


def study(**stages):
    return StudyConfig(title="x", cohort=CohortConfig(table="c.csv"), **stages)


def model(channels, name="compact_unet"):
    return ModelConfig(architecture=name, num_classes=channels)


def anatomy(channels, **options):
    values = {"target": "lungs", "loss": "dice" if channels == 1 else "cross_entropy", "class_weights": "none"}
    return AnatomyConfig(model=model(channels), image_size=SIZE, train=TRAIN, **values | options)


def infection(channels, **options):
    values = {"loss": "hybrid" if channels == 1 else "cross_entropy", "train": TRAIN}
    return InfectionConfig(model=model(channels), image_size=SIZE, **values | options)


def test_lungs_alone_take_every_film_with_lungs_and_the_heart_asks_for_all_three(films):
    table, _ = films
    heartless = table.assign(heart_mask=pd.Series(pd.NA, index=table.index).where(table.index < 4, table["heart_mask"]))
    assert list(select.anatomy_rows(heartless, anatomy(1))["study"]) == list(table["study"][:11])
    full = AnatomyConfig()
    assert list(select.anatomy_rows(heartless, full)["study"]) == list(table["study"][4:11])
    assert select.anatomy_rows(table, dataclasses.replace(full, sources=("elsewhere",))).empty
    sides = table.assign(lung_mask=pd.Series(pd.NA, index=table.index, dtype="string"))
    assert len(select.anatomy_rows(sides, anatomy(1))) == 11


def test_infection_takes_marked_films_and_controls_of_its_sources(films):
    table, _ = films
    rows = select.infection_rows(table, InfectionConfig())
    assert list(rows["infected"]) == list(table["class_name"] == "viral")
    assert select.infection_rows(table, InfectionConfig(sources=("elsewhere",))).empty


@pytest.mark.parametrize("channels", [1, 2])
def test_the_target_of_a_lung_network_is_both_lungs_in_one_mask(films, seen, tmp_path, channels):
    table, store = films
    config = study(anatomy=anatomy(channels))
    learn.train_anatomy(select.anatomy_rows(table, config.anatomy), store, config, tmp_path)
    first = table.loc[table["split"] == "train", "study"].iloc[0]
    film, target = seen["train"][0]
    expected = store.mask(first, "right_lung") | store.mask(first, "left_lung")
    assert target.dtype == (torch.float32 if channels == 1 else torch.int64)
    np.testing.assert_array_equal(target.numpy().reshape(SIZE, SIZE), expected)
    np.testing.assert_allclose(film[0], store.film(first) / 255, atol=1e-6)
    assert seen["classes"] == (("lung",) if channels == 1 else ("background", "lung"))


def test_class_weights_of_two_channels_follow_the_pixels_of_the_training_films(films, seen, tmp_path):
    table, store = films
    config = study(anatomy=anatomy(2, class_weights="balanced"))
    rows = select.anatomy_rows(table, config.anatomy)
    learn.train_anatomy(rows, store, config, tmp_path)
    share = np.mean([store.mask(name, "lung").mean() for name in rows.loc[rows["split"] == "train", "study"]])
    # Weights inverse to the pixels, with mean 1: 2 (1 - share) for the lungs.
    np.testing.assert_allclose(seen["loss"].weights, [2 * share, 2 * (1 - share)], rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_target_of_the_infection_is_empty_for_controls(films, seen, tmp_path, channels):
    table, store = films
    config = study(infection=infection(channels))
    rows = select.infection_rows(table, config.infection)
    learn.train_infection(rows, store, config, tmp_path)
    part = rows[rows["split"] == "train"].reset_index(drop=True)
    for number, row in part.iterrows():
        target = seen["train"][number][1].numpy().reshape(SIZE, SIZE)
        expected = store.mask(row["study"], "infection") if row["infected"] else np.zeros((SIZE, SIZE))
        np.testing.assert_array_equal(target, expected)
    assert seen["notes"] == {"input": "plain", "loss": config.infection.loss}


def test_the_cascaded_scheme_trains_on_masked_films_and_leaves_out_films_without_lungs(films, seen, tmp_path, caplog):
    table, store = films
    config = study(infection=infection(1, input="masked_lungs"))
    rows = select.infection_rows(table, config.infection)
    with caplog.at_level("INFO"):
        learn.train_infection(rows, store, config, tmp_path)
    assert "1 of 12 films have no lungs and are left out" in caplog.text
    used = [*(seen["train"][i] for i in range(len(seen["train"]))), *(seen["validation"][i] for i in range(3))]
    assert len(used) == 11
    first = rows.loc[rows["split"] == "train", "study"].iloc[0]
    lung = store.mask(first, "lung")
    np.testing.assert_allclose(used[0][0][0], np.where(lung, store.film(first) / 255, 0), atol=1e-6)
    assert seen["notes"]["input"] == "masked_lungs"
    with pytest.raises(SplitError, match="no film that this stage can use"):
        learn.train_infection(rows[rows["study"] == table["study"][11]], store, config, tmp_path)


def test_predicted_lungs_stand_in_where_the_reader_drew_none(films, seen, tmp_path):
    table, store = films
    config = study(infection=infection(1, input="masked_lungs"))
    rows = select.infection_rows(table, config.infection)

    class Predicted(Lungs):
        def structure(self, study, name, size=None):
            assert (study, name) == (table["study"][11], "lung")
            return np.tri(size or SIZE, dtype=bool)

    learn.train_infection(rows, store, config, tmp_path, Predicted(store))
    last = table["study"][11]
    part = rows[rows["split"] == table["split"][11]].reset_index(drop=True)
    data = seen[table["split"][11]]
    film, _ = data[part.index[part["study"] == last][0]]
    assert len(seen["train"]) + len(seen["validation"]) == 12
    np.testing.assert_allclose(film[0], np.tri(SIZE) * store.film(last) / 255, atol=1e-6)


def test_films_in_which_no_lung_was_found_are_left_out_and_do_not_end_the_training(films, seen, tmp_path):
    table, store = films
    config = study(infection=infection(1, input="masked_lungs"))
    rows = select.infection_rows(table, config.infection)

    class Nothing(Lungs):
        def structure(self, study, name, size=None):
            return np.zeros((SIZE, SIZE), dtype=bool)

    learn.train_infection(rows, store, config, tmp_path, Nothing(store))
    assert len(seen["train"]) + len(seen["validation"]) == 11


def test_a_film_that_a_reader_found_clear_is_a_control(films):
    table, _ = films
    known = table.assign(infection_mask=["a.png", "(empty)", *[None] * 10], label=["viral"] * 11 + ["normal"])
    rows = select.infection_targets(known, ())
    assert rows["study"].tolist() == table["study"].iloc[[0, 1, 11]].tolist()
    assert rows["infected"].tolist() == [True, False, False]


@pytest.mark.slow
def test_an_infection_network_starts_from_a_lung_network_and_remembers_both(films, tmp_path):
    table, store = films
    lungs = study(anatomy=anatomy(2))
    learn.train_anatomy(select.anatomy_rows(table, lungs.anatomy), store, lungs, tmp_path / "lungs")
    path = tmp_path / "lungs" / "model.safetensors"
    first = load_model(path)
    assert is_lung_network(first)
    assert (first.training["target"], first.training["start"]) == ("lungs", "random")

    recipe = dataclasses.replace(TRAIN, start_from=str(path), augment=AugmentConfig(), sampler="balanced")
    config = study(infection=infection(1, input="masked_lungs", train=recipe))
    learn.train_infection(select.infection_rows(table, config.infection), store, config, tmp_path / "infection")
    second = load_model(tmp_path / "infection" / "model.safetensors")
    assert second.training["start"] == second.training["recipe"]["start_from"] == "lungs/model.safetensors"
    taken = second.training["weights_taken"]
    assert taken["of_tensors"] - taken["tensors"] == 2  # the head's weight and bias
    assert needs_lung_masks(second)
    film, lung = np.ones((SIZE, SIZE), dtype=np.float32), np.eye(SIZE, dtype=bool)
    np.testing.assert_array_equal(infection_input(second, film, lung), lung)

    other = study(infection=infection(1, train=recipe))
    other = dataclasses.replace(other, infection=dataclasses.replace(other.infection, model=model(1, "unet")))
    with pytest.raises(TrainingError, match=r"start_from: .* is a compact_unet with 2 classes"):
        learn.train_infection(select.infection_rows(table, other.infection), store, other, tmp_path / "other")
