"""Every figure of the package, in one place.

>>> from patchcxr.report import figures
>>> figure = figures.confusion_figure({"global": [[9, 1], [2, 8]]}, ["normal", "covid19"])
>>> len(figure.axes)
2
"""

from __future__ import annotations

from patchcxr.report.curves import confusion_figure, roc_pr_figure, training_curves
from patchcxr.report.films import cardiothoracic_figure, contact_sheet, segmentation_examples
from patchcxr.report.saliency import SaliencyRow, draw_scale, saliency_panel
from patchcxr.report.statistics import follow_up_figure, group_scatter, localization_figure, severity_figure
from patchcxr.report.style import save_figure

__all__ = [
    "SaliencyRow",
    "cardiothoracic_figure",
    "confusion_figure",
    "contact_sheet",
    "draw_scale",
    "follow_up_figure",
    "group_scatter",
    "localization_figure",
    "roc_pr_figure",
    "saliency_panel",
    "save_figure",
    "segmentation_examples",
    "severity_figure",
    "training_curves",
]
