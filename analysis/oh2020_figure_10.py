"""Training and validation by epoch, global and local approach: Oh 2020, Fig. 10, from a finished study.

    python analysis/oh2020_figure_10.py runs/oh2020 --out runs/figures/oh2020_figure_10

The paper draws accuracy and F1; what the histories of the trainings lack is left out.
"""

import sys

from patchcxr.cli.figures import draw, figure_parser
from patchcxr.study.paper_classification import oh2020_figure_10

if __name__ == "__main__":
    options = figure_parser(__doc__).parse_args()
    sys.exit(draw(options, lambda: oh2020_figure_10(options.study)))
