"""Every film is tested once by a network that never saw its patient; folds are done once, and fail alone."""

import argparse

import numpy as np
import pandas as pd
import pytest

from patchcxr.cli.crossvalidate import crossvalidate
from patchcxr.cli.study import load_study
from patchcxr.config import to_dict
from patchcxr.data.cohort import read_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.errors import ConfigError, MaskError, SplitError, TrainingError
from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.masks import read_mask
from patchcxr.models.registry import create_model
from patchcxr.models.trained import TrainedModel, save_model
from patchcxr.preprocessing.geometry import resize_mask
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study import learn
from patchcxr.study.crossvalidation import FoldConfig, cross_validate, usable_rows, with_folds
from patchcxr.study.predict import KnownLungs, Lungs

FOLDS = FoldConfig(n_folds=3)
CHANGES = ["infection.model={architecture: compact_unet, num_classes: 1, encoder: null}", "infection.image_size=32"]
CHANGES += ["anatomy.model={architecture: compact_unet, num_classes: 4, encoder: null}", "anatomy.image_size=32"]
CHANGES += ["report.bootstrap_resamples=20"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    settings = SyntheticConfig(size=64, patients=24, films_per_patient_max=2, labels=("normal", "viral"), severity=2.0)
    generate_cohort(folder, settings)
    return folder / "cohort.csv"


@pytest.fixture(scope="module")
def network():
    """An untrained network, made once."""
    config = load_study("smoke", CHANGES).infection.model
    return create_model(config, seed=0), config


class Trainings(list):
    """Stands in for the training: notes the rows of each, saves an untrained network, and fails in one fold."""

    broken: int | None = None

    def __init__(self, network):
        super().__init__()
        self.network = network

    def __call__(self, rows, store, config, folder):
        self.append(rows.copy())
        if self.broken == int(rows.loc[rows["split"] == "test", "fold"].iloc[0]):
            raise TrainingError("the loss is NaN")
        module, model = self.network
        steps = to_dict(config.preprocessing)
        made = TrainedModel(
            module=module, config=model, classes=("infection",), image_size=32, preprocessing=steps, training={}
        )
        save_model(folder / "model.safetensors", made)


@pytest.fixture
def trainings(monkeypatch, network):
    made = Trainings(network)
    monkeypatch.setattr(learn, "train_infection", made)
    return made


def run(cohort, out, *changes, folds=FOLDS, table=None):
    config = load_study("smoke", [*CHANGES, *changes], cohort)
    return cross_validate("infection", read_cohort(cohort) if table is None else table, config, out, folds)


def test_every_film_is_tested_once_and_no_patient_is_on_two_sides(cohort, trainings, tmp_path):
    found = run(cohort, tmp_path)
    assert sorted(found.films["study"]) == sorted(read_cohort(cohort)["study"])
    assert len(trainings) == 3
    for rows in trainings:
        assert (rows.groupby("patient")["split"].nunique() == 1).all()
        assert set(rows["split"]) == {"train", "validation", "test"}
    tested = pd.concat([rows[rows["split"] == "test"] for rows in trainings])
    assert sorted(tested["study"]) == sorted(read_cohort(cohort)["study"])
    assert set(found.folds["fold"]) == {"0", "1", "2", "all"}


def test_the_pooled_counts_are_those_of_the_saved_predictions(cohort, trainings, tmp_path):
    found = run(cohort, tmp_path)
    table, counts, positive = read_cohort(cohort).set_index("study"), np.zeros(4, dtype=int), {}
    for row in found.films.itertuples():
        probability = ArrayFolder(tmp_path / f"fold_{row.fold}_test" / "probability").load(row.study)
        source = table.loc[row.study]
        truth = np.zeros((32, 32), dtype=bool)
        if source["label"] == "viral":
            mask = read_mask(source["infection_mask"], None)
            truth = resize_mask(mask, 32)
        said = probability >= 0.5
        counts += [(said & truth).sum(), (said & ~truth).sum(), (~said & truth).sum(), (~said & ~truth).sum()]
        positive[row.study] = said.any()
        assert row.score == pytest.approx(float(probability.max()))
    pooled = found.folds[(found.folds["level"] == "pixel") & (found.folds["fold"] == "all")].iloc[0]
    assert pooled[["tp", "fp", "fn", "tn"]].tolist() == counts.tolist()
    assert counts.sum() == len(table) * 32 * 32
    assert found.films.set_index("study")["positive"].to_dict() == positive
    scored = sum(counted.sum(axis=0) for counted in found.counts["infection"].values())
    assert scored.sum(axis=1).tolist() == [counts[1] + counts[3], counts[0] + counts[2]]


def test_a_second_run_trains_nothing_and_another_rule_only_tests_again(cohort, trainings, tmp_path):
    first = run(cohort, tmp_path)
    again = run(cohort, tmp_path)
    assert len(trainings) == 3
    pd.testing.assert_frame_equal(first.pooled, again.pooled)
    strict = run(cohort, tmp_path, "infection.detection.minimum_area=1000000")
    assert len(trainings) == 3
    assert first.films["positive"].any()
    assert not strict.films["positive"].any()
    run(cohort, tmp_path, "infection.train.learning_rate=0.1")
    assert len(trainings) == 6


def test_a_fold_that_fails_is_listed_and_mended_alone(cohort, trainings, tmp_path):
    trainings.broken = 1
    found = run(cohort, tmp_path)
    assert found.missing_folds == {1: "the loss is NaN"}
    assert set(found.films["fold"]) == {0, 2}
    assert set(found.folds["fold"]) == {"0", "2", "all"}
    assert "fold_1_train" in set(found.failures["stage"])
    trainings.broken = None
    before = len(trainings)
    mended = run(cohort, tmp_path)
    assert len(trainings) == before + 1
    assert mended.missing_folds == {}
    assert set(mended.films["fold"]) == {0, 1, 2}


def test_a_run_without_one_whole_fold_is_an_error(cohort, monkeypatch, tmp_path):
    def train(rows, store, config, folder):
        raise TrainingError("the loss is NaN")

    monkeypatch.setattr(learn, "train_infection", train)
    with pytest.raises(TrainingError, match=r"not one of 3 folds.*the loss is NaN"):
        run(cohort, tmp_path)


def test_a_broken_film_and_a_film_without_lungs_are_listed_and_the_others_tested(cohort, trainings, tmp_path):
    table = read_cohort(cohort)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    table.loc[0, "image"] = str(broken)
    table.loc[1, ["right_lung_mask", "left_lung_mask", "lung_mask"]] = None
    found = run(cohort, tmp_path, "infection.detection.rule=tahir", table=table)
    failed = found.failures.set_index("study")["error"]
    assert set(failed.index) == set(table["study"].iloc[:2])
    assert "no mask 'lung'" in failed[table["study"].iloc[1]]
    assert sorted(found.films["study"]) == sorted(table["study"].iloc[2:])


def test_infection_within_the_lungs_is_never_outside_them(cohort, trainings, tmp_path):
    whole = run(cohort, tmp_path / "whole").films.set_index("study")
    inside = run(cohort, tmp_path / "inside", "infection.within_lungs=true").films.set_index("study")
    assert (inside["predicted_area"] <= whole["predicted_area"]).all()
    assert (inside["predicted_area"] < whole["predicted_area"]).any()
    store = FilmStore(tmp_path / "inside" / "films", 32, load_study("smoke", []).preprocessing)
    lungs = pd.Series({study: store.mask(study, "lung").sum() for study in inside.index})
    assert (inside["predicted_area"] <= lungs).all()


def test_the_readers_lungs_come_before_those_of_a_network(cohort, trainings, tmp_path):
    table = read_cohort(cohort)
    table.loc[0, ["right_lung_mask", "left_lung_mask", "lung_mask"]] = None
    run(cohort, tmp_path, table=table)
    store = FilmStore(tmp_path / "films", 32, load_study("smoke", []).preprocessing)

    class Everywhere(Lungs):
        def structure(self, study, name, size=None):
            return np.ones((32, 32), dtype=bool)

    lungs = KnownLungs(store, Everywhere(store))
    assert lungs.structure(table["study"].iloc[0], "lung").all()
    drawn = table["study"].iloc[1]
    np.testing.assert_array_equal(lungs.structure(drawn, "lung"), store.mask(drawn, "lung"))
    with pytest.raises(MaskError, match="anatomy network"):
        KnownLungs(store).structure(table["study"].iloc[0], "lung")


def test_the_folds_of_the_cohort_are_kept_and_leaking_ones_refused(cohort):
    rows = usable_rows("infection", read_cohort(cohort), load_study("smoke", CHANGES, cohort))
    patients = pd.factorize(rows["patient"])[0]
    given = with_folds(rows.assign(fold=patients % 4))
    assert given["fold"].tolist() == (patients % 4).tolist()
    assert with_folds(rows.assign(fold=patients % 4), n_folds=3)["fold"].nunique() == 3
    with pytest.raises(SplitError, match="patient"):
        with_folds(rows.assign(fold=np.arange(len(rows)) % 2))


def test_fewer_training_films_leave_the_tested_ones_as_they_are(cohort, trainings, tmp_path):
    whole = run(cohort, tmp_path / "whole")
    part = run(cohort, tmp_path / "part", folds=FoldConfig(n_folds=3, training_share=0.5))
    sizes = [int((rows["split"] == "train").sum()) for rows in trainings]
    assert all(small < large for large, small in zip(sizes[:3], sizes[3:], strict=True))
    pd.testing.assert_series_equal(whole.films["study"], part.films["study"])


def test_settings_that_cannot_be_used_say_so(cohort):
    with pytest.raises(ConfigError, match="2 or more"):
        FoldConfig(n_folds=1)
    with pytest.raises(ConfigError, match="validation"):
        FoldConfig(validation_fraction=0)
    config = load_study("smoke", CHANGES, cohort)
    with pytest.raises(ConfigError, match="anatomy, infection"):
        usable_rows("bones", read_cohort(cohort), config)
    with pytest.raises(SplitError, match="no film of the cohort"):
        usable_rows("anatomy", read_cohort(cohort).assign(heart_mask=None), config)


def options(cohort, out, network, *changes):
    return argparse.Namespace(
        network=network, cohort=str(cohort), config="smoke", folds=3, out=str(out), seed=None, validation=0.2,
        training_share=1.0, anatomy=None, set=[*CHANGES, *changes],
    )  # fmt: skip


def test_the_command_writes_tables_and_curves_and_says_which_fold_is_missing(cohort, trainings, tmp_path, capsys):
    trainings.broken = 0
    assert crossvalidate(options(cohort, tmp_path, "infection")) == 2
    said = capsys.readouterr()
    assert "in 2 folds" in said.out
    assert "fold 0 is missing: the loss is NaN" in said.err
    assert "not in it: 0." in (tmp_path / "pooled.md").read_text(encoding="utf-8")
    for name in ("pooled.csv", "pooled.tex", "folds.md", "confusion.csv", "curves_infection_films.png"):
        assert (tmp_path / name).stat().st_size > 100
    trainings.broken = None
    assert crossvalidate(options(cohort, tmp_path, "infection")) == 0


@pytest.mark.slow
def test_lungs_and_heart_are_learnt_and_tested_in_every_fold(cohort, tmp_path, capsys):
    assert crossvalidate(options(cohort, tmp_path, "anatomy", "anatomy.train.epochs=1")) == 0
    films = pd.read_csv(tmp_path / "films.csv")
    whole = sorted(read_cohort(cohort)["study"])
    assert {name: sorted(part["study"]) for name, part in films.groupby("structure")} == {"lung": whole, "heart": whole}
    assert (films["tp"] + films["fp"] + films["fn"] + films["tn"] == 32 * 32).all()
    assert (tmp_path / "curves_heart_pixels.svg").is_file()
    assert "Lung, by film" in capsys.readouterr().out
    weights = tmp_path / "fold_0_train" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert crossvalidate(options(cohort, tmp_path, "anatomy", "anatomy.train.epochs=1")) == 0
    assert weights.stat().st_mtime_ns == before
