"""Splits and folds by patient: no patient, and no copy of a film, is ever on two sides.

>>> import pandas as pd
>>> table = pd.DataFrame({"patient": [f"p{i}" for i in range(40)], "label": ["normal", "viral"] * 20})
>>> table["study"] = "film of " + table["patient"]
>>> made = make_split(table, "oh2020")
>>> made.table["split"].value_counts().to_dict()
{'train': 28, 'test': 8, 'validation': 4}
"""

from patchcxr.data.splits._deal import SPLITS
from patchcxr.data.splits.balance import largest_departure, split_balance
from patchcxr.data.splits.checks import (
    LEAKS_ALLOWED,
    check_classes,
    check_leaks,
    check_patients,
    find_leaks,
    says_leaks_allowed,
    unknown_patients,
)
from patchcxr.data.splits.patients import (
    fold_split,
    folds_by_patient,
    folds_by_source,
    iterate_folds,
    reduce_training,
    split_by_patient,
)
from patchcxr.data.splits.schemes import SCHEMES, SplitResult, SplitScheme, make_split, split_scheme

__all__ = [
    "LEAKS_ALLOWED",
    "SCHEMES",
    "SPLITS",
    "SplitResult",
    "SplitScheme",
    "check_classes",
    "check_leaks",
    "check_patients",
    "find_leaks",
    "fold_split",
    "folds_by_patient",
    "folds_by_source",
    "iterate_folds",
    "largest_departure",
    "make_split",
    "reduce_training",
    "says_leaks_allowed",
    "split_balance",
    "split_by_patient",
    "split_scheme",
    "unknown_patients",
]
