"""Jaccard of lungs and heart by network, with Wilcoxon signed-rank tests: Oh 2020, Table XIII.

    patchcxr crossvalidate anatomy COHORT --config NAME --out runs/fc_densenet103      # and again for U-Net
    python analysis/oh2020_table_13.py "FC-DenseNet103=runs/fc_densenet103" "U-Net=runs/unet" --out runs/table_13

Each run is a folder of a cross-validation or of ``patchcxr evaluate``, or the table ``segmentation/scores.csv`` of a
study, whose unseen films are taken (so that a source that the networks never saw can be compared, as NLM(MC) in the
paper). Networks of one kind with and without preprocessing are compared alike.
"""

import argparse
from pathlib import Path

from patchcxr.cli.common import named_pairs
from patchcxr.report.network_tables import overlap_films, overlap_table
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import to_markdown

PLACES = {"jsrt": "JSRT", "montgomery": "NLM(MC)"}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=PATH", help="two networks or more, measured on the same films")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table")
    options = parser.parse_args()
    paths = {name: Path(path) for name, path in named_pairs(options.runs, "NAME=PATH").items()}
    films = {
        name: overlap_films(read_table(path / "films.csv" if path.is_dir() else path)) for name, path in paths.items()
    }
    printed = ("Table XIII", lambda network, source: f"{network}, {PLACES.get(source, source)}")
    table = overlap_table(films, printed=printed)
    table.write(options.out / "oh2020_table_13", ("csv", "md", "tex"))
    print(to_markdown(table.readable, caption=table.caption, note=table.note))
