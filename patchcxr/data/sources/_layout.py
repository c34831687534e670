"""What the builders share: reading a data set's own table and finding its files."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from patchcxr.data.cohort import complete_columns, validate_cohort
from patchcxr.data.imported import Imported
from patchcxr.errors import CohortError, LabelError
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import IMAGE_SUFFIXES
from patchcxr.types import BoolArray


def read_metadata(path: Path, columns: Sequence[str], text: Sequence[str], **options: Any) -> pd.DataFrame:
    """Table of a data set, checked for the columns that its builder needs.

    Parameters
    ----------
    path
        A CSV file; bytes that are not UTF-8 become replacement characters.
    columns
        Columns that must be there.
    text
        Columns that stay text, so that ids keep their zeros.
    options
        Passed on to :func:`pandas.read_csv`, such as ``sep``.

    Raises
    ------
    CohortError
        If the file or a column is missing, or the file cannot be parsed.
    """
    if not path.is_file():
        raise CohortError(f"{path}: no such file; give the folder of the data set in its published layout")
    options = {"encoding": "utf-8-sig", "encoding_errors": "replace", "low_memory": False, **options}
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(text, "string"), **options)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise CohortError(f"{path}: cannot be parsed ({' '.join(str(error).split())}); download it again") from None
    absent = [column for column in columns if column not in table]
    if absent:
        raise CohortError(f"{path}: column {absent[0]!r} is missing; got {', '.join(map(str, table.columns))}")
    return table


def files_by_stem(folder: Path, recursive: bool = False) -> dict[str, str]:
    """Absolute paths of the files of a folder by name without suffix; empty where there is no folder.

    Of several files of one name an image counts before others, and then the first by path.
    """
    if not folder.is_dir():
        return {}
    found = files_below(folder) if recursive else sorted(folder.absolute().iterdir())
    files: dict[str, str] = {}
    for path in sorted(found, key=lambda path: path.suffix.lower() not in IMAGE_SUFFIXES):
        if not path.name.startswith("."):
            files.setdefault(path.stem, str(path))
    return files


def find_images(names: pd.Series, folder: Path, recursive: bool = False) -> list[str | None]:
    """Absolute path of every image, ``None`` where it is missing; its suffix may differ from the one in the table.

    Names are looked up among the files that are there, so that no name leads out of the folder.
    """
    files = files_by_stem(folder, recursive)
    return [None if pd.isna(name) else files.get(Path(str(name)).stem) for name in names]


def map_labels(values: pd.Series, labels: dict[str, str], where: object) -> pd.Series:
    """Label of every value, looked up in a builder's ``LABELS``.

    Raises
    ------
    LabelError
        Naming the values that are not in ``labels``.
    """
    unknown = sorted(set(values[~values.isin(list(labels))].fillna("(empty)").astype(str)))
    if unknown:
        raise LabelError(f"{where}: classes {unknown} are unknown; expected {', '.join(labels)}")
    return values.map(labels)


def finish(
    table: pd.DataFrame, source: str, folder: Path, skipped: Sequence[tuple[str, str]] | pd.DataFrame = ()
) -> Imported:
    """Set rows without image aside, put the source's name in front of the ids, and validate.

    Parameters
    ----------
    table
        At least ``study`` and ``image``; ``patient`` may be absent or empty where it is not known.
    source
        Name of the data set.
    folder
        Where images were looked for, for the messages.
    skipped
        (name, reason) of what the builder left out itself.

    Raises
    ------
    CohortError
        If no image is there at all, or the table is not valid.
    """
    table = table.reset_index(drop=True)
    there: BoolArray = table["image"].notna().to_numpy(dtype=bool)
    if not there.any():
        named = "" if table.empty else f", such as that of {str(table['study'].iloc[0])!r}"
        raise CohortError(
            f"{folder}: none of the {len(table)} images of {source} is there{named};"
            " give the folder of the data set in its published layout, with its archives unpacked"
        )
    left = pd.DataFrame(skipped, columns=["name", "reason"])
    missing = pd.DataFrame({"name": table["study"][~there], "reason": f"no such image in {folder}"})
    table = table[there].reset_index(drop=True)
    table["source"] = source
    study = table["study"].astype("string")
    patient = table["patient"].astype("string") if "patient" in table else study.mask(study.notna())
    table["study"] = f"{source}-" + study
    table["patient"] = f"{source}-" + patient.fillna(study)
    table["patient_id_known"] = patient.notna().map({True: "yes", False: "no"}).astype("string")
    table = complete_columns(table, where=source)
    validate_cohort(table, where=source)
    return Imported(table, pd.concat([left, missing], ignore_index=True).astype("string"))
