"""The cohort of a study: from its source to a table with classes and splits."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from patchcxr.data.cohort import merge_cohorts, read_cohort, validate_cohort, write_cohort
from patchcxr.data.labels import relabel
from patchcxr.data.sources import build_source
from patchcxr.data.splits import check_patients, split_by_patient
from patchcxr.data.synthetic import generate_cohort
from patchcxr.errors import ConfigError
from patchcxr.study.config import StudyConfig
from patchcxr.study.select import given


def build_cohort(config: StudyConfig, folder: Path) -> pd.DataFrame:
    """Write ``cohort.csv`` with the columns ``class_name`` and ``split``, and return it.

    Patients are split within strata: the source, the class, and whether the
    film has an infection mask, so that every part of the study finds its
    films in every split.
    """
    cohort = config.cohort
    if cohort.synthetic is not None:
        table = generate_cohort(folder / "films", cohort.synthetic)
        table = read_cohort(folder / "films" / "cohort.csv")
    elif cohort.sources is not None:
        table = merge_cohorts([build_source(name, expand(root)).cohort for name, root in cohort.sources.items()])
    else:
        table = read_cohort(expand(str(cohort.table)))
    table = with_classes(table, config.classification.labels)
    if cohort.keep_split:
        check_patients(table)
    else:
        table = split_by_patient(table.assign(stratum=strata(table)), cohort.fractions, "stratum", config.seed)
        table = table.drop(columns="stratum")
    validate_cohort(table)
    write_cohort(table, folder / "cohort.csv")
    return table


def with_classes(table: pd.DataFrame, scheme: str) -> pd.DataFrame:
    """Add the column ``class_name``; it is empty for films without a label, and for labels that the scheme leaves out.

    Raises
    ------
    LabelError
        If the scheme does not know a label.
    """
    found = relabel(table[given(table["label"])], scheme).set_index("study")["class_name"]
    return table.assign(class_name=table["study"].map(found).astype("string"))


def expand(path: str) -> Path:
    """A path with its environment variables filled in.

    Raises
    ------
    ConfigError
        If a variable is not set.
    """
    filled = os.path.expandvars(path)
    if "$" in filled:
        raise ConfigError(
            f"the path {path!r} names an environment variable that is not set; "
            "set it (for the real films: export PATCHCXR_DATA=/path/to/films, or --data), or write the path in full"
        )
    return Path(filled).expanduser()


FEWEST_PATIENTS = 5
"""A stratum of fewer patients is joined with others, because it could not be in every split."""


def strata(table: pd.DataFrame) -> pd.Series:
    """Stratum of each film's patient, by which patients are split.

    Films differ in source, class and whether they have an infection mask; a
    patient with several kinds of film counts for the rarest. Patients of a
    small stratum count for their class alone, and if that is small too, for
    the largest stratum.
    """
    marked = given(table["infection_mask"]).map({True: "marked", False: "unmarked"}).astype("string")
    name = table["class_name"].astype("string").fillna("unused")
    kind = table["source"].astype("string").fillna("") + "/" + name + "/" + marked
    pairs = pd.DataFrame({"patient": table["patient"], "kind": kind, "name": name}).drop_duplicates()
    pairs["patients"] = pairs["kind"].map(pairs["kind"].value_counts())
    of = pairs.sort_values(["patients", "kind"]).drop_duplicates("patient").set_index("patient")
    stratum = of["kind"].mask(of["patients"] < FEWEST_PATIENTS, of["name"])
    sizes = stratum.value_counts().sort_index()
    stratum = stratum.mask(stratum.map(sizes) < FEWEST_PATIENTS, str(sizes.idxmax()))
    return table["patient"].map(stratum)
