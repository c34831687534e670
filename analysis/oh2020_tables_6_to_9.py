"""Biomarkers between classes: Oh 2020, Tables VI to IX and Fig. 4, from a table with one row a film.

    python analysis/oh2020_tables_6_to_9.py runs/biomarkers/films.csv --out runs/tables_6_to_9

The table is what ``patchcxr biomarkers`` or a study writes. Table VIII, without AP supine films, stands beside Table
VII where there are any. ``--correction none --patient ''`` counts every film and leaves the p-values as they are, as
the paper seems to.
"""

import sys

from patchcxr.cli import main
from patchcxr.report.spreadsheet import read_table

VALUES = ("lung_mean", "lung_std", "cardiothoracic_ratio")

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(main(["stats", "--help"]))
    table, *options = sys.argv[1:]
    chosen = [word for value in VALUES for word in ("--value", value)]
    films = read_table(table)
    supine = ["--exclude", "view=AP Supine"] if "view" in films and films["view"].eq("AP Supine").any() else []
    sys.exit(main(["stats", table, *chosen, "--group", "label", *supine, *options]))
