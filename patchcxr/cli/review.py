"""``patchcxr review``: readers choose and draw masks in the browser, and the next networks learn from them."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from patchcxr.data.cohort import read_cohort, write_cohort
from patchcxr.data.splits import LEAKS_ALLOWED
from patchcxr.errors import ReviewError
from patchcxr.report.tables import format_interval, format_number, format_percent, write_table
from patchcxr.review.agreement import (
    action_agreement,
    best_sources,
    dice_summary,
    mask_agreement,
    share_agreement,
    shares,
    tally,
)
from patchcxr.review.export import export as export_masks
from patchcxr.review.merge import backup as back_up
from patchcxr.review.merge import merge as merge_stores
from patchcxr.review.outcome import disputes, outcomes
from patchcxr.review.propose import COHORT, readers_a_film
from patchcxr.review.store import FILE_NAME, ReviewStore


def add_reader(options: argparse.Namespace) -> int:
    """Add a reader, or renew a token; the token is printed once and cannot be shown again."""
    store = ReviewStore(options.dir)
    token = store.renew_token(options.name) if options.renew else store.add_reader(options.name, options.adjudicator)
    print(f"token of {options.name}: {token}")
    print("give it to this reader only; it is not kept and cannot be shown again", file=sys.stderr)
    return 0


def serve(options: argparse.Namespace) -> int:
    """Serve the review until it is interrupted."""
    from patchcxr.review.server import serve as run

    store = ReviewStore(options.dir)
    store.latest_round()
    readers = store.readers()
    if not readers:
        raise ReviewError(f"nobody can log in yet; add readers with patchcxr review add-reader {options.dir} NAME")
    store.close()
    shown = f"[{options.host}]" if ":" in options.host else options.host
    where = f"review: http://{shown}:{options.port}/ ({len(readers)} who can log in; stop with Ctrl-C)"
    run(
        options.dir,
        options.host,
        options.port,
        show_patients=options.show_patients,
        hosts=options.allowed_host,
        listening=lambda: print(where, flush=True),
    )
    return 0


def status(options: argparse.Namespace) -> int:
    """Print progress, agreement and the tally of sources, by round; with ``--out`` write the tables too."""
    store = ReviewStore(options.dir)
    rounds = store.rounds()
    store.latest_round()
    if options.round is not None and options.round not in set(rounds["round"]):
        raise ReviewError(f"--round {options.round}: the review has the rounds {', '.join(map(str, rounds['round']))}")
    if options.round is not None:
        rounds = rounds[rounds["round"] == options.round]
    made: dict[str, list[pd.DataFrame]] = {}
    for row in rounds.to_dict("records"):
        for name, table in _round_status(store, row).items():
            made.setdefault(name, []).append(table.assign(round=row["round"]))
    found = outcomes(store, options.round)
    print("outcome: " + ", ".join(f"{count} {name}" for name, count in found["outcome"].value_counts().items()))
    if options.out:
        out = Path(options.out)
        made |= {"outcomes": [found], "decisions": [store.decisions()], "history": [store.decisions(current=False)]}
        if options.round is None:
            made["tally_all_rounds"] = [tally(store)]
        for name, tables in made.items():
            full = [table for table in tables if len(table)]
            write_table(pd.concat(full, ignore_index=True) if full else tables[0], out / name, kinds=("csv",))
        print(f"tables: {out}")
    return 0


def _round_status(store: ReviewStore, row: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Print how a round stands, and return its tables."""
    number, rng = int(row["round"]), np.random.default_rng(store.seed)
    called = "" if row["name"] == f"round {number}" else f", {row['name']}"
    print(
        f"round {number}{called} ({row['kind']}, {readers_a_film(row['readers_per_film'])}): "
        f"{row['films']} films, {row['problems']} with a problem"
    )
    progress = _progress(store, number, str(row["kind"]))
    for name, done, left, each in progress.itertuples(index=False, name=None):
        pace = "" if math.isnan(each) else f", {each:.0f} s a film, about {left * each / 60:.0f} min left"
        print(f"  {name:16} {done} done, {left} left{pace}")
    actions, dice, share = action_agreement(store, number, rng), mask_agreement(store, number), shares(store, number)
    tables = {
        "progress": progress,
        "agreement_actions": actions,
        "agreement_dice": dice,
        "agreement_dice_summary": dice_summary(dice),
        "agreement_shares": share_agreement(share, rng),
        "tally": tally(store, number),
    }
    for one in actions[actions["n"] > 0].to_dict("records"):
        who = f"{one['reader_a']} and {one['reader_b']}" if one["reader_b"] else f"{one['readers']} readers"
        kappa = format_interval(one["kappa"], one["low"], one["high"])
        print(f"  {who}: {one['n']} films, same action {format_percent(one['agreement'])}, {one['measure']} {kappa}")
    for one in tables["agreement_dice_summary"].to_dict("records"):
        print(
            f"  {one['reader_a']} and {one['reader_b']}: Dice of their masks {format_number(one['mean'])} "
            f"(lowest {format_number(one['lowest'])}, n {one['n']})"
        )
    for one in tables["tally"].to_dict("records"):
        interval = "" if math.isnan(one["share"]) else f" ({format_percent(one['share'])})"
        print(f"  {one['source']:16} chosen {one['chosen']} of {one['offered']}{interval}, drawn from {one['started']}")
    if len(tables["tally"]) > 1 and (best := best_sources(tables["tally"])):
        print(f"  most often chosen: {' and '.join(best)}")
    return tables


def _progress(store: ReviewStore, number: int, kind: str) -> pd.DataFrame:
    """Progress of every reader who may decide in a round."""
    rows = []
    for name in store.readers():
        if kind != "adjudicate" or store.is_adjudicator(name):
            found = store.progress(name, number)
            rows.append((name, found.done, found.left, found.seconds_per_film))
    return pd.DataFrame(rows, columns=["reader", "done", "left", "seconds_per_film"])


def adjudicate(options: argparse.Namespace) -> int:
    """Add a round with the films on which readers differ, for adjudicators; films that wait for one are left out."""
    store = ReviewStore(options.dir)
    rounds = store.rounds()
    waiting: set[str] = set()
    for number in rounds.loc[rounds["kind"] == "adjudicate", "round"]:
        films = store.films(int(number))
        waiting |= set(films.loc[films["answers"] == 0, "film"])
    found = disputes(store, options.round, kinds=("disputed", *options.also))
    films = [film for film in found if film.film.film not in waiting]
    if not films:
        print(f"nothing to adjudicate: {len(waiting)} films wait for an adjudicator already" if waiting else
              "nothing to adjudicate: the readers agree on every film that enough of them decided")  # fmt: skip
        return 0
    number = store.add_round(options.name or f"adjudication {len(rounds) + 1}", "adjudicate", 1, films)
    print(f"round {number} (adjudicate): {len(films)} films on which readers differ")
    if not any(store.is_adjudicator(name) for name in store.readers()):
        print(
            f"no reader may adjudicate yet; add one: patchcxr review add-reader {options.dir} NAME --adjudicator",
            file=sys.stderr,
        )
    return 0


def export(options: argparse.Namespace) -> int:
    """Write the settled masks, a cohort with them, where each came from, and what is not settled.

    Below ``--out``: ``masks/<target>/``, ``cohort.csv`` (see :class:`patchcxr.review.export.Export`),
    ``provenance.csv`` and ``left_out.csv``.
    """
    store, out = ReviewStore(options.dir), Path(options.out)
    source = Path(options.cohort) if options.cohort else Path(options.dir) / COHORT
    table = read_cohort(source, check_files=False, allow_leaks=False if options.cohort else LEAKS_ALLOWED)
    found = export_masks(store, table, out)
    write_cohort(found.cohort, out / "cohort.csv", allow_leaks=LEAKS_ALLOWED)
    write_table(found.provenance, out / "provenance", kinds=("csv",))
    write_table(found.left_out, out / "left_out", kinds=("csv",))
    print(f"export: {out}")
    print(f"  settled        {len(found.provenance)} masks of {found.provenance['patient'].nunique()} patients")
    for name, count in found.provenance["origin"].value_counts().items():
        print(f"    {name:16} {count}")
    for name, count in found.left_out["outcome"].value_counts().items():
        print(f"  {name:14} {count}")
    untouched = int((found.cohort["mask_review"] == "not reviewed").sum())
    print(f"  not reviewed   {untouched} films of the cohort, as they were")
    if len(found.left_out):
        print(f"films without a settled mask, and why: {out / 'left_out.csv'}", file=sys.stderr)
    return 0


def backup(options: argparse.Namespace) -> int:
    """Copy the review, also while it is served, and the cohort that an export needs."""
    path = back_up(ReviewStore(options.dir), options.out)
    cohort = Path(options.dir) / COHORT
    beside = path.with_name(COHORT) if path.name == FILE_NAME else path.with_suffix(".csv")
    if cohort.is_file() and not beside.exists():
        shutil.copyfile(cohort, beside)
    print(f"backup: {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0


def merge(options: argparse.Namespace) -> int:
    """Take over the decisions of a copy that was read elsewhere: a review folder, or the file of a backup."""
    other = Path(options.other)
    with tempfile.TemporaryDirectory() as temporary:
        if other.is_file() and other.name != FILE_NAME:
            other = Path(shutil.copy(other, Path(temporary) / FILE_NAME))
        with ReviewStore(options.dir) as store, ReviewStore(other.parent if other.is_file() else other) as theirs:
            added = merge_stores(store, theirs)
    print("merged: " + ", ".join(f"{count} {name}" for name, count in added._asdict().items()) + " added")
    return 0
