"""The films of a fold against their masks: overlap, counts, and the scores of their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from patchcxr.errors import PatchCXRError, TrainingError
from patchcxr.inference.foreground import foreground_probability
from patchcxr.inference.infection import detect, infection_mask, infection_score, within_lungs
from patchcxr.inference.lungs import is_lung_network
from patchcxr.inference.segmentation import merge_partition, predict_probabilities, structure_mask
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.counted import BINS, count_scores
from patchcxr.measure.overlap import dice, jaccard, pixel_confusion
from patchcxr.measure.severity import infected_share
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.config import AnatomyConfig, InfectionConfig
from patchcxr.study.predict import KnownLungs, Lungs, failure_table, predict_infection, segment_films
from patchcxr.study.reading import as_film, batches
from patchcxr.types import ANATOMY, BoolArray, FloatArray

RESAMPLED: Final = 400
"""Most groups of patients in a fold whose pixels are counted apart; enough for a bootstrap, and little memory."""
KEPT: Final = ("study", "patient", "source", "class_name", "fold")
"""Columns of the cohort that stand in the table of films."""
BATCH: Final = 8

Failures = list[tuple[str, str, str]]


class Measured(NamedTuple):
    """One structure of one film: masks and probability (H, W), and what is said of the whole film."""

    row: dict[str, Any]
    structure: str
    truth: BoolArray
    predicted: BoolArray
    probability: FloatArray
    image: dict[str, Any]


def needs_lungs(config: InfectionConfig) -> bool:
    """Whether infection is looked for within the lungs only, or the network sees nothing else."""
    return config.within_lungs or config.detection.rule == "tahir" or config.input == "masked_lungs"


def infection_films(
    model: TrainedModel,
    rows: pd.DataFrame,
    store: FilmStore,
    lungs: Lungs | None,
    config: InfectionConfig,
    folder: Path,
    failures: Failures,
) -> Iterator[Measured]:
    """Infection of every film, with what the rule of ``config.detection`` says of it, and its share of the lungs.

    The shares (``true_percent``, ``predicted_percent``) are of the lungs that are looked into, else of the reader's;
    NaN where there are none.

    A film that lacks the lungs that it needs is added to ``failures``.
    """
    rule, ready, known = config.detection, [], KnownLungs(store, lungs)
    for row in rows.to_dict("records"):
        try:
            if needs_lungs(config):
                known.structure(str(row["study"]), "lung", store.size)
            ready.append(row)
        except PatchCXRError as error:
            failures.append((str(row["study"]), "infection test", str(error)))
    predict_infection(model, store, [str(row["study"]) for row in ready], folder, lungs=known)
    maps = ArrayFolder(folder / "probability")
    for row in ready:
        study = str(row["study"])
        probability: FloatArray = maps.load(study).astype(np.float32)
        lung = known.structure(study, "lung", store.size) if needs_lungs(config) else None
        inside = lung if config.within_lungs else None
        if inside is not None:
            probability = within_lungs(probability, inside)  # Tahir 2021, section 3.2
        truth = store.mask(study, "infection") if row["infected"] else np.zeros(probability.shape, dtype=bool)
        found = infection_mask(probability, inside, rule)
        drawn = store.mask(study, "lung") if lung is None and store.has(study, "lung") else lung
        said = {
            "truth": bool(row["infected"]),
            "score": infection_score(probability, lung, rule),
            "positive": detect(probability, lung, rule),
            "true_percent": float("nan") if drawn is None else infected_share(truth, drawn),
            "predicted_percent": float("nan") if drawn is None else infected_share(found, drawn),
        }
        yield Measured(row, "infection", truth, found, probability, said)


def anatomy_films(
    model: TrainedModel,
    rows: pd.DataFrame,
    store: FilmStore,
    config: AnatomyConfig,
    folder: Path,
    failures: Failures,
) -> Iterator[Measured]:
    """Lungs and heart of every film that has their masks.

    Predicted masks are cleaned (Tahir 2021, section 3.2) and kept as label maps below ``folder/labels``;
    probabilities are the network's own, of a second pass. Lungs that include the part behind the heart are a
    structure of their own, ``whole_lung``. A film without a predicted lung scores 0 and is added to ``failures``.
    """
    found = segment_films(model, store, list(rows["study"]), folder, config.minimum_share)
    failures.extend(found.itertuples(index=False, name=None))
    labels = ArrayFolder(folder / "labels")
    for whole, of_convention in rows.groupby(rows["source"].isin(config.whole_lungs)):
        for part in batches(of_convention.to_dict("records"), BATCH):
            films = np.stack([as_film(store.film(str(row["study"]))) for row in part])
            for row, likely in zip(part, _structures(model, films, bool(whole)), strict=True):
                study = str(row["study"])
                have = store.mask_names(study)
                for name, probability in likely.items():
                    if name in have and not (whole and name == "heart"):
                        predicted = structure_mask(labels.load(study), name, bool(whole))
                        shown = "whole_lung" if whole else name
                        yield Measured(row, shown, store.mask(study, name), predicted, probability, {})


def _structures(model: TrainedModel, films: FloatArray, whole: bool) -> Iterator[dict[str, FloatArray]]:
    """Probability of the lungs, and of the heart where the network knows it, at every pixel of each film."""
    if is_lung_network(model):
        for batch in foreground_probability(model.module, films, len(films)):
            yield from ({"lung": probability} for probability in batch)
        return
    for channels in predict_probabilities(model.module, films, len(films)):
        for probability in merge_partition(channels, whole):
            heart, left, right = (probability[ANATOMY.index(name)] for name in ANATOMY[1:])
            # Sums of a softmax may be above 1 by a rounding error.
            yield {"lung": np.minimum(left + right, 1), "heart": np.minimum(heart, 1)}


def measure_fold(
    rows: pd.DataFrame, measured: Iterator[Measured], folder: Path, failures: Failures, seed: int
) -> pd.DataFrame:
    """Measure the films of a fold one after the other, and return those that failed.

    Writes ``films.csv``, one row a film and structure, and for each structure ``pixels_<structure>.npy``: how often
    each score occurs among its negative and positive pixels (groups, 2, bins). Patients are dealt at random into at
    most :data:`RESAMPLED` groups, so that the memory does not grow with the films.

    Raises
    ------
    TrainingError
        If not one film could be measured.
    """
    # The order is drawn, so that a group does not take its patients from one part of the cohort.
    order = np.random.default_rng(seed).permutation(len(rows))
    codes, patients = pd.factorize(rows["patient"].to_numpy()[order])
    group = dict(zip(rows["study"].to_numpy()[order].tolist(), (codes % RESAMPLED).tolist(), strict=True))
    records, counts = [], {}
    for film in measured:
        tp, fp, fn, tn = pixel_confusion(film.predicted, film.truth)
        records.append(
            {name: film.row[name] for name in KEPT if name in film.row}
            | {"structure": film.structure, "truth_area": tp + fn, "predicted_area": tp + fp}
            | {"dice": dice(film.predicted, film.truth), "iou": jaccard(film.predicted, film.truth)}
            | {"tp": tp, "fp": fp, "fn": fn, "tn": tn, **film.image}
        )
        if film.structure not in counts:
            counts[film.structure] = np.zeros((min(len(patients), RESAMPLED), 2, BINS), dtype=np.int64)
        counts[film.structure][group[film.row["study"]]] += count_scores(film.probability, film.truth)
    if not records:
        first = failures[0][2] if failures else "there are no films"
        raise TrainingError(f"not one of {len(rows)} films of the fold could be measured; the first: {first}")
    pd.DataFrame(records).to_csv(folder / "films.csv", index=False)
    for structure, counted in counts.items():
        np.save(folder / f"pixels_{structure}.npy", counted)
    return failure_table(failures)
