"""Films that must stay together: those of one patient, and copies of one film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from patchcxr.errors import CohortError
from patchcxr.types import IntArray

Groups: TypeAlias = pd.Series | IntArray | Sequence[object]
"""Duplicate group of each film of a cohort."""


def patient_groups(table: pd.DataFrame, duplicate_group: Groups | None = None) -> pd.Series:
    """Join films that share a patient id or a duplicate group, directly or through others.

    Two patients with copies of one film are one group, and so are all their
    other films.

    Parameters
    ----------
    table
        Cohort with a filled ``patient`` column.
    duplicate_group
        Group of each film, one value a row, such as the numbers of
        :func:`patchcxr.data.duplicates.near_duplicate_groups`; an empty value
        says that no copy is known. A Series must have the table's index.

    Returns
    -------
    Series ``group`` (text, index of the table): the id of the group's first
    patient in the alphabet. It is the patient's own id where nothing joins
    patients, and does not depend on the order of the rows.

    Raises
    ------
    CohortError
        If a patient is empty, or ``duplicate_group`` does not fit the table.

    Examples
    --------
    >>> table = pd.DataFrame({"patient": ["b", "a", "c", "d"]})
    >>> patient_groups(table, [0, 1, 0, None]).tolist()
    ['b', 'a', 'b', 'd']
    """
    if "patient" not in table:
        raise CohortError(f"cohort has no column 'patient'; got {', '.join(map(str, table.columns))}")
    patient = table["patient"].astype("string").rename("group")
    empty = patient.isna().to_numpy(dtype=bool)
    if empty.any():
        raise CohortError(
            f"row {int(np.flatnonzero(empty)[0]) + 1}: column 'patient' is empty ({int(empty.sum())} such rows);"
            " fill it in, with the study's id where the patient is not known"
        )
    if duplicate_group is None:
        return patient
    if len(duplicate_group) != len(table):
        raise CohortError(
            f"duplicate groups are {len(duplicate_group)} but the cohort has {len(table)} rows;"
            " give one value a row, empty where no copy is known"
        )
    if isinstance(duplicate_group, pd.Series) and not duplicate_group.index.equals(table.index):
        raise CohortError(
            "duplicate groups have another index than the cohort; take them from a column of the same table"
        )
    patient_code, patients = pd.factorize(patient, sort=True)
    copy_code, copies = pd.factorize(pd.Series(duplicate_group).array)
    joined = copy_code >= 0
    nodes = len(patients) + len(copies)
    edges = (np.ones(int(joined.sum()), dtype=np.int8), (patient_code[joined], copy_code[joined] + len(patients)))
    _, component = connected_components(coo_array(edges, shape=(nodes, nodes)), directed=False)
    # Patients are sorted, so that the first of a component is its first in the alphabet.
    _, first, inverse = np.unique(component[: len(patients)], return_index=True, return_inverse=True)
    names = patients.take(first[inverse][patient_code])
    return pd.Series(names, index=table.index, name="group").astype("string")
