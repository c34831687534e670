"""What every section of the report needs: the page, its figures and tables, and the names of methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from patchcxr import __version__
from patchcxr.config import fingerprint
from patchcxr.errors import PatchCXRError
from patchcxr.report.figures import save_figure
from patchcxr.report.page import Report
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from patchcxr.study.run import Study

DIFFERENT = (
    "The papers' numbers come from other films, other readers and longer trainings; they stand here for orientation, "
    "and no difference to them is a finding."
)
NAMES = {
    "infection": "Infection map",
    "local": "Patch vote (local)",
    "global": "Whole film (global)",
    "global_gradcam": "Global Grad-CAM",
    "probabilistic_gradcam": "Probabilistic Grad-CAM",
    "infection_map": "Infection map",
}


class Presenter:
    """Collects the page, its figures and tables, and says what is missing instead of stopping."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.study = study
        self.folder = folder
        config = study.config
        self.page = Report(
            config.title,
            "Lungs and heart segmented, patches voted on, saliency maps measured, detectors compared.",
            {
                "patchcxr": __version__,
                "Configuration": fingerprint(config),
                "Seed": config.seed,
                "Films": len(study.table),
                "Time of all steps": f"{sum(study.steps.seconds.values()) / 60:.1f} min",
            },
        )

    def table(self, step: str, name: str) -> pd.DataFrame:
        """A table that a step has written; ids stay text."""
        path = self.study.out / step / f"{name}.csv"
        if not path.is_file():
            raise PatchCXRError(f"the step {step!r} has written no table {name!r}")
        return read_table(path)

    def figure(self, figure: Figure, name: str, caption: str, alt: str) -> None:
        """Save a figure in every format, and put it on the page."""
        paths = save_figure(figure, self.study.out / "figures" / name, self.study.config.report.formats)
        png = [path for path in paths if path.suffix == ".png"]
        self.page.figure(png[0] if png else figure, caption, alt)

    def show(self, table: pd.DataFrame, name: str, caption: str, note: str = "", **formats: str) -> None:
        """Save a table as CSV and Markdown, and put it on the page."""
        write_table(table, self.study.out / "tables" / name)
        self.page.table(table, caption, note, formats or None)
