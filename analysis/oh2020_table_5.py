"""Jaccard of lungs and heart by data set, with and without preprocessing: Oh 2020, Table V; from finished studies.

    python analysis/oh2020_table_5.py preprocessed=runs/oh2020 original=runs/oh2020_original --out runs/table_5

Each argument is a name and the folder of a study; ``preprocessed`` and ``original`` stand beside the paper's values.
``patchcxr ablation CONFIG --of preprocessing`` makes such studies on the same films and splits
(``preprocessed=OUT/equalised-gamma-0.5 original=OUT/original``). Films of a lung that was missed count with 0 and are
counted as failed.
"""

import argparse
from pathlib import Path

from patchcxr.cli.common import named_pairs
from patchcxr.report.overlap import preprocessing_table
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import to_markdown, write_table

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", metavar="NAME=FOLDER", help="a preprocessing and its finished study")
    parser.add_argument("--out", help="table to write, without suffix")
    options = parser.parse_args()
    folders = named_pairs(options.studies, "studies")
    table = preprocessing_table(
        {name: read_table(Path(folder) / "segmentation" / "summary.csv") for name, folder in folders.items()}
    )
    print(to_markdown(table))
    if options.out:
        write_table(table, options.out, kinds=("csv", "md", "tex"))
