"""A cohort from a folder of images, with or without a table beside it.

Study ids come from file names. Where those carry names or numbers of
patients, the cohort carries them too: rename the files first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from patchcxr.data.cohort import complete_columns, read_table, resolve_field, validate_cohort
from patchcxr.errors import CohortError, ImageError
from patchcxr.io.dicom_facts import DicomFacts, DicomIdentity, read_dicom_header
from patchcxr.io.dicom_file import is_dicom
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import DICOM_SUFFIXES, IMAGE_SUFFIXES


def cohort_from_folder(
    images_dir: str | Path,
    csv_path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    source: str | None = None,
    facts: bool = True,
    identifiers: bool = False,
) -> pd.DataFrame:
    """Build a cohort from a folder of images and, where there is one, a CSV.

    Without a CSV every image of the folder and its subfolders (by suffix;
    files without a suffix, or with a number as in UIDs, if they are DICOM) is
    a study: its id is the file's name without suffix (with its subfolder
    where the name alone occurs twice), the patient is the study, and all else
    is empty. Linked folders are entered, each once.

    With a CSV every row is a study. ``columns`` maps the names of
    :data:`patchcxr.data.cohort.COLUMNS` to those of the CSV; other columns are
    kept under their own names. The image column holds file names, with or
    without suffix, relative to the folder. ``study`` defaults to the image's
    name without suffix, and ``patient`` to the study.

    Headers of DICOM films then fill what is empty in ``view``, ``age_years``
    and ``sex``, and ``patient`` where the CSV has no such column: films with
    one PatientID get one pseudonym, ``<source>-p0001`` and so on in the order
    of the rows. A film whose header cannot be read stays a row; reading it
    says why. Where any header was read the table also has

    - ``patient_id_known``: ``yes`` where the CSV or the header names the
      patient, ``no`` where the study stands in,
    - ``row_spacing_mm`` and ``column_spacing_mm``,
    - ``days_since_first_film`` of the patient, from the dates of study; the
      dates themselves are not kept.

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
    facts
        Whether the headers of DICOM films are read.
    identifiers
        Whether ``patient`` becomes the PatientID of the header as it is, not a pseudonym.

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
    named = "patient" in table
    if not named:
        table["patient"] = table["study"]
    table = complete_columns(table, where=where)
    if facts:
        table = _with_headers(table, named, identifiers)
    validate_cohort(table, where=where)
    return table


def _from_files(images_dir: Path) -> pd.DataFrame:
    paths = [path for path in files_below(images_dir) if _is_image(path)]
    if not paths:
        raise CohortError(
            f"{images_dir}: no image in this folder or below; expected files that end in {', '.join(IMAGE_SUFFIXES)}"
        )
    stems = pd.Series([_stem(path) for path in paths])
    relative = [path.relative_to(images_dir).with_name(_stem(path)).as_posix() for path in paths]
    study = stems.mask(stems.duplicated(keep=False), pd.Series(relative))
    return pd.DataFrame({"study": study, "image": [str(path) for path in paths]})


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
        table["study"] = names.map(lambda name: _stem(Path(name)), na_action="ignore").astype("string")
    return table


class _ImageFinder:
    """Finds an image by its name; the suffix may be left out or be another one."""

    def __init__(self, images_dir: Path) -> None:
        self.root = images_dir
        self.by_stem: dict[str, list[Path]] = {}
        for path in files_below(images_dir):
            if _is_image(path):
                self.by_stem.setdefault(_stem(path), []).append(path)

    def __call__(self, name: str) -> str:
        exact = Path(resolve_field(name, self.root))
        if exact.is_file():
            return str(exact)
        wanted = exact.stem if exact.suffix.lower() in IMAGE_SUFFIXES else exact.name
        found = self.by_stem.get(wanted, [])
        return str(found[0]) if len(found) == 1 else str(exact)


def _with_headers(table: pd.DataFrame, named: bool, identifiers: bool) -> pd.DataFrame:
    """Fill a complete table from the headers of its DICOM films; ``named`` says that ``patient`` is to stay."""
    headers = [_header(Path(image)) for image in table["image"].fillna("")]
    if not any(headers):
        return table
    facts = [header[0] if header else DicomFacts() for header in headers]
    identities = [header[1] if header else DicomIdentity() for header in headers]
    table = table.copy()
    for column in ("view", "sex"):
        said = pd.Series([getattr(fact, column) for fact in facts], index=table.index, dtype="string")
        table[column] = table[column].fillna(said)
    ages = pd.Series([fact.age_years for fact in facts], index=table.index, dtype=float)
    table["age_years"] = table["age_years"].fillna(ages)
    ids = pd.Series([identity.patient_id for identity in identities], index=table.index, dtype="string")
    known = table["patient"].notna() if named else ids.notna()
    if not named:
        numbers = pd.Series(pd.factorize(ids)[0] + 1, index=table.index).astype(str).str.zfill(4)
        names = ids if identifiers else (table["source"].fillna("film") + "-p" + numbers).astype("string")
        table["patient"] = names.where(known, table["study"]).astype("string")
    table["patient_id_known"] = known.map({True: "yes", False: "no"}).astype("string")
    spacing = np.array([fact.pixel_spacing_mm or (np.nan, np.nan) for fact in facts])
    table["row_spacing_mm"], table["column_spacing_mm"] = spacing[:, 0], spacing[:, 1]
    days = pd.Series([identity.date.toordinal() if identity.date else np.nan for identity in identities], table.index)
    table["days_since_first_film"] = (days - days.groupby(table["patient"]).transform("min")).where(known)
    return table


def _header(path: Path) -> tuple[DicomFacts, DicomIdentity] | None:
    """Header of a DICOM film; ``None`` for films of other kinds and for headers that cannot be read."""
    if not _may_be_dicom(path):
        return None
    try:
        return read_dicom_header(path)
    except ImageError:
        return None


def _stem(path: Path) -> str:
    """Name without its suffix; the last number of a UID is none."""
    return path.name if path.suffix[1:].isdigit() else path.stem


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES or _may_be_dicom(path)


def _may_be_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its suffix or, without one or with a number for one, by its first bytes."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False
