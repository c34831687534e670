"""Steps that a study takes from another one which has done the same, such as the films of an ablation's variants."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from patchcxr import __version__
from patchcxr.config import fingerprint
from patchcxr.study.steps import StepRunner, _read

log = logging.getLogger(__name__)


@dataclass
class SharedSteps(StepRunner):
    """A :class:`~patchcxr.study.steps.StepRunner` that looks for finished steps in other folders first.

    A step is taken over only if its fingerprint is the same, and with it its
    configuration and all steps above it. Its files become hard links, which
    take no room; a step that runs again starts from an empty folder, so the
    other study's files stay as they are.

    Attributes
    ----------
    others
        Folders of other studies.
    """

    others: Sequence[Path] = ()

    def run(
        self,
        name: str,
        action: Callable[[Path], pd.DataFrame | None],
        settings: Any,
        needs: Sequence[str] = (),
    ) -> bool:
        """Take the step over from the first of the others that has done it, or run it."""
        if all(need in self.fingerprints for need in needs):
            stamp = fingerprint(__version__, name, settings, [self.fingerprints[need] for need in needs])
            mark = Path("steps") / f"{name}.json"
            if _read(self.out / mark).get("fingerprint") != stamp:
                for other in self.others:
                    if _read(other / mark).get("fingerprint") == stamp and (other / name).is_dir():
                        log.info("%s: taken from %s", name, other.name)
                        _take(other, self.out, name)
                        break
        return super().run(name, action, settings, needs)


def _take(other: Path, out: Path, name: str) -> None:
    """Link a step's folder; its mark comes last, so that an interrupted copy counts for nothing."""
    mark = Path("steps") / f"{name}.json"
    (out / mark).unlink(missing_ok=True)
    (out / "steps" / f"{name}.started").unlink(missing_ok=True)
    shutil.rmtree(out / name, ignore_errors=True)
    shutil.copytree(other / name, out / name, copy_function=_link)
    (out / mark).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(other / mark, out / mark)


def _link(source: str, target: str) -> str:
    """Hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
