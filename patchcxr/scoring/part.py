"""One part of a cohort scored: anatomy, biomarkers, infection and votes of each film, from networks loaded once.

A film that fails in one stage keeps what the others found. An error that nobody foresaw does not cost its neighbours:
the part is halved until the film that causes it stands alone.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import torch

from patchcxr.errors import ConfigError, PatchCXRError, require_extra
from patchcxr.inference.batches import choose_device, fitting_batch
from patchcxr.inference.infection import detect, infection_score, infection_severity
from patchcxr.inference.lungs import is_lung_network
from patchcxr.inference.vote_error import from_probabilities, vote_error
from patchcxr.inference.voting import VoteConfig
from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.atomic import sync_tree, without_waiting, write_bytes_atomically
from patchcxr.io.outages import AWAY, outage
from patchcxr.models.folding import fold_batch_norm
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore
from patchcxr.scoring.allocator import keep_freed_memory
from patchcxr.scoring.plan import KEPT, Part, ScoreConfig, check_plan, mark_path, read_mark
from patchcxr.study.classify_films import PATCH_COLUMNS, classify_by_patches
from patchcxr.study.evaluate.anatomy import measure_films
from patchcxr.study.networks import open_classifier, open_model, vote_settings
from patchcxr.study.predict import Lungs, failure_table, predict_infection, segment_films
from patchcxr.study.provenance import network_fingerprint
from patchcxr.study.reading import Preparation
from patchcxr.types import ANATOMY, PARTITION

TEXT: Final = ("study", "patient", "label", "view", "source", "flags", "predicted")
FLAGS: Final = ("infected",)
UNKNOWN: Final = ("infected_percent", "under_segmented", "lung_deformation")
"""Endings of biomarkers that need a reader's mask of the infection, or lungs of normal films: scoring has neither."""

PAUSES: Final = (5, 10, 20, 40, 60, 60, 60, 60)
"""Seconds between tries of a part while a file server is away."""

log = logging.getLogger(__name__)

Opened = tuple[TrainedModel, PreprocessConfig]


class Networks(NamedTuple):
    """Networks on their device, batch normalisation folded away, with the preprocessing of each."""

    anatomy: Opened
    infection: Opened | None
    classifier: Opened | None
    vote: VoteConfig | None


@functools.lru_cache(maxsize=1)
def _opened(anatomy: str, infection: str | None, classifier: str | None) -> dict[str, Opened]:
    opened = {"anatomy": open_model(anatomy, ANATOMY)}
    if infection is not None:
        opened["infection"] = open_model(infection, ("infection",))
    if classifier is not None:
        opened["classifier"] = open_classifier(classifier, whole=False)
    return opened


def fingerprints(settings: ScoreConfig) -> dict[str, str]:
    """Fingerprint of each network of a plan, by its role.

    Raises
    ------
    CheckpointError, ConfigError
        If a file is no such network, or the class to explain is none of the classifier's.
    """
    opened = _opened(settings.anatomy, settings.infection, settings.classifier)
    if settings.explain is not None and "classifier" in opened:
        classes = opened["classifier"][0].classes
        if settings.explain not in classes:
            raise ConfigError(f"explain: got {settings.explain!r}; expected one of {', '.join(classes)}")
    return {role: network_fingerprint(model) for role, (model, _) in opened.items()}


@functools.lru_cache(maxsize=1)
def _networks(anatomy: str, infection: str | None, classifier: str | None, vote: str, where: torch.device) -> Networks:
    keep_freed_memory()
    opened = _opened(anatomy, infection, classifier)
    ready = {role: (_ready(model, where), own) for role, (model, own) in opened.items()}
    settings = vote_settings(opened["classifier"][0], json.loads(vote)) if classifier is not None else None
    return Networks(ready["anatomy"], ready.get("infection"), ready.get("classifier"), settings)


def _ready(model: TrainedModel, device: torch.device) -> TrainedModel:
    folded = fold_batch_norm(model.module, model.image_size).to(device)
    return dataclasses.replace(model, module=folded.to(memory_format=torch.channels_last))


def open_networks(settings: ScoreConfig, device: str = "auto") -> Networks:
    """The networks of a plan, ready to work; a process loads them once.

    Raises
    ------
    CheckpointError
        If a file is no such network.
    """
    vote = json.dumps(settings.vote or {}, sort_keys=True)
    return _networks(settings.anatomy, settings.infection, settings.classifier, vote, choose_device(device))


@dataclass
class Scored:
    """What was found of some films.

    Attributes
    ----------
    scores
        A row a film that could be read.
    failures
        study, stage and error.
    seconds
        By stage.
    mapped
        Names of the files of maps that were written.
    """

    scores: pd.DataFrame
    failures: pd.DataFrame
    seconds: dict[str, float] = field(default_factory=dict)
    mapped: set[str] = field(default_factory=set)


def score_part(part: Part, out: Path, settings: ScoreConfig, device: str = "auto", threads: int = 2) -> dict[str, Any]:
    """Score a part and write its files; what is noted of it comes back.

    A part that is done already is left alone.

    Parameters
    ----------
    part
        Films.
    out
        Folder of the scores; every worker must see it.
    settings
        What is said of each film.
    device
        See :func:`patchcxr.inference.batches.choose_device`.
    threads
        That read films while the networks work.

    Raises
    ------
    OSError
        If the disk is full, this machine does not see the folder, or a file server is away for longer than
        :data:`PAUSES`; nothing is written of the part then, and no film is blamed.
    """
    require_extra("pyarrow", "parquet")
    for pause in PAUSES:
        try:
            return _score_part(part, out, settings, device, threads)
        except OSError as error:
            if error.errno not in AWAY | {errno.EIO}:
                raise
            log.warning("%s: %s; trying again in %d s", part.name, error, pause)
            time.sleep(pause)
    return _score_part(part, out, settings, device, threads)


def _score_part(part: Part, out: Path, settings: ScoreConfig, device: str, threads: int) -> dict[str, Any]:
    check_plan(out, part)
    before = read_mark(out, part.name)
    if before is not None:
        return before
    begin = time.perf_counter()
    (out / "scratch").mkdir(parents=True, exist_ok=True)
    maps = out / "maps" / part.name if settings.explain else None
    found = score_films(part.rows, settings, out / "scratch", device, threads, maps)
    before = read_mark(out, part.name)
    if before is not None:  # another worker, to whom the part was given when this one could not be reached
        return before
    if maps is not None and maps.is_dir():
        _keep_only(maps, found.mapped)
    tables = {"scores": found.scores, "failures": found.failures}
    noted = {
        "films": len(part.rows),
        "scored": len(found.scores),
        "failed": int(found.failures["study"].nunique()),
        "seconds": round(time.perf_counter() - begin, 3),
        "stages": {stage: round(value, 3) for stage, value in found.seconds.items()},
        "bytes": {name: _write_table(out / name / f"{part.name}.parquet", table) for name, table in tables.items()},
    }
    write_bytes_atomically(mark_path(out, part.name), json.dumps(noted).encode())
    return noted


def _write_table(path: Path, table: pd.DataFrame) -> int:
    """Write the rows of a part; without rows there is no file. The length of the file comes back."""
    if table.empty:
        path.unlink(missing_ok=True)
        return 0
    data = table.to_parquet(index=False)
    write_bytes_atomically(path, data)
    return len(data)


def score_films(
    table: pd.DataFrame, settings: ScoreConfig, scratch: Path, device: str, threads: int, maps: Path | None = None
) -> Scored:
    """Scores of some films; prepared films lie below ``scratch`` while it works."""
    networks = open_networks(settings, device)
    work = Path(tempfile.mkdtemp(dir=scratch))
    mine = work / "mine"
    mine.touch()
    try:
        with without_waiting():
            found = _score(table, networks, settings, work, threads)
        _check_scratch(mine)
        if maps is not None and (work / "maps").is_dir():
            found.mapped |= _move(work / "maps", maps)
        return found
    except (ConfigError, KeyboardInterrupt):
        raise
    except Exception as error:
        fault = outage(error)
        if fault is not None or (isinstance(error, OSError) and error.errno == errno.EIO):
            raise fault or error from None
        _check_scratch(mine)
        if len(table) == 1:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return Scored(pd.DataFrame(), failure_table([(str(table["study"].iloc[0]), "score", reason)]))
        half = len(table) // 2
        halves = (table.iloc[:half], table.iloc[half:])
        parts = [score_films(rows.reset_index(drop=True), settings, scratch, device, threads, maps) for rows in halves]
        seconds = {
            stage: sum(one.seconds.get(stage, 0.0) for one in parts)
            for stage in set().union(*(one.seconds for one in parts))
        }
        return Scored(
            pd.concat([one.scores for one in parts if len(one.scores)] or [pd.DataFrame()], ignore_index=True),
            pd.concat([one.failures for one in parts], ignore_index=True),
            seconds,
            set().union(*(one.mapped for one in parts)),
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_scratch(mine: Path) -> None:
    """See whether the folder in which a part is prepared is still there.

    Who takes a folder of scores up again empties its scratch, and a mount may go: what is then found would be wrong.
    """
    try:
        mine.stat()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{mine.parent}: emptied by another patchcxr score, or no longer mounted; this part is void"
        ) from None


def _move(source: Path, target: Path) -> set[str]:
    """Move arrays into a folder that may be there and hold some of them; their names come back."""
    target.mkdir(parents=True, exist_ok=True)
    names = {file.name for file in source.glob("*.npy")}
    for name in names:
        shutil.move(source / name, target / name)
    sync_tree(target)
    return names


def _keep_only(folder: Path, names: set[str]) -> None:
    """Remove maps that an earlier attempt left of films that now fail."""
    for file in folder.iterdir():
        if file.name not in names:
            file.unlink(missing_ok=True)


def _score(table: pd.DataFrame, networks: Networks, settings: ScoreConfig, work: Path, threads: int) -> Scored:
    """Stage by stage: lungs and heart, biomarkers, infection, votes."""
    seconds: dict[str, float] = {}
    model, own = networks.anatomy
    anatomy = FilmStore(work / "films", model.image_size, own)
    stores = {str(anatomy.folder): anatomy}
    infected = films = None
    if networks.infection is not None:
        infected = FilmStore(work / "films", networks.infection[0].image_size, networks.infection[1])
        stores[str(infected.folder)] = infected
    if networks.classifier is not None and networks.vote is not None:
        films = FilmStore(work / "films", networks.vote.image_size, networks.classifier[1])
        stores[str(films.folder)] = films
    studies = list(table["study"].astype(str))
    prepare = _Timed(table, list(stores.values()), threads)
    with _timed(seconds, "anatomy"):
        segment_films(
            model,
            anatomy,
            studies,
            work,
            batch_size=fitting_batch(model.module, model.image_size, "auto"),
            prepare=prepare,
        )
    seconds["read"] = prepare.seconds
    failures = [prepare.failures()]
    table = table[~table["study"].astype(str).isin(failures[0]["study"])].reset_index(drop=True)
    studies = list(table["study"].astype(str))
    if not studies:
        return Scored(pd.DataFrame(), failures[0], seconds)
    # The part behind the heart belongs to the lungs where infection and patches are looked for, not to biomarkers.
    lungs = Lungs(anatomy, work / "labels", False, heart=not is_lung_network(model))
    whole = Lungs(anatomy, work / "labels", model.classes == PARTITION)
    with _timed(seconds, "biomarkers"):
        markers, failed = measure_films(table, anatomy, lungs)
    failures.append(failed)
    columns = [table[[c for c in KEPT if c in table and c != "image"]].astype({"study": str})]
    if len(markers):
        known = [c for c in markers if c not in table and not c.endswith(UNKNOWN)]
        columns.append(markers[["study", *known]])
    if networks.infection is not None and infected is not None:
        with _timed(seconds, "infection"):
            said, failed = _infection(networks.infection[0], infected, whole, studies, work, settings)
        columns.append(said)
        failures.append(failed)
    if networks.classifier is not None and networks.vote is not None and films is not None:
        with _timed(seconds, "vote"):
            said, failed = _votes(networks.classifier[0], films, lungs, studies, work, networks.vote, settings)
        columns.append(said)
        failures.append(failed)
    scores = functools.reduce(lambda a, b: a.merge(b, on="study", how="left"), columns)
    return Scored(_typed(scores), pd.concat(failures, ignore_index=True).astype("string"), seconds)


def _infection(
    model: TrainedModel, store: FilmStore, lungs: Lungs, studies: list[str], work: Path, settings: ScoreConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    size = fitting_batch(model.module, model.image_size, "auto")
    predict_infection(model, store, studies, work, size, lambda part: list(part), None, lungs)
    maps, rule, rows, failures = ArrayFolder(work / "probability"), settings.detection, [], []
    for study in studies:
        try:
            probability = maps.load(study).astype(np.float32)
            side = probability.shape[0]
            right, left = (lungs.structure(study, name, side) for name in ("right_lung", "left_lung"))
            shares = infection_severity(probability, right, left, rule)
            row = {
                "infected": detect(probability, right | left, rule),
                "infection_score": infection_score(probability, right | left, rule),
            }
            rows.append({"study": study, **row, **{f"infected_{name}": value for name, value in shares.items()}})
        except PatchCXRError as error:
            failures.append((study, "infection", str(error)))
    return pd.DataFrame(rows, columns=None if rows else ["study"]), failure_table(failures)


def _votes(
    model: TrainedModel,
    store: FilmStore,
    lungs: Lungs,
    studies: list[str],
    work: Path,
    vote: VoteConfig,
    settings: ScoreConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    target = None if settings.explain is None else model.classes.index(settings.explain)
    failed = classify_by_patches(model, store, lungs, studies, work, vote, target, settings.map_size)
    votes, patches, rows = ArrayFolder(work / "votes"), ArrayFolder(work / "patches"), []
    for study in studies:
        record = votes.path(study).with_suffix(".json")
        if not record.is_file():
            continue
        said = json.loads(record.read_text(encoding="utf-8"))
        drawn = from_probabilities(patches.load(study)[:, len(PATCH_COLUMNS) :], vote.rule)
        error = vote_error(drawn, np.random.default_rng([vote.seed, *study.encode()]), vote.mode)
        rows.append(
            {
                "study": study,
                "predicted": model.classes[said["prediction"]],
                **{f"p_{name}": p for name, p in zip(model.classes, said["probability"], strict=True)},
                **{f"votes_{name}": n for name, n in zip(model.classes, said["votes"], strict=True)},
                **{name: said[name] for name in ("entropy", "margin", "minimum_coverage", "uncovered_share")},
                "redraw": error.redraw,
            }
        )
    return pd.DataFrame(rows, columns=None if rows else ["study"]), failed


def _typed(scores: pd.DataFrame) -> pd.DataFrame:
    """One type a column whatever the part holds, so that all parts are one table."""
    types = {name: "string" for name in TEXT if name in scores}
    types |= {name: "boolean" for name in FLAGS if name in scores}
    numbers = [name for name in scores if name not in types and name not in ("study",)]
    return scores.astype(types | dict.fromkeys(numbers, "float64"))


class _Timed(Preparation):
    """Prepares films, and knows how long that took."""

    def __init__(self, table: pd.DataFrame, stores: list[FilmStore], threads: int) -> None:
        super().__init__(table, stores, (), threads)
        self.seconds = 0.0

    def __call__(self, studies: Any) -> list[str]:
        begin = time.perf_counter()
        try:
            return super().__call__(studies)
        finally:
            self.seconds += time.perf_counter() - begin


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - begin
