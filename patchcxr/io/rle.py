"""Masks as COCO run lengths: the form in which CheXlocalize and COCO store them in JSON.

A mask is read column by column, and the lengths of its runs are counted, the
first one of background (perhaps 0). In the *compressed* form each count from
the fourth on is replaced by its difference from the count two places before,
and each number is written in groups of five bits, lowest first, one printable
character a group (``48 +`` five bits ``+ 32`` if more follow; the highest bit
of the last group is the sign).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from patchcxr.errors import ImageError, MaskError
from patchcxr.io.limits import check_pixels
from patchcxr.types import BoolArray, IntArray

_MOST_GROUPS: Final = 7
"""Groups of five bits in one number: 35 bits hold every count within the limit of pixels, and more may not fit."""


def decode_rle(encoded: Any, name: str = "mask") -> BoolArray:
    """Mask (H, W) from COCO run lengths.

    Parameters
    ----------
    encoded
        ``{"size": [rows, columns], "counts": text or list of counts}``.
    name
        What is decoded, for messages.

    Raises
    ------
    MaskError
        If it has another form, the runs do not add up to the size, or the size exceeds the limit of
        :mod:`patchcxr.io.limits`; nothing is allocated before that is known.

    Examples
    --------
    >>> decode_rle({"size": [2, 3], "counts": [1, 2, 3]}).astype(int).tolist()
    [[0, 1, 0], [1, 0, 0]]
    """
    try:
        rows, columns = (int(side) for side in encoded["size"])
        counts = encoded["counts"]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise MaskError(f"{name}: expected COCO run lengths, an object with size [rows, columns] and counts") from None
    try:
        check_pixels(rows, columns, name)
    except ImageError as error:
        raise MaskError(str(error)) from None
    if isinstance(counts, str | bytes):
        # Half a surrogate, which JSON may hold, becomes bytes that are no counts ("?", its usual stand-in, is one).
        runs = _expand(counts.encode(errors="surrogatepass") if isinstance(counts, str) else counts, name)
    else:
        runs = _plain(counts, name)
    if runs.size == 0 or runs.min() < 0 or runs.max() > rows * columns or int(runs.sum()) != rows * columns:
        raise MaskError(
            f"{name}: {runs.size} run lengths that add up to {int(runs.sum())}; expected counts from 0 that add up to "
            f"{rows} x {columns} = {rows * columns} pixels; the text is damaged or belongs to another size"
        )
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(columns, rows).T)


def encode_rle(mask: BoolArray) -> dict[str, Any]:
    """Run lengths of a mask in COCO's compressed form, ready for JSON.

    Raises
    ------
    MaskError
        If the array is not two-dimensional and boolean.

    Examples
    --------
    >>> encode_rle(np.array([[False, True, False], [True, False, False]]))
    {'size': [2, 3], 'counts': '123'}
    """
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise MaskError(f"mask is {mask.dtype} of shape {mask.shape}; expected bool of shape (H, W), so threshold it")
    flat = mask.ravel(order="F")
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    runs = np.diff(ends, prepend=0)
    if flat[0]:
        runs = np.concatenate(([0], runs))
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": _compress(runs)}


def _expand(text: bytes, name: str) -> IntArray:
    groups = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    if groups.size == 0 or groups.min() < 0 or groups.max() > 63 or groups[-1] & 32:
        raise MaskError(
            f"{name}: counts are no COCO run lengths: empty, cut off, or with characters outside '0' to 'o'"
        )
    last = np.flatnonzero((groups & 32) == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    if lengths.max() > _MOST_GROUPS:
        raise MaskError(f"{name}: a count of more than {5 * _MOST_GROUPS} bits; the text is damaged")
    place = np.arange(groups.size) - np.repeat(first, lengths)
    numbers = np.add.reduceat((groups & 31) << (5 * place), first)
    numbers -= np.where(groups[last] & 16, np.int64(1) << (5 * lengths), 0)
    # Every second number from the second on is the difference from the one two places before.
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _compress(runs: IntArray) -> str:
    numbers = runs.astype(np.int64)
    numbers[3:] -= runs[1:-2]
    groups = np.zeros((numbers.size, _MOST_GROUPS + 1), dtype=np.uint8)
    used = np.zeros(groups.shape, dtype=bool)
    open_ = np.ones(numbers.size, dtype=bool)
    for place in range(_MOST_GROUPS + 1):
        five = numbers & 31
        numbers >>= 5
        more = open_ & np.where(five & 16, numbers != -1, numbers != 0)
        groups[:, place], used[:, place] = 48 + five + 32 * more, open_
        open_ = more
    return groups[used].tobytes().decode("ascii")


def _plain(counts: Any, name: str) -> IntArray:
    try:
        runs = np.asarray(counts)
    except ValueError:  # lists of several lengths
        runs = np.asarray(None)
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise MaskError(f"{name}: counts are {type(counts).__name__}; expected text, or a list of whole numbers")
    return runs.astype(np.int64)
