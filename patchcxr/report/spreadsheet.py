"""CSV files that a spreadsheet can open without running what a cell says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pandas as pd

from patchcxr.errors import CohortError

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes text that begins with one of these for a formula (OWASP, CSV injection)."""


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet would take a cell for a formula; numbers and a lone sign are none."""
    if not text.startswith(FORMULA_STARTS) or len(text) == 1:
        return False
    return re.fullmatch(r"[+-](\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", text) is None


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before every text, also a column name, that a spreadsheet would take for a formula.

    Such are texts that begin with ``=``, ``+``, ``-``, ``@``, a tab or a line end, spaces before them
    or not; numbers, also those written as
    text, and a lone sign stay as they are. Spreadsheets take the apostrophe as the mark of text. :func:`read_table`
    takes it away again, and so texts that came with such an apostrophe get a second one.

    >>> harmless(pd.DataFrame({"study": ["=1+1", "-3.5", "-", "a"]}))["study"].tolist()
    ["'=1+1", '-3.5', '-', 'a']
    """

    def quoted(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and _is_formula(value.lstrip("' ")) else value

    safe = table.rename(columns=quoted)
    for position, kind in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(position, table.iloc[:, position].map(quoted))
    return safe


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table that was written as CSV: ids stay text, and apostrophes before formulas are taken away.

    Raises
    ------
    CohortError
        If there is no such file, or it is not CSV.
    """
    try:
        table = pd.read_csv(path, dtype={"study": str, "patient": str})
    except (FileNotFoundError, IsADirectoryError):
        raise CohortError(f"{path}: no such table; give a CSV file") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CohortError(f"{path}: not readable as CSV ({error})") from None

    def plain(value: Any) -> Any:
        known = isinstance(value, str) and value.startswith("'") and _is_formula(value.lstrip("' "))
        return value[1:] if known else value

    for position, kind in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            table.isetitem(position, table.iloc[:, position].map(plain))
    return table.rename(columns=plain)
