"""Segmentation detector against classification detectors on the same films (Degerli 2021; Tahir 2021)."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from patchcxr.errors import SplitError
from patchcxr.inference.infection import detect, infection_mask, infection_score
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.classification import average_precision, binary_scores
from patchcxr.measure.counted import counted_auroc
from patchcxr.measure.overlap import dice, jaccard, pixel_confusion
from patchcxr.measure.severity import severity
from patchcxr.preprocessing.geometry import resize_mask
from patchcxr.report.tables import write_table
from patchcxr.stats.association import rank_correlation
from patchcxr.stats.bootstrap import cluster_bootstrap, cluster_bootstrap_auroc
from patchcxr.stats.corrections import adjust
from patchcxr.stats.detectors import delong_interval, delong_test, mcnemar
from patchcxr.stats.intervals import normal_interval, wilson_interval
from patchcxr.study.evaluate.classification import predictions
from patchcxr.study.predict import Lungs, failure_table
from patchcxr.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from patchcxr.study.run import Study

DETECTORS = ("infection", "local", "global")


class InfectionMaps:
    """Stored infection probabilities with the masks that go with them, all at the network's size."""

    def __init__(self, study: Study) -> None:
        self.config = study.config.infection
        self.maps = ArrayFolder(study.out / "infection_test" / "probability")
        self.store = study.store(self.config.image_size)
        self.anatomy: Lungs = study.infection_lungs()
        self.size = self.config.image_size

    def __contains__(self, study: str) -> bool:
        return study in self.maps

    def lung(self, study: str, name: str = "lung") -> BoolArray:
        """Predicted mask of both lungs, or of one."""
        return resize_mask(self.anatomy.structure(study, name), self.size)

    def probability(self, study: str) -> FloatArray:
        """Infection probability (H, W); zero outside the predicted lungs if ``within_lungs`` is set (Tahir 2021)."""
        found = self.maps.load(study)
        if self.config.within_lungs:
            found = np.where(self.lung(study), found, np.float16(0))
        return found

    def truth(self, study: str, infected: bool) -> BoolArray:
        """True infection: the mask of an infected film, nothing for a control."""
        if not infected:
            return np.zeros((self.size, self.size), dtype=bool)
        return self.store.mask(study, "infection")


def detector_table(study: Study) -> pd.DataFrame:
    """Score and decision of each detector for every test film that all three could judge.

    Columns: study, patient, truth (the film's class is positive), and for
    each detector ``<name>_score`` and ``<name>_positive``. The score is the
    probability at which the infection map's rule would still fire, the mean
    patch probability, or the probability of the whole film; the decision is
    the rule at its threshold, the vote, or the most probable class.
    """
    maps, positive = InfectionMaps(study), set(study.config.infection.positive)
    both = predictions(study)
    by_method = {method: part.set_index("study") for method, part in both.groupby("method")}
    names = [f"p_{name}" for name in study.scheme.classes if name in positive]
    rows = []
    for row in both.drop_duplicates("study").itertuples():
        if row.study not in maps or any(row.study not in by_method[m].index for m in by_method):
            continue
        probability, lung = maps.probability(row.study), maps.lung(row.study)
        found = {
            "infection_score": infection_score(probability, lung, study.config.infection.detection),
            "infection_positive": detect(probability, lung, study.config.infection.detection),
        }
        for method, part in by_method.items():
            said = part.loc[row.study]
            found[f"{method}_score"] = float(said[names].sum())
            found[f"{method}_positive"] = said["predicted"] in positive
        rows.append({"study": row.study, "patient": row.patient, "truth": row.truth in positive, **found})
    table = pd.DataFrame(rows)
    if table.empty or table["truth"].nunique() < 2:
        raise SplitError(
            f"the detectors need test films with and without {sorted(positive)}, judged by all three; got "
            f"{len(table)} films of one kind; add patients, or change cohort.fractions"
        )
    return table


def score_detectors(table: pd.DataFrame, rng: np.random.Generator, resamples: int) -> pd.DataFrame:
    """Image-level scores of each detector, with intervals.

    AUROC with DeLong's and the patient bootstrap's interval, average
    precision with the latter, and at the operating point every score of
    Degerli 2021, eq. 8 to 12, with the half-width of eq. 13 (``_r``, N is the
    number of films) and for proportions Wilson's interval.
    """
    truth, groups = table["truth"].to_numpy(dtype=bool), table["patient"].to_numpy()
    rows = []
    for name in DETECTORS:
        score, said = table[f"{name}_score"].to_numpy(dtype=float), table[f"{name}_positive"].to_numpy(dtype=bool)
        area = delong_interval(truth, score)
        clustered = cluster_bootstrap_auroc(truth, score, rng=rng, groups=groups, resamples=resamples)
        precision = cluster_bootstrap(average_precision, truth, score, rng=rng, groups=groups, resamples=resamples)
        tp, fp, fn, tn = pixel_confusion(said, truth)
        found = binary_scores(tp, fp, fn, tn)
        row = {
            "detector": name,
            "n": len(table),
            "positive": int(truth.sum()),
            "patients": int(pd.unique(groups).size),
            "auroc": area.auroc,
            "auroc_low": area.low,
            "auroc_high": area.high,
            "auroc_patients_low": clustered.low,
            "auroc_patients_high": clustered.high,
            "average_precision": average_precision(truth, score),
            "average_precision_low": precision.low,
            "average_precision_high": precision.high,
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "tn": tn,
        }
        for key, value in found.items():
            row[key] = value
            row[f"{key}_r"] = normal_interval(value, len(table))[1] - value
        for key, right, of in (
            ("sensitivity", tp, tp + fn),
            ("specificity", tn, tn + fp),
            ("accuracy", tp + tn, len(table)),
        ):
            row[f"{key}_low"], row[f"{key}_high"] = wilson_interval(right, of)
        rows.append(row)
    return pd.DataFrame(rows)


def compare_detectors(table: pd.DataFrame) -> pd.DataFrame:
    """Paired tests between detectors: DeLong's for the AUROC, McNemar's for the decisions, Holm over the pairs."""
    truth, rows = table["truth"].to_numpy(dtype=bool), []
    for a, b in combinations(DETECTORS, 2):
        areas = delong_test(truth, table[f"{a}_score"].to_numpy(dtype=float), table[f"{b}_score"].to_numpy(dtype=float))
        errors = mcnemar(
            truth, table[f"{a}_positive"].to_numpy(dtype=bool), table[f"{b}_positive"].to_numpy(dtype=bool)
        )
        rows.append(
            {
                "a": a,
                "b": b,
                "auroc_difference": areas.difference,
                "low": areas.low,
                "high": areas.high,
                "p_delong": areas.p,
                "only_a_right": errors.only_a_right,
                "only_b_right": errors.only_b_right,
                "p_mcnemar": errors.p,
            }
        )
    found = pd.DataFrame(rows)
    for test in ("delong", "mcnemar"):
        found[f"p_{test}_holm"] = adjust(found[f"p_{test}"].to_numpy(), "holm")
    return found


def pixel_scores(study: Study, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pixel-level scores pooled over the test films (Degerli 2021, Table 2), and overlap and severity of each film.

    Positive films without an infection mask are left out. The pixel AUROC is
    exact: stored probabilities are float16, so their bit patterns, which
    order as the values do, can be counted.
    """
    maps, config = InfectionMaps(study), study.config.infection
    counts, histogram, films = np.zeros(4, dtype=np.int64), np.zeros((2, 1 << 16), dtype=np.int64), []
    for row in table.itertuples():
        if row.truth and not maps.store.has(row.study, "infection"):
            continue
        probability, truth = maps.probability(row.study), maps.truth(row.study, row.truth)
        lung = maps.lung(row.study) if config.within_lungs else None
        predicted = infection_mask(probability, lung, config.detection)
        counts += pixel_confusion(predicted, truth)
        bits = np.ascontiguousarray(probability, dtype=np.float16).view(np.uint16)
        for kind in (0, 1):
            histogram[kind] += np.bincount(bits[truth == bool(kind)], minlength=1 << 16)
        right, left = maps.lung(row.study, "right_lung"), maps.lung(row.study, "left_lung")
        found = severity(predicted & (right | left), right, left)
        row_out = {
            "study": row.study,
            "patient": row.patient,
            "truth": row.truth,
            "dice": dice(predicted, truth),
            "iou": jaccard(predicted, truth),
            **{f"predicted_{key}": value for key, value in found.items()},
        }
        have = maps.store.mask_names(row.study)
        if {"right_lung", "left_lung"} <= have:
            right_true, left_true = maps.store.mask(row.study, "right_lung"), maps.store.mask(row.study, "left_lung")
            row_out |= {
                f"true_{key}": value
                for key, value in severity(truth & (right_true | left_true), right_true, left_true).items()
            }
        films.append(row_out)
    tp, fp, fn, tn = (int(n) for n in counts)
    pooled = {"films": len(films), **binary_scores(tp, fp, fn, tn), "auroc": float(counted_auroc(histogram))}
    return pd.DataFrame([pooled]), pd.DataFrame(films)


def detectors(study: Study, folder: Path) -> pd.DataFrame:
    """Detection by the infection map, the patch vote and the global classifier, on the same test films."""
    table = detector_table(study)
    rng = np.random.default_rng(study.config.seed)
    write_table(table, folder / "films")
    write_table(score_detectors(table, rng, study.config.report.bootstrap_resamples), folder / "scores")
    write_table(compare_detectors(table), folder / "comparison")
    pooled, films = pixel_scores(study, table)
    write_table(pooled, folder / "pixels")
    write_table(films, folder / "severity")
    if "true_overall_percent" in films:
        infected = films[films["truth"]]
        found = rank_correlation(
            infected["true_overall_percent"].to_numpy(dtype=float),
            infected["predicted_overall_percent"].to_numpy(dtype=float),
            infected["patient"].to_numpy(),
            rng,
            study.config.report.bootstrap_resamples,
        )
        write_table(
            pd.DataFrame([{"rho": found.rho, "low": found.low, "high": found.high, "p": found.p, "n": found.n}]),
            folder / "severity_correlation",
        )
    return failure_table([])
