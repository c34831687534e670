"""Tables from files of any origin: a correct table, or an error that says where the file is wrong."""

from __future__ import annotations

import codecs
import csv
import io
import stat
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import pandas as pd

from patchcxr.errors import CohortError, require_extra

EMPTY: Final = ("", "NA", "N/A", "<NA>", "NaN", "nan", "None", "none", "null", "NULL")
"""Words that stand for an empty cell, except in columns of ids."""

MAXIMUM_BYTES: Final = 1 << 30
MAXIMUM_ROWS: Final = 5_000_000
MAXIMUM_COLUMNS: Final = 10_000
MAXIMUM_CELL: Final = 100_000
"""Longest cell in characters."""
_UNPACKED_BYTES: Final = 1 << 28
_UNPACKED_RATIO: Final = 1000
"""A Parquet file beyond :data:`_UNPACKED_BYTES` in memory may be so many times smaller on disk."""
_CELLS_AT_ONCE: Final = 1 << 18
"""Cells of a Parquet file that are held while its size is measured."""

_PARQUET_FAULTS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
)

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def read_file(path: str | Path, text: Collection[str], ids: Collection[str]) -> pd.DataFrame:
    """Read a CSV or Parquet file.

    CSV has commas, one header and the same number of cells in every row. It
    is UTF-8, or UTF-16 or UTF-32 with a byte order mark. Any other encoding
    is refused, because Latin-1 and its relatives cannot be told apart and a
    wrong guess would change ids. Lines may end in LF, CRLF or CR; empty ones
    are skipped. Names of columns lose the spaces around them.

    Parameters
    ----------
    path
        A ``.csv`` or ``.parquet`` file.
    text
        Columns that stay text, so that ids keep their zeros.
    ids
        Columns in which the words of :data:`EMPTY` are ids like others.

    Raises
    ------
    CohortError
        If the file is missing, not a regular file, larger than 1 GiB (Parquet:
        also once it is unpacked), 5 million rows or 10,000 columns, or cannot
        be parsed.
    MissingExtraError
        For Parquet without pyarrow.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise CohortError(f"{path}: cohort tables are .csv or .parquet; got the suffix {path.suffix!r}")
    check_file(path)
    try:
        table = _read_csv(path, text, ids) if suffix == ".csv" else _read_parquet(path)
    except (OSError, ValueError, OverflowError) as error:
        if isinstance(error, CohortError):
            raise
        raise CohortError(f"{path}: cannot be parsed ({' '.join(str(error).split())}); correct the file") from None
    _check_names([str(name) for name in table.columns], path)
    return table


def check_file(path: Path, kind: str = "cohort table", suffixes: str = ".csv or .parquet") -> None:
    """Refuse what is not a regular file of up to :data:`MAXIMUM_BYTES`.

    Raises
    ------
    CohortError
        If there is no such file, it is a folder, a pipe or a device, or it is larger.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise CohortError(f"{path}: no such {kind}; give the path of a {suffixes} file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CohortError(f"{str(path)!r}: {kind} cannot be opened ({reason}); correct the path") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise CohortError(f"{path}: is {what}; give the path of a {suffixes} file")
    if found.st_size > MAXIMUM_BYTES:
        raise CohortError(f"{path}: has {found.st_size} bytes; {kind}s of up to {MAXIMUM_BYTES} bytes are read")


def _read_csv(path: Path, text: Collection[str], ids: Collection[str]) -> pd.DataFrame:
    content = _decode(path.read_bytes(), path)
    names, rows = _structure(content, path)
    missing = {name: [""] if name in ids else list(EMPTY) for name in names}
    table = pd.read_csv(
        io.StringIO(content),
        header=0,
        names=names,
        index_col=False,
        dtype=dict.fromkeys([name for name in names if name in text], "string"),
        keep_default_na=False,
        na_values=missing,
        low_memory=False,
    )
    if len(names) > 1 and len(table) != rows:
        raise CohortError(
            f"{path}: has {rows} rows, of which {len(table)} can be read; remove stray line ends in cells"
        )
    return table


def _decode(data: bytes, path: Path) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        content = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CohortError(
            f"{path}: cannot be parsed: line {line} is not {encoding.upper()} (byte 0x{data[error.start]:02x});"
            " save the table as UTF-8 (in a spreadsheet: CSV UTF-8)"
        ) from None
    if "\0" in content:
        line = content[: content.index("\0")].count("\n") + 1
        raise CohortError(
            f"{path}: line {line} holds a NUL character; the file is damaged, or UTF-16 without a byte order mark;"
            " save it as UTF-8"
        )
    return content


def _structure(content: str, path: Path) -> tuple[list[str], int]:
    """Names of the columns and the number of rows; every row is as wide as the header."""
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    names: list[str] = []
    rows = 0
    try:
        for cells in reader:
            if not cells or (len(cells) == 1 and not cells[0].strip()):
                continue
            if max(map(len, cells)) > MAXIMUM_CELL:
                raise CohortError(
                    f"{path}: line {reader.line_num} has a cell of more than {MAXIMUM_CELL} characters;"
                    " close its quotation mark or shorten it"
                )
            if not names:
                names = _names(cells, path)
                _check_names(names, path)
            elif len(cells) != len(names):
                how = "more" if len(cells) > len(names) else "fewer"
                raise CohortError(
                    f"{path}: line {reader.line_num} has {how} cells than the header ({len(cells)}, not {len(names)});"
                    " quote the cells that hold commas, and write every cell even if it is empty"
                )
            else:
                rows += 1
    except csv.Error as error:
        raise CohortError(f"{path}: cannot be parsed: line {reader.line_num}: {error}; correct the line") from None
    if not names:
        raise CohortError(f"{path}: cohort table is empty; expected a header and one row a study")
    return names, rows


def _names(cells: list[str], path: Path) -> list[str]:
    if len(cells) == 1 and (";" in cells[0] or "\t" in cells[0]):
        raise CohortError(f"{path}: columns are not separated by commas; save it as comma-separated CSV")
    return [cell.strip() or f"Unnamed: {position}" for position, cell in enumerate(cells)]


def _check_names(names: list[str], path: Path) -> None:
    check_width(len(names), path)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CohortError(f"{path}: column {twice[0]!r} occurs twice; rename or remove one of them")


def check_width(columns: int, path: Path, kind: str = "cohort table") -> None:
    """Refuse a table of more than :data:`MAXIMUM_COLUMNS` columns by :class:`~patchcxr.errors.CohortError`."""
    if columns > MAXIMUM_COLUMNS:
        raise CohortError(f"{path}: has {columns} columns; {kind}s of up to {MAXIMUM_COLUMNS} are read")


def _read_parquet(path: Path) -> pd.DataFrame:
    pyarrow = require_extra("pyarrow", "parquet")
    parquet = require_extra("pyarrow.parquet", "parquet")
    try:
        with parquet.ParquetFile(path) as file:
            about = file.metadata
            if about.num_rows > MAXIMUM_ROWS:
                raise CohortError(
                    f"{path}: has {about.num_rows} rows; cohort tables of up to {MAXIMUM_ROWS} rows are read"
                )
            check_width(about.num_columns, path)
            _check_unpacked(file, path)
            return file.read().to_pandas()
    except (pyarrow.ArrowException, *_PARQUET_FAULTS) as error:
        raise CohortError(f"{path}: cannot be parsed ({' '.join(str(error).split())}); correct the file") from None


def _check_unpacked(file: Any, path: Path) -> None:
    """Refuse a Parquet file that is too large in memory before it is there whole."""
    pyarrow = require_extra("pyarrow", "parquet")
    about = file.metadata
    most = min(MAXIMUM_BYTES, max(_UNPACKED_BYTES, _UNPACKED_RATIO * path.stat().st_size))
    size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
    if size <= most:
        size = 0
        for batch in file.iter_batches(batch_size=max(1, _CELLS_AT_ONCE // max(1, about.num_columns))):
            for column in batch.columns:
                repeats = isinstance(column, pyarrow.DictionaryArray)
                size += column.dictionary_decode().nbytes if repeats else column.nbytes
            if size > most:
                break
    if size > most:
        raise CohortError(
            f"{path}: has {path.stat().st_size} bytes that unpack to more than {most}; divide the table, or write it"
            " as CSV"
        )
