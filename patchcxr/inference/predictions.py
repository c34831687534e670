"""Tables of predictions: one row a film with study, truth, predicted and ``p_CLASS``, checked and as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, LabelError
from patchcxr.measure.calibration import SUM_TOLERANCE
from patchcxr.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one classifier says of films.

    Attributes
    ----------
    table
        The table, one row a film, with the columns ``study`` and ``patient``.
    classes
        Class names, in the order of the probabilities.
    probability
        (N, C), each row adding up to 1.
    predicted
        Class that was said, index (N,); the majority of a vote need not be the most probable class.
    truth
        Class index (N,), or -1 where it is not known.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    probability: FloatArray
    predicted: IntArray
    truth: IntArray

    @property
    def confidence(self) -> FloatArray:
        """Probability of the class that was said (N,)."""
        return np.take_along_axis(self.probability, self.predicted[:, None], axis=1)[:, 0]

    @property
    def correct(self) -> BoolArray:
        """Whether the class that was said is the truth (N,)."""
        return self.predicted == self.truth

    @property
    def patients(self) -> IntArray:
        """Patient of each film (N,), as consecutive numbers."""
        return np.asarray(pd.factorize(self.table["patient"])[0])

    def take(self, films: BoolArray | IntArray) -> Predictions:
        """The films of a mask or of places, in that order."""
        places = np.arange(len(self.table))[films]
        arrays = (self.probability[places], self.predicted[places], self.truth[places])
        return Predictions(self.table.iloc[places].reset_index(drop=True), self.classes, *arrays)

    def known(self) -> Predictions:
        """The films of known truth.

        Raises
        ------
        CohortError
            If there is none.
        """
        if not (self.truth >= 0).any():
            raise CohortError("no film has a truth; fill in the column truth with class names")
        return self.take(self.truth >= 0)


def as_predictions(table: pd.DataFrame, classes: Sequence[str] | None = None, where: str = "the table") -> Predictions:
    """Check a table of predictions of one classifier.

    Parameters
    ----------
    table
        Columns ``study``, ``predicted`` and ``p_<class>``; ``truth`` where it is known, and ``patient`` where films
        share one (else each film is a patient of its own). Other columns are kept.
    classes
        Class names; by default those of the columns ``p_<class>``, in their order.
    where
        Which table, for messages.

    Raises
    ------
    CohortError
        If a column is missing, a film occurs twice, or its probabilities are NaN or do not add up to 1.
    LabelError
        If a class is not among ``classes``.

    Examples
    --------
    >>> rows = {"study": ["a"], "truth": ["normal"], "predicted": ["viral"], "p_normal": [0.4], "p_viral": [0.6]}
    >>> found = as_predictions(pd.DataFrame(rows))
    >>> found.classes, found.truth.tolist(), found.predicted.tolist()
    (('normal', 'viral'), [0], [1])
    """
    named = tuple(str(column).removeprefix("p_") for column in table if str(column).startswith("p_"))
    classes = tuple(classes or named)
    missing = [c for c in ("study", "predicted", *(f"p_{name}" for name in classes)) if c not in table]
    if missing or len(classes) < 2:
        raise CohortError(
            f"{where} lacks {', '.join(missing) or 'probabilities of two classes'}; expected the columns study, "
            f"predicted and p_CLASS of each class; it has {', '.join(map(str, table.columns))}"
        )
    if table.empty:
        raise CohortError(f"{where} has no film; expected one row a film")
    repeated = table["study"][table["study"].duplicated()]
    if len(repeated):
        raise CohortError(
            f"{where}: {len(repeated)} rows repeat a film, such as {repeated.iloc[0]!r}; keep one of each"
        )
    values = table[[f"p_{name}" for name in classes]].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~((values >= 0).all(axis=1) & (np.abs(values.sum(axis=1) - 1) <= SUM_TOLERANCE))
    if wrong.any():
        first = int(wrong.argmax())
        said = ", ".join(f"p_{name} {value:.4g}" for name, value in zip(classes, values[first], strict=True))
        raise CohortError(
            f"{where}: {int(wrong.sum())} of {len(table)} films have no probabilities, the first "
            f"{table['study'].iloc[first]!r} with {said}; expected numbers that add up to 1; apply a softmax, leave "
            "films with NaN out, or rename a column p_… that is of no class"
        )
    values = values / values.sum(axis=1, keepdims=True)
    films = table.reset_index(drop=True)
    if "patient" not in films:
        films = films.assign(patient=films["study"])
    predicted = _indices(films["predicted"], classes, f"{where}: predicted")
    if (predicted < 0).any():
        raise CohortError(f"{where}: {int((predicted < 0).sum())} films have no prediction; leave them out")
    truth = _indices(films["truth"], classes, f"{where}: truth") if "truth" in films else np.full(len(films), -1)
    return Predictions(films, classes, values, predicted, truth)


def by_method(
    table: pd.DataFrame, classes: Sequence[str] | None = None, where: str = "the table"
) -> dict[str, Predictions]:
    """Predictions of each method of a table, by name; a table without the column ``method`` has one, ``"given"``."""
    if "method" not in table:
        return {"given": as_predictions(table, classes, where)}
    parts = table.groupby("method", sort=False)
    return {str(name): as_predictions(part, classes, f"{where}, method {name}") for name, part in parts}


def _indices(column: pd.Series, classes: tuple[str, ...], where: str) -> IntArray:
    """Class indices, -1 where there is no name."""
    unknown = sorted(set(column.dropna().astype(str)) - set(classes))
    if unknown:
        raise LabelError(
            f"{where} holds {unknown}; expected {', '.join(classes)}; rename, or add a column p_{unknown[0]}"
        )
    return np.asarray(pd.Categorical(column.astype("string"), categories=list(classes)).codes, dtype=np.int64)
