"""A folder of arrays, one file a study, written atomically."""

from __future__ import annotations

import hashlib
import os
import re
import tokenize
from pathlib import Path

import numpy as np

from patchcxr.errors import ImageError
from patchcxr.io.atomic import sync_file
from patchcxr.io.outages import outage
from patchcxr.types import AnyArray

_FAULTS = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What NumPy raises on a damaged file; its header may claim any size, so MemoryError is one of them."""


def safe_name(study: str) -> str:
    """File name for a study id: readable where it can be, and never two ids with one name.

    >>> safe_name("a/b")
    'a_b-c14cddc0'
    """
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", study)[:80].lstrip(".")
    if readable == study:
        return study
    return f"{readable}-{hashlib.sha256(study.encode(errors='surrogatepass')).hexdigest()[:8]}"


class ArrayFolder:
    """Arrays by study id, each in its own ``.npy`` file below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, study: str) -> Path:
        """Where the array of a study lies, whether or not it exists."""
        return self.root / f"{safe_name(study)}.npy"

    def save(self, study: str, array: AnyArray) -> None:
        """Write an array; a reader never sees half of it, not even after a loss of power."""
        path = self.path(study)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            sync_file(file)
        os.replace(temporary, path)

    def load(self, study: str) -> AnyArray:
        """Read the array of a study.

        Raises
        ------
        ImageError
            If there is none, or the file is damaged.
        """
        path = self.path(study)
        try:
            with path.open("rb") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except FileNotFoundError:
            raise ImageError(f"no array for study {study!r} at {path}; run the step that computes it") from None
        except (*_FAULTS, tokenize.TokenError) as error:
            if outage(error) is not None:
                raise
            raise ImageError(
                f"{path}: not a readable array ({str(error)[:200]}); delete the file and run the step again"
            ) from None

    def __contains__(self, study: str) -> bool:
        return self.path(study).is_file()
