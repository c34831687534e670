"""What the builders share: reading a data set's own table and finding its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchcxr.data.cohort import complete_columns, validate_cohort
from patchcxr.errors import CohortError


def read_metadata(path: Path, columns: Sequence[str], text: Sequence[str]) -> pd.DataFrame:
    """Table of a data set, checked for the columns that its builder needs.

    Raises
    ------
    CohortError
        If the file or a column is missing.
    """
    if not path.is_file():
        raise CohortError(f"{path}: no such file; give the folder of the data set in its published layout")
    table = pd.read_csv(path, dtype=dict.fromkeys(text, "string"), encoding="utf-8-sig", encoding_errors="replace")
    absent = [column for column in columns if column not in table]
    if absent:
        raise CohortError(f"{path}: column {absent[0]!r} is missing; got {', '.join(table.columns)}")
    return table


def files_by_stem(folder: Path) -> dict[str, str]:
    """Absolute paths of the files of a folder by name without suffix; empty where there is no folder."""
    if not folder.is_dir():
        return {}
    return {path.stem: str(path) for path in sorted(folder.absolute().iterdir()) if not path.name.startswith(".")}


def find_images(names: pd.Series, folder: Path) -> list[str]:
    """Absolute path of every image; its suffix may differ from the one in the table.

    Raises
    ------
    CohortError
        If an image is missing.
    """
    files = files_by_stem(folder)
    stems = [Path(str(name)).stem for name in names]
    absent = [str(name) for name, stem in zip(names, stems, strict=True) if stem not in files]
    if absent:
        raise CohortError(
            f"{folder}: {len(absent)} images of the table are missing, such as {', '.join(absent[:3])};"
            " complete the folder, or remove their rows"
        )
    return [files[stem] for stem in stems]


def finish(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Put the source's name in front of its ids, complete the columns and validate."""
    table = table.reset_index(drop=True)
    table["source"] = source
    for column in ("study", "patient"):
        table[column] = f"{source}-" + table[column].astype("string")
    table = complete_columns(table, where=source)
    validate_cohort(table, where=source)
    return table
