"""Predicted masks of a cohort against true ones: overlap, outlines, and for an infection its pixels and its extent.

**Empty masks.** Where one mask has pixels and the other none, the structure was missed or invented: the film is
``failed``, its Dice and Jaccard are 0, its distances the worst that the film allows
(:mod:`patchcxr.measure.boundary`), and it stays in every mean. Where both are empty there is nothing to measure: the
film counts in ``both_empty`` and is in no mean.

A mask that is the same file on both sides was handed on, not predicted, and is not compared: ``segment`` keeps the
infection masks of the cohort it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from patchcxr.data.cohort import read_cohort
from patchcxr.data.inputs import TABLES
from patchcxr.errors import CohortError, PatchCXRError
from patchcxr.io.arrays import safe_name
from patchcxr.io.folders import files_below
from patchcxr.io.masks import EMPTY_MASK, MASK_SEPARATOR, read_mask
from patchcxr.measure.boundary import BOUNDARY_MEASURES, boundary_row
from patchcxr.measure.classification import binary_scores
from patchcxr.measure.overlap import dice, jaccard, pixel_confusion
from patchcxr.measure.severity import infected_share
from patchcxr.stats.association import rank_correlation
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.study.reading import Progress
from patchcxr.types import BoolArray

STRUCTURES: Final = ("lung", "right_lung", "left_lung", "heart", "infection")
MASK_SUFFIXES: Final = (".png", ".gif", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".npy")
MEASURES: Final = ("dice", "jaccard", *BOUNDARY_MEASURES, *(f"{name}_mm" for name in BOUNDARY_MEASURES))
PIXELS: Final = ("tp", "fp", "fn", "tn")
ALL: Final = "(all)"


class Comparison(NamedTuple):
    """What comparing the masks of two cohorts gives.

    Attributes
    ----------
    films
        One row a film and structure: study, patient, source, structure,
        :data:`MEASURES`, ``failed``, the counts :data:`PIXELS`, and for an
        infection ``predicted_percent`` and ``true_percent``.
    unmatched
        Films of one side alone: ``study`` and ``only_in``.
    failures
        Films that could not be compared: study, stage (the structure) and error.
    """

    films: pd.DataFrame
    unmatched: pd.DataFrame
    failures: pd.DataFrame


def read_masks(path: str | Path, structure: str = "lung") -> pd.DataFrame:
    """Mask fields by study: a cohort table, or a folder.

    A folder holds either folders named after structures (as ``segment``
    writes them to ``masks``) or the masks of one structure, ``structure``. The
    names of the files without suffix are the studies.

    Returns
    -------
    The cohort, or a table with ``study``, ``patient``, ``source`` and the mask
    columns, a field or NA in each.

    Raises
    ------
    CohortError
        If there is neither, or the folder has no mask.
    """
    path = Path(path)
    if path.suffix.lower() in TABLES:
        return read_cohort(path, check_files=False)
    if not path.is_dir():
        raise CohortError(f"{path}: expected a cohort table ({', '.join(TABLES)}) or a folder of masks")
    if structure not in STRUCTURES:
        raise CohortError(f"--structure {structure!r}: expected one of {', '.join(STRUCTURES)}")
    named = [name for name in STRUCTURES if (path / name).is_dir()]
    folders = {name: path / name for name in named} or {structure: path}
    columns = {
        f"{name}_mask": pd.Series({file.stem: str(file) for file in files_below(folder, MASK_SUFFIXES)}, dtype="string")
        for name, folder in folders.items()
    }
    table = pd.DataFrame(columns).rename_axis("study").reset_index()
    if table.empty:
        raise CohortError(f"{path}: no mask in this folder; expected files that end in {', '.join(MASK_SUFFIXES)}")
    return table.assign(patient=table["study"], source=path.name)


def compare_masks(predicted: pd.DataFrame, truth: pd.DataFrame, progress: Progress | None = None) -> Comparison:
    """Compare every structure that both tables have a mask of, film by film.

    Parameters
    ----------
    predicted, truth
        As :func:`read_masks` gives them. Patient, source and spacing
        (``row_spacing_mm``, ``column_spacing_mm``) are those of ``truth``.
    progress
        Called with the films done and their total.

    Raises
    ------
    CohortError
        If no film is in both, or no structure.
    """
    left, right = (_by_name(table) for table in (predicted, truth))
    both = [name for name in right.index if name in left.index]
    if not both:
        raise CohortError(
            f"no film is in both tables: the first have {', '.join(left['study'][:3])}, the second "
            f"{', '.join(right['study'][:3])}, ...; films are matched by their study"
        )
    rows, failures = [], []
    for done, name in enumerate(both, start=1):
        mine, theirs = left.loc[name].to_dict(), right.loc[name].to_dict()
        for structure in STRUCTURES:
            fields = mask_field(mine, structure), mask_field(theirs, structure)
            if None in fields or (fields[0] == fields[1] != EMPTY_MASK):
                continue
            try:
                rows.append(_compared(mine, theirs, structure))
            except (PatchCXRError, OSError) as error:
                failures.append((str(theirs["study"]), structure, " ".join(str(error).split())))
        if progress:
            progress(done, len(both))
    if not rows and not failures:
        raise CohortError("no film has masks of one structure in both tables; fill in mask columns such as lung_mask")
    alone = [(study, "predicted") for study in left["study"][~left.index.isin(right.index)]]
    alone += [(study, "truth") for study in right["study"][~right.index.isin(left.index)]]
    return Comparison(
        pd.DataFrame(rows),
        pd.DataFrame(alone, columns=["study", "only_in"]),
        pd.DataFrame(failures, columns=["study", "stage", "error"]),
    )


def _by_name(table: pd.DataFrame) -> pd.DataFrame:
    """Rows by the name that files of a study have, so that folders and tables find each other."""
    return table.set_index(table["study"].astype(str).map(safe_name), drop=False)


def mask_field(row: dict[str, Any], structure: str) -> str | None:
    """Mask field of a structure; both lungs stand in for an empty ``lung_mask``."""
    value = row.get(f"{structure}_mask")
    if value is not None and not pd.isna(value) and str(value).strip():
        return str(value)
    if structure != "lung":
        return None
    sides = [mask_field(row, side) for side in ("right_lung", "left_lung")]
    if None in sides:
        return None
    return MASK_SEPARATOR.join(str(side) for side in sides if side != EMPTY_MASK) or EMPTY_MASK


def _compared(mine: dict[str, Any], theirs: dict[str, Any], structure: str) -> dict[str, Any]:
    first, second = mask_field(mine, structure), mask_field(theirs, structure)
    fields = (second, first, mask_field(theirs, "lung"), mask_field(mine, "lung"))
    shape = next((read_mask(one).shape for one in fields if one and one != EMPTY_MASK), (1, 1))
    truth = read_mask(str(second), (shape[0], shape[1]))
    predicted = read_mask(str(first), (shape[0], shape[1]))
    spacing = [pd.to_numeric(theirs.get(f"{axis}_spacing_mm"), errors="coerce") for axis in ("row", "column")]
    known = all(value is not None and value > 0 for value in spacing)
    row = {
        "study": theirs["study"],
        "patient": theirs["patient"],
        "source": theirs.get("source"),
        "structure": structure,
        "dice": dice(predicted, truth),
        "jaccard": jaccard(predicted, truth),
        **boundary_row(predicted, truth, [float(value) for value in spacing] if known else None),
        **dict(zip(PIXELS, pixel_confusion(predicted, truth), strict=True)),
    }
    return row | (_extent(predicted, truth, mine, theirs) if structure == "infection" else {})


def _extent(
    predicted: BoolArray, truth: BoolArray, mine: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, float | str]:
    """Infected share of the lungs in percent; each side by its own lungs, else by the other's, else of the film."""
    shape = (truth.shape[0], truth.shape[1])
    fields = [mask_field(mine, "lung"), mask_field(theirs, "lung")]
    found = [None if field is None else read_mask(field, shape) for field in fields]
    whole = np.ones(shape, dtype=bool)
    lungs = [next((one for one in order if one is not None), whole) for order in (found, found[::-1])]
    return {
        "predicted_percent": infected_share(predicted, lungs[0]),
        "true_percent": infected_share(truth, lungs[1]),
        "percent_of": "lungs" if any(one is not None for one in found) else "film",
    }


def summarize(films: pd.DataFrame, rng: np.random.Generator, resamples: int = 1000) -> pd.DataFrame:
    """Each measure by structure and source, and over all sources (``(all)``).

    Columns: structure, source, measure, ``n`` films with a value, ``failed``
    of them, ``both_empty`` films without a value, ``mean``, ``std``,
    ``median``, and ``low`` and ``high``, the 95 % interval of the mean by the
    bootstrap over patients.
    """
    rows = []
    for structure, of_structure in films.groupby("structure", sort=False):
        for source, part in _by_source(of_structure):
            for measure in (name for name in MEASURES if name in part and part[name].notna().any()):
                values = part.loc[part[measure].notna(), ["patient", measure, "failed"]]
                numbers = values[measure].to_numpy(dtype=float)
                interval = cluster_bootstrap(
                    np.mean, numbers, groups=values["patient"].to_numpy(), rng=rng, resamples=resamples
                )
                rows.append(
                    {
                        "structure": structure,
                        "source": source,
                        "measure": measure,
                        "n": len(values),
                        "failed": int(values["failed"].astype(bool).sum()),
                        "both_empty": int(part["dice"].isna().sum()),
                        "mean": numbers.mean(),
                        "std": numbers.std(ddof=1) if len(numbers) > 1 else np.nan,
                        "median": np.median(numbers),
                        "low": interval.low,
                        "high": interval.high,
                    }
                )
    return pd.DataFrame(rows)


def summarize_infection(films: pd.DataFrame, rng: np.random.Generator, resamples: int = 1000) -> pd.DataFrame:
    """Pixels of all films together (Degerli 2021, eq. 8 to 12), and Spearman's correlation of the infected shares.

    One row a source, and one over all: films, the counts of pixels, their
    scores, ``iou``, and ``rho`` with its interval over patients, its p and the
    films that have both shares. The shares are of the lungs where any are known.
    """
    rows = []
    for source, part in _by_source(films[films["structure"] == "infection"]):
        tp, fp, fn, tn = (int(part[name].sum()) for name in PIXELS)
        found = rank_correlation(
            part["predicted_percent"].to_numpy(dtype=float),
            part["true_percent"].to_numpy(dtype=float),
            part["patient"].to_numpy(),
            rng,
            resamples,
        )
        rows.append(
            {
                "source": source,
                "films": len(part),
                **dict(zip(PIXELS, (tp, fp, fn, tn), strict=True)),
                **binary_scores(tp, fp, fn, tn),
                "iou": tp / (tp + fp + fn) if tp + fp + fn else np.nan,
                "rho": found.rho,
                "rho_low": found.low,
                "rho_high": found.high,
                "rho_p": found.p,
                "rho_films": found.n,
            }
        )
    return pd.DataFrame(rows)


def _by_source(films: pd.DataFrame) -> Sequence[tuple[str, pd.DataFrame]]:
    """All films, then those of each source where there are several."""
    parts = [(str(source), part) for source, part in films.groupby("source", sort=False)]
    return [(ALL, films), *(parts if len(parts) > 1 else [])] if len(films) else []
