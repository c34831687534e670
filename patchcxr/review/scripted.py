"""A reader that knows the truth: it chooses the candidate nearest to it. For tests, dry runs and planning a review."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from patchcxr.errors import ConfigError
from patchcxr.review.blobs import encode_mask
from patchcxr.review.disagreement import mask_dice
from patchcxr.types import BoolArray

if TYPE_CHECKING:
    from patchcxr.review.store import ReviewStore, Task


class Verdict(NamedTuple):
    """What a scripted reader says of a film: an action, and the place of the candidate if one is chosen."""

    action: str
    place: int | None = None


@dataclass(frozen=True)
class ScriptedReader:
    """How a scripted reader judges.

    Attributes
    ----------
    truth
        True mask of a film by its id.
    limit
        Dice from which a candidate is good enough, in [0, 1].
    doubt
        Width of the band of Dice below ``limit`` in which the reader is unsure.
    draws
        Whether the reader draws the truth where no candidate is good enough; else the film is rejected.
    draws_at_random
        Share of the films that the reader draws whatever the candidates, in [0, 1].
    noise
        Standard deviation of the error, in Dice, with which the reader judges a candidate.
    excludes
        Films that the reader excludes.
    seed
        Of the noise and of the films drawn at random; verdicts depend on it and on the film, not on the order.
    """

    truth: Callable[[str], BoolArray]
    limit: float = 0.0
    doubt: float = 0.0
    draws: bool = False
    draws_at_random: float = 0.0
    noise: float = 0.0
    excludes: Collection[str] = field(default_factory=frozenset)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("limit", "doubt", "draws_at_random"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"scripted reader: {name} is {getattr(self, name)}; expected 0 to 1")
        if self.noise < 0:
            raise ConfigError(f"scripted reader: noise is {self.noise}; expected a Dice of 0 or more")

    def judge(self, film: str, candidates: Sequence[BoolArray], reader: str = "") -> Verdict:
        """Judge the candidates of a film, in any order.

        Ties go to the first. An empty candidate of an empty truth is perfect.

        Examples
        --------
        >>> truth = np.array([[True, True, False]])
        >>> reader = ScriptedReader(truth=lambda film: truth, limit=0.9)
        >>> reader.judge("a", [~truth, truth])
        Verdict(action='choose', place=1)
        >>> reader.judge("a", [~truth])
        Verdict(action='reject', place=None)
        """
        if film in self.excludes:
            return Verdict("exclude")
        rng = _generator(self.seed, reader, film)
        if rng.random() < self.draws_at_random:
            return Verdict("draw")
        truth = self.truth(film)
        seen = [mask_dice(mask, truth) + self.noise * rng.standard_normal() for mask in candidates]
        best = int(np.argmax(seen)) if seen else None
        if best is not None and seen[best] >= self.limit:
            return Verdict("choose", best)
        if best is not None and seen[best] >= self.limit - self.doubt:
            return Verdict("unsure")
        return Verdict("draw" if self.draws else "reject")

    def read(self, store: ReviewStore, reader: str, round: int | None = None) -> int:
        """Decide every film that the store hands to a reader; return how many.

        Parameters
        ----------
        store
            Store of the review, to which the reader was added.
        reader, round
            As for :meth:`patchcxr.review.store.ReviewStore.next_task`.
        """
        done = 0
        while (task := store.next_task(reader, round)) is not None:
            self._decide(store, reader, task)
            done += 1
        return done

    def _decide(self, store: ReviewStore, reader: str, task: Task) -> None:
        film = task.film.film
        verdict = self.judge(film, [store.mask(one.digest) for one in task.candidates], reader)
        chosen = None if verdict.place is None else task.candidates[verdict.place].candidate
        png = encode_mask(self.truth(film)) if verdict.action == "draw" else None
        key = hashlib.sha256(repr(("scripted", self.seed, reader, task.round, film)).encode()).hexdigest()
        store.decide(reader, film, task.round, verdict.action, key, candidate=chosen, png=png)


def _generator(seed: int, reader: str, film: str) -> np.random.Generator:
    digest = hashlib.sha256(repr((seed, reader, film)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
