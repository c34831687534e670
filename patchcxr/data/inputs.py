"""The films that a command is given: files, folders and cohort tables, as one cohort."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.cohort import complete_columns, merge_cohorts, read_cohort
from patchcxr.data.folder import cohort_from_folder, study_names
from patchcxr.data.imported import Imported
from patchcxr.errors import CohortError

TABLES: Final = (".csv", ".parquet")
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
        (.csv, .parquet). A film that is given twice counts once.
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
        If there is no input, a folder has no film, or a table is not valid.
    """
    tables: list[pd.DataFrame] = []
    skipped: list[pd.DataFrame] = []
    films: list[Path] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
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
