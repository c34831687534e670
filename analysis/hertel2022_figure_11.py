"""Grad-CAM with and without lung segmentation, and its share outside the lungs: Hertel 2022, Fig. 11.

    patchcxr ablation demo --of region --out runs/region
    python analysis/hertel2022_figure_11.py runs/region/mask runs/region/whole --out runs/figures/hertel2022_figure_11

The first study saw the lungs alone, the second whole films. In place of the second a network can be given, with
``--networks MASKED WHOLE``: films and lungs are then those of the study, and the maps are computed beside ``--out``.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from patchcxr.cli.figures import WIDTHS_MM, draw, figure_parser
from patchcxr.models.trained import load_model
from patchcxr.report.paper_figure import PaperFigure
from patchcxr.study.examples import open_study
from patchcxr.study.outside_lungs import hertel2022_figure_11, maps_of_model, maps_of_study

if __name__ == "__main__":
    parser = figure_parser(__doc__, films=3)
    parser.add_argument("whole", type=Path, nargs="?", help="folder of the study on whole films")
    parser.add_argument("--networks", type=Path, nargs=2, metavar=("MASKED", "WHOLE"), help="two files of networks")
    options = parser.parse_args()
    if (options.whole is None) == (options.networks is None):
        parser.error("give either a second study or --networks")

    def make() -> Mapping[str, PaperFigure]:
        """Maps of either kind, and the figure."""
        study = open_study(options.study)
        if options.networks:
            masked, whole = (load_model(path) for path in options.networks)
            beside = options.out.with_name(options.out.name + "_maps")
            maps = {
                "with": maps_of_model(study, masked, True, beside / "with"),
                "without": maps_of_model(study, whole, False, beside / "without"),
            }
        else:
            maps = {"with": maps_of_study(study, True), "without": maps_of_study(open_study(options.whole), False)}
        look = (options.colormap, options.original, WIDTHS_MM[options.width])
        return hertel2022_figure_11(study, maps, options.films, *look)

    sys.exit(draw(options, make))
