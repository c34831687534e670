"""What a check of a cohort says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from patchcxr.data.audit.settings import SEVERITIES, Severity
from patchcxr.errors import ConfigError
from patchcxr.types import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that is wrong with a cohort, and what to do about it.

    Attributes
    ----------
    check
        Name of the check in lower case with hyphens, such as ``duplicate-across-splits``.
    severity
        One of :data:`SEVERITIES`.
    message
        One sentence with numbers.
    remedy
        What the user can do.
    studies
        Names of the films concerned (see :func:`row_names`), in the order of the table.
    drop
        Those of ``studies`` that cleaning leaves out; none if nothing should be left out by itself.
    details
        Rows for the report, such as one a pair of duplicates.
    """

    check: str
    severity: Severity
    message: str
    remedy: str
    studies: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    details: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ConfigError(f"severity is {self.severity!r}; expected one of {', '.join(SEVERITIES)}")
        if not set(self.drop) <= set(self.studies):
            raise ConfigError(f"finding {self.check!r} would leave out studies that it is not about")


def row_names(table: pd.DataFrame) -> pd.Series:
    """One name a row, each different: its study, with the row's number where the study is empty or was there before.

    >>> row_names(pd.DataFrame({"study": ["a", None, "a"]})).tolist()
    ['a', 'row 2', 'a (row 3)']
    """
    study = table["study"].astype("string").reset_index(drop=True)
    number = pd.Series([f"row {number}" for number in range(1, len(study) + 1)], dtype="string")
    return study.where(~study.duplicated(), study + " (" + number + ")").fillna(number)


def names_at(table: pd.DataFrame, rows: BoolArray | IntArray | Collection[int]) -> tuple[str, ...]:
    """Names (see :func:`row_names`) of the rows that a mask is true for, or that are given by position."""
    where = np.asarray(rows)
    positions = np.flatnonzero(where) if where.dtype == bool else where.astype(np.int64)
    return tuple(row_names(table).to_numpy()[positions].tolist())


def column_text(table: pd.DataFrame, column: str) -> pd.Series:
    """A text column of a cohort with index from 0; all empty where the table lacks it."""
    if column not in table:
        return pd.Series(pd.NA, index=pd.RangeIndex(len(table)), dtype="string")
    return table[column].astype("string").reset_index(drop=True)
