"""``patchcxr score``: anatomy, biomarkers, infection and votes of large cohorts."""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from patchcxr.cli.common import progress_bar
from patchcxr.cli.study import read_overrides
from patchcxr.config import from_dict
from patchcxr.data.inputs import read_inputs
from patchcxr.errors import CohortError
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.scoring.part import fingerprints, open_networks, score_films
from patchcxr.scoring.plan import Plan, ScoreConfig, open_plan
from patchcxr.scoring.run import Tally, read_failures, run_plan

TRIED: int = 16
"""Films that a dry run scores."""


def score(options: argparse.Namespace) -> int:
    """Score what is missing of a cohort; write Parquet parts, failures and a summary.

    Returns 0, or 1 if films failed or parts were lost with their workers. See :mod:`patchcxr.scoring.plan` for the
    folder.
    """
    out = Path(options.out)
    found = read_inputs(options.inputs, exclude=out)
    settings = settings_from(options)
    if options.dry_run:
        return _dry_run(found.cohort, settings, options)
    networks = fingerprints(settings)
    out.mkdir(parents=True, exist_ok=True)
    plan = open_plan(out, found.cohort, settings, networks)
    with progress_bar("scoring", len(plan.films)) as progress:

        def show(tally: Tally) -> None:
            progress(tally.before + tally.done, tally.total)

        tally = run_plan(plan, options.workers, options.scheduler, options.device, options.threads, show, options.again)
    return _finish(plan, tally, len(found.skipped))


def settings_from(options: argparse.Namespace) -> ScoreConfig:
    """Plan settings from the command line; ``--set`` reaches ``vote``, ``detection`` and ``map_size``."""
    values: dict[str, Any] = {
        "anatomy": options.anatomy,
        "infection": None if options.infection == "none" else options.infection,
        "classifier": None if options.classifier == "none" else options.classifier,
        "explain": options.explain,
        "part_size": options.part_size,
    }
    return from_dict(ScoreConfig, values | read_overrides(options.set), where="--set")


def _finish(plan: Plan, tally: Tally, skipped: int) -> int:
    failures = read_failures(plan.out)
    failures.to_csv(plan.out / "failures.csv", index=False)
    films = failures["study"].nunique()
    whole = sum(part["scored"] for part in plan.done().values())
    summary = {
        "films": len(plan.films),
        "scored": whole,
        "with_failures": int(films),
        "this_run": {"films": tally.done, "seconds": round(tally.seconds, 1), "films_a_second": round(tally.rate, 3)},
        "stage_seconds": {stage: round(value, 1) for stage, value in tally.stages.items()},
        "lost_parts": tally.lost,
    }
    write_bytes_atomically(plan.out / "summary.json", json.dumps(summary, indent=1).encode())
    print(f"  scored        {whole} of {len(plan.films)} films")
    print(f"  this run      {tally.done} films in {tally.seconds:.1f} s, {tally.rate:.2f} a second")
    for stage, value in tally.stages.items():
        print(f"    {stage:12}{1000 * value / max(tally.done, 1):.0f} ms a film")
    if skipped:
        print(f"  {skipped} files of the folders are no films", file=sys.stderr)
    if films:
        print(f"  {films} films failed in a stage or more; see {plan.out / 'failures.csv'}", file=sys.stderr)
    for number, reason in tally.lost.items():
        print(f"  part {number} is still missing ({reason}); run the same command again", file=sys.stderr)
    print(f"score: {plan.out / 'scores'}")
    return 1 if films or tally.lost else 0


def _dry_run(table: pd.DataFrame, settings: ScoreConfig, options: argparse.Namespace) -> int:
    """Score some films drawn at random, write nothing, and say what the cohort would take."""
    if table.empty:
        raise CohortError("there is no film to score; give a cohort with rows")
    begin = time.perf_counter()
    fingerprints(settings)
    open_networks(settings, options.device)
    loading = time.perf_counter() - begin
    drawn = table.sample(min(TRIED, len(table)), random_state=np.random.default_rng(0)).reset_index(drop=True)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="patchcxr-score-") as scratch:
        found = score_films(drawn, settings, Path(scratch), options.device, options.threads)
    each = (time.perf_counter() - begin) / len(drawn)
    workers = max(options.workers, 1)
    bytes_each = len(found.scores.to_parquet(index=False)) / len(drawn) if len(found.scores) else 0.0
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
    print(f"  films         {len(table)} in {math.ceil(len(table) / settings.part_size)} parts")
    print(f"  tried         {len(drawn)} films, {each:.2f} s each; networks load in {loading:.1f} s")
    for stage, value in found.seconds.items():
        print(f"    {stage:12}{1000 * value / len(drawn):.0f} ms a film")
    print(f"  failed        {found.failures['study'].nunique()} of {len(drawn)}")
    for row in found.failures.head(3).to_dict("records"):
        print(f"    {row['study']}: {row['error']}")
    print(f"  all of it     about {_span(each * len(table) / workers)} with {workers} worker(s) as fast as this one")
    print(f"  scores        about {bytes_each * len(table) / 1e6:.1f} MB; memory of a worker {memory:.0f} MB at most")
    return 0


def _span(seconds: float) -> str:
    """Time in words.

    >>> _span(30), _span(90), _span(7200), _span(200000)
    ('1 minute', '2 minutes', '2.0 hours', '2.3 days')
    """
    if seconds <= 60:
        return "1 minute"
    if seconds < 5400:
        return f"{math.ceil(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
