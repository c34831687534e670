"""One look at every film of a cohort: what all checks need, decoded once, in parallel, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pandas as pd

from patchcxr.data.audit._cache import ScanCache
from patchcxr.data.audit._film import BITS, NUMBERS, SIDE, TEXTS, FilmFiles, Measured, stamp
from patchcxr.data.audit._pool import FilmPool
from patchcxr.data.audit.findings import column_text, row_names
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.data.cohort import MASK_COLUMNS
from patchcxr.types import AnyArray, BoolArray

Progress: TypeAlias = Callable[[int, int], None]
_PART: Final = 256


@dataclass(frozen=True, eq=False)
class FilmScan:
    """What was measured; every array is aligned with the rows of the cohort.

    Attributes
    ----------
    facts
        One row a film. Text: ``study``; ``error`` (empty if the film could be read);
        ``photometric``; ``file_digest`` and ``pixel_digest`` (BLAKE2b of the file, and of shape
        and pixels rounded to 8 bits); ``mask_errors`` (lines ``column kind: reason``, kind being
        missing, unreadable or size). Numbers, NaN where not measured: ``rows``, ``columns``
        and ``bit_depth`` of the file; ``<mask>_share`` of the film that each mask covers;
        ``right_lung_column`` and ``left_lung_column`` (centre of the lung from 0, left edge, to
        1); ``lung_overlap`` (share of the smaller lung that the other covers);
        ``lung_agreement`` (Dice of ``lung_mask`` and the two lungs); ``infection_outside_share``
        (of the infection, outside the lungs); and every field of
        :class:`patchcxr.measure.appearance.Appearance`.
    hashes
        bool, (n, 256): :func:`patchcxr.data.duplicates.difference_hash`.
    thumbnails
        uint8, (n, 64, 64): the film averaged over a 64 x 64 grid, grey 0 to 255.
    lungs
        bool, (n, 64, 64): both lungs on the grid of the thumbnails.
    has_lungs
        bool, (n,): whether the film has a lung mask that is not empty.

    Rows with an error are zero in every array.
    """

    facts: pd.DataFrame
    hashes: BoolArray
    thumbnails: AnyArray
    lungs: BoolArray
    has_lungs: BoolArray

    def __len__(self) -> int:
        return len(self.facts)

    @property
    def readable(self) -> BoolArray:
        """Whether each film could be read, bool, (n,)."""
        return (self.facts["error"] == "").to_numpy(dtype=bool)


def scan_films(
    table: pd.DataFrame,
    config: AuditConfig | None = None,
    cache: str | Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> FilmScan:
    """Decode each film and its masks once and measure what the checks need.

    A film that cannot be read becomes a row with an ``error``, also when
    reading it kills a worker process. About 9 kB of memory a film.

    Parameters
    ----------
    table
        Cohort with absolute paths; it need not be valid.
    config
        Only ``masks`` matters: whether masks are opened.
    cache
        Folder where measurements are kept, in one file, by path, size and time of change
        of film and masks and by the code that measures. A scan that was interrupted goes on
        where it stopped, and a second one only looks at the files' dates.
    workers
        Processes; 0 works in the caller's. Scripts that ask for processes need the usual
        ``if __name__ == "__main__":``.
    progress
        Called in the caller's process with the films done and their total.

    Raises
    ------
    ConfigError
        If ``workers`` is negative or processes cannot be started.
    CohortError
        If the cache cannot be used.
    """
    masks = (config or AuditConfig()).masks
    total = len(table)
    texts: dict[str, list[str]] = {name: [""] * total for name in TEXTS}
    numbers = np.full((total, len(NUMBERS)), np.nan)
    hashes = np.zeros((total, BITS), dtype=bool)
    thumbnails = np.zeros((total, SIDE, SIDE), dtype=np.uint8)
    lungs = np.zeros((total, SIDE, SIDE), dtype=bool)
    with ScanCache(cache) as known, FilmPool(workers) as pool:
        for start, measured in _measure(_files(table, masks), known, pool):
            for row, film in enumerate(measured, start=start):
                for name, text in zip(TEXTS, film.texts, strict=True):
                    texts[name][row] = text
                numbers[row], hashes[row] = film.numbers, film.hash_bits
                thumbnails[row], lungs[row] = film.thumbnail, film.lungs
            if progress:
                progress(start + len(measured), total)
    facts = pd.DataFrame({"study": row_names(table), **texts}).astype("string")
    measured_numbers = pd.DataFrame(numbers, columns=list(NUMBERS))
    has_lungs = np.asarray(lungs.any(axis=(1, 2)), dtype=bool)
    return FilmScan(pd.concat([facts, measured_numbers], axis=1), hashes, thumbnails, lungs, has_lungs)


def _files(table: pd.DataFrame, masks: bool) -> list[FilmFiles]:
    """Files of every row; an empty image cell gives an empty path, which then fails as a film."""
    fields = {column: column_text(table, column).fillna("").tolist() for column in MASK_COLUMNS if masks}
    return [
        FilmFiles(image, tuple((column, values[row]) for column, values in fields.items() if values[row].strip()))
        for row, image in enumerate(column_text(table, "image").fillna(""))
    ]


def _measure(films: Sequence[FilmFiles], known: ScanCache, pool: FilmPool) -> Iterator[tuple[int, list[Measured]]]:
    """(first row, measurements) part by part; each part is in the cache before the next one starts."""
    for start in range(0, len(films), _PART):
        part = films[start : start + _PART]
        stamps = [stamp(files) for files in part]
        found = known.find({text for text in stamps if text})
        todo = [row for row, text in enumerate(stamps) if text not in found]
        fresh = dict(zip(todo, pool.measure([part[row] for row in todo]), strict=True))
        known.add((text, fresh[row].pack()) for row in todo if (text := stamps[row]) and not fresh[row].error)
        yield (
            start,
            [fresh[row] if row in fresh else Measured.unpack(found[stamps[row] or ""]) for row in range(len(part))],
        )
