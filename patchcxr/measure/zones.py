"""Zones of the lungs: upper, middle and lower third; central and peripheral half.

*Upper, middle, lower* are thirds of each lung's own height, from its highest to its lowest row, the zones of a
radiologist's report (and of the SARS and COVID-19 series that read films by zone). Each lung has its own thirds,
because the right one usually stands higher; a zone of both lungs is the union of the two. *Central and peripheral* are
the halves of each row of a lung, from its medial to its lateral border, so that the dividing line follows the chest
wall as it does when a reader halves the way from the hilum to the lateral edge. The hilum itself is not segmented, so
the medial border of the lung field stands for it.

A third holds the rows whose centre lies in it; a pixel on the dividing line of its row is central. The five zones
therefore hold every lung pixel twice: once by height and once by depth. Lungs of fewer than three rows, or of a single
column, lack zones. Stray specks stretch a lung: clean the masks first, as
:func:`patchcxr.inference.segmentation.anatomy_masks` does.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.types import BoolArray, FloatArray, IntArray

VERTICAL: Final = ("upper", "middle", "lower")
DEPTH: Final = ("central", "peripheral")
ZONES: Final = (*VERTICAL, *DEPTH)
ORGANS: Final = ("lung", "right_lung", "left_lung")
"""Both lungs, and the patient's right and left one."""

REGIONS: Final = tuple(f"{organ}{zone}" for organ in ORGANS for zone in ("", *(f"_{name}" for name in ZONES)))
"""Names of all regions: ``lung``, ``lung_upper``, ..., ``right_lung``, ``right_lung_upper``, ..."""

CELLS: Final = len(VERTICAL) * len(DEPTH)
"""Cells of a lung, a third crossed with a half: number ``2 * third + half``."""

Box = tuple[slice, slice]


class Part(NamedTuple):
    """The pixels of a lung, each with its cell.

    ``mask`` is cut to ``box``; ``cell`` (uint8) has a value for each pixel of the mask, in reading order.
    """

    box: Box
    mask: BoolArray
    cell: IntArray


def lung_zones(right_lung: BoolArray, left_lung: BoolArray) -> dict[str, BoolArray]:
    """Mask of every region of the lungs.

    Parameters
    ----------
    right_lung, left_lung
        Boolean masks (H, W); the patient's right and left.

    Returns
    -------
    dict
        :data:`REGIONS` to boolean masks (H, W). A pixel that lies in both lungs belongs to the zones of both; among
        the regions of both lungs it counts once, with the zone that it has in the right lung.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> right = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]]).astype(bool)
    >>> zones = lung_zones(right, right[:, ::-1])
    >>> zones["right_lung_upper"].astype(int)
    array([[0, 1, 1, 0],
           [0, 0, 0, 0],
           [0, 0, 0, 0]])
    >>> zones["right_lung_peripheral"].astype(int)
    array([[0, 1, 0, 0],
           [1, 0, 0, 0],
           [1, 0, 0, 0]])
    """
    parts = partition(right_lung, left_lung)
    regions = {}
    for name, members in zip(REGIONS, MEMBERS, strict=True):
        regions[name] = np.zeros(np.shape(right_lung), bool)
        for part, chosen in zip(parts, members.reshape(len(parts), CELLS) > 0, strict=True):
            view = regions[name][part.box]
            view[part.mask] |= chosen[part.cell]
    return regions


def bounding_box(mask: BoolArray) -> Box:
    """Rows and columns that a mask occupies; empty slices where it has no pixel."""
    rows = _occupied(np.logical_or.reduce(mask, axis=1))
    return rows, _occupied(np.logical_or.reduce(mask[rows], axis=0))


def partition(right_lung: BoolArray, left_lung: BoolArray) -> tuple[Part, Part, Part]:
    """Cells of the right lung, of the left one, and of the left one outside the right.

    The first and the last part share no pixel and make up both lungs. Arguments and errors as in :func:`lung_zones`.
    """
    right_lung, left_lung = as_mask(right_lung, "right_lung", 2), as_mask(left_lung, "left_lung", 2)
    check_same_shape(left_lung, "left_lung", right_lung.shape, "right_lung")
    right_box, left_box = bounding_box(right_lung), bounding_box(left_lung)
    # Displayed as usual, the patient's right is at the lower columns; a film that was mirrored with its labels is not.
    mirrored = bool(
        right_lung[right_box].size
        and left_lung[left_box].size
        and right_box[1].start + right_box[1].stop > left_box[1].start + left_box[1].stop
    )
    right = _part(right_lung, right_box, lateral_first=not mirrored)
    left = _part(left_lung, left_box, lateral_first=mirrored)
    return right, left, _outside(left, right_lung)


def pooled_members() -> FloatArray:
    """Which cells make up a region: 0 or 1, (:data:`REGIONS`, cells of the three parts of :func:`partition`)."""
    number = np.arange(CELLS)
    zones = [number >= 0, *(number // 2 == third for third in range(3)), *(number % 2 == half for half in range(2))]
    of_lung = np.stack(zones).astype(np.float64)
    none = np.zeros_like(of_lung)
    return np.block([[of_lung, none, of_lung], [of_lung, none, none], [none, of_lung, none]])


MEMBERS: Final = pooled_members()


def _part(lung: BoolArray, box: Box, *, lateral_first: bool) -> Part:
    mask = np.ascontiguousarray(lung[box])
    height, width = mask.shape
    if mask.size == 0:
        return Part(box, mask, np.zeros(0, np.uint8))
    third = (3 * (2 * np.arange(height) + 1) // (2 * height)).astype(np.uint8)
    # 32 bits halve the time of the comparison, the largest array here.
    border_sum = (mask.argmax(axis=1) + (width - 1 - mask[:, ::-1].argmax(axis=1))).astype(np.int32)
    twice = 2 * np.arange(width, dtype=np.int32)
    peripheral = twice < border_sum[:, None] if lateral_first else twice > border_sum[:, None]
    return Part(box, mask, (2 * third[:, None] + peripheral)[mask])


def _outside(part: Part, other: BoolArray) -> Part:
    """Take the pixels of another mask from a part; true masks may overlap by a few pixels."""
    inside = other[part.box][part.mask]
    if not inside.any():
        return part
    return Part(part.box, part.mask & ~other[part.box], part.cell[~inside])


def _occupied(line: BoolArray) -> slice:
    if not line.any():
        return slice(0, 0)
    return slice(int(line.argmax()), int(line.size - line[::-1].argmax()))
