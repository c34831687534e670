from __future__ import annotations

import time

import numpy as np
import pytest
from review_films import choose, key, proposed, review, say, top

from patchcxr.errors import MaskError, ReviewError
from patchcxr.review import queue
from patchcxr.review.disagreement import disagreement, mask_dice, pairwise_dice
from patchcxr.review.store import ReviewStore


def given(store, reader, **more):
    task = store.next_task(reader, **more)
    return None if task is None else task.film.film


# ---- disagreement


def test_disagreement_is_one_minus_the_mean_pairwise_dice():
    # Dice of 2 and 4 rows is 2 * 2 / 6; of each with itself 1
    masks = [top(2), top(2), top(4)]
    np.testing.assert_allclose(pairwise_dice(masks), [[1, 1, 2 / 3], [1, 1, 2 / 3], [2 / 3, 2 / 3, 1]])
    assert disagreement(masks) == pytest.approx(1 - (1 + 2 / 3 + 2 / 3) / 3)
    assert disagreement([top(2), ~top(2)]) == 1


def test_empty_masks_agree_with_each_other_and_with_nothing_else():
    assert mask_dice(top(0), top(0)) == 1
    assert mask_dice(top(0), top(1)) == 0
    assert disagreement([top(0), top(0), top(0)]) == 0
    assert disagreement([top(0), top(0), top(3)]) == pytest.approx(2 / 3)


def test_one_mask_cannot_disagree():
    assert disagreement([top(3)]) == disagreement([]) == 0
    with pytest.raises(MaskError, match="shape"):
        disagreement([top(3), top(3, side=9)])


# ---- order


def test_films_come_by_disagreement_then_id_and_problems_last(tmp_path):
    films = [
        proposed("d", 0.0, a=1), proposed("z", 0.9, problem="cannot be read"), proposed("b", 0.2, a=1),
        proposed("c", 0.2, a=1), proposed("a", 0.7, a=1),
    ]  # fmt: skip
    with review(tmp_path / "r", *films) as store:
        assert store.queue("ann") == [("a", "open"), ("b", "open"), ("c", "open"), ("d", "open"), ("z", "problem")]
        seen = []
        while (task := store.next_task("ann")) is not None:
            seen.append(task.film.film)
            say(store, "ann", task.film.film, "exclude")
        assert seen == ["a", "b", "c", "d", "z"]
        assert {state for _, state in store.queue("ann")} == {"done"}
        # bob has nothing to do: one reader a film is enough
        assert store.queue("bob") == []
        assert store.progress("bob").left == 0


def test_the_order_of_candidates_is_each_readers_own_recorded_and_repeated(tmp_path):
    sources = {name: rows for rows, name in enumerate("abcdef")}
    films = [proposed(f"f{i}", **sources) for i in range(12)]
    with review(tmp_path / "r", *films, per_film=2) as store:
        shown = {}
        for reader in ("ann", "bob"):
            for film in films:
                task = store.task(reader, film.film.film)
                shown[reader, film.film.film] = [one.source for one in task.candidates]
                assert sorted(shown[reader, film.film.film]) == list("abcdef")
        assert len({tuple(order) for order in shown.values()}) > 12
        first = [order[0] for order in shown.values()]
        assert set(first) == set("abcdef")
        with ReviewStore(store.folder) as again:
            for (reader, film), order in shown.items():
                assert [one.source for one in again.task(reader, film).candidates] == order
        recorded = store.database.connection().execute("SELECT count(*) FROM orders").fetchone()
        assert recorded == (24,)


def test_equal_masks_are_shown_once(tmp_path):
    with review(tmp_path / "r", proposed("f", a=2, b=5, c=2, d=2)) as store:
        assert sorted(one.area for one in store.task("ann", "f").candidates) == [16, 40]


# ---- who sees what


def test_two_readers_are_not_handed_the_same_film_where_one_is_enough(tmp_path):
    with review(tmp_path / "r", proposed("a", 0.9, a=1), proposed("b", 0.1, a=1)) as store:
        assert given(store, "ann") == given(store, "ann") == "a"
        assert given(store, "bob") == "b"
        say(store, "bob", "b", "unsure")
        assert given(store, "bob") is None
        assert store.progress("bob").left == 1
        say(store, "ann", "a", "unsure")
        assert given(store, "ann") is None


def test_where_two_readings_are_wanted_two_readers_get_the_film_and_a_third_does_not(tmp_path):
    films = [proposed("a", 0.9, a=1), proposed("b", 0.1, a=1)]
    with review(tmp_path / "r", *films, readers=("ann", "bob", "cy"), per_film=2) as store:
        assert [given(store, reader) for reader in ("ann", "bob", "cy")] == ["a", "a", "b"]
        say(store, "ann", "a", "unsure")
        # ann has done a; bob still holds it
        assert [given(store, reader) for reader in ("ann", "cy")] == ["b", "b"]


def test_a_lease_expires_and_the_late_decision_is_kept_all_the_same(tmp_path, monkeypatch):
    with review(tmp_path / "r", proposed("a", 0.9, a=1)) as store:
        now = time.time()
        assert given(store, "ann") == "a"
        assert given(store, "bob") is None
        monkeypatch.setattr(time, "time", lambda: now + queue.LEASE_SECONDS + 1)
        assert given(store, "bob") == "a"
        say(store, "bob", "a", "unsure")
        say(store, "ann", "a", "reject")
        assert store.decisions()["reader"].tolist() == ["bob", "ann"]


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_jumps_never_keeps_a_film_from_readers(tmp_path, monkeypatch, jump):
    with review(tmp_path / "r", proposed("a", 0.9, a=1)) as store:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + jump)
        assert given(store, "ann") == "a"
        monkeypatch.setattr(time, "time", lambda: now)
        assert given(store, "bob") == "a"


def test_an_undone_film_comes_back_for_everyone_who_may_do_it(tmp_path):
    films = [proposed(f"f{i}", 1 - i / 10, a=1) for i in range(4)]
    with review(tmp_path / "r", *films) as store:
        for film in ("f0", "f1", "f2"):
            assert given(store, "ann") == film
            say(store, "ann", film, "unsure")
        assert given(store, "bob") == "f3"
        say(store, "bob", "f3", "unsure")
        assert given(store, "bob") is None
        undone = store.decisions().set_index("film").loc["f1", "key"]
        store.undo("ann", undone, undo_key=key())
        assert given(store, "bob") == "f1"


def test_adjudications_are_for_adjudicators_only(tmp_path):
    with review(tmp_path / "r", proposed("f", a=1)) as store:
        store.add_reader("judge", adjudicator=True)
        store.add_round("second", "adjudicate", 1, [proposed("f", **{"reader:ann": 1, "reader:bob": 4})])
        assert store.next_task("judge").round == 2
        assert store.next_task("ann").round == 1
        assert store.queue("ann") == [("f", "open")]
        for asked in (
            lambda: store.next_task("ann", round=2),
            lambda: store.task("ann", "f", round=2),
            lambda: choose(store, "ann", "f", "reader:ann", round=2),
        ):
            with pytest.raises(ReviewError, match="'ann' is no adjudicator"):
                asked()
        choose(store, "judge", "f", "reader:bob", round=2)


def test_a_film_of_two_rounds_is_decided_in_each(tmp_path):
    with review(tmp_path / "r", proposed("f", a=1)) as store:
        choose(store, "ann", "f", "a")
        store.add_round("second", "verify", 1, [proposed("f", b=2)])
        assert given(store, "ann") == "f"
        assert given(store, "ann", round=1) is None
        choose(store, "ann", "f", "b", round=2)
        assert store.decisions()["source"].tolist() == ["a", "b"]


def test_before_any_round_there_is_nothing_to_do(tmp_path):
    with ReviewStore.create(tmp_path / "r") as store:
        store.add_reader("ann")
        assert store.next_task("ann") is None
        assert store.queue("ann") == []
        assert store.progress("ann")[:2] == (0, 0)
        with pytest.raises(ReviewError, match="no round yet"):
            store.latest_round()
        with pytest.raises(ReviewError, match="no round for reader"):
            store.task("ann", "f")


def test_the_order_cannot_be_worked_out_from_what_readers_know(tmp_path):
    """Two reviews alike in seed, reader, round and films show the candidates of some films in other orders."""
    films = [proposed(f"film-{index}", 0.5, a=1, b=2, c=3) for index in range(12)]
    orders = []
    for name in ("one", "two"):
        with review(tmp_path / name, *films) as store:
            orders.append([[one.source for one in store.task("ann", f"film-{k}").candidates] for k in range(12)])
    assert orders[0] != orders[1]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders[0] + orders[1])
