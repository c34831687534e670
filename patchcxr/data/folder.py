"""A cohort from a folder of images, with or without a table beside it.

Study ids come from file names. Where those carry names or numbers of
patients, the cohort carries them too: rename the files first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
import pandas as pd

from patchcxr.data.cohort import COLUMNS, complete_columns, read_table, resolve_field, validate_cohort
from patchcxr.data.imported import Imported
from patchcxr.errors import CohortError, ImageError
from patchcxr.io.dicom_facts import DicomFacts, DicomIdentity, read_dicom_header
from patchcxr.io.dicom_file import is_dicom
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import DICOM_SUFFIXES, IMAGE_SUFFIXES

_MAP_THE_IMAGES: Final = "(--column image=filename, or columns={'image': 'filename'})"


def cohort_from_folder(
    images_dir: str | Path,
    csv_path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    source: str | None = None,
    facts: bool = True,
    identifiers: bool = False,
    exclude: str | Path | None = None,
) -> Imported:
    r"""Build a cohort from a folder of images and, where there is one, a CSV.

    Without a CSV every image of the folder and its subfolders (by suffix;
    files without a suffix, or with a number as in UIDs, if they are DICOM) is
    a study: its id is the file's name without suffix (with its subfolder
    where the name alone occurs twice, and with its suffix where that does
    too), the patient is the study, and all else is empty. Linked folders are
    entered, each once.

    With a CSV every row whose image is there is a study. ``columns`` maps the
    names of :data:`patchcxr.data.cohort.COLUMNS` to those of the CSV; other
    columns are kept under their own names. The image column holds file names,
    with or without suffix, relative to the folder. ``study`` defaults to the image's
    name without suffix, and ``patient`` to the study. Rows whose image is not
    there, and images that no row names, are skipped.

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
    exclude
        Folder whose images are passed over, such as one of results below ``images_dir``.

    Returns
    -------
    The cohort, and what was skipped: rows by what their image column says,
    and images by their path below the folder. Images whose name is not valid
    UTF-8, which no table can hold, are skipped with or without a CSV; in
    their names here, bytes that are no text are written as ``\xff``.

    Raises
    ------
    CohortError
        If the folder is missing or holds no image that can be used,
        ``columns`` maps a name that is not in
        :data:`~patchcxr.data.cohort.COLUMNS` or to a column that the CSV
        lacks, no row has an image, or the table is not valid.
    """
    images_dir = Path(images_dir).absolute()
    try:
        is_folder = images_dir.is_dir()
    except OSError as error:
        raise CohortError(
            f"{str(images_dir)!r}: folder cannot be opened ({error.strerror or error}); correct the path"
        ) from None
    if not is_folder:
        raise CohortError(f"{images_dir}: no such folder; give the folder of the images")
    columns = dict(columns or {})
    _check_mapping(columns)
    films, skipped = _films(images_dir, None if exclude is None else Path(exclude).absolute())
    where = str(csv_path or images_dir)
    if csv_path is None:
        if columns:
            raise CohortError(
                f"columns {', '.join(map(repr, columns))} are mapped, but of no table;"
                " give the table as well (--csv TABLE, or csv_path)"
            )
        table = _from_files(images_dir, films, skipped)
    else:
        table, left = _from_table(images_dir, films, Path(csv_path), columns)
        where += ", without the rows that have no image" if left else ""
        skipped += [*left, *_without_row(images_dir, films, table, csv_path)]
    if "source" not in table:
        table["source"] = source or images_dir.name
    named = "patient" in table
    if not named:
        table["patient"] = table["study"]
    table = complete_columns(table, where=where)
    if facts:
        table = _with_headers(table, named, identifiers)
    validate_cohort(table, where=where)
    return Imported(table, pd.DataFrame(skipped, columns=["name", "reason"], dtype="string"))


def _check_mapping(columns: dict[str, str]) -> None:
    for ours, theirs in columns.items():
        if ours not in COLUMNS:
            raise CohortError(
                f"column {ours!r}, mapped to {theirs!r}, is none of a cohort's; expected one of {', '.join(COLUMNS)}"
                " (other columns of the table are kept under their own names)"
            )


def _films(images_dir: Path, exclude: Path | None) -> tuple[list[Path], list[tuple[str, str]]]:
    """Images of the folder, and (name, reason) of those whose names cannot be written into a table."""
    if not is_text(str(images_dir)):
        raise CohortError(
            f"{shown_name(str(images_dir))}: the path of the folder is not valid UTF-8; rename the folder"
        )
    films, skipped = [], []
    for path in files_below(images_dir):
        name = path.relative_to(images_dir).as_posix()
        if (exclude is not None and path.is_relative_to(exclude)) or not _is_image(path):
            continue
        if is_text(name):
            films.append(path)
        else:
            skipped.append((shown_name(name), "name is not valid UTF-8; rename the file"))
    return films, skipped


def is_text(name: str) -> bool:
    """Whether a name from the file system is text, and so can be written into a table."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown_name(name: str) -> str:
    r"""A name from the file system as text, its bytes that are no text as ``\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _from_files(images_dir: Path, films: list[Path], skipped: Sequence[tuple[str, str]]) -> pd.DataFrame:
    if not films and skipped:
        name, reason = skipped[0]
        raise CohortError(f"{images_dir}: none of the {len(skipped)} images can be used, such as {name!r}: {reason}")
    if not films:
        raise CohortError(
            f"{images_dir}: no image in this folder or below; expected files that end in {', '.join(IMAGE_SUFFIXES)}"
        )
    return pd.DataFrame({"study": study_names(films, images_dir), "image": [str(path) for path in films]})


def study_names(films: Sequence[Path], root: Path) -> pd.Series:
    """Names of films below a folder, each as short as it can be: the file's name, else its path, else with suffix.

    Spaces around a name count for nothing, as in the cells of a cohort, unless films cannot be told apart without.
    """
    paths = [path.relative_to(root) for path in films]
    stems = [_stem(path) if _stem(path).strip() else path.name for path in paths]
    longer = (
        [path.with_name(stem).as_posix() for path, stem in zip(paths, stems, strict=True)],
        [path.as_posix() for path in paths],
        [quote(path.as_posix()) for path in paths],
    )
    names = pd.Series(stems, dtype="string").str.strip()
    for other in longer:
        names = names.mask(names.duplicated(keep=False) | (names == ""), pd.Series(other, dtype="string").str.strip())
    return names


def _from_table(
    images_dir: Path, films: list[Path], csv_path: Path, columns: dict[str, str]
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Rows of the table that have an image, and (name, reason) of the others."""
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
            f"{csv_path}: no column 'image'; map it {_MAP_THE_IMAGES};"
            f" the table has {', '.join(map(str, table.columns))}"
        )
    names = table["image"].astype("string").str.strip().fillna("")
    finder = _ImageFinder(images_dir, films)
    found = [finder(name) for name in names]
    left = [
        (name or f"row {row}", reason)
        for row, (name, (_, reason)) in enumerate(zip(names, found, strict=True), start=1)
        if reason
    ]
    there = np.array([not reason for _, reason in found], dtype=bool)
    if len(table) and not there.any():
        name, reason = left[0]
        raise CohortError(
            f"{csv_path}: none of the {len(table)} rows has an image, such as {name!r}: {reason}; give the folder that"
            f" the names start from, or map the column of the file names {_MAP_THE_IMAGES}"
        )
    table["image"] = pd.Series([path for path, _ in found], dtype="string")
    if "study" not in table:
        table["study"] = names.map(lambda name: _stem(Path(name))).astype("string")
    return table[there].reset_index(drop=True), left


def _without_row(
    images_dir: Path, films: list[Path], table: pd.DataFrame, csv_path: str | Path
) -> list[tuple[str, str]]:
    """(name, reason) of the images that no row names, not by a link either."""
    named = set(table["image"])
    real = {os.path.realpath(image) for image in named}
    return [
        (path.relative_to(images_dir).as_posix(), f"no row in {csv_path}")
        for path in films
        if str(path) not in named and os.path.realpath(path) not in real
    ]


class _ImageFinder:
    """Finds an image by its name; the suffix may be left out or be another one."""

    def __init__(self, images_dir: Path, films: list[Path]) -> None:
        self.root = images_dir
        self.by_stem: dict[str, list[Path]] = {}
        for path in films:
            self.by_stem.setdefault(_stem(path), []).append(path)

    def __call__(self, name: str) -> tuple[str, str]:
        """Path of the image and no reason, or no path and the reason."""
        if not name:
            return "", "the row names no image"
        exact = Path(resolve_field(name, self.root))
        if os.path.isfile(exact):
            return str(exact), ""
        wanted = exact.stem if exact.suffix.lower() in IMAGE_SUFFIXES else exact.name
        found = self.by_stem.get(wanted, [])
        if len(found) > 1:
            return "", f"{len(found)} images of this name in {self.root}; give subfolder and suffix"
        return (str(found[0]), "") if found else ("", f"no such image in {self.root}")


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
