"""Which way round a chest film is: polarity, rotation, mirroring, frontal or lateral.

A film is brought to a grid of 32 x 32 cells, on which every cell is compared
with its surroundings (:func:`chest_grid`), and held against two templates:
the mean of synthetic frontal films and a drawing of a lateral one
(:mod:`patchcxr.measure._chest_templates`). The fit is the highest normalised
cross-correlation over a few widths, heights and shifts. A negative fits with
the sign turned, and a turned film fits the turned template, so that one
search tells polarity and rotation.

No real film has a part in the templates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np

from patchcxr.measure._checks import as_map
from patchcxr.measure._chest_templates import GRID_SIDE, draw_lateral_chest, frontal_template
from patchcxr.types import AnyArray, FloatArray

_WORK_SIDE: Final = 128
_ROUNDING: Final = 1e-6
_FRAME_LEVEL: Final = 0.05
_FRAME_LINE: Final = 0.96
_FRAME_KEPT: Final = 0.25
_ENDS: Final = (slice(None, 2), slice(-2, None))
_LEVELS: Final = 1024
_SURROUNDINGS: Final = 9.0
_FLAT: Final = 0.15
_PADDING: Final = 2
_SIZES: Final = (0.75, 1.0)
_HEART_ROWS: Final = (0.5, 0.95)


class Frame(NamedTuple):
    """Field inside a uniform frame, as shares of the film's height (top, bottom) and width (left, right)."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def border_share(self) -> float:
        """Share of the film's area that is frame, in [0, 1)."""
        return 1.0 - (self.bottom - self.top) * (self.right - self.left)

    def cut(self, film: FloatArray) -> FloatArray:
        """The field inside, a view of ``film`` with at least one row and column."""
        rows, columns = film.shape
        (top, bottom), (left, right) = _inside(self.top, self.bottom, rows), _inside(self.left, self.right, columns)
        return film[top:bottom, left:right]


LEAST_CHEST: Final = 0.5
"""Below this ``frontal_score`` a film may show no frontal chest, and is not judged further."""

INVERTED: Final = 0.05
TURNED: Final = 0.05
"""From these differences of fits on, a film is a negative, or turned."""


@dataclass(frozen=True)
class ChestView:
    """How a film fits the templates; every score is 0 for a constant film.

    Attributes
    ----------
    frontal_score
        Correlation with the frontal template, of the polarity, rotation and mirroring that fit best, in [-1, 1].
        Frontal films have about 0.5 to 0.9.
    lateral_score
        Correlation with the lateral template, of the same polarity, less ``frontal_score``, in [-2, 2]; above
        0, the film looks more like a lateral view.
    inverted_score
        Best correlation as a negative less best correlation as it is, in [-2, 2]; above 0, the film
        looks like a negative (bone black). Inverting the film turns the sign.
    rotation_degrees
        0, 90, 180 or 270: counter-clockwise turn of the film; ``np.rot90(film, -rotation_degrees // 90)`` stands
        upright.
    rotation_score
        Best correlation turned less correlation upright, in [-2, 2]; above 0 if ``rotation_degrees`` is not 0.
    mirrored_score
        Correlation of what differs between left and right in the lower half of the chest with a mirrored chest, in
        [-1, 1]; above 0, the heart looks to be on the wrong side. Single films are often judged wrongly, the
        films of a source together are not. A film that was flipped upside down has 180 degrees and is mirrored.
    """

    frontal_score: float
    lateral_score: float
    inverted_score: float
    rotation_degrees: int
    rotation_score: float
    mirrored_score: float


def find_frame(film: FloatArray) -> Frame:
    """Find the uniform black or white frame round a film, line by line from the outside.

    A row or column belongs to it if 96 % of it lie within 5 % of the film's range of
    its darkest or of its brightest level, and so does one line between two such lines, as between
    a black and a white frame; air beside the patient that reaches over a whole
    line counts as well. At least a quarter of height and width stays.

    Raises
    ------
    ImageError
        If the film is not a finite map (H, W).

    Examples
    --------
    >>> film = np.zeros((100, 100), np.float32)
    >>> film[10:90] = np.linspace(0.2, 0.9, 100)
    >>> frame = find_frame(film)
    >>> frame.top, frame.bottom
    (0.1, 0.9)
    """
    film = as_map(film, "film")
    small = _resize(film, min(_WORK_SIDE, film.shape[0]), min(_WORK_SIDE, film.shape[1]))
    low, high = (float(value) for value in np.percentile(small, (0.5, 99.5)))
    if is_flat(low, high):
        return Frame(0.0, 1.0, 0.0, 1.0)
    dark, bright = small <= low + _FRAME_LEVEL * (high - low), small >= high - _FRAME_LEVEL * (high - low)
    rows, columns = small.shape
    top, bottom, left, right = 0, rows, 0, columns
    while True:
        inside = [ends[top:bottom, left:right] for ends in (dark, bright)]
        tall, wide = bottom - top > _FRAME_KEPT * rows + 1, right - left > _FRAME_KEPT * columns + 1
        across, down = ([ends.mean(axis=axis).tolist() for ends in inside] for axis in (1, 0))
        first, last = (tall and max(max(line[end]) for line in across) >= _FRAME_LINE for end in _ENDS)
        leftmost, rightmost = (wide and max(max(line[end]) for line in down) >= _FRAME_LINE for end in _ENDS)
        if not (first or last or leftmost or rightmost):
            return Frame(top / rows, bottom / rows, left / columns, right / columns)
        top, bottom, left, right = top + first, bottom - last, left + leftmost, right - rightmost


def chest_grid(field: FloatArray) -> FloatArray:
    """Bring the field of a film to 32 x 32 cells that say how bright each is beside its surroundings.

    Grey levels are replaced by their ranks, and every cell is standardised by the mean and the spread
    round it. The scale of the grey levels therefore does not matter, and a negative gives the grid
    with its sign turned. The aspect of the field is not kept.

    Returns
    -------
    float32, shape (32, 32); zero for a constant field.
    """
    cells = _resize(field, 2 * GRID_SIDE, 2 * GRID_SIDE)
    low, high = float(cells.min()), float(cells.max())
    if is_flat(low, high):
        return np.zeros((GRID_SIDE, GRID_SIDE), np.float32)
    # Equal levels share a rank: the order of pixels inside a black area would otherwise count.
    levels = np.rint((cells - low) * ((_LEVELS - 1) / (high - low))).astype(np.int64)
    counts = np.bincount(levels.ravel(), minlength=_LEVELS)
    ranks = (2 * np.cumsum(counts) - counts) / cells.size - 1.0
    cells = _resize(ranks[levels].astype(np.float32), GRID_SIDE, GRID_SIDE)
    cells = cells - _surroundings(cells)
    return cells / (np.sqrt(_surroundings(cells * cells)) + np.float32(_FLAT))


def view_chest(field: FloatArray) -> ChestView:
    """Hold the field of a film (see :meth:`Frame.cut`) against the templates.

    Raises
    ------
    ImageError
        If the field is not a finite map (H, W).
    """
    grid = chest_grid(as_map(field, "field"))
    if not grid.any():
        return ChestView(0.0, 0.0, 0.0, 0, 0.0, 0.0)
    frontal, lateral = _fits(grid)
    best = frontal.max(axis=(1, 2))
    negative = int(best[1] > best[0])
    quarters = frontal[negative].max(axis=1)
    quarter = int(quarters.argmax())
    upright = np.rot90(-grid if negative else grid, -quarter)
    return ChestView(
        frontal_score=float(best.max()),
        lateral_score=float(lateral[negative].max() - best.max()),
        inverted_score=float(best[1] - best[0]),
        rotation_degrees=90 * quarter,
        rotation_score=float(quarters[1:].max() - quarters[0]),
        mirrored_score=_mirrored(upright),
    )


def is_flat(low: float, high: float) -> bool:
    """Whether levels from ``low`` to ``high`` differ by no more than the rounding of float32."""
    return high - low <= _ROUNDING * max(1.0, abs(low), abs(high))


def _inside(start: float, end: float, side: int) -> tuple[int, int]:
    """Whole pixels between two shares of a side, at least one, alike for a film and its mirror image."""
    first, last = int(np.ceil(start * side - _ROUNDING)), int(np.floor(end * side + _ROUNDING))
    return (first, last) if first < last else (min(first, side - 1), min(first, side - 1) + 1)


def _resize(film: FloatArray, rows: int, columns: int) -> FloatArray:
    film = np.ascontiguousarray(film, np.float32)
    return np.asarray(cv2.resize(film, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _surroundings(cells: FloatArray) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), _SURROUNDINGS, borderType=cv2.BORDER_REFLECT), np.float32)


def _fits(grid: FloatArray) -> FloatArray:
    """Highest correlation at any size and place, shape (template, polarity, quarter turn, mirroring).

    Templates are frontal and lateral; polarities are the film as it is and its negative.
    """
    padded = np.pad(grid, _PADDING)
    spectrum = np.fft.rfft2(padded)
    highest, lowest = [], []
    for rows, columns, templates in _bank():
        places = np.s_[..., : padded.shape[0] - rows + 1, : padded.shape[1] - columns + 1]
        # Where the template lies inside the grid, the wrapping round of the transform plays no part.
        maps = np.fft.irfft2(spectrum * templates, s=padded.shape)[places] / _spread(padded, rows, columns)[places]
        highest.append(maps.max(axis=(-1, -2)))
        lowest.append(maps.min(axis=(-1, -2)))
    return np.stack([np.max(highest, axis=0), -np.min(lowest, axis=0)], axis=1)


def _spread(cells: FloatArray, rows: int, columns: int) -> FloatArray:
    """Norm, about its mean, of the window that starts at each cell; at least 1, so that flat windows fit nothing."""
    area, size, start = rows * columns, (columns, rows), (0, 0)
    mean = cv2.boxFilter(cells, cv2.CV_64F, size, anchor=start, borderType=cv2.BORDER_CONSTANT)
    square = cv2.sqrBoxFilter(cells, cv2.CV_64F, size, anchor=start, borderType=cv2.BORDER_CONSTANT)
    return np.sqrt(np.maximum(area * (square - mean**2), 1.0))


def _mirrored(upright: FloatArray) -> float:
    """Place the template by its even part, then compare the odd parts in the rows of the heart."""
    padded = np.pad(upright.astype(np.float32), _PADDING)
    best, odd_film, odd_template = -np.inf, padded, padded
    for even, odd in _even_odd():
        _, fit, _, (column, row) = cv2.minMaxLoc(cv2.matchTemplate(padded, even, cv2.TM_CCOEFF_NORMED))
        if fit > best:
            window = padded[row : row + even.shape[0], column : column + even.shape[1]]
            best, odd_film, odd_template = fit, window - window[:, ::-1], odd
    first, last = (round(share * len(odd_film)) for share in _HEART_ROWS)
    film, template = odd_film[first:last], odd_template[first:last]
    norm = float(np.sqrt((film**2).sum() * (template**2).sum()))
    return -float((film * template).sum()) / norm if norm else 0.0


def _sizes(template: FloatArray) -> list[FloatArray]:
    sides = [round(size * GRID_SIDE) for size in _SIZES]
    return [_resize(template, rows, columns) for rows in sides for columns in sides]


@lru_cache(maxsize=1)
def _bank() -> tuple[tuple[int, int, AnyArray], ...]:
    """Rows, columns and spectra of the templates; axes of the last: template, quarter turn, mirroring, frequencies."""
    side = GRID_SIDE + 2 * _PADDING
    turned = [
        [[_sizes(np.rot90(one, quarter)) for one in (template, template[:, ::-1])] for quarter in range(4)]
        for template in (frontal_template(), chest_grid(draw_lateral_chest()))
    ]
    bank = []
    for sizes in range(len(_SIZES) ** 2):
        templates = np.array([[[one[sizes] for one in pair] for pair in quarters] for quarters in turned], np.float32)
        templates -= templates.mean(axis=(-1, -2), keepdims=True)
        templates /= np.sqrt((templates**2).sum(axis=(-1, -2), keepdims=True))
        bank.append((*templates.shape[-2:], np.conj(np.fft.rfft2(templates, s=(side, side))).astype(np.complex64)))
    return tuple(bank)


@lru_cache(maxsize=1)
def _even_odd() -> tuple[tuple[FloatArray, FloatArray], ...]:
    return tuple((size + size[:, ::-1], size - size[:, ::-1]) for size in _sizes(frontal_template()))
