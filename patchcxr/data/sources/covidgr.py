"""COVIDGR-1.0 of the Hospital Universitario San Cecilio, Granada.

- Films: 852 posteroanterior radiographs, JPEG, taken with one kind of
  equipment: 426 positive and 426 negative (a first release had 377 of each).
  Their size is not stated.
- Classes: ``P``, positive by RT-PCR within 24 hours of the film
  (``covid19``); ``N``, negative (``normal``).
- Masks: none.
- Layout: ``COVIDGR_1.0/{P,N}/*.jpg``; a CSV table (Name, Severity) grades the
  positive films as normal with positive PCR, mild, moderate or severe.
- Licence: not stated with the films.
- Citation: Tabik et al., IEEE Journal of Biomedical and Health Informatics
  24:3595-3605, 2020.

Decisions: ``severity`` holds the grade as the table spells it. Positive films
that are graded normal stay ``covid19``.

Traps: on positive films that are graded normal a reader sees no disease; there
are no patient ids, ages or sexes; a name may occur in both folders, so that
``P-`` or ``N-`` stands before each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources._layout import Imported, finish, read_metadata
from patchcxr.data.sources._search import stems
from patchcxr.errors import CohortError
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import IMAGE_SUFFIXES

LICENCE = "not stated"
LABELS: Final = {"P": "covid19", "N": "normal"}
"""Label of each folder."""


def build(root: str | Path) -> Imported:
    """Cohort of the films below ``root``; ``severity`` is an extra column.

    Raises
    ------
    CohortError
        If no film is in a folder ``P`` or ``N``.
    """
    root = Path(root)
    files = files_below(root)
    paths = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    folder = pd.Series([path.parent.name.upper() for path in paths], dtype="string")
    table = pd.DataFrame(
        {"image": map(str, paths), "stem": [path.stem for path in paths], "folder": folder}, dtype="string"
    )
    table["study"] = table["folder"] + "-" + table["stem"]
    reason = pd.Series(pd.NA, index=table.index, dtype="string")
    reason = reason.mask(table["study"].duplicated(), "second film of this name; the first is kept")
    reason = reason.mask(~folder.isin(list(LABELS)), "not in a folder P or N")
    skipped = list(zip(table.loc[reason.notna(), "image"], reason.dropna(), strict=True))
    table = table[reason.isna()].reset_index(drop=True)
    if table.empty:
        raise CohortError(f"{root}: no such file as P/*.jpg or N/*.jpg; give the unpacked folder COVIDGR_1.0")
    grades, unread = _grades(files)
    severity = table["stem"].str.lower().map(grades).where(table["folder"] == "P")
    return finish(
        pd.DataFrame(
            {
                "study": table["study"],
                "image": table["image"],
                "label": table["folder"].map(LABELS),
                "view": "PA",
                "licence": LICENCE,
                "severity": severity.astype("string"),
            }
        ),
        "covidgr",
        root,
        skipped + unread,
    )


def _grades(files: list[Path]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Severity by name from the first table that has one, and the tables that could not be read."""
    unread: list[tuple[str, str]] = []
    for path in (path for path in files if path.suffix.lower() == ".csv"):
        try:
            table = read_metadata(path, (), ("Name", "name", "NAME"))
        except CohortError as error:
            unread.append((str(path), str(error)))
            continue
        columns = {str(column).strip().lower(): column for column in table.columns}
        if {"name", "severity"} <= columns.keys():
            names = stems(table[columns["name"]]).str.lower()
            grades = table[columns["severity"]].astype("string").str.strip()
            return dict(zip(names, grades, strict=True)), unread
    return {}, unread
