"""Activation maps against infection maps: Degerli 2021, Fig. 8, measured; from a finished study.

    python analysis/saliency_comparison.py runs/demo

Prints the mean of every measure for each map, and the paired tests between
the maps, and says where the figures are.
"""

import argparse
from pathlib import Path

import pandas as pd

from patchcxr.report.tables import to_markdown

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of a finished study")
    study = parser.parse_args().study
    summary = pd.read_csv(study / "saliency" / "summary.csv")
    print(to_markdown(summary.pivot(index="measure", columns="method", values="mean").reset_index()))
    tests = pd.read_csv(study / "saliency" / "tests.csv")
    print(to_markdown(tests[["measure", "method_a", "method_b", "n", "median_difference", "p_adjusted", "stars"]]))
    print(f"figures: {study / 'figures' / 'saliency_maps.png'}, {study / 'figures' / 'saliency_measures.png'}")
