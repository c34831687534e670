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
boxes              boxes round findings, joined by ``|``: ``top,left,height,width`` in pixels
                   of the image file, with ``:finding`` after it if it has a name;
                   ``(empty)`` where a reader found none, an empty cell where nobody looked
licence            licence of the film
================== =====================================================================

In memory, text columns have pandas' ``string`` type with ``pd.NA`` for an
empty cell, ``age_years`` and ``days`` are float64 with NaN, ``fold`` is Int64.
Cells are what they say: a formula stays text and is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.data.faults import SHOWN, Fault, refuse
from patchcxr.data.fields import FILE_COLUMNS, MASK_COLUMNS, check_cohort_files, check_inside, resolve_field
from patchcxr.data.splits import SPLITS, check_leaks
from patchcxr.data.tabular import EMPTY, read_file
from patchcxr.errors import CohortError, require_extra
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.types import IntArray

REQUIRED_COLUMNS: Final = ("study", "patient", "image")
COLUMNS: Final = (
    *REQUIRED_COLUMNS,
    *("label", "view", "age_years", "sex", "source", "split", "fold", "days"),
    *MASK_COLUMNS,
    *("boxes", "licence"),
)
_NUMBERS: Final = ("age_years", "days")
_IDS: Final = ("study", "patient")
_LARGEST_FOLD: Final = 1_000_000
_RULES: Final[tuple[tuple[str, Callable[[pd.Series], pd.Series], str], ...]] = (
    ("age_years", lambda value: ~value.between(0, 120), "expected 0 to 120 years or an empty cell"),
    ("sex", lambda value: ~value.isin(["M", "F", "O"]), "expected M, F, O or an empty cell"),
    ("split", lambda value: ~value.isin(SPLITS), f"expected {', '.join(SPLITS)} or an empty cell"),
    *(
        (column, lambda value: value.astype("string").str.contains("\0", regex=False), "remove the NUL")
        for column in FILE_COLUMNS
    ),
)
"""Columns, whether a cell that is not empty is wrong, and what is expected."""


def read_cohort(
    path: str | Path,
    check_files: bool = True,
    root: str | Path | None = None,
    inside: str | Path | None = None,
    allow_leaks: bool | str = False,
) -> pd.DataFrame:
    """Read and validate a cohort table.

    Parameters
    ----------
    path
        A ``.csv`` or ``.parquet`` file, see :func:`patchcxr.data.tabular.read_file`.
    check_files
        Whether every image and mask that the table names must exist.
    root
        Folder that relative paths start from; the table's own by default.
    inside
        Folder that every image and mask must be in once links are followed,
        for servers that read tables of others. ``~`` and variables are then
        taken as they are written. By default files may be anywhere.
    allow_leaks
        ``"patients may be on both sides"`` accepts a patient in two splits,
        as an audit must.

    Returns
    -------
    The table with all of :data:`COLUMNS` first and any others after them.
    Image and mask paths are absolute, with ``~`` and variables such as
    ``${PATCHCXR_DATA}`` expanded. Cells that say NA, NaN, None or null are
    empty, except in ``study`` and ``patient``.

    Raises
    ------
    CohortError
        If the file is missing or cannot be parsed, the table is not valid
        (see :func:`validate_cohort`), or files are missing or not ``inside``.
    MissingExtraError
        For Parquet without pyarrow.
    """
    path = Path(path)
    table = complete_columns(read_table(path), where=str(path))
    base = Path(root) if root is not None else path.resolve().parent
    for column in FILE_COLUMNS:
        fields = table[column].map(lambda field: resolve_field(field, base, inside is None), na_action="ignore")
        table[column] = fields.astype("string")
    validate_cohort(table, where=str(path), allow_leaks=allow_leaks)
    if inside is not None:
        check_inside(table, inside, where=str(path))
    if check_files:
        check_cohort_files(table, where=str(path))
    return table


def write_cohort(table: pd.DataFrame, path: str | Path, allow_leaks: bool | str = False) -> None:
    """Write a cohort to ``.csv`` or ``.parquet``, atomically; paths are written as they are.

    Raises
    ------
    CohortError
        If the table is not valid (see :func:`validate_cohort`), the suffix is
        another, or the file cannot be written.
    """
    path = Path(path)
    table = complete_columns(table, where=str(path))
    validate_cohort(table, where=str(path), allow_leaks=allow_leaks)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise CohortError(f"{path}: cohort tables are .csv or .parquet; got the suffix {path.suffix!r}")
    try:
        if path.suffix.lower() == ".csv":
            data = table.to_csv(index=False).encode("utf-8")
        else:
            require_extra("pyarrow", "parquet")
            data = table.to_parquet(index=False)
        write_bytes_atomically(path, data)
    except (OSError, ValueError, TypeError) as error:
        raise CohortError(
            f"{path}: cannot be written ({' '.join(str(error).split())}); correct the path or the cell"
        ) from None


def read_table(path: str | Path, text: Iterable[str] = ()) -> pd.DataFrame:
    """Read a CSV or Parquet file; cohort columns, and those in ``text``, stay text (ids keep zeros).

    See :func:`patchcxr.data.tabular.read_file`; the words for an empty cell
    are ids like others in ``study``, ``patient`` and the columns of ``text``.
    """
    ids = {*_IDS, *text}
    return read_file(path, text={*COLUMNS, *ids}, ids=ids)


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
    double = table.columns[table.columns.duplicated()]
    if len(double):
        raise CohortError(f"{where}: column {str(double[0])!r} occurs twice; rename or remove one of them")
    made = pd.DataFrame(index=pd.RangeIndex(len(table)))
    for column in COLUMNS:
        if column not in table:
            made[column] = pd.Series(pd.NA, index=made.index, dtype="string")
        else:
            made[column] = table[column].astype(object).where(table[column].notna(), pd.NA).to_numpy()
            _check_plain(made[column], table, column, where)
        if column in (*_NUMBERS, "fold"):
            made[column] = _as_number(made[column], table, column, where)
        else:
            text = made[column].astype("string").str.strip()
            made[column] = text.mask(text.isin(EMPTY if column not in _IDS else [""])).astype("string")
    extra = [column for column in table.columns if column not in COLUMNS]
    return pd.concat([made, table[extra].set_axis(made.index)], axis=1)


def _check_plain(values: pd.Series, table: pd.DataFrame, column: str, where: str) -> None:
    if isinstance(table[column].dtype, pd.StringDtype):
        return
    cells = values.to_numpy(dtype=object)
    odd = [isinstance(cell, bytes) or not (pd.api.types.is_scalar(cell) or isinstance(cell, Path)) for cell in cells]
    remedy = "expected text or a number"
    _refuse(table, [(np.flatnonzero(odd), lambda row: Fault(row, column, cells[row], remedy))], where)


def _as_number(values: pd.Series, table: pd.DataFrame, column: str, where: str) -> pd.Series:
    values = values.mask(values.isin(EMPTY))
    # Numbers beyond the range of a float are read as infinite.
    text = values.astype("string").str.strip()
    numbers = pd.to_numeric(text, errors="coerce").astype("Float64").astype("float64")
    bad = ~np.isfinite(numbers) & values.notna()
    if column == "fold":
        bad |= numbers.notna() & ((numbers % 1 != 0) | (numbers < 0) | (numbers > _LARGEST_FOLD))
    number = f"a whole number from 0 to {_LARGEST_FOLD}" if column == "fold" else "a number"
    remedy = f"expected {number} or an empty cell"
    _refuse(table, [(np.flatnonzero(bad), lambda row: Fault(row, column, values.iloc[row], remedy))], where)
    return numbers.astype("Int64") if column == "fold" else numbers


def validate_cohort(table: pd.DataFrame, where: str = "cohort", allow_leaks: bool | str = False) -> None:
    """Check a cohort table; every fault names its row, column, value and remedy.

    Required columns must be filled, ``study`` unique, ages within 0 to 120
    years, sexes M, F or O, and splits train, validation or test with no
    patient in two of them, unless ``allow_leaks`` says ``"patients may be on
    both sides"``. Whether files exist is for :func:`check_cohort_files`.

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
    _refuse(table, _faults(table), where)
    if "split" in table:
        check_leaks(table, "split", allow_leaks=allow_leaks, where=where)


_Found = tuple[IntArray, Callable[[int], Fault]]
"""Rows with one kind of fault, and the fault of a row."""


def _refuse(table: pd.DataFrame, found: Iterable[_Found], where: str, what: str = "faults") -> None:
    """Refuse a table as :func:`refuse` does, where there may be a fault in each of a million rows."""
    kinds = list(found)
    count = sum(len(rows) for rows, _ in kinds)
    shown = list(islice((fault(int(row)) for rows, fault in kinds for row in rows), SHOWN))
    refuse(table, shown + shown[-1:] * (count - len(shown)), where, what)  # of those not shown only the number counts


def _first_with(values: pd.Series, value: object) -> int:
    """Row of the first cell that holds a value; there is one."""
    return int(np.flatnonzero((values == value).fillna(False))[0])


def _faults(table: pd.DataFrame) -> Iterator[_Found]:
    def filled(column: str) -> _Found:
        return np.flatnonzero(table[column].isna()), lambda row: Fault(row, column, "", f"fill in the {column}")

    def follows(column: str, is_wrong: Callable[[pd.Series], pd.Series], expected: str) -> _Found:
        cells = table[column]
        wrong = is_wrong(cells).fillna(False).astype(bool) & cells.notna()
        return np.flatnonzero(wrong), lambda row: Fault(row, column, cells.iloc[row], expected)

    study = table["study"]

    def used(row: int) -> Fault:
        first = _first_with(study, study.iloc[row]) + 1
        return Fault(row, "study", study.iloc[row], f"already used in row {first}; give each study its own id")

    yield from map(filled, REQUIRED_COLUMNS)
    yield np.flatnonzero(study.duplicated() & study.notna()), used
    yield from (follows(column, is_wrong, expected) for column, is_wrong, expected in _RULES if column in table)


def merge_cohorts(tables: Iterable[pd.DataFrame], prefix_ids: bool = False) -> pd.DataFrame:
    """Stack cohorts from several sources into one.

    Parameters
    ----------
    tables
        Cohorts.
    prefix_ids
        Put the source and a hyphen in front of every study and patient id
        that does not begin with them.

    Raises
    ------
    CohortError
        If a study or an image file occurs twice, two sources use the same
        patient id (the films of two people would be taken for one person's),
        or ids shall have the source in front and a source is empty.
    """
    tables = [complete_columns(table) for table in tables]
    if not tables:
        raise CohortError("no cohort to merge; give at least one table")
    text = [table.astype(dict.fromkeys(_text_columns(table), "string")) for table in tables]
    merged = pd.concat(text, ignore_index=True)
    if prefix_ids:
        unnamed = np.flatnonzero(merged["source"].isna())
        remedy = "fill it in, to put it in front of the ids"
        _refuse(merged, [(unnamed, lambda row: Fault(row, "source", "", remedy))], "merged cohort")
        for column in _IDS:
            prefix = merged["source"] + "-"
            has = [str(one).startswith(start) for one, start in zip(merged[column], prefix, strict=True)]
            merged[column] = merged[column].where(pd.Series(has, index=merged.index), prefix + merged[column])
    validate_cohort(merged, where="merged cohort")
    images = merged["image"]

    def twice(row: int) -> Fault:
        study = merged["study"].iloc[_first_with(images, images.iloc[row])]
        return Fault(row, "image", images.iloc[row], f"is the image of study {str(study)!r} too; leave one of them out")

    _refuse(merged, [(np.flatnonzero(images.duplicated()), twice)], "merged cohort", what="images that occur twice")
    sources = merged.groupby("patient")["source"].nunique()
    shared = sorted(sources[sources > 1].index)
    if shared:
        raise CohortError(
            f"merged cohort: {len(shared)} patient ids occur in two sources, such as {', '.join(shared[:SHOWN])};"
            " put the name of the source in front of each id (prefix_ids)"
        )
    return merged


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Films, patients and masks by source and label; ``(none)`` stands for an empty cell.

    Returns
    -------
    One row a source and label, sorted, then one with ``(all)`` for the whole.

    ==================================== ===============================================
    source, label
    films, patients
    age_median_years, age_min_years,     over patients of known age, each with the
    age_max_years                        median of the ages at the films
    age_known                            patients of known age
    women_share                          of patients of known sex, from 0 to 1
    sex_known                            patients of known sex (F, M or O)
    views                                such as ``PA 12, AP 3``, most frequent first
    lung_masks                           films with ``lung_mask``, or both sides
    heart_masks, infection_masks, boxes  films with them; ``(empty)`` counts, for
                                         somebody looked
    ==================================== ===============================================

    Examples
    --------
    >>> films = pd.DataFrame({"study": ["1", "2"], "patient": ["a", "a"], "image": ["1.png", "2.png"]})
    >>> summarize(films.assign(source="x", view="PA"))[["source", "films", "patients", "views"]].values.tolist()
    [['x', 2, 1, 'PA 2'], ['(all)', 2, 1, 'PA 2']]
    """
    table = complete_columns(table)
    rows = pd.DataFrame(
        {
            **{column: table[column].fillna("(none)") for column in ("source", "label", "view")},
            **{column: table[column] for column in ("patient", "age_years", "sex")},
            "lung_masks": table["lung_mask"].notna()
            | (table["right_lung_mask"].notna() & table["left_lung_mask"].notna()),
            "heart_masks": table["heart_mask"].notna(),
            "infection_masks": table["infection_mask"].notna(),
            "boxes": table["boxes"].notna(),
        }
    )
    groups = [(*names, group) for names, group in rows.groupby(["source", "label"])]
    return pd.DataFrame([_summary(*group) for group in [*groups, ("(all)", "(all)", rows)]])


def _summary(source: str, label: str, rows: pd.DataFrame) -> dict[str, object]:
    patients = rows.groupby("patient").agg(age=("age_years", "median"), sex=("sex", "first"))
    age, sex = patients["age"], patients["sex"].dropna()
    views = sorted(rows["view"].value_counts().items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "source": source,
        "label": label,
        "films": len(rows),
        "patients": len(patients),
        "age_median_years": float(age.median()),
        "age_min_years": float(age.min()),
        "age_max_years": float(age.max()),
        "age_known": int(age.notna().sum()),
        "women_share": float((sex == "F").mean()) if len(sex) else float("nan"),
        "sex_known": len(sex),
        "views": ", ".join(f"{view} {count}" for view, count in views),
        **{name: int(rows[name].sum()) for name in ("lung_masks", "heart_masks", "infection_masks", "boxes")},
    }


def _text_columns(table: pd.DataFrame) -> list[str]:
    return [column for column in COLUMNS if column not in (*_NUMBERS, "fold")]
