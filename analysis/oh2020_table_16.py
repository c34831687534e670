"""Classification with and without the lung mask, and by the mask alone: Oh 2020, Table XVI and section V-F.

patchcxr ablation oh2020 --of region --out runs/region
patchcxr ablation oh2020 --of lung_outline --out runs/lung_outline
python analysis/oh2020_table_16.py runs/region --outline runs/lung_outline --out runs/table_16
"""

import argparse

from patchcxr.report.ablation import ABLATION_TABLES, ablation_table, outline_table, read_ablation
from patchcxr.report.tables import to_markdown

TABLE = "Table XVI"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of the ablation of the region")
    parser.add_argument("--outline", help="folder of the ablation lung_outline")
    parser.add_argument("--out", help="table to write, without suffix")
    options = parser.parse_args()
    tables = {"": ablation_table(read_ablation(options.folder, ABLATION_TABLES[TABLE].ablation), TABLE)}
    if options.outline:
        tables["_outline"] = outline_table(read_ablation(options.outline, "lung_outline"))
    for name, table in tables.items():
        print(to_markdown(table.readable, caption=table.caption, note=table.note))
        if options.out:
            table.write(options.out + name, ("csv", "md", "tex"))
