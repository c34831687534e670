"""Temperature scaling: one number, fitted on validation films, that makes probabilities mean what they say.

What is scaled is the logarithm of a *film's* probabilities. For a network that sees the whole film these are its logits
up to a constant, so nothing differs from Guo 2017. For a film whose patches vote it is the logarithm of the mean
probability over the patches, not the logits of the patches before the mean:

- The truth, and so calibration, is known of films alone; a healthy patch of a sick film has no label of its own.
- A mean of calibrated members is no longer calibrated, it is less sure than it is right (Rahaman & Thiery 2021); a
  temperature after the mean undoes that too.
- The order of the classes of a film stays, and with it every prediction; a temperature on the patches' logits can
  change which class has the largest mean probability.
- It needs nothing but a table of predictions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

from patchcxr.errors import CohortError, ConfigError, SplitError
from patchcxr.inference.predictions import Predictions
from patchcxr.measure.calibration import FLOOR, check_probabilities
from patchcxr.types import FloatArray, IntArray

RANGE: Final = (0.01, 100.0)
"""Temperatures that are looked for."""


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes
    ----------
    value
        Above 1: the classifier was surer than right. 1 where no temperature is best; ``note`` then says why.
    films
        Validation films that it was fitted on.
    before, after
        Negative log-likelihood of those films without and with it, in nats.
    note
        Empty where it was fitted as asked.
    """

    value: float
    films: int
    before: float
    after: float
    note: str = ""


def fit_temperature(probability: FloatArray, truth: IntArray, weights: FloatArray | None = None) -> Temperature:
    """Temperature of least negative log-likelihood (Guo 2017, section 4.2).

    The likelihood is convex in 1/T, so there is one minimum at most; it is bracketed in log T within :data:`RANGE`
    (SciPy's bounded Brent search), which is the same on every machine and needs no start.

    Parameters
    ----------
    probability
        (N, C) of validation films. From logits: ``scipy.special.softmax(logits, axis=1)``.
    truth
        Class indices (N,).
    weights
        Weight of each film (N,); None weighs all the same.

    Returns
    -------
    Temperature
        1 with a note where the likelihood has no minimum: if every film is right, when it rises for ever as T
        approaches 0, and if the true class is on average no more probable (in logarithms) than the others, when the
        best would be to say nothing.

    Raises
    ------
    CohortError, LabelError
        If the probabilities or the truth cannot be used, NaN among them.
    SplitError
        If the films are of one class only.

    Examples
    --------
    >>> p = np.array([[0.99, 0.01], [0.99, 0.01], [0.99, 0.01], [0.99, 0.01], [0.01, 0.99]])
    >>> found = fit_temperature(p, np.array([0, 0, 0, 1, 1]))
    >>> scale(p[:1], found.value).round(3).tolist()
    [[0.8, 0.2]]
    """
    p, truth = check_probabilities(probability, truth)
    if len(np.unique(truth)) < 2:
        raise SplitError(
            f"all {len(truth)} validation films are of class {int(truth[0])}; expected at least two classes; "
            "choose validation films as the test films are"
        )
    weight = np.full(len(p), 1 / len(p)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != truth.shape or not (weight >= 0).all() or not weight.sum() > 0:
        raise CohortError(f"weights have shape {weight.shape}; expected one of 0 or more for each of {len(p)} films")
    weight = weight / weight.sum()
    z = np.log(np.maximum(p, FLOOR))
    of_truth = np.take_along_axis(z, truth[:, None], axis=1)[:, 0]

    def loss(log_temperature: float) -> float:
        beta = np.exp(-log_temperature)
        return float(weight @ (logsumexp(beta * z, axis=1) - beta * of_truth))

    before = loss(0.0)
    unfitted = Temperature(1.0, len(p), before, before)
    counted = weight > 0
    if (of_truth >= z.max(axis=1))[counted].all():
        return replace(unfitted, note="every validation film is right, so no temperature is best; left at 1")
    if weight @ (of_truth - z.mean(axis=1)) <= 0:
        return replace(unfitted, note="no better than chance on the validation films; left at 1")
    low, high = np.log(RANGE)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    at_end = min(found.x - low, high - found.x) < 1e-6
    note = f"at the end of the range {RANGE[0]} to {RANGE[1]:.0f}" if at_end else ""
    return Temperature(float(np.exp(found.x)), len(p), before, float(found.fun), note)


def scale(probability: FloatArray, temperature: float) -> FloatArray:
    """Probabilities (N, C) at a temperature: the softmax of log(p) / T. The order of the classes stays.

    Raises
    ------
    ConfigError
        If the temperature is not a number above 0.

    Examples
    --------
    >>> scale(np.array([[0.9, 0.1]]), 2.0).round(3).tolist()
    [[0.75, 0.25]]
    """
    if not 0 < temperature < np.inf:
        raise ConfigError(f"temperature is {temperature}; expected a number above 0")
    return softmax(np.log(np.maximum(np.asarray(probability, dtype=np.float64), FLOOR)) / temperature, axis=1)


def calibrated(predictions: Predictions, temperature: Temperature) -> Predictions:
    """The same predictions with scaled probabilities, in the table too."""
    p = predictions.probability if temperature.value == 1 else scale(predictions.probability, temperature.value)
    table = predictions.table.assign(**{f"p_{name}": p[:, i] for i, name in enumerate(predictions.classes)})
    return replace(predictions, table=table, probability=p)


def check_apart(validation: Predictions, test: Predictions) -> None:
    """Refuse validation films whose patients are among the test films: a fit on them would be tested on itself.

    Raises
    ------
    SplitError
        If a study or a patient is in both.
    """
    for column in ("study", "patient"):
        shared = sorted(set(validation.table[column].astype(str)) & set(test.table[column].astype(str)))
        if shared:
            raise SplitError(
                f"{len(shared)} times the same {column} is among validation and test films, such as {shared[0]!r}; "
                "fit on other patients than those that are scored"
            )
