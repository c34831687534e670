"""Where patches lie on a film, and how often they cover each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from patchcxr.errors import EmptyLungError, MaskError
from patchcxr.types import BoolArray, IntArray

Window = tuple[slice, slice]


@dataclass(frozen=True)
class PatchLocation:
    """A square patch by the pixel at its centre.

    The patch covers rows ``[centre_row - size // 2, centre_row - size // 2 + size)``,
    columns alike, and may reach over the edge of the film.
    """

    centre_row: int
    centre_column: int
    size: int

    @property
    def top(self) -> int:
        """First row of the patch; negative where it reaches over the upper edge."""
        return self.centre_row - self.size // 2

    @property
    def left(self) -> int:
        """First column of the patch; negative where it reaches over the left edge."""
        return self.centre_column - self.size // 2

    def window(self, shape: tuple[int, int]) -> tuple[Window, Window]:
        """Slices of the film, and of the patch, that hold the inside part of the patch.

        >>> film, patch = PatchLocation(0, 3, 4).window((10, 10))
        >>> film
        (slice(0, 2, None), slice(1, 5, None))
        >>> patch
        (slice(2, 4, None), slice(0, 4, None))
        """
        rows = overlap(self.top, self.size, shape[0])
        columns = overlap(self.left, self.size, shape[1])
        return (rows[0], columns[0]), (rows[1], columns[1])


def overlap(start: int, size: int, length: int) -> tuple[slice, slice]:
    """Where a stretch that begins at ``start`` lies on a film of this length, and which part of the stretch does.

    >>> overlap(-2, 4, 10)
    (slice(0, 2, None), slice(2, 4, None))
    """
    first, last = min(max(start, 0), length), max(min(start + size, length), 0)
    last = max(first, last)
    return slice(first, last), slice(first - start, last - start)


@dataclass(frozen=True)
class CoverageReport:
    """How often the patches cover the lung pixels: K_i of Oh 2020, eq. 5.

    ``minimum`` and ``median`` count patches; ``uncovered_share`` is the part
    of the lung pixels that no patch covers, in [0, 1].
    """

    minimum: int
    median: float
    uncovered_share: float


def coverage(centres: IntArray, size: int, shape: tuple[int, int]) -> IntArray:
    """Count the patches that cover each pixel: K_i of Oh 2020, eq. 5.

    Parameters
    ----------
    centres
        Centre pixels of the patches, int (K, 2), row and column.
    size
        Side of the square patches in pixels.
    shape
        Height and width of the film.

    Returns
    -------
    int32 (H, W)

    Examples
    --------
    >>> import numpy as np
    >>> coverage(np.array([[0, 0], [1, 1]]), size=2, shape=(3, 3))
    array([[2, 1, 0],
           [1, 1, 0],
           [0, 0, 0]], dtype=int32)
    """
    starts = np.asarray(centres).reshape(-1, 2) - size // 2
    first = np.clip(starts, 0, shape)
    last = np.clip(starts + size, 0, shape)
    corners = np.zeros((shape[0] + 1, shape[1] + 1), dtype=np.int32)
    np.add.at(corners, (first[:, 0], first[:, 1]), 1)
    np.add.at(corners, (last[:, 0], last[:, 1]), 1)
    np.subtract.at(corners, (first[:, 0], last[:, 1]), 1)
    np.subtract.at(corners, (last[:, 0], first[:, 1]), 1)
    return corners[:-1, :-1].cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)


def coverage_report(counts: IntArray, lung_mask: BoolArray) -> CoverageReport:
    """Summarise a coverage over the lung pixels.

    Parameters
    ----------
    counts
        Patches over each pixel, int (H, W), from :func:`coverage`.
    lung_mask
        Lung pixels, bool (H, W).

    Raises
    ------
    EmptyLungError
        If the mask has no pixel.
    MaskError
        If the shapes differ.
    """
    lung = np.asarray(lung_mask, dtype=bool)
    if lung.shape != counts.shape:
        raise MaskError(
            f"lung_mask has shape {lung.shape} but the coverage has {counts.shape}; "
            "resize the mask with preprocessing.geometry.resize_mask"
        )
    if not lung.any():
        raise EmptyLungError(
            "lung_mask has no lung pixel; expected at least one; segment the film again, or leave it out"
        )
    inside = counts[lung]
    return CoverageReport(
        minimum=int(inside.min()), median=float(np.median(inside)), uncovered_share=float(np.mean(inside == 0))
    )
