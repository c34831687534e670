"""How a classifier does on sources it has learnt from, and on one it has never seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.stats.intervals import wilson_interval
from patchcxr.types import AnyArray

COLUMNS = ("study", "patient", "source", "truth", "predicted")


def sensitivity_by_source(predictions: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Share of the films of each class and source that are called so.

    Where a source has films of one class only, as in most public cohorts, this
    is all that can be said of it: the sensitivity for that class, and for a
    class *normal* the specificity.

    Parameters
    ----------
    predictions
        A row a film: study, patient, source, truth, predicted.
    by
        Further columns that tell rows apart, such as the method.

    Returns
    -------
    pandas.DataFrame
        ``by``, truth, source, films, patients, share, low and high (Wilson, 95 %, films taken as independent).

    Raises
    ------
    CohortError
        If a column is missing.

    Examples
    --------
    >>> films = pd.DataFrame({"study": list("abc"), "patient": list("abc"), "source": ["x", "x", "y"],
    ...                       "truth": ["viral"] * 3, "predicted": ["viral", "normal", "viral"]})
    >>> sensitivity_by_source(films)[["source", "films", "share"]].to_numpy().tolist()
    [['x', 2, 0.5], ['y', 1, 1.0]]
    """
    _check(predictions, by)
    rows = []
    keys = [*by, "truth", "source"]
    for group, part in predictions.groupby(keys, sort=False):
        right = int((part["truth"] == part["predicted"]).sum())
        low, high = wilson_interval(right, len(part))
        rows.append(
            {
                **dict(zip(keys, group, strict=True)),
                "films": len(part),
                "patients": part["patient"].nunique(),
                "share": right / len(part),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def balanced_accuracy(
    predictions: pd.DataFrame, by: Sequence[str], rng: np.random.Generator, resamples: int = 1000
) -> pd.DataFrame:
    """Mean over classes of the share of films that are right, with the bootstrap's interval over patients.

    Raises
    ------
    CohortError
        If a column is missing.
    """
    _check(predictions, by)
    rows = []
    for group, part in predictions.groupby(list(by), sort=False):
        truth, classes = pd.factorize(part["truth"], sort=True)
        right = (part["truth"] == part["predicted"]).to_numpy(dtype=float)

        def mean_share(truth: AnyArray, right: AnyArray, n: int = len(classes)) -> float:
            there = [right[truth == label].mean() for label in range(n) if (truth == label).any()]
            return float(np.mean(there)) if len(there) == n else float("nan")

        found = cluster_bootstrap(
            mean_share, truth, right, rng=rng, groups=part["patient"].to_numpy(), resamples=resamples
        )
        rows.append(
            {
                **dict(zip(by, group, strict=True)),
                "films": len(part),
                "balanced_accuracy": mean_share(truth, right),
                "low": found.low,
                "high": found.high,
            }
        )
    return pd.DataFrame(rows)


def _check(predictions: pd.DataFrame, by: Sequence[str]) -> None:
    missing = [name for name in (*COLUMNS, *by) if name not in predictions]
    if missing:
        raise CohortError(
            f"the predictions lack the columns {', '.join(missing)}; they have {', '.join(predictions)}; add them"
        )
