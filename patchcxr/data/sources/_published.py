"""Reading what a published tree says by its folders: where a file lies, which split, which patient."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from patchcxr.io.folders import files_below
from patchcxr.types import BoolArray

SPLIT_NAMES: Final = {
    "train": "train",
    "train set": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "test set": "test",
}
"""Split that a folder of a published tree, in lower case, stands for."""

_RANK: Final = {"train": 0, "validation": 1, "test": 2}
_BIMCV_NAME: Final = r"^(?:mask_)?(sub-S\d+)_ses-E\d+"
_DAYS: Final = {"Y": 365.25, "M": 30.4375, "W": 7.0, "D": 1.0}


def file_tree(root: Path, suffixes: Collection[str], depth: int) -> pd.DataFrame:
    """All files below a folder, with the names of the folders around them.

    Parameters
    ----------
    root
        Folder to walk through, once.
    suffixes
        Lower-case suffixes with their dot.
    depth
        How many folders upwards to name; those above ``root`` count too, so
        that a part of a tree is understood like the whole.

    Returns
    -------
    Columns ``path``, ``stem`` (name without suffix), ``home`` (the folder of
    the file's folder) and ``folder_1`` to ``folder_<depth>``, lower case, the
    nearest first; sorted by path.
    """
    paths = files_below(root, suffixes)
    parts = [path.parts[:-1] for path in paths]
    table = pd.DataFrame(
        {
            "path": [str(path) for path in paths],
            "stem": [path.stem for path in paths],
            "home": [str(path.parent.parent) for path in paths],
        },
        dtype="string",
    )
    for level in range(1, depth + 1):
        names = [part[-level].strip().lower() if len(part) >= level else "" for part in parts]
        table[f"folder_{level}"] = pd.Series(names, dtype="string")
    return table


def skip(table: pd.DataFrame, rows: pd.Series | BoolArray, reason: str) -> pd.DataFrame:
    """The ``path`` of some rows, with the reason why they are left out."""
    return pd.DataFrame({"name": table.loc[rows, "path"], "reason": reason})


def first_of_each(table: pd.DataFrame, key: str, reason: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that are the first of their key, and the others as skipped rows."""
    again = table[key].duplicated()
    return table[~again].reset_index(drop=True), skip(table, again, reason)


def bimcv_subjects(stems: pd.Series) -> pd.Series:
    """Subject of BIMCV-COVID19+ that a film's name still carries, empty where it carries none.

    Compilations renamed most films, but not all of those from Valencia.
    """
    subjects: pd.Series = stems.astype("string").str.extract(_BIMCV_NAME, expand=False)
    return subjects


def split_without_leaks(split: pd.Series, patient: pd.Series) -> pd.Series:
    """Published split, emptied where a known patient is also on a side that must not be seen in training.

    Of a patient on two sides the films in the test set stay, else those in
    the validation set, so that results on the published test set remain
    comparable. Films without patient id stay where they are.
    """
    rank = split.map(_RANK).astype("Float64")
    last = rank.groupby(patient).transform("max")
    return split.where(patient.isna() | rank.eq(last).fillna(False)).astype("string")


def joined(skipped: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Skipped rows of several causes in one table."""
    return pd.concat(skipped, ignore_index=True) if skipped else pd.DataFrame(columns=["name", "reason"])


def dicom_age_years(text: Any) -> float:
    """Years of a DICOM age string, NaN where it is none.

    >>> dicom_age_years("078Y"), dicom_age_years("018M"), dicom_age_years("")
    (78.0, 1.5, nan)
    """
    age = str(text or "").strip().upper()
    number, unit = (age[:-1], age[-1:]) if age[-1:] in _DAYS else (age, "Y")
    if not (number.isascii() and number.isdigit()):
        return float("nan")
    years = int(number) * _DAYS[unit] / _DAYS["Y"]
    return years if years <= 120 else float("nan")
