from __future__ import annotations

import shutil
import sqlite3
import threading

import pytest
from review_films import choose, draw, key, png, proposed, review, say

from patchcxr.errors import ReviewError
from patchcxr.review.merge import Merged, backup, merge
from patchcxr.review.outcome import outcomes
from patchcxr.review.store import ReviewStore


@pytest.fixture
def store(tmp_path):
    films = [proposed("f", 0.5, a=2, b=4), proposed("g", a=1)]
    with review(tmp_path / "ours", *films, per_film=2) as made:
        yield made


@pytest.fixture
def copy(store, tmp_path):
    """A second place where the same review goes on."""
    with ReviewStore(backup(store, tmp_path / "theirs").parent) as made:
        yield made


def everything(store):
    tables = ("readers", "rounds", "round_films", "candidates", "films", "orders", "standing")
    with store.database.read() as connection:
        rows = {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=str) for name in tables}
        rows["masks"] = sorted(connection.execute("SELECT digest, png FROM masks").fetchall())
    return rows | {"decisions": store.decisions(current=False).astype(str).to_numpy().tolist()}


def test_a_backup_is_a_review_of_its_own_with_all_decisions(store, tmp_path):
    made = choose(store, "ann", "f", "a")
    store.task("bob", "f")
    before = everything(store)
    path = backup(store, tmp_path / "kept" / "monday")
    assert path == tmp_path / "kept" / "monday" / "review.sqlite"
    assert [file.name for file in path.parent.iterdir()] == ["review.sqlite"]
    with ReviewStore(path.parent) as found:
        assert everything(found) == before
        say(found, "bob", "f", "reject")
    assert store.decisions()["key"].tolist() == [made.key]


def test_a_backup_replaces_nothing(store, tmp_path):
    path = backup(store, tmp_path / "one.sqlite")
    kept = path.read_bytes()
    for place in (path, store.folder):
        with pytest.raises(ReviewError, match="exists already"):
            backup(store, place)
    assert path.read_bytes() == kept
    (tmp_path / "file").touch()
    with pytest.raises(ReviewError, match="cannot be written"):
        backup(store, tmp_path / "file" / "below")


def test_a_backup_taken_while_readers_decide_is_whole(store, tmp_path):
    stop, made = threading.Event(), []

    def work():
        while not stop.is_set():
            made.append(draw(store, "ann", "f", len(made) % 8).key)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while len(made) < 20:
            stop.wait(0.001)
        before = len(made)
        path = backup(store, tmp_path / "live")
    finally:
        stop.set()
        thread.join()
    with ReviewStore(path.parent) as found:
        recorded = found.decisions(current=False)["key"].tolist()
    assert before <= len(recorded) <= len(made)
    assert recorded == made[: len(recorded)]


def test_a_merge_is_the_union_and_once_is_enough(store, copy):
    ours = choose(store, "ann", "f", "a")
    theirs = draw(copy, "bob", "f", 7)
    other = say(copy, "ann", "g", "reject")
    copy.add_reader("cy")
    copy.task("cy", "g")
    assert merge(store, copy) == Merged(decisions=2, masks=1, readers=1, films=0, rounds=0)
    assert store.decisions()["key"].tolist() == [ours.key, theirs.key, other.key]
    assert store.readers() == ["ann", "bob", "cy"]
    assert store.films(1)["answers"].tolist() == [2, 1]
    assert store.mask_png(theirs.digest) == png(7)
    before = everything(store)
    assert merge(store, copy.folder) == Merged(0, 0, 0, 0, 0)
    assert everything(store) == before
    assert outcomes(store).set_index("film").loc["f", "outcome"] == "disputed"


def test_both_directions_lead_to_the_same_review(store, copy):
    for number in range(6):
        for place, reader in ((store, "ann"), (copy, "bob"), (copy, "ann"), (store, "bob")):
            if number % 3 == 2:
                place.undo(reader, undo_key=key())
            else:
                draw(place, reader, "fg"[number % 2], number)
    merge(store, copy)
    merge(copy, store)
    assert everything(store) == everything(copy)
    assert len(store.decisions(current=False)) == 24


def test_of_one_readers_decisions_in_two_copies_the_later_stands(store, copy):
    choose(store, "ann", "f", "a")
    later = say(copy, "ann", "f", "unsure")
    last = say(store, "ann", "g", "reject")
    merge(store, copy)
    assert store.decisions()["key"].tolist() == [later.key, last.key]


def test_an_undo_in_one_copy_undoes_in_both(store, tmp_path):
    made = choose(store, "ann", "f", "a")
    with ReviewStore(backup(store, tmp_path / "theirs").parent) as copy:
        copy.undo("ann", made.key, undo_key=key())
        assert merge(store, copy).decisions == 1
    assert store.decisions().empty
    assert store.next_task("ann").film.film == "f"


def test_a_round_that_only_the_other_copy_has_comes_along(store, copy):
    copy.add_round("second", "verify", 1, [proposed("h", a=3)])
    made = choose(copy, "bob", "h", "a", round=2)
    assert merge(store, copy) == Merged(decisions=1, masks=1, readers=0, films=1, rounds=1)
    assert store.decisions()["key"].tolist() == [made.key]
    assert store.candidates(2)["source"].tolist() == ["a"]


def test_what_cannot_be_merged_is_refused_and_changes_nothing(store, copy, tmp_path):
    before = everything(store)
    stranger = review(tmp_path / "stranger", proposed("f", a=2))
    with pytest.raises(ReviewError, match="is another review than"):
        merge(store, stranger)
    with pytest.raises(ReviewError, match="itself"):
        merge(store, store.folder)
    with pytest.raises(ReviewError, match="no review here"):
        merge(store, tmp_path / "nowhere")
    say(copy, "ann", "f", "reject")
    copy.add_round("second", "verify", 1, [proposed("h", a=3)])
    store.add_round("second", "verify", 1, [proposed("k", a=3)])
    with pytest.raises(ReviewError, match=r"round 2 of .* is not round 2 of .*one copy only"):
        merge(store, copy)
    assert store.decisions(current=False).empty
    assert everything(store)["readers"] == before["readers"]


def test_a_decision_that_was_changed_by_hand_is_found(store, tmp_path):
    made = say(store, "ann", "f", "reject")
    path = backup(store, tmp_path / "theirs")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE decisions SET action = 'unsure'")
    connection.commit()
    connection.close()
    with pytest.raises(ReviewError, match=f"decision '{made.key}' of .* is not that of"):
        merge(store, path.parent)


def test_a_backup_survives_the_loss_of_the_review(store, tmp_path):
    made = choose(store, "ann", "f", "a")
    path = backup(store, tmp_path / "kept.sqlite")
    store.close()
    shutil.rmtree(store.folder)
    store.folder.mkdir()
    shutil.copy(path, store.path)
    with ReviewStore(store.folder) as found:
        assert found.task("ann", "f").decision == made


def test_a_film_that_a_later_round_of_the_copy_mended_is_mended(store, copy):
    broken = proposed("h", problem="cannot be read")
    broken = broken._replace(film=broken.film._replace(height=0, width=0, problem="cannot be read"))
    store.add_round("second", "choose", 1, [broken])
    merge(copy, store)
    copy.add_round("third", "choose", 1, [proposed("h", a=3)])
    merge(store, copy)
    film = store.films().set_index("film").loc["h"]
    assert (film["height"], film["width"], film["problem"]) == (8, 8, None)
    draw(store, "ann", "h", 2, round=3)


def test_after_a_merge_an_undo_takes_back_the_latest_decision_not_the_last_added(store, copy):
    older = say(copy, "ann", "f", "reject")
    newer = say(store, "ann", "g", "unsure")
    assert older.time < newer.time
    merge(store, copy)
    assert store.undo("ann", undo_key="undo-it").undoes == newer.key
