"""The report of a study: tables, figures and one HTML page, from what the steps have written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from patchcxr.study.predict import failure_table
from patchcxr.study.present.anatomy import show_biomarkers, show_segmentation
from patchcxr.study.present.cohort import show_cohort, show_trainings
from patchcxr.study.present.detectors import show_classification, show_detectors
from patchcxr.study.present.patches import show_patches
from patchcxr.study.present.presenter import Presenter
from patchcxr.study.present.saliency import show_saliency

if TYPE_CHECKING:
    from patchcxr.study.run import Study

__all__ = ["report"]


def report(study: Study, folder: Path) -> pd.DataFrame:
    """Write ``report.html`` and ``figures/`` and ``tables/`` beside it."""
    show = Presenter(study, folder)
    sections: list[tuple[str, str, Callable[[Presenter], None]]] = [
        ("cohort", "Cohort", show_cohort),
        ("segmentation", "Segmentation of lungs and heart", show_segmentation),
        ("biomarkers", "Biomarkers", show_biomarkers),
        ("classification", "Classification: whole film against patch vote", show_classification),
        ("patches", "Intensity of the patches", show_patches),
        ("detectors", "Detection: infection map against classifiers", show_detectors),
        ("saliency", "Activation maps against infection maps", show_saliency),
        ("cohort", "Trainings", show_trainings),
    ]
    for step, title, section in sections:
        show.page.section(title)
        if step not in study.steps.fingerprints:
            show.page.notice(f"Not available: {study.steps.failed.get(step, 'the step was not run')}")
            continue
        section(show)
    failures = study.steps.failures()
    show.page.section(
        "Films and steps that failed",
        "A film that fails is left out of what follows the stage named here, and of nothing else.",
    )
    show.page.failures(failures)
    show.page.write(study.out / "report.html")
    return failure_table([])
