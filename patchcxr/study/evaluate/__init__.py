"""The tables of a study: what each network achieves on films of unseen patients, with intervals and tests.

Each function takes a study and a folder, reads what the steps before have
written, and writes its tables there as CSV and Markdown.
"""

from patchcxr.study.evaluate.anatomy import biomarkers, segmentation
from patchcxr.study.evaluate.classification import classification
from patchcxr.study.evaluate.detectors import detectors
from patchcxr.study.evaluate.patches import patches
from patchcxr.study.evaluate.saliency import saliency

__all__ = ["biomarkers", "classification", "detectors", "patches", "saliency", "segmentation"]
