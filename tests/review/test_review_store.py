from __future__ import annotations

import math
import sqlite3

import cv2
import numpy as np
import pytest
from review_films import choose, draw, key, png, proposed, review, say, top

from patchcxr.errors import PatchCXRError, ReviewError
from patchcxr.review import schema
from patchcxr.review.blobs import MAX_PNG_BYTES, decode_mask, encode_mask, mask_digest
from patchcxr.review.store import ACTIONS, Film, ProposedFilm, ReviewStore


@pytest.fixture
def store(tmp_path):
    """Film ``f`` with the masks 2, 2 and 4 rows of the networks a, b and c; film ``g`` with one of a."""
    with review(tmp_path / "review", proposed("f", 0.5, a=2, b=2, c=4), proposed("g", a=1), per_film=2) as made:
        yield made


# ---- opening


def test_a_review_is_made_once_and_found_again_as_it_was(tmp_path):
    first = ReviewStore.create(tmp_path / "r", target="lung", seed=7)
    again = ReviewStore(tmp_path / "r")
    assert (again.store_id, again.target, again.seed) == (first.store_id, "lung", 7)
    with pytest.raises(ReviewError, match="already holds a review"):
        ReviewStore.create(tmp_path / "r")
    with pytest.raises(ReviewError, match="target is 'heart'"):
        ReviewStore.create(tmp_path / "other", target="heart")
    with pytest.raises(ReviewError, match="no review here"):
        ReviewStore(tmp_path / "nowhere")


def test_a_file_that_is_no_review_is_refused_in_words(tmp_path):
    (tmp_path / "review.sqlite").write_bytes(b"this is no database, however long it is" * 50)
    with pytest.raises(ReviewError, match="cannot be opened as a review"):
        ReviewStore(tmp_path)
    (tmp_path / "review.sqlite").write_bytes(b"")
    with pytest.raises(ReviewError, match="holds no review"):
        ReviewStore(tmp_path)


def test_a_file_that_cannot_be_opened_is_a_review_error(tmp_path):
    (tmp_path / "review.sqlite").mkdir()
    with pytest.raises(ReviewError, match="cannot be made"):
        ReviewStore.create(tmp_path)


def test_a_making_that_was_killed_does_not_block_the_next(tmp_path):
    (tmp_path / "review.sqlite").touch()
    assert ReviewStore.create(tmp_path).rounds().empty


def test_commits_are_synced_and_logged_ahead(store):
    connection = store.database.connection()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_newer_review_is_refused_and_left_alone(store):
    with store.database.write() as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(ReviewError, match=r"schema version 99.*up to 1.*update patchcxr"):
        ReviewStore(store.folder)
    assert schema.version_of(store.database.connection()) == 99


def test_an_older_review_is_migrated_step_by_step_with_its_rows():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    steps = (
        ("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)", "CREATE TABLE notes (note TEXT)"),
        ("ALTER TABLE notes ADD COLUMN reader TEXT NOT NULL DEFAULT 'ann'",),
        ("CREATE INDEX of_reader ON notes (reader)", "UPDATE notes SET note = upper(note)"),
    )
    for statement in (*steps[0], "INSERT INTO meta VALUES ('schema_version', '1')", "INSERT INTO notes VALUES ('x')"):
        connection.execute(statement)
    assert schema.migrate(connection, steps) == 1
    assert connection.execute("SELECT note, reader FROM notes").fetchall() == [("X", "ann")]
    assert schema.migrate(connection, steps) == 3
    assert connection.execute("SELECT note FROM notes").fetchall() == [("X",)]


def test_a_migration_that_fails_changes_nothing():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    steps = (
        ("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)",),
        ("CREATE TABLE half (x)", "INSERT INTO absent VALUES (1)"),
    )
    for statement in (*steps[0], "INSERT INTO meta VALUES ('schema_version', '1')"):
        connection.execute(statement)
    with pytest.raises(sqlite3.Error, match="absent"):
        schema.migrate(connection, steps)
    assert schema.version_of(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall() == []


def test_review_errors_are_errors_of_the_package():
    assert issubclass(ReviewError, PatchCXRError)


# ---- readers


def test_a_token_names_its_reader_and_is_not_in_the_file(store):
    token = store.add_reader("Dr. Müller, 2nd reader", adjudicator=True)
    assert store.reader_of(token) == "Dr. Müller, 2nd reader"
    assert store.reader_of(token + "x") is None
    assert store.readers() == ["Dr. Müller, 2nd reader", "ann", "bob"]
    assert store.is_adjudicator("Dr. Müller, 2nd reader")
    assert not store.is_adjudicator("ann")
    store.close()
    assert token.encode() not in store.path.read_bytes()


def test_a_renewed_token_ends_the_lost_one(store):
    lost = store.add_reader("cy")
    found = store.renew_token("cy")
    assert store.reader_of(lost) is None
    assert store.reader_of(found) == "cy"
    with pytest.raises(ReviewError, match="reader 'dan' is not in the review; expected one of ann, bob, cy"):
        store.renew_token("dan")


@pytest.mark.parametrize("name", ["", " ann", "x" * 65, "two\nlines", "a|b", "\u202eann"])
def test_names_that_cannot_be_shown_or_told_apart_are_refused(store, name):
    with pytest.raises(ReviewError, match="1 to 64 printable"):
        store.add_reader(name)


def test_a_name_is_given_once(store):
    with pytest.raises(ReviewError, match="'ann' is in the review already"):
        store.add_reader("ann")
    store.add_reader("x" * 64)


# ---- masks and rounds


def test_masks_are_named_by_their_pixels_whatever_wrote_them(rng):
    mask = rng.random((13, 21)) < 0.5
    grey = mask.astype(np.uint8) * 255
    colour = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    pictures = [encode_mask(mask), *(cv2.imencode(".png", image)[1].tobytes() for image in (grey, colour, mask * 1))]
    assert len(set(pictures)) == 4
    for picture in pictures:
        np.testing.assert_array_equal(decode_mask(picture, (13, 21)), mask)
    assert mask_digest(mask) != mask_digest(mask.T.copy())
    assert mask_digest(np.zeros((2, 3), bool)) != mask_digest(np.zeros((3, 2), bool))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "not a PNG"),
        (b"GIF89a" + bytes(60), "not a PNG"),
        (png(2)[:40], "again"),
        (png(2, side=9), "9 x 9 pixels, but its film has 8 x 8"),
        (cv2.imencode(".png", np.eye(8, dtype=np.uint8) * 3)[1].tobytes(), "values up to 3"),
        (png(2) + bytes(MAX_PNG_BYTES), "more than the limit"),
    ],
)
def test_pictures_that_are_no_mask_of_the_film_are_refused(store, data, fault):
    with pytest.raises(ReviewError, match=fault):
        store.decide("ann", "f", 1, "draw", key(), png=data)
    assert store.decisions(current=False).empty


def test_what_was_proposed_is_what_the_tables_show(store):
    table = store.candidates()
    assert table[["film", "source", "area"]].to_numpy().tolist() == [
        ["f", "a", 16], ["f", "b", 16], ["f", "c", 32], ["g", "a", 8],
    ]  # fmt: skip
    assert table.loc[0, "digest"] == table.loc[1, "digest"] == mask_digest(top(2))
    np.testing.assert_array_equal(store.mask(table.loc[2, "digest"]), top(4))
    films = store.films(1)
    assert films["film"].tolist() == ["f", "g"]
    assert films["disagreement"].tolist() == [0.5, 0.0]
    assert store.rounds().loc[0, ["name", "kind", "readers_per_film", "films", "problems"]].tolist() == [
        "first", "choose", 2, 2, 0,
    ]  # fmt: skip
    assert store.latest_round() == 1
    with pytest.raises(ReviewError, match="no mask of digest 'abc'"):
        store.mask("abc")


def test_a_round_that_cannot_be_used_leaves_no_trace(store):
    films = store.films()
    good = proposed("h", a=1)
    for bad, fault in [
        (good, "occurs twice"),
        (proposed("k", a=1)._replace(candidates={"a": png(1, side=9)}), "film 'k', mask of a: 9 x 9"),
        (
            proposed("f", a=1)._replace(film=Film("f", "f.png", "patient of f", 9, 9, None, None), candidates={}),
            "9 x 9",
        ),
        (proposed("f", patient="another", a=1), "patient 'another'"),
        (proposed("k", disagreement=math.nan), "disagreement"),
        (proposed("k", lung="0" * 64), "no lung mask"),
        (proposed("k", **{"a|b": 1}), "source"),
        (proposed(""), "film id"),
    ]:
        with pytest.raises(ReviewError, match=fault):
            store.add_round("second", "choose", 1, [good, bad])
    with pytest.raises(ReviewError, match="no film"):
        store.add_round("second", "choose", 1, [])
    with pytest.raises(ReviewError, match="kind is 'guess'"):
        store.add_round("second", "guess", 1, [good])
    with pytest.raises(ReviewError, match="readers_per_film is 0"):
        store.add_round("second", "choose", 0, [good])
    assert store.latest_round() == 1
    assert store.films().equals(films)


def test_readers_can_decide_while_a_round_is_being_read(store):
    def films():
        for number in range(600):
            if number == 599:
                say(store, "ann", "f", "unsure")
            yield proposed(f"new {number}", a=number % 8)

    assert store.add_round("second", "choose", 1, films()) == 2
    assert store.decisions()["film"].tolist() == ["f"]
    assert len(store.films(2)) == 600


# ---- decisions


def test_every_action_is_kept_as_it_was_made(store):
    assert ACTIONS == ("choose", "draw", "reject", "unsure", "exclude")
    made = choose(store, "ann", "f", "c", note="clear", seconds=12.5)
    start = int(store.candidates().loc[0, "candidate"])
    drawn = draw(store, "bob", "f", 3, start=start, seconds=math.nan)
    rejected = say(store, "ann", "g", "reject")
    table = store.decisions()
    assert table["key"].tolist() == [made.key, drawn.key, rejected.key]
    assert table["source"].tolist() == ["c", None, None]
    assert table["digest"].tolist() == [mask_digest(top(4)), mask_digest(top(3)), None]
    assert table["start"].fillna(0).tolist() == [0, start, 0]
    assert (made.note, made.seconds) == ("clear", 12.5)
    assert math.isnan(drawn.seconds)
    assert store.task("ann", "f").decision == made
    assert store.task("bob", "g").decision is None


def test_a_mask_of_two_sources_credits_both(store):
    choose(store, "ann", "f", "b")
    assert store.decisions()["source"].tolist() == ["a|b"]


def test_deciding_again_is_a_new_row_and_the_last_one_stands(store):
    choose(store, "ann", "f", "a")
    last = say(store, "ann", "f", "reject")
    assert store.decisions()["key"].tolist() == [last.key]
    assert store.decisions(current=False)["action"].tolist() == ["choose", "reject"]


def test_the_same_key_is_recorded_once_and_another_content_is_refused(store):
    first = store.decide("ann", "f", 1, "unsure", "k", note="?", seconds=3)
    again = store.decide("ann", "f", 1, "unsure", "k", note="?", seconds=9)
    assert again == first
    for changed in ({"note": "!"}, {"film": "g"}, {"action": "reject"}, {"reader": "bob"}):
        given = {"reader": "ann", "film": "f", "round": 1, "action": "unsure", "key": "k", "note": "?"} | changed
        with pytest.raises(ReviewError, match="nothing was recorded: key 'k' belongs to another decision"):
            store.decide(**given)
    assert len(store.decisions(current=False)) == 1


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"action": "undo"}, "action is 'undo'"),
        ({"action": "choose"}, "needs candidate"),
        ({"action": "choose", "candidate": 4}, "no candidate of film 'f'"),
        ({"action": "choose", "candidate": 1, "png": png(1)}, "png was given"),
        ({"action": "draw"}, "needs png"),
        ({"action": "draw", "png": png(1), "start": 4}, "start is 4"),
        ({"action": "draw", "png": png(1), "candidate": 1}, "candidate was given"),
        ({"action": "reject", "candidate": 1}, "leave it out"),
        ({"note": "x" * 2001}, "2001 characters"),
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": math.inf}, "seconds"),
        ({"key": ""}, "key is ''"),
        ({"key": "a b"}, "key"),
        ({"reader": "dan"}, "reader 'dan'"),
        ({"film": "h"}, "film 'h' is not in round 1"),
        ({"round": 2}, "round is 2; expected one of 1"),
    ],
)
def test_decisions_that_do_not_fit_are_refused(store, given, fault):
    with pytest.raises(ReviewError, match=fault):
        store.decide(**{"reader": "ann", "film": "f", "round": 1, "action": "unsure", "key": "k"} | given)
    assert store.decisions(current=False).empty


def test_a_note_of_2000_characters_of_any_script_is_kept(store):
    note = ("Ⅲ 肺 \0'\";--<b>" * 200)[:2000]
    say(store, "ann", "f", "unsure", note=note)
    assert store.decisions().loc[0, "note"] == note


def test_text_that_is_no_unicode_and_numbers_beyond_the_file_are_refused_in_words(store):
    for given in ({"note": "\ud800"}, {"film": "\ud800"}, {"round": 2**80}, {"reader": "\ud800"}):
        with pytest.raises(ReviewError, match="no Unicode, or a number too large"):
            store.decide(**{"reader": "ann", "film": "f", "round": 1, "action": "unsure", "key": "k"} | given)
    assert store.reader_of("\ud800") is None
    assert store.decisions(current=False).empty


def test_a_mask_that_was_changed_on_disk_is_not_given_out(store):
    digest = store.candidates().loc[0, "digest"]
    with store.database.write() as connection:
        connection.execute("UPDATE masks SET png = ? WHERE digest = ?", (png(5), digest))
    with pytest.raises(ReviewError, match="is damaged"):
        store.mask(digest)


def test_a_film_with_a_problem_can_only_be_excluded(store):
    lost = ProposedFilm(Film("h", "h.png", "p", 0, 0, None, "h.png: no such image file"), {}, 0.0, None)
    store.add_round("second", "choose", 1, [lost, proposed("k", problem="no mask of a", a=1)])
    for film in ("h", "k"):
        for action, more in (("choose", {"candidate": 1}), ("draw", {"png": png(1)}), ("reject", {}), ("unsure", {})):
            with pytest.raises(ReviewError, match="cannot be read"):
                store.decide("ann", film, 2, action, key(), **more)
        assert store.task("ann", film).candidates == ()
        say(store, "ann", film, "exclude", round=2)
    assert store.progress("ann").left == 0
    assert store.task("ann", "k").film.problem == "no mask of a"


# ---- undo


def test_an_undo_takes_the_last_decision_back_and_keeps_it_in_the_history(store):
    first = choose(store, "ann", "f", "a")
    say(store, "ann", "f", "reject")
    say(store, "bob", "f", "reject")
    undo = store.undo("ann", undo_key="u1")
    assert (undo.action, undo.film) == ("undo", "f")
    assert store.task("ann", "f").decision == first
    store.undo("ann", undo_key="u2")
    assert store.task("ann", "f").decision is None
    assert store.task("bob", "f").decision is not None
    history = store.decisions(current=False)
    assert history["action"].tolist() == ["choose", "reject", "reject", "undo", "undo"]
    assert history["undoes"].tolist()[3:] == history["key"].tolist()[1::-1]
    with pytest.raises(ReviewError, match="no decision that could be undone"):
        store.undo("ann", undo_key="u3")


def test_an_undo_sent_twice_undoes_once(store):
    choose(store, "ann", "g", "a")
    choose(store, "ann", "f", "a")
    assert store.undo("ann", undo_key="u") == store.undo("ann", undo_key="u")
    assert store.decisions()["film"].tolist() == ["g"]


def test_undos_that_make_no_sense_are_refused_in_words(store):
    made, other = choose(store, "ann", "f", "a"), say(store, "bob", "f", "reject")
    undo = store.undo("ann", made.key, undo_key="u")
    with pytest.raises(ReviewError, match="is an undo, which cannot be undone; decide on film 'f' again"):
        store.undo("ann", undo.key, undo_key="v")
    with pytest.raises(ReviewError, match="undone already"):
        store.undo("ann", made.key, undo_key="v")
    with pytest.raises(ReviewError, match="'ann' has no decision with key"):
        store.undo("ann", other.key, undo_key="v")
    with pytest.raises(ReviewError, match="belongs to another decision"):
        store.undo("ann", undo_key=made.key)
    with pytest.raises(ReviewError, match="belongs to another decision"):
        store.decide("ann", "f", 1, "unsure", "u")
    assert len(store.decisions(current=False)) == 3


def test_an_older_decision_can_be_undone_while_the_last_stands(store):
    old, last = choose(store, "ann", "f", "a"), say(store, "ann", "f", "reject")
    store.undo("ann", old.key, undo_key="u")
    assert store.task("ann", "f").decision == last


def test_progress_counts_films_and_takes_the_median_time(store):
    assert store.progress("ann")[:2] == (0, 2)
    assert math.isnan(store.progress("ann").seconds_per_film)
    say(store, "ann", "f", "reject", seconds=100)
    say(store, "ann", "f", "reject", seconds=10)
    progress = store.progress("ann")
    assert progress == (1, 1, 10.0, 10.0)
    say(store, "ann", "g", "reject", seconds=20)
    assert store.progress("ann") == (2, 0, 15.0, 0.0)


def test_what_is_derived_is_what_the_history_says(store, rng):
    made = []
    for step in range(120):
        reader, film = ("ann", "bob")[rng.integers(2)], ("f", "g")[rng.integers(2)]
        open_to_undo = [one for one in made if one.reader == reader]
        if step % 3 == 2 and open_to_undo:
            undone = open_to_undo[rng.integers(len(open_to_undo))]
            made.remove(undone)
            store.undo(reader, undone.key, undo_key=key())
        else:
            made.append(say(store, reader, film, ("reject", "unsure", "exclude")[rng.integers(3)]))
    last = {(one.reader, one.film): one.key for one in made}
    assert sorted(store.decisions()["key"]) == sorted(last.values())
    before = derived(store)
    with store.database.write() as connection:
        for statement in schema.REBUILD:
            connection.execute(statement)
    assert derived(store) == before


def derived(store):
    with store.database.read() as connection:
        standing = connection.execute("SELECT * FROM standing").fetchall()
        return standing, connection.execute("SELECT film, answers FROM round_films ORDER BY film").fetchall()


def test_the_file_is_for_its_owner_and_a_strange_version_is_refused_in_words(tmp_path):
    with review(tmp_path / "r", proposed("f", a=1)) as store:
        assert store.path.stat().st_mode & 0o077 == 0
        with store.database.write() as connection:
            connection.execute("UPDATE meta SET value = 'x' WHERE key = 'schema_version'")
    with pytest.raises(ReviewError, match="schema version 'x'"):
        ReviewStore(tmp_path / "r")


def test_a_used_key_does_not_tell_what_another_reader_decided(tmp_path):
    with review(tmp_path / "r", proposed("f", a=1), proposed("g", a=1), per_film=2) as store:
        store.decide("ann", "f", 1, "reject", "the-key")
        with pytest.raises(ReviewError) as refused:
            store.decide("bob", "g", 1, "unsure", "the-key")
        assert not any(word in str(refused.value) for word in ("ann", "reject", "'f'"))
