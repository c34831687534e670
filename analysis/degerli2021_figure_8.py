"""Infection maps against activation maps: Degerli 2021, Fig. 8, shown and measured, from a finished study.

    python analysis/degerli2021_figure_8.py runs/demo --out runs/figures/degerli2021_figure_8

Films are evenly spaced in the order of the truly infected share of the lungs, which favours no map. A second figure,
``_values``, has the measures of every film with paired tests.
"""

import sys

from patchcxr.cli.figures import WIDTHS_MM, draw, figure_parser
from patchcxr.study.examples import open_study
from patchcxr.study.infection_figure import degerli2021_figure_8

if __name__ == "__main__":
    options = figure_parser(__doc__, films=4).parse_args()
    look = (options.colormap, options.original, WIDTHS_MM[options.width])
    sys.exit(draw(options, lambda: degerli2021_figure_8(open_study(options.study), options.films, *look)))
