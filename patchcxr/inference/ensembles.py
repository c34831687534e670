"""Several classifiers as one: majority vote and weighted average (Hertel 2022, section 3.3, Fig. 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import entropy

from patchcxr.errors import CohortError, ConfigError, ModelError
from patchcxr.inference.predictions import Predictions
from patchcxr.measure.calibration import FLOOR, likelihood_terms
from patchcxr.measure.votes import winners
from patchcxr.types import FloatArray, IntArray

RULES: Final = ("majority", "weighted")
GAP: Final = 1e-4
"""Nats by which the weights may be worse than the best ones."""


class Aligned(NamedTuple):
    """Predictions of several classifiers for the same films in the same order.

    Attributes
    ----------
    members
        By name.
    missing
        Films that a classifier lacks, and that are left out: ``study`` and ``classifier``.
    """

    members: dict[str, Predictions]
    missing: pd.DataFrame


def align(members: Mapping[str, Predictions]) -> Aligned:
    """Bring classifiers to the films that all of them have, in the order of the first.

    Raises
    ------
    ConfigError
        If there are fewer than two.
    CohortError
        If their classes differ, no film is common to all, or they disagree on the truth or patient of a film.
    """
    if len(members) < 2:
        raise ConfigError(f"got {len(members)} classifier; expected at least two to make an ensemble of")
    names, first = list(members), next(iter(members.values()))
    places = {name: pd.Index(found.table["study"]) for name, found in members.items()}
    everything = places[names[0]]
    for name in names[1:]:
        everything = everything.union(places[name], sort=False)
        if members[name].classes != first.classes:
            raise CohortError(
                f"{name} has the classes {', '.join(members[name].classes)}, {names[0]} {', '.join(first.classes)}; "
                "expected the columns p_CLASS to be the same, in the same order"
            )
    lacking = {name: everything.difference(index, sort=False) for name, index in places.items()}
    rows = [{"study": study, "classifier": name} for name, studies in lacking.items() for study in studies]
    missing = pd.DataFrame(rows, columns=["study", "classifier"])
    common = everything[~everything.isin(missing["study"])]
    if common.empty:
        raise CohortError(f"no film is in the tables of all classifiers {', '.join(names)}; check the column study")
    aligned = {name: found.take(places[name].get_indexer(common)) for name, found in members.items()}
    for name, found in aligned.items():
        other = aligned[names[0]]
        differs = (found.truth != other.truth) | (found.table["patient"] != other.table["patient"]).to_numpy()
        if differs.any():
            raise CohortError(
                f"{name} and {names[0]} disagree on the truth or patient of {int(differs.sum())} films, such as "
                f"{common[int(differs.argmax())]!r}; expected predictions of the same cohort"
            )
    return Aligned(aligned, missing)


def fit_weights(probabilities: FloatArray, truth: IntArray) -> FloatArray:
    """Weights of a weighted average, fitted on validation films.

    Hertel 2022 does not say how the weights were found, nor what they are. Here they minimise the negative
    log-likelihood of the average over all weights of 0 or more that add up to 1. This problem is convex: the minimum is
    global, and found without a start at random (SLSQP from equal weights). The accuracy is no such target: it is
    constant between jumps, so on few films many weights tie.

    Parameters
    ----------
    probabilities
        (M, N, C) of M classifiers.
    truth
        Class indices (N,).

    Returns
    -------
    numpy.ndarray
        (M,), adding up to 1.

    Raises
    ------
    ModelError
        If the search does not end at the minimum, as judged by the slope (a bound of :data:`GAP` nats).

    Examples
    --------
    >>> knows, guesses = np.array([[0.9, 0.1], [0.1, 0.9]]), np.full((2, 2), 0.5)
    >>> fit_weights(np.stack([knows, guesses]), np.array([0, 1])).round(3).tolist()
    [1.0, 0.0]
    """
    of_truth = np.maximum(probabilities[:, np.arange(len(truth)), truth], FLOOR)  # (M, N)

    def loss(weights: FloatArray) -> float:
        return float(-np.log(np.maximum(weights @ of_truth, FLOOR)).mean())

    def slope(weights: FloatArray) -> FloatArray:
        return -(of_truth / np.maximum(weights @ of_truth, FLOOR)).mean(axis=1)

    count = len(of_truth)
    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=slope,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)},
        options={"maxiter": 500, "ftol": 1e-10},
    )
    weights = np.clip(found.x, 0, None)
    weights /= weights.sum()
    # The loss is convex, so it lies above its tangent: the best is at most this much lower.
    gap = float((-slope(weights)).max() - 1)
    if not gap <= GAP:
        raise ModelError(f"the weights of the ensemble did not converge ({found.message}); give other validation films")
    return weights


def combine(
    members: Mapping[str, Predictions], rule: str = "majority", weights: FloatArray | None = None
) -> pd.DataFrame:
    """Predictions of an ensemble, as a table of predictions.

    Parameters
    ----------
    members
        Of :func:`align`.
    rule
        ``majority``: each classifier has one vote, for the class that it says; among classes with as many votes the
        one of larger mean probability wins, as among patches. ``weighted``: the class of largest weighted mean
        probability.
    weights
        Of the weighted average (M,), 0 or more; they are made to add up to 1. None weighs all the same.

    Returns
    -------
    pandas.DataFrame
        ``study``, ``patient``, ``truth`` (where known), ``method`` (the rule), ``predicted``, ``p_<class>`` (mean
        probability, weighted under ``weighted``), ``votes_<class>``, and ``entropy`` and ``margin`` of these votes.

    Raises
    ------
    ConfigError
        If the rule is unknown or the weights do not fit it.
    """
    if rule not in RULES:
        raise ConfigError(f"rule is {rule!r}; expected one of {', '.join(RULES)}")
    count, first = len(members), next(iter(members.values()))
    given = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    if rule == "majority" and weights is not None:
        raise ConfigError("weights were given for a majority vote, where each classifier has one vote; leave them out")
    if given.shape != (count,) or not (given >= 0).all() or not given.sum() > 0:
        raise ConfigError(f"weights are {given.tolist()}; expected {count} of 0 or more, for {', '.join(members)}")
    p = np.tensordot(given / given.sum(), np.stack([m.probability for m in members.values()]), axes=1)
    one = np.eye(len(first.classes), dtype=np.int64)
    votes = np.sum([one[member.predicted] for member in members.values()], axis=0)
    predicted = winners(votes, p) if rule == "majority" else p.argmax(axis=1)
    others = np.where(one[predicted] == 1, -1, votes).max(axis=1)
    kept = [column for column in ("study", "patient", "truth") if column in first.table]
    return first.table[kept].assign(
        method=rule,
        predicted=np.array(first.classes, dtype=object)[predicted],
        **{f"p_{name}": p[:, index] for index, name in enumerate(first.classes)},
        **{f"votes_{name}": votes[:, index] for index, name in enumerate(first.classes)},
        entropy=np.abs(entropy(votes, axis=1)) / np.log(len(first.classes)),
        margin=(votes[np.arange(len(votes)), predicted] - others) / count,
    )


def weight_table(members: Mapping[str, Predictions], weights: FloatArray) -> pd.DataFrame:
    """Weight of each classifier, with its own negative log-likelihood and accuracy on the validation films."""
    return pd.DataFrame(
        [
            {
                "classifier": name,
                "weight": float(weight),
                "n": len(found.truth),
                "validation_nll": float(likelihood_terms(found.probability, found.truth).mean()),
                "validation_accuracy": float(found.correct.mean()),
            }
            for (name, found), weight in zip(members.items(), weights, strict=True)
        ]
    )
