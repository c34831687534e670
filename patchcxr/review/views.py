"""What readers may see of a review, as JSON values: places in their own order instead of candidates and sources."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from patchcxr.review.store import Candidate, Decision, Progress, Task


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
        "problem": None if task.film.problem is None else without_names(task.film.problem, sources),
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


def without_names(text: str, names: Iterable[str]) -> str:
    """Text in which whole words that are names are replaced, so that it does not tell a source.

    >>> without_names("mask of unet-b has 12 rows", ["unet", "unet-b"])
    'mask of (hidden) has 12 rows'
    """
    known = sorted(filter(None, names), key=len, reverse=True)
    if not known:
        return text
    return re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})(?!\w)", "(hidden)", text)
