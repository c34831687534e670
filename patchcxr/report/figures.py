"""Every figure of the package, in one place.

>>> from patchcxr.report import figures
>>> figure = figures.confusion_figure({"global": [[9, 1], [2, 8]]}, ["normal", "covid19"])
>>> len(figure.axes)
2
"""

from __future__ import annotations

from patchcxr.report.ablation import training_share_figure
from patchcxr.report.agreement import bland_altman_figure
from patchcxr.report.cardiothoracic import cardiothoracic_figure
from patchcxr.report.curves import confusion_figure, decision_curve_figure, roc_pr_figure, training_curves
from patchcxr.report.films import contact_sheet, segmentation_examples
from patchcxr.report.forest import forest_figure
from patchcxr.report.groups import groups_figure, patch_intensity_figure
from patchcxr.report.intensity import intensity_figure
from patchcxr.report.saliency import SaliencyRow, draw_scale, saliency_panel
from patchcxr.report.statistics import follow_up_figure, group_scatter, localization_figure, severity_figure
from patchcxr.report.style import save_figure
from patchcxr.report.triage import triage_curve_figure, triage_figure

__all__ = [
    "SaliencyRow",
    "bland_altman_figure",
    "cardiothoracic_figure",
    "confusion_figure",
    "contact_sheet",
    "decision_curve_figure",
    "draw_scale",
    "follow_up_figure",
    "forest_figure",
    "group_scatter",
    "groups_figure",
    "intensity_figure",
    "localization_figure",
    "patch_intensity_figure",
    "roc_pr_figure",
    "saliency_panel",
    "save_figure",
    "segmentation_examples",
    "severity_figure",
    "training_curves",
    "training_share_figure",
    "triage_curve_figure",
    "triage_figure",
]
