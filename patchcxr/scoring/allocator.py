"""Memory that tensors free is kept for the next ones."""

from __future__ import annotations

import ctypes
import functools
from typing import Final

TRIM: Final = (-1, 128 * 1024**2)
"""glibc's ``M_TRIM_THRESHOLD``, and bytes."""
MMAP: Final = (-3, 32 * 1024**2)
"""glibc's ``M_MMAP_THRESHOLD``, and the most that it takes."""


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc keep up to 128 MB of what this process frees, in place of giving it back and asking for it again.

    glibc comes to that by itself where nobody tells it otherwise, but Dask starts its workers with
    ``MALLOC_TRIM_THRESHOLD_=65536``: every tensor above 128 kB then gets fresh pages from the kernel, and scoring takes
    more than twice as long (``docs/performance.md``).

    Returns
    -------
    bool
        Whether the C library took it; one that is not glibc does not.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(mallopt(*pair) == 1 for pair in (TRIM, MMAP))
