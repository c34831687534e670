"""Steps of a study: each is done once, marked, and skipped when nothing changed.

A step's fingerprint is taken from its configuration and from the fingerprints
of the steps it needs, so a change anywhere above it makes it run again. Its
mark is written after its results are on the disk, atomically: an interrupted
step, or one that a loss of power cut short, has no mark and runs again, and a
training inside it resumes from its own checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from patchcxr import __version__
from patchcxr.config import fingerprint
from patchcxr.errors import PatchCXRError
from patchcxr.io.atomic import sync_file, sync_tree

log = logging.getLogger(__name__)

FAILURE_COLUMNS = ("study", "stage", "error")


@dataclass
class StepRunner:
    """Runs steps in order, remembers what is done, and goes on after a failed one.

    Attributes
    ----------
    others
        Folders of other studies. A step that one of them has done with the
        same fingerprint, and so the same configuration and the same steps
        above it, is taken over: its files become hard links, which take no
        room. A step that runs again starts from an empty folder, so the other
        study's files stay as they are.
    """

    out: Path
    fingerprints: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    others: Sequence[Path] = ()

    def run(
        self,
        name: str,
        action: Callable[[Path], pd.DataFrame | None],
        settings: Any,
        needs: Sequence[str] = (),
    ) -> bool:
        """Run ``action(folder)`` unless it is done already; return whether its results exist.

        ``action`` gets the step's own folder and returns the films that
        failed in it, a table of study, stage and error. An expected error
        (:class:`PatchCXRError`) fails the step, and with it the steps that
        need it, but not the study.
        """
        broken = [need for need in needs if need not in self.fingerprints]
        if broken:
            self._fail(name, f"not run, because the step {broken[0]!r} failed")
            return False
        stamp = fingerprint(__version__, name, settings, [self.fingerprints[need] for need in needs])
        folder, mark, started = self.out / name, self._mark(name), self._mark(name, ".started")
        if _read(mark).get("fingerprint") != stamp:
            self._take_over(name, stamp)
        done = _read(mark)
        if done.get("fingerprint") == stamp and folder.is_dir():
            log.info("%s: already done", name)
            self.fingerprints[name], self.seconds[name] = stamp, float(done["seconds"])
            return True
        if _read(started).get("fingerprint") != stamp:
            shutil.rmtree(folder, ignore_errors=True)
        mark.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        _write(started, {"fingerprint": stamp})
        log.info("%s: running", name)
        begin = time.perf_counter()
        try:
            failures = action(folder)
        except PatchCXRError as error:
            self._fail(name, str(error))
            return False
        table = pd.DataFrame(columns=list(FAILURE_COLUMNS)) if failures is None else failures
        table.to_csv(folder / "failures.csv", index=False)
        sync_tree(folder)
        spent = time.perf_counter() - begin
        _write(mark, {"fingerprint": stamp, "seconds": round(spent, 2), "failures": len(table)})
        started.unlink(missing_ok=True)
        self.fingerprints[name], self.seconds[name] = stamp, spent
        log.info("%s: done in %.1f s%s", name, spent, f", {len(table)} films failed" if len(table) else "")
        return True

    def _take_over(self, name: str, stamp: str) -> None:
        """Link the folder of a step that another study has done; its mark comes last, as in a step that runs."""
        for other in self.others:
            done = other / "steps" / f"{name}.json"
            if _read(done).get("fingerprint") == stamp and (other / name).is_dir():
                log.info("%s: taken from %s", name, other.name)
                for mark in (self._mark(name), self._mark(name, ".started")):
                    mark.unlink(missing_ok=True)
                shutil.rmtree(self.out / name, ignore_errors=True)
                shutil.copytree(other / name, self.out / name, copy_function=_link)
                sync_tree(self.out / name)
                shutil.copy2(done, self._mark(name))
                return

    def failures(self) -> pd.DataFrame:
        """All films and steps that failed so far, in the order of the steps."""
        tables = [
            pd.read_csv(path, dtype=str)
            for name in self.fingerprints
            if (path := self.out / name / "failures.csv").is_file()
        ]
        steps = [{"study": "(whole step)", "stage": name, "error": error} for name, error in self.failed.items()]
        parts = [table for table in tables if len(table)]
        if steps:
            parts.append(pd.DataFrame(steps))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(FAILURE_COLUMNS))

    def _fail(self, name: str, error: str) -> None:
        log.error("%s: %s", name, error)
        self.failed[name] = error

    def _mark(self, name: str, suffix: str = ".json") -> Path:
        folder = self.out / "steps"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}{suffix}"


def _link(source: str, target: str) -> str:
    """Hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(json.dumps(value).encode())
        sync_file(file)
    os.replace(temporary, path)
