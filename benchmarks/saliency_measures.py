"""Time the saliency measures on 64 maps of 256 x 256 against scikit-learn.

Run ``python benchmarks/saliency_measures.py``. Both sides see the same maps, in turn; medians are printed.
"""

import statistics
import time

import cv2
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from patchcxr.measure.localization import localization_scores

MAPS = 64
SIZE = 256


def make_case(rng):
    """Return a smooth map, as a Grad-CAM is after upsampling, a lesion and the lungs."""
    coarse = np.maximum(rng.normal(0.2, 0.5, (8, 8)), 0).astype(np.float32)
    saliency = np.maximum(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0)
    lesion = np.zeros((SIZE, SIZE), bool)
    row, column = rng.integers(40, 160, 2)
    lesion[row : row + 50, column : column + 60] = True
    lungs = np.zeros((SIZE, SIZE), bool)
    lungs[30:220, 30:110] = lungs[30:220, 145:225] = True
    return saliency, lesion, lungs


def main():
    """Print milliseconds a map for both sides, their ratio and the largest disagreement."""
    rng = np.random.default_rng(0)
    ours, theirs, disagreement = [], [], 0.0
    for _ in range(MAPS):
        saliency, lesion, lungs = make_case(rng)
        start = time.perf_counter()
        scores = localization_scores(saliency, lesion, lungs)
        ours.append(time.perf_counter() - start)
        labels, values = lesion.ravel(), saliency.ravel()
        start = time.perf_counter()
        expected = average_precision_score(labels, values), roc_auc_score(labels, values)
        theirs.append(time.perf_counter() - start)
        disagreement = max(
            disagreement, abs(scores["average_precision"] - expected[0]), abs(scores["auroc"] - expected[1])
        )
    fast, slow = 1e3 * statistics.median(ours), 1e3 * statistics.median(theirs)
    print(f"patchcxr localization_scores, all ten measures  {fast:7.2f} ms a map")
    print(f"scikit-learn average precision and AUROC alone  {slow:7.2f} ms a map  ratio {slow / fast:.1f}")
    print(f"largest disagreement  {disagreement:.1e}")


if __name__ == "__main__":
    main()
