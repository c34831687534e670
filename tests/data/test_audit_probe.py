from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from patchcxr.data.audit import probe as module
from patchcxr.data.audit.probe import (
    COLUMNS,
    FILL,
    ProbeConfig,
    Question,
    balanced_accuracy,
    probe,
    questions,
    show,
)
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.data.audit.shortcuts import check_probe
from patchcxr.errors import ConfigError

QUICK = ProbeConfig(permutations=3, resamples=60)
SIDE = 64


def lungs_of(n: int, half_width: int = 8) -> np.ndarray:
    lungs = np.zeros((n, SIDE, SIDE), dtype=bool)
    for centre in (18, 46):
        lungs[:, 14:50, centre - half_width : centre + half_width] = True
    return lungs


def scan_of(thumbnails: np.ndarray, lungs: np.ndarray | None = None) -> FilmScan:
    n = len(thumbnails)
    facts = pd.DataFrame(
        {"error": pd.Series([""] * n, dtype="string"), "rows": 64.0, "columns": 64.0, "bit_depth": 8.0}
    )
    facts["file_digest"] = facts["pixel_digest"] = [f"digest {index}" for index in range(n)]
    hashes = np.random.default_rng(1).random((n, 256)) < 0.5
    lungs = np.zeros(thumbnails.shape, dtype=bool) if lungs is None else lungs
    return FilmScan(facts, hashes, thumbnails, lungs, lungs.any(axis=(1, 2)))


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(90, 160, (n, SIDE, SIDE)).astype(np.uint8)


def two_sources(n: int, **columns: object) -> pd.DataFrame:
    names = [f"f{index}" for index in range(n)]
    table = pd.DataFrame({"study": names, "patient": names, "source": ["east", "west"] * (n // 2), "label": "normal"})
    return table.assign(**columns).astype("string")


def told(
    table: pd.DataFrame, scan: FilmScan, config: ProbeConfig = QUICK, copies: np.ndarray | None = None
) -> pd.DataFrame:
    copies = np.arange(len(scan)) if copies is None else copies
    rows = probe(table, scan, Question("source", "probe-source", table["source"]), config, copies)
    assert tuple(rows.columns) == COLUMNS
    return rows.set_index(["films_with", "input"])


def test_a_mark_in_the_background_is_told_from_the_background_and_not_from_the_lungs(rng):
    pictures = noise(rng, 120)
    pictures[::2, 52:60, 30:40] = 250
    rows = told(two_sources(120), scan_of(pictures, lungs_of(120)))["balanced_accuracy"]
    assert rows["lung mask", "background only"] > 0.95
    assert rows["lung mask", "whole film"] > 0.95
    assert rows["readable", "whole film"] > 0.95
    assert 0.3 < rows["lung mask", "lungs only"] < 0.7
    assert rows["lung mask", "lung outline only"] == 0.5  # the same for all films
    assert 0.3 < rows["readable", "frame only"] < 0.7


def test_a_difference_inside_the_lungs_is_told_from_the_lungs_and_not_from_the_background(rng):
    pictures, lungs = noise(rng, 120), lungs_of(120)
    pictures[::2] = np.where(lungs[::2], pictures[::2] - 60, pictures[::2])
    rows = told(two_sources(120), scan_of(pictures, lungs))["balanced_accuracy"]
    assert rows["lung mask", "lungs only"] > 0.95
    assert 0.3 < rows["lung mask", "background only"] < 0.7


def test_masks_drawn_by_different_readers_are_told_from_their_outline(rng):
    lungs = lungs_of(120)
    lungs[::2] = lungs_of(60, half_width=5)
    rows = told(two_sources(120), scan_of(noise(rng, 120), lungs))["balanced_accuracy"]
    assert rows["lung mask", "lung outline only"] == 1.0
    assert 0.3 < rows["lung mask", "whole film"] < 0.7


def test_a_label_at_the_edge_is_told_from_the_frame_where_there_are_no_masks(rng):
    pictures = noise(rng, 120)
    pictures[::2, :3, 5:20] = 255
    rows = told(two_sources(120), scan_of(pictures))
    assert rows.index.tolist() == [("readable", "whole film"), ("readable", "frame only")]
    assert rows.loc[("readable", "frame only"), "balanced_accuracy"] > 0.95


def test_alike_sources_are_told_no_better_than_shuffled_labels_and_chance_lies_in_the_interval(rng):
    row = told(two_sources(160), scan_of(noise(rng, 160)), ProbeConfig(permutations=10, resamples=200)).iloc[0]
    assert row["chance"] == 0.5
    assert row["low"] < 0.5 < row["high"]
    assert 0.4 < row["shuffled"] < 0.6
    assert row["shuffled"] <= row["shuffled_highest"] < 0.7


@pytest.mark.parametrize("tie", ["patient", "duplicate"])
def test_films_of_one_person_and_copies_of_one_film_never_help_to_tell_it(rng, tie):
    people, each = 40, 4
    pictures = np.repeat(noise(rng, people), each, axis=0)
    pictures = (pictures + rng.integers(0, 3, pictures.shape)).astype(np.uint8)
    person = np.repeat(np.arange(people), each)
    names = pd.Series([f"f{index}" for index in range(len(person))])
    table = pd.DataFrame({"study": names, "patient": names, "source": np.where(person % 2, "east", "west")})
    copies = None
    leaky = told(table.astype("string"), scan_of(pictures)).iloc[0]
    if tie == "patient":
        table["patient"] = [f"p{one}" for one in person]
    else:
        copies = person
    honest = told(table.astype("string"), scan_of(pictures), copies=copies).iloc[0]
    assert leaky["balanced_accuracy"] > 0.9
    assert honest["balanced_accuracy"] < 0.75
    assert (leaky["patients"], honest["patients"]) == (160, 40)


def test_each_input_shows_its_part_and_fills_the_rest():
    pictures = np.full((1, 32, 32), 200, dtype=np.uint8)
    lungs = np.zeros((1, 32, 32), dtype=bool)
    lungs[0, 10:20, 10:20] = True
    whole, frame, background, inside, outline = (
        show(pictures, lungs, name)[0]
        for name in ("whole film", "frame only", "background only", "lungs only", "lung outline only")
    )
    assert whole.shape == (16, 16)
    assert (whole == 200).all()
    assert (background[5:10, 5:10] == FILL).all()
    assert background.sum() == (256 - 25) * 200 + 25 * FILL
    assert inside.sum() == 25 * 200 + (256 - 25) * FILL
    assert (outline[5:10, 5:10] == 255).all()
    assert outline.sum() == 25 * 255
    assert (frame[1:15, 1:15] == FILL).all()
    assert frame.sum() == 14 * 14 * FILL + (256 - 14 * 14) * 200


def test_a_pixel_is_the_mean_of_two_by_two_of_the_thumbnail():
    pictures = np.zeros((1, 2, 4), dtype=np.uint8)
    pictures[0] = [[0, 10, 20, 30], [40, 50, 60, 70]]
    assert show(pictures, pictures > 255, "whole film")[0].tolist() == [[25.0, 45.0]]


def test_an_unknown_input_is_refused_by_name():
    with pytest.raises(ConfigError, match="heart only"):
        show(np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 4), bool), "heart only")


def test_balanced_accuracy_is_that_of_scikit_learn_and_undefined_without_a_class(rng):
    truth, answer = rng.integers(4, size=200), rng.integers(4, size=200)
    assert balanced_accuracy(truth, answer) == pytest.approx(balanced_accuracy_score(truth, answer))
    assert np.isnan(balanced_accuracy(np.array([0, 2]), np.array([0, 2])))


def test_sources_with_too_few_patients_are_left_out_and_named(rng):
    table = two_sources(64)
    table.loc[:8, "source"] = "tiny"
    rows = told(table, scan_of(noise(rng, 64)))
    assert set(rows["classes"]) == {"east, west"}
    assert set(rows["left_out"]) == {"tiny"}
    assert set(rows["films"]) == {55}


def test_with_one_source_left_there_are_no_numbers_and_no_finding(rng):
    table = two_sources(40)
    table.loc[4:, "source"] = "east"
    scan = scan_of(noise(rng, 40), lungs_of(40))
    rows = told(table, scan)
    assert rows["balanced_accuracy"].isna().all()
    assert rows.index.tolist() == [("readable", "whole film"), ("readable", "frame only")]
    assert check_probe(table, scan, AuditConfig()) == []


def test_unreadable_films_are_not_asked(rng):
    scan = scan_of(noise(rng, 60))
    scan.facts.loc[:9, "error"] = "truncated"
    assert set(told(two_sources(60), scan)["films"]) == {50}


def test_large_cohorts_are_drawn_from_evenly_and_the_same_seed_draws_the_same(rng):
    table = two_sources(200)
    table.loc[40:, "source"] = "west"
    config = ProbeConfig(maximum_films=50, permutations=1, resamples=20, seed=3)
    scan = scan_of(noise(rng, 200))
    once, again = (told(table, scan, config) for _ in range(2))
    assert set(once["films"]) == {20 + 25}
    assert set(once["drawn_from"]) == {200}
    pd.testing.assert_frame_equal(once, again)


def test_a_finding_says_from_how_many_films_its_films_were_drawn(rng, monkeypatch):
    monkeypatch.setattr(module, "ProbeConfig", partial(ProbeConfig, permutations=1, resamples=40))
    table = two_sources(2020)
    pictures = np.repeat(noise(rng, 20), 101, axis=0)
    (finding,) = check_probe(table, scan_of(pictures), AuditConfig())
    assert "on 2000 films drawn from 2020 of" in finding.message


def test_the_questions_are_asked_where_there_are_two_answers():
    table = pd.DataFrame(
        {
            "study": list("abcdef"),
            "label": ["normal", "normal", "covid19", "covid19", "normal", None],
            "source": ["x", "y", "x", "x", "y", "z"],
        }
    )
    asked = {question.target: question for question in questions(table)}
    assert list(asked) == ["source", "source among normal", "label within x"]
    assert asked["source among normal"].classes.fillna("-").tolist() == ["x", "y", "-", "-", "y", "-"]
    assert asked["label within x"].classes.fillna("-").tolist() == ["normal", "-", "covid19", "covid19", "-", "-"]


def test_telling_the_source_is_an_error_only_where_the_label_goes_with_it(rng, monkeypatch):
    monkeypatch.setattr(module, "ProbeConfig", partial(ProbeConfig, permutations=1, resamples=40))
    pictures = noise(rng, 80)
    pictures[::2, 52:60, 28:40] = 250
    scan = scan_of(pictures, lungs_of(80))
    confounded = two_sources(80, label=["covid19", "normal"] * 40)
    balanced = two_sources(80, label=["normal"] * 40 + ["covid19"] * 40)
    severity = {}
    for name, table in (("confounded", confounded), ("balanced", balanced)):
        found = {finding.check: finding for finding in check_probe(table, scan, AuditConfig())}
        severity[name] = found["probe-source"].severity
        assert "background only 1.00 (1.00 to 1.00)" in found["probe-source"].message
        assert "on 80 films of 80 patients (east, west; chance 0.50" in found["probe-source"].message
    assert severity == {"confounded": "error", "balanced": "warning"}


def test_alike_sources_give_notes(rng):
    found = check_probe(two_sources(80), scan_of(noise(rng, 80)), AuditConfig())
    assert [(finding.check, finding.severity) for finding in found] == [("probe-source", "note")]


def test_films_without_patient_id_count_as_their_own_patients(rng):
    table = two_sources(60)
    table["patient"] = pd.NA
    assert set(told(table, scan_of(noise(rng, 60)))["patients"]) == {60}


@pytest.mark.parametrize(
    "wrong", [{"folds": 1}, {"permutations": 0}, {"minimum_patients": 3}, {"maximum_films": 5}, {"seed": -1}]
)
def test_settings_that_cannot_work_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ProbeConfig(**wrong)
