"""Commands that work on tables alone: ``stats``, ``triage`` and ``metrics``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from patchcxr.cli.common import chosen_values
from patchcxr.errors import CohortError
from patchcxr.report.spreadsheet import read_table


def stats(options: argparse.Namespace) -> int:
    """Compare columns of a table between groups: every test, table and figure, and a page."""
    table = read_table(options.table)
    exclude = chosen_values(table, options.exclude, "--exclude")
    from patchcxr.report.statistics_report import statistics_report

    statistics_report(
        table,
        options.value,
        options.group,
        options.patient or None,
        options.correction,
        options.out,
        order=options.order.split(",") if options.order else None,
        paired=options.paired,
        exclude=exclude,
        rng=np.random.default_rng(options.seed),
        title=f"{', '.join(options.value)} by {options.group}",
    )
    print(f"statistics: {Path(options.out) / 'report.html'}")
    return 0


def triage(options: argparse.Namespace) -> int:
    """Say of every film whether it goes to a test, is excluded, or is read by a radiologist (Oh 2020, Fig. 9)."""
    table = read_table(options.predictions)
    if "method" in table:
        methods = list(dict.fromkeys(table["method"]))
        if options.method is None and len(methods) > 1:
            raise CohortError(f"{options.predictions} holds the methods {', '.join(methods)}; choose one with --method")
        if options.method is not None and options.method not in methods:
            raise CohortError(f"--method {options.method!r}: expected one of {', '.join(methods)}")
        table = table[table["method"] == (options.method or methods[0])].reset_index(drop=True)
    from patchcxr.report.triage import triage_report

    films = triage_report(table, options.positive, options.out, options.by, options.threshold)
    print(f"triage: {len(films)} films in {options.out}")
    return 0


def metrics(options: argparse.Namespace) -> int:
    """Score a table of predictions."""
    out = Path(options.out)
    table = read_table(options.predictions)
    for column in ("truth", "predicted"):
        if column not in table:
            raise CohortError(
                f"{options.predictions}: no column {column!r}, got {', '.join(table.columns)}; "
                "rename the column that holds it"
            )
    table["study"] = table.get("study", pd.Series(range(len(table)))).astype(str)
    table["patient"] = table.get("patient", table["study"])
    table["method"] = table.get("method", "given")
    classes = [column.removeprefix("p_") for column in table if column.startswith("p_")]
    classes = classes or sorted(set(table["truth"]) | set(table["predicted"]))
    unknown = set(table["truth"]) | set(table["predicted"])
    if not unknown <= set(classes):
        raise CohortError(
            f"{options.predictions}: classes {sorted(unknown - set(classes))} have no column p_CLASS; "
            f"expected {', '.join(classes)}"
        )
    from patchcxr.study.evaluate.classification import score_predictions

    score_predictions(table, tuple(classes), out, np.random.default_rng(0))
    print((out / "scores.md").read_text(encoding="utf-8"))
    return 0
