"""Infected share of the lungs against the readers' share and severity scores: Spearman's correlation (Tahir 2021, T6).

    patchcxr crossvalidate infection COHORT --config NAME --out runs/folds
    python analysis/tahir2021_severity.py runs/folds/films.csv COHORT --out runs/severity
    python analysis/tahir2021_severity.py runs/infection/infection.csv COHORT --against extent --against opacity

The first table is films.csv of a cross-validation (``predicted_percent``, ``true_percent``), or infection.csv of
``patchcxr infection`` (``overall_percent``). Scores are columns of the cohort, such as ``extent`` and ``opacity`` of
the covid-chestxray-dataset. Intervals are of a bootstrap over patients; films without one of the two values are left
out and counted. The readers' share is compared on the films that they marked: controls would make it look better.
"""

import argparse
import dataclasses

import numpy as np
import pandas as pd

from patchcxr.data.cohort import read_cohort
from patchcxr.errors import CohortError
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import to_markdown, write_table
from patchcxr.stats.association import rank_correlation

SHARES = ("predicted_percent", "overall_percent")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shares", help="films.csv of a cross-validation, or infection.csv")
    parser.add_argument("cohort", help="cohort table with the scores")
    parser.add_argument("--against", action="append", metavar="COLUMN", help="default: true_percent, extent, opacity")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="table to write, without suffix")
    options = parser.parse_args()
    films = read_table(options.shares)
    share = next((name for name in SHARES if name in films), None)
    if share is None:
        raise CohortError(f"{options.shares} has none of the columns {', '.join(SHARES)}; it has {', '.join(films)}")
    cohort = read_cohort(options.cohort, check_files=False)
    new = [name for name in cohort if name == "study" or name not in films]
    films = films.merge(cohort[new], on="study", how="left")
    wanted = options.against or [name for name in ("true_percent", "extent", "opacity") if name in films]
    absent = [name for name in wanted if name not in films]
    if absent or not wanted:
        raise CohortError(f"no column {', '.join(absent) or 'to compare with'} in either table; give --against COLUMN")
    rows = []
    for name in wanted:
        known = films[films["infection_mask"].notna()] if name == "true_percent" else films
        found = rank_correlation(
            known[share].to_numpy(dtype=float),
            pd.to_numeric(known[name], errors="coerce").to_numpy(dtype=float),
            known["patient"].to_numpy(),
            np.random.default_rng(options.seed),
        )
        rows.append({"share": share, "against": name, "films": len(known), **dataclasses.asdict(found)})
    table = pd.DataFrame(rows)
    print(to_markdown(table))
    if options.out:
        write_table(table, options.out)
