"""Near-duplicates: the same film twice, re-encoded, resized or changed in brightness.

A film is described by 256 bits, each of which says whether brightness rises
from one cell of a 16 x 17 grid to its right-hand neighbour (difference hash).
Copies differ in a few bits. On public chest films, different films of
different people rarely come nearer than 18 bits to each other (the nearest
were 12 apart), and a re-encoded copy stays within 5; a copy that was also
cropped or retouched can lie farther away and is then not found: see
:mod:`patchcxr.data.audit.copies` for those.

Neighbours are searched by multi-index hashing (Norouzi, Punjani and Fleet,
Fast exact search in Hamming space with multi-index hashing, IEEE TPAMI
36:1107-1119, 2014).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from patchcxr.errors import ImageError
from patchcxr.io.radiograph import read_radiograph
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

SIDE = 16
MAXIMUM_DISTANCE = 10
_BLOCK = 1 << 20
_WIDEST_KEY: Final = 22
_POPCOUNT: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


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


def near_duplicate_groups(hashes: BoolArray | list[BoolArray], maximum_distance: int = MAXIMUM_DISTANCE) -> IntArray:
    """Group films whose hashes differ in few bits; groups are joined through shared members.

    Exact: the groups are those of comparing every pair, found without doing so.

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
    if not len(stacked):
        return np.zeros(0, dtype=np.int64)
    # A thousand copies of one film are one hash, not half a million pairs.
    different, same = np.unique(np.packbits(stacked, axis=1), axis=0, return_inverse=True)
    group: IntArray = np.arange(len(different))
    for first, second, _ in near_pairs(np.unpackbits(different, axis=1).astype(bool), maximum_distance):
        group = join(group, group[first], group[second])
    return number_by_appearance(group[same.ravel()])


def near_pairs(
    hashes: BoolArray, maximum_distance: int, certain_distance: int | None = None
) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Pairs of hashes that differ in few bits, in blocks of bounded size.

    The bits are dealt into chunks. Two hashes at distance d, cut into more
    than d / (r + 1) chunks, differ in at most r bits of one of them, so that
    a look-up of each chunk, and of those that differ from it in r bits (r is
    0 or 1 here), meets every near pair.

    Parameters
    ----------
    hashes
        bool, shape (n, bits).
    maximum_distance
        Pairs farther apart are left out.
    certain_distance
        Pairs up to this distance are found for certain, those beyond it with
        a chance that falls with their distance; ``maximum_distance`` if ``None``.
        With 256 independent bits and 31 for certain, at least 96 % of the pairs
        at 50 bits and 65 % of those at 64 are found.

    Yields
    ------
    Positions ``first`` < ``second`` and their distance, int, shape (k,). A
    pair may come several times.
    """
    count, bits = hashes.shape
    certain = maximum_distance if certain_distance is None else min(certain_distance, maximum_distance)
    flips = 0 if bits >= (certain + 1) * math.log2(max(count, 2)) else 1
    chunks = min(math.ceil((certain + 1) / (1 + flips)), bits)
    packed = _packed(hashes)
    for chunk in range(chunks):
        # Dealt one by one, as neighbouring bits of an image's hash go together.
        keys, width = _keys(hashes[:, chunk::chunks], count)
        for rows, partners in _same_or_flipped(keys, width, flips):
            distance = _distances(packed, rows, partners)
            near = distance <= maximum_distance
            first, second = np.minimum(rows[near], partners[near]), np.maximum(rows[near], partners[near])
            if len(first):
                yield first, second, distance[near].astype(np.int64)


def join(group: IntArray, first: IntArray, second: IntArray) -> IntArray:
    """Merge groups ``first[k]`` and ``second[k]``, for all k, and return the new group of each member.

    >>> join(np.array([0, 1, 2, 3]), np.array([0, 2]), np.array([2, 3])).tolist()
    [0, 1, 0, 0]
    """
    nodes = int(group.max()) + 1
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][group].astype(np.int64)


def number_by_appearance(group: IntArray) -> IntArray:
    """Renumber groups from 0 by their first member.

    >>> number_by_appearance(np.array([7, 3, 7, 5])).tolist()
    [0, 1, 0, 2]
    """
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _packed(hashes: BoolArray) -> AnyArray:
    """Hashes as 64-bit words, shape (n, words)."""
    octets = np.packbits(hashes, axis=1)
    padded = np.zeros((len(octets), -(-octets.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : octets.shape[1]] = octets
    return padded.view(np.uint64)


def _keys(chunk: BoolArray, count: int) -> tuple[IntArray, int]:
    """Number of each chunk and its bits; more bits than the number of hashes needs would only fill memory."""
    width = min(chunk.shape[1], _WIDEST_KEY, math.ceil(math.log2(max(count, 2))) + 4)
    return chunk[:, :width] @ (1 << np.arange(width, dtype=np.int64)), width


def _same_or_flipped(keys: IntArray, width: int, flips: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Pairs whose keys are the same or, with ``flips`` of 1, differ in one bit; each once, in blocks."""
    order = np.argsort(keys, kind="stable")
    sizes = np.bincount(keys, minlength=1 << width)
    ends = np.cumsum(sizes)
    ordered = keys[order]
    yield from _ranges(order, order, np.arange(1, len(keys) + 1), ends[ordered])
    for bit in range(width if flips else 0):
        lower = np.flatnonzero(ordered & (1 << bit) == 0)
        other = ordered[lower] | (1 << bit)
        yield from _ranges(order, order[lower], ends[other] - sizes[other], ends[other])


def _ranges(order: IntArray, rows: IntArray, start: IntArray, end: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Each of ``rows`` with every one of ``order[start:end]``, about ``_BLOCK`` pairs at a time."""
    lengths = end - start
    used = np.flatnonzero(lengths)
    total = np.cumsum(lengths[used])
    done = 0
    while done < len(used):
        before = total[done - 1] if done else 0
        stop = max(int(np.searchsorted(total, before + _BLOCK, side="right")), done + 1)
        part = used[done:stop]
        sizes = lengths[part]
        # 0, 1, ... within each range: a running count less where the range began.
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        yield np.repeat(rows[part], sizes), order[np.repeat(start[part], sizes) + within]
        done = stop


def _distances(packed: AnyArray, rows: IntArray, partners: IntArray) -> AnyArray:
    different = packed[rows] ^ packed[partners]
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(different).sum(axis=1, dtype=np.int32)
    return _POPCOUNT[different.view(np.uint8)].sum(axis=1, dtype=np.int32)
