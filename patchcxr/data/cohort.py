"""The cohort table: one row a study, as a pandas DataFrame, a CSV or a Parquet file.

Columns (only the first three are required; others may be added and are kept):

================== =====================================================================
study              unique id of the film
patient            id of the patient; films of one patient share it
image              path of the radiograph
label              disease, see :data:`patchcxr.data.labels.CANONICAL_LABELS`
view               PA, AP, AP Supine, L, ...
age_years          number from 0 to 120
sex                M, F or O
source             name of the data set
split              train, validation or test
fold               whole number from 0
days               days since onset or admission
right_lung_mask    mask fields (see :mod:`patchcxr.io.masks`): a path, paths joined by
left_lung_mask     ``|``, ``(empty)`` where a reader found none, or an empty cell where
heart_mask         nobody looked; ``lung_mask`` holds both lungs
lung_mask
infection_mask
licence            licence of the film
================== =====================================================================

In memory, text columns have pandas' ``string`` type with ``pd.NA`` for an
empty cell, ``age_years`` and ``days`` are float64 with NaN, ``fold`` is Int64.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.data.splits import SPLITS, check_patients
from patchcxr.errors import CohortError, require_extra
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.masks import EMPTY_MASK, MASK_SEPARATOR, mask_paths

REQUIRED_COLUMNS: Final = ("study", "patient", "image")
MASK_COLUMNS: Final = ("right_lung_mask", "left_lung_mask", "heart_mask", "lung_mask", "infection_mask")
COLUMNS: Final = (
    *REQUIRED_COLUMNS,
    *("label", "view", "age_years", "sex", "source", "split", "fold", "days"),
    *MASK_COLUMNS,
    "licence",
)
_NUMBERS: Final = ("age_years", "days")
_EMPTY: Final = ("", "NA", "N/A", "<NA>", "NaN", "nan", "None", "none", "null", "NULL")
_SHOWN: Final = 5


def read_cohort(path: str | Path, check_files: bool = True, root: str | Path | None = None) -> pd.DataFrame:
    """Read and validate a cohort table.

    Parameters
    ----------
    path
        A ``.csv`` (UTF-8, comma) or ``.parquet`` file.
    check_files
        Whether every image and mask that the table names must exist.
    root
        Folder that relative paths start from; the table's own by default.

    Returns
    -------
    The table with all of :data:`COLUMNS` first and any others after them.
    Image and mask paths are absolute, with ``~`` and variables such as
    ``${PATCHCXR_DATA}`` expanded. Cells that say NA, NaN, None or null are
    empty, except in ``study`` and ``patient``.

    Raises
    ------
    CohortError
        If the file is missing or cannot be parsed, or the table is not valid
        (see :func:`validate_cohort`), or files are missing.
    MissingExtraError
        For Parquet without pyarrow.
    """
    path = Path(path)
    table = complete_columns(read_table(path), where=str(path))
    base = Path(root) if root is not None else path.resolve().parent
    for column in ("image", *MASK_COLUMNS):
        table[column] = table[column].map(lambda field: resolve_field(field, base), na_action="ignore").astype("string")
    validate_cohort(table, where=str(path))
    if check_files:
        check_cohort_files(table, where=str(path))
    return table


def write_cohort(table: pd.DataFrame, path: str | Path) -> None:
    """Write a cohort to ``.csv`` or ``.parquet``, atomically; paths are written as they are.

    Raises
    ------
    CohortError
        If the table is not valid or the suffix is another.
    """
    path = Path(path)
    table = complete_columns(table, where=str(path))
    validate_cohort(table, where=str(path))
    if path.suffix.lower() == ".csv":
        write_bytes_atomically(path, table.to_csv(index=False).encode("utf-8"))
    elif path.suffix.lower() == ".parquet":
        require_extra("pyarrow", "parquet")
        write_bytes_atomically(path, table.to_parquet(index=False))
    else:
        raise CohortError(f"{path}: cohort tables are .csv or .parquet; got the suffix {path.suffix!r}")


def read_table(path: str | Path, text: Iterable[str] = ()) -> pd.DataFrame:
    """Read a CSV or Parquet file; cohort columns that are text, and those in ``text``, stay text (ids keep zeros)."""
    path = Path(path)
    try:
        if path.suffix.lower() == ".csv":
            header = pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns
            if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
                raise CohortError(f"{path}: columns are not separated by commas; save it as comma-separated CSV")
            ids = {"study", "patient", *text}
            missing = {column: [""] if column in ids else list(_EMPTY) for column in header}
            as_text = [column for column in header if column in COLUMNS or column in ids]
            table = pd.read_csv(
                path,
                encoding="utf-8-sig",
                dtype=dict.fromkeys(as_text, "string"),
                keep_default_na=False,
                na_values=missing,
                low_memory=False,
            )
            if not isinstance(table.index, pd.RangeIndex):
                raise CohortError(f"{path}: rows have more cells than the header; quote the cells that hold commas")
            return table
        if path.suffix.lower() == ".parquet":
            require_extra("pyarrow", "parquet")
            return pd.read_parquet(path)
    except FileNotFoundError:
        raise CohortError(f"{path}: no such cohort table; give the path of a .csv or .parquet file") from None
    except pd.errors.EmptyDataError:
        raise CohortError(f"{path}: cohort table is empty; expected a header and one row a study") from None
    except (OSError, ValueError) as error:
        if isinstance(error, CohortError):
            raise
        raise CohortError(f"{path}: cannot be parsed ({' '.join(str(error).split())}); correct the file") from None
    raise CohortError(f"{path}: cohort tables are .csv or .parquet; got the suffix {path.suffix!r}")


def complete_columns(table: pd.DataFrame, where: str = "cohort") -> pd.DataFrame:
    """Copy of a table with every column of :data:`COLUMNS`, in order and typed; absent ones are empty.

    Raises
    ------
    CohortError
        If a required column is absent, or a number cannot be read as one.
    """
    absent = [column for column in REQUIRED_COLUMNS if column not in table]
    if absent:
        raise CohortError(
            f"{where}: column {absent[0]!r} is missing; got {', '.join(map(str, table.columns))};"
            f" expected at least {', '.join(REQUIRED_COLUMNS)}"
        )
    made = pd.DataFrame(index=pd.RangeIndex(len(table)))
    for column in COLUMNS:
        if column not in table:
            made[column] = pd.Series(pd.NA, index=made.index, dtype="string")
        else:
            made[column] = table[column].astype(object).where(table[column].notna(), pd.NA).to_numpy()
        if column in (*_NUMBERS, "fold"):
            made[column] = _as_number(made[column], table, column, where)
        else:
            text = made[column].astype("string").str.strip()
            text = text.mask(text.isin(_EMPTY if column not in ("study", "patient") else [""]))
            made[column] = text.astype("string")
    extra = [column for column in table.columns if column not in COLUMNS]
    return pd.concat([made, table[extra].set_axis(made.index)], axis=1)


def _as_number(values: pd.Series, table: pd.DataFrame, column: str, where: str) -> pd.Series:
    values = values.mask(values.isin(_EMPTY))
    numbers = pd.to_numeric(values, errors="coerce").astype("Float64").astype("float64")
    bad = numbers.isna() & values.notna()
    if column == "fold":
        bad |= numbers.notna() & ((numbers % 1 != 0) | (numbers < 0))
    if bad.any():
        number = "a whole number from 0" if column == "fold" else "a number"
        remedy = f"expected {number} or an empty cell"
        faults = [_fault(table, row, column, values.iloc[row], remedy) for row in np.flatnonzero(bad)]
        raise CohortError(_join(where, faults))
    return numbers.astype("Int64") if column == "fold" else numbers


def validate_cohort(table: pd.DataFrame, where: str = "cohort") -> None:
    """Check a cohort table; every fault names its row, column, value and remedy.

    Required columns must be filled, ``study`` unique, ages within 0 to 120
    years, sexes M, F or O, and splits train, validation or test with no
    patient in two of them. Whether files exist is for
    :func:`check_cohort_files`.

    Raises
    ------
    CohortError
        With up to five of the faults and the count of the others.
    SplitError
        If a patient is in two splits.
    """
    absent = [column for column in REQUIRED_COLUMNS if column not in table]
    if absent:
        raise CohortError(f"{where}: column {absent[0]!r} is missing; expected {', '.join(REQUIRED_COLUMNS)}")
    if table.empty:
        raise CohortError(f"{where}: no rows; expected one row a study")
    faults = list(_faults(table))
    if faults:
        raise CohortError(_join(where, faults))
    if "split" in table:
        check_patients(table, "split", where=where)


def _faults(table: pd.DataFrame) -> Iterator[str]:
    for column in REQUIRED_COLUMNS:
        for row in np.flatnonzero(table[column].isna()):
            yield _fault(table, row, column, "", f"fill in the {column}")
    first: dict[str, int] = {}
    for number, study in enumerate(table["study"]):
        if not pd.isna(study) and first.setdefault(study, number) != number:
            remedy = f"already used in row {first[study] + 1}; give each study its own id"
            yield _fault(table, number, "study", study, remedy)
    rules: list[tuple[str, Callable[[pd.Series], pd.Series], str]] = [
        ("age_years", lambda value: ~value.between(0, 120), "expected 0 to 120 years or an empty cell"),
        ("sex", lambda value: ~value.isin(["M", "F", "O"]), "expected M, F, O or an empty cell"),
        ("split", lambda value: ~value.isin(SPLITS), f"expected {', '.join(SPLITS)} or an empty cell"),
    ]
    for column, is_wrong, expected in rules:
        if column in table:
            wrong = is_wrong(table[column]).fillna(False).astype(bool) & table[column].notna()
            for row in np.flatnonzero(wrong):
                yield _fault(table, row, column, table[column].iloc[row], expected)


def check_cohort_files(table: pd.DataFrame, where: str = "cohort") -> None:
    """Check that every image and mask file exists.

    Raises
    ------
    CohortError
        With up to five of the missing files, their rows and columns, and the
        count of the others.
    """
    folders: dict[str, frozenset[str]] = {}

    def exists(path: Path) -> bool:
        folder = str(path.parent)
        if folder not in folders:
            folders[folder] = frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()
        return path.name in folders[folder]

    faults = []
    for column in ("image", *MASK_COLUMNS):
        for row, field in enumerate(table.get(column, ())):
            if not pd.isna(field):
                paths = [Path(field)] if column == "image" else mask_paths(field)
                faults += [
                    _fault(table, row, column, str(path), "no such file; correct the path or remove the row")
                    for path in paths
                    if not exists(path)
                ]
    if faults:
        raise CohortError(_join(where, faults, what="missing files"))


def merge_cohorts(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Stack cohorts from several sources into one.

    Raises
    ------
    CohortError
        If a study occurs twice, or two sources use the same patient id (the
        films of two people would be taken for one person's).
    """
    tables = [complete_columns(table) for table in tables]
    if not tables:
        raise CohortError("no cohort to merge; give at least one table")
    text = [table.astype(dict.fromkeys(_text_columns(table), "string")) for table in tables]
    merged = pd.concat(text, ignore_index=True)
    validate_cohort(merged, where="merged cohort")
    sources = merged.groupby("patient")["source"].nunique()
    shared = sorted(sources[sources > 1].index)
    if shared:
        raise CohortError(
            f"merged cohort: {len(shared)} patient ids occur in two sources, such as {', '.join(shared[:_SHOWN])};"
            " put the name of the source in front of each id"
        )
    return merged


def _text_columns(table: pd.DataFrame) -> list[str]:
    return [column for column in COLUMNS if column not in (*_NUMBERS, "fold")]


def resolve_field(field: str, root: Path) -> str:
    """Absolute paths of an image or mask field; relative ones start from ``root``."""
    if field.strip() == EMPTY_MASK:
        return EMPTY_MASK
    parts = [os.path.expanduser(os.path.expandvars(part.strip())) for part in field.split(MASK_SEPARATOR)]
    return MASK_SEPARATOR.join(os.path.normpath(os.path.join(os.path.abspath(root), part)) for part in parts if part)


def _fault(table: pd.DataFrame, row: Any, column: str, value: object, remedy: str) -> str:
    study = table["study"].iloc[row]
    named = "without study id" if pd.isna(study) else f"study {str(study)!r}"
    return f"row {row + 1} ({named}): column {column!r} has {str(value)!r}; {remedy}"


def _join(where: str, faults: list[str], what: str = "faults") -> str:
    more = f"; and {len(faults) - _SHOWN} more {what}" if len(faults) > _SHOWN else ""
    return f"{where}: " + "; ".join(faults[:_SHOWN]) + more
