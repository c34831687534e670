"""Segmentation against classification detectors: Degerli 2021, Table 3 and Fig. 6; from a finished study.

    python analysis/detector_benchmark.py runs/demo

Prints AUROC with DeLong's interval, the scores at the operating point with
the half-width of eq. 13, and the paired tests.
"""

import argparse
from pathlib import Path

import pandas as pd

from patchcxr.report.tables import format_interval, to_markdown

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of a finished study")
    study = parser.parse_args().study
    scores = pd.read_csv(study / "detectors" / "scores.csv")
    table = scores[["detector", "n", "positive"]].copy()
    table["AUROC [95 % CI]"] = [format_interval(*v) for v in scores[["auroc", "auroc_low", "auroc_high"]].to_numpy()]
    for key in ("sensitivity", "specificity", "precision", "f1", "f2", "accuracy"):
        table[key] = [f"{v:.3f} ± {r:.3f}" for v, r in zip(scores[key], scores[f"{key}_r"], strict=True)]
    print(to_markdown(table))
    print(to_markdown(pd.read_csv(study / "detectors" / "comparison.csv")))
    print(f"figure: {study / 'figures' / 'detectors.png'}")
