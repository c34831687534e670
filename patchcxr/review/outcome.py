"""What the readers settled on, film by film, and what they differ on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.errors import ReviewError
from patchcxr.review.disagreement import pairwise_dice
from patchcxr.review.records import SEPARATOR, Film, ProposedFilm
from patchcxr.review.store import ReviewStore

OUTCOMES: Final = ("settled", "excluded", "open", "disputed", "unsure", "rejected")
LEAST_DICE: Final = 0.9
"""Dice from which on two readers' masks count as the same."""

_MASK: Final = ("choose", "draw")
_WITHOUT_MASK: Final = {"exclude": "excluded", "reject": "rejected", "unsure": "unsure"}
_COLUMNS: Final = (
    "film", "patient", "round", "outcome", "digest", "reader", "action", "source", "readers", "dice", "decided_in",
    "keys", "reason",
)  # fmt: skip


def outcomes(store: ReviewStore, round: int | None = None, least_dice: float = LEAST_DICE) -> pd.DataFrame:
    """Outcome of every film of a round.

    A film is ``open`` until ``readers_per_film`` decisions stand. Then it is ``excluded``, ``rejected`` (nobody gave a
    mask) or ``unsure`` if all say so; ``settled`` if all gave a mask (chosen or drawn) and the Dice of every two is at
    least ``least_dice``; otherwise ``disputed``. Of masks that differ a little the one is taken whose mean Dice with
    the others is highest, at ties that of the first reader by name: it is a mask that a reader has seen, which no
    average of masks would be.

    A later round of kind ``adjudicate`` replaces the outcome of a film as soon as it has one of its own, by the same
    rules, up to the next other round that holds the film.

    Parameters
    ----------
    store
        The review.
    round
        By default, every film by the last of its rounds that is not an adjudication and in which it is not open (by its
        last round, if it is open in all).
    least_dice
        In [0, 1].

    Returns
    -------
    pandas.DataFrame
        One row a film: ``film``, ``patient``, ``round``, ``outcome`` (one of :data:`OUTCOMES`), ``digest`` (of the
        settled mask), ``reader`` and ``action`` (whose decision it comes from), ``source`` (of a mask that was chosen,
        several by ``|``), ``readers`` (decisions that stand), ``dice`` (lowest of two of their masks; NaN below two),
        ``decided_in`` (the round that decided), ``keys`` (of the decisions, by ``|``) and ``reason`` (why there is no
        settled mask). Text is None where it does not apply.

    Raises
    ------
    ReviewError
        If the round is unknown, or ``least_dice`` is out of range.
    """
    if not 0 <= least_dice <= 1:
        raise ReviewError(f"least_dice is {least_dice}; expected a number in [0, 1]")
    kinds = dict(store.rounds()[["round", "kind"]].itertuples(index=False))
    if round is not None and round not in kinds:
        raise ReviewError(f"round is {round!r}; expected one of {', '.join(map(str, kinds)) or '(none yet)'}")
    plain = [number for number, kind in kinds.items() if kind != "adjudicate"]
    members = {number: set(store.films(number)["film"]) for number in kinds}
    asked = plain if round is None else [round]
    found: dict[str, dict[str, Any]] = {}
    made = _Rounds(store, least_dice)
    for number in asked:
        rows = made.of(number)
        for later in (n for n, kind in kinds.items() if kind == "adjudicate" and n > number):
            between = [n for n in plain if number < n < later]
            for film, row in made.of(later).items():
                renewed = any(film in members[n] for n in between)
                if kinds[number] != "adjudicate" and film in rows and not renewed and row["outcome"] != "open":
                    rows = rows | {film: row | {"round": number, "decided_in": later}}
        for film, row in rows.items():
            if film not in found or row["outcome"] != "open" or found[film]["outcome"] == "open":
                found[film] = row
    return pd.DataFrame([found[film] for film in sorted(found)], columns=list(_COLUMNS), dtype=object).astype(
        {"round": "int64", "readers": "int64", "decided_in": "int64", "dice": "float64"}
    )


def disputes(
    store: ReviewStore,
    round: int | None = None,
    least_dice: float = LEAST_DICE,
    kinds: Collection[str] = ("disputed",),
) -> list[ProposedFilm]:
    """Films on which readers differ, ready for ``add_round(..., kind="adjudicate", ...)``.

    The candidates are the readers' masks, ``reader:NAME``; of a film of which no reader gave a mask they are the
    candidates of its round. The disagreement is 1 minus the mean Dice over pairs of readers, where a reader without a
    mask has Dice 0 with every other.

    Parameters
    ----------
    store, round, least_dice
        As of :func:`outcomes`.
    kinds
        Outcomes that an adjudicator shall decide; ``unsure`` and ``rejected`` may be among them.

    Raises
    ------
    ReviewError
        As of :func:`outcomes`, or if an outcome is unknown or needs no adjudicator.
    """
    unknown = [kind for kind in kinds if kind not in ("disputed", "unsure", "rejected")]
    if unknown:
        raise ReviewError(f"outcome is {unknown[0]!r}; expected some of disputed, unsure, rejected")
    with store.database.read():  # one state of the store, though readers go on
        return _disputes(store, outcomes(store, round, least_dice), kinds)


def _disputes(store: ReviewStore, table: pd.DataFrame, kinds: Collection[str]) -> list[ProposedFilm]:
    chosen = table[table["outcome"].isin(kinds)]
    films = {row.film: Film(*row) for row in store.films().itertuples(index=False)}
    decisions = store.decisions().set_index("key")
    proposed = []
    for row in chosen.itertuples(index=False):
        made = decisions.loc[row.keys.split(SEPARATOR)]
        given = made[made["action"].isin(_MASK)]
        masks = {f"reader:{one.reader}": store.mask_png(one.digest) for one in given.itertuples()}
        if not masks:
            offered = store.candidates(row.decided_in)
            offered = offered[offered["film"] == row.film]
            masks = {one.source: store.mask_png(one.digest) for one in offered.itertuples()}
        proposed.append(ProposedFilm(films[row.film], masks, _spread(store, given["digest"], len(made)), None))
    return proposed


def _spread(store: ReviewStore, digests: Iterable[str], readers: int) -> float:
    """1 minus the mean Dice over all pairs of readers, of whom some gave no mask."""
    table = pairwise_dice([store.mask(digest) for digest in digests])
    pairs = readers * (readers - 1) / 2
    return float(1 - np.triu(table, 1).sum() / pairs) if pairs else 0.0


class _Rounds:
    """Outcomes of single rounds, each worked out once."""

    def __init__(self, store: ReviewStore, least_dice: float) -> None:
        self._store, self._least = store, least_dice
        self._needed = dict(store.rounds()[["round", "readers_per_film"]].itertuples(index=False))
        self._made: dict[int, dict[str, dict[str, Any]]] = {}
        self._decisions: dict[tuple[int, str], list[Any]] = defaultdict(list)
        for one in store.decisions().sort_values("reader").itertuples(index=False):
            self._decisions[one.round, one.film].append(one)

    def of(self, number: int) -> dict[str, dict[str, Any]]:
        """Row of the table of outcomes by film."""
        if number not in self._made:
            films = self._store.films(number).itertuples(index=False)
            self._made[number] = {film.film: self._outcome(film, number) for film in films}
        return self._made[number]

    def _outcome(self, film: Any, number: int) -> dict[str, Any]:
        made, needed = self._decisions.get((number, film.film), []), self._needed[number]
        row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"film": film.film, "patient": film.patient, "round": number}
        row |= {"readers": len(made), "dice": float("nan"), "decided_in": number, "outcome": "open"}
        row["keys"] = SEPARATOR.join(one.key for one in made) or None
        if len(made) < needed:
            problem = f"; the film cannot be used: {film.problem}" if film.problem else ""
            return row | {"reason": f"{len(made)} of {needed} readers decided{problem}"}
        actions = {"mask" if one.action in _MASK else one.action for one in made}
        if len(actions) > 1:
            said = ", ".join(f"{one.reader}: {one.action}" for one in made)
            return row | {"outcome": "disputed", "reason": f"readers differ in what they did ({said})"}
        (action,) = actions
        if action != "mask":
            notes = "; ".join(one.note for one in made if one.note)
            return row | {"outcome": _WITHOUT_MASK[action], "reason": notes or f"all readers said {action}"}
        return row | self._of_masks(made)

    def _of_masks(self, made: list[Any]) -> dict[str, Any]:
        digests = [one.digest for one in made]
        unlike = list(dict.fromkeys(digests))
        masks = pairwise_dice([self._store.mask(digest) for digest in unlike]) if len(unlike) > 1 else np.ones((1, 1))
        places = [unlike.index(digest) for digest in digests]
        table = masks[np.ix_(places, places)]
        lowest = float(table.min()) if len(digests) > 1 else float("nan")
        if lowest < self._least:
            reason = f"readers' masks differ (lowest Dice {lowest:.3f}, below {self._least:g})"
            return {"outcome": "disputed", "dice": lowest, "reason": reason}
        # argmax takes the first of equals, and decisions are sorted by reader; rounding keeps equal sums equal.
        best = made[int(table.sum(axis=1).round(12).argmax())]
        found = {"outcome": "settled", "dice": lowest, "digest": best.digest}
        return found | {"reader": best.reader, "action": best.action, "source": best.source}
