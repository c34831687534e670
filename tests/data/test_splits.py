"""Splits and folds by patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.splits import check_classes, check_patients, folds_by_patient, split_by_patient
from patchcxr.errors import SplitError


def cohort(rng, patients=None, mixed=0):
    """One to four films a patient; the first ``mixed`` patients have films of two classes."""
    rows = []
    for name, count in (patients or {"normal": 60, "viral": 20, "bacterial": 4}).items():
        for index in range(count):
            rows += [(f"{name}-{index}", name)] * int(rng.integers(1, 5))
    rows += [(f"normal-{index}", "viral") for index in range(mixed)]
    table = pd.DataFrame(rows, columns=["patient", "label"])
    return table.assign(study=[f"s{index}" for index in range(len(table))], image="x.png")


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_in_two_splits_and_every_class_is_in_all(rng, seed):
    made = split_by_patient(cohort(rng, mixed=10), seed=seed)
    assert made.groupby("patient")["split"].nunique().max() == 1
    assert made.groupby("label")["split"].nunique().min() == 3
    assert made["split"].notna().all()
    check_patients(made)
    check_classes(made)


def test_patients_are_shared_out_by_the_fractions_class_by_class(rng):
    made = split_by_patient(cohort(rng, {"normal": 60, "viral": 20, "bacterial": 10})).drop_duplicates("patient")
    counts = pd.crosstab(made["label"], made["split"])[["train", "validation", "test"]]
    assert counts.loc["normal"].tolist() == [42, 6, 12]
    assert counts.loc["viral"].tolist() == [14, 2, 4]
    assert counts.loc["bacterial"].tolist() == [7, 1, 2]


@pytest.mark.parametrize(
    ("total", "expected"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1]), (7, [5, 1, 1]), (9, [6, 1, 2])]
)
def test_small_classes_give_one_patient_to_each_split_first(rng, total, expected):
    made = split_by_patient(cohort(rng, {"normal": 30, "rare": total})).drop_duplicates("patient")
    counts = made[made["label"] == "rare"]["split"].value_counts()
    assert [counts[name] for name in ("train", "validation", "test")] == expected


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does(rng):
    table = cohort(rng, mixed=5)
    shuffled = table.sample(frac=1, random_state=3)
    first = split_by_patient(table).set_index("study")["split"]
    again = split_by_patient(shuffled).set_index("study")["split"]
    other = split_by_patient(table, seed=1).set_index("study")["split"]
    assert first.sort_index().equals(again.sort_index())
    assert (first != other).any()


def test_a_patient_of_two_classes_counts_for_the_rarer(rng):
    table = cohort(rng, {"normal": 40, "viral": 2}, mixed=1)  # viral: two patients of its own and normal-0
    made = split_by_patient(table)
    assert set(made[made["label"] == "viral"]["split"]) == {"train", "validation", "test"}


def test_a_share_of_nothing_leaves_a_split_out(rng):
    made = split_by_patient(cohort(rng), fractions=(0.8, 0, 0.2))
    assert set(made["split"]) == {"train", "test"}


def test_without_classes_all_patients_are_alike(rng):
    table = cohort(rng, {"normal": 50})
    assert set(split_by_patient(table, stratify=None)["split"]) == {"train", "validation", "test"}
    with pytest.raises(SplitError, match=r"only the class 'normal'.*stratify=None"):
        split_by_patient(table)


def test_a_class_with_too_few_patients_is_named_with_its_count(rng):
    with pytest.raises(SplitError, match=r"class 'rare'.*2 patients.*3 splits.*merge classes"):
        split_by_patient(cohort(rng, {"normal": 30, "rare": 2}))
    with pytest.raises(SplitError, match="cohort has 2 patients"):
        split_by_patient(cohort(rng, {"normal": 2}), stratify=None)


@pytest.mark.parametrize(
    "fractions", [(0.7, 0.3), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1), (0, 0.5, 0.5), (float("nan"), 0.5, 0.5)]
)
def test_fractions_must_be_three_shares_of_one(rng, fractions):
    with pytest.raises(SplitError, match="fractions"):
        split_by_patient(cohort(rng), fractions=fractions)


def test_empty_cells_and_tables_are_refused(rng):
    table = cohort(rng)
    table.loc[4, "label"] = None
    with pytest.raises(SplitError, match=r"row 5: column 'label' is empty \(1 such rows\).*stratify=None"):
        split_by_patient(table)
    table.loc[4, "patient"] = np.nan
    with pytest.raises(SplitError, match="column 'patient' is empty"):
        split_by_patient(table, stratify=None)
    with pytest.raises(SplitError, match="no column 'class_name'"):
        split_by_patient(cohort(rng), stratify="class_name")
    with pytest.raises(SplitError, match="no rows"):
        split_by_patient(table.iloc[:0])


def test_folds_keep_patients_together_and_classes_balanced(rng):
    made = folds_by_patient(cohort(rng, {"normal": 53, "viral": 22, "bacterial": 11}, mixed=4), n_folds=5)
    assert made.groupby("patient")["fold"].nunique().max() == 1
    once = made.drop_duplicates("patient")
    assert once["fold"].value_counts().max() - once["fold"].value_counts().min() <= 1
    assert set(made["fold"]) == set(range(5))
    assert made.groupby("label")["fold"].nunique().min() == 5
    check_patients(made, "fold")


def test_folds_that_cannot_be_filled_are_refused(rng):
    with pytest.raises(SplitError, match=r"class 'bacterial'.*4 patients.*5 folds"):
        folds_by_patient(cohort(rng))
    with pytest.raises(SplitError, match="at least 2"):
        folds_by_patient(cohort(rng), n_folds=1)


def test_a_patient_in_two_given_splits_is_named():
    table = pd.DataFrame({"patient": ["a", "a", "b", "c"], "split": ["train", "test", "train", None]})
    with pytest.raises(SplitError, match=r"1 patients.*a \(test and train\)"):
        check_patients(table)
    check_patients(table.iloc[1:])
    check_patients(table.assign(split=None))


def test_a_given_split_of_one_class_is_refused():
    table = pd.DataFrame({"label": ["x", "y", "x", "y", "x"], "split": ["train"] * 4 + ["test"]})
    with pytest.raises(SplitError, match=r"split 'test' has no film of class 'y' .it holds x."):
        check_classes(table)
    with pytest.raises(SplitError, match="no class"):
        check_classes(table.assign(label=None))
