"""Lungs, infection and detection by network: Tahir 2021, Tables 2 and 3, from cross-validations.

    patchcxr crossvalidate infection COHORT --config NAME --folds 5 --out runs/fpn
    python analysis/tahir2021_tables_2_and_3.py --infection "FPN, ResNet-18=runs/fpn" --out runs/tables_2_and_3

One ``--infection NAME=FOLDER`` or ``--lungs NAME=FOLDER`` a network; a name as the paper prints it (U-Net, UNet++ or
FPN, and the encoder) brings the printed row. The paper averages IoU and DSC over films and does not say what a control
without infection counts that is found to have none: both ways stand here.
"""

import argparse
from pathlib import Path

from patchcxr.cli.common import named_pairs
from patchcxr.report.network_tables import paper_table
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import to_markdown

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for task in ("lungs", "infection"):
        parser.add_argument(f"--{task}", action="append", default=[], metavar="NAME=FOLDER", help="cross-validation")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    options = parser.parse_args()
    if not options.lungs + options.infection:
        parser.error("give at least one --lungs NAME=FOLDER or --infection NAME=FOLDER")
    for task in ("lungs", "infection"):
        folders = named_pairs(getattr(options, task), f"--{task}")
        if not folders:
            continue
        pooled = {name: read_table(Path(folder) / "pooled.csv") for name, folder in folders.items()}
        tables = {f"table_2_{task}": paper_table(pooled, "Tahir 2021, Table 2", prefix=f"{task}, ")}
        if task == "infection":
            tables["table_3"] = paper_table(pooled, "Tahir 2021, Table 3")
        for name, table in tables.items():
            table.write(options.out / f"tahir2021_{name}", ("csv", "md", "tex"))
            print(to_markdown(table.readable, caption=table.caption, note=table.note))
