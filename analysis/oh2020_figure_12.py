"""Accuracy by size of the training set, absolute and relative: Oh 2020, Fig. 12; from a finished ablation.

    patchcxr ablation oh2020 --of training_share --out runs/training_share
    python analysis/oh2020_figure_12.py runs/training_share --out runs/figure_12

What fewer films cost the segmentation (Table XV) is ``oh2020_table_15.py``.
"""

import argparse

from patchcxr.report.ablation import (
    ABLATION_TABLES,
    ablation_table,
    classification_scores_of,
    read_ablation,
    training_share_figure,
)
from patchcxr.report.style import save_figure
from patchcxr.report.tables import to_markdown

FIGURE = "Fig. 12"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of the ablation")
    parser.add_argument("--out", required=True, help="figure and table to write, without suffix")
    options = parser.parse_args()
    found = read_ablation(options.folder, ABLATION_TABLES[FIGURE].ablation)
    table = ablation_table(found, FIGURE)
    print(to_markdown(table.readable, caption=table.caption, note=table.note))
    table.write(options.out, ("csv", "md", "tex"))
    save_figure(training_share_figure(classification_scores_of(found.found)), options.out)
