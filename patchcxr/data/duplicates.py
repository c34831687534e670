"""Near-duplicates: the same film twice, re-encoded, resized or changed in brightness.

A film is described by 256 bits, each of which says whether brightness rises
from one cell of a 16 x 17 grid to its right-hand neighbour (difference hash).
Copies differ in a few bits. On public chest films, different films of
different people rarely come nearer than 18 bits to each other, and a
re-encoded copy stays within 5; a copy that was also cropped or retouched can
lie farther away and is then not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from patchcxr.errors import ImageError
from patchcxr.io.radiograph import read_radiograph
from patchcxr.types import BoolArray, FloatArray, IntArray

SIDE = 16
MAXIMUM_DISTANCE = 10
_BLOCK = 2048


def difference_hash(pixels: FloatArray, side: int = SIDE) -> BoolArray:
    """Bits that tell a film from others: whether brightness rises to the right.

    Parameters
    ----------
    pixels
        Shape (H, W), any range.
    side
        Rows of the grid, and comparisons a row.

    Returns
    -------
    bool, shape (side * side,).

    Examples
    --------
    >>> difference_hash(np.array([[0.0, 1.0, 0.5], [0.2, 0.1, 0.3]]), side=2).tolist()
    [True, False, False, True]
    """
    pixels = np.asarray(pixels, dtype=np.float32)
    if pixels.ndim != 2 or pixels.size == 0:
        raise ImageError(f"film has shape {pixels.shape}; expected (H, W) with at least one pixel")
    grid = cv2.resize(pixels, (side + 1, side), interpolation=cv2.INTER_AREA)
    return (grid[:, 1:] > grid[:, :-1]).ravel()


def near_duplicate_groups(hashes: BoolArray | list[BoolArray], maximum_distance: int = MAXIMUM_DISTANCE) -> IntArray:
    """Group films whose hashes differ in few bits; groups are joined through shared members.

    Every pair is compared, in blocks: a minute or two for 100,000 films.

    Parameters
    ----------
    hashes
        bool, shape (n, bits).
    maximum_distance
        Largest number of bits in which two copies of a film may differ.

    Returns
    -------
    int, shape (n,): group of each film, numbered from 0 by first appearance.
    """
    stacked = np.asarray(hashes, dtype=bool)
    count, bits = stacked.shape
    signed = stacked.astype(np.float32) * 2 - 1
    rows, columns = [], []
    for start in range(0, count, _BLOCK):
        for other in range(start, count, _BLOCK):
            # Hamming distance d of sign vectors of length b: their product is b - 2d.
            near = signed[start : start + _BLOCK] @ signed[other : other + _BLOCK].T >= bits - 2 * maximum_distance
            row, column = np.nonzero(near)
            rows.append(row + start)
            columns.append(column + other)
    if not rows:
        return np.zeros(0, dtype=np.int64)
    row, column = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((np.ones(len(row), dtype=np.int8), (row, column)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def hash_films(paths: Iterable[str | Path], progress: Callable[[int], None] | None = None) -> BoolArray:
    """Difference hash of every file; shape (n, 256).

    Raises
    ------
    ImageError
        If a file cannot be read.
    """
    hashes = []
    for done, path in enumerate(paths, start=1):
        hashes.append(difference_hash(read_radiograph(path).pixels))
        if progress:
            progress(done)
    return np.array(hashes, dtype=bool).reshape(len(hashes), SIDE * SIDE)
