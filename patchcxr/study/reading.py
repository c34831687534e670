"""Films for a network, a batch at a time: prepared and read in a thread while the network works on the last batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from patchcxr.data.cohort import MASK_COLUMNS
from patchcxr.inference.batches import BatchSize, read_ahead
from patchcxr.io.arrays import ArrayFolder
from patchcxr.preprocessing.store import FilmStore, prepare_stores
from patchcxr.types import AnyArray, FloatArray

T = TypeVar("T")
Prepare = Callable[[Sequence[str]], list[str]]
Progress = Callable[[int, int], None]


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive parts of ``items``, each of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def as_film(stored: AnyArray) -> FloatArray:
    """A stored film (uint8) as float32 in [0, 1]."""
    return np.asarray(stored, dtype=np.float32) / np.float32(255)


class Preparation:
    """Prepares films of a cohort part by part, and remembers which failed.

    Parameters
    ----------
    table
        Cohort, as for :func:`patchcxr.preprocessing.store.prepare_stores`.
    stores, mask_columns, workers
        As there.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        stores: Sequence[FilmStore],
        mask_columns: Sequence[str] = MASK_COLUMNS,
        workers: int = 0,
    ) -> None:
        self.rows = table.set_index(table["study"].astype(str), drop=False)
        self.stores, self.mask_columns, self.workers = stores, mask_columns, workers
        self._failures: list[pd.DataFrame] = []

    def __call__(self, studies: Sequence[str]) -> list[str]:
        """Prepare these studies; return those that could be."""
        part = self.rows.loc[list(studies)].reset_index(drop=True)
        failed = prepare_stores(part, self.stores, self.mask_columns, workers=self.workers)
        self._failures.append(failed)
        bad = set(failed["study"])
        return [study for study in studies if study not in bad]

    def failures(self) -> pd.DataFrame:
        """The films that failed so far: study, stage and error."""
        empty = pd.DataFrame(columns=["study", "stage", "error"], dtype="string")
        return pd.concat([empty, *self._failures], ignore_index=True)


def film_batches(
    store: FilmStore,
    studies: Sequence[str],
    done: ArrayFolder,
    size: BatchSize,
    prepare: Prepare | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[list[str], AnyArray]]:
    """Studies that have no result yet and their films, uint8 (b, H, W).

    A result that is older than its film, which must be of another file of
    that name, is no result.

    Parameters
    ----------
    store, studies
        Where the films are, and which.
    done
        Results.
    size
        Films a batch.
    prepare
        Called with the studies of a batch before they are read; by default
        they are all prepared.
    progress
        Called with the studies done and their total.
    """

    def load(part: Sequence[str]) -> tuple[int, list[str], list[AnyArray]]:
        ready = list(part) if prepare is None else prepare(part)
        todo = [study for study in ready if not is_current(done, store, study)]
        return len(part), todo, [np.asarray(store.film(study)) for study in todo]

    count = 0
    for seen, todo, films in read_ahead(load, batches(studies, size.size)):
        if todo:
            yield todo, np.stack(films)
        count += seen
        if progress:
            progress(count, len(studies))


def is_current(done: ArrayFolder, store: FilmStore, study: str) -> bool:
    """Whether there is a result for a study that is not older than its prepared film."""
    return up_to_date(done.path(study), store, study)


def up_to_date(path: Path, store: FilmStore, study: str, since: int = 0) -> bool:
    """Whether a result is there that is not older than its prepared film, nor than ``since`` (nanoseconds)."""
    made = changed(path)
    if made is None or made < since:
        return False
    film = store.film(study)
    prepared = changed(Path(str(film.filename))) if isinstance(film, np.memmap) else None
    return prepared is None or made >= prepared


def changed(path: Path) -> int | None:
    """When a file was last written, in nanoseconds; None if there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
