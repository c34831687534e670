"""What the scripts of the papers' figures share: their options, and writing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from patchcxr.errors import PatchCXRError

if TYPE_CHECKING:
    from patchcxr.report.paper_figure import PaperFigure

WIDTHS_MM = {"single": 85.0, "double": 174.0}


def figure_parser(text: str, films: int | None = None) -> argparse.ArgumentParser:
    """Parser of a figure's script: the study's folder, ``--out``, ``--formats``, and what figures of films have more.

    Parameters
    ----------
    text
        Docstring of the script; its first line says what it draws.
    films
        Films by default; None for a figure that shows none.
    """
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of a finished study")
    parser.add_argument("--out", type=Path, required=True, help="files to write, without suffix")
    parser.add_argument("--formats", nargs="+", default=["png", "svg"], choices=["png", "svg", "pdf"])
    if films is not None:
        from patchcxr.explain.infection_map import COLORMAPS

        parser.add_argument("--films", type=int, default=films, help="films to show; default %(default)s")
        parser.add_argument(
            "--colormap", choices=COLORMAPS, default=COLORMAPS[0],
            help="jet as in the papers, or one that is safe for defective colour vision; default %(default)s",
        )  # fmt: skip
        parser.add_argument("--original", action="store_true", help="show films as read, not as the networks see them")
        parser.add_argument("--width", choices=list(WIDTHS_MM), default="double", help="column; default %(default)s")
    return parser


def draw(options: argparse.Namespace, make: Callable[[], Mapping[str, PaperFigure]]) -> int:
    """Make the parts of a figure, write them, and print their tables and paths; an expected error is one line."""
    from patchcxr.report.paper_figure import write_figures
    from patchcxr.report.tables import to_markdown

    try:
        figures = make()
        paths = write_figures(figures, options.out, options.formats)
    except PatchCXRError as error:
        print(f"patchcxr: error: {error}", file=sys.stderr)
        return 2
    for part in figures.values():
        print(to_markdown(part.table.readable, caption=part.table.caption, note=part.table.note))
    print("\n".join(map(str, paths)))
    return 0
