"""Deformation of the lungs against a mean shape (Oh 2020, section V: under-segmentation).

A mask is aligned by stretching: its width to that of the template, and the height of its *frame* to that of the
template. One lung is framed by both lungs, so that a lung cut short is not stretched back to its full height, while
the width of the mediastinum, which differs much between healthy people, does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Final

import cv2
import numpy as np

from patchcxr.errors import MaskError
from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.measure.overlap import jaccard
from patchcxr.measure.zones import ORGANS, bounding_box
from patchcxr.types import AnyArray, BoolArray, FloatArray

NAN: Final = float("nan")
TEMPLATE_SIZE: Final = 256
UNDER_SEGMENTED: Final = 0.25
"""Deformation of both lungs from which on a film counts as under-segmented: a quarter of the lungs (Oh 2020, section
V).

The paper judged by eye. Of true masks of healthy lungs about one in a hundred reaches it (JSRT, against the mean shape
of other films), because people differ.
"""


def mean_shape(masks: Iterable[BoolArray], frames: Iterable[BoolArray] | None = None) -> FloatArray:
    """Mean of aligned masks: the shape that an organ usually has.

    Parameters
    ----------
    masks
        Boolean masks (H, W) of one organ of normal films, each of its own size if need be; read one at a time.
    frames
        For each mask the one whose height aligns it; by default the mask itself.

    Returns
    -------
    numpy.ndarray
        Share of the masks that hold each pixel, float32 (256, 256), in [0, 1].

    Raises
    ------
    MaskError
        If there is no mask, a mask or frame is empty or not boolean, or their shapes or numbers differ.

    Examples
    --------
    >>> import numpy as np
    >>> square, corner = np.ones((4, 4), bool), np.tril(np.ones((4, 4), bool))
    >>> template = mean_shape([square, corner])
    >>> template.shape, float(template[-1, 0]), float(template[0, -1])
    ((256, 256), 1.0, 0.5)
    """
    if frames is None:
        return _mean_aligned(((mask, mask),) for mask in masks)[0]
    return _mean_aligned((pair,) for pair in zip_longest(masks, frames))[0]


def deformation(mask: BoolArray, template: FloatArray, frame: BoolArray | None = None) -> float:
    """Share of the lung region in which a mask and the mean shape disagree, in [0, 1].

    After alignment, one minus the Jaccard coefficient of the mask and the template at one half. Where the mask is the
    mean shape with a quarter missing, the deformation is 0.25. What is missing at the lower or upper end is seen only
    if the frame still reaches there; what is missing along a side is stretched away in part.

    Parameters
    ----------
    mask
        Boolean mask (H, W).
    template
        From :func:`mean_shape`, with frames of the same kind.
    frame
        Boolean mask (H, W) whose height aligns the mask; by default the mask itself.

    Returns
    -------
    float
        NaN if the frame is empty; 1 if the frame has pixels but the mask has none.

    Raises
    ------
    MaskError
        If a mask is not boolean, the shapes differ, or the template is not from :func:`mean_shape`.

    Examples
    --------
    >>> import numpy as np
    >>> whole = np.ones((8, 8), bool)
    >>> lacks_a_quarter = whole.copy()
    >>> lacks_a_quarter[4:, 4:] = False
    >>> deformation(lacks_a_quarter, mean_shape([whole]))
    0.25
    """
    mask = as_mask(mask, "mask", 2)
    frame = mask if frame is None else as_mask(frame, "frame", 2)
    expected = _expected(template)
    check_same_shape(mask, "mask", frame.shape, "frame")
    if not mask.any():
        return 1.0 if frame.any() else NAN
    return 1 - jaccard(_aligned(mask, frame, "mask"), expected)


def lung_templates(lungs: Iterable[tuple[BoolArray, BoolArray]]) -> dict[str, FloatArray]:
    """Mean shapes of the lungs, for :func:`lung_deformation`.

    Parameters
    ----------
    lungs
        For each normal film the masks (H, W) of the right and of the left lung, both with pixels; read one film at a
        time.

    Returns
    -------
    dict
        ``right_lung`` and ``left_lung`` to templates (256, 256), in the frame of both lungs.

    Raises
    ------
    MaskError
        As :func:`mean_shape`.
    """
    framed = ((right, left, as_mask(right, "right_lung") | as_mask(left, "left_lung")) for right, left in lungs)
    return dict(zip(ORGANS[1:], _mean_aligned(((r, both), (lft, both)) for r, lft, both in framed), strict=True))


def lung_deformation(
    right_lung: BoolArray, left_lung: BoolArray, templates: Mapping[str, FloatArray] | None
) -> dict[str, float]:
    """Deformation of each lung and of both, in the frame of both.

    Parameters
    ----------
    right_lung, left_lung
        Boolean masks (H, W).
    templates
        From :func:`lung_templates`; None leaves every value NaN.

    Returns
    -------
    dict
        ``lung_deformation`` (one minus the Jaccard coefficient over the two lungs together; under-segmented from
        :data:`UNDER_SEGMENTED` on), ``right_lung_deformation`` and ``left_lung_deformation``, in [0, 1]. NaN where a
        lung is missing, because the frame needs both.

    Raises
    ------
    MaskError
        As :func:`deformation`; or if a template is missing.

    Examples
    --------
    >>> import numpy as np
    >>> right, left = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    >>> right[:, :3], left[:, 5:] = True, True
    >>> templates = lung_templates([(right, left)])
    >>> right[4:] = False
    >>> lung_deformation(right, left, templates)
    {'lung_deformation': 0.25, 'right_lung_deformation': 0.5, 'left_lung_deformation': 0.0}
    """
    lungs = {"right_lung": as_mask(right_lung, "right_lung", 2), "left_lung": as_mask(left_lung, "left_lung", 2)}
    row = {f"{name}_deformation": NAN for name in ORGANS}
    if templates is None or not all(mask.any() for mask in lungs.values()):
        return row
    missing = [name for name in lungs if name not in templates]
    if missing:
        raise MaskError(f"the templates lack {' and '.join(missing)}; take them from lung_templates")
    frame = lungs["right_lung"] | lungs["left_lung"]
    found = np.stack([_aligned(mask, frame, name) for name, mask in lungs.items()])
    expected = np.stack([_expected(templates[name]) for name in lungs])
    row["lung_deformation"] = 1 - jaccard(found, expected)
    return row | {f"{name}_deformation": 1 - jaccard(found[k], expected[k]) for k, name in enumerate(lungs)}


def _expected(template: AnyArray) -> BoolArray:
    template = np.asarray(template)
    if template.shape != (TEMPLATE_SIZE, TEMPLATE_SIZE):
        raise MaskError(f"template has shape {template.shape}; expected one that mean_shape returned")
    return template >= 0.5


def _mean_aligned(films: Iterable[Sequence[tuple[AnyArray | None, AnyArray | None]]]) -> list[FloatArray]:
    """Means over films of aligned masks, one mean for each pair of mask and frame that a film gives."""
    totals, count = np.zeros(0), 0
    for pairs in films:
        if any(mask is None or frame is None for mask, frame in pairs):
            raise MaskError(f"the masks or the frames end after {count}; give one frame a mask")
        aligned = np.array([_aligned(np.asarray(mask), np.asarray(frame), f"mask {count}") for mask, frame in pairs])
        totals = totals + aligned if count else aligned.astype(np.float64)
        count += 1
    if count == 0:
        raise MaskError("got no mask to take the mean of; expected the masks of at least one normal film")
    return list((totals / count).astype(np.float32))


def _aligned(mask: AnyArray, frame: AnyArray, name: str) -> BoolArray:
    """Stretch the rows of the frame and the columns of the mask to the template."""
    mask, frame = as_mask(mask, name, 2), as_mask(frame, f"the frame of {name}", 2)
    check_same_shape(mask, name, frame.shape, "its frame")
    organ = mask[bounding_box(frame)[0], bounding_box(mask)[1]]
    if organ.size == 0:
        raise MaskError(f"{name} or its frame has no pixel and cannot be aligned; leave out films without lungs")
    size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    return cv2.resize(organ.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
