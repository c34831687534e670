"""Triage by the classifier: Oh 2020, Fig. 9, with numbers; from the predictions of a finished study.

    python analysis/oh2020_figure_9_triage.py runs/oh2020/classification/predictions.csv --out runs/triage

Films predicted as viral (COVID-19 among them) go to RT-PCR or CT, all others are excluded; with ``--threshold`` the
films whose vote has at least that entropy are read by a radiologist.
"""

import argparse

from patchcxr.report.spreadsheet import read_table
from patchcxr.report.triage import triage_report

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", help="predictions.csv of a study")
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--method", default="local", help="classifier whose predictions are used")
    parser.add_argument("--positive", nargs="+", default=["viral"], help="classes that are confirmed")
    parser.add_argument("--by", default="entropy", help="entropy, margin, p_entropy or p_margin")
    parser.add_argument("--threshold", type=float, help="uncertainty at which a radiologist reads the film")
    options = parser.parse_args()
    table = read_table(options.predictions)
    chosen = table[table["method"] == options.method] if "method" in table else table
    films = triage_report(chosen, options.positive, options.out, options.by, options.threshold)
    print(films["group"].value_counts().to_string())
