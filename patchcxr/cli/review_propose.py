"""``patchcxr review propose``: films, networks and masks become a round of a review."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from patchcxr.cli.common import chosen_values, named_pairs, progress_bar
from patchcxr.cli.options import lungs_for, open_cohort, open_model
from patchcxr.cli.study import load_study, logged
from patchcxr.config import to_dict
from patchcxr.data.cohort import read_cohort, write_cohort
from patchcxr.data.splits import LEAKS_ALLOWED
from patchcxr.errors import CohortError, ConfigError, ReviewError
from patchcxr.inference.infection import DetectionConfig, needs_lung_masks
from patchcxr.io.arrays import safe_name
from patchcxr.report.tables import write_table
from patchcxr.review.export import settled_masks
from patchcxr.review.outcome import outcomes
from patchcxr.review.propose import (
    COHORT,
    MANUAL,
    SETTLED,
    Fault,
    Fields,
    Proposal,
    add_proposed,
    check_sources,
    cohort_masks,
    fault_table,
    folder_masks,
    random_share,
    readers_a_film,
    target_field,
)
from patchcxr.review.propose import propose as read_films
from patchcxr.review.store import FILE_NAME, ReviewStore
from patchcxr.study.crossvalidation import FoldConfig
from patchcxr.study.evaluate.fold import needs_lungs
from patchcxr.study.predict import Lungs
from patchcxr.study.review_networks import (
    crossvalidated_masks,
    held_out_masks,
    is_cross_validation,
    model_name,
    network_folder,
    predicted_masks,
    table_stamp,
    trained_folder,
)
from patchcxr.types import ANATOMY


def propose(options: argparse.Namespace) -> int:
    """Train or apply networks where asked to, read films and masks, and add them to the review as a round.

    Below ``--out``: ``review.sqlite``, ``cohort.csv`` (the films' rows, for export), ``networks`` and, where something
    could not be used, ``round_N_problems.csv``.
    """
    out, table = Path(options.out), open_cohort(options.cohort)
    store = ReviewStore(out) if (out / FILE_NAME).is_file() else None
    target = _target(options.target, store)
    named = {
        "--masks": named_pairs(options.masks, "--masks"),
        "--networks": _named(options.networks, "--networks"),
        "--trained": _named(options.trained, "--trained"),
    }
    names = [name for group in named.values() for name in group]
    check_sources(names)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"{twice!r} names two sources; give each another name, as in NAME=FOLDER")
    rows = _films(table, options, target, store)
    if options.readers_per_film < 1:
        raise ConfigError(f"--readers-per-film {options.readers_per_film}: expected at least 1")
    sources: dict[str, Fields] = {MANUAL: cohort_masks(table, target)} if options.manual else {}
    absent: dict[str, dict[str, str]] = {}
    if options.settled:
        sources[SETTLED] = settled_masks(_existing(store), out / SETTLED)
    for name, path in named["--masks"].items():
        sources[name], absent[name] = _given(path, name, out, target, options)
    with logged(out):
        for name, path in named["--networks"].items():
            sources[name], absent[name] = _crossvalidated(path, name, table, out, target, options)
        for name, path in named["--trained"].items():
            sources[name], absent[name] = _predicted(path, name, rows, out, target, options)
    faults: list[Fault] = []
    with progress_bar("reading films", len(rows)) as progress:
        found = _noted(read_films(rows, sources, target, options.workers, absent), faults, len(rows), progress)
        first = _usable(found, faults, bool(sources))
        store = store or ReviewStore.create(out, target, options.seed)
        name = options.name or f"round {len(store.rounds()) + 1}"
        number = add_proposed(store, name, options.kind, options.readers_per_film, itertools.chain(first, found))
    _keep_cohort(table, out / COHORT)
    _say(store, number, faults, list(sources), out)
    return 0


def _target(asked: str | None, store: ReviewStore | None) -> str:
    if store is None:
        return asked or "infection"
    if asked not in (None, store.target):
        raise ReviewError(
            f"--target {asked}: this review is of the target {store.target!r}; leave --target out or give another --out"
        )
    return store.target


def _existing(store: ReviewStore | None) -> ReviewStore:
    if store is None:
        raise ReviewError("nothing is settled yet: this folder holds no review; propose masks to it first")
    return store


def _named(texts: Sequence[str], option: str) -> dict[str, str]:
    """Files by name from ``NAME=FILE`` or ``FILE``."""
    split = {text: text.partition("=") for text in texts}
    plain = {text for text, (name, equals, _) in split.items() if not equals or Path(text).exists() or "/" in name}
    return named_pairs([f"{model_name(text)}={text}" if text in plain else text for text in texts], option)


def _films(table: pd.DataFrame, options: argparse.Namespace, target: str, store: ReviewStore | None) -> pd.DataFrame:
    """Films of the round.

    Raises
    ------
    CohortError
        If no film is left.
    ConfigError
        If it is not clear which films are meant.
    """
    which = options.films
    if which is None:
        drawn, undrawn = bool(options.manual or options.networks), bool(options.trained)
        if drawn and undrawn:
            raise ConfigError(
                "--manual and --networks are of films with masks, --trained of films without; say which are meant "
                "with --films"
            )
        which = "settled" if options.settled else "masked" if drawn else "unmasked" if undrawn else "all"
    rows = table
    if which in ("masked", "unmasked"):
        has = table["study"].astype(str).map(safe_name).isin(list(cohort_masks(table, target)))
        rows = table[has if which == "masked" else ~has]
    elif which in ("settled", "unsettled"):
        states = outcomes(_existing(store)).set_index("film")["outcome"]
        found = table["study"].astype(str).map(states)
        rows = table[found == "settled" if which == "settled" else ~found.isin(["settled", "excluded"])]
    for column, values in chosen_values(table, options.where, "--where").items():
        rows = rows[rows[column].astype("string").isin(values)]
    if rows.empty:
        raise CohortError(f"no film of the cohort is left for the round ({which}, --where); choose other --films")
    if options.share is not None or options.count is not None:
        rows = rows.loc[random_share(rows, options.share, options.count, options.seed)]
    return rows.reset_index(drop=True)


def _given(path: str, name: str, out: Path, target: str, options: argparse.Namespace) -> tuple[Fields, dict[str, str]]:
    """Masks of a folder; those of a cross-validation are first brought to the films' own size."""
    if not is_cross_validation(path):
        return folder_masks(path, target), {}
    place = network_folder(out / "networks", name, str(Path(path).absolute()))
    folder, failures = held_out_masks(target, path, place, whole_lungs=options.whole_lungs, workers=options.workers)
    return folder_masks(folder, target), _reasons(failures)


def _crossvalidated(
    path: str, name: str, table: pd.DataFrame, out: Path, target: str, options: argparse.Namespace
) -> tuple[Fields, dict[str, str]]:
    """Masks of networks that are trained on the cohort's masks in folds."""
    config = dataclasses.replace(load_study(path, options.set, options.cohort), seed=options.seed)
    folds = FoldConfig(n_folds=options.folds, validation_fraction=options.validation)
    place = network_folder(out / "networks", name, to_dict(config), table_stamp(table, target), folds, options.anatomy)
    lungs = None
    if target == "infection" and options.anatomy is not None and needs_lungs(config.infection):
        size, steps = config.infection.image_size, config.preprocessing
        lungs = functools.partial(
            lungs_for, anatomy=options.anatomy, out=place / "lungs", size=size, config=steps, whole_lungs=True
        )
    folder, failures = crossvalidated_masks(target, table, config, place, folds, lungs, options.whole_lungs)
    return folder_masks(folder, target), _reasons(failures)


def _predicted(
    path: str, name: str, rows: pd.DataFrame, out: Path, target: str, options: argparse.Namespace
) -> tuple[Fields, dict[str, str]]:
    """Masks of a network that is trained already."""
    model, steps = open_model(path, ("infection",) if target == "infection" else ANATOMY)
    rule = DetectionConfig(threshold=options.threshold, rule="tahir" if options.within_lungs else "degerli")
    place = trained_folder(out / "networks", name, model, rule)
    lungs: Lungs | None = None
    if target == "infection" and (needs_lung_masks(model) or options.within_lungs):
        without = rows[[target_field(row, "lung") is None for row in rows.to_dict("records")]]
        if len(without):
            anatomy = options.anatomy or "anatomy"
            lungs = lungs_for(without, anatomy, place / "lungs", model.image_size, steps, whole_lungs=True)
    with progress_bar(f"applying {name}", len(rows)) as progress:
        folder, failures = predicted_masks(
            target, model, steps, rows, place, rule, lungs, options.whole_lungs, options.workers, progress
        )
    return folder_masks(folder, target), _reasons(failures)


def _reasons(failures: pd.DataFrame) -> dict[str, str]:
    """Why a network has no mask of a film."""
    return {str(row["study"]): str(row["error"]) for row in failures.to_dict("records")}


def _noted(
    films: Iterator[Proposal], faults: list[Fault], total: int, progress: Callable[[int, int], None]
) -> Iterator[Proposal]:
    """The films as they come; their faults are noted."""
    for done, proposal in enumerate(films, start=1):
        faults.extend(proposal.faults)
        progress(done, total)
        yield proposal


def _usable(films: Iterator[Proposal], faults: list[Fault], proposed: bool) -> list[Proposal]:
    """Films up to the first that readers can decide on.

    Raises
    ------
    ReviewError
        If there is none.
    """
    seen = []
    for proposal in films:
        seen.append(proposal)
        if proposal.film is not None and proposal.film.problem is None:
            return seen
    what = "a usable mask" if proposed else "a readable film"
    raise ReviewError(f"no film has {what}; the first, {faults[0].study}, {faults[0].what}: {faults[0].error}")


def _keep_cohort(table: pd.DataFrame, path: Path) -> None:
    """Keep the rows of a cohort beside those of earlier rounds, whose films it may show in a newer state."""
    if path.is_file():
        before = read_cohort(path, check_files=False, allow_leaks=LEAKS_ALLOWED)
        table = pd.concat([table, before[~before["study"].isin(table["study"])]], ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_cohort(table, path, allow_leaks=LEAKS_ALLOWED)


def _say(store: ReviewStore, number: int, faults: Sequence[Fault], sources: Sequence[str], out: Path) -> None:
    """Say what the round holds, and write down what could not be used."""
    row = store.rounds().set_index("round").loc[number]
    films = store.films(number)
    print(
        f"round {number} ({row['kind']}, {readers_a_film(row['readers_per_film'])}): {len(films)} films of "
        f"{films['patient'].nunique()} patients; target {store.target}: {out}"
    )
    counts = store.candidates(number)["source"].value_counts()
    for name in sources:
        print(f"  {name:20} masks of {counts.get(name, 0)} films")
    if not sources:
        print("  no masks are proposed: readers draw from scratch")
    print(f"  {'problems':20} {row['problems']} films can only be excluded")
    if faults:
        path = write_table(fault_table(faults), out / f"round_{number}_problems", kinds=("csv",))[0]
        first = faults[0]
        print(
            f"{len(faults)} films or masks could not be used; see {path}; the first, {first.study}, {first.what}: "
            f"{first.error}",
            file=sys.stderr,
        )
    if not store.readers():
        print(f"next: patchcxr review add-reader {out} NAME, then patchcxr review serve {out}")
