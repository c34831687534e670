"""Any number of saliency methods against the truth, on the same films and the same grid.

**The same grid.** A map covers its whole film, whatever its size. For every film all maps, the truth and the lungs are
brought to one grid: that of its largest map, or ``size``. Maps that grow are interpolated linearly and maps that
shrink averaged over area (:func:`~patchcxr.preprocessing.geometry.resize_image`); masks take their nearest pixel, and
boxes are drawn anew from their numbers (:func:`~patchcxr.data.boxes.boxes_mask`). Shares and overlaps do not depend on
whether the grid keeps the film's aspect.

**The same films.** Methods are summarised and tested on the films that have a usable map of every method
(``compared``). The others are measured too, stay in the table of films, and are listed with the reason.

**Scale.** A probability map is marked from 0.5 on, an activation map from half of its own maximum on, because its
scale means nothing; every other score is the same whatever a map is multiplied by.

How empty lesions and empty maps count is told in :mod:`patchcxr.measure.localization`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, ImageError, PatchCXRError
from patchcxr.measure.localization import MEASURES, localization_scores
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.report.comparison_tables import localization_table
from patchcxr.report.tables import write_table
from patchcxr.stats.association import rank_correlation
from patchcxr.stats.bootstrap import cluster_bootstrap_sums
from patchcxr.study.reading import Progress
from patchcxr.types import BoolArray, FloatArray

Shape = tuple[int, int]
ReadMask = Callable[[dict[str, Any], Shape], BoolArray]
ReadLungs = Callable[[dict[str, Any], Shape], "BoolArray | None"]

LUNGS: Final = "lungs"
"""Name of the lung mask where it is measured as a map: what a map scores that knows nothing but the lungs."""
TRUTH: Final = "truth"
"""Stands for the method in the list of what could not be compared, where the truth or the lungs are at fault."""


@dataclass(frozen=True)
class MapMethod:
    """A way to make maps.

    Attributes
    ----------
    name
        As it stands in tables.
    load
        Map (H, W) of a study; raises an error of patchcxr where there is none.
    probability
        Whether the values are probabilities, rather than activations.
    """

    name: str
    load: Callable[[str], FloatArray]
    probability: bool = False


class MapScores(NamedTuple):
    """What measuring maps gives.

    Attributes
    ----------
    films
        One row a film, method and measure: study, patient, method, measure, value, ``compared`` (the film has a
        usable map of every method).
    extent
        One row a film and method: study, patient, method, compared, ``map_mean`` (of the map in the lungs),
        ``lesion_share`` (of the lungs that is lesion) and ``within``: ``lungs``, or ``film`` where no film has lungs.
    left_out
        Maps and truths that could not be used: study, method (or :data:`TRUTH`), error.
    """

    films: pd.DataFrame
    extent: pd.DataFrame
    left_out: pd.DataFrame


def score_maps(
    rows: pd.DataFrame,
    methods: Sequence[MapMethod],
    lesion: ReadMask,
    lungs: ReadLungs | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    with_lungs: bool = False,
) -> MapScores:
    """Measure the maps of every film.

    Parameters
    ----------
    rows
        Films to measure: ``study`` and ``patient``, and what ``lesion`` and ``lungs`` read.
    methods
        What is compared.
    lesion, lungs
        Called with a row and (rows, columns) of the grid; ``lungs`` returns None for a film without.
    size
        Side of the grid; None takes that of the largest map of each film.
    progress
        Called with the films done and their total.
    with_lungs
        Measure the lung mask too, as a method :data:`LUNGS`; films without lungs then lack a map of one method.

    Raises
    ------
    CohortError
        If there is no film, or none has a usable map of every method; the message names the first fault.
    """
    every = [*methods, *([MapMethod(LUNGS, _at_grid, probability=True)] if with_lungs else [])]
    scores: list[dict[str, Any]] = []
    extents: list[dict[str, Any]] = []
    left_out: list[tuple[str, str, str]] = []
    for done, row in enumerate(rows.to_dict("records"), start=1):
        study = str(row["study"])
        maps, faults = _load(study, methods)
        left_out += faults
        if maps:
            grid = (size, size) if size else _largest(maps)
            try:
                truth = lesion(row, grid)
                inside = lungs(row, grid) if lungs else None
                if with_lungs and inside is None:
                    left_out.append((study, LUNGS, "no lung mask; fill in the cohort's column, or give --lungs"))
                elif with_lungs:
                    maps[LUNGS] = np.asarray(inside, dtype=np.float32)
            except (PatchCXRError, OSError) as error:
                left_out.append((study, TRUTH, _one_line(error)))
                maps = {}
            for method in (one for one in every if one.name in maps):
                base = {"study": study, "patient": row["patient"], "method": method.name}
                try:
                    found = resize_image(maps[method.name], grid)
                    measured = localization_scores(found, truth, inside, scale="none" if method.probability else "max")
                except PatchCXRError as error:
                    left_out.append((study, method.name, _one_line(error)))
                    continue
                scores.append(base | measured)
                extents.append(base | _extent(found, truth, inside))
        if progress:
            progress(done, len(rows))
    faults_table = pd.DataFrame(left_out, columns=["study", "method", "error"])
    return _tables(scores, extents, faults_table, len(every))


def write_comparison(
    found: MapScores, methods: Sequence[str], folder: Path, rng: np.random.Generator, resamples: int = 2000
) -> pd.DataFrame:
    """Write what a comparison gives, and return its summary.

    - ``films``: every score of every film and method.
    - ``tests`` (of two methods or more): signed-rank tests over patients, Holm over the pairs of a measure, effects
      and intervals.
    - ``severity``: Spearman's correlation over films of the map's mean in the lungs with the true share.
    - ``summary``: of each measure and method ``n`` films with a value, ``patients``, ``mean``, ``std``, ``median``, and
      ``low`` and ``high``, the 95 % interval of the mean by the bootstrap over patients.
    """
    write_table(found.films, folder / "films", kinds=("csv",))
    compared = found.films[found.films["compared"]]
    extent = found.extent[found.extent["compared"]]
    if len(methods) > 1:
        localization_table(compared, methods, rng=rng, resamples=resamples).write(folder / "tests")
    ranks = []
    for method in methods:
        part = extent[extent["method"] == method]
        means, shares, patients = (part[name].to_numpy() for name in ("map_mean", "lesion_share", "patient"))
        rank = rank_correlation(means, shares, patients, rng, resamples)
        row = {"method": method, "rho": rank.rho, "low": rank.low, "high": rank.high, "p": rank.p, "n": rank.n}
        ranks.append(row | {"within": part["within"].iloc[0]})
    write_table(pd.DataFrame(ranks), folder / "severity")
    summary = summarize_maps(compared, methods, rng, resamples)
    write_table(summary, folder / "summary")
    return summary


def summarize_maps(
    films: pd.DataFrame, methods: Sequence[str], rng: np.random.Generator, resamples: int = 2000
) -> pd.DataFrame:
    """Each measure of each method; columns as :func:`write_comparison` says."""
    rows = []
    for measure in dict.fromkeys(films["measure"]):
        of_measure = films[(films["measure"] == measure) & films["value"].notna()]
        for method in methods:
            part = of_measure[of_measure["method"] == method]
            values = part["value"].to_numpy(dtype=float)
            row = {"measure": measure, "method": method, "n": values.size, "patients": part["patient"].nunique()}
            row |= dict.fromkeys(("mean", "std", "median", "low", "high"), np.nan)
            if values.size:
                sums = np.stack([values, np.ones_like(values)], axis=1)
                interval = cluster_bootstrap_sums(
                    lambda s: s[:, 0] / s[:, 1], sums, rng=rng, groups=part["patient"].to_numpy(), resamples=resamples
                )
                std = values.std(ddof=1) if values.size > 1 else np.nan
                row |= {"mean": values.mean(), "std": std, "median": np.median(values)}
                row |= {"low": interval.low, "high": interval.high}
            rows.append(row)
    return pd.DataFrame(rows)


def _load(study: str, methods: Sequence[MapMethod]) -> tuple[dict[str, FloatArray], list[tuple[str, str, str]]]:
    maps: dict[str, FloatArray] = {}
    faults = []
    for method in methods:
        try:
            maps[method.name] = np.asarray(method.load(study))
            if maps[method.name].ndim != 2:
                shape = maps.pop(method.name).shape
                raise ImageError(f"map has shape {shape}; expected one map with axes (row, column)")
        except (PatchCXRError, OSError) as error:
            faults.append((study, method.name, _one_line(error)))
    return maps, faults


def _at_grid(study: str) -> FloatArray:
    raise ImageError(f"the lungs of {study!r} are read once the grid is known")


def _largest(maps: dict[str, FloatArray]) -> Shape:
    return max(found.shape[0] for found in maps.values()), max(found.shape[1] for found in maps.values())


def _extent(found: FloatArray, truth: BoolArray, lungs: BoolArray | None) -> dict[str, float]:
    """Mean of the map and share of the lesion, in the lungs and in the film; NaN for a film without lesion."""
    if not truth.any():
        return {}
    extent = {"film_mean": float(found.mean()), "film_share": float(truth.mean())}
    if lungs is not None and lungs.any():
        extent |= {"lung_mean": float(found[lungs].mean()), "lung_share": float(truth[lungs].mean())}
    return extent


def _tables(
    scores: list[dict[str, Any]], extents: list[dict[str, Any]], left_out: pd.DataFrame, methods: int
) -> MapScores:
    wide = pd.DataFrame(scores, columns=["study", "patient", "method", *MEASURES])
    usable = wide.groupby("study")["method"].transform("size") == methods
    if not usable.any():
        first = left_out.iloc[0].to_dict() if len(left_out) else {}
        reason = "; the first fault: {study}, {method}: {error}".format(**first) if first else ""
        raise CohortError(f"no film has the truth and a usable map of every method{reason}")
    wide.insert(3, "compared", usable)
    base = ["study", "patient", "method"]
    films = wide.set_index([*base, "compared"]).rename_axis(columns="measure").stack(future_stack=True)
    named = ["lung_mean", "lung_share", "film_mean", "film_share"]
    extent = pd.DataFrame(extents, columns=[*base, *named]).assign(compared=usable)
    within = "lung" if extent["lung_mean"].notna().any() else "film"
    extent["map_mean"], extent["lesion_share"] = extent[f"{within}_mean"], extent[f"{within}_share"]
    extent["within"] = "lungs" if within == "lung" else "film"
    long = films.rename("value").reset_index()[[*base, "measure", "value", "compared"]]
    return MapScores(long, extent.drop(columns=named), left_out)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
