"""One ``patchcxr score`` at a time works in a folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Final

from patchcxr.errors import ConfigError

AT_WORK: Final = "another patchcxr score is at work here"


class FolderLock:
    """The lock of a folder, which ends with the process, however it ends.

    A file server that lost sight of this machine may have given the lock away, so it is asked for again and again.

    Raises
    ------
    ConfigError
        If another process has it, or the file system does not lock files.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / "lock"
        self.file = self.path.open("a")
        try:
            self._hold(f"{AT_WORK}; wait for it, or give another --out")
        except OSError as error:
            raise ConfigError(
                f"{out}: the file system does not lock files ({error}); give an --out on another"
            ) from None

    def renew(self) -> None:
        """Ask for the lock again, which costs nothing where it is still held.

        Raises
        ------
        ConfigError
            If another process has it.
        """
        with contextlib.suppress(OSError):  # the server forgot the open file, or is still away: next time
            if self.file.closed:
                self.file = self.path.open("a")
            self._hold(f"the lock was lost while the file server was away, and {AT_WORK} now; let it end")

    def _hold(self, otherwise: str) -> None:
        import fcntl

        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            raise ConfigError(f"{self.path.parent}: {otherwise}") from None
        except OSError:
            self._close()
            raise

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # the server may be away; it finds out by itself
            self.file.close()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
