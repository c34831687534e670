"""Global Grad-CAM, film, and probabilistic Grad-CAM of COVID-19 patients: Oh 2020, Fig. 7, from a finished study.

    python analysis/oh2020_figure_7.py runs/oh2020 --out runs/figures/oh2020_figure_7

Films are evenly spaced in the order of the patch vote's probability, the highest first, so that failures are shown
too; the rule is printed and stands in the note of the table. ``--label viral`` shows films of another label.
"""

import sys

from patchcxr.cli.figures import WIDTHS_MM, draw, figure_parser
from patchcxr.study.examples import open_study
from patchcxr.study.paper_maps import oh2020_figure_7

if __name__ == "__main__":
    parser = figure_parser(__doc__, films=3)
    parser.add_argument("--label", help="label or class of the films; default covid19, else the explained class")
    options = parser.parse_args()
    look = (options.colormap, options.original, WIDTHS_MM[options.width])
    sys.exit(draw(options, lambda: oh2020_figure_7(open_study(options.study), options.films, options.label, *look)))
