"""Stages on their own: ``preprocess``, ``train``, ``segment``, ``infection`` and ``classify``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from patchcxr.cli.common import configured
from patchcxr.cli.options import finish, lungs_for, open_cohort, open_model, prepared
from patchcxr.cli.study import load_study, logged
from patchcxr.data.splits import check_patients, split_by_patient
from patchcxr.errors import ConfigError, ModelError
from patchcxr.explain.infection_map import infection_map
from patchcxr.inference.infection import DetectionConfig, detect, infection_score, infection_severity
from patchcxr.inference.voting import VoteConfig
from patchcxr.io.arrays import ArrayFolder, safe_name
from patchcxr.io.masks import write_mask
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study import learn, select
from patchcxr.study.build import strata, with_classes
from patchcxr.study.evaluate.anatomy import measure_films
from patchcxr.study.predict import (
    Lungs,
    as_film,
    classify_and_explain_global,
    classify_and_explain_local,
    predict_infection,
    segment_films,
)
from patchcxr.types import ANATOMY

DRAWN_FROM = 0.05
"""Probability from which an infection map is drawn, as in the report: a sigmoid is never exactly zero."""


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
    changes = [*options.set, f"cohort.table={options.cohort}"]
    config = load_study(options.config or "oh2020", changes)
    network: str = options.network
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
            learn.train_anatomy(select.with_anatomy(table), store, config, out)
        elif network == "infection":
            learn.train_infection(select.infection_targets(table, config.infection.positive), store, config, out)
        else:
            lungs = lungs_for(table, options.anatomy, out, sizes[network], config.preprocessing)
            rows = select.classified(table)
            act = learn.train_global if network == "global" else learn.train_local
            act(rows, store, lungs, config, out, network)
    print(f"model: {out / 'model.safetensors'}")
    return finish(failures, out, len(table), f"trained {network}")


def segment(options: argparse.Namespace) -> int:
    """Write masks of heart and lungs at each film's own size, the cohort with them, and the biomarkers."""
    out, table = Path(options.out), open_cohort(options.cohort)
    model, config = open_model(options.model, ANATOMY)
    failures = prepared(table, out, [model.image_size], config)
    table = table[~table["study"].isin(failures["study"])].reset_index(drop=True)
    store = FilmStore(out / "films", model.image_size, config)
    failed = segment_films(model, store, list(table["study"]), out)
    anatomy = Lungs(store, out / "labels")
    for part in ("right_lung", "left_lung", "heart"):
        paths = []
        for study in table["study"]:
            rows, columns = store.source_shape(study)
            mask = cv2.resize(
                anatomy.structure(study, part).astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST
            )
            path = (out / "masks" / part / f"{safe_name(study)}.png").absolute()
            write_mask(path, mask.astype(bool))
            paths.append(str(path))
        table[f"{part}_mask"] = paths
    table.to_csv(out / "cohort.csv", index=False)
    markers, missing = measure_films(table, store, anatomy)
    markers.to_csv(out / "biomarkers.csv", index=False)
    return finish(pd.concat([failures, failed, missing], ignore_index=True), out, len(table), "segmented")


def infection(options: argparse.Namespace) -> int:
    """Write infection probabilities, infection maps as PNG, and detection and severity as a table."""
    out, table = Path(options.out), open_cohort(options.cohort)
    rule = configured(DetectionConfig, options.set)
    model, config = open_model(options.model, ("infection",))
    failures = prepared(table, out, [model.image_size], config)
    table = table[~table["study"].isin(failures["study"])].reset_index(drop=True)
    store = FilmStore(out / "films", model.image_size, config)
    studies = list(table["study"])
    predict_infection(model, store, studies, out)
    maps = ArrayFolder(out / "probability")
    lungs = lungs_for(table, options.anatomy, out, model.image_size, config)
    have_lungs = options.anatomy is not None
    (out / "maps").mkdir(exist_ok=True)
    rows = []
    for study in studies:
        probability = maps.load(study).astype(np.float32)
        known = have_lungs or {"right_lung", "left_lung"} <= store.mask_names(study)
        right, left = (
            (lungs.structure(study, name, model.image_size) if known else None) for name in ("right_lung", "left_lung")
        )
        both = None if right is None or left is None else right | left
        if rule.rule == "tahir" and both is None:
            failures.loc[len(failures)] = [study, "infection", "the rule 'tahir' needs lungs; give --anatomy"]
            continue
        row = {
            "study": study,
            "positive": detect(probability, both, rule),
            "score": infection_score(probability, both, rule),
        }
        shares = {} if right is None or left is None else infection_severity(probability, right, left, rule)
        rows.append(row | shares)
        drawn = infection_map(as_film(store.film(study)), probability, floor=DRAWN_FROM)
        cv2.imwrite(str(out / "maps" / f"{safe_name(study)}.png"), drawn[:, :, ::-1])
    pd.DataFrame(rows).to_csv(out / "infection.csv", index=False)
    return finish(failures, out, len(rows), "infection maps")


def classify(options: argparse.Namespace) -> int:
    """Write what the classifier says of every film, and its maps where they are asked for."""
    out, table = Path(options.out), open_cohort(options.cohort)
    model, config = open_model(options.model)
    vote = configured(VoteConfig, options.set)
    if not options.whole and not any(change.startswith("patch_size=") for change in options.set):
        vote = dataclasses.replace(vote, patch_size=model.image_size)
    failures = prepared(table, out, [vote.image_size], config)
    table = table[~table["study"].isin(failures["study"])].reset_index(drop=True)
    lungs = lungs_for(table, options.anatomy, out, vote.image_size, config)
    films = FilmStore(out / "films", vote.image_size, config)
    target = None
    if options.explain is not None:
        if options.explain not in model.classes:
            raise ModelError(f"--explain {options.explain!r}: expected one of {', '.join(model.classes)}")
        target = model.classes.index(options.explain)
    studies = list(table["study"])
    if options.whole:
        failed = classify_and_explain_global(model, films, lungs, studies, out, target, 256)
    else:
        failed = classify_and_explain_local(model, films, lungs, studies, out, vote, target, 256)
    rows = []
    for row in table[["study", "patient", "label"]].to_dict("records"):
        rows += _said(out, row, model.classes, options.whole)
    if not rows:
        raise ConfigError(f"no film could be classified; the first failure: {failed.iloc[0]['error']}")
    pd.DataFrame(rows).to_csv(out / "predictions.csv", index=False)
    return finish(pd.concat([failures, failed], ignore_index=True), out, len(rows), "classified")


def _said(out: Path, row: dict[str, object], classes: tuple[str, ...], whole: bool) -> list[dict[str, object]]:
    study = str(row["study"])
    if whole:
        scores = ArrayFolder(out / "scores")
        if study not in scores:
            return []
        p = scores.load(study)
        return [
            {**row, "predicted": classes[int(np.argmax(p))], **{f"p_{c}": v for c, v in zip(classes, p, strict=True)}}
        ]
    path = ArrayFolder(out / "votes").path(study).with_suffix(".json")
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    return [
        {
            **row,
            "predicted": classes[found["prediction"]],
            **{f"p_{c}": v for c, v in zip(classes, found["probability"], strict=True)},
            **{f"votes_{c}": v for c, v in zip(classes, found["votes"], strict=True)},
            "entropy": found["entropy"],
            "margin": found["margin"],
            "uncovered_share": found["uncovered_share"],
        }
    ]
