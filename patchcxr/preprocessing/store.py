"""Prepared films and masks on disk, so that each film is decoded and normalised once.

Layout below ``root``::

    1024-3f9c.../            size, and fingerprint of the preprocessing
        a7/                  first byte of the hash of the study id
            study-a7c1....json       sources and shape; written last
            study-a7c1....npy        film, uint8, (size, size)
            study-a7c1....lung.npy   mask, 8 pixels a byte

A study counts as prepared if its JSON file names the same sources, with the
same sizes and times of change, as the cohort table does now.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.config import fingerprint
from patchcxr.data.cohort import MASK_COLUMNS
from patchcxr.errors import CohortError, ConfigError, ImageError, MaskError, PatchCXRError
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.masks import EMPTY_MASK, MASK_SEPARATOR, mask_paths, read_mask
from patchcxr.io.outages import outage
from patchcxr.io.radiograph import Radiograph, read_radiograph
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.preprocessing.intensity import PreprocessConfig, normalize_intensity
from patchcxr.types import AnyArray, BoolArray

_VERSION: Final = 2
_HEADER: Final = 128
"""Bytes before the values of an ``.npy`` file of two dimensions."""
_FAULTS: Final = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError),
    tokenize.TokenError,
)
"""What NumPy raises on a damaged file; an OSError is the disk's."""
_MASK_NAME: Final = r"[A-Za-z0-9_-]+"

Progress = Callable[[int, int], None]


class FilmStore:
    """Prepared films of one size, kept in a folder.

    Parameters
    ----------
    root
        Folder of the store; made when the first film is written. Several
        sizes and configurations can share it.
    size
        Side of the prepared films in pixels.
    config
        Intensity normalisation.

    Notes
    -----
    Films are rounded to the nearest of 256 levels, at most 1/510 away from
    the prepared film. Divide by 255 to get back to [0, 1].
    """

    def __init__(self, root: str | Path, size: int, config: PreprocessConfig | None = None) -> None:
        if size < 1:
            raise ConfigError(f"store size is {size}; expected at least 1 pixel")
        self.root = Path(root)
        self.size = size
        self.config = config or PreprocessConfig()
        self.folder = self.root / f"{size}-{fingerprint(_VERSION, self.config)}"

    def prepare(
        self,
        table: pd.DataFrame,
        mask_columns: Sequence[str] = MASK_COLUMNS,
        progress: Progress | None = None,
        workers: int = 0,
    ) -> pd.DataFrame:
        """Prepare the films and masks of a cohort; see :func:`prepare_stores`."""
        return prepare_stores(table, [self], mask_columns, progress, workers)

    def film(self, study: str) -> AnyArray:
        """Give the prepared film, uint8, shape (size, size), mapped from disk and read-only.

        Raises
        ------
        ImageError
            If the study is not in the store, or its file is damaged.
        """
        try:
            return self._load(study, ".npy", (self.size, self.size), ImageError)
        except FileNotFoundError:
            raise ImageError(
                f"study {study!r} is not in the store {self.folder}; prepare the cohort first and see its failures"
            ) from None

    def mask(self, study: str, name: str) -> BoolArray:
        """Mask of a study, bool, shape (size, size).

        Raises
        ------
        MaskError
            If the study has no mask of this name in the store, or its file is damaged.
        """
        try:
            packed = self._load(study, f".{_checked_name(name)}.npy", (self.size, -(-self.size // 8)), MaskError)
        except FileNotFoundError:
            have = ", ".join(sorted(self.mask_names(study))) or "none"
            raise MaskError(
                f"study {study!r} has no mask {name!r} in the store {self.folder}; it has {have};"
                " fill in the mask's column of the cohort and prepare it again"
            ) from None
        return np.unpackbits(np.asarray(packed), axis=1, count=self.size).view(np.bool_)

    def has(self, study: str, name: str | None = None) -> bool:
        """Whether the store holds a study, or a mask of it."""
        suffix = ".json" if name is None else f".{_checked_name(name)}.npy"
        return self._path(study, suffix).exists()

    def mask_names(self, study: str) -> frozenset[str]:
        """Names of the masks that the store holds for a study."""
        entry = self._entry(study)
        return frozenset(entry["masks"]) if entry else frozenset()

    def source_shape(self, study: str) -> tuple[int, int]:
        """Give the (rows, columns) of the film before it was resized.

        Raises
        ------
        ImageError
            If the study is not in the store.
        """
        entry = self._entry(study)
        if entry is None:
            raise ImageError(f"study {study!r} is not in the store {self.folder}; prepare the cohort first")
        rows, columns = entry["shape"]
        return rows, columns

    def pixel_spacing_mm(self, study: str) -> tuple[float, float] | None:
        """(row, column) spacing of the prepared film's pixels in millimetres, where the film's file gives it.

        Raises
        ------
        ImageError
            If the study is not in the store.
        """
        rows, columns = self.source_shape(study)
        spacing = (self._entry(study) or {}).get("spacing")
        return None if spacing is None else (spacing[0] * rows / self.size, spacing[1] * columns / self.size)

    def studies(self) -> list[str]:
        """Ids of all studies in the store, sorted; reads one small file a study."""
        entries = map(_read_entry, self.folder.glob("*/*.json"))
        return sorted(entry["study"] for entry in entries if entry)

    def _path(self, study: str, suffix: str) -> Path:
        digest = hashlib.sha256(str(study).encode(errors="surrogatepass")).hexdigest()
        safe = re.sub(r"[^A-Za-z0-9_-]+", "_", str(study))[:60]
        return self.folder / digest[:2] / f"{safe}-{digest[:16]}{suffix}"

    def _entry(self, study: str) -> dict[str, Any] | None:
        return _read_entry(self._path(study, ".json"))

    def _load(self, study: str, suffix: str, shape: tuple[int, int], fault: type[PatchCXRError]) -> AnyArray:
        """Map an array from disk; one that is not what the store writes raises ``fault``."""
        path = self._path(study, suffix)
        try:
            array = np.lib.format.open_memmap(path, mode="r")
            if array.shape != shape or array.dtype != np.uint8:
                raise ValueError(f"got {array.dtype} of shape {array.shape}; expected uint8 of shape {shape}")
        except _FAULTS as error:
            raise fault(
                f"{path}: not a readable array ({str(error)[:200]}); delete this file, or the whole folder"
                f" {self.folder} if there are more, and prepare the cohort again"
            ) from None
        return array

    def _is_done(self, study: str, sources: dict[str, Any]) -> bool:
        """Whether a study was made from these very files; masks that are not asked for now do not matter."""
        entry = self._entry(study)
        if entry is None or any(entry["sources"].get(column) != stamp for column, stamp in sources.items()):
            return False
        return self._is_whole(study, entry)

    def _is_whole(self, study: str, entry: dict[str, Any]) -> bool:
        """Whether the files have their length: they are not synced, and a loss of power may have emptied them."""
        row = -(-self.size // 8)
        sizes = {".npy": self.size**2} | {f".{name}.npy": self.size * row for name in entry["masks"]}
        try:
            return all(self._path(study, suffix).stat().st_size == _HEADER + size for suffix, size in sizes.items())
        except FileNotFoundError:
            return False

    def _write(self, study: str, suffix: str, array: AnyArray) -> None:
        buffer = io.BytesIO()
        np.save(buffer, array)
        write_bytes_atomically(self._path(study, suffix), buffer.getvalue(), durable=False)

    def _write_mask(self, study: str, name: str, mask: BoolArray) -> None:
        self._write(study, f".{name}.npy", np.packbits(resize_mask(mask, self.size), axis=1))

    def _remove(self, study: str) -> None:
        """Forget a study; the JSON file goes first, so that nothing half removed counts as prepared."""
        first = self._path(study, ".json")
        first.unlink(missing_ok=True)
        for path in first.parent.glob(f"{first.stem}.*npy") if first.parent.is_dir() else ():
            path.unlink(missing_ok=True)


def prepare_stores(
    table: pd.DataFrame,
    stores: Sequence[FilmStore],
    mask_columns: Sequence[str] = MASK_COLUMNS,
    progress: Progress | None = None,
    workers: int = 0,
) -> pd.DataFrame:
    """Prepare a cohort for several sizes, decoding each film and mask once.

    Studies that are already prepared are skipped. A film that cannot be read,
    or one of whose masks cannot be read or does not fit it, is left out of
    every store and listed in the result; the others are not affected.

    The column ``right_lung_mask`` gives the mask ``right_lung``, and so on. A
    study with an empty ``lung_mask`` but both lungs apart gets their union as
    ``lung``. Masks of earlier calls stay as long as the film does not change.

    Parameters
    ----------
    table
        Cohort with absolute paths, as :func:`patchcxr.data.cohort.read_cohort` gives it.
    stores
        Stores to fill; they may differ in size and in configuration.
    mask_columns
        Columns of masks to prepare; empty cells are passed over.
    progress
        Called in the caller's thread with the studies done and their total.
    workers
        Threads; 0 works in the caller's thread.

    Returns
    -------
    One row a failed study, with columns ``study``, ``stage`` (``film``, or the
    mask's column) and ``error``; empty if all went well.

    Raises
    ------
    CohortError
        If the table lacks a column or repeats a study, which no single film
        is to blame for.
    OSError
        If the disk is full, or a file server is away (:mod:`patchcxr.io.outages`), for which no film is either.
    """
    for column in ("study", "image", *mask_columns):
        if column not in table:
            raise CohortError(f"cohort has no column {column!r}; got {', '.join(map(str, table.columns))}")
    repeated = table["study"][table["study"].duplicated()]
    if len(repeated):
        raise CohortError(f"study {str(repeated.iloc[0])!r} occurs twice; give each study its own id")
    known = [column for column in MASK_COLUMNS if column in table]
    rows = [
        (str(row["study"]), str(row["image"]), _mask_fields(row, mask_columns))
        for row in table[list(dict.fromkeys(("study", "image", *mask_columns, *known)))].to_dict("records")
    ]
    failures = []
    for done, failure in enumerate(_run(rows, stores, workers), start=1):
        if failure:
            failures.append(failure)
        if progress:
            progress(done, len(rows))
    return pd.DataFrame(failures, columns=["study", "stage", "error"], dtype="string")


def _read_entry(path: Path) -> dict[str, Any] | None:
    """What the store notes of a study; ``None`` if there is no file, or it does not hold what the store writes."""
    try:
        entry = json.loads(path.read_bytes())
        rows, columns = entry["shape"]
        spacing = entry.get("spacing")
        whole = (
            isinstance(entry["study"], str)
            and isinstance(rows, int)
            and isinstance(columns, int)
            and (spacing is None or (len(spacing) == 2 and all(isinstance(one, int | float) for one in spacing)))
            and isinstance(entry["sources"], dict)
            and "image" in entry["sources"]
            and isinstance(entry["masks"], list)
            and all(re.fullmatch(_MASK_NAME, name) for name in entry["masks"])
        )
    except (FileNotFoundError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None
    return entry if whole else None


_Row = tuple[str, str, dict[str, str | None]]
_Failure = tuple[str, str, str]


def _run(rows: list[_Row], stores: Sequence[FilmStore], workers: int) -> Iterator[_Failure | None]:
    if workers <= 0:
        yield from (_prepare_study(row, stores) for row in rows)
        return
    with ThreadPoolExecutor(max_workers=workers) as pool:
        yield from pool.map(lambda row: _prepare_study(row, stores), rows)


def _mask_fields(row: dict[Any, Any], mask_columns: Sequence[str]) -> dict[str, str | None]:
    """Field of every mask column asked for, ``None`` if empty; both lungs stand in for an empty ``lung_mask``."""

    def field(column: str) -> str | None:
        value = row.get(column)
        return None if pd.isna(value) or not str(value).strip() else str(value)

    fields = {column: field(column) for column in mask_columns}
    sides = [field("right_lung_mask"), field("left_lung_mask")]
    if "lung_mask" in fields and fields["lung_mask"] is None and None not in sides:
        fields["lung_mask"] = MASK_SEPARATOR.join(str(side) for side in sides if side != EMPTY_MASK) or EMPTY_MASK
    return fields


def _prepare_study(row: _Row, stores: Sequence[FilmStore]) -> _Failure | None:
    study, image, fields = row
    stage = "film"
    try:
        sources: dict[str, Any] = {"image": _stamp([Path(image)])}
        for stage, field in fields.items():
            sources[stage] = None if field is None else _stamp(mask_paths(field)) or [[EMPTY_MASK]]
        todo = [store for store in stores if not store._is_done(study, sources)]
        if not todo:
            return None
        stage = "film"
        film = read_radiograph(image)
        masks: dict[str, BoolArray] = {}
        for stage, field in fields.items():
            if field is not None:
                masks[stage] = read_mask(field, (film.pixels.shape[0], film.pixels.shape[1]))
        stage = "film"
        _write_study(todo, study, film, masks, sources)
    except (PatchCXRError, OSError, MemoryError) as error:
        if (fault := outage(error)) is not None:
            raise fault from None
        for store in stores:
            store._remove(study)
        return study, stage, " ".join(str(error).split()) or type(error).__name__
    return None


def _write_study(
    stores: Sequence[FilmStore], study: str, film: Radiograph, masks: dict[str, BoolArray], sources: dict[str, Any]
) -> None:
    normalized: dict[PreprocessConfig, AnyArray] = {}
    for store in stores:
        entry = store._entry(study)
        if entry is None or entry["sources"]["image"] != sources["image"] or not store._is_whole(study, entry):
            entry = {"sources": {}}
            store._remove(study)
            if store.config not in normalized:
                normalized[store.config] = normalize_intensity(film.pixels, store.config)
            prepared = resize_image(normalized[store.config], store.size)
            store._write(study, ".npy", np.rint(prepared * 255).astype(np.uint8))
        for column in sources.keys() - {"image"}:
            if column in masks:
                store._write_mask(study, _mask_name(column), masks[column])
            else:
                store._path(study, f".{_mask_name(column)}.npy").unlink(missing_ok=True)
        merged = {column: stamp for column, stamp in {**entry["sources"], **sources}.items() if stamp is not None}
        names = sorted(_mask_name(column) for column in merged if column != "image")
        made = {
            "study": study,
            "shape": list(film.pixels.shape),
            "spacing": film.pixel_spacing_mm,
            "masks": names,
            "sources": merged,
        }
        write_bytes_atomically(store._path(study, ".json"), json.dumps(made).encode("utf-8"), durable=False)


def _stamp(paths: list[Path]) -> list[list[Any]]:
    """Path, size and time of change of each file."""
    stamps = []
    for path in paths:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            raise CohortError(f"{path}: no such file; correct the path in the cohort table") from None
        stamps.append([str(path), status.st_size, status.st_mtime_ns])
    return stamps


def _mask_name(column: str) -> str:
    return column.removesuffix("_mask")


def _checked_name(name: str) -> str:
    if not re.fullmatch(_MASK_NAME, name):
        raise MaskError(f"mask name is {name!r}; expected letters, digits, '_' or '-', such as 'right_lung'")
    return name
