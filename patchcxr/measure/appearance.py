"""How one film looks, from its pixels alone: blank, clipped, framed, written on, turned, negative, lateral.

Nothing here depends on the scale of the grey levels (8, 12 or 16 bits, low contrast)
but ``contrast`` itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from patchcxr.measure._checks import as_map
from patchcxr.measure.chest_view import ChestView, find_frame, is_flat, view_chest
from patchcxr.types import AnyArray, BoolArray, FloatArray

_WORK_SIDE: Final = 512
_CELL: Final = 8
_FLAT_LEVELS: Final = 5
_CLIPPED_LEVELS: Final = 2
_STROKE: Final = 13
_LONGEST_MARK: Final = 64
_SMALLEST_MARK: Final = 6
_MARK_CONTRAST: Final = 51
_MARK_LEVEL: Final = 230


@dataclass(frozen=True)
class Appearance(ChestView):
    """How a film looks; all shares lie in [0, 1]. The scores are those of ``ChestView``.

    Which values are too high or low is up to the caller, see
    :class:`patchcxr.data.audit.settings.AppearanceConfig`.

    Attributes
    ----------
    rows, columns
        Size of the film in pixels.
    contrast
        Range of the grey levels without the 0.5 % darkest and brightest pixels, in [0, 1].
    blank_share
        Share of the film's area, in cells of 1/64 of its longer side, in which the levels stay within 2 % of the
        range of the film: 1 for a constant film; frames and air are blank as well.
    dark_clipped_share, bright_clipped_share
        Share of the field inside the frame that has the film's darkest or brightest level (within 0.8 % of its
        range): black air or saturated lungs, and white boxes or over-exposed soft tissue.
    border_share
        Share of the film that is a uniform black or white frame, see :func:`patchcxr.measure.chest_view.find_frame`.
    text_share
        Share of the film that is letters, arrows, markers or other small sharp marks, see :func:`burnt_in_marks`.
    chest_score
        Correlation with the better of the frontal and the lateral template, in [-1, 1]; below about 0.5 the
        picture may show no chest. 0 for a constant film.
    """

    rows: int
    columns: int
    contrast: float
    blank_share: float
    dark_clipped_share: float
    bright_clipped_share: float
    border_share: float
    text_share: float
    chest_score: float


def appearance(pixels: FloatArray) -> Appearance:
    """Describe a film.

    Parameters
    ----------
    pixels
        Shape (H, W), higher is brighter.

    Raises
    ------
    ImageError
        If the film is not (H, W), is empty, or holds NaN or infinity.

    Examples
    --------
    >>> film = np.zeros((256, 256), np.float32)
    >>> seen = appearance(film)
    >>> seen.blank_share, seen.contrast, seen.chest_score
    (1.0, 0.0, 0.0)
    """
    film = as_map(pixels, "film")
    rows, columns = film.shape
    small = _reduced(film)
    gray = _stretched(small)
    frame = find_frame(small)
    field = frame.cut(gray)
    low, high = (float(value) for value in np.percentile(small[::2, ::2], (0.5, 99.5)))
    view = view_chest(frame.cut(small))
    return Appearance(
        **vars(view),
        rows=rows,
        columns=columns,
        contrast=high - low,
        blank_share=_blank_share(gray),
        dark_clipped_share=float((field <= _CLIPPED_LEVELS).mean()),
        bright_clipped_share=float((field >= 255 - _CLIPPED_LEVELS).mean()),
        border_share=frame.border_share,
        text_share=_mark_share(gray),
        chest_score=view.frontal_score + max(view.lateral_score, 0.0),
    )


def burnt_in_marks(pixels: FloatArray) -> BoolArray:
    """Find letters, arrows and markers: small marks that are far brighter or darker than what is round them.

    A mark is a connected group of pixels in the brightest (or darkest) tenth of the film's range, with strokes up to
    2.5 % and a length up to 12.5 % of the film's longer side, that stand out by a fifth of the range. Lead markers,
    electrodes and thick wires count as well; white on white, long lines and large boxes do not.

    Returns
    -------
    bool, at the working size: the film's shape, reduced to a longer side of 512 if it is larger.
    """
    film = as_map(pixels, "film")
    groups, kept, _ = _marks(_stretched(_reduced(film)))
    return kept[groups]


def _reduced(film: FloatArray) -> FloatArray:
    scale = min(1.0, _WORK_SIDE / max(film.shape))
    rows, columns = (max(1, round(side * scale)) for side in film.shape)
    return np.asarray(cv2.resize(film, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _stretched(film: FloatArray) -> AnyArray:
    """Film in 8 bits from its darkest to its brightest level; a constant one is black."""
    low, high = float(film.min()), float(film.max())
    if is_flat(low, high):
        return np.zeros(film.shape, np.uint8)
    return np.rint((film - low) * (255.0 / (high - low))).astype(np.uint8)


def _blank_share(gray: AnyArray) -> float:
    cell = np.ones((_CELL, _CELL), np.uint8)
    spread = cv2.dilate(gray, cell) - cv2.erode(gray, cell)
    # One sample a cell: its anchor is the middle of the window that the two filters look at.
    top, left = (min(_CELL // 2, side - 1) for side in gray.shape)
    return float((spread[top::_CELL, left::_CELL] <= _FLAT_LEVELS).mean())


def _marks(gray: AnyArray) -> tuple[AnyArray, BoolArray, AnyArray]:
    """Number of the group that each pixel belongs to, and by number whether it is a mark, and its area."""
    kernel = np.ones((_STROKE, _STROKE), np.uint8)
    sharp = np.zeros(gray.shape, np.uint8)
    for side in (gray, cv2.bitwise_not(gray)):
        hat = cv2.morphologyEx(side, cv2.MORPH_TOPHAT, kernel)
        sharp[(hat >= _MARK_CONTRAST) & (side >= _MARK_LEVEL)] = 1
    _, groups, statistics, _ = cv2.connectedComponentsWithStats(sharp, connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA]
    lengths = statistics[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    kept = (areas >= _SMALLEST_MARK) & (lengths <= _LONGEST_MARK)
    kept[0] = False
    return groups, kept, areas


def _mark_share(gray: AnyArray) -> float:
    _, kept, areas = _marks(gray)
    return float(areas[kept].sum() / gray.size)
