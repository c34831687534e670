"""A film as the browser needs it: grey levels at their own bit depth, ready to send."""

from __future__ import annotations

import gzip
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patchcxr.errors import ImageError
from patchcxr.io.radiograph import read_radiograph
from patchcxr.types import FloatArray

LARGEST_SIDE: Final = 4096
"""Films with a longer side are sent reduced by a whole factor: no screen shows more, and browsers limit a canvas."""

CACHE_BYTES: Final = 512 * 2**20
"""Films that the server keeps ready, in bytes."""


class FilmPixels(NamedTuple):
    """Grey levels to show.

    Attributes
    ----------
    levels
        uint16 (H, W), 0 to 2**bits - 1, bone bright.
    bits
        8 to 16.
    centre, width
        Grey levels of the window to begin with (see :func:`display_window`).
    inverted
        Whether the file holds a negative (MONOCHROME1) that was turned back.
    factor
        Whole factor by which both sides were reduced; 1 for the film's full size.
    full
        (rows, columns) of the film itself.
    """

    levels: npt.NDArray[np.uint16]
    bits: int
    centre: float
    width: float
    inverted: bool
    factor: int
    full: tuple[int, int]


def film_pixels(path: str | Path, shape: tuple[int, int] | None = None, largest: int = LARGEST_SIDE) -> FilmPixels:
    """Read a film for display.

    The levels are those of the file for raster images and for DICOM without a window. Where a DICOM file has a
    window, its output is what :func:`patchcxr.io.radiograph.read_radiograph` gives, and these are its levels.
    Floating-point films are shown at 16 bits.

    Parameters
    ----------
    path
        Any film that ``read_radiograph`` reads.
    shape
        (rows, columns) that the film must have; None accepts any.
    largest
        Longest side in pixels to return; longer films are reduced by block means.

    Raises
    ------
    ImageError
        If the file cannot be read or does not have ``shape``.
    """
    film = read_radiograph(path)
    full = (film.pixels.shape[0], film.pixels.shape[1])
    if shape is not None and full != tuple(shape):
        raise ImageError(
            f"{Path(path).name}: the film is {full[0]} x {full[1]} pixels but was {shape[0]} x {shape[1]} when it was"
            " proposed; put the original file back, or propose a new round"
        )
    bits = min(max(film.bit_depth, 8), 16)
    factor = -(-max(full) // largest)
    levels = np.rint(reduce_film(film.pixels, factor) * np.float32(2**bits - 1)).astype(np.uint16)
    centre, width = display_window(levels)
    return FilmPixels(levels, bits, centre, width, film.photometric == "MONOCHROME1", factor, full)


def reduce_film(pixels: FloatArray, factor: int) -> FloatArray:
    """Means of blocks of ``factor`` x ``factor`` pixels; blocks that reach over the border repeat its last pixels.

    >>> reduce_film(np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]]), 2).tolist()
    [[0.5, 0.5]]
    """
    if factor == 1:
        return pixels
    rows, columns = (-side % factor for side in pixels.shape)
    padded = np.pad(pixels, ((0, rows), (0, columns)), mode="edge")
    height, width = padded.shape[0] // factor, padded.shape[1] // factor
    means: FloatArray = padded.reshape(height, factor, width, factor).mean(axis=(1, 3))
    return means


def display_window(levels: npt.NDArray[np.uint16]) -> tuple[float, float]:
    """Centre and width, in grey levels, that show all but the darkest and brightest 0.5% of the pixels.

    The width is at least 1.

    >>> display_window(np.arange(1001, dtype=np.uint16).reshape(7, 143))
    (500.0, 990.0)
    """
    low, high = np.percentile(levels, [0.5, 99.5])
    return float(low + high) / 2, max(float(high - low), 1.0)


class Payload(NamedTuple):
    """A film ready to send: the HTTP headers that describe it, and its levels as compressed little-endian uint16."""

    headers: dict[str, str]
    gzipped: bytes


def film_payload(film: FilmPixels) -> Payload:
    """Pack a film; the headers are those of ``GET /api/pixels/{film}``."""
    headers = {
        "X-Height": str(film.levels.shape[0]),
        "X-Width": str(film.levels.shape[1]),
        "X-Bits": str(film.bits),
        "X-Window-Centre": f"{film.centre:g}",
        "X-Window-Width": f"{film.width:g}",
        "X-Inverted": str(int(film.inverted)),
        "X-Factor": str(film.factor),
    }
    return Payload(headers, gzip.compress(film.levels.astype("<u2").tobytes(), compresslevel=1, mtime=0))


class FilmCache:
    """Films that were asked for lately, least recently used out first.

    Readers who ask for the same film at once wait for one read of it. A file that changed is read again.

    Parameters
    ----------
    limit
        Most bytes to keep, compressed. A film above it is sent but not kept.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit, self._held = limit, 0
        self._ready: OrderedDict[Hashable, Payload] = OrderedDict()
        self._running: dict[Hashable, Future[Payload]] = {}
        self._lock = Lock()

    @property
    def held(self) -> int:
        """Bytes that are kept now."""
        return self._held

    def get(self, path: str | Path, shape: tuple[int, int]) -> Payload:
        """The film at ``path``, of ``shape`` (rows, columns).

        Raises
        ------
        ImageError
            As :func:`film_pixels`; nothing is kept then.
        """
        path = Path(path)
        try:
            facts = path.stat()
        except OSError as error:
            raise ImageError(f"{path.name}: the film cannot be read ({error.strerror}); put the file back") from None
        key = (str(path), facts.st_mtime_ns, facts.st_size, shape)
        with self._lock:
            if key in self._ready:
                self._ready.move_to_end(key)
                return self._ready[key]
            waiting = self._running.get(key)
            if waiting is None:
                mine = self._running[key] = Future()
        if waiting is not None:
            return waiting.result()
        try:
            payload = film_payload(film_pixels(path, shape))
        except BaseException as error:
            with self._lock:
                del self._running[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._running[key]
            self._keep(key, payload)
        mine.set_result(payload)
        return payload

    def _keep(self, key: Hashable, payload: Payload) -> None:
        if len(payload.gzipped) > self._limit:
            return
        self._ready[key] = payload
        self._held += len(payload.gzipped)
        while self._held > self._limit:
            _, oldest = self._ready.popitem(last=False)
            self._held -= len(oldest.gzipped)
