"""What is wrong with the lungs that were found on a film, or with the film itself: flags for tables.

A network gives some mask for every film, also for one that is upside down, a negative, or no chest. Flags let such rows
be found and left out; nothing is dropped here. They are of three kinds:

- *missing*: no lungs, one lung, no heart, or a lung so small that it is a speck;
- *implausible masks*: names of the lungs swapped, lungs upside down or one above the other, the heart on the wrong
  side, lungs that are too small, too large, too unlike in size, cut off by the film's edge or in pieces. Each limit is
  a constant with the extremes of 579 masks by readers beside it (197 of JSRT, 63 by a radiologist and 319 by annotators
  of the covid-chestxray-dataset), which a limit leaves alone with a margin. Where a lung is missing or a speck, shape
  and position of the pair are not judged;
- *film*: negative, or turned, by :mod:`patchcxr.measure.chest_view`, with the limits of the cohort audit.

On the 197 JSRT films with their masks no flag is raised; on their copies, flipped upside down, mirrored, turned by 90,
180 or 270 degrees, or as negatives, each of the 197 has the flag that it should
(``benchmarks/lung_flags.py`` counts).

A flag is a reason to look, not a diagnosis: a lung can be missing because it was removed or is white throughout.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Final

import cv2
import numpy as np

from patchcxr.measure._checks import as_map, as_mask, check_same_shape
from patchcxr.measure.chest_view import INVERTED, LEAST_CHEST, TURNED, find_frame, view_chest
from patchcxr.measure.zones import bounding_box
from patchcxr.types import BoolArray, FloatArray

SMALLEST_LUNG: Final = 0.01
"""A lung below this share of the film is a speck: readers' lungs cover at least 0.045."""

LUNG_AREA: Final = (0.06, 0.7)
"""Both lungs cover at least and at most these shares of the film: 0.093 to 0.610 by readers."""

AREA_RATIO: Final = 0.4
"""Least area of the smaller lung over that of the larger one: at least 0.54 by readers."""

STEEPEST: Final = 0.7
"""Rows over columns (as shares of the film) between the lungs' centres, above which one lies above the other rather
than beside it: at most 0.35 by readers, and at least 1 / 0.35 on a film turned by a quarter."""

NEAREST: Final = 0.1
"""Least distance of the lungs' centres as a share of the film: at least 0.25 by readers."""

EDGE_SHARE: Final = 0.02
"""Share of the film's border that lungs may cover: at most 0.005 of JSRT. Films of publications are often cut through
the lungs: 0.198 at most, and 8 % of them exceed this limit, as they should."""

PARTING: Final = -0.05
"""How much further out the lateral borders must lie in the lowest quarter of the lungs than in the highest, as a share
of their width, so that the lungs do not look upside down: 0.165 and more in JSRT, and 0.008 and more by all readers.
Flipping turns the sign."""

FRAGMENTS: Final = 0.04
"""Share of a lung that may lie outside of its largest region: at most 0.0001 by readers. Post-processing leaves regions
of 5 % or more, which are then seen here."""

WRONG_SIDE: Final = 0.02
"""How far the heart's centre may lie on the patient's right of the middle between the lungs' centres, as a share of the
film's width: it never lies there in JSRT."""

_TEXTS: Final = {
    "no_lungs": "no lungs",
    "right_lung_missing": "one lung (right missing)",
    "left_lung_missing": "one lung (left missing)",
    "no_heart": "no heart",
    "tiny_lung": "tiny lung",
    "lungs_swapped": "right and left lung swapped",
    "lungs_upside_down": "lungs upside down",
    "lungs_misplaced": "lungs not side by side",
    "heart_on_right": "heart on the patient's right",
    "implausible_area": "lungs too small or too large",
    "uneven_lungs": "one lung much smaller",
    "touching_edge": "lungs cut off by the edge",
    "fragmented": "lung in pieces",
    "film_inverted": "film is a negative",
    "film_turned": "film is turned",
}
"""How each flag is written, in the order of the text."""


@dataclass(frozen=True)
class LungFlags:
    """Flags of a film, all False where nothing is wrong.

    Attributes
    ----------
    no_lungs, right_lung_missing, left_lung_missing
        Neither lung has a pixel; the named one alone has none.
    no_heart
        A heart mask was given and has no pixel.
    tiny_lung
        A lung is below :data:`SMALLEST_LUNG`, such as a single pixel.
    lungs_swapped
        The patient's right lung is on the right of the image: a mirrored film, or swapped names.
    lungs_upside_down
        The lateral borders run together downwards (:data:`PARTING`).
    lungs_misplaced
        One lung lies above the other (:data:`STEEPEST`), as on a film turned by a quarter, or both in one place
        (:data:`NEAREST`).
    heart_on_right
        The heart lies on the patient's right (:data:`WRONG_SIDE`): a mirrored film, a shifted heart, or dextrocardia.
    implausible_area, uneven_lungs
        Areas beyond :data:`LUNG_AREA`; a ratio of areas below :data:`AREA_RATIO`.
    touching_edge
        Lungs cover more than :data:`EDGE_SHARE` of the film's border.
    fragmented
        A lung has more than :data:`FRAGMENTS` of its pixels outside its largest region.
    film_inverted, film_turned
        The film looks like a negative; turned by 90, 180 or 270 degrees, or flipped upside down.
    """

    no_lungs: bool = False
    right_lung_missing: bool = False
    left_lung_missing: bool = False
    no_heart: bool = False
    tiny_lung: bool = False
    lungs_swapped: bool = False
    lungs_upside_down: bool = False
    lungs_misplaced: bool = False
    heart_on_right: bool = False
    implausible_area: bool = False
    uneven_lungs: bool = False
    touching_edge: bool = False
    fragmented: bool = False
    film_inverted: bool = False
    film_turned: bool = False

    @property
    def text(self) -> str:
        """The flags in words, for one column of a table; "" without any.

        >>> LungFlags(left_lung_missing=True, film_turned=True).text
        'one lung (left missing); film is turned'
        """
        return "; ".join(words for name, words in _TEXTS.items() if getattr(self, name))

    def row(self) -> dict[str, bool | str]:
        """Every flag by name, and their text as ``flags``."""
        return {**asdict(self), "flags": self.text}


FLAGS: Final = tuple(field.name for field in fields(LungFlags))
"""Names of all flags."""


def lung_flags(
    right_lung: BoolArray, left_lung: BoolArray, heart: BoolArray | None = None, film: FloatArray | None = None
) -> LungFlags:
    """Flags of the masks of a film, and of the film where it is given.

    Parameters
    ----------
    right_lung, left_lung
        Boolean masks (H, W); the patient's right and left. An all-False mask says that the lung is missing.
    heart
        Boolean mask (H, W); None leaves the flags of the heart False.
    film
        Film (rows, columns), of any size and scale; None leaves its flags False.

    Raises
    ------
    MaskError
        If a mask is not boolean or not (H, W), or the shapes differ.
    ImageError
        If the film has NaN or infinite pixels, or is not (rows, columns).

    Examples
    --------
    >>> import numpy as np
    >>> right = np.zeros((32, 32), bool)
    >>> right[8:24, 4:12] = True
    >>> lung_flags(right, np.zeros_like(right)).text
    'one lung (left missing)'
    >>> lung_flags(right[:, ::-1], right).text
    'right and left lung swapped'
    """
    right_lung, left_lung = as_mask(right_lung, "right_lung", 2), as_mask(left_lung, "left_lung", 2)
    check_same_shape(left_lung, "left_lung", right_lung.shape, "right_lung")
    areas = [float(np.count_nonzero(lung)) / max(lung.size, 1) for lung in (right_lung, left_lung)]
    found: dict[str, bool] = {
        "no_lungs": not any(areas),
        "right_lung_missing": not areas[0] and areas[1] > 0,
        "left_lung_missing": not areas[1] and areas[0] > 0,
        "tiny_lung": any(0 < area < SMALLEST_LUNG for area in areas),
        "touching_edge": _edge_share(right_lung | left_lung) > EDGE_SHARE,
        "fragmented": any(_outside_largest(lung) > FRAGMENTS for lung in (right_lung, left_lung)),
    }
    if heart is not None:
        heart = as_mask(heart, "heart", 2)
        check_same_shape(heart, "heart", right_lung.shape, "right_lung")
        found["no_heart"] = not bool(heart.any())
    if min(areas) >= SMALLEST_LUNG:
        found["implausible_area"] = not LUNG_AREA[0] <= sum(areas) <= LUNG_AREA[1]
        found["uneven_lungs"] = min(areas) < AREA_RATIO * max(areas)
        found |= _position(right_lung, left_lung, heart)
    if film is not None:
        found |= film_flags(film)
    return LungFlags(**{name: bool(value) for name, value in found.items()})


def film_flags(film: FloatArray) -> dict[str, bool]:
    """Flags of a film by its pixels alone: ``film_inverted`` and ``film_turned``.

    What fits no frontal chest (below :data:`patchcxr.measure.chest_view.LEAST_CHEST`), a constant film or a lateral
    view among them, is not judged.

    Raises
    ------
    ImageError
        If the film has NaN or infinite pixels, or is not (rows, columns).
    """
    film = as_map(film, "film")
    view = view_chest(find_frame(film).cut(film))
    chest = view.frontal_score >= LEAST_CHEST
    return {
        "film_inverted": chest and view.inverted_score >= INVERTED,
        "film_turned": chest and view.rotation_score >= TURNED,
    }


def _position(right_lung: BoolArray, left_lung: BoolArray, heart: BoolArray | None) -> dict[str, bool]:
    """Flags of where the lungs lie to each other and to the heart; both lungs have pixels."""
    right, left = _centre(right_lung), _centre(left_lung)
    down, across = left[0] - right[0], left[1] - right[1]
    if abs(down) > STEEPEST * abs(across) or abs(across) < NEAREST:
        return {"lungs_misplaced": True}
    swapped = across < 0
    first, second = (left_lung, right_lung) if swapped else (right_lung, left_lung)
    found = {
        "lungs_swapped": swapped,
        "lungs_upside_down": (_parting(first[:, ::-1]) + _parting(second)) / 2 < PARTING,
    }
    if heart is not None and heart.any():
        found["heart_on_right"] = _centre(heart)[1] < (right[1] + left[1]) / 2 - WRONG_SIDE
    return found


def _parting(lung: BoolArray) -> float:
    """How much further out the lateral border, on the right, lies in the lowest quarter of a lung than in the highest.

    As a share of the lung's width.
    """
    organ = lung[bounding_box(lung)]
    height, width = organ.shape
    there = np.asarray(organ.any(axis=1))
    border = np.asarray(width - 1 - organ[:, ::-1].argmax(axis=1))
    quarter = max(height // 4, 1)
    high, low = (border[part][there[part]].mean() for part in (slice(None, quarter), slice(-quarter, None)))
    return float(low - high) / width


def _centre(mask: BoolArray) -> tuple[float, float]:
    """Row and column of the centre of a mask with pixels, as shares of the film."""
    rows, columns = (np.count_nonzero(mask, axis=axis) for axis in (1, 0))
    total = rows.sum()
    return (
        float(rows @ (np.arange(rows.size) + 0.5)) / total / rows.size,
        float(columns @ (np.arange(columns.size) + 0.5)) / total / columns.size,
    )


def _edge_share(lungs: BoolArray) -> float:
    if min(lungs.shape) < 3:
        return 0.0
    edge = np.concatenate([lungs[0], lungs[-1], lungs[1:-1, 0], lungs[1:-1, -1]])
    return float(edge.mean())


def _outside_largest(lung: BoolArray) -> float:
    organ = np.ascontiguousarray(lung[bounding_box(lung)])
    if not organ.size:
        return 0.0
    areas = cv2.connectedComponentsWithStats(organ.view(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return 1.0 - float(areas.max() / areas.sum())
