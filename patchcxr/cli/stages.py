"""Stages on their own: ``preprocess`` and ``train``."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from patchcxr.cli.common import configured
from patchcxr.cli.options import anatomy_for, finish, lungs_for, open_cohort, prepared
from patchcxr.cli.study import load_study, logged
from patchcxr.data.splits import check_patients, split_by_patient
from patchcxr.inference.batches import choose_device
from patchcxr.io.arrays import safe_name
from patchcxr.models.trained import load_model
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study import learn, select
from patchcxr.study.build import strata, with_classes
from patchcxr.training.fit import HISTORY


def preprocess(options: argparse.Namespace) -> int:
    """Write each prepared film as PNG."""
    out, table = Path(options.out), open_cohort(options.cohort)
    config = configured(PreprocessConfig, options.set)
    failures = prepared(table, out, [options.size], config)
    store = FilmStore(out / "films", options.size, config)
    done = table[~table["study"].isin(failures["study"])]
    (out / "png").mkdir(parents=True, exist_ok=True)
    for study in done["study"]:
        cv2.imwrite(str(out / "png" / f"{safe_name(study)}.png"), np.asarray(store.film(study)))
    return finish(failures, out, len(done), "prepared")


def train(options: argparse.Namespace) -> int:
    """Train one network on the training split of a cohort."""
    out, table = Path(options.out), open_cohort(options.cohort)
    network: str = options.network
    changes = [*options.set, *_on_device(network, options.device)]
    config = load_study(options.config or "oh2020", changes, options.cohort)
    sizes = {
        "anatomy": config.anatomy.image_size,
        "infection": config.infection.image_size,
        "global": config.classification.vote.image_size,
        "local": config.classification.vote.image_size,
    }
    failures = prepared(table, out, [sizes[network]], config.preprocessing)
    table = table[~table["study"].isin(failures["study"])].reset_index(drop=True)
    table = with_classes(table, config.classification.labels)
    if select.given(table["split"]).all():
        check_patients(table)
    else:
        split = split_by_patient(table.assign(stratum=strata(table)), config.cohort.fractions, "stratum", config.seed)
        table = split.drop(columns="stratum")
    table.to_csv(out / "cohort.csv", index=False)
    store = FilmStore(out / "films", sizes[network], config.preprocessing)
    with logged(out):
        if network == "anatomy":
            learn.train_anatomy(select.anatomy_rows(table, config.anatomy), store, config, out)
        elif network == "infection":
            masked = config.infection.input == "masked_lungs" and options.anatomy is not None
            lungs = (
                lungs_for(table, options.anatomy, out, sizes[network], config.preprocessing, whole_lungs=True)
                if masked
                else None
            )
            learn.train_infection(select.infection_rows(table, config.infection), store, config, out, lungs)
        else:
            anatomy = anatomy_for(table, options.anatomy)
            lungs = lungs_for(table, anatomy, out, sizes[network], config.preprocessing)
            rows = select.classified(table)
            act = learn.train_global if network == "global" else learn.train_local
            act(rows, store, lungs, config, out, network)
    _summarize(out)
    return finish(failures, out, len(table), f"trained {network}")


def _on_device(network: str, device: str | None) -> list[str]:
    """The setting that trains a network on a device; none leaves it to the configuration."""
    if device is None:
        return []
    sections = {"global": "classification.global_classifier", "local": "classification.local_classifier"}
    return [f"{sections.get(network, network)}.train.accelerator={choose_device(device).type}"]


def _summarize(out: Path) -> None:
    """Print how a training went."""
    path = out / "model.safetensors"
    model = load_model(path)
    said, history = model.training, pd.read_csv(out / HISTORY)
    best = history[history["epoch"] == said["best_epoch"]].iloc[0]
    scores = [name for name in history if name not in ("epoch", "lr", "seconds")]
    millions = sum(weight.numel() for weight in model.module.parameters()) / 1e6
    lines = {
        "network": f"{model.config.architecture}, {millions:.1f} M weights",
        "classes": ", ".join(model.classes),
        "items an epoch": f"{said['films']['train']} to train, {said['films']['validation']} to validate",
        "epochs": f"{said['epochs']} in {said['seconds'] / 60:.1f} min",
        "best epoch": str(said["best_epoch"]),
        **{f"  {name}": f"{best[name]:.4f}" for name in scores},
    }
    print(f"model: {path}")
    for name, text in lines.items():
        print(f"  {name:{max(map(len, lines))}}  {text}")
