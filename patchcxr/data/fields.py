"""Image and mask fields of a cohort: absolute paths to files that are there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.faults import Fault, refuse
from patchcxr.io.masks import EMPTY_MASK, MASK_SEPARATOR, mask_paths

MASK_COLUMNS: Final = ("right_lung_mask", "left_lung_mask", "heart_mask", "lung_mask", "infection_mask")
FILE_COLUMNS: Final = ("image", *MASK_COLUMNS)


def resolve_field(field: str, root: Path, expand: bool = True) -> str:
    """Absolute paths of an image or mask field; relative ones start from ``root``.

    ``~`` and environment variables are filled in if ``expand``.
    """
    if field.strip() == EMPTY_MASK:
        return EMPTY_MASK
    parts = [part.strip() for part in field.split(MASK_SEPARATOR)]
    if expand:
        parts = [os.path.expanduser(os.path.expandvars(part)) for part in parts]
    return MASK_SEPARATOR.join(os.path.normpath(os.path.join(os.path.abspath(root), part)) for part in parts if part)


def check_cohort_files(table: pd.DataFrame, where: str = "cohort") -> None:
    """Check that every image and mask file exists.

    Raises
    ------
    CohortError
        With up to five of the missing files, their rows and columns, and the
        count of the others.
    """
    folders: dict[str, dict[str, bool]] = {}

    def fault(path: str) -> str | None:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _files_of(folder)
        if name not in folders[folder]:
            return "no such file; correct the path or remove the row"
        if not folders[folder][name]:
            return "is a folder, or a link that leads to no file; give the path of a file"
        return None

    faults = [Fault(row, column, path, remedy) for row, column, path in _paths(table) if (remedy := fault(path))]
    refuse(table, faults, where, what="missing files")


def _files_of(folder: str) -> dict[str, bool]:
    """Entries of a folder, and whether each is a file once links are followed; none if it cannot be listed."""
    found = {}
    try:
        with os.scandir(folder or os.curdir) as entries:
            for entry in entries:
                try:
                    found[entry.name] = entry.is_file()
                except OSError:  # a loop of links
                    found[entry.name] = False
    except OSError:
        return {}
    return found


def check_inside(table: pd.DataFrame, inside: str | Path, where: str = "cohort") -> None:
    """Check that every image and mask is in a folder once links are followed, whether it exists or not.

    A link that is changed after the check is not noticed.

    Raises
    ------
    CohortError
        With up to five of the files that are elsewhere, and the count of the
        others.
    """
    root = os.path.realpath(inside)
    remedy = f"is not in {root}; move the file there or remove the row"
    below = root.rstrip(os.sep) + os.sep
    real: dict[str, str] = {}
    faults = []
    for row, column, path in _paths(table):
        folder, name = os.path.split(path)
        if folder not in real:
            real[folder] = os.path.realpath(folder)
        final = os.path.join(real[folder], name)
        if os.path.islink(final):
            final = os.path.realpath(final)
        if not final.startswith(below):
            faults.append(Fault(row, column, path, remedy))
    refuse(table, faults, where, what="files elsewhere")


def _paths(table: pd.DataFrame) -> Iterator[tuple[int, str, str]]:
    for column in FILE_COLUMNS:
        for row, field in enumerate(table.get(column, ())):
            if not pd.isna(field):
                for path in [field] if column == "image" else mask_paths(field):
                    yield row, column, str(path)
