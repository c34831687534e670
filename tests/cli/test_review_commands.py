"""The review as commands: rounds, readers, results, and what they say when something is wrong."""

import numpy as np
import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.data.cohort import complete_columns, read_cohort, write_cohort
from patchcxr.io.masks import read_mask, write_mask
from patchcxr.review.scripted import ScriptedReader
from patchcxr.review.store import ReviewStore

SHAPE = (40, 40)
CLASSES = ("covid19", "viral", "normal")
FILMS = [f"f{number:02}" for number in range(30)]


def disc(row, column, radius):
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def truth(film):
    number = FILMS.index(film)
    return disc(12 + number % 15, 14 + number % 11, 8)


@pytest.fixture
def work(tmp_path, monkeypatch, rng):
    """Thirty films of three classes; a network that is right but for every fifth film, and one that is always off."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for number, film in enumerate(FILMS):
        np.save(tmp_path / f"{film}.npy", rng.random(SHAPE).astype(np.float32))
        right = truth(film) if number % 5 else ~truth(film)
        write_mask(tmp_path / "good" / f"{film}.png", right)
        write_mask(tmp_path / "poor" / f"{film}.png", np.roll(truth(film), 5, axis=0))
        rows.append(
            {"study": film, "patient": film, "image": f"{film}.npy", "label": CLASSES[number % 3], "age_years": 50}
        )
    write_cohort(complete_columns(pd.DataFrame(rows)), tmp_path / "cohort.csv")
    return tmp_path


def run(*words):
    assert main(["review", *words]) == 0


def fails(capsys, *words):
    capsys.readouterr()
    assert main(["review", *words]) == 2
    return capsys.readouterr().err


def test_accept_reject_unsure_exclude_in_rounds_with_a_mask_for_every_film_left(work, capsys):
    """Tahir 2021, stage II: one network's masks, ten films at a time, and what is rejected is drawn."""
    run(
        "propose", "cohort.csv", "--out", "r", "--target", "lung", "--masks", "net=good", "--count", "10", "--seed", "5"
    )
    assert "10 films of 10 patients" in capsys.readouterr().out
    run("add-reader", "r", "Ann Example")
    store = ReviewStore("r")
    first = set(store.films(1)["film"])
    bad = {film for film in first if FILMS.index(film) % 5 == 0}
    assert bad
    lost = sorted(first - bad)[0]
    reader = ScriptedReader(truth, limit=0.9, draws=True, excludes=[lost])
    assert reader.read(store, "Ann Example") == 10
    actions = store.decisions()["action"].value_counts().to_dict()
    assert actions == {"choose": 9 - len(bad), "draw": len(bad), "exclude": 1}
    run("export", "r", "--out", "one")
    table = read_cohort("one/cohort.csv").set_index("study")
    assert lost not in table.index
    assert list(table["age_years"].unique()) == [50]
    for film in first - {lost}:
        np.testing.assert_array_equal(read_mask(table.at[film, "lung_mask"]), truth(film))
    run(
        "propose",
        "one/cohort.csv",
        "--out",
        "r",
        "--masks",
        "net=good",
        "--films",
        "unmasked",
        "--count",
        "10",
        "--seed",
        "5",
    )
    second = set(store.films(2)["film"])
    assert len(second) == 10
    assert not second & first
    doubtful = ScriptedReader(truth, limit=0.9, doubt=0.9)
    doubtful.read(store, "Ann Example")
    unsure = set(store.decisions().query("round == 2 and action == 'unsure'")["film"])
    assert unsure == {film for film in second if FILMS.index(film) % 5 == 0}
    run("propose", "one/cohort.csv", "--out", "r", "--masks", "net=good", "--films", "unsettled", "--count", "30")
    assert set(store.films(3)["film"]) == set(FILMS) - first - (second - unsure)


def test_a_fifth_of_every_class_is_verified_by_two_readers_and_disputes_are_adjudicated(work, capsys):
    """Tahir 2021, stage IV."""
    run("propose", "cohort.csv", "--out", "r", "--masks", "net=good", "--name", "all")
    store = ReviewStore("r")
    run("add-reader", "r", "ann")
    ScriptedReader(truth, limit=0).read(store, "ann")
    verify = ["--settled", "--kind", "verify", "--share", "0.2", "--readers-per-film", "2"]
    run("propose", "cohort.csv", "--out", "r", *verify, "--seed", "1")
    films = store.films(2)["film"]
    labels = read_cohort("cohort.csv").set_index("study")["label"]
    assert labels[films].value_counts().to_dict() == dict.fromkeys(CLASSES, 2)
    run("add-reader", "r", "ben")
    run("add-reader", "r", "chief", "--adjudicator")
    wrong = {film for film in films if FILMS.index(film) % 5 == 0}
    assert wrong
    ScriptedReader(truth, limit=0.5).read(store, "ann", 2)
    ScriptedReader(truth, limit=0.5, draws=True).read(store, "ben", 2)
    capsys.readouterr()
    run("status", "r", "--round", "2", "--out", "tables")
    said = capsys.readouterr().out
    assert f"ann and ben: 6 films, same action {100 * (6 - len(wrong)) / 6:.1f} %" in said
    assert f"{len(wrong)} disputed" in said
    assert set(pd.read_csv("tables/outcomes.csv").query("outcome == 'disputed'")["film"]) == wrong
    assert (pd.read_csv("tables/agreement_dice.csv")["dice"] == 1).all()
    run("adjudicate", "r")
    assert set(store.films(3)["film"]) == wrong
    run("adjudicate", "r")
    assert "wait for an adjudicator already" in capsys.readouterr().out
    assert len(store.rounds()) == 3
    ScriptedReader(truth, limit=0.5).read(store, "chief", 3)
    run("export", "r", "--out", "final")
    table = read_cohort("final/cohort.csv").set_index("study")
    for film in films:
        np.testing.assert_array_equal(read_mask(table.at[film, "infection_mask"]), truth(film))
    rows = pd.read_csv("final/provenance.csv").set_index("study")
    assert (rows.loc[list(wrong), "origin"] == "drawn by ben").all()
    assert (rows.loc[sorted(set(films) - wrong), "origin"] == "net").all()


def test_the_network_chosen_most_often_is_named(work, capsys):
    run("propose", "cohort.csv", "--out", "r", "--masks", "good=good", "--masks", "poor=poor")
    run("add-reader", "r", "ann")
    ScriptedReader(truth).read(ReviewStore("r"), "ann")
    capsys.readouterr()
    run("status", "r", "--out", "tables")
    said = capsys.readouterr().out
    assert "most often chosen: good" in said
    assert "ann              30 done, 0 left" in said
    tally = pd.read_csv("tables/tally.csv").set_index("source")
    assert tally["chosen"].to_dict() == {"good": 24, "poor": 6}
    assert len(pd.read_csv("tables/decisions.csv")) == 30


def test_bad_films_and_masks_are_listed_and_the_others_proposed(work, capsys):
    (work / "f03.npy").write_bytes(b"no film")
    (work / "good" / "f04.png").unlink()
    write_mask(work / "good" / "f05.png", np.ones((20, 20), dtype=bool))
    run("propose", "cohort.csv", "--out", "r", "--masks", "net=good")
    said = capsys.readouterr()
    assert "3 films or masks could not be used" in said.err
    listed = pd.read_csv("r/round_1_problems.csv").set_index("study")
    assert listed["what"].to_dict() == {"f03": "film", "f04": "net", "f05": "net"}
    for words in ("(20, 20)", "(40, 40)", "resize"):
        assert words in listed.at["f05", "error"]
    run("add-reader", "r", "ann")
    states = dict(ReviewStore("r").queue("ann"))
    assert {film for film, state in states.items() if state == "problem"} == {"f03", "f04", "f05"}
    assert len(states) == 30


def test_what_cannot_be_meant_is_one_line_and_makes_no_review(work, capsys):
    (work / "nothing").mkdir()
    assert "no mask in this folder" in fails(capsys, "propose", "cohort.csv", "--out", "r", "--masks", "n=nothing")
    assert "another name" in fails(capsys, "propose", "cohort.csv", "--out", "r", "--masks", "manual=good")
    assert "no film of the cohort is left" in fails(capsys, "propose", "cohort.csv", "--out", "r", "--manual")
    assert "--films" in fails(capsys, "propose", "cohort.csv", "--out", "r", "--manual", "--trained", "infection")
    assert "no row has it" in fails(capsys, "propose", "cohort.csv", "--out", "r", "--where", "label=plague")
    assert "share" in fails(capsys, "propose", "cohort.csv", "--out", "r", "--masks", "n=good", "--share", "2")
    for film in FILMS:
        write_mask(work / "small" / f"{film}.png", np.ones((20, 20), dtype=bool))
    assert "resize" in fails(capsys, "propose", "cohort.csv", "--out", "r", "--masks", "n=small")
    assert not (work / "r" / "review.sqlite").exists()
    assert "no review here" in fails(capsys, "status", "r")
    run("propose", "cohort.csv", "--out", "r", "--masks", "n=good")
    assert "is of the target" in fails(
        capsys, "propose", "cohort.csv", "--out", "r", "--masks", "n=good", "--target", "lung"
    )
    assert "nobody can log in yet" in fails(capsys, "serve", "r")
    assert "no film is settled yet" in fails(capsys, "export", "r", "--out", "x")


def test_a_token_is_printed_once_and_a_lost_one_renewed(work, capsys):
    run("propose", "cohort.csv", "--out", "r", "--masks", "n=good")
    capsys.readouterr()
    run("add-reader", "r", "ann")
    token = capsys.readouterr().out.split()[-1]
    assert ReviewStore("r").reader_of(token) == "ann"
    assert "already" in fails(capsys, "add-reader", "r", "ann")
    run("add-reader", "r", "ann", "--renew")
    again = capsys.readouterr().out.split()[-1]
    assert ReviewStore("r").reader_of(token) is None
    assert ReviewStore("r").reader_of(again) == "ann"


def test_a_copy_that_was_read_elsewhere_comes_back(work, capsys):
    run("propose", "cohort.csv", "--out", "r", "--masks", "n=good")
    run("add-reader", "r", "ann")
    run("add-reader", "r", "ben")
    run("backup", "r", "--out", "copy")
    run("backup", "r", "--out", "friday.sqlite")
    ScriptedReader(truth).read(ReviewStore("copy"), "ben")
    capsys.readouterr()
    run("merge", "r", "copy")
    assert "30 decisions" in capsys.readouterr().out
    assert len(ReviewStore("r").decisions()) == 30
    run("merge", "r", "friday.sqlite")
    assert "0 decisions" in capsys.readouterr().out
    assert "exists already" in fails(capsys, "backup", "r", "--out", "copy")


def test_readers_draw_from_scratch_where_no_mask_is_proposed(work, capsys):
    run("propose", "cohort.csv", "--out", "r", "--where", "label=covid19,viral", "--count", "5")
    assert "readers draw from scratch" in capsys.readouterr().out
    run("add-reader", "r", "ann")
    store = ReviewStore("r")
    assert ScriptedReader(truth, draws=True).read(store, "ann") == 5
    run("export", "r", "--out", "x")
    rows = pd.read_csv("x/provenance.csv")
    assert (rows["origin"] == "drawn by ann").all()
    table = read_cohort("x/cohort.csv").set_index("study")
    np.testing.assert_array_equal(read_mask(table.at[rows["study"][0], "infection_mask"]), truth(rows["study"][0]))


def test_serving_says_where_and_for_how_many_readers(work, capsys, monkeypatch):
    pytest.importorskip("fastapi")
    import patchcxr.review.server

    asked = {}

    def stub(*place, listening, **more):
        listening()
        asked.update(place=place, **more)

    monkeypatch.setattr(patchcxr.review.server, "serve", stub)
    run("propose", "cohort.csv", "--out", "r", "--masks", "n=good")
    run("add-reader", "r", "ann")
    capsys.readouterr()
    run("serve", "r", "--port", "8123", "--allowed-host", "masks.example.org")
    assert "http://127.0.0.1:8123/ (1 who can log in" in capsys.readouterr().out
    assert asked == {
        "place": ("r", "127.0.0.1", 8123), "show_patients": False, "hosts": ["masks.example.org"]
    }  # fmt: skip
