"""Intensity between and within correctly classified patches: Oh 2020, Fig. 5, from a finished study.

    python analysis/oh2020_figure_5_patch_intensity.py runs/oh2020 --out runs/figure_5

Every correctly classified patch is a point, as in the paper. The study's folder ``patches`` has the table of patches,
their spread by film and class, and tests over patients.
"""

import argparse
from pathlib import Path

from patchcxr.report.figures import patch_intensity_figure, save_figure
from patchcxr.report.spreadsheet import read_table

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", help="folder of a finished study")
    parser.add_argument("--out", required=True, help="figure to write, without suffix")
    options = parser.parse_args()
    patches = read_table(Path(options.study) / "patches" / "patches.csv")
    order = list(dict.fromkeys(patches.loc[patches["correct"], "class_name"]))
    for path in save_figure(patch_intensity_figure(patches, order), options.out, ("png", "svg", "pdf")):
        print(path)
