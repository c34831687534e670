"""Saliency maps and infection maps measured against ground-truth lesions.

One sort of a map yields every measure that depends on the order of its pixels.

**Empty lesions and empty maps**, here and in every table that is made of these scores: a film without a lesion has
nothing to be found, so every score but the energies of the lungs is NaN, and it is in no mean and no test. A map that
is zero everywhere beside a lesion is a miss: it scores 0 and stays in the mean.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from patchcxr.errors import ConfigError, ImageError
from patchcxr.measure._checks import as_map, as_mask, check_same_shape
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

MEASURES = (
    "pointing_hit",
    "hit",
    "energy_in_lesion",
    "energy_in_lungs",
    "energy_outside_lungs",
    "iou_at_half",
    "dice_at_half",
    "best_iou",
    "best_dice",
    "iou_at_otsu",
    "auroc",
    "average_precision",
)
"""Names of the scores, in the order of :func:`localization_scores`; all lie in [0, 1]."""


def localization_scores(
    saliency: FloatArray,
    lesion_mask: BoolArray,
    lung_mask: BoolArray | None = None,
    scale: Literal["max", "none"] = "max",
) -> dict[str, float]:
    """Measure how well a map localizes a lesion.

    Parameters
    ----------
    saliency
        Map (H, W) of finite, non-negative values, such as a Grad-CAM after its ReLU or an infection map.
    lesion_mask
        Boolean ground truth (H, W), at the size of the map.
    lung_mask
        Boolean mask (H, W); None leaves the energies of the lungs NaN.
    scale
        What *half* means in ``iou_at_half`` and ``dice_at_half``: ``"max"`` half of the map's own maximum, for
        activation maps, whose scale is arbitrary; ``"none"`` the value 0.5, for probabilities. All other scores
        depend on no threshold, and none depends on the map's scale.

    Returns
    -------
    dict
        ``pointing_hit``
            Pointing game (Zhang 2018): whether the maximum lies in the lesion. If several pixels share the maximum,
            their share in the lesion, the expectation of a pointing at random among them. 0 if the map is zero
            everywhere, because such a map points nowhere.
        ``hit``
            The same as CheXlocalize counts it (Saporta 2022): the first maximum, row by row; its mean is the hit rate.
            It differs where maxima are tied.
        ``energy_in_lesion``, ``energy_in_lungs``, ``energy_outside_lungs``
            Shares of the map's sum. For a zero map the first is 0 (the lesion is missed, and the miss stays in the
            mean) and the others are NaN.
        ``iou_at_half``, ``dice_at_half``
            Overlap with the pixels at or above half.
        ``best_iou``, ``best_dice``
            Largest overlap over all thresholds; a pixel of zero saliency is never marked, so a zero map scores 0. The
            threshold is chosen with the truth in view: what the map could reach, not what it reaches.
        ``iou_at_otsu``
            Overlap with the pixels above Otsu's threshold of the map stretched to 0 to 255, the segmentation of
            CheXlocalize; its mean is their mIoU. A constant map marks nothing and scores 0 (they leave it out).
        ``auroc``, ``average_precision``
            Pixels as cases, over the whole film; ties are exact, as in scikit-learn. A constant map has 0.5 and the
            lesion's share of the film.

        If the lesion is empty every score is NaN except the energies of the lungs. If the lesion fills the film,
        ``auroc`` is NaN.

    Raises
    ------
    ImageError
        If the map is not (H, W), is NaN or infinite, is negative somewhere, or exceeds 1 with ``scale="none"``.
    MaskError
        If a mask is not boolean or has another shape.
    ConfigError
        If the scale is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> saliency = np.array([[0.8, 0.4, 0.3], [0.1, 0.0, 0.0]])
    >>> lesion = np.array([[True, True, False], [False, False, False]])
    >>> scores = localization_scores(saliency, lesion)
    >>> scores["pointing_hit"], round(scores["energy_in_lesion"], 3), scores["iou_at_half"], scores["auroc"]
    (1.0, 0.75, 1.0, 1.0)
    """
    if scale not in ("max", "none"):
        raise ConfigError(f"scale is {scale!r}; expected 'max' (activation maps) or 'none' (probabilities)")
    saliency = as_map(saliency, "saliency")
    lowest, highest = float(saliency.min()), float(saliency.max())
    if lowest < 0:
        raise ImageError(
            f"saliency has negative values (lowest {lowest:.3g}); expected a non-negative map; "
            "apply the ReLU of Grad-CAM, np.maximum(saliency, 0), first"
        )
    if scale == "none" and highest > 1:
        raise ImageError(
            f"saliency reaches {highest:.3g}; scale='none' expects probabilities in [0, 1]; "
            "apply a sigmoid to logits, or use scale='max'"
        )
    lesion_mask = as_mask(lesion_mask, "lesion_mask")
    check_same_shape(lesion_mask, "lesion_mask", saliency.shape, "saliency")
    scores: dict[str, float] = dict.fromkeys(MEASURES, float("nan"))
    scores |= _energies(saliency, lesion_mask, lung_mask)
    if not lesion_mask.any():
        return scores

    values, hits, counts = _ranked_groups(saliency, lesion_mask)
    lesion, pixels = int(hits[-1]), saliency.size
    misses = counts - hits
    groups = values.size - int(values[-1] == 0)  # those of positive saliency
    half = 0.5 * highest if scale == "max" else 0.5
    marked = min(int(np.count_nonzero(values >= half)), groups)
    tp, fp = (int(hits[marked - 1]), int(misses[marked - 1])) if marked else (0, 0)
    best = float(np.max(hits[:groups] / (lesion + misses[:groups]), initial=0.0))

    scores["pointing_hit"] = float(hits[0] / counts[0]) if groups else 0.0
    scores["hit"] = float(groups > 0 and lesion_mask.ravel()[np.argmax(saliency)])
    scores["iou_at_half"] = tp / (lesion + fp)
    scores["dice_at_half"] = 2 * tp / (lesion + tp + fp)
    scores["best_iou"] = best
    scores["best_dice"] = 2 * best / (1 + best)  # Dice grows with IoU, so one threshold is best for both
    scores["iou_at_otsu"] = _overlap_at_otsu(saliency, lesion_mask, lesion, lowest, highest)
    new_hits = np.diff(hits, prepend=0).astype(np.float64)
    if lesion < pixels:
        lower = (pixels - lesion) - 0.5 * (misses + np.concatenate(([0], misses[:-1])))
        scores["auroc"] = float(new_hits @ lower) / (lesion * (pixels - lesion))
    scores["average_precision"] = float(new_hits @ (hits / counts)) / lesion
    return scores


def _energies(saliency: AnyArray, lesion_mask: BoolArray, lung_mask: BoolArray | None) -> dict[str, float]:
    total = saliency.sum(dtype=np.float64)
    energies = {}
    if lesion_mask.any():
        inside = saliency[lesion_mask].sum(dtype=np.float64)
        energies["energy_in_lesion"] = float(inside / total) if total > 0 else 0.0
    if lung_mask is not None:
        lung_mask = as_mask(lung_mask, "lung_mask")
        check_same_shape(lung_mask, "lung_mask", saliency.shape, "saliency")
        if total > 0:
            inside = saliency[lung_mask].sum(dtype=np.float64)
            outside = saliency[~lung_mask].sum(dtype=np.float64)
            energies["energy_in_lungs"] = float(inside / total)
            energies["energy_outside_lungs"] = float(outside / total)
    return energies


def _overlap_at_otsu(saliency: AnyArray, lesion_mask: BoolArray, lesion: int, lowest: float, highest: float) -> float:
    if highest == lowest:
        return 0.0
    grey = (255 * ((saliency - lowest) / (highest - lowest))).astype(np.uint8)
    marked = cv2.threshold(grey, 0, 1, cv2.THRESH_OTSU)[1].view(np.bool_)
    tp = int(np.count_nonzero(marked & lesion_mask))
    return tp / (lesion + int(np.count_nonzero(marked)) - tp)


def _ranked_groups(saliency: AnyArray, lesion_mask: BoolArray) -> tuple[AnyArray, IntArray, IntArray]:
    """Distinct values, highest first, with the lesion pixels and all pixels at or above each.

    The bits of a non-negative float, read as an unsigned integer, keep its order and leave the sign bit free, so
    value and label fit one key: sorting the keys is several times faster than an argsort and a gather.
    """
    unsigned = np.uint32 if saliency.dtype == np.float32 else np.uint64
    bits = (saliency.ravel() + saliency.dtype.type(0)).view(unsigned)  # + 0 turns -0.0 into 0.0
    keys = bits << unsigned(1)
    keys |= lesion_mask.ravel()
    keys.sort()
    keys = keys[::-1]
    last = np.append(np.flatnonzero((keys[1:] ^ keys[:-1]) > 1), keys.size - 1)
    hits = np.cumsum(keys & unsigned(1), dtype=np.int64)
    return (keys.take(last) >> unsigned(1)).view(saliency.dtype), hits.take(last), last + 1
