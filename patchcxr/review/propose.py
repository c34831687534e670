"""Films and the masks proposed for them: what a new round of a review is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from patchcxr.data.cohort import read_cohort
from patchcxr.errors import ConfigError, PatchCXRError, ReviewError
from patchcxr.io.arrays import safe_name
from patchcxr.io.folders import files_below
from patchcxr.io.masks import EMPTY_MASK, MASK_SEPARATOR, read_mask
from patchcxr.io.radiograph import RASTER_SUFFIXES, read_radiograph
from patchcxr.review.blobs import encode_mask
from patchcxr.review.disagreement import disagreement
from patchcxr.review.records import TARGETS, Film, ProposedFilm, checked_name
from patchcxr.types import BoolArray

if TYPE_CHECKING:
    from patchcxr.review.store import ReviewStore

COHORT: Final = "cohort.csv"
"""Name of the cohort that a review folder keeps: the rows of every table that was proposed from."""
MANUAL: Final = "manual"
"""Source of the masks that the cohort came with."""
SETTLED: Final = "settled"
"""Source of the masks that earlier rounds settled on."""
TABLES: Final = (".csv", ".parquet")
MASK_SUFFIXES: Final = (*RASTER_SUFFIXES, ".npy")
SIDES: Final = ("right_lung", "left_lung")
AT_A_TIME: Final = 64
"""Films whose masks are held in memory at once."""

Fields = Mapping[str, str]
"""Mask field by the name that files of a study have (:func:`patchcxr.io.arrays.safe_name`)."""


class Fault(NamedTuple):
    """A film or mask that could not be used: its study, what it is (``film``, ``lungs`` or a source), and why."""

    study: str
    what: str
    error: str


class Proposal(NamedTuple):
    """What is known of one film of the new round.

    Attributes
    ----------
    film
        The film with its candidates; None if its id cannot be used, and then it is not in the round.
    lungs
        PNG of its lung mask, for the infected share.
    faults
        What of it could not be used.
    """

    film: ProposedFilm | None
    lungs: bytes | None
    faults: tuple[Fault, ...]


def target_field(row: Mapping[str, Any], target: str) -> str | None:
    """Mask field of a target (``infection`` or ``lung``) in a row of a cohort; both sides stand in for ``lung_mask``.

    >>> target_field({"right_lung_mask": "r.png", "left_lung_mask": "(empty)"}, "lung")
    'r.png'
    """

    def field(name: str) -> str | None:
        value = row.get(f"{name}_mask")
        return None if pd.isna(value) or not str(value).strip() else str(value)

    if (whole := field(target)) is not None or target != "lung":
        return whole
    sides = [side for name in SIDES if (side := field(name)) is not None]
    if len(sides) < len(SIDES):
        return None
    return MASK_SEPARATOR.join(side for side in sides if side != EMPTY_MASK) or EMPTY_MASK


def cohort_masks(table: pd.DataFrame, target: str) -> dict[str, str]:
    """Mask fields that a cohort has of a target, by file name of the study."""
    rows = table.to_dict("records")
    return {safe_name(str(row["study"])): field for row in rows if (field := target_field(row, target)) is not None}


def folder_masks(path: str | Path, target: str) -> dict[str, str]:
    """Mask fields of a folder of masks, or of a cohort table, by file name of the study.

    A folder holds one file a study, named after it, or folders named after
    structures (``infection``, ``lung``, ``right_lung`` and ``left_lung``), in
    it or in ``masks`` below it, as ``patchcxr segment`` and ``infection`` write them.

    Raises
    ------
    ReviewError
        If there is no mask of the target, or two files of one name.
    """
    path = Path(path)
    if path.suffix.lower() in TABLES:
        found = cohort_masks(read_cohort(path, check_files=False), target)
        if not found:
            raise ReviewError(f"{path}: no row has a mask of the target {target!r}; fill in {target}_mask")
        return found
    if not path.is_dir():
        raise ReviewError(f"{path}: no such folder; give a folder of masks, or a cohort table with masks")
    root = path / "masks" if (path / "masks").is_dir() else path
    if (root / target).is_dir():
        return _files(root / target)
    if target == "lung" and all((root / side).is_dir() for side in SIDES):
        right, left = (_files(root / side) for side in SIDES)
        return {name: f"{right[name]}{MASK_SEPARATOR}{left[name]}" for name in right if name in left}
    others = [name for name in ("infection", "lung", "heart", *SIDES) if (root / name).is_dir()]
    if others:
        raise ReviewError(
            f"{path}: holds masks of {', '.join(others)}; expected some of the target {target!r}; give another folder "
            "or another --target"
        )
    return _files(root)


def _files(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in files_below(folder, MASK_SUFFIXES):
        name = safe_name(file.stem)
        if name in found:
            raise ReviewError(f"{folder}: {found[name]} and {file} are masks of one film; keep one of them")
        found[name] = str(file)
    if not found:
        raise ReviewError(f"{folder}: no mask in this folder; expected files that end in {', '.join(MASK_SUFFIXES)}")
    return found


def random_share(table: pd.DataFrame, share: float | None = None, count: int | None = None, seed: int = 0) -> pd.Index:
    """Rows of a random part of a cohort, in the table's order; every class gives its share (Tahir 2021, stage IV).

    Parameters
    ----------
    table
        Cohort; films without a label are a class of their own.
    share
        Part of the films, above 0 and at most 1; rounded to whole films, at least one.
    count
        Number of films instead; all of them where there are fewer.
    seed
        Of the draw, which depends on the studies and not on their order.

    Raises
    ------
    ConfigError
        If neither or both are given, or they are out of range.
    """
    if (share is None) == (count is None):
        raise ConfigError("a random part of the films: give either a share or a count")
    if share is not None and not 0 < share <= 1:
        raise ConfigError(f"share is {share:g}; expected above 0 and at most 1, such as 0.2")
    if count is not None and count < 1:
        raise ConfigError(f"count is {count}; expected at least 1 film")
    total = min(len(table), max(1, round(share * len(table)) if share is not None else int(count or 0)))
    labels = table["label"].astype("string").fillna("") if "label" in table else pd.Series("", index=table.index)
    groups = {name: part.sort_values("study").index for name, part in table.groupby(labels.to_numpy(dtype=object))}
    quota = {name: total * len(rows) / len(table) for name, rows in groups.items()}
    taken = {name: int(quota[name]) for name in groups}
    # The films that rounding leaves over go to the classes with the largest remainders.
    left = sorted(groups, key=lambda name: (taken[name] - quota[name], str(name)))
    for name in left[: total - sum(taken.values())]:
        taken[name] += 1
    # A class too rare for its share gives a film in place of one of the largest, as far as the films go.
    for name in [name for name in sorted(groups, key=str) if name and not taken[name]]:
        most = max(taken, key=lambda one: (taken[one], str(one)))
        if taken[most] > 1:
            taken[most], taken[name] = taken[most] - 1, 1
    rng = np.random.default_rng(seed)
    chosen = [row for name in sorted(groups, key=str) for row in rng.permutation(groups[name])[: taken[name]]]
    return table.index[table.index.isin(chosen)]


def propose(
    table: pd.DataFrame,
    sources: Mapping[str, Fields],
    target: str,
    workers: int = 4,
    absent: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Proposal]:
    """Read the films of a cohort and the masks proposed for them.

    A film that cannot be read, or of which no source has a usable mask, is in
    the round with the reason, and can only be excluded. Where some masks are
    usable, readers get these, and the others are told of as faults. Without
    sources the films have no candidates, and readers draw from scratch.

    Parameters
    ----------
    table
        Films of the round, as rows of a cohort.
    sources
        Mask fields of every source, see :func:`folder_masks` and :func:`cohort_masks`.
    target
        ``infection`` or ``lung``. Lung masks for the infected share are read for an infection only.
    workers
        Threads that read.
    absent
        Why a source has no mask of a film, by source and study, where that is known.

    Raises
    ------
    ConfigError
        If the target is unknown.
    """
    if target not in TARGETS:
        raise ConfigError(f"target is {target!r}; expected one of {', '.join(TARGETS)}")

    def read(row: dict[str, Any]) -> Proposal:
        return _read(row, sources, target, absent or {})

    rows = table.to_dict("records")
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for start in range(0, len(rows), AT_A_TIME):
            yield from pool.map(read, rows[start : start + AT_A_TIME])


def add_proposed(store: ReviewStore, name: str, kind: str, readers_per_film: int, films: Iterable[Proposal]) -> int:
    """Add a round to a review, with the lung masks of its films, and give its number.

    The parameters are those of :meth:`patchcxr.review.store.ReviewStore.add_round`.
    """

    def ready() -> Iterator[ProposedFilm]:
        for proposal in films:
            film = proposal.film
            if film is not None and proposal.lungs is not None:
                film = film._replace(film=film.film._replace(lung_mask=store.add_mask(proposal.lungs)))
            if film is not None:
                yield film

    return store.add_round(name, kind, readers_per_film, ready())


def _read(
    row: dict[str, Any], sources: Mapping[str, Fields], target: str, absent: Mapping[str, Mapping[str, str]]
) -> Proposal:
    study = str(row["study"])
    if not study.isprintable():
        reason = f"the id is {study!r}; expected printable characters; rename the film in the cohort"
        return Proposal(None, None, (Fault(study, "film", reason),))
    film = Film(study, str(row["image"]), str(row["patient"]), 0, 0, None, None)
    try:
        pixels = read_radiograph(film.image).pixels
    except (PatchCXRError, OSError, MemoryError) as error:
        reason = _said(error)
        failed = ProposedFilm(film._replace(problem=reason), {}, 0.0, reason)
        return Proposal(failed, None, (Fault(study, "film", reason),))
    shape = (pixels.shape[0], pixels.shape[1])
    film = film._replace(height=shape[0], width=shape[1])
    masks: dict[str, BoolArray] = {}
    faults: list[Fault] = []
    for name, fields in sources.items():
        field = fields.get(safe_name(study))
        if field is None:
            faults.append(Fault(study, name, absent.get(name, {}).get(study, "there is no mask of this film")))
        elif (mask := _mask(study, name, field, shape, faults)) is not None:
            masks[name] = mask
    problem = None
    if sources and not masks:
        problem = "no mask can be shown: " + "; ".join(f"{fault.what}: {fault.error}" for fault in faults)
    lungs = target_field(row, "lung") if target != "lung" else None
    lung = None if lungs is None else _mask(study, "lungs", lungs, shape, faults)
    candidates = {name: encode_mask(mask) for name, mask in masks.items()}
    proposed = ProposedFilm(film, candidates, disagreement(list(masks.values())), problem)
    return Proposal(proposed, None if lung is None else encode_mask(lung), tuple(faults))


def _mask(study: str, what: str, field: str, shape: tuple[int, int], faults: list[Fault]) -> BoolArray | None:
    try:
        return read_mask(field, shape)
    except (PatchCXRError, OSError, MemoryError) as error:
        faults.append(Fault(study, what, _said(error)))
        return None


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def fault_table(faults: Sequence[Fault]) -> pd.DataFrame:
    """Faults as a table with the columns study, what and error."""
    return pd.DataFrame(list(faults), columns=list(Fault._fields), dtype="string")


def check_sources(names: Collection[str]) -> None:
    """Refuse names of sources that stand for something else.

    Raises
    ------
    ConfigError
        If a name is that of the cohort's own masks or of a reader.
    """
    for name in names:
        if name in (MANUAL, SETTLED) or name.startswith("reader:"):
            raise ConfigError(
                f"source {name!r}: such names stand for the masks of the cohort, of earlier rounds and of readers; "
                "give another name"
            )
        checked_name(name, "name of the source")


def readers_a_film(count: int) -> str:
    """How many readers decide on each film, in words.

    >>> readers_a_film(1), readers_a_film(2)
    ('1 reader a film', '2 readers a film')
    """
    return f"{count} reader{'s' if count > 1 else ''} a film"
