"""Scores of masks by film, and their summary, on synthetic films with known predictions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.cohort import read_cohort
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.boundary import boundary_scores
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.overlap import segmentation_table
from patchcxr.study.evaluate.anatomy import measure_films, score_films, segmentation, summarize_scores
from patchcxr.study.predict import Lungs
from patchcxr.types import ANATOMY, PARTITION

SIZE = 64
DIAGONAL = np.hypot(SIZE - 1, SIZE - 1)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Cohort, its masks, and predictions: film 0 exact, film 1 a row too low, film 2 without lungs, others exact."""
    folder = tmp_path_factory.mktemp("films")
    generate_cohort(folder, SyntheticConfig(size=SIZE, patients=5, films_per_patient_max=1))
    table = read_cohort(folder / "cohort.csv")
    store = FilmStore(folder / "store", SIZE)
    assert store.prepare(table).empty
    labels = ArrayFolder(folder / "labels")
    for number, study in enumerate(table["study"]):
        found = np.zeros((SIZE, SIZE), np.uint8)
        for name in ANATOMY[1:]:
            found[store.mask(study, name)] = ANATOMY.index(name)
        if number == 1:
            found = np.roll(found, 1, axis=0)
        if number == 2:
            found[found >= ANATOMY.index("left_lung")] = 0
        labels.save(study, found)
    return table, store, Lungs(store, folder / "labels")


def test_each_film_has_overlap_and_outlines_of_each_structure(films):
    table, store, predicted = films
    scores = score_films(table, predicted, Lungs(store))
    assert list(scores["study"]) == list(table["study"])
    exact, low = scores.iloc[0], scores.iloc[1]
    assert (exact["right_lung_dice"], exact["right_lung_hd95"], exact["right_lung_surface_dice"]) == (1, 0, 1)
    study = table["study"][1]
    true, found = store.mask(study, "right_lung"), predicted.structure(study, "right_lung")
    assert low["right_lung_assd"] == boundary_scores(found, true).assd > 0
    assert low["right_lung_hausdorff"] >= 1


def test_a_missed_lung_stays_in_the_mean_and_is_counted(films):
    table, store, predicted = films
    scores = score_films(table, predicted, Lungs(store))
    assert list(scores["right_lung_failed"]) == [False, False, True, False, False]
    summary = summarize_scores(scores.assign(role="test"), ["role"]).set_index("measure")
    hd95, dice = summary.loc["right_lung_hd95"], summary.loc["right_lung_dice"]
    assert (hd95["n"], hd95["failed"], hd95["both_empty"]) == (5, 1, 0)
    assert hd95["max"] == pytest.approx(DIAGONAL)
    assert hd95["mean"] == pytest.approx((4 * hd95["mean_found"] + DIAGONAL) / 5)
    assert dice["min"] == 0
    assert dice["mean"] == pytest.approx(0.8 * dice["mean_found"])
    assert summary.loc["heart_hd95", "failed"] == 0


def test_two_empty_masks_are_counted_as_both_empty(films):
    table, store, predicted = films
    scores = score_films(table.iloc[:3], predicted, Lungs(store)).assign(role="test")
    scores.loc[0, ["heart_jaccard", "heart_hd95"]] = np.nan
    summary = summarize_scores(scores, ["role"]).set_index("measure")
    assert (summary.loc["heart_hd95", "n"], summary.loc["heart_hd95", "both_empty"]) == (2, 1)
    scores["heart_failed"] = pd.NA
    assert "heart_hd95" not in set(summarize_scores(scores, ["role"])["measure"])


def test_millimetres_are_there_where_the_cohort_knows_the_spacing(films):
    table, store, predicted = films
    known = table.assign(row_spacing_mm=[0.5, 0.5, 0.5, np.nan, np.nan], column_spacing_mm=0.5)
    scores = score_films(known, predicted, Lungs(store))
    rows, columns = store.source_shape(table["study"][1])
    assert (rows, columns) == (SIZE, SIZE)
    assert scores["lung_assd_mm"][1] == pytest.approx(scores["lung_assd"][1] / 2)
    assert scores["lung_assd_mm"].notna().tolist() == [True] * 3 + [False] * 2
    summary = summarize_scores(scores.assign(role="test"), ["role"]).set_index("measure")
    assert (summary.loc["lung_hd95_mm", "n"], summary.loc["lung_hd95_mm", "failed"]) == (3, 1)
    assert summary.loc["lung_hd95_mm", "both_empty"] == 0


def test_the_shown_table_has_a_row_a_structure_and_says_how_many_failed(films):
    table, store, predicted = films
    scores = score_films(table, predicted, Lungs(store)).assign(source="synthetic", role="test")
    shown = segmentation_table(summarize_scores(scores, ["source", "role"]))
    assert list(shown.columns) == [
        "Films", "Structure", "n", "Failed", "Jaccard", "Dice", "HD95 (pixels)", "ASSD (pixels)"
    ]  # fmt: skip
    assert set(shown["Films"]) == {"synthetic, unseen patients"}
    assert shown[["Structure", "n", "Failed"]].to_numpy().tolist() == [["Lungs", 5, 1], ["Heart", 5, 0]]
    assert shown["Dice"][0] == f"{scores['lung_dice'].mean():.3f} ± {scores['lung_dice'].std():.3f}"


def test_biomarkers_name_what_is_odd_about_the_masks(films):
    table, store, predicted = films
    markers, failures = measure_films(table, store, predicted)
    assert markers["flags"].tolist() == ["", "", "no lungs", "", ""]
    assert set(failures["study"]) == {table["study"][2]}


def test_a_network_of_the_lungs_alone_is_not_blamed_for_the_heart(films):
    table, store, predicted = films
    lungs = Lungs(store, predicted.labels.root, heart=False)
    markers, failures = measure_films(table, store, lungs)
    assert markers["flags"].tolist() == ["", "", "no lungs", "", ""]
    assert not failures["error"].str.contains("heart mask").any()
    scores = score_films(table, lungs, Lungs(store))
    assert "lung_dice" in scores
    assert not any(column.startswith("heart_") for column in scores)


def test_sources_with_whole_lungs_are_compared_with_whole_lungs(films, tmp_path):
    """The part behind the heart is the lowest rows of the left lung: it counts for the one source only."""
    table, store, _ = films
    table = table.iloc[:2].assign(source=["whole", "field"], split="test", heart_mask=None)
    labels = ArrayFolder(tmp_path / "labels")
    for study in table["study"]:
        found = np.zeros((SIZE, SIZE), np.uint8)
        for name in ("left_lung", "right_lung"):
            found[store.mask(study, name)] = ANATOMY.index(name)
        found[SIZE // 2 :][found[SIZE // 2 :] == ANATOMY.index("left_lung")] = PARTITION.index("left_lung_behind_heart")
        labels.save(study, found)
    study = SimpleNamespace(
        config=SimpleNamespace(
            anatomy=SimpleNamespace(image_size=SIZE, whole_lungs=("whole",), target="anatomy", sources=("whole",))
        ),
        table=table,
        store=lambda size: store,
        predicted_anatomy=lambda whole=False: Lungs(store, labels.root, whole),
    )
    segmentation(study, tmp_path)
    scores = pd.read_csv(tmp_path / "scores.csv").set_index("source")
    assert scores.loc["whole", "lung_dice"] == scores.loc["whole", "left_lung_dice"] == 1
    assert scores.loc["field", "left_lung_dice"] < 0.9
    assert scores["role"].to_dict() == {"field": "cross", "whole": "test"}
