"""One call from a table of biomarkers to the statistics of Oh 2020, Tables VI to IX.

:func:`compare` returns one tidy table; :func:`compare_groups` the tables that a study writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from patchcxr.errors import LabelError
from patchcxr.stats._tables import PATIENT, STUDY, group_order, group_values, patient_column
from patchcxr.stats.classes import compare
from patchcxr.stats.comparisons import by_patient, kruskal, normality, rank_sum_pairs
from patchcxr.stats.corrections import Correction

__all__ = ["GroupComparison", "compare", "compare_groups", "group_summary", "triangular_table"]


@dataclass(frozen=True, kw_only=True)
class GroupComparison:
    """What :func:`compare_groups` finds; all but ``naive_pairs`` are over ``unit``.

    Attributes
    ----------
    value, group
        Names of the compared columns.
    unit
        ``"patient"`` if the films were averaged by patient, else ``"film"``.
    correction
        Correction of the p-values of ``pairs`` and ``naive_pairs``.
    summary
        One row a group, see :func:`group_summary`.
    normality, omnibus
        As :func:`~patchcxr.stats.comparisons.normality` and :func:`~patchcxr.stats.comparisons.kruskal` return them.
    pairs
        As :func:`compare` returns it.
    naive_pairs
        As :func:`~patchcxr.stats.comparisons.rank_sum_pairs` returns it with every film taken as independent.
    """

    value: str
    group: str
    unit: str
    correction: str
    summary: pd.DataFrame
    normality: pd.DataFrame
    omnibus: pd.DataFrame
    pairs: pd.DataFrame
    naive_pairs: pd.DataFrame

    def triangle(self) -> pd.DataFrame:
        """Arrange the comparison in the form of Tables VI to IX (:func:`triangular_table`)."""
        return triangular_table(self.pairs, list(self.summary["group"]), self.summary)


def compare_groups(
    table: pd.DataFrame,
    value: str,
    group: str,
    order: Sequence[Any] | None = None,
    patient: str | None = PATIENT,
    correction: Correction = "holm",
    key: str | None = STUDY,
) -> GroupComparison:
    """Compare a biomarker between classes: :func:`compare` with summary, normality and omnibus test as tables.

    Parameters
    ----------
    table, value, group, order, patient, correction, key
        As for :func:`compare`; patients are aggregated where they are known.

    Raises
    ------
    CohortError, LabelError, ConfigError
        As :func:`compare`.

    Examples
    --------
    >>> films = pd.DataFrame({"label": ["a"] * 4 + ["b"] * 4, "patient": [1, 1, 2, 3, 4, 5, 6, 7], "ctr": range(8)})
    >>> result = compare_groups(films, "ctr", "label")
    >>> result.unit, int(result.pairs["n_a"][0]), int(result.naive_pairs["n_a"][0])
    ('patient', 3, 4)
    """
    pairs = compare(table, value, group, order, patient=patient, key=key, correction=correction)
    chosen = group_order(table, group, order)
    films = table[table[group].isin(chosen)]
    column = patient_column(films, patient)
    units = films if column is None else by_patient(films, value, group, column)
    return GroupComparison(
        value=value,
        group=group,
        unit="film" if column is None else "patient",
        correction=correction,
        summary=group_summary(films, value, group, chosen, column),
        normality=normality(units, value, group, chosen),
        omnibus=kruskal(units, value, group, chosen),
        pairs=pairs,
        naive_pairs=rank_sum_pairs(films, value, group, chosen, correction),
    )


def group_summary(
    table: pd.DataFrame, value: str, group: str, order: Sequence[Any] | None = None, patient: str | None = None
) -> pd.DataFrame:
    """Describe each group: over films, or over patients if ``patient`` is given.

    Returns
    -------
    pandas.DataFrame
        One row a group: ``group``, ``films`` (rows), ``dropped`` (films with an undefined value), ``n`` (values that
        enter: films, or means of patients), ``mean``, ``std`` (n - 1), ``median``, ``q25`` and ``q75``.

    Raises
    ------
    CohortError, LabelError
        As :func:`compare_groups`.
    """
    per_film, dropped = group_values(table, value, group, order)
    units = per_film
    if patient is not None:
        units, _ = group_values(by_patient(table, value, group, patient), value, group, list(per_film))
    rows = []
    for name, values in units.items():
        quartiles = np.quantile(values, [0.25, 0.5, 0.75]) if values.size else np.full(3, np.nan)
        rows.append(
            {
                "group": name,
                "films": per_film[name].size + dropped[name],
                "dropped": dropped[name],
                "n": values.size,
                "mean": values.mean() if values.size else np.nan,
                "std": values.std(ddof=1) if values.size > 1 else np.nan,
                "median": quartiles[1],
                "q25": quartiles[0],
                "q75": quartiles[2],
            }
        )
    return pd.DataFrame(rows)


def triangular_table(pairs: pd.DataFrame, order: Sequence[Any], summary: pd.DataFrame) -> pd.DataFrame:
    """Arrange pairwise tests in the triangular form of Oh 2020, Tables VI to IX.

    Parameters
    ----------
    pairs
        Output of :func:`~patchcxr.stats.comparisons.rank_sum_pairs`; the direction of a pair does not matter.
    order
        Groups, in the order of the rows.
    summary
        Table with columns ``group``, ``mean`` and ``std`` (:func:`group_summary`).

    Returns
    -------
    pandas.DataFrame
        Index: groups. Columns: ``Mean``, ``STD``, then every group but the last, with the stars of the test against
        each earlier group and an empty string elsewhere.

    Raises
    ------
    LabelError
        If a group has no summary, or two groups have no test.
    """
    level = {frozenset((row.group_a, row.group_b)): row.stars for row in pairs.itertuples()}
    described = summary.set_index("group")
    unknown = [name for name in order if name not in described.index]
    untested = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :] if frozenset((a, b)) not in level]
    if unknown or untested:
        raise LabelError(
            f"groups without a summary: {unknown}; pairs without a test: {untested}; "
            "give the order that the tests were made with"
        )
    triangle = pd.DataFrame({"Mean": described["mean"], "STD": described["std"]}).loc[list(order)]
    for column, earlier in enumerate(order[:-1]):
        cells = ["" if row <= column else str(level[frozenset((earlier, later))]) for row, later in enumerate(order)]
        triangle[earlier] = cells
    return triangle.rename_axis(index=None)
