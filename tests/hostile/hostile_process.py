"""Gives every reader its damaged files, in a process of its own: bounded in time and memory, warnings as errors.

Run as a script with a folder to work in; it prints a line of JSON before and after each file, so that the last line
names the file that ended the process, should one do so.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hostile_bombs import BOMBS, CANARY
from hostile_readers import READERS, Reader
from mutated import damaged

from patchcxr.errors import PatchCXRError

SECONDS = 10
SPACE = 6 * 2**30


class TooLong(BaseException):
    """A reader has not ended in time."""


def stop(*_: Any) -> None:
    raise TooLong


def outcome(read: Callable[[Path], Any], path: Path) -> tuple[str, str]:
    """``read``, ``refused`` with the message, or ``fault`` with the exception and where it was raised."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        read(path)
    except PatchCXRError as error:
        return "refused", str(error)
    except BaseException as error:
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        return "fault", f"{type(error).__name__}: {str(error)[:200]} at {' '.join(places[-6:])}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "read", ""


def files_of(reader: Reader, sound: bytes) -> list[tuple[str, bytes]]:
    """Sound, empty, cut, damaged and hand-made files for one reader, by name."""
    seed = int.from_bytes(hashlib.sha256(reader.name.encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    made = [("sound", sound), ("empty", b""), ("one byte", sound[:1]), ("half", sound[: len(sound) // 2])]
    made += [(f"damaged {number}", damaged(sound, rng, reader.text)) for number in range(reader.tries)]
    return made + [(name, data()) for name, data in BOMBS.get(Path(reader.file).suffix, {}).items()]


def try_reader(reader: Reader, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    path = root / "folder" / reader.file
    path.parent.mkdir(parents=True)
    reader.make(path)
    for name, data in files_of(reader, path.read_bytes()):
        path.write_bytes(data)
        print(json.dumps([reader.name, name]), flush=True)
        start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ended, message = outcome(reader.read, path)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        seconds = time.process_time() - start
        print(json.dumps([reader.name, name, ended, message, seconds, 1024 * grown]), flush=True)


def main(root: Path, wanted: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    signal.signal(signal.SIGPROF, stop)
    warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)  # torch's, before it refuses the file
    for reader in READERS:
        if wanted in reader.name:
            try_reader(reader, root / "reader")
    print(json.dumps(["canary", (root / CANARY).exists() or Path(CANARY).exists()]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
