"""Scores of a cross-validation: of each fold, and pooled over the folds with three kinds of interval.

Three levels are told apart. ``pixel``: every pixel of every film is a case.
``image``: every film is one, positive or not (infection only). ``film``: the
overlap of each film, averaged over films; films whose true and predicted mask
are both empty have none, are counted, and stand in ``..._empty_as_1`` as 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.measure.classification import auroc, average_precision, binary_scores
from patchcxr.measure.counted import counted_auroc, counted_average_precision
from patchcxr.stats.bootstrap import (
    BootstrapInterval,
    cluster_bootstrap,
    cluster_bootstrap_auroc,
    cluster_bootstrap_sums,
)
from patchcxr.stats.detectors import delong_interval
from patchcxr.stats.intervals import normal_interval, wilson_interval
from patchcxr.types import AnyArray, FloatArray

NAN = float("nan")
COUNTS: Final = ("tp", "fp", "fn", "tn")
POOLED: Final = "all"
"""Name of the pooled rows in the column ``fold``."""

FoldCounts = Mapping[int, AnyArray]
"""Scores of pixels by fold, (groups of patients, 2, bins); see :mod:`patchcxr.measure.counted`."""


def image_scores(tp: float, fp: float, fn: float, tn: float) -> dict[str, float]:
    """Degerli 2021, eq. 8 to 12."""
    scores = binary_scores(int(tp), int(fp), int(fn), int(tn))
    return {name: scores[name] for name in ("sensitivity", "specificity", "precision", "f1", "f2", "accuracy")}


def pixel_scores(tp: float, fp: float, fn: float, tn: float) -> dict[str, float]:
    """Degerli 2021, eq. 8 to 12, with IoU and Dice of all pixels together (Tahir 2021, eq. 4 and 5).

    >>> found = pixel_scores(6, 2, 2, 90)
    >>> found["iou"], found["dice"], found["accuracy"]
    (0.6, 0.75, 0.96)
    """
    scores = image_scores(tp, fp, fn, tn)
    union = tp + fp + fn
    return {**scores, "iou": tp / union if union else NAN, "dice": scores["f1"]}


def film_scores(dice: float, iou: float, defined: float, both_empty: float) -> dict[str, float]:
    """Mean overlap of films, from the sums of Dice and IoU over the films that have them."""
    films = defined + both_empty
    return {
        "dice": dice / defined if defined else NAN,
        "iou": iou / defined if defined else NAN,
        "dice_empty_as_1": (dice + both_empty) / films if films else NAN,
        "iou_empty_as_1": (iou + both_empty) / films if films else NAN,
    }


SCORES: Final[dict[str, Callable[..., dict[str, float]]]] = {
    "pixel": pixel_scores,
    "film": film_scores,
    "image": image_scores,
}


def level_sums(films: pd.DataFrame, level: str) -> FloatArray:
    """What each film adds to the sums that the scores of a level are made of, (N, 4)."""
    if level == "pixel":
        return films[list(COUNTS)].to_numpy(dtype=np.float64)
    if level == "film":
        overlap = films[["dice", "iou"]].to_numpy(dtype=np.float64)
        defined = ~np.isnan(overlap[:, 0])
        return np.column_stack([np.nan_to_num(overlap), defined, ~defined])
    truth, said = films["truth"].to_numpy(dtype=bool), films["positive"].to_numpy(dtype=bool)
    return np.column_stack([truth & said, ~truth & said, truth & ~said, ~truth & ~said]).astype(np.float64)


def levels(films: pd.DataFrame) -> tuple[str, ...]:
    """Levels that films can be judged at: ``image`` only where they have a class."""
    judged = "truth" in films and bool(films["truth"].notna().all())
    return ("pixel", "film", "image") if judged else ("pixel", "film")


def scores_at(films: pd.DataFrame, counts: AnyArray, level: str) -> dict[str, float]:
    """Every score of these films at one level; ``counts`` (..., 2, bins) are those of their pixels."""
    found = SCORES[level](*level_sums(films, level).sum(axis=0))
    if level == "pixel":
        total = counts.reshape(-1, *counts.shape[-2:]).sum(axis=0)
        found |= {"auroc": float(counted_auroc(total)), "average_precision": float(counted_average_precision(total))}
    elif level == "image":
        truth, score = films["truth"].to_numpy(dtype=bool), films["score"].to_numpy(dtype=float)
        found |= {"auroc": auroc(truth, score), "average_precision": average_precision(truth, score)}
    return found


def fold_scores(films: pd.DataFrame, counts: Mapping[str, FoldCounts]) -> pd.DataFrame:
    """Scores and counts of each fold, and of all folds together (``fold`` is ``all``).

    Parameters
    ----------
    films
        One row a film and structure: structure, fold, patient, tp, fp, fn, tn, dice, iou, and for an infection truth,
        score and positive.
    counts
        Scores of the pixels by structure and fold.

    Returns
    -------
    pandas.DataFrame
        One row a structure, level and fold. The counts tp to tn of ``all`` are the cumulative confusion matrix; films
        and pixels of empty true masks are in them.
    """
    rows = []
    for structure, part in films.groupby("structure", sort=False):
        by_fold = counts[str(structure)]
        pieces = {str(fold): (piece, by_fold[int(str(fold))]) for fold, piece in part.groupby("fold")}
        pieces[POOLED] = (part, np.concatenate([by_fold[fold] for fold in sorted(by_fold)]))
        for level in levels(part):
            for fold, (piece, scored) in pieces.items():
                sums = level_sums(piece, level).sum(axis=0)
                confusion = {} if level == "film" else dict(zip(COUNTS, map(int, sums), strict=True))
                rows.append(
                    {"structure": structure, "level": level, "fold": fold, **_sizes(piece), **confusion}
                    | scores_at(piece, scored, level)
                )
    table = pd.DataFrame(rows)
    table[list(COUNTS)] = table[list(COUNTS)].astype("Int64")
    return table


def _sizes(films: pd.DataFrame) -> dict[str, int]:
    """How many films, and how many of them have an empty true mask, or both masks empty."""
    return {
        "films": len(films),
        "patients": films["patient"].nunique(),
        "empty_truth": int((films["tp"] + films["fn"] == 0).sum()),
        "both_empty": int(films["dice"].isna().sum()),
    }


def confusion_table(folds: pd.DataFrame) -> pd.DataFrame:
    """Cumulative confusion matrices over the folds (Degerli 2021, Tables 4 and 7); rows are the truth."""
    rows = []
    for row in folds[(folds["fold"] == POOLED) & (folds["level"] != "film")].to_dict("records"):
        head = {"structure": row["structure"], "level": row["level"]}
        rows.append({**head, "truth": "negative", "said_negative": row["tn"], "said_positive": row["fp"]})
        rows.append({**head, "truth": "positive", "said_negative": row["fn"], "said_positive": row["tp"]})
    return pd.DataFrame(rows)


def pooled_scores(
    films: pd.DataFrame,
    counts: Mapping[str, FoldCounts],
    folds: pd.DataFrame,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> pd.DataFrame:
    """Every score over all folds, with its intervals and its mean and standard deviation over folds.

    Parameters
    ----------
    films, counts
        As for :func:`fold_scores`.
    folds
        What that returned.
    rng, resamples
        Of the bootstrap over patients.

    Returns
    -------
    pandas.DataFrame
        One row a structure, level and measure: ``value``; ``eq13_n``, ``eq13_low``, ``eq13_high`` (Degerli 2021, eq.
        13) and ``eq2_n``, ``eq2_low``, ``eq2_high`` (Tahir 2021, eq. 2) as printed; ``low``, ``high`` and
        ``interval``, Wilson's of a proportion or DeLong's of an image-level AUROC; ``bootstrap_low`` and
        ``bootstrap_high``, percentiles over patients; ``fold_mean``, ``fold_sd`` and ``folds`` (those in which it is
        defined); films, patients, empty_truth, both_empty; ``note``.

    Notes
    -----
    The papers do not say what N is; their tables do. Degerli 2021, Table 3 (and the pixel-level table of its preprint)
    fits N = positive cases for the sensitivity, negative cases for the specificity, and all cases for everything else,
    over all folds. Tahir 2021, Tables 2 and 3, fits N = test films of one fold for every measure; here N is the number
    of films tested.
    """
    rows = []
    for structure, part in films.groupby("structure", sort=False):
        by_fold = counts[str(structure)]
        scored = np.concatenate([by_fold[fold] for fold in sorted(by_fold)])
        for level in levels(part):
            of_level = folds[(folds["structure"] == structure) & (folds["level"] == level)]
            each = of_level[of_level["fold"] != POOLED]
            sums = level_sums(part, level).sum(axis=0)
            for measure, value in scores_at(part, scored, level).items():
                defined = each[measure].dropna().astype(float)
                boot = _bootstrap(part, scored, level, measure, rng, resamples)
                rows.append(
                    {
                        **{"structure": structure, "level": level, "measure": measure, "value": value},
                        **_printed(value, measure, level, sums, len(part)),
                        **_standard(part, measure, level, sums),
                        **{"bootstrap_low": boot.low, "bootstrap_high": boot.high},
                        "fold_mean": defined.mean() if len(defined) else NAN,
                        "fold_sd": defined.std(ddof=1) if len(defined) > 1 else NAN,
                        "folds": len(defined),
                        **_sizes(part),
                        "note": _note(measure, level, int(sums.sum())),
                    }
                )
    return pd.DataFrame(rows)


def _printed(value: float, measure: str, level: str, sums: FloatArray, films: int) -> dict[str, float]:
    """Intervals by the equations of the papers, as printed, with the N that their tables fit."""
    found: dict[str, float] = {}
    numbers = {"eq13": NAN if level == "film" else _cases(measure, sums), "eq2": films}
    for name, n in numbers.items():
        low, high = (NAN, NAN) if np.isnan(n) else normal_interval(value, int(n))
        found |= {f"{name}_n": n, f"{name}_low": low, f"{name}_high": high}
    return found


def _cases(measure: str, sums: FloatArray) -> float:
    tp, fp, fn, tn = sums
    return float({"sensitivity": tp + fn, "specificity": tn + fp}.get(measure, tp + fp + fn + tn))


def _standard(films: pd.DataFrame, measure: str, level: str, sums: FloatArray) -> dict[str, float | str]:
    """Wilson's interval of a proportion, DeLong's of an AUROC of films; none for anything else."""
    low, high, name = NAN, NAN, ""
    if level == "image" and measure == "auroc":
        area = delong_interval(films["truth"].to_numpy(dtype=bool), films["score"].to_numpy(dtype=float))
        low, high, name = area.low, area.high, "DeLong"
    elif level != "film":
        tp, fp, fn, tn = (int(n) for n in sums)
        proportions = {
            "sensitivity": (tp, tp + fn),
            "specificity": (tn, tn + fp),
            "precision": (tp, tp + fp),
            "accuracy": (tp + tn, tp + fp + fn + tn),
            "iou": (tp, tp + fp + fn),
        }
        if measure in proportions:
            low, high = wilson_interval(*proportions[measure])
            name = "Wilson"
    return {"low": low, "high": high, "interval": name}


def _bootstrap(
    films: pd.DataFrame, counts: AnyArray, level: str, measure: str, rng: np.random.Generator, resamples: int
) -> BootstrapInterval:
    patients = films["patient"].to_numpy()
    area = {"auroc": counted_auroc, "average_precision": counted_average_precision}.get(measure)
    if area is not None and level == "pixel":
        flat = counts.reshape(len(counts), -1)

        def of_counts(totals: FloatArray) -> FloatArray:
            return area(totals.reshape(len(totals), *counts.shape[1:]))

        return cluster_bootstrap_sums(of_counts, flat, rng=rng, resamples=resamples)
    if area is not None:
        truth, score = films["truth"].to_numpy(dtype=bool), films["score"].to_numpy(dtype=float)
        if measure == "auroc":
            return cluster_bootstrap_auroc(truth, score, rng=rng, groups=patients, resamples=resamples)
        return cluster_bootstrap(average_precision, truth, score, rng=rng, groups=patients, resamples=resamples)

    def of_sums(totals: FloatArray) -> FloatArray:
        return np.array([SCORES[level](*row)[measure] for row in totals])

    return cluster_bootstrap_sums(of_sums, level_sums(films, level), rng=rng, groups=patients, resamples=resamples)


def _note(measure: str, level: str, cases: int) -> str:
    """What a reader must know before using the printed intervals."""
    notes = []
    if level == "pixel":
        notes.append(
            f"eq. 13 and Wilson take {cases:,} pixels as independent cases, so their intervals are far too narrow: "
            "use that over patients"
        )
    if level == "film":
        notes.append("a mean over films, not a proportion; eq. 13 is not printed for it")
    elif measure in ("f1", "f2", "dice", "auroc", "average_precision"):
        notes.append("not a proportion, though the papers apply their equation to it")
    if measure in ("auroc", "average_precision"):
        notes.append("pools the scores of the folds' networks, which need not be on one scale: see the mean over folds")
    return "; ".join(notes)
