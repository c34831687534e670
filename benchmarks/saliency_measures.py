"""Time the saliency measures on 64 maps of 256 x 256 against Quantus and scikit-learn.

Run ``python benchmarks/saliency_measures.py`` where patchcxr is installed; Quantus (``pip install quantus``, GPL) is
timed where it can be imported and left out where not. It may have an environment of its own, which needs no PyTorch:
``PYTHONPATH=. OTHER/bin/python benchmarks/saliency_measures.py``.

All sides see the same maps in turn, map by map, so that a busy machine slows all of them; the least time a map over the
rounds is kept, and the means over the maps are printed. Quantus is called as its documentation says, without its
normalisation and warnings, for its five localisation measures; best IoU it does not have, and is left out of its side.
"""

import importlib.util
import time
import warnings

import cv2
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from patchcxr.measure.localization import localization_scores

MAPS, SIZE, ROUNDS = 64, 256, 2
SHARED = {  # name of Quantus's measure: ours where both say the same
    "PointingGame": "hit",
    "AttributionLocalisation": "energy_in_lesion",
    "RelevanceMassAccuracy": "energy_in_lesion",
    "RelevanceRankAccuracy": None,
    "AUC": "auroc",
}


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


def quantus_measures():
    """Quantus's measures by name, each a function of a map and a lesion; none where it cannot be imported."""
    if importlib.util.find_spec("quantus") is None:
        print("Quantus is not installed here and is left out; pip install quantus")
        return {}
    import quantus

    film, label = np.zeros((1, 1, SIZE, SIZE), np.float32), np.zeros(1, int)

    def as_function(name):
        metric = getattr(quantus, name)(disable_warnings=True, normalise=False, abs=False, display_progressbar=False)
        return lambda saliency, lesion: metric(
            model=None, x_batch=film, y_batch=label, a_batch=saliency[None, None], s_batch=lesion[None, None]
        )[0]

    return {name: as_function(name) for name in SHARED}


def main():
    """Print milliseconds a map for every side, the ratios and the largest disagreements."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    cases = [make_case(rng) for _ in range(MAPS)]
    theirs = quantus_measures()
    sides = {
        "patchcxr": lambda saliency, lesion, lungs: localization_scores(saliency, lesion, lungs),
        "AP": lambda saliency, lesion, _: average_precision_score(lesion.ravel(), saliency.ravel()),
        "AUROC": lambda saliency, lesion, _: roc_auc_score(lesion.ravel(), saliency.ravel()),
    }
    sides |= {name: lambda saliency, lesion, _, of=of: of(saliency, lesion) for name, of in theirs.items()}
    least = {name: np.full(MAPS, np.inf) for name in sides}
    values = {name: [None] * MAPS for name in sides}
    for _ in range(ROUNDS):
        for index, case in enumerate(cases):
            for name, side in sides.items():
                start = time.perf_counter()
                values[name][index] = side(*case)
                least[name][index] = min(least[name][index], time.perf_counter() - start)
    cost = {name: 1e3 * float(times.mean()) for name, times in least.items()}
    ours = cost["patchcxr"]
    print(f"patchcxr localization_scores, all twelve measures   {ours:8.2f} ms a map")
    for name in theirs:
        print(f"Quantus {name:44}{cost[name]:8.2f} ms a map")
    if theirs:
        mine = [name for name in theirs if name != "AttributionLocalisation"]  # mass accuracy under another name
        total = sum(cost[name] for name in mine)
        print(f"Quantus, pointing game, mass, rank and AUROC together {total:6.2f} ms a map  ratio {total / ours:.1f}")
    print(f"scikit-learn AP and AUROC together                  {cost['AP'] + cost['AUROC']:8.2f} ms a map  ratio "
          f"{(cost['AP'] + cost['AUROC']) / ours:.1f}")  # fmt: skip
    for name, mine in {"AP": "average_precision", **SHARED, "AUROC": "auroc"}.items():
        if mine and name in values:
            apart = max(abs(ours[mine] - float(x)) for ours, x in zip(values["patchcxr"], values[name], strict=True))
            print(f"largest disagreement with {name}: {apart:.1e}")


if __name__ == "__main__":
    main()
