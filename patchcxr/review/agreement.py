"""How well readers agree, and whose masks they choose."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.review.disagreement import mask_dice
from patchcxr.review.store import ReviewStore
from patchcxr.stats.agreement import cohen_kappa, fleiss_kappa
from patchcxr.stats.intervals import wilson_interval
from patchcxr.stats.reliability import bland_altman

JUDGED: Final = ("choose", "draw", "reject")
"""Actions by which a reader judged the candidates; ``unsure`` and ``exclude`` say nothing about them."""

_MASK: Final = ("choose", "draw")


def action_agreement(
    store: ReviewStore, round: int, rng: np.random.Generator | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Kappa of what readers did with the films that they both did: choose, draw, reject, unsure or exclude.

    Parameters
    ----------
    store, round
        Which decisions; those that stand.
    rng
        Of the bootstrap over patients, where patients repeat; without it these intervals are NaN.
    confidence
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        One row a pair of readers (``measure`` "Cohen's kappa"), and with three or more one for all ("Fleiss' kappa",
        of the films that all of them did): ``measure``, ``reader_a``, ``reader_b`` (None in Fleiss' row), ``readers``,
        ``n`` (films), ``agreement``, ``expected``, ``kappa``, ``se``, ``low``, ``high``, ``p`` and ``note``.
    """
    wide = _wide(store, round, "action")
    readers = list(wide.columns)
    kept = ["n", "agreement", "expected", "kappa", "se", "low", "high", "p", "note"]
    rows = []
    for a, b in combinations(readers, 2):
        found = cohen_kappa(_pair(wide, a, b), "a", "b", key=None, rng=rng, confidence=confidence).iloc[0]
        rows.append({"measure": "Cohen's kappa", "reader_a": a, "reader_b": b, "readers": 2} | found[kept].to_dict())
    if len(readers) > 2:
        found = fleiss_kappa(wide.reset_index(drop=True), readers, confidence).iloc[0]
        names = {"measure": "Fleiss' kappa", "reader_a": None, "reader_b": None, "readers": len(readers)}
        rows.append(names | found[kept].to_dict())
    return pd.DataFrame(rows, columns=["measure", "reader_a", "reader_b", "readers", *kept])


def mask_agreement(store: ReviewStore, round: int) -> pd.DataFrame:
    """Dice between the masks of every two readers, film by film; two empty masks have 1.

    Returns
    -------
    pandas.DataFrame
        ``film``, ``patient``, ``reader_a``, ``reader_b``, ``dice`` in [0, 1] and ``both_empty``; films of which either
        reader gave no mask are absent.
    """
    made = _with_masks(store, round)
    rows = []
    for (film, patient), part in made.groupby(["film", "patient"], sort=True):
        masks = {digest: store.mask(digest) for digest in part["digest"].unique()}
        for a, b in combinations(part.sort_values("reader").itertuples(), 2):
            one, other = masks[a.digest], masks[b.digest]
            empty = not one.any() and not other.any()
            rows.append((film, patient, a.reader, b.reader, mask_dice(one, other), empty))
    return pd.DataFrame(rows, columns=["film", "patient", "reader_a", "reader_b", "dice", "both_empty"])


def dice_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Dice of every two readers: ``reader_a``, ``reader_b``, ``n`` (films), ``mean``, ``sd``, ``median``, ``lowest``.

    Parameters
    ----------
    table
        Of :func:`mask_agreement`.
    """
    groups = table.groupby(["reader_a", "reader_b"])["dice"]
    return groups.agg(n="count", mean="mean", sd="std", median="median", lowest="min").reset_index()


def shares(store: ReviewStore, round: int) -> pd.DataFrame:
    """Size of every reader's mask as a share of the lungs, or of the film where it has no lung mask.

    Returns
    -------
    pandas.DataFrame
        ``film``, ``patient``, ``reader``, ``area`` (pixels), ``share`` and ``share_of`` (``lung mask`` or ``film``). A
        mask that leaves the lungs can have a share of the lungs above 1.
    """
    made = _with_masks(store, round)
    films = store.films(round).set_index("film")
    # Where several readers keep one mask, or several films have one lung mask, it is counted once.
    areas: dict[str, int] = {}
    for digest in [*made["digest"], *films.loc[made["film"], "lung_mask"].dropna()]:
        if digest not in areas:
            areas[digest] = int(np.count_nonzero(store.mask(digest)))
    rows = []
    for one in made.itertuples():
        film = films.loc[one.film]
        lungs = areas.get(film["lung_mask"], 0)
        whole, of = (lungs, "lung mask") if lungs else (int(film["height"]) * int(film["width"]), "film")
        rows.append((one.film, one.patient, one.reader, areas[one.digest], areas[one.digest] / whole, of))
    return pd.DataFrame(rows, columns=["film", "patient", "reader", "area", "share", "share_of"])


def share_agreement(
    table: pd.DataFrame, rng: np.random.Generator | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Bland-Altman of the shares of every two readers: bias a - b and limits of agreement (bias -+ 1.96 sd).

    Parameters
    ----------
    table
        Of :func:`shares`. Shares of the lungs and of the film are not comparable and get rows of their own.
    rng
        Of the bootstrap over patients, where patients repeat; without it these intervals are NaN.
    confidence
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        ``reader_a``, ``reader_b``, ``share_of``, and the columns of :func:`patchcxr.stats.reliability.bland_altman`;
        pairs that share no film are absent.
    """
    rows = []
    for of, part in table.groupby("share_of"):
        wide = part.pivot(index=["film", "patient"], columns="reader", values="share")
        for a, b in combinations(wide.columns, 2):
            films = _pair(wide, a, b)
            if films.empty:
                continue
            found = bland_altman(films, "a", "b", key=None, rng=rng, confidence=confidence).iloc[0]
            rows.append({"reader_a": a, "reader_b": b, "share_of": of} | found.to_dict())
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["reader_a", "reader_b", "share_of", "n", "bias"])


def tally(store: ReviewStore, round: int | None = None, confidence: float = 0.95) -> pd.DataFrame:
    """How often the masks of each source were chosen where they were offered, best first.

    A mask that several sources gave was shown once and counts for each of them. A reader's decision counts as an offer
    if it judged the candidates (:data:`JUDGED`).

    Parameters
    ----------
    store
        The review; decisions that stand.
    round
        By default all rounds but adjudications, whose sources are readers.
    confidence
        Coverage of the interval.

    Returns
    -------
    pandas.DataFrame
        ``source``, ``offered``, ``chosen``, ``started`` (drawings that began from its mask), ``share`` (chosen /
        offered), ``low`` and ``high`` (Wilson; decisions taken as independent, so too narrow where several readers see
        a film), and ``best`` (True for the source of the highest share, and for all at a tie). Ties are in the order of
        the names.
    """
    kinds = dict(store.rounds()[["round", "kind"]].itertuples(index=False))
    rounds = [number for number, kind in kinds.items() if kind != "adjudicate"] if round is None else [round]
    made = store.decisions()
    made = made[made["round"].isin(rounds)]
    candidates = store.candidates()
    candidates = candidates[candidates["round"].isin(rounds)]
    judged = made.loc[made["action"].isin(JUDGED), ["round", "film", "action", "digest", "start"]]
    judged = judged.merge(
        candidates.set_index("candidate")["digest"].rename("begun"), left_on="start", right_index=True, how="left"
    )
    offers = judged.merge(candidates, on=["round", "film"], suffixes=("", "_offered"))
    offers["chosen"] = (offers["action"] == "choose") & (offers["digest"] == offers["digest_offered"])
    offers["started"] = (offers["action"] == "draw") & (offers["begun"] == offers["digest_offered"])
    counted = offers.groupby("source").agg(
        offered=("chosen", "size"), chosen=("chosen", "sum"), started=("started", "sum")
    )
    counted = counted.reindex(sorted(candidates["source"].unique()), fill_value=0).astype("int64")
    exact = {row.Index: Fraction(row.chosen, row.offered) for row in counted.itertuples() if row.offered}
    highest = max(exact.values(), default=None)
    rows = []
    for row in counted.itertuples():
        low, high = wilson_interval(row.chosen, row.offered, confidence)
        share = float(exact[row.Index]) if row.offered else float("nan")
        best = row.chosen > 0 and exact[row.Index] == highest
        rows.append((row.Index, row.offered, row.chosen, row.started, share, low, high, best))
    columns = ["source", "offered", "chosen", "started", "share", "low", "high", "best"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["share", "source"], ascending=[False, True], ignore_index=True)


def best_sources(table: pd.DataFrame) -> list[str]:
    """Sources of the highest share, of a table of :func:`tally`: one, several at a tie, or none before any choice."""
    return sorted(table.loc[table["best"].astype(bool) & (table["chosen"] > 0), "source"])


def _decisions(store: ReviewStore, round: int) -> pd.DataFrame:
    """Decisions of a round that stand, with the film's patient."""
    patients = store.films(round).set_index("film")["patient"]
    made = store.decisions()
    made = made[made["round"] == round]
    return made.assign(patient=made["film"].map(patients))


def _with_masks(store: ReviewStore, round: int) -> pd.DataFrame:
    made = _decisions(store, round)
    return made[made["action"].isin(_MASK)]


def _wide(store: ReviewStore, round: int, value: str) -> pd.DataFrame:
    """One column a reader, sorted; one row a film, which the index names with its patient."""
    return _decisions(store, round).pivot(index=["film", "patient"], columns="reader", values=value)


def _pair(wide: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Values of two readers of the films that both have, as ``a`` and ``b`` with the ``patient``."""
    films = wide[[a, b]].dropna()
    return pd.DataFrame(
        {"a": films[a].to_numpy(), "b": films[b].to_numpy(), "patient": films.index.get_level_values("patient")}
    )
