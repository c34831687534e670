"""A cohort from a folder of images, with or without a table beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from patchcxr.data.cohort import complete_columns, read_table, resolve_field, validate_cohort
from patchcxr.errors import CohortError
from patchcxr.io.dicom import is_dicom
from patchcxr.io.radiograph import IMAGE_SUFFIXES


def cohort_from_folder(
    images_dir: str | Path,
    csv_path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    source: str | None = None,
) -> pd.DataFrame:
    """Build a cohort from a folder of images and, where there is one, a CSV.

    Without a CSV every image of the folder and its subfolders (by suffix;
    files without a suffix if they are DICOM) is a study: its id is the file's
    name without suffix (with its subfolder where the name alone occurs
    twice), the patient is the study, and all else is empty.

    With a CSV every row is a study. ``columns`` maps the names of
    :data:`patchcxr.data.cohort.COLUMNS` to those of the CSV; other columns are
    kept under their own names. The image column holds file names, with or
    without suffix, relative to the folder. ``study`` defaults to the image's
    name without suffix, and ``patient`` to the study.

    Parameters
    ----------
    images_dir
        Folder of the images; absolute paths go into the table.
    csv_path
        CSV or Parquet file with one row an image.
    columns
        For example ``{"image": "filename", "label": "finding", "age_years": "age"}``.
    source
        Written into ``source``; the name of the folder by default.

    Raises
    ------
    CohortError
        If the folder is missing or holds no image, ``columns`` names a column
        that the CSV lacks, or the table is not valid.
    """
    images_dir = Path(images_dir).absolute()
    if not images_dir.is_dir():
        raise CohortError(f"{images_dir}: no such folder; give the folder of the images")
    if csv_path is None:
        if columns:
            raise CohortError(f"columns {sorted(columns)} are mapped but no csv_path is given; give the table as well")
        table = _from_files(images_dir)
    else:
        table = _from_table(images_dir, Path(csv_path), dict(columns or {}))
    if "source" not in table:
        table["source"] = source or images_dir.name
    where = str(csv_path or images_dir)
    table = complete_columns(table, where=where)
    validate_cohort(table, where=where)
    return table


def _from_files(images_dir: Path) -> pd.DataFrame:
    paths = [path for path in sorted(images_dir.rglob("*")) if path.is_file() and _is_image(path)]
    if not paths:
        raise CohortError(
            f"{images_dir}: no image in this folder or below; expected files that end in {', '.join(IMAGE_SUFFIXES)}"
        )
    stems = pd.Series([path.stem for path in paths])
    relative = [path.relative_to(images_dir).with_suffix("").as_posix() for path in paths]
    study = stems.mask(stems.duplicated(keep=False), pd.Series(relative))
    return pd.DataFrame({"study": study, "patient": study, "image": [str(path) for path in paths]})


def _from_table(images_dir: Path, csv_path: Path, columns: dict[str, str]) -> pd.DataFrame:
    theirs_as_text = [theirs for ours, theirs in columns.items() if ours in ("study", "patient", "image")]
    table = read_table(csv_path, text=theirs_as_text)
    unknown = {ours: theirs for ours, theirs in columns.items() if theirs not in table.columns}
    if unknown:
        ours, theirs = next(iter(unknown.items()))
        raise CohortError(
            f"{csv_path}: column {theirs!r}, mapped to {ours!r}, is not in the table;"
            f" it has {', '.join(map(str, table.columns))}"
        )
    used = list(columns.values())
    double = {name for name in used if used.count(name) > 1}
    renamed = {theirs: ours for ours, theirs in columns.items() if theirs not in double}
    clash = [ours for theirs, ours in renamed.items() if ours in table.columns and ours not in used and ours != theirs]
    table = table.drop(columns=clash).rename(columns=renamed)
    for ours, theirs in columns.items():
        if theirs in double:
            table[ours] = table[theirs]
    if "image" not in table:
        raise CohortError(
            f"{csv_path}: no column 'image'; map it, as in columns={{'image': 'filename'}};"
            f" the table has {', '.join(map(str, table.columns))}"
        )
    names = table["image"].astype("string").str.strip()
    table["image"] = names.map(_ImageFinder(images_dir), na_action="ignore").astype("string")
    if "study" not in table:
        table["study"] = names.map(lambda name: Path(name).stem, na_action="ignore").astype("string")
    if "patient" not in table:
        table["patient"] = table["study"]
    return table


class _ImageFinder:
    """Finds an image by its name; the suffix may be left out or be another one."""

    def __init__(self, images_dir: Path) -> None:
        self.root = images_dir
        self.by_stem: dict[str, list[Path]] = {}
        for path in sorted(images_dir.rglob("*")):
            if path.is_file() and _is_image(path):
                self.by_stem.setdefault(path.stem, []).append(path)

    def __call__(self, name: str) -> str:
        exact = Path(resolve_field(name, self.root))
        if exact.is_file():
            return str(exact)
        wanted = exact.stem if exact.suffix.lower() in IMAGE_SUFFIXES else exact.name
        found = self.by_stem.get(wanted, [])
        return str(found[0]) if len(found) == 1 else str(exact)


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        return is_dicom(file.read(132))
