"""How many patches a cohort's votes need, from the recorded patches alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from patchcxr.errors import ConfigError
from patchcxr.inference.vote_error import RESAMPLES, SIZES, STABLE, PatchVotes, Stability, simulate
from patchcxr.stats.intervals import wilson_interval
from patchcxr.types import IntArray


class PatchesNeeded(NamedTuple):
    """Number of patches for a settled vote.

    Attributes
    ----------
    films
        A row a film: ``study``, ``patches`` (recorded, K), ``predicted`` (class index), ``margin`` of the votes,
        ``redraw`` (probability that another draw of K patches gives another prediction), ``stable`` (probability that
        K patches say what all patches of the lung would) and ``needed`` (least number of patches that was tried from
        which on that probability is reached; NaN if none is enough).
    cohort
        A row a number of patches: ``patches``, ``n`` films, ``stable`` of them, ``share`` with Wilson's ``low`` and
        ``high``, and ``redraw``, the mean probability that such a vote differs from the recorded one.
    """

    films: pd.DataFrame
    cohort: pd.DataFrame


def patches_needed(
    films: Iterable[tuple[str, PatchVotes]],
    sizes: Sequence[int] = SIZES,
    level: float = STABLE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PatchesNeeded:
    """Settle for each film, and for all, how many patches a vote needs.

    Takes about 0.05 s a film with four classes, one core, under the rule ``majority``. The simulation of a film is
    seeded by (seed, study), so it does not depend on the other films.

    Parameters
    ----------
    films
        Study and its recorded patches.
    sizes
        Numbers of patches that are tried; those recorded are added.
    level
        Probability from which on a vote counts as settled, in (0, 1).
    seed, resamples
        Of the simulation (:func:`~patchcxr.inference.vote_error.simulate`).

    Raises
    ------
    ConfigError
        If there is no film, or the level is out of range.

    Examples
    --------
    >>> votes = [PatchVotes(np.array([0] * a + [1] * (50 - a)), np.array([0.6, 0.4])) for a in (50, 45, 27)]
    >>> found = patches_needed(zip("abc", votes), sizes=(1, 10, 50))
    >>> found.films["needed"].tolist(), found.cohort["stable"].tolist()
    ([1.0, 10.0, nan], [1, 2, 2])
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}; expected a probability in (0, 1), such as {STABLE}")
    rows, found = [], []
    for study, film in films:
        recorded = len(film.said)
        stability = simulate(film, (*sizes, recorded), np.random.default_rng([seed, *study.encode()]), resamples)
        here = int(np.flatnonzero(stability.sizes == recorded)[0])
        others = np.delete(film.votes, film.prediction)
        rows.append(
            {
                "study": study,
                "patches": recorded,
                "predicted": film.prediction,
                "margin": float(film.votes[film.prediction] - others.max(initial=0)) / recorded,
                "redraw": float(stability.redraw[here]),
                "stable": float(stability.stable[here]),
                "needed": stability.needed(level),
            }
        )
        found.append(stability)
    if not rows:
        raise ConfigError("got no film; give at least one with its recorded patches")
    return PatchesNeeded(pd.DataFrame(rows), _cohort(found, level))


def _cohort(found: list[Stability], level: float) -> pd.DataFrame:
    """Films that are stable by number of patches, for the numbers that were tried of every film."""
    common = set.intersection(*(set(one.sizes.tolist()) for one in found))
    rows = []
    for size in sorted(common):
        at = [(one, int(np.flatnonzero(one.sizes == size)[0])) for one in found]
        stable = sum(one.stable[place] >= level for one, place in at)
        low, high = wilson_interval(int(stable), len(found))
        rows.append(
            {
                "patches": size,
                "n": len(found),
                "stable": int(stable),
                "share": stable / len(found),
                "low": low,
                "high": high,
                "redraw": float(np.mean([one.redraw[place] for one, place in at])),
            }
        )
    return pd.DataFrame(rows)


def lies_on_a_grid(centres: IntArray) -> bool:
    """Whether patches are the windows of dense voting: all centres (K, 2) a multiple of some distance apart.

    Centres drawn at random have no common divisor; fewer than 8 centres are too few to tell, and count as drawn.

    >>> lies_on_a_grid(np.array([[16 + 32 * (k // 3), 16 + 32 * (k % 3)] for k in range(9)]))
    True
    """
    steps = np.abs(np.asarray(centres, dtype=np.int64) - np.asarray(centres[:1], dtype=np.int64))
    return len(steps) >= 8 and bool((np.gcd.reduce(steps, axis=0) != 1).all())
