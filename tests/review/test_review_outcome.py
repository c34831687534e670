from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from review_films import choose, draw, key, png, proposed, review, say, top

from patchcxr.errors import ReviewError
from patchcxr.review.blobs import encode_mask, mask_digest
from patchcxr.review.outcome import OUTCOMES, disputes, outcomes
from patchcxr.review.store import Film, ProposedFilm

READERS = ("ann", "bob", "cy")


def outcome(store, film="f", **more):
    return outcomes(store, **more).set_index("film").loc[film]


def two_readers(tmp_path, *films):
    return review(tmp_path / "r", *(films or [proposed("f", a=2, b=4)]), readers=READERS, per_film=2)


def test_one_reader_settles_a_film_where_one_is_enough(tmp_path):
    with review(tmp_path / "r", proposed("f", a=2, b=2, c=4), proposed("g", a=1)) as store:
        made = choose(store, "ann", "f", "b")
        found = outcome(store)
        assert found["outcome"] == "settled"
        assert found["digest"] == mask_digest(top(2))
        assert found[["reader", "action", "source", "keys"]].tolist() == ["ann", "choose", "a|b", made.key]
        assert pd.isna(found["dice"])
        assert outcome(store, "g")[["outcome", "reason"]].tolist() == ["open", "0 of 1 readers decided"]
        assert set(OUTCOMES) >= set(outcomes(store)["outcome"])


def test_a_film_is_open_until_enough_decisions_stand(tmp_path):
    with two_readers(tmp_path) as store:
        choose(store, "ann", "f", "a")
        assert outcome(store)["outcome"] == "open"
        choose(store, "bob", "f", "a")
        assert outcome(store)["outcome"] == "settled"
        store.undo("bob", undo_key=key())
        assert outcome(store)[["outcome", "readers"]].tolist() == ["open", 1]


@pytest.mark.parametrize(
    ("action", "expected"), [("exclude", "excluded"), ("reject", "rejected"), ("unsure", "unsure")]
)
def test_readers_who_all_say_one_thing_without_a_mask_are_believed(tmp_path, action, expected):
    with two_readers(tmp_path) as store:
        say(store, "ann", "f", action, note="rotated")
        say(store, "bob", "f", action)
        assert outcome(store)[["outcome", "digest", "reason"]].tolist() == [expected, None, "rotated"]


def test_readers_who_do_different_things_dispute(tmp_path):
    with two_readers(tmp_path) as store:
        choose(store, "ann", "f", "a")
        say(store, "bob", "f", "reject")
        found = outcome(store)
        assert found["outcome"] == "disputed"
        assert found["reason"] == "readers differ in what they did (ann: choose, bob: reject)"


def test_masks_settle_from_the_least_dice_on_and_are_disputed_below(tmp_path):
    with two_readers(tmp_path) as store:
        choose(store, "ann", "f", "b")
        draw(store, "bob", "f", 5)
        # 4 and 5 rows: Dice 2 * 4 / 9
        assert outcome(store)["outcome"] == "disputed"
        assert outcome(store)["dice"] == pytest.approx(8 / 9)
        assert outcome(store)["reason"] == "readers' masks differ (lowest Dice 0.889, below 0.9)"
        assert outcome(store, least_dice=0.88)["outcome"] == "settled"


def test_of_masks_that_differ_a_little_the_most_central_is_taken_and_at_a_tie_the_first_readers(tmp_path):
    with review(tmp_path / "r", proposed("f", a=1), proposed("g", a=1), readers=READERS, per_film=3) as store:
        for reader, rows in zip(READERS, (8, 6, 7), strict=True):
            draw(store, reader, "f", rows)
        for reader, rows in zip(READERS, (7, 8, 8), strict=True):
            draw(store, reader, "g", rows)
        found = outcomes(store, least_dice=0.8).set_index("film")
        assert found.loc["f", ["reader", "digest", "source"]].tolist() == ["cy", mask_digest(top(7)), None]
        assert found.loc["f", "dice"] == pytest.approx(12 / 14)
        assert found.loc["g", ["reader", "digest"]].tolist() == ["bob", mask_digest(top(8))]


def test_two_readers_whose_masks_differ_tie_and_the_first_name_decides(tmp_path):
    with two_readers(tmp_path) as store:
        draw(store, "cy", "f", 7)
        draw(store, "bob", "f", 8)
        assert outcome(store)[["reader", "digest"]].tolist() == ["bob", mask_digest(top(8))]


def test_readers_who_found_nothing_agree_on_an_empty_mask(tmp_path):
    with two_readers(tmp_path) as store:
        draw(store, "ann", "f", 0)
        draw(store, "bob", "f", 0)
        assert outcome(store)[["outcome", "digest", "dice"]].tolist() == ["settled", mask_digest(top(0)), 1.0]


def test_a_film_with_a_problem_stays_open_with_its_reason_until_it_is_excluded(tmp_path):
    lost = ProposedFilm(Film("f", "f.png", "p", 0, 0, None, "no such image file"), {}, 0.0, None)
    with review(tmp_path / "r", lost) as store:
        assert outcome(store)[["outcome", "reason"]].tolist() == [
            "open", "0 of 1 readers decided; the film cannot be used: no such image file",
        ]  # fmt: skip
        say(store, "ann", "f", "exclude", note="lost")
        assert outcome(store)[["outcome", "reason"]].tolist() == ["excluded", "lost"]


# ---- adjudication


def test_disputes_become_a_round_that_an_adjudicator_settles(tmp_path):
    films = [proposed(name, a=2, b=6) for name in "fghk"]
    with two_readers(tmp_path, *films) as store:
        for film in "fgh":
            choose(store, "ann", film, "a")
        choose(store, "bob", "f", "a")
        choose(store, "bob", "g", "b")
        say(store, "bob", "h", "exclude")
        found = disputes(store, 1)
        assert [one.film.film for one in found] == ["g", "h"]
        assert found[0].candidates == {"reader:ann": png(2), "reader:bob": png(6)}
        assert found[1].candidates == {"reader:ann": png(2)}
        # Dice of 2 and 6 rows is 2 * 2 / 8; who gave no mask agrees with nobody
        assert [one.disagreement for one in found] == [pytest.approx(0.5), 1.0]
        store.add_reader("judge", adjudicator=True)
        number = store.add_round("disputes", "adjudicate", 1, found)
        assert store.next_task("judge").film.film == "h"
        assert outcome(store, "g")[["outcome", "decided_in"]].tolist() == ["disputed", 1]
        choose(store, "judge", "g", "reader:bob", round=number)
        say(store, "judge", "h", "exclude", round=number)
        for asked in (None, 1):
            table = outcomes(store, asked).set_index("film")
            assert table["outcome"].to_dict() == {"f": "settled", "g": "settled", "h": "excluded", "k": "open"}
            assert table.loc["g", ["digest", "reader", "source", "round", "decided_in"]].tolist() == [
                mask_digest(top(6)), "judge", "reader:bob", 1, 2,
            ]  # fmt: skip
        assert disputes(store, 1) == []
        store.undo("judge", undo_key=key())
        assert outcome(store, "h")["outcome"] == "disputed"


def test_films_without_any_readers_mask_go_to_the_adjudicator_with_their_candidates(tmp_path):
    with two_readers(tmp_path) as store:
        say(store, "ann", "f", "unsure")
        say(store, "bob", "f", "unsure")
        assert disputes(store, 1) == []
        (found,) = disputes(store, 1, kinds=("disputed", "unsure"))
        assert found.candidates == {"a": png(2), "b": png(4)}
        assert found.disagreement == 1
        with pytest.raises(ReviewError, match="outcome is 'open'"):
            disputes(store, 1, kinds=("open",))


def test_a_later_round_replaces_the_outcome_once_it_has_one(tmp_path):
    with review(tmp_path / "r", proposed("f", a=2), proposed("g", a=2)) as store:
        choose(store, "ann", "f", "a")
        choose(store, "ann", "g", "a")
        store.add_round("second", "verify", 1, [proposed("f", b=3)])
        assert outcome(store)[["round", "outcome", "source"]].tolist() == [1, "settled", "a"]
        choose(store, "bob", "f", "b", round=2)
        assert outcome(store)[["round", "outcome", "source"]].tolist() == [2, "settled", "b"]
        assert outcome(store, "g")["round"] == 1
        assert outcome(store, round=1)["source"] == "a"


def test_an_adjudication_does_not_reach_back_over_a_round_that_held_the_film_again(tmp_path):
    with review(tmp_path / "r", proposed("f", a=2)) as store:
        store.add_reader("judge", adjudicator=True)
        choose(store, "ann", "f", "a")
        store.add_round("second", "verify", 1, [proposed("f", b=3)])
        store.add_round("third", "adjudicate", 1, [proposed("f", **{"reader:bob": 5})])
        choose(store, "judge", "f", "reader:bob", round=3)
        assert outcome(store, round=1)["source"] == "a"
        assert outcome(store, round=2)["source"] == "reader:bob"


def test_parameters_that_make_no_sense_are_refused(tmp_path):
    with two_readers(tmp_path) as store:
        with pytest.raises(ReviewError, match="least_dice is 90"):
            outcomes(store, least_dice=90)
        with pytest.raises(ReviewError, match="round is 5; expected one of 1"):
            outcomes(store, 5)


def test_the_settled_mask_is_the_one_on_disk(tmp_path, rng):
    mask = rng.random((8, 8)) < 0.4
    with review(tmp_path / "r", proposed("f", a=1)) as store:
        store.decide("ann", "f", 1, "draw", key(), png=encode_mask(mask))
        np.testing.assert_array_equal(store.mask(outcome(store)["digest"]), mask)
