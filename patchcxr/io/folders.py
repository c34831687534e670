"""The files below a folder, whatever links it holds."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path


def files_below(root: str | Path, suffixes: Collection[str] | None = None) -> list[Path]:
    """All files below a folder, sorted by path.

    Linked folders are entered, but each real folder only once, so that a link
    to a folder above it ends there. Hidden files and folders, and links that
    lead nowhere, are left out. Folders that may not be read count as empty.

    Parameters
    ----------
    root
        Folder to walk through.
    suffixes
        Lower-case suffixes with their dot that a file must have one of; all files if ``None``.

    Returns
    -------
    Absolute paths below ``root`` as given (links are not resolved).
    """
    root = Path(root).absolute()
    entered = {os.path.realpath(root)}
    found: list[Path] = []
    for folder, folders, files in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(folder, name))
            if not name.startswith(".") and real not in entered:
                entered.add(real)
                kept.append(name)
        folders[:] = kept
        for name in files:
            path = Path(folder, name)
            wanted = suffixes is None or path.suffix.lower() in suffixes
            if wanted and not name.startswith(".") and path.is_file():
                found.append(path)
    return sorted(found)
