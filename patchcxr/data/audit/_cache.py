"""Measurements of films in one SQLite file that only grows."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from patchcxr.errors import CohortError

FILE_NAME: Final = "films.sqlite"
_MANY: Final = 500


class ScanCache:
    """Packed measurements by stamp; each call of :meth:`add` is written whole or not at all.

    An interrupted scan loses at most the part that it was working on, and two
    scans may share a cache.

    Parameters
    ----------
    folder
        Folder of the cache, made if need be; ``None`` remembers nothing.

    Raises
    ------
    CohortError
        If the folder cannot be written or holds a file that is no cache.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.path = None if folder is None else Path(folder) / FILE_NAME
        self._database: sqlite3.Connection | None = None
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=60)
            with self._database:
                self._database.execute("CREATE TABLE IF NOT EXISTS films (stamp TEXT PRIMARY KEY, packed BLOB)")
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise CohortError(
                f"{self.path}: cannot be used as cache of an audit ({error}); delete it, or give another cache folder"
            ) from None

    def find(self, stamps: Iterable[str]) -> dict[str, bytes]:
        """Entries of those stamps that are known."""
        if self._database is None:
            return {}
        wanted = list(stamps)
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), _MANY):
            part = wanted[start : start + _MANY]
            marks = ",".join("?" * len(part))
            found.update(self._database.execute(f"SELECT stamp, packed FROM films WHERE stamp IN ({marks})", part))
        return found

    def add(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Write (stamp, packed) pairs."""
        if self._database is not None:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO films VALUES (?, ?)", entries)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.close()
