"""What fewer training films cost the segmentation of lungs and heart: Oh 2020, Table XV.

    patchcxr crossvalidate anatomy COHORT --training-share 0.5 --out runs/half         # also 1, 0.3 and 0.1
    python analysis/oh2020_table_15.py "100 %, preprocessed=runs/all" "50 %, preprocessed=runs/half" --out runs/table_15

The first run is the one that the others are compared with. A name as the paper prints it (100, 50, 30 or 10 %, with
``, preprocessed`` or ``, original``) brings the printed value, which is on NLM(MC), a source that its networks never
saw; for such a source give ``segmentation/scores.csv`` of studies in place of cross-validations.
"""

import argparse
from pathlib import Path

from patchcxr.cli.common import named_pairs
from patchcxr.report.network_tables import overlap_films, overlap_table
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import to_markdown

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=PATH", help="the whole training set first, then its shares")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table")
    options = parser.parse_args()
    paths = {name: Path(path) for name, path in named_pairs(options.runs, "NAME=PATH").items()}
    films = {
        name: overlap_films(read_table(path / "films.csv" if path.is_dir() else path)) for name, path in paths.items()
    }
    table = overlap_table(films, next(iter(films)), printed=("Table XV", lambda share, source: share))
    table.write(options.out / "oh2020_table_15", ("csv", "md", "tex"))
    print(to_markdown(table.readable, caption=table.caption, note=table.note))
