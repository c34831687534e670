"""A classifier on sources that it has learnt from, and on one that it has never seen.

    python analysis/leave_one_source_out.py cohort.csv --seen local=runs/random_local global=runs/random_global
        --unseen local=runs/left_0_local local=runs/left_1_local global=runs/left_0_global … --out table

Folders are those of `patchcxr classify` on test films: `--seen` of networks
that learnt from every source (other patients), `--unseen` of one network for
each source that was left out. Writes shares by class and source, and the
balanced accuracy over the films of the sources that were left out once, seen
and unseen.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from patchcxr.report.sources import balanced_accuracy, sensitivity_by_source
from patchcxr.report.tables import format_interval, to_markdown, write_table

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path, help="cohort table with source and label of the films")
    parser.add_argument("--seen", nargs="+", required=True, metavar="METHOD=FOLDER")
    parser.add_argument("--unseen", nargs="+", required=True, metavar="METHOD=FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cohort = pd.read_csv(options.cohort, dtype=str)[["study", "source"]]
    parts = []
    for setting in ("seen", "unseen"):
        for text in getattr(options, setting):
            method, _, folder = text.partition("=")
            said = pd.read_csv(Path(folder) / "predictions.csv", dtype={"study": str, "patient": str})
            parts.append(said.assign(method=method, setting=setting))
    films = pd.concat(parts, ignore_index=True).merge(cohort, on="study")
    films = films[films["source"].isin(set(films.loc[films["setting"] == "unseen", "source"]))]
    shares = sensitivity_by_source(films, ["method", "setting"])
    write_table(shares, options.out / "by_source")
    whole = balanced_accuracy(films, ["method", "setting"], np.random.default_rng(options.seed))
    write_table(whole, options.out / "balanced_accuracy")
    text = shares.assign(share=[format_interval(*row) for row in shares[["share", "low", "high"]].to_numpy()])
    wide = text.pivot(index=["truth", "source", "method"], columns="setting", values="share").reset_index()
    print(to_markdown(wide))
    print(to_markdown(whole))
