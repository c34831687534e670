"""The films that a command is given: files, folders and cohort tables, as one cohort."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.cohort import REQUIRED_COLUMNS, complete_columns, merge_cohorts, read_cohort, read_table
from patchcxr.data.folder import cohort_from_folder, is_text, shown_name, study_names
from patchcxr.data.imported import Imported
from patchcxr.errors import CohortError

log = logging.getLogger(__name__)

TABLES: Final = (".csv", ".parquet")
_LONGEST_HEADER: Final = 100_000
FILES: Final = "files"
"""``source`` of films that are given as files."""


def read_inputs(inputs: Sequence[str | Path], exclude: str | Path | None = None) -> Imported:
    """One cohort of all films that are meant.

    Parameters
    ----------
    inputs
        Each a film (any kind that :func:`patchcxr.io.radiograph.read_radiograph`
        reads), a folder, which stands for all films in it and below
        (:func:`patchcxr.data.folder.cohort_from_folder`), or a cohort table
        (.csv, .parquet). A folder with a ``cohort.csv`` or ``cohort.parquet``
        that is a cohort stands for the films of that table: other pictures
        below it are masks. A film that is given twice counts once.
    exclude
        Folder of results, whose pictures are no films.

    Returns
    -------
    Imported
        The cohort, and what of the folders was skipped. A file that is not
        there is a row all the same; reading it says what is wrong. Where
        inputs use one id for different films, all ids get their source in
        front.

    Raises
    ------
    CohortError
        If there is no input, a path cannot be used, a folder has no film, or
        a table is not valid.
    """
    tables: list[pd.DataFrame] = []
    skipped: list[pd.DataFrame] = []
    films: list[Path] = []
    for given in inputs:
        path = Path(given)
        if not is_text(str(path)):
            raise CohortError(f"{shown_name(str(path))}: the path is not valid UTF-8; rename the file or its folder")
        try:
            own, is_folder = _own_table(path), path.is_dir()
        except OSError as error:
            raise CohortError(
                f"{str(path)!r}: film cannot be opened ({error.strerror or error}); correct the path"
            ) from None
        if own is not None:
            log.warning("%s: the films are those of its %s; give single files to mean others", path, own.name)
            tables.append(read_cohort(own, check_files=False))
        elif is_folder:
            imported = cohort_from_folder(path, exclude=exclude)
            tables.append(imported.cohort)
            skipped.append(imported.skipped)
        elif path.suffix.lower() in TABLES:
            tables.append(read_cohort(path, check_files=False))
        else:
            films.append(Path(os.path.abspath(path)))
    if films:
        tables.append(_cohort_of_files(list(dict.fromkeys(films))))
    left = (
        pd.concat(skipped, ignore_index=True) if skipped else pd.DataFrame(columns=["name", "reason"], dtype="string")
    )
    return Imported(_joined(tables), left)


def _own_table(folder: Path) -> Path | None:
    """The cohort table that lies in a folder; another table of that name is none."""
    for path in (folder / f"cohort{suffix}" for suffix in TABLES):
        if path.is_file() and set(REQUIRED_COLUMNS) <= _column_names(path):
            return path
    return None


def _column_names(path: Path) -> set[str]:
    """Names of the columns, without reading a million rows of text for them; of a damaged table there are none."""
    try:
        if path.suffix == ".parquet":
            return set(read_table(path))
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {name.strip() for name in next(csv.reader([file.readline(_LONGEST_HEADER)]), [])}
    except (CohortError, OSError, UnicodeError, csv.Error):
        return set()


def _cohort_of_files(films: list[Path]) -> pd.DataFrame:
    root = Path(os.path.commonpath([path.parent for path in films]))
    study = study_names(films, root)
    images = [str(path) for path in films]
    table = pd.DataFrame({"study": study, "patient": study, "image": images, "source": FILES})
    return complete_columns(table, where="the films given")


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    if not tables:
        raise CohortError("no film is given; give files, folders or cohort tables")
    if len(tables) == 1:
        return tables[0]
    kept, seen = [], set[str]()
    for table in tables:
        new = table[~table["image"].isin(seen)]
        seen |= set(new["image"])
        kept.append(new)
    ids = pd.concat([table["study"] for table in kept])
    return merge_cohorts([table for table in kept if len(table)], prefix_ids=bool(ids.duplicated().any()))
