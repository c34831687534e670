"""``patchcxr evaluate``: predicted masks against true ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from patchcxr.cli.common import progress_bar
from patchcxr.errors import MaskError
from patchcxr.report.tables import format_interval, format_mean_std, write_table
from patchcxr.study.compare_masks import ALL, compare_masks, read_masks, summarize, summarize_infection


def evaluate(options: argparse.Namespace) -> int:
    """Write scores a film, their summaries, and which films could not be compared; print the summary.

    Below ``--out``: ``films.csv``, ``summary``, ``infection`` (where infection is compared), ``unmatched.csv`` (films
    of one side alone) and ``failures.csv``. How empty masks count is told in :mod:`patchcxr.study.compare_masks`.
    """
    out = Path(options.out)
    predicted, truth = (read_masks(path, options.structure) for path in (options.predicted, options.truth))
    with progress_bar("comparing", len(truth)) as progress:
        found = compare_masks(predicted, truth, progress)
    out.mkdir(parents=True, exist_ok=True)
    found.unmatched.to_csv(out / "unmatched.csv", index=False)
    found.failures.to_csv(out / "failures.csv", index=False)
    if found.films.empty:
        first = found.failures.iloc[0]
        raise MaskError(f"no film could be compared; the first, {first['study']}, {first['stage']}: {first['error']}")
    rng = np.random.default_rng(options.seed)
    write_table(found.films, out / "films", kinds=("csv",))
    summary = summarize(found.films, rng)
    write_table(summary, out / "summary")
    print(f"evaluation: {out} (mean ± standard deviation; median; 95 % interval of the mean over patients)")
    for row in summary[summary["source"] == ALL].to_dict("records"):
        spread = format_mean_std(row["mean"], row["std"])
        interval = format_interval(row["mean"], row["low"], row["high"]).partition(" ")[2]
        print(
            f"  {row['structure']:11}{row['measure']:15} {spread}; {row['median']:.3f}; {interval}; n {row['n']}, "
            f"failed {row['failed']}, both empty {row['both_empty']}"
        )
    pixels = summarize_infection(found.films, rng)
    if len(pixels):
        write_table(pixels, out / "infection")
        whole = pixels.iloc[0]
        scores = ", ".join(f"{name} {whole[name]:.3f}" for name in ("sensitivity", "specificity", "f1", "f2", "iou"))
        print(f"  infection, pixels of all films: {scores}")
        rho = format_interval(whole["rho"], whole["rho_low"], whole["rho_high"])
        print(f"  infection, infected share: Spearman {rho}, n {whole['rho_films']}")
    for frame, what in ((found.unmatched, "unmatched"), (found.failures, "failures")):
        if len(frame):
            print(f"{frame['study'].nunique()} films: see {out / f'{what}.csv'}", file=sys.stderr)
    return 0
