"""The whole loop, round by round: what readers choose trains networks whose masks are nearer to the truth."""

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.cli.study import load_study
from patchcxr.config import to_dict
from patchcxr.data.cohort import read_cohort, write_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.errors import ConfigError
from patchcxr.inference.infection import infection_probability
from patchcxr.io.masks import read_mask, write_mask
from patchcxr.models.compact_unet import CompactUNet
from patchcxr.models.registry import SEGMENTERS, create_model
from patchcxr.models.trained import TrainedModel, load_model, save_model
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.preprocessing.store import FilmStore
from patchcxr.review.agreement import best_sources, tally
from patchcxr.review.disagreement import mask_dice
from patchcxr.review.propose import folder_masks, target_field
from patchcxr.review.scripted import ScriptedReader
from patchcxr.review.store import ReviewStore
from patchcxr.study import learn
from patchcxr.study.crossvalidation import FoldConfig, cross_validate
from patchcxr.study.predict import round_down
from patchcxr.study.reading import as_film
from patchcxr.study.review_networks import crossvalidated_masks, held_out_masks

SUBSET = 18
CONFIG = """
title: "small network"
cohort: {{synthetic: {{}}, fractions: [0.8, 0.2, 0.0]}}
anatomy:
  model: {{architecture: small_unet, num_classes: 1}}
  target: lungs
  loss: hybrid
  image_size: 32
  train: {{epochs: {epochs}, batch_size: 2, learning_rate: 0.005, scheduler: cosine}}
report: {{bootstrap_resamples: 5}}
"""


def shifted(mask, pixels, rng):
    """A mask as a hasty reader draws it: right in shape, wrong in place."""
    angle = rng.uniform(0, 2 * np.pi)
    move = np.float32([[1, 0, pixels * np.cos(angle)], [0, 1, pixels * np.sin(angle)]])
    return cv2.warpAffine(mask.astype(np.uint8), move, mask.shape[::-1], flags=cv2.INTER_NEAREST).astype(bool)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Cohort with hasty lung masks of the first films and none of the rest, and its truth; two configurations."""
    monkeypatch.setitem(SEGMENTERS, "small_unet", lambda c: CompactUNet(c.num_classes, (8, 16, 32, 64)))
    settings = SyntheticConfig(
        size=64, patients=2 * SUBSET, films_per_patient_max=1, labels=("normal", "viral"), sources=("A",)
    )
    generate_cohort(tmp_path / "films", settings)
    table = read_cohort(tmp_path / "films" / "cohort.csv")
    truth = {row["study"]: read_mask(target_field(row, "lung")) for row in table.to_dict("records")}
    rng, masks = np.random.default_rng(0), []
    for place, study in enumerate(table["study"]):
        path = tmp_path / "hasty" / f"{study}.png"
        if place < SUBSET:
            write_mask(path, shifted(truth[study], 8, rng))
        masks.append(str(path) if place < SUBSET else pd.NA)
    blank = dict.fromkeys(("right_lung_mask", "left_lung_mask"), pd.NA)
    write_cohort(table.assign(lung_mask=masks, **blank), tmp_path / "start.csv")
    for name, epochs in (("careful", 16), ("hurried", 1)):
        (tmp_path / f"{name}.yaml").write_text(CONFIG.format(epochs=epochs), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return truth


def mean_dice(table, truth, studies):
    rows = table.set_index("study")
    return float(
        np.mean([mask_dice(read_mask(target_field(rows.loc[study], "lung")), truth[study]) for study in studies])
    )


def candidate_dice(store, round, truth):
    """Mean Dice by source of the masks that a round proposed."""
    shown = store.candidates(round)
    shown["dice"] = [mask_dice(store.mask(one.digest), truth[one.film]) for one in shown.itertuples()]
    return shown.groupby("source")["dice"].mean()


@pytest.mark.slow
def test_masks_come_nearer_to_the_truth_from_round_to_round(start, capsys):
    """Degerli 2021, stages I and II, and one round more."""
    truth, films = start, list(read_cohort("start.csv")["study"])
    subset, rest = films[:SUBSET], films[SUBSET:]
    reader = ScriptedReader(truth.get)
    drawn = mean_dice(read_cohort("start.csv"), truth, subset)

    networks = ["--networks", "careful.yaml", "hurried.yaml", "--folds", "2"]
    assert main(["review", "propose", "start.csv", "--out", "r", "--target", "lung", "--manual", *networks]) == 0
    assert main(["review", "add-reader", "r", "ann"]) == 0
    store = ReviewStore("r")
    assert reader.read(store, "ann") == SUBSET
    assert best_sources(tally(store, 1)) == ["careful"]
    assert main(["review", "export", "r", "--out", "one"]) == 0
    chosen = mean_dice(read_cohort("one/cohort.csv"), truth, subset)

    assert main(["train", "anatomy", "one/cohort.csv", "--config", "careful.yaml", "--out", "second"]) == 0
    assert main(["review", "propose", "one/cohort.csv", "--out", "r", "--trained", "second/model.safetensors"]) == 0
    assert set(store.films(2)["film"]) == set(rest)
    assert reader.read(store, "ann") == len(rest)
    assert main(["review", "export", "r", "--out", "two"]) == 0
    two = read_cohort("two/cohort.csv")
    predicted = mean_dice(two, truth, rest)

    assert main(["review", "propose", "two/cohort.csv", "--out", "r", "--manual", *networks[:2], *networks[3:]]) == 0
    assert reader.read(store, "ann") == len(films)
    assert main(["review", "export", "r", "--out", "three"]) == 0
    final = mean_dice(read_cohort("three/cohort.csv"), truth, films)

    # The readers' masks, and the networks' own, are nearer to the truth in every round.
    assert chosen > drawn + 0.05
    assert predicted > chosen
    assert final > mean_dice(two, truth, films) + 0.02
    alone = [candidate_dice(store, number, truth) for number in (1, 2, 3)]
    assert alone[1]["second"] > alone[0]["careful"] + 0.01
    assert alone[2]["careful"] > alone[0]["careful"] + 0.01
    capsys.readouterr()
    assert main(["review", "status", "r", "--round", "1"]) == 0
    assert "most often chosen: careful" in capsys.readouterr().out
    rows = pd.read_csv("three/provenance.csv")
    assert len(rows) == len(films)
    assert set(rows["origin"]) <= {"manual", "careful", "hurried", "second"}


@pytest.fixture(scope="module")
def infected(tmp_path_factory):
    """Infected films of a few patients, some of whom have two."""
    folder = tmp_path_factory.mktemp("infected")
    settings = SyntheticConfig(
        size=64, patients=9, films_per_patient_max=2, labels=("viral",), sources=("A", "C"), severity=2.0
    )
    generate_cohort(folder, settings)
    return read_cohort(folder / "cohort.csv")


CHANGES = [
    "infection.model={architecture: small_unet, num_classes: 1, encoder: null}",
    "infection.image_size=32",
    "infection.positive=[]",
    "report.bootstrap_resamples=5",
]


@pytest.fixture
def untrained(monkeypatch):
    """In place of training: another untrained network for each fold; notes what it would have seen."""
    monkeypatch.setitem(SEGMENTERS, "small_unet", lambda c: CompactUNet(c.num_classes, (8, 16)))
    seen = {}

    def train(rows, store, config, folder):
        fold = int(rows.loc[rows["split"] == "test", "fold"].iloc[0])
        seen[fold] = set(rows.loc[rows["split"] != "test", "patient"])
        model = config.infection.model
        made = TrainedModel(
            module=create_model(model, seed=fold),
            config=model,
            classes=("infection",),
            image_size=32,
            preprocessing=to_dict(config.preprocessing),
            training={},
        )
        save_model(folder / "model.safetensors", made)

    monkeypatch.setattr(learn, "train_infection", train)
    return seen


def test_every_film_gets_the_mask_of_the_network_that_never_saw_its_patient(infected, untrained, tmp_path):
    config = load_study("smoke", CHANGES)
    folder, failures = crossvalidated_masks("infection", infected, config, tmp_path, FoldConfig(n_folds=3))
    assert failures.empty
    found = folder_masks(folder, "infection")
    split = pd.read_csv(tmp_path / "split.csv", dtype={"study": str, "patient": str})
    store = FilmStore(tmp_path / "films", 32, config.preprocessing)
    assert sorted(found) == sorted(infected["study"])
    for row in split.itertuples():
        assert row.patient not in untrained[row.fold]
        model = load_model(tmp_path / f"fold_{row.fold}_train" / "model.safetensors")
        probability = infection_probability(model.module, as_film(store.film(row.study)))
        expected = resize_image(round_down(probability).astype(np.float32), store.source_shape(row.study)) >= 0.5
        np.testing.assert_array_equal(read_mask(found[row.study]), expected)


def test_a_finished_cross_validation_and_a_trained_network_propose_masks_by_command(
    infected, untrained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_cohort(infected, tmp_path / "cohort.csv")
    config = load_study("smoke", CHANGES)
    cross_validate("infection", infected, config, tmp_path / "folds", FoldConfig(n_folds=3))
    model = tmp_path / "folds" / "fold_0_train" / "model.safetensors"
    trained = ["--trained", f"one={model}", "--films", "all", "--within-lungs"]
    assert main(["review", "propose", "cohort.csv", "--out", "r", "--masks", "net=folds", *trained]) == 0
    assert "net                  masks of" in capsys.readouterr().out
    store, split = ReviewStore("r"), pd.read_csv("folds/split.csv", dtype={"study": str})
    shown = store.candidates(1).set_index(["source", "film"])["digest"]
    lungs = {row["study"]: read_mask(target_field(row, "lung")) for row in infected.to_dict("records")}
    for row in split.itertuples():
        held_out, inside = store.mask(shown["net", row.study]), store.mask(shown["one", row.study])
        if row.fold == 0:
            near = cv2.dilate(lungs[row.study].astype(np.uint8), np.ones((7, 7))) > 0
            assert not (inside & ~near).any()
            assert not (inside & ~held_out).any()
    with pytest.raises(ConfigError, match="expected one of the anatomy network"):
        held_out_masks("lung", "folds", tmp_path / "lungs")


def test_a_scripted_reader_says_the_same_of_a_film_in_any_order_and_errs_by_its_noise():
    truth = np.zeros((10, 10), dtype=bool)
    truth[2:8, 2:8] = True
    near, far = np.roll(truth, 1, axis=0), np.roll(truth, 3, axis=0)
    films = [f"f{number}" for number in range(200)]
    sure = ScriptedReader(lambda film: truth)
    assert {sure.judge(film, [far, near]).place for film in films} == {1}
    shaky = ScriptedReader(lambda film: truth, noise=0.4, seed=1)
    verdicts = [shaky.judge(film, [far, near]).place for film in films]
    assert verdicts == [shaky.judge(film, [far, near]).place for film in films]
    # Dice differs by 1/3: the noise of two judgements turns it round in about 28 of 100.
    assert 0.18 < np.mean([place == 0 for place in verdicts]) < 0.38
    sometimes = ScriptedReader(lambda film: truth, draws_at_random=0.1)
    drawn = np.mean([sometimes.judge(film, [near]).action == "draw" for film in films])
    assert 0.05 < drawn < 0.16
    assert sure.judge("f0", []).action == "reject"
    assert ScriptedReader(lambda film: truth, limit=0.9, doubt=0.2).judge("f0", [near]).action == "unsure"
    assert ScriptedReader(lambda film: np.zeros((2, 2), bool), limit=1).judge("f0", [np.zeros((2, 2), bool)]).place == 0
    with pytest.raises(ConfigError, match="0 to 1"):
        ScriptedReader(lambda film: truth, limit=2)
