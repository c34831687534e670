"""Commands that work on tables alone: ``stats``, ``triage`` and ``metrics``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from patchcxr.cli.common import chosen_values
from patchcxr.errors import CohortError
from patchcxr.measure.calibration import SUM_TOLERANCE
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
    empty = table[["truth", "predicted"]].isna().any(axis=1)
    if empty.any() or table.empty:
        raise CohortError(
            f"{options.predictions}: {int(empty.sum())} of {len(table)} rows lack a truth or a prediction; expected "
            "rows with both; fill them in, or leave these rows out"
        )
    table[["truth", "predicted"]] = table[["truth", "predicted"]].astype(str)
    table["study"] = table.get("study", pd.Series(range(len(table)))).astype(str)
    table["patient"] = table.get("patient", table["study"]).astype(str)
    table["method"] = table.get("method", pd.Series("given", index=table.index)).astype(str)
    twice = table[table.duplicated(["study", "method"])]
    if len(twice):
        raise CohortError(
            f"{options.predictions}: study {twice['study'].iloc[0]!r} has two rows of one method; expected one a film "
            "and method; leave one out, or give the methods their names in a column method"
        )
    classes = [column.removeprefix("p_") for column in table if column.startswith("p_")]
    classes = classes or sorted(set(table["truth"]) | set(table["predicted"]))
    met = set(table["truth"]) | set(table["predicted"])
    if not met <= set(classes):
        raise CohortError(
            f"{options.predictions}: classes {sorted(met - set(classes))} have no column p_CLASS; "
            f"expected {', '.join(classes)}"
        )
    for column in (f"p_{name}" for name in classes if f"p_{name}" in table):
        values = pd.to_numeric(table[column], errors="coerce")
        if values.isna().any():
            raise CohortError(
                f"{options.predictions}: column {column!r} has {table[column][values.isna()].iloc[0]!r}; expected a "
                "probability in every row; correct it, or leave the row out"
            )
        table[column] = values
    _check_classes(table, classes, met, options.predictions)
    from patchcxr.study.evaluate.classification import score_predictions

    score_predictions(table, tuple(classes), out, np.random.default_rng(0))
    print((out / "scores.md").read_text(encoding="utf-8"))
    return 0


def _check_classes(table: pd.DataFrame, classes: list[str], met: set[str], where: str) -> None:
    """A column ``p_…`` that is of no class, such as a p-value, must not become one."""
    columns = [f"p_{name}" for name in classes]
    foreign = [f"p_{name}" for name in classes if name not in met]
    if not foreign or not set(columns) <= set(table):
        return
    sums = table[columns].sum(axis=1)
    if (sums - 1).abs().max() > SUM_TOLERANCE:
        raise CohortError(
            f"{where}: no film has or gets the class of {', '.join(foreign)}, and {', '.join(columns)} do not add up "
            f"to 1 (but to {sums.min():.4g} to {sums.max():.4g}); rename what is no probability of a class"
        )
