"""Infection segmentation and detection by network: Degerli 2021, Tables 2 and 3, from cross-validations.

    patchcxr crossvalidate infection COHORT --config NAME --folds 5 --out runs/unet
    python analysis/degerli2021_tables_2_and_3.py "U-Net, DenseNet-121=runs/unet" --out runs/tables_2_and_3

One ``NAME=FOLDER`` a network. A name as the paper prints it brings the printed row: U-Net, UNet++ or DLA, the encoder,
and ``, frozen`` for a frozen one.
"""

import argparse
from pathlib import Path

from patchcxr.cli.common import named_pairs
from patchcxr.report.network_tables import paper_table
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import to_markdown

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER", help="finished cross-validations of the infection")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    options = parser.parse_args()
    folders = named_pairs(options.runs, "NAME=FOLDER")
    pooled = {name: read_table(Path(folder) / "pooled.csv") for name, folder in folders.items()}
    for number in (2, 3):
        table = paper_table(pooled, f"Degerli 2021, Table {number}")
        table.write(options.out / f"degerli2021_table_{number}", ("csv", "md", "tex"))
        print(to_markdown(table.readable, caption=table.caption, note=table.note))
