"""The course of one patient: infected shares of the films in the order of their days (Tahir 2021, Fig. 5b)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, EmptyLungError
from patchcxr.measure.severity import severity
from patchcxr.preprocessing.lungfields import split_lungs
from patchcxr.preprocessing.store import FilmStore
from patchcxr.types import BoolArray

PERCENTS = ("overall_percent", "right_lung_percent", "left_lung_percent")
"""Infected shares, as :func:`patchcxr.measure.severity.severity` names them."""

SCORES = ("extent", "opacity")
"""Severity scores that readers gave, where the cohort has them."""

NAMED = 10


def films_of_patient(table: pd.DataFrame, patient: str) -> pd.DataFrame:
    """Rows of a patient in the order of their days; films without a day come last.

    Raises
    ------
    CohortError
        If the cohort has no such patient; names those with several dated films.
    """
    rows = table[table["patient"].astype("string") == str(patient)]
    if rows.empty:
        known = dated_patients(table)
        names = ", ".join(known["patient"].head(NAMED)) or "none"
        raise CohortError(
            f"patient {patient!r} is not in the cohort; expected one of its patients; those with films of several "
            f"days: {names}{', ...' if len(known) > NAMED else ''}"
        )
    return rows.sort_values(["days", "study"], na_position="last", kind="stable").reset_index(drop=True)


def dated_patients(table: pd.DataFrame) -> pd.DataFrame:
    """Patients with films of at least two days: patient, films, and first and last day; those of most films first."""
    dated = table[table["days"].notna() & table["patient"].notna()]
    found = dated.groupby("patient")["days"].agg(films="count", days="nunique", first_day="min", last_day="max")
    found = found[found["days"] > 1].sort_values("films", ascending=False, kind="stable")
    return found.drop(columns="days").reset_index()


def reader_lungs(store: FilmStore, study: str) -> tuple[BoolArray, BoolArray] | None:
    """Right and left lung by the readers' masks of a film; a mask of both is split; None without any."""
    have = store.mask_names(study)
    if {"right_lung", "left_lung"} <= have:
        return store.mask(study, "right_lung"), store.mask(study, "left_lung")
    if "lung" not in have:
        return None
    try:
        return split_lungs(store.mask(study, "lung"))
    except EmptyLungError:
        return None


def reader_shares(store: FilmStore, studies: list[str]) -> pd.DataFrame:
    """Infected shares in percent by the readers' masks of infection and lungs.

    Returns
    -------
    DataFrame
        ``study`` and :data:`PERCENTS`, a row for each study with both kinds of mask.
    """
    rows = []
    for study in studies:
        lungs = reader_lungs(store, study)
        if lungs is not None and store.has(study, "infection"):
            rows.append({"study": study, **severity(store.mask(study, "infection"), *lungs)})
    return pd.DataFrame(rows, columns=["study", *PERCENTS])


def course(films: pd.DataFrame, shares: pd.DataFrame, readers: pd.DataFrame | None = None) -> pd.DataFrame:
    """Tidy table of a patient's films: days, infected shares, and what readers found.

    Parameters
    ----------
    films
        Rows of one patient, from :func:`films_of_patient`.
    shares
        Table with ``study`` and :data:`PERCENTS`, such as ``infection.csv`` of ``patchcxr infection``; other columns
        are passed over.
    readers
        As :func:`reader_shares` gives it, to be drawn beside ``shares``.

    Returns
    -------
    DataFrame
        ``patient``, ``study``, ``days``, :data:`PERCENTS` (NaN for films that are not in ``shares``),
        ``readers_percent`` with ``readers``, and those of :data:`SCORES` that are known.

    Raises
    ------
    CohortError
        If ``shares`` lacks a column or names a study twice, or none of the films is in it.
    """
    absent = [name for name in ("study", *PERCENTS) if name not in shares]
    if absent:
        raise CohortError(
            f"the table of infected shares has no column {absent[0]!r}; expected study, {', '.join(PERCENTS)}, as "
            "infection.csv has them where the lungs are known"
        )
    shares = shares.assign(study=shares["study"].astype("string"))
    repeated = shares.loc[shares["study"].duplicated(), "study"]
    if len(repeated):
        raise CohortError(f"the table of infected shares has {repeated.iloc[0]!r} twice; expected one row a study")
    kept = films[["patient", "study", "days", *(name for name in SCORES if name in films)]]
    kept = kept.assign(study=kept["study"].astype("string"), days=pd.to_numeric(kept["days"], errors="coerce"))
    visits = kept.merge(shares[["study", *PERCENTS]], on="study", how="left")
    if not visits["study"].isin(shares["study"]).any():
        raise CohortError(
            f"none of the {len(films)} films of patient {films['patient'].iloc[0]!r} is in the table of infected "
            "shares; run the infection network on them first, or leave the table out to use the readers' masks"
        )
    if readers is not None and len(readers):
        known = readers.set_index(readers["study"].astype("string"))["overall_percent"]
        visits["readers_percent"] = visits["study"].map(known).astype(np.float64)
    scores = [name for name in SCORES if name in visits]
    visits = visits.astype(dict.fromkeys([*PERCENTS, "days", *scores], np.float64))
    return visits.drop(columns=[name for name in scores if visits[name].isna().all()])
