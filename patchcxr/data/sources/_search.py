"""One walk through the folder of a data set, then its tables and images by name in any letter case."""

from __future__ import annotations

from collections.abc import Iterable
from os.path import basename, splitext
from pathlib import Path

import pandas as pd

from patchcxr.io.radiograph import IMAGE_SUFFIXES


def named(files: Iterable[Path], *names: str) -> Path | None:
    """File with one of these names, in any letter case; earlier names first, then shallower folders."""
    by_name: dict[str, list[Path]] = {}
    for path in files:
        by_name.setdefault(path.name.lower(), []).append(path)
    for name in names:
        if found := by_name.get(name.lower()):
            return min(found, key=lambda path: (len(path.parts), str(path)))
    return None


def images_by_stem(files: Iterable[Path], folder: str | None = None) -> dict[str, str]:
    """Paths of the images by lower-case name without suffix; the first by path where a name occurs twice.

    Parameters
    ----------
    files
        What a walk has found, sorted.
    folder
        Name that the folder of an image must have, in any letter case; any folder if ``None``.
    """
    images: dict[str, str] = {}
    for path in files:
        stem, suffix = splitext(path.name.lower())
        if suffix in IMAGE_SUFFIXES and (folder is None or path.parent.name.lower() == folder):
            images.setdefault(stem, str(path))
    return images


def stems(names: pd.Series) -> pd.Series:
    """Names of a table without folder and suffix, as text; empty cells stay empty."""
    return (
        names.astype("string")
        .map(lambda name: splitext(basename(name.strip()))[0], na_action="ignore")
        .astype("string")
    )


def find(stem: pd.Series, images: dict[str, str]) -> pd.Series:
    """Path of each image by its :func:`stems`, empty where it is not there."""
    return stem.str.lower().map(images)
