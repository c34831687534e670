"""How much the grey levels of organs depend on where a film comes from (Oh 2020, Fig. 11)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from patchcxr.errors import PatchCXRError
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.predict import Lungs, as_film, failure_table
from patchcxr.types import AnyArray, BoolArray

STAGES: Final = ("original", "normalised")
HISTOGRAM_BINS: Final = 64


def intensity_by_anatomy(
    table: pd.DataFrame, original: FilmStore, normalised: FilmStore, anatomy: Lungs
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Grey levels of lungs and heart before and after normalisation.

    Parameters
    ----------
    table
        Cohort whose films are prepared in both stores.
    original, normalised
        Stores of one size: films as they were read, and normalised.
    anatomy
        Masks of lungs and heart.

    Returns
    -------
    values : pandas.DataFrame
        Columns study, patient, label, source, view, structure (``lungs`` or
        ``heart``), stage (of :data:`STAGES`), mean and std (population), in
        [0, 1]; one row for each structure that the film has.
    histograms : pandas.DataFrame
        Columns study, stage and bin_0 to bin_63: shares of the film's pixels.
    failures : pandas.DataFrame
        Films that could not be measured.
    """
    stores = dict(zip(STAGES, (original, normalised), strict=True))
    rows, shares, failures = [], [], []
    for row in table[["study", "patient", "label", "source", "view"]].to_dict("records"):
        study = str(row["study"])
        try:
            masks = _masks(anatomy, study, original.size)
            films = {stage: as_film(store.film(study)) for stage, store in stores.items()}
        except PatchCXRError as error:
            failures.append((study, "intensity", str(error)))
            continue
        for stage, film in films.items():
            for structure, mask in masks.items():
                inside = film[mask]
                rows.append(
                    {
                        **row,
                        "structure": structure,
                        "stage": stage,
                        "mean": float(inside.mean()),
                        "std": float(inside.std()),
                    }
                )
            counts = np.histogram(film, bins=HISTOGRAM_BINS, range=(0, 1))[0] / film.size
            shares.append({"study": study, "stage": stage, **{f"bin_{i}": share for i, share in enumerate(counts)}})
    return pd.DataFrame(rows), pd.DataFrame(shares), failure_table(failures)


def _masks(anatomy: Lungs, study: str, size: int) -> dict[str, BoolArray]:
    """Lungs, and the heart where there is one, each with at least one pixel."""
    masks = {"lungs": anatomy.lung(study, size)}
    try:
        masks["heart"] = anatomy.structure(study, "heart", size)
    except PatchCXRError:
        return masks
    return {name: mask for name, mask in masks.items() if mask.any()}


def between_groups(values: pd.DataFrame, by: str = "source") -> pd.DataFrame:
    """Share of the variance of film means that lies between groups (eta squared), by structure and stage.

    A share of 1 says that the group alone sets a film's grey level, 0 that
    groups do not differ on average. Films without a group do not count; a
    single group, or films all alike, give NaN.

    Returns
    -------
    pandas.DataFrame
        Columns structure, stage, groups, films, between_share, and the
        smallest and largest mean of a group.
    """
    rows = []
    given = values[values[by].notna()]
    for (structure, stage), part in given.groupby(["structure", "stage"], sort=False):
        means = part.groupby(by)["mean"].mean()
        rows.append(
            {
                "structure": structure,
                "stage": stage,
                "groups": len(means),
                "films": len(part),
                "between_share": _eta_squared(part["mean"].to_numpy(float), part[by].to_numpy()),
                "lowest_group_mean": float(means.min()),
                "highest_group_mean": float(means.max()),
            }
        )
    return pd.DataFrame(rows)


def _eta_squared(values: AnyArray, groups: AnyArray) -> float:
    _, number = np.unique(groups.astype(str), return_inverse=True)
    total = float(((values - values.mean()) ** 2).sum())
    if number.max() == 0 or total == 0:
        return float("nan")
    counts = np.bincount(number)
    means = np.bincount(number, weights=values) / counts
    return float((counts * (means - values.mean()) ** 2).sum() / total)
