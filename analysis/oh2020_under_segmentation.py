"""Under-segmented lungs by class: Oh 2020, section V; from a finished study.

    python analysis/oh2020_under_segmentation.py runs/oh2020 --out runs/under_segmentation

A film counts if a quarter or more of its lungs is deformed against the mean shape of normal lungs. Prints the counts
with Wilson intervals and draws them beside the paper's, which were counted by eye. The study's
``biomarkers/under_segmentation.csv`` is read; a folder of ``patchcxr biomarkers``, which has the same table, does too.
"""

import argparse
from pathlib import Path

from patchcxr.report.figures import save_figure
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import to_markdown
from patchcxr.report.under_segmentation import under_segmentation_figure

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of a finished study, or of patchcxr biomarkers")
    parser.add_argument("--out", required=True, help="figure to write, without suffix")
    options = parser.parse_args()
    folder = options.study / "biomarkers" if (options.study / "biomarkers").is_dir() else options.study
    counts = read_table(folder / "under_segmentation.csv")
    print(to_markdown(counts))
    for path in save_figure(under_segmentation_figure(counts), options.out, ("png", "svg", "pdf")):
        print(path)
