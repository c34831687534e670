"""A figure as a paper prints it, with the numbers behind it, its caption, and the rule that chose its films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from patchcxr.report.style import save_figure
from patchcxr.report.tables import PaperTable


@dataclass(frozen=True, eq=False)
class PaperFigure:
    """A figure and its table, which are written side by side.

    Attributes
    ----------
    figure
        What is drawn.
    table
        The numbers behind it; its caption is that of the figure, and its note
        says how films were chosen.
    """

    figure: Figure
    table: PaperTable

    def write(self, path_base: str | Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
        """Write the figure in every format, the numbers as CSV, and caption, note and what readers see as Markdown.

        Parameters
        ----------
        path_base
            Where to; suffixes are appended, and the folder is made when it is missing.
        formats
            Any of :data:`~patchcxr.report.style.FORMATS`.
        """
        return [*save_figure(self.figure, path_base, formats), *self.table.write(path_base, ("csv", "md"))]


def write_figures(
    figures: Mapping[str, PaperFigure], path_base: str | Path, formats: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Write the parts of a figure, each with its suffix: ``{"": films, "_values": plot}`` gives two sets of files."""
    base = Path(path_base)
    return [path for end, part in figures.items() for path in part.write(base.with_name(base.name + end), formats)]
