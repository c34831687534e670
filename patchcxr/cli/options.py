"""What several commands share: cohorts with prepared films, lung masks, and configurations with ``--set``."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from patchcxr.data.cohort import read_cohort
from patchcxr.errors import CohortError
from patchcxr.inference.lungs import is_lung_network
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore, prepare_stores
from patchcxr.study.networks import open_model
from patchcxr.study.predict import Lungs, failure_table, segment_films
from patchcxr.study.provenance import network_fingerprint
from patchcxr.study.select import given
from patchcxr.types import ANATOMY


def prepared(table: pd.DataFrame, out: Path, sizes: list[int], config: PreprocessConfig) -> pd.DataFrame:
    """Prepare the films below ``out/films`` and return the failures.

    Raises
    ------
    CohortError
        If not one film could be prepared.
    """
    return filled(table, [FilmStore(out / "films", size, config) for size in sorted(set(sizes))])


def filled(table: pd.DataFrame, stores: list[FilmStore]) -> pd.DataFrame:
    """Prepare the films for every store and return the failures.

    Raises
    ------
    CohortError
        If not one film could be prepared.
    """
    failures = prepare_stores(table, stores)
    if len(failures) == len(table):
        first = failures.iloc[0]
        raise CohortError(
            f"none of {len(table)} films could be prepared; the first, {first['study']}: {first['error']}"
        )
    return failures


def lungs_for(
    table: pd.DataFrame,
    anatomy: str | None,
    out: Path,
    size: int,
    config: PreprocessConfig,
    whole_lungs: bool = False,
) -> Lungs:
    """Lung masks: predicted by the network ``anatomy`` if given, else the cohort's own.

    ``table`` holds the films that are prepared below ``out/films`` at ``size``. ``whole_lungs`` includes the part
    behind the heart, where infection counts too, if the network tells it apart.
    """
    if anatomy is None:
        return Lungs(FilmStore(out / "films", size, config))
    model, own = open_model(anatomy, ANATOMY)
    store = FilmStore(out / "films", model.image_size, own)
    prepare_stores(table, [store])
    segment_films(model, store, list(table["study"]), out / "anatomy")
    return Lungs(store, out / "anatomy" / "labels", whole_lungs, heart=not is_lung_network(model))


def anatomy_for(table: pd.DataFrame, anatomy: str | None) -> str | None:
    """Network that finds the lungs: the one given; none where every film has lung masks; else that of patchcxr."""
    if anatomy is not None:
        return anatomy
    sides = given(table["right_lung_mask"]) & given(table["left_lung_mask"])
    return None if (sides | given(table["lung_mask"])).all() else "anatomy"


def lungs_name(anatomy: str | None) -> str:
    """What lungs come from, so that results with other lungs are told apart: ``cohort``, or a network's fingerprint."""
    return "cohort" if anatomy is None else network_fingerprint(open_model(anatomy)[0])


def as_failures(skipped: pd.DataFrame) -> pd.DataFrame:
    """What a folder could not use, as rows of the failures."""
    return failure_table([(row["name"], "folder", row["reason"]) for row in skipped.to_dict("records")])


def open_cohort(path: str) -> pd.DataFrame:
    """Read a cohort; missing files become failures of single films, not of the command."""
    return read_cohort(path, check_files=False)


def finish(failures: pd.DataFrame, out: Path, films: int, what: str) -> int:
    """Write ``failures.csv``, and say on the terminal what was done."""
    out.mkdir(parents=True, exist_ok=True)
    failures.to_csv(out / "failures.csv", index=False)
    failed = failures["study"].nunique()
    print(f"{what}: {films} films in {out}")
    if failed:
        print(f"{failed} films failed; see {out / 'failures.csv'}", file=sys.stderr)
    return 0
