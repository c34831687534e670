from __future__ import annotations

import math

import numpy as np
import pytest
from review_films import SIDE, choose, draw, png, proposed, review, say

from patchcxr.review.agreement import (
    action_agreement,
    best_sources,
    dice_summary,
    mask_agreement,
    share_agreement,
    shares,
    tally,
)

READERS = ("ann", "bob", "patient")
"""A reader may be called as a column is."""


def test_kappa_of_actions_by_hand(tmp_path):
    films = [proposed(f"f{i}", a=1) for i in range(6)]
    actions = {"ann": "rruueu", "bob": "rruuru"}
    named = {"r": "reject", "u": "unsure", "e": "exclude"}
    with review(tmp_path / "r", *films, per_film=2) as store:
        for reader, said in actions.items():
            for film, action in zip(films, said, strict=True):
                say(store, reader, film.film.film, named[action])
        found = action_agreement(store, 1)
        assert found[["measure", "reader_a", "reader_b", "n"]].to_numpy().tolist() == [
            ["Cohen's kappa", "ann", "bob", 6]
        ]
        # observed 5/6; by chance 2/6 * 3/6 + 3/6 * 3/6
        assert found.loc[0, "kappa"] == pytest.approx((5 / 6 - 15 / 36) / (1 - 15 / 36))


def test_kappa_of_three_readers_with_films_that_not_all_did(tmp_path):
    films = [proposed(f"f{i}", a=1) for i in range(5)]
    with review(tmp_path / "r", *films, readers=READERS, per_film=3) as store:
        for index, said in enumerate(["rrr", "uuu", "rru", "uur", "ru"]):
            for reader, action in zip(READERS, said, strict=False):
                say(store, reader, f"f{index}", {"r": "reject", "u": "unsure"}[action])
        found = action_agreement(store, 1).set_index(["measure", "reader_a", "reader_b"])
        assert found.loc[("Cohen's kappa", "ann", "bob"), "n"].item() == 5
        assert found.loc[("Cohen's kappa", "ann", "patient"), "n"].item() == 4
        fleiss = found.loc["Fleiss' kappa"].iloc[0]
        # each film of four: agreement 1, 1, 1/3, 1/3; half of all readings are reject
        assert fleiss["n"] == 4
        assert fleiss["kappa"] == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))


def test_dice_between_readers_by_hand(tmp_path):
    films = [proposed(name, a=2) for name in "fgh"]
    with review(tmp_path / "r", *films, readers=READERS, per_film=2) as store:
        choose(store, "ann", "f", "a")
        draw(store, "patient", "f", 4)
        draw(store, "ann", "g", 0)
        draw(store, "patient", "g", 0)
        draw(store, "ann", "h", 3)
        say(store, "bob", "h", "reject")
        found = mask_agreement(store, 1)
        assert found[["film", "reader_a", "reader_b", "both_empty"]].to_numpy().tolist() == [
            ["f", "ann", "patient", False], ["g", "ann", "patient", True],
        ]  # fmt: skip
        assert found["dice"].tolist() == [pytest.approx(2 / 3), 1.0]
        summary = dice_summary(found).iloc[0]
        assert summary["n"] == 2
        assert summary["mean"] == pytest.approx(5 / 6)
        assert summary["lowest"] == pytest.approx(2 / 3)


def test_shares_are_of_the_lungs_where_there_is_a_lung_mask(tmp_path):
    with review(tmp_path / "r", proposed("f", a=2), readers=READERS, per_film=2) as store:
        lung = store.add_mask(png(4))
        store.add_round("second", "choose", 2, [proposed("f", a=2, lung=lung), proposed("g", a=2)])
        for film in "fg":
            for reader, rows in (("ann", 3), ("patient", 1)):
                draw(store, reader, film, rows, round=2)
        found = shares(store, 2).set_index(["film", "reader"])
        assert found.loc[("f", "ann"), ["area", "share", "share_of"]].tolist() == [3 * SIDE, 3 / 4, "lung mask"]
        assert found.loc[("g", "ann"), ["area", "share", "share_of"]].tolist() == [3 * SIDE, 3 / 8, "film"]
        limits = share_agreement(shares(store, 2))
        assert limits[["share_of", "n"]].to_numpy().tolist() == [["film", 1], ["lung mask", 1]]
        assert limits["bias"].tolist() == [pytest.approx(2 / 8), pytest.approx(2 / 4)]


def test_limits_of_agreement_are_bias_and_1_96_sd(tmp_path):
    films = [proposed(f"f{i}", a=1) for i in range(4)]
    a, b = [4, 5, 2, 8], [3, 5, 3, 5]
    with review(tmp_path / "r", *films, per_film=2) as store:
        for reader, rows in (("ann", a), ("bob", b)):
            for film, count in zip(films, rows, strict=True):
                draw(store, reader, film.film.film, count)
        found = share_agreement(shares(store, 1)).iloc[0]
        difference = (np.array(a) - np.array(b)) / 8
        assert found["n"] == 4
        assert found["bias"] == pytest.approx(difference.mean())
        assert found["lower"] == pytest.approx(difference.mean() - 1.96 * difference.std(ddof=1))
        assert found["upper"] == pytest.approx(difference.mean() + 1.96 * difference.std(ddof=1))


def test_the_tally_names_the_best_network_with_wilsons_interval(tmp_path):
    films = [proposed(f"f{i}", good=3, poor=6) for i in range(10)]
    with review(tmp_path / "r", *films) as store:
        for index in range(7):
            choose(store, "ann", f"f{index}", "good")
        choose(store, "ann", "f7", "poor")
        say(store, "ann", "f8", "reject")
        say(store, "ann", "f9", "unsure")
        found = tally(store).set_index("source")
        assert list(found.index) == ["good", "poor"]
        assert found.loc["good", ["offered", "chosen", "best"]].tolist() == [9, 7, True]
        assert found.loc["poor", ["offered", "chosen", "best"]].tolist() == [9, 1, False]
        z, p, n = 1.959964, 7 / 9, 9
        centre, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert found.loc["good", "low"] == pytest.approx(centre - half / (1 + z**2 / n), abs=1e-6)
        assert found.loc["good", "high"] == pytest.approx(centre + half / (1 + z**2 / n), abs=1e-6)
        assert best_sources(tally(store)) == ["good"]


def test_a_tie_names_all_of_the_best_and_equal_masks_credit_both(tmp_path):
    films = [proposed("f", a=2, b=2, c=5), proposed("g", a=2, c=5), proposed("h", c=5)]
    with review(tmp_path / "r", *films) as store:
        choose(store, "ann", "f", "a")
        start = int(store.candidates().query("film == 'g' and source == 'c'")["candidate"].iloc[0])
        draw(store, "ann", "g", 4, start=start)
        found = tally(store).set_index("source")
        assert found.loc["a", ["offered", "chosen"]].tolist() == [2, 1]
        assert found.loc["b", ["offered", "chosen"]].tolist() == [1, 1]
        assert found.loc["c", ["offered", "chosen", "started"]].tolist() == [2, 0, 1]
        assert best_sources(tally(store)) == ["b"]
        choose(store, "ann", "h", "c")
        choose(store, "ann", "g", "a")
        assert tally(store)["source"].tolist() == ["a", "b", "c"]
        assert best_sources(tally(store)) == ["a", "b"]


def test_sources_that_are_readers_do_not_enter_the_tally_of_networks(tmp_path):
    with review(tmp_path / "r", proposed("f", a=2)) as store:
        store.add_reader("judge", adjudicator=True)
        number = store.add_round("second", "adjudicate", 1, [proposed("f", **{"reader:ann": 3})])
        choose(store, "judge", "f", "reader:ann", round=number)
        assert tally(store)[["source", "offered"]].to_numpy().tolist() == [["a", 0]]
        assert math.isnan(tally(store).loc[0, "share"])
        assert best_sources(tally(store)) == []
        assert tally(store, number)["source"].tolist() == ["reader:ann"]


def test_before_any_decision_the_tables_are_empty_but_have_their_columns(tmp_path):
    with review(tmp_path / "r", proposed("f", a=2)) as store:
        assert action_agreement(store, 1).empty
        assert mask_agreement(store, 1).empty
        assert dice_summary(mask_agreement(store, 1)).empty
        assert list(shares(store, 1).columns) == ["film", "patient", "reader", "area", "share", "share_of"]
        assert share_agreement(shares(store, 1)).empty


def test_repeated_patients_get_their_interval_from_a_bootstrap(tmp_path, rng):
    films = [proposed(f"f{i}", patient=f"p{i // 2}", a=1) for i in range(12)]
    with review(tmp_path / "r", *films, per_film=2) as store:
        for index in range(12):
            say(store, "ann", f"f{index}", "reject" if index % 3 else "unsure")
            say(store, "bob", f"f{index}", "reject" if index % 4 else "unsure")
        without = action_agreement(store, 1).iloc[0]
        found = action_agreement(store, 1, rng=rng).iloc[0]
        assert math.isnan(without["low"])
        assert without["note"]
        assert -1 <= found["low"] < found["kappa"] < found["high"] <= 1
