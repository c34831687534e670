"""Label maps from masks of readers who draw different lungs.

JSRT's lungs end at the heart, other lungs include the part behind it, and
many films have no mask of the heart at all. Each mask rules out some of the
classes of :data:`patchcxr.types.PARTITION` for a pixel; what is left is a set,
written as an integer with bit c set where class c is possible, for
:class:`patchcxr.training.losses.PartialCrossEntropy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from patchcxr.errors import MaskError
from patchcxr.preprocessing.lungfields import separate_lungs
from patchcxr.types import PARTITION, BoolArray


def bits(names: Iterable[str]) -> int:
    """The set of the named classes.

    >>> bits(["background", "heart"])
    3
    """
    return sum(1 << PARTITION.index(name) for name in names)


EVERYTHING: Final = bits(PARTITION)
HEART: Final = bits(["heart", "left_lung_behind_heart", "right_lung_behind_heart"])
FIELD: Final = {side: bits([f"{side}_lung"]) for side in ("left", "right")}
WHOLE: Final = {side: bits([f"{side}_lung", f"{side}_lung_behind_heart"]) for side in ("left", "right")}


def possible_classes(masks: Mapping[str, BoolArray], whole_lungs: bool = False) -> npt.NDArray[np.uint8]:
    """Set of possible classes of every pixel, from the masks of a film that are known.

    Parameters
    ----------
    masks
        Some of ``right_lung``, ``left_lung``, ``heart`` and ``lung`` (both),
        bool (H, W). A mask that is not given rules out nothing. ``lung`` is
        used where ``whole_lungs`` is set, and is split into sides where it falls
        into two parts (:func:`patchcxr.preprocessing.lungfields.separate_lungs`).
    whole_lungs
        Whether the lungs include the part behind the heart.

    Returns
    -------
    uint8 (H, W)
        Sets as bits over ``PARTITION``. Where masks contradict one another
        every class is possible.

    Raises
    ------
    MaskError
        If no mask is given.
    """
    given = {name: mask for name, mask in masks.items() if name in ("right_lung", "left_lung", "heart", "lung")}
    if not given:
        raise MaskError(f"got masks {sorted(masks)}; expected some of right_lung, left_lung, heart and lung")
    sets = np.full(next(iter(given.values())).shape, EVERYTHING, dtype=np.uint8)
    if "heart" in given:
        _apply(sets, given["heart"], HEART)
    lungs = WHOLE if whole_lungs else FIELD
    if whole_lungs and "lung" in given:
        parts = separate_lungs(given["lung"])
        _apply(sets, given["lung"], lungs["left"] | lungs["right"])
        if parts is not None:
            right, left = parts
            sets[right] &= ~np.uint8(lungs["left"])
            sets[left] &= ~np.uint8(lungs["right"])
    else:
        for side in ("left", "right"):
            if f"{side}_lung" in given:
                _apply(sets, given[f"{side}_lung"], lungs[side])
    sets[sets == 0] = EVERYTHING
    return sets


def _apply(sets: npt.NDArray[np.uint8], mask: BoolArray, inside: int) -> None:
    """Inside the mask only ``inside`` is possible, outside of it only the rest."""
    sets &= np.where(mask, np.uint8(inside), np.uint8(EVERYTHING & ~inside))
