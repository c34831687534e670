"""Cohorts for the classifiers on public films: every film with a reader's lesion is a test film.

    python analysis/classification_cohort.py masks/cohort.csv --out cohorts

Takes a cohort with lung masks (`patchcxr segment`). Patients with an infection
mask or a lesion box are tested on, all of their films; so maps can be judged
on all lesions that a reader drew, by networks that have seen none of these
patients. The others are split 72 / 8 / 20 by patient within source and class.
Writes `four_class.csv` and `three_class.csv` (sources cohen, nih, tb) with
their split, and `external.csv` (the other sources, test films all).
"""

import argparse
from pathlib import Path

import pandas as pd

from patchcxr.data.cohort import read_cohort, write_cohort
from patchcxr.data.splits import split_by_patient
from patchcxr.study.build import strata, with_classes

TRAINED = ("cohen", "nih", "tb")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path, help="cohort table with lung masks")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = read_cohort(options.cohort)
    drawn = table["infection_mask"].notna() | table["boxes"].notna()
    marked = table["patient"].isin(table.loc[drawn, "patient"])
    inner = table["source"].isin(TRAINED)
    for scheme in ("four_class", "three_class"):
        part = with_classes(table[inner & ~marked], scheme)
        part = part[part["class_name"].notna()]
        part = split_by_patient(part.assign(stratum=strata(part)), (0.72, 0.08, 0.2), "stratum", options.seed)
        whole = pd.concat([part.drop(columns=["stratum", "class_name"]), table[inner & marked].assign(split="test")])
        write_cohort(whole, options.out / f"{scheme}.csv")
        classes = with_classes(whole, scheme)
        print(pd.crosstab([classes["class_name"].fillna("(no class)"), classes["source"]], classes["split"]))
    write_cohort(table[~inner].assign(split="test"), options.out / "external.csv")
