"""CSV files that a spreadsheet can open without running what a cell says."""

from __future__ import annotations

import csv
import re
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pandas as pd

from patchcxr.data.tabular import MAXIMUM_ROWS, check_file, check_width
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


def _width(path: Path) -> int:
    """Cells of the header or the first row, whichever has more: pandas takes both for the width of the table."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = (cells for cells in csv.reader(file) if len(cells) > 1 or "".join(cells).strip())
        return max(map(len, islice(rows, 2)), default=0)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table that was written as CSV: ids stay text, and apostrophes before formulas are taken away.

    Raises
    ------
    CohortError
        If there is no such file, it is not CSV (or is compressed), or it is
        larger than 1 GiB, 5 million rows or 10,000 columns.
    """
    path = Path(path)
    check_file(path, "table", ".csv")
    try:
        with path.open("rb") as file:
            check_width(_width(path), path, "table")
            table = pd.read_csv(file, dtype={"study": str, "patient": str}, nrows=MAXIMUM_ROWS + 1)
    except CohortError:
        raise
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise CohortError(
            f"{path}: not readable as CSV ({reason}); give a table with commas in UTF-8, not compressed"
        ) from None
    if len(table) > MAXIMUM_ROWS:
        raise CohortError(f"{path}: has more than {MAXIMUM_ROWS} rows; tables of up to {MAXIMUM_ROWS} rows are read")

    def plain(value: Any) -> Any:
        known = isinstance(value, str) and value.startswith("'") and _is_formula(value.lstrip("' "))
        return value[1:] if known else value

    for position, kind in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            table.isetitem(position, table.iloc[:, position].map(plain))
    return table.rename(columns=plain)
