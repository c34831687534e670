"""``patchcxr explain`` and ``patchcxr sanity``: maps of why a classifier says what it says, and checks of such maps."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch

from patchcxr.cli.classify import class_index, with_truth
from patchcxr.cli.common import progress_bar
from patchcxr.cli.options import (
    anatomy_for,
    as_failures,
    finish,
    lungs_for,
    lungs_name,
    prepared,
)
from patchcxr.cli.study import read_overrides
from patchcxr.data.inputs import read_inputs
from patchcxr.errors import CohortError
from patchcxr.inference.batches import choose_device
from patchcxr.inference.voting import VoteConfig
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.sanity_figure import sanity_figure
from patchcxr.report.style import display_name, save_figure
from patchcxr.report.tables import format_interval
from patchcxr.study.explain_films import ExplainSettings, Target, explain_films
from patchcxr.study.networks import open_classifier, open_model, vote_settings
from patchcxr.study.predict import Lungs
from patchcxr.study.sanity import MEASURES, SanityConfig, check_maps, choose_studies, with_intervals


def explain(options: argparse.Namespace) -> int:
    """Write Grad-CAM maps, predictions and a figure of each film.

    Below ``--out``: ``maps`` (.npy by study; by class and study with ``--target all``), ``pictures``,
    ``predictions.csv`` and ``failures.csv``.
    """
    out = Path(options.out)
    model, vote, table, films, lungs, failures = open_films(options, out)
    settings = ExplainSettings(
        target=_target(model, options.target),
        vote=None if options.whole else vote,
        normalization=options.normalization,
        map_size=options.map_size,
        pictures=not options.no_pictures,
        colormap=options.colormap,
    )
    with progress_bar("explaining", len(table)) as progress:
        anatomy = lungs_name(anatomy_for(table, options.anatomy))
        said, failed = explain_films(model, films, lungs, table, out, settings, progress, anatomy)
    failures.append(failed)
    if said.empty:
        raise CohortError(f"no film could be explained; the first failure: {failed.iloc[0]['error']}")
    said.to_csv(out / "predictions.csv", index=False)
    for name, count in said["predicted"].value_counts().reindex(list(model.classes), fill_value=0).items():
        print(f"  {name:14} {count}")
    return finish(pd.concat(failures, ignore_index=True), out, len(said), "explained")


def open_films(
    options: argparse.Namespace, out: Path, most: int | None = None, seed: int = 0
) -> tuple[TrainedModel, VoteConfig, pd.DataFrame, FilmStore, Lungs, list[pd.DataFrame]]:
    """Classifier, patches, prepared films with their lungs, and the films that failed so far.

    ``most`` films are drawn, of the class ``options.target`` where there are enough.
    """
    table, skipped = read_inputs(options.inputs, exclude=out)
    model, config = open_classifier(options.model, options.whole)
    model.module.to(choose_device(options.device)).to(memory_format=torch.channels_last)
    changes = [*options.set, *([f"mode={options.mode}"] if options.mode else [])]
    vote = vote_settings(model, read_overrides(changes))
    if most is not None:
        table = choose_studies(with_truth(table, model.classes), options.target, most, seed)
    failures = [as_failures(skipped), prepared(table, out, [vote.image_size], config)]
    table = table[~table["study"].isin(failures[-1]["study"])].reset_index(drop=True)
    lungs = lungs_for(table, anatomy_for(table, options.anatomy), out, vote.image_size, config)
    return model, vote, table, FilmStore(out / "films", vote.image_size, config), lungs, failures


def _target(model: TrainedModel, name: str) -> Target:
    if name == "all":
        return "all"
    return "predicted" if name == "predicted" else class_index(model, name, "--target")


def sanity(options: argparse.Namespace) -> int:
    """Check a classifier's maps by randomising its weights; write tables and a figure.

    Below ``--out``: ``cascade.csv`` and ``agreement.csv`` (a row a film), ``summary.csv`` (means with intervals) and
    ``sanity.png``, ``.svg``.
    """
    out = Path(options.out)
    model, vote, table, films, lungs, failures = open_films(options, out, options.films, options.seed)
    target = class_index(model, options.target, "--target")
    random_labels = None if options.random_labels is None else open_model(options.random_labels)[0]
    config = SanityConfig(
        target=target,
        vote=None if options.whole else vote,
        patches=tuple(options.patches),
        draws=options.draws,
        seed=options.seed,
    )
    with progress_bar("randomising", 0) as progress:
        found = check_maps(model, films, lungs, table, config, random_labels, progress=progress)
    found.cascade.to_csv(out / "cascade.csv", index=False)
    found.agreement.to_csv(out / "agreement.csv", index=False)
    steps = with_intervals(found.cascade, "step", MEASURES, options.seed)
    draws = with_intervals(found.agreement, "patches", ("spearman",), options.seed)
    checks = (steps.rename(columns={"step": "at"}), draws.rename(columns={"patches": "at"}))
    names = ("parameter randomisation", "agreement between draws")
    summary = [part.assign(check=name) for part, name in zip(checks, names, strict=True) if len(part)]
    pd.concat(summary, ignore_index=True).to_csv(out / "summary.csv", index=False)
    save_figure(sanity_figure(steps, draws, found.examples, display_name(model.classes[target])), out / "sanity")
    for row in steps[steps["measure"] == "spearman"].to_dict("records"):
        print(f"  {row['step']:24} {format_interval(row['mean'], row['low'], row['high'], 2)}")
    failures.append(found.failures)
    return finish(pd.concat(failures, ignore_index=True), out, found.cascade["study"].nunique(), "checked")
