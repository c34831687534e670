"""A disk that forgets what nobody asked it to keep, as disks do when the power goes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """Knows which files were synced, and at what length."""

    def __init__(self) -> None:
        self.synced: dict[tuple[int, int], int] = {}

    def sync(self, handle: int) -> None:
        """Stand in for :func:`os.fsync`."""
        facts = os.fstat(handle)
        self.synced[facts.st_ino, facts.st_mtime_ns] = facts.st_size

    def lose_power(self, folder: Path) -> list[str]:
        """Cut every file below a folder to the length that was synced, most often to nothing; their names come back."""
        lost = []
        for path in sorted(folder.rglob("*")):
            facts = path.stat()
            kept = self.synced.get((facts.st_ino, facts.st_mtime_ns), 0)
            if path.is_file() and facts.st_size > kept:
                data = path.read_bytes()[:kept]
                path.unlink()  # whoever has mapped the old file keeps it
                path.write_bytes(data)
                lost.append(path.relative_to(folder).as_posix())
        return lost


@contextmanager
def disk() -> Iterator[Disk]:
    """The disk for all that this process writes meanwhile."""
    found = Disk()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", found.sync)
        yield found
