"""Measuring films in worker processes that one film may kill without ending the scan."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import TracebackType
from typing import Final, Self

import cv2

from patchcxr.data.audit._film import FilmFiles, Measured, failed, measure_film
from patchcxr.errors import ConfigError

_CHUNK: Final = 8


class FilmPool:
    """Processes that measure films; none are started before they are needed.

    Parameters
    ----------
    workers
        Processes; 0 measures in the caller's.
    """

    def __init__(self, workers: int) -> None:
        if workers < 0:
            raise ConfigError(f"workers is {workers}; expected 0 (none) or more processes")
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def measure(self, films: Sequence[FilmFiles]) -> list[Measured]:
        """Measure films, in order; one that kills its process is a failed film.

        Raises
        ------
        ConfigError
            If processes cannot be started at all.
        """
        if not self.workers or not films:
            return [measure_film(film) for film in films]
        measured: list[Measured] = []
        try:
            measured.extend(self._started(self.workers).map(measure_film, films, chunksize=_CHUNK))
        except BrokenProcessPool:
            # Which film it was is unknown: one process takes those that are left one by one.
            self.close()
            measured.extend(self._measure_alone(film) for film in films[len(measured) :])
            self.close()
        return measured

    def close(self) -> None:
        """End the processes; films that nobody waits for are not measured."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _started(self, workers: int) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, as forking a process that has threads (OpenCV, PyTorch) can hang.
            pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread)
            try:
                pool.submit(os.getpid).result()
            except BrokenProcessPool:
                raise ConfigError(
                    f"workers is {workers}, but processes cannot be started here; put the call below"
                    " if __name__ == '__main__': in your script, or ask for workers=0"
                ) from None
            self._pool = pool
        return self._pool

    def _measure_alone(self, film: FilmFiles) -> Measured:
        try:
            return self._started(1).submit(measure_film, film).result()
        except BrokenProcessPool:
            self.close()
            return failed(f"{film.image}: the process that read it was killed, perhaps for want of memory")


def _one_thread() -> None:
    """Processes already fill the cores."""
    cv2.setNumThreads(1)
