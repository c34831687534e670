"""What a folder of scores is of: the films, the networks and the settings; and which parts are done.

Layout below the folder::

    plan.json                 what is scored, by what; another cohort or network is refused
    scores/part-000012.parquet    a row a film
    failures/part-000012.parquet  a row a film and stage that failed; only where something failed
    maps/part-000012/STUDY.npy    on request
    done/part-000012.json         written last: the part is whole, and what it took
    scratch/                      prepared films of the parts in work; emptied part by part
"""

from __future__ import annotations

import json
import math
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from patchcxr.config import config, fingerprint, to_dict
from patchcxr.errors import ConfigError
from patchcxr.inference.infection import DetectionConfig
from patchcxr.io.atomic import write_bytes_atomically

PLAN: Final = "plan.json"
VERSION: Final = 2
"""Of the folder and of the arithmetic: raised when the same networks give other digits."""
KEPT: Final = ("study", "patient", "image", "label", "view", "source", "days", "row_spacing_mm", "column_spacing_mm")
"""Columns of the cohort that scoring needs or passes on; the others stay where they are."""


@config
class ScoreConfig:
    """What is said of each film.

    Attributes
    ----------
    anatomy, infection, classifier
        Networks: files, or names of those that come with patchcxr; without an infection network or classifier these
        scores are left out.
    vote
        Changes of how the patches vote (:class:`patchcxr.inference.voting.VoteConfig`); by default as in training.
    detection
        When a film counts as infected.
    explain
        Class whose saliency map is written; None writes no maps.
    map_size
        Side of the maps in pixels.
    part_size
        Films a part: what is lost when a machine dies, and what is prepared at once.
    """

    anatomy: str = "anatomy"
    infection: str | None = "infection"
    classifier: str | None = "patches"
    vote: dict[str, Any] | None = None
    detection: DetectionConfig = DetectionConfig()
    explain: str | None = None
    map_size: int = 256
    part_size: int = 64

    def __post_init__(self) -> None:
        if self.part_size < 1:
            raise ConfigError(f"part_size: got {self.part_size}; expected at least 1 film")
        if self.map_size < 1:
            raise ConfigError(f"map_size: got {self.map_size}; expected at least 1 pixel")
        if self.explain is not None and self.classifier is None:
            raise ConfigError("explain: there is no classifier to explain; give one, or leave explain out")


class Part(NamedTuple):
    """Films that are scored together: a number, rows of :data:`KEPT`, and the fingerprint of the plan."""

    number: int
    rows: pd.DataFrame
    plan: str

    @property
    def name(self) -> str:
        """Of its files."""
        return part_name(self.number)


@dataclass(frozen=True)
class Plan:
    """Films by part, the folder where their scores go, and the fingerprint of its ``plan.json``."""

    out: Path
    films: pd.DataFrame
    settings: ScoreConfig
    stamp: str

    def __len__(self) -> int:
        return -(-len(self.films) // self.settings.part_size)

    def part(self, number: int) -> Part:
        """Films of a part."""
        size = self.settings.part_size
        return Part(number, self.films.iloc[number * size : (number + 1) * size].reset_index(drop=True), self.stamp)

    def done(self) -> dict[int, dict[str, Any]]:
        """What was noted of each part that is whole."""
        notes = ((number, read_mark(self.out, part_name(number))) for number in range(len(self)))
        return {number: noted for number, noted in notes if noted is not None}

    def clean(self) -> None:
        """Remove what a dead run left behind; only for who holds the folder's lock."""
        shutil.rmtree(self.out / "scratch", ignore_errors=True)
        for folder in (".", "scores", "failures", "done"):
            for left in (self.out / folder).glob(".*.part"):
                left.unlink(missing_ok=True)

    def forget_failures(self) -> None:
        """Count parts with failures as missing, so that they are scored again."""
        for number, noted in self.done().items():
            if noted["failed"]:
                mark_path(self.out, part_name(number)).unlink()

    def missing(self) -> list[int]:
        """Parts that are still to be scored."""
        done = self.done()
        return [number for number in range(len(self)) if number not in done]


def part_name(number: int) -> str:
    """Of the files of a part."""
    return f"part-{number:06d}"


def mark_path(out: Path, part: str) -> Path:
    """The file that says that a part is whole."""
    return out / "done" / f"{part}.json"


def read_mark(out: Path, part: str) -> dict[str, Any] | None:
    """What was noted of a part when it was whole; None if it is not, or if its files have lost their length since."""
    try:
        noted = json.loads(mark_path(out, part).read_text(encoding="utf-8"))
        counts = [noted[name] for name in ("films", "scored", "failed")]
        lengths = {out / name / f"{part}.parquet": noted["bytes"][name] for name in ("scores", "failures")}
        whole = (
            all(type(count) is int and count >= 0 for count in (*counts, *lengths.values()))
            and all(math.isfinite(seconds) for seconds in (noted["seconds"], *noted["stages"].values()))
            and all(path.stat().st_size == length for path, length in lengths.items() if length)
        )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None
    return noted if whole else None


def open_plan(out: str | Path, table: pd.DataFrame, settings: ScoreConfig, networks: dict[str, str]) -> Plan:
    """Begin to score a cohort in a folder, or go on with it.

    Parameters
    ----------
    out
        Folder of the scores; made if it is missing.
    table
        Cohort; the columns of :data:`KEPT` that it has are kept.
    settings
        What is said of each film.
    networks
        Fingerprint of each network, by its role.

    Raises
    ------
    ConfigError
        If the folder holds scores of another cohort, by other networks, or with other settings.
    """
    out = Path(out)
    films = table[[column for column in KEPT if column in table]].reset_index(drop=True)
    said = {
        "version": VERSION,
        "films": len(films),
        "cohort": fingerprint(films.astype("string").fillna("").to_csv(index=False)),
        "networks": networks,
        "settings": {
            key: value for key, value in to_dict(settings).items() if key not in ("anatomy", "infection", "classifier")
        },
    }
    path = out / PLAN
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ConfigError(f"{path} is damaged, so what {out} holds scores of is not known; give another --out")
        differs = _differing(json.loads(json.dumps(said)), found)
        if differs:
            raise ConfigError(
                f"{out} holds scores of another plan ({', '.join(differs)} differ); give another --out, or the same "
                "cohort, networks and settings as before"
            )
    else:
        write_bytes_atomically(path, json.dumps(said, indent=1).encode())
    return Plan(out, films, settings, fingerprint(path.read_text(encoding="utf-8")))


def check_plan(out: Path, part: Part) -> None:
    """See whether a folder is the one whose plan a part is of, seen from the machine of this process.

    Raises
    ------
    FileNotFoundError
        If it is another folder, such as the empty one below a mount that is gone.
    """
    try:
        seen = fingerprint((out / PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        seen = None
    if seen != part.plan:
        raise FileNotFoundError(
            f"{out} is not the folder of this run as {platform.node()} sees it; every worker must see the films and "
            "--out under the same paths, so mount them there"
        )


def _differing(said: dict[str, Any], found: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the values that differ."""
    names = []
    for key in sorted(said.keys() | found.keys()):
        one, other = said.get(key), found.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            names += _differing(one, other, f"{prefix}{key}.")
        elif one != other:
            names.append(prefix + key)
    return names
