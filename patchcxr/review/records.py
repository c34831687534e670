"""What a review is made of, as plain records, and the limits of what readers may send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from patchcxr.errors import ReviewError

ACTIONS: Final = ("choose", "draw", "reject", "unsure", "exclude")
"""What a reader may do with a film; a sixth action, ``undo``, is written by :meth:`ReviewStore.undo` only."""

KINDS: Final = ("choose", "verify", "adjudicate")
TARGETS: Final = ("infection", "lung")
SEPARATOR: Final = "|"
"""Between the sources of one mask; no source or reader may have it in the name."""

MAX_NOTE: Final = 2000
MAX_NAME: Final = 64
MAX_KEY: Final = 64


class Candidate(NamedTuple):
    """A mask that is offered for a film; ``source`` is not for readers' eyes."""

    candidate: int
    source: str
    digest: str
    area: int


class Film(NamedTuple):
    """A film: its id, image path, patient, size in pixels, digest of its lung mask and why it cannot be used."""

    film: str
    image: str
    patient: str
    height: int
    width: int
    lung_mask: str | None
    problem: str | None


class Decision(NamedTuple):
    """What a reader did with a film.

    Attributes
    ----------
    key
        Id that the client gave.
    candidate, start
        Candidate that was chosen, or from which a drawing began.
    digest
        Mask that was chosen or drawn.
    seconds
        That the reader took; NaN if not known.
    time
        UTC, ISO 8601 with microseconds.
    undoes
        Key of the decision that an undo takes back.
    """

    key: str
    reader: str
    round: int
    film: str
    action: str
    candidate: int | None
    digest: str | None
    start: int | None
    note: str
    seconds: float
    time: str
    undoes: str | None


class Task(NamedTuple):
    """A film to decide on, its candidates in the reader's order (equal masks once), and the reader's decision."""

    round: int
    kind: str
    film: Film
    candidates: tuple[Candidate, ...]
    decision: Decision | None


class Progress(NamedTuple):
    """Films done and left, median seconds a film (NaN before any), and the seconds that the rest will take."""

    done: int
    left: int
    seconds_per_film: float
    seconds_left: float


class ProposedFilm(NamedTuple):
    """A film of a new round.

    Attributes
    ----------
    film
        The film; its ``lung_mask`` is the digest of a mask that the store holds, see :meth:`ReviewStore.add_mask`.
    candidates
        PNG of the mask by source, of the film's size.
    disagreement
        In [0, 1]; films of higher disagreement come first.
    problem
        Why the film or a mask of it cannot be read; such a film can only be excluded, and its candidates are not kept.
    """

    film: Film
    candidates: Mapping[str, bytes]
    disagreement: float
    problem: str | None


def checked_name(name: str, what: str) -> str:
    """Name of a reader or source, or an error.

    Raises
    ------
    ReviewError
        If it is empty, too long, not printable, begins or ends with a space, or contains ``|``.
    """
    usable = isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()
    if not usable or SEPARATOR in name:
        raise ReviewError(
            f"{what} is {name!r}; expected 1 to {MAX_NAME} printable characters without {SEPARATOR!r} "
            "and without spaces at either end"
        )
    return name
