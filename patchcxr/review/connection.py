"""Connections to the file of a review: one a thread and process, every write one durable transaction."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from patchcxr.errors import ReviewError

BUSY_SECONDS: Final = 30.0

_UNUSABLE: Final = "a text is no Unicode, or a number too large; send it again"


class _Connection(sqlite3.Connection):
    """Closes itself, for threads that end without closing theirs."""

    def __del__(self) -> None:
        # A connection that could not be opened cannot be closed either.
        with suppress(sqlite3.Error):
            self.close()


def connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open the file in autocommit mode, with a write-ahead log that is synced at every commit.

    Parameters
    ----------
    path
        The file.
    mode
        ``rw``, or ``rwc`` to make it where it is absent.

    Raises
    ------
    sqlite3.Error
        If it cannot be opened or is no SQLite file.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None,
        check_same_thread=False, factory=_Connection,
    )  # fmt: skip
    connection.execute("PRAGMA foreign_keys = ON")
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise sqlite3.OperationalError("no write-ahead log on this file system; the folder must be on a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


class Database:
    """The file of a review, for use from many threads.

    Parameters
    ----------
    path
        The file; it must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._open: weakref.WeakSet[sqlite3.Connection] = weakref.WeakSet()

    def connection(self) -> sqlite3.Connection:
        """Connection of this thread; a forked process gets its own, as SQLite asks for."""
        mine: dict[int, sqlite3.Connection] | None = getattr(self._local, "of_process", None)
        if mine is None:
            mine = self._local.of_process = {}
        if os.getpid() not in mine:
            mine[os.getpid()] = connect(self.path)
            self._open.add(mine[os.getpid()])
        return mine[os.getpid()]

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One state of the store for several queries.

        Raises
        ------
        ReviewError
            If SQLite cannot read.
        """
        try:
            connection = self.connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                _roll_back(connection)
        except sqlite3.Error as error:
            raise ReviewError(f"{self.path}: cannot be read ({error}); check the disk and try again") from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise ReviewError(f"{_UNUSABLE} ({error})") from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: on disk when the block is left, or nothing recorded if anything is raised.

        Raises
        ------
        ReviewError
            If SQLite cannot write, as on a full disk.
        """
        try:
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise
        except sqlite3.Error as error:
            raise ReviewError(
                f"nothing was recorded: {self.path} cannot be written ({error}); {_remedy(error)}, then try again"
            ) from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise ReviewError(f"nothing was recorded: {_UNUSABLE} ({error})") from error

    def close(self) -> None:
        """Close the connections of all threads; a later use opens new ones."""
        for connection in list(self._open):
            connection.close()
        self._open.clear()
        self._local = threading.local()


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite itself ends the transaction on some faults, such as a full disk.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _remedy(error: sqlite3.Error) -> str:
    text = str(error)
    if "full" in text:
        return "free space on its disk"
    if "locked" in text or "busy" in text:
        return "wait for the other process that writes it"
    if "readonly" in text:
        return "make the folder writable"
    return "check the disk and the folder"
