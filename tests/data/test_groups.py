"""Films that must stay together: patients joined through copies of one film."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.groups import patient_groups
from patchcxr.errors import CohortError


def table(*patients):
    return pd.DataFrame({"patient": list(patients)})


def test_without_copies_every_patient_is_a_group_of_its_own_name():
    assert patient_groups(table("b", "a", "b")).tolist() == ["b", "a", "b"]
    assert patient_groups(table("b", "a", "b"), [0, 1, 2]).tolist() == ["b", "a", "b"]
    assert patient_groups(table(7, 8)).tolist() == ["7", "8"]


def test_patients_are_joined_through_a_chain_of_copies():
    # d-b share copy 0, b-c share copy 1, a is alone
    films = table("d", "b", "b", "c", "a", "d")
    groups = patient_groups(films, ["0", "0", "1", "1", None, None])
    assert groups.tolist() == ["b", "b", "b", "b", "a", "b"]
    assert (groups.name, str(groups.dtype)) == ("group", "string")


def test_empty_groups_join_nothing():
    for empty in (None, np.nan, pd.NA):
        assert patient_groups(table("a", "b"), pd.Series([empty, empty], dtype=object)).tolist() == ["a", "b"]
    assert patient_groups(table("a", "b"), pd.Series([pd.NA, pd.NA], dtype="Int64")).tolist() == ["a", "b"]


def joined_by_hand(patients, copies):
    """Group of each film by repeated merging, as slow as it is simple."""
    groups = [{index} for index in range(len(patients))]
    changed = True
    while changed:
        changed = False
        for one in range(len(patients)):
            for other in range(len(patients)):
                same = patients[one] == patients[other] or copies[one] == copies[other]
                if same and groups[one] is not groups[other]:
                    merged = groups[one] | groups[other]
                    for index in merged:
                        groups[index] = merged
                    changed = True
    return [min(patients[index] for index in group) for group in groups]


@pytest.mark.parametrize("seed", range(20))
def test_groups_agree_with_repeated_merging_in_any_order_of_rows(seed):
    rng = np.random.default_rng(seed)
    films = table(*[f"p{number}" for number in rng.integers(0, 15, 30)])
    copies = pd.Series(rng.integers(0, 25, 30))
    made = patient_groups(films, copies)
    assert made.tolist() == joined_by_hand(films["patient"].tolist(), copies.tolist())
    order = rng.permutation(30)
    shuffled = patient_groups(films.iloc[order], copies.iloc[order])
    assert shuffled.sort_index().equals(made)
    # A group that is given as copies adds nothing.
    assert patient_groups(films, made).equals(made)


def test_groups_that_do_not_fit_the_table_are_refused():
    with pytest.raises(CohortError, match="duplicate groups are 1 but the cohort has 2 rows"):
        patient_groups(table("a", "b"), [0])
    with pytest.raises(CohortError, match="another index"):
        patient_groups(table("a", "b"), pd.Series([0, 0], index=[1, 0]))
    with pytest.raises(CohortError, match=r"row 2: column 'patient' is empty \(1 such rows\)"):
        patient_groups(table("a", None))
    with pytest.raises(CohortError, match="no column 'patient'"):
        patient_groups(pd.DataFrame({"study": ["a"]}))
