"""Files that are either whole or absent, also after a loss of power."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Final

_WAITS: Final = ContextVar("waits", default=True)


@contextlib.contextmanager
def without_waiting() -> Iterator[None]:
    """What this thread writes meanwhile does not wait for the disk: it is thrown away soon, or synced all at once."""
    token = _WAITS.set(False)
    try:
        yield
    finally:
        _WAITS.reset(token)


def write_bytes_atomically(path: str | Path, data: bytes, durable: bool = True) -> None:
    """Write ``data`` to ``path`` so that no reader ever sees half a file.

    The bytes go to a temporary file in the same folder, which then takes the
    place of ``path``. Missing folders are made.

    Parameters
    ----------
    path
        File to write.
    data
        All of it.
    durable
        Wait until the disk has the bytes before they take the place of
        ``path``, and until it has the name: then a loss of power cannot leave
        an empty file, and what is written afterwards cannot survive without
        this file. About a millisecond; False for what is cheap to make again.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                sync_file(file)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_file(file: IO[bytes]) -> None:
    """Wait until the disk has what was written to an open file; not in :func:`without_waiting`."""
    file.flush()
    if _WAITS.get():
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder; where folders cannot be synced, their file system sees to it."""
    if not _WAITS.get():
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until the disk has all files below a folder, whoever wrote them, and their names."""
    for place, _, names in os.walk(folder):
        for name in names:
            handle = os.open(os.path.join(place, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(place))


def _umask() -> int:
    return _PROCESS_UMASK


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_PROCESS_UMASK = _read_umask()
