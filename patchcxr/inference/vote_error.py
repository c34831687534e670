"""Monte-Carlo error of a vote: whether other patches of the film would have said the same, and how many are enough.

In ``sampled`` mode the centres are drawn uniformly over the lung, independently and with replacement, so the patches of
a film are independent draws from all of its patches. Everything here follows from the recorded patches alone; the
network is not run again.

Other patches are simulated in two stages. How frequent each kind of patch is in the whole lung is not known, so it is
drawn first from the recorded patches by the Bayesian bootstrap (Rubin 1981: weights from a Dirichlet distribution of
ones); then patches are drawn with these frequencies. Drawing from the recorded patches as they are would take them for
the whole lung: after 55 votes to 45 the chance that 100 others decide otherwise would seem to be 0.13 instead of 0.22.
A simulation, unlike a normal approximation, is right with ties, with any number of classes, and for both rules; its own
standard error with 1,000 resamples is at most 0.016.

What was never drawn cannot be simulated: if all recorded patches agree, the error is 0, however few they are.

Dense voting takes every window of the grid. Another run takes the same windows, so its sampling error is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from patchcxr.errors import ConfigError, ModelError
from patchcxr.measure.votes import winners
from patchcxr.types import AnyArray, FloatArray, IntArray

SIZES: Final = (1, 5, 10, 25, 50, 100, 200, 400, 800, 1600)
"""Numbers of patches that are tried."""

STABLE: Final = 0.95
RESAMPLES: Final = 1000


@dataclass(frozen=True, eq=False)
class PatchVotes:
    """What the patches of a film said.

    Attributes
    ----------
    said
        Class that each patch votes for, index (K,).
    probability
        Class probabilities of each patch (K, C); or, where only the film's mean is recorded, that mean once, (C,),
        which then decides ties. The rule ``mean_probability`` needs those of each patch.
    rule
        ``majority`` or ``mean_probability``, as in :class:`~patchcxr.inference.voting.VoteConfig`.
    """

    said: IntArray
    probability: FloatArray
    rule: str = "majority"

    def __post_init__(self) -> None:
        if self.said.ndim != 1 or not len(self.said) or self.probability.shape[:-1] not in ((), self.said.shape):
            raise ModelError(
                f"said has shape {self.said.shape} and probability {self.probability.shape}; "
                "expected (K,) with (K, C) or (C,), and at least one patch"
            )
        if np.isnan(self.probability).any():
            raise ModelError("a probability of a patch is NaN; check the network's weights and the film")
        if self.rule not in ("majority", "mean_probability"):
            raise ConfigError(f"rule is {self.rule!r}; expected 'majority' or 'mean_probability'")
        if self.rule == "mean_probability" and self.probability.ndim == 1:
            raise ConfigError(
                "the rule mean_probability needs the probabilities of each patch, and only their mean was recorded; "
                "choose the rule majority, or classify the films again"
            )

    @property
    def votes(self) -> IntArray:
        """Patches for each class (C,)."""
        return np.bincount(self.said, minlength=self.probability.shape[-1])

    @property
    def prediction(self) -> int:
        """Class that won with the recorded patches."""
        return int(_winner(self.votes, self.probability.reshape(-1, len(self.votes)).mean(axis=0), self.rule))


def from_probabilities(probabilities: FloatArray, rule: str = "majority") -> PatchVotes:
    """Votes of patches from their probabilities (K, C), such as ``VoteResult.probabilities``."""
    p = np.asarray(probabilities, dtype=np.float64)
    return PatchVotes(p.argmax(axis=1), p, rule)


class VoteError(NamedTuple):
    """Sampling error of a film's vote.

    Attributes
    ----------
    share_error
        Standard error of the share of votes of each class (C,).
    mean_probability_error
        Standard error of the mean probability of each class (C,); NaN where the patches' own are not recorded.
    redraw
        Probability that another draw of as many patches gives another prediction.
    """

    share_error: FloatArray
    mean_probability_error: FloatArray
    redraw: float


def vote_error(
    film: PatchVotes, rng: np.random.Generator, mode: str = "sampled", resamples: int = RESAMPLES
) -> VoteError:
    """Standard errors of a vote, and the probability that another draw says something else.

    Parameters
    ----------
    film
        The recorded patches.
    rng
        Source of randomness of the simulation.
    mode
        ``sampled``, or ``dense``, for which all errors are 0 (see the top of this module).
    resamples
        Draws that are simulated.

    Returns
    -------
    VoteError
        With a single patch the standard errors are NaN.

    Examples
    --------
    >>> film = PatchVotes(np.array([0] * 90 + [1] * 10), np.array([0.8, 0.2]))
    >>> found = vote_error(film, np.random.default_rng(0))
    >>> found.share_error.round(3).tolist(), found.redraw
    ([0.03, 0.03], 0.0)
    """
    count, classes = len(film.said), film.probability.shape[-1]
    if mode == "dense":
        return VoteError(np.zeros(classes), np.zeros(classes), 0.0)
    if mode != "sampled":
        raise ConfigError(f"mode is {mode!r}; expected 'sampled' or 'dense'")
    share = film.votes / count
    spread = np.sqrt(share * (1 - share) / (count - 1)) if count > 1 else np.full(classes, np.nan)
    of_mean = np.full(classes, np.nan)
    if film.probability.ndim == 2 and count > 1:
        of_mean = film.probability.std(axis=0, ddof=1) / np.sqrt(count)
    return VoteError(spread, of_mean, float(simulate(film, (count,), rng, resamples).redraw[0]))


class Stability(NamedTuple):
    """How a film's vote depends on the number of patches, each of shape (sizes,).

    Attributes
    ----------
    sizes
        Numbers of patches.
    stable
        Probability that a vote of so many patches says what all patches of the lung would say.
    redraw
        Probability that it says something else than the recorded vote.
    """

    sizes: IntArray
    stable: FloatArray
    redraw: FloatArray

    def needed(self, level: float = STABLE) -> float:
        """Least of the sizes from which on the vote is stable with this probability; NaN if no size is enough."""
        enough = np.append(np.logical_and.accumulate((self.stable >= level)[::-1])[::-1], False)
        return float(self.sizes[enough[:-1]][0]) if enough.any() else float("nan")


def simulate(film: PatchVotes, sizes: Sequence[int], rng: np.random.Generator, resamples: int = RESAMPLES) -> Stability:
    """Simulate votes of different numbers of patches of a film.

    Beyond the recorded number this extrapolates: what a large vote would say is known only as well as the recorded
    patches tell it, which the first stage of the simulation takes into account.

    Parameters
    ----------
    film
        The recorded patches.
    sizes
        Numbers of patches, 1 or more.
    rng
        Source of randomness.
    resamples
        Draws of each size.

    Raises
    ------
    ConfigError
        If a size or the number of resamples is below 1.

    Examples
    --------
    >>> film = PatchVotes(np.array([0] * 70 + [1] * 30), np.array([0.7, 0.3]))
    >>> simulate(film, (1, 10, 100), np.random.default_rng(0)).needed()
    100.0
    """
    wanted = np.unique(np.asarray(sizes, dtype=np.int64))
    if not len(wanted) or wanted[0] < 1 or resamples < 1:
        raise ConfigError(f"got sizes {list(sizes)} and {resamples} resamples; expected numbers of at least 1")
    said, probability, times = _kinds(film)
    one = np.eye(probability.shape[1])[said]
    frequency = rng.dirichlet(times, size=resamples) if len(said) > 1 else np.ones((resamples, 1))
    limit = _winner(frequency @ one, frequency @ probability, film.rule)
    drawn, stable, redraw = np.zeros(frequency.shape, dtype=np.int64), [], []
    for more in np.diff(wanted, prepend=0):
        drawn = drawn + rng.multinomial(more, frequency)
        found = _winner(drawn @ one, drawn @ probability, film.rule)
        stable.append(np.mean(found == limit))
        redraw.append(np.mean(found != film.prediction))
    return Stability(wanted, np.array(stable), np.array(redraw))


def _winner(votes: AnyArray, probability: FloatArray, rule: str) -> IntArray:
    return probability.argmax(axis=-1) if rule == "mean_probability" else winners(votes, probability)


def _kinds(film: PatchVotes) -> tuple[IntArray, FloatArray, IntArray]:
    """Kinds of patches: the class each votes for, its probabilities, and how many were recorded.

    A majority vote needs as many kinds as there are classes: their probabilities matter in a tie alone, where the mean
    of the patches that vote for the same class stands for each of them.
    """
    if film.rule == "mean_probability":
        return film.said, film.probability, np.ones_like(film.said)
    kinds, times = np.unique(film.said, return_counts=True)
    if film.probability.ndim == 1:
        return kinds, np.tile(film.probability, (len(kinds), 1)), times
    return kinds, np.stack([film.probability[film.said == kind].mean(axis=0) for kind in kinds]), times
