"""What readers may see of a review, as JSON values: places in their own order instead of candidates and sources."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from patchcxr.review.store import Candidate, Decision, Progress, Task

_FOLDERS: Final = re.compile(r"(?<![\w./\\<])(?:[A-Za-z]:)?[/\\]+(?=[^\s/\\])(?:(?:(?![:;]\s)[^/\\\n])+[/\\]+)*")
"""Folders of an absolute path; they may hold spaces. Of two paths in one clause only the last name is left."""


def task_view(task: Task, progress: Progress, show_patient: bool, sources: Iterable[str] = ()) -> dict[str, Any]:
    """A film to decide on, without the origin of its candidates.

    Parameters
    ----------
    task
        Of the reader.
    progress
        Of the reader in this round.
    show_patient
        Whether to include the patient's id.
    sources
        Names that a problem's text must not tell.

    Returns
    -------
    dict
        ``round``, ``kind``, ``film`` (``id``, ``height``, ``width``, ``problem``, and ``patient`` if shown),
        ``candidates`` (how many; they are numbered from 1), ``decision`` (see :func:`decision_view`) and ``progress``.
    """
    film: dict[str, Any] = {
        "id": task.film.film,
        "height": task.film.height,
        "width": task.film.width,
        "problem": None if task.film.problem is None else problem_view(task.film.problem, task.film.image, sources),
    }
    if show_patient:
        film["patient"] = task.film.patient
    return {
        "round": task.round,
        "kind": task.kind,
        "film": film,
        "candidates": len(task.candidates),
        "decision": None if task.decision is None else decision_view(task.decision, task.candidates),
        "progress": progress_view(progress),
    }


def decision_view(decision: Decision, candidates: tuple[Candidate, ...]) -> dict[str, Any]:
    """A reader's own decision: ``key``, ``action``, ``note``, ``time``, and ``position`` of the chosen candidate."""
    return {
        "key": decision.key,
        "round": decision.round,
        "film": decision.film,
        "action": decision.action,
        "position": place_of(decision, candidates) if decision.action == "choose" else None,
        "note": decision.note,
        "time": decision.time,
        "undoes": decision.undoes,
    }


def place_of(decision: Decision, candidates: tuple[Candidate, ...]) -> int | None:
    """Place, from 1, of the mask of a decision among the candidates."""
    digests = [candidate.digest for candidate in candidates]
    return digests.index(decision.digest) + 1 if decision.digest in digests else None


def progress_view(progress: Progress) -> dict[str, int | float | None]:
    """A reader's progress, with null where a time is not known yet."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in progress._asdict().items()
    }


def problem_view(problem: str, image: str, sources: Iterable[str]) -> str:
    """A film's problem without folders, which may be named after patients, and without names of sources.

    Parameters
    ----------
    problem
        As it was stored.
    image
        Path of the film's image.
    sources
        Names that the text must not tell.

    >>> problem_view("scans/Doe, J/1.png: mask of unet: /data/Doe J/2.png: damaged", "scans/Doe, J/1.png", ["unet"])
    '1.png: mask of (hidden): 2.png: damaged'
    """
    folder = str(Path(image).parent)
    if folder not in (".", Path(image).anchor):
        problem = problem.replace(image, Path(image).name)
        problem = re.sub(rf"(?<![\w/\\]){re.escape(folder)}(?!\w)[/\\]?", "", problem)
    return without_names(without_folders(problem), sources)


def without_folders(text: str) -> str:
    r"""Text with the file name in place of every absolute path.

    >>> without_folders(r"/srv/data/Doe 7/1.png: expected 9 / 8; C:\x\y.png: gone")
    '1.png: expected 9 / 8; y.png: gone'
    """
    return _FOLDERS.sub("", text)


def without_names(text: str, names: Iterable[str]) -> str:
    """Text in which whole words that are names are replaced, so that it does not tell a source.

    >>> without_names("mask of unet-b has 12 rows", ["unet", "unet-b"])
    'mask of (hidden) has 12 rows'
    """
    known = sorted(filter(None, names), key=len, reverse=True)
    if not known:
        return text
    return re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})(?!\w)", "(hidden)", text)
