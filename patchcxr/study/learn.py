"""The four trainings of a study; each writes ``model.safetensors`` and ``history.csv`` to its folder."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import Dataset

from patchcxr.config import to_dict
from patchcxr.data.labels import SCHEMES
from patchcxr.data.splits import reduce_training
from patchcxr.errors import PatchCXRError
from patchcxr.inference.infection import INFECTION_CLASSES
from patchcxr.inference.lungs import LUNG_CLASSES
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.trained import TrainedModel, save_model
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.config import ClassifierConfig, StudyConfig
from patchcxr.study.lung_view import lung_view
from patchcxr.study.predict import KnownLungs, Lungs
from patchcxr.study.select import split_rows
from patchcxr.training.datasets import GlobalDataset, PatchDataset, SegmentationDataset
from patchcxr.training.fit import BEST, LAST, fit
from patchcxr.training.losses import (
    SEGMENTATION_LOSSES,
    PartialCrossEntropy,
    WeightedCrossEntropy,
    class_weights,
)
from patchcxr.training.partial import possible_classes
from patchcxr.training.recipe import TrainConfig
from patchcxr.training.scores import MacroF1, MeanDice, Score
from patchcxr.training.start import start_from
from patchcxr.types import ANATOMY, PARTITION, AnyArray, BoolArray

log = logging.getLogger(__name__)

VALIDATION_SEED = 1_000_003
"""Added to the seed for the patches of the validation set, so that they are not those of training."""


def label_map(store: FilmStore, study: str) -> AnyArray:
    """Indices into :data:`patchcxr.types.ANATOMY` from the masks of a study; the heart lies on top."""
    labels = np.zeros((store.size, store.size), dtype=np.uint8)
    for name in ("right_lung", "left_lung", "heart"):
        labels[store.mask(study, name)] = ANATOMY.index(name)
    return labels


def train_anatomy(rows: pd.DataFrame, store: FilmStore, config: StudyConfig, folder: Path) -> None:
    """Train the segmentation of heart and lungs (Oh 2020, section II.A), or of the lungs alone (``target: lungs``)."""
    stage = config.anatomy
    if stage.whole_lungs:
        train_partition(rows, store, config, folder)
        return
    channels = stage.model.num_classes
    classes = LUNG_CLASSES[channels] if stage.target == "lungs" else ANATOMY
    parts = [list(split_rows(rows, split, "anatomy")["study"]) for split in ("train", "validation")]

    def target(study: str) -> AnyArray:
        return as_target(store.mask(study, "lung"), channels) if stage.target == "lungs" else label_map(store, study)

    def data(studies: list[str], training: bool) -> SegmentationDataset:
        def load(index: int) -> tuple[AnyArray, AnyArray]:
            return store.film(studies[index]), target(studies[index])

        augment = stage.train.augment if training else None
        return SegmentationDataset(load, len(studies), augment, config.seed)

    pixels = np.ones(channels)
    if channels > 1 and stage.class_weights != "none":
        pixels = np.sum([np.bincount(target(study).ravel(), minlength=channels) for study in parts[0]], axis=0)
    _learn(
        stage.model,
        (data(parts[0], True), data(parts[1], False)),
        SEGMENTATION_LOSSES[stage.loss](class_weights(pixels, stage.class_weights)),
        MeanDice(channels),
        stage.train,
        config,
        folder,
        classes,
        stage.image_size,
        target=stage.target,
        loss=stage.loss,
    )


def as_target(mask: BoolArray, channels: int) -> AnyArray:
    """A mask as a network's target: itself for one channel, labels 0 and 1 for two."""
    return mask if channels == 1 else mask.astype(np.uint8)


def train_partition(rows: pd.DataFrame, store: FilmStore, config: StudyConfig, folder: Path) -> None:
    """Train the segmentation of heart and lungs on masks of both conventions (:mod:`patchcxr.training.partial`)."""
    stage = config.anatomy
    parts = [split_rows(rows, split, "anatomy") for split in ("train", "validation")]

    def data(part: pd.DataFrame, training: bool) -> SegmentationDataset:
        studies, whole = list(part["study"]), part["source"].isin(stage.whole_lungs).to_list()

        def load(index: int) -> tuple[AnyArray, AnyArray]:
            study = studies[index]
            names = ("lung",) if whole[index] else ("right_lung", "left_lung", "heart")
            masks = {name: store.mask(study, name) for name in names}
            return store.film(study), possible_classes(masks, whole[index])

        augment = stage.train.augment if training else None
        return SegmentationDataset(load, len(studies), augment, config.seed)

    _learn(
        stage.model,
        (data(parts[0], True), data(parts[1], False)),
        PartialCrossEntropy(),
        None,
        stage.train,
        config,
        folder,
        PARTITION,
        stage.image_size,
    )


def train_infection(
    rows: pd.DataFrame, store: FilmStore, config: StudyConfig, folder: Path, lungs: Lungs | None = None
) -> None:
    """Train the segmentation of the infection on infected films and controls (Degerli 2021; Tahir 2021).

    With ``input: masked_lungs`` a film is masked by the reader's lungs, or by
    those of ``lungs`` where the reader drew none. Films without either, and
    those in which ``lungs`` has no lung, are left out.

    Raises
    ------
    SplitError
        If no film is left.
    """
    stage = config.infection
    channels = stage.model.num_classes
    masked, known = stage.input == "masked_lungs", KnownLungs(store, lungs)
    if masked:
        usable = np.array([_has_lungs(known, study) for study in rows["study"]], dtype=bool)
        if not usable.all():
            log.info("infection: %d of %d films have no lungs and are left out", (~usable).sum(), len(usable))
        rows = rows[usable]
    parts = [split_rows(rows, split, "infection", stage.positive) for split in ("train", "validation")]

    def data(part: pd.DataFrame, training: bool) -> SegmentationDataset:
        studies, infected = list(part["study"]), part["infected"].to_numpy(dtype=bool)
        nothing = np.zeros((store.size, store.size), dtype=bool)

        def load(index: int) -> tuple[AnyArray, AnyArray]:
            study = studies[index]
            film: AnyArray = store.film(study)
            if masked:
                film = film * known.structure(study, "lung", store.size)
            return film, as_target(store.mask(study, "infection") if infected[index] else nothing, channels)

        augment, sampler = (stage.train.augment, stage.train.sampler) if training else (None, "uniform")
        return SegmentationDataset(load, len(studies), augment, config.seed, infected.astype(int), sampler)

    _learn(
        stage.model,
        (data(parts[0], True), data(parts[1], False)),
        SEGMENTATION_LOSSES[stage.loss](None),
        MeanDice(channels),
        stage.train,
        config,
        folder,
        INFECTION_CLASSES[channels],
        stage.image_size,
        input=stage.input,
        loss=stage.loss,
    )


def _has_lungs(lungs: KnownLungs, study: str) -> bool:
    """Whether a film can be masked: a reader drew its lungs, or some were found."""
    if lungs.store.has(study, "lung"):
        return True
    try:
        return bool(lungs.structure(study, "lung").any())
    except PatchCXRError:
        return False


def train_global(
    rows: pd.DataFrame, films: FilmStore, lungs: Lungs, config: StudyConfig, folder: Path, name: str = "global"
) -> None:
    """Train the classifier of whole masked films (Oh 2020, section II.B, the global approach)."""
    stage, region = config.classification.global_classifier, config.classification.region

    def data(studies: list[str], labels: list[int], training: bool) -> Dataset[Any]:
        def load(index: int) -> AnyArray:
            return resize_image(lung_view(films, lungs, studies[index], region).image, stage.image_size)

        augment, sampler = (stage.train.augment, stage.train.sampler) if training else (None, "uniform")
        return GlobalDataset(load, labels, stage.image_size, config.seed, sampler, augment)

    _learn_classifier(rows, data, stage, config, folder, stage.image_size, name, view="film")


def train_local(
    rows: pd.DataFrame, films: FilmStore, lungs: Lungs, config: StudyConfig, folder: Path, name: str = "local"
) -> None:
    """Train the classifier of lung-centred patches (Oh 2020, section II.B, the local approach)."""
    stage, size = config.classification.local_classifier, config.classification.vote.patch_size
    region = config.classification.region

    def data(studies: list[str], labels: list[int], training: bool) -> Dataset[Any]:
        def load(index: int) -> tuple[AnyArray, BoolArray]:
            view = lung_view(films, lungs, studies[index], region)
            return view.image, view.lung

        if training:
            train = stage.train
            return PatchDataset(load, labels, size, stage.patches_per_film, config.seed, train.sampler, train.augment)
        return PatchDataset(load, labels, size, stage.patches_per_film, config.seed + VALIDATION_SEED)

    _learn_classifier(rows, data, stage, config, folder, size, name, vote=to_dict(config.classification.vote))


def _learn_classifier(
    rows: pd.DataFrame,
    data: Callable[[list[str], list[int], bool], Dataset[Any]],
    stage: ClassifierConfig,
    config: StudyConfig,
    folder: Path,
    size: int,
    name: str,
    **notes: Any,
) -> None:
    classes = SCHEMES[config.classification.labels].classes
    if stage.training_share < 1:
        rows = reduce_training(rows, stage.training_share, "class_name", config.seed)
    parts = [split_rows(rows, split, name, classes) for split in ("train", "validation")]
    numbers = [[classes.index(value) for value in part["class_name"]] for part in parts]
    if config.classification.shuffled_labels:
        numbers[0] = np.random.default_rng(config.seed).permutation(numbers[0]).tolist()
        notes["labels"] = "shuffled"
    counts = np.bincount(numbers[0], minlength=len(classes))
    scheme = "none" if stage.train.sampler == "balanced" else stage.class_weights
    train, validation = (
        data(list(part["study"]), labels, training)
        for part, labels, training in zip(parts, numbers, (True, False), strict=True)
    )
    _learn(
        dataclasses.replace(stage.model, num_classes=len(classes)),
        (train, validation),
        WeightedCrossEntropy(class_weights(counts, scheme)),
        MacroF1(len(classes)),
        stage.train,
        config,
        folder,
        classes,
        size,
        region=config.classification.region,
        **({"training_share": f"{stage.training_share:g}"} if stage.training_share < 1 else {}),
        **notes,
    )


def _learn(
    model: ModelConfig,
    data: tuple[Dataset[Any], Dataset[Any]],
    objective: nn.Module,
    score: Score | None,
    recipe: TrainConfig,
    config: StudyConfig,
    folder: Path,
    classes: tuple[str, ...],
    image_size: int,
    **notes: Any,
) -> None:
    recipe = dataclasses.replace(recipe, seed=config.seed)
    module = create_model(model, seed=config.seed)
    told = recipe
    started: dict[str, Any] = {"start": model.encoder_weights or "random"}
    if recipe.start_from is not None:
        start = start_from(module, recipe.start_from)
        told = dataclasses.replace(recipe, start_from=start.name)
        started = {"start": start.name, "weights_taken": start.as_dict()}
    result = fit(module, data[0], data[1], loss=objective, config=recipe, out_dir=folder, score=score)
    if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank() > 0:
        raise SystemExit(0)  # one of the processes that ran this training together writes the network and goes on
    trained = TrainedModel(
        module=module,
        config=model,
        classes=classes,
        image_size=image_size,
        preprocessing=to_dict(config.preprocessing),
        training={
            "recipe": to_dict(told),
            **started,
            "seed": config.seed,
            **notes,
            "best_epoch": int(result.best_epoch),
            "best_value": float(result.best_value),
            "epochs": int(result.epochs_run),
            "seconds": round(float(result.seconds), 1),
            "films": {"train": len(data[0]), "validation": len(data[1])},  # type: ignore[arg-type]
        },
    )
    save_model(folder / "model.safetensors", trained)
    for name in (LAST, BEST):
        (folder / name).unlink(missing_ok=True)
