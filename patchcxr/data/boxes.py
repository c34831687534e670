"""Boxes round findings: what a reader drew instead of a mask.

The ``boxes`` column of a cohort holds a *field*: boxes joined by ``|``, each
``top,left,height,width`` in pixels of the image file, with ``:finding`` after
it where the reader named one. ``(empty)`` says that a reader looked and found
nothing; an empty cell means that nobody looked. The origin is the outer corner
of the top left pixel, so a box of the whole film of H rows and W columns is
``0,0,H,W``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError
from patchcxr.io.masks import EMPTY_MASK, MASK_SEPARATOR
from patchcxr.types import BoolArray

_FORM = f"expected top,left,height,width[:finding] joined by {MASK_SEPARATOR!r}, or {EMPTY_MASK!r}"


@dataclass(frozen=True)
class Box:
    """A rectangle on a film, in pixels of its image file.

    Attributes
    ----------
    top, left
        Distance of its upper and left edge from those of the film; a box may stick out of the film.
    height, width
        Its size, above 0.
    finding
        What it surrounds; ``None`` where the reader named nothing.
    """

    top: float
    left: float
    height: float
    width: float
    finding: str | None = None

    def __post_init__(self) -> None:
        sides = (self.top, self.left, self.height, self.width)
        if not all(map(math.isfinite, sides)) or min(self.height, self.width) <= 0:
            raise CohortError(f"box has top, left, height, width {sides}; expected numbers, height and width above 0")
        if self.finding is not None and (MASK_SEPARATOR in self.finding or self.finding != self.finding.strip(": \n")):
            raise CohortError(f"box has the finding {self.finding!r}; expected text without {MASK_SEPARATOR!r} and ':'")
        if self.finding == "":
            raise CohortError("box has an empty finding; leave it None")


def parse_boxes(field: str) -> list[Box]:
    """Boxes that a cell of the ``boxes`` column holds; none for ``(empty)``.

    Raises
    ------
    CohortError
        If the text is malformed; the message shows it.

    Examples
    --------
    >>> parse_boxes("410.5,200,80,120:Infiltrate")
    [Box(top=410.5, left=200.0, height=80.0, width=120.0, finding='Infiltrate')]
    >>> parse_boxes("(empty)")
    []
    """
    text = str(field).strip()
    return [] if text == EMPTY_MASK else [_parse_one(part, text) for part in text.split(MASK_SEPARATOR)]


def format_boxes(boxes: Iterable[Box]) -> str:
    """Text of boxes for the ``boxes`` column; ``(empty)`` for none.

    >>> format_boxes([Box(410.5, 200, 80, 120, "Infiltrate"), Box(0, 0, 5, 5)])
    '410.5,200,80,120:Infiltrate|0,0,5,5'
    """
    return MASK_SEPARATOR.join(_format_one(box) for box in boxes) or EMPTY_MASK


def boxes_of(boxes: Iterable[Box], findings: Collection[str] | None = None) -> list[Box]:
    """Boxes round the given findings; all of them for ``None``.

    >>> boxes_of(parse_boxes("0,0,5,5:Mass|0,9,5,5:Nodule|3,3,5,5"), ["Mass"])
    [Box(top=0.0, left=0.0, height=5.0, width=5.0, finding='Mass')]
    """
    return [box for box in boxes if findings is None or box.finding in findings]


def boxes_mask(boxes: Iterable[Box], shape: tuple[int, int], film_shape: tuple[int, int] | None = None) -> BoolArray:
    """Union of boxes as a mask: the pixels whose centre lies within one of them.

    Parameters
    ----------
    boxes
        What lies outside the film is cut off.
    shape
        (rows, columns) of the mask.
    film_shape
        (rows, columns) of the film, where the mask has another size, such as that of a saliency map; the boxes are
        scaled before they are drawn. A box that has become so small that it holds no pixel's centre marks the pixel
        that its own centre lies in, so that none is lost.

    Returns
    -------
    bool, shape (H, W).

    Examples
    --------
    >>> boxes_mask([Box(top=0.6, left=1, height=1, width=2)], (3, 4)).astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]])
    >>> boxes_mask([Box(top=40, left=8, height=10, width=60)], (2, 4), film_shape=(80, 80)).astype(int)
    array([[0, 0, 0, 0],
           [1, 1, 1, 0]])
    """
    mask: BoolArray = np.zeros(shape, dtype=bool)
    down, across = (1.0, 1.0) if film_shape is None else (shape[0] / film_shape[0], shape[1] / film_shape[1])
    for box in boxes:
        rows = _centres(box.top * down, box.height * down, shape[0], film_shape is not None)
        columns = _centres(box.left * across, box.width * across, shape[1], film_shape is not None)
        mask[rows, columns] = True
    return mask


def boxes_by_film(
    film: pd.Series,
    top: pd.Series,
    left: pd.Series,
    height: pd.Series,
    width: pd.Series,
    finding: pd.Series | None = None,
) -> dict[str, str]:
    """Field of every film from a table with one box a row; the boxes of a film keep their order.

    Raises
    ------
    CohortError
        If a row is not a box; the message names its film.
    """
    sides = [pd.to_numeric(side, errors="coerce").tolist() for side in (top, left, height, width)]
    names = [None] * len(film) if finding is None else finding.astype(object).where(finding.notna(), None).tolist()
    found: dict[str, list[Box]] = {}
    for name, a, b, c, d, label in zip(film, *sides, names, strict=True):
        try:
            found.setdefault(str(name), []).append(Box(a, b, c, d, label))
        except CohortError as error:
            raise CohortError(f"film {name}: {error}; correct the row of the table of boxes") from None
    return {name: format_boxes(boxes) for name, boxes in found.items()}


def _parse_one(part: str, text: str) -> Box:
    numbers, colon, finding = part.partition(":")
    try:
        top, left, height, width = map(float, numbers.split(","))
        return Box(top, left, height, width, finding.strip() if colon else None)
    except ValueError as error:
        reason = f" ({error})" if isinstance(error, CohortError) else ""
        raise CohortError(f"boxes are {text!r}{reason}; {_FORM}") from None


def _format_one(box: Box) -> str:
    sides = ",".join(repr(float(side)).removesuffix(".0") for side in (box.top, box.left, box.height, box.width))
    return sides if box.finding is None else f"{sides}:{box.finding}"


def _centres(start: float, length: float, side: int, keep_one: bool) -> slice:
    def near(place: float) -> float:
        # No further out than a pixel, where nothing is marked: what is far, or infinite, is no whole number.
        return max(-1.0, min(place, side + 1.0))

    # Pixel i has its centre at i + 0.5 and belongs to [start, start + length).
    first, end = math.ceil(near(start) - 0.5), math.ceil(near(start + length) - 0.5)
    if keep_one and first == end:
        first = math.floor(near(start + length / 2))
        end = first + 1
    return slice(max(first, 0), max(end, 0))
