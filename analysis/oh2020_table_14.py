"""Classification by segmentation network: Oh 2020, Table XIV; from a finished ablation.

patchcxr ablation oh2020 --of segmentation_network --out runs/segmentation_network
python analysis/oh2020_table_14.py runs/segmentation_network --out runs/table_14
"""

import argparse

from patchcxr.report.ablation import ABLATION_TABLES, ablation_table, read_ablation
from patchcxr.report.tables import to_markdown

TABLE = "Table XIV"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of the ablation")
    parser.add_argument("--out", help="table to write, without suffix")
    options = parser.parse_args()
    table = ablation_table(read_ablation(options.folder, ABLATION_TABLES[TABLE].ablation), TABLE)
    print(to_markdown(table.readable, caption=table.caption, note=table.note))
    if options.out:
        table.write(options.out, ("csv", "md", "tex"))
