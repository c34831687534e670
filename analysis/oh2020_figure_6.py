"""Confusion matrices of the global and the local approach: Oh 2020, Fig. 6, from a finished study.

    python analysis/oh2020_figure_6.py runs/oh2020 --out runs/figures/oh2020_figure_6

Writes the figure, its counts and shares as CSV, and a table for readers.
"""

import sys

from patchcxr.cli.figures import draw, figure_parser
from patchcxr.study.paper_classification import oh2020_figure_6

if __name__ == "__main__":
    options = figure_parser(__doc__).parse_args()
    sys.exit(draw(options, lambda: oh2020_figure_6(options.study)))
