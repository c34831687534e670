"""Probabilistic Grad-CAM of COVID-19 for films of every class, on one scale: Oh 2020, Fig. 8, from a finished study.

    python analysis/oh2020_figure_8.py runs/oh2020 --out runs/figures/oh2020_figure_8

Shows the median film of each class by the mean of its map in the lungs (``--films 3``: three of each class, from
highest to lowest), and as a second figure, ``_values``, that mean for every test film.
"""

import sys

from patchcxr.cli.figures import WIDTHS_MM, draw, figure_parser
from patchcxr.study.examples import open_study
from patchcxr.study.paper_maps import oh2020_figure_8

if __name__ == "__main__":
    options = figure_parser(__doc__, films=1).parse_args()
    look = (options.colormap, options.original, WIDTHS_MM[options.width])
    sys.exit(draw(options, lambda: oh2020_figure_8(open_study(options.study), options.films, *look)))
