"""What the statistics share: columns, groups and a bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, ConfigError, LabelError
from patchcxr.types import FloatArray

Clustering = Literal["aggregate", "bootstrap", "none"]
PATIENT, STUDY = "patient", "study"
"""Columns of a cohort that say whose film a row is and which; used by default where the table has them."""

MAXIMUM_GROUPS: Final = 50
"""More groups than this are most likely ids."""


def check_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise :class:`~patchcxr.errors.CohortError` for columns that the table lacks."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise CohortError(f"the table has no column {missing}; expected one of {[str(c) for c in table.columns]}")


def numbers(column: pd.Series) -> FloatArray:
    """Return the column as floats with infinities as NaN, so that both count as dropped."""
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise CohortError(f"column {column.name!r} has dtype {column.dtype}; expected numbers") from None
    return np.where(np.isfinite(values), values, np.nan)


def check_labels(table: pd.DataFrame, column: str) -> None:
    """Raise :class:`~patchcxr.errors.CohortError` for rows without a value in ``column``."""
    unnamed = int(table[column].isna().sum())
    if unnamed:
        raise CohortError(f"{unnamed} rows have no {column!r}; fill the column or leave these rows out")


def patient_column(table: pd.DataFrame, patient: str | None) -> str | None:
    """Return the column to cluster on, or None: not asked for, or the usual column is not in the table.

    Raises
    ------
    CohortError
        If a column of another name than the usual one is missing, or a row has no patient.
    """
    if patient is None or (patient == PATIENT and patient not in table.columns):
        return None
    check_columns(table, [patient])
    check_labels(table, patient)
    return patient


def check_key(table: pd.DataFrame, key: str | None) -> None:
    """Raise :class:`~patchcxr.errors.CohortError` if two rows have the same ``key``: one study counted twice.

    Without a key, or if the table lacks the usual column, nothing is checked. Rows without a key are not compared.
    """
    if key is None or (key == STUDY and key not in table.columns):
        return
    check_columns(table, [key])
    keys = table[key].dropna()
    repeated = keys[keys.duplicated()]
    if len(repeated):
        raise CohortError(
            f"{len(repeated)} rows repeat a {key}, such as {repeated.iloc[0]!r}; expected each {key} once: drop the "
            "repeats, or choose the rows of one method; where rows share it for a reason, pass key=None (in Python)"
        )


def check_clustering(clustering: str) -> None:
    """Raise :class:`~patchcxr.errors.ConfigError` for an unknown way to treat repeated patients."""
    if clustering not in ("aggregate", "bootstrap", "none"):
        raise ConfigError(f"clustering is {clustering!r}; expected 'aggregate', 'bootstrap' or 'none'")


def unclustered_note(table: pd.DataFrame, patient: str | None, column: str | None) -> str:
    """Say that films count as independent: ``patient`` was asked for, but the table has no such ``column``."""
    return f"no column {patient!r}: films taken as independent" if patient and column is None else ""


def join_notes(*notes: str) -> str:
    """Join the notes that say something."""
    return "; ".join(note for note in notes if note)


def check_number_of_groups(count: int, group: str) -> None:
    """Raise :class:`~patchcxr.errors.LabelError` for so many groups that they must be ids."""
    if count > MAXIMUM_GROUPS:
        raise LabelError(
            f"column {group!r} has {count} groups, which would make {count * (count - 1) // 2} pairs; expected at most"
            f" {MAXIMUM_GROUPS}: group by a column of classes, or give the order of the groups to compare"
        )


def group_order(table: pd.DataFrame, group: str, order: Sequence[Any] | None) -> list[Any]:
    """Return the groups to compare: ``order`` if given, else every group, sorted.

    Raises
    ------
    LabelError
        If ``order`` names a group that no row has, or one twice.
    """
    try:
        present = sorted(table[group].unique())
    except TypeError:
        kinds = sorted({type(name).__name__ for name in table[group]})
        raise CohortError(f"column {group!r} mixes {kinds}; expected groups of one kind, such as all str") from None
    if order is None:
        check_number_of_groups(len(present), group)
        return present
    unknown = [name for name in order if name not in present]
    if unknown:
        raise LabelError(f"no row has the {group} {unknown}; expected some of {present}")
    if len(set(order)) != len(order):
        raise LabelError(f"order is {list(order)}; expected each {group} once")
    return list(order)


def group_values(
    table: pd.DataFrame, value: str, group: str, order: Sequence[Any] | None
) -> tuple[dict[Any, FloatArray], dict[Any, int]]:
    """Split a column by group; returns the finite values and the number dropped, in order."""
    check_columns(table, [value, group])
    check_labels(table, group)
    values = numbers(table[value])
    labels = table[group].to_numpy()
    split = {name: values[labels == name] for name in group_order(table, group, order)}
    return (
        {name: part[~np.isnan(part)] for name, part in split.items()},
        {name: int(np.isnan(part).sum()) for name, part in split.items()},
    )


def mean(values: FloatArray) -> float:
    """Return the mean, or NaN without values."""
    return float(values.mean()) if values.size else float("nan")


def check_confidence(confidence: float) -> None:
    """Raise :class:`~patchcxr.errors.ConfigError` unless ``confidence`` is in (0, 1)."""
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}; expected a fraction in (0, 1), such as 0.95")


def kth_smallest(
    k: int, low: float, high: float, count: Callable[[float], int], above: Callable[[float], float]
) -> float:
    """k-th smallest (from 1) of values in [low, high], found by bisection.

    ``count(t)`` tells how many values are at most t, ``above(t)`` the smallest value that exceeds t. Memory stays
    linear where the values are all pairs of two samples.
    """
    if count(low) >= k:
        return low
    for _ in range(60):
        middle = low + (high - low) / 2
        if count(middle) >= k:
            high = middle
        else:
            low = middle
    return above(low)
