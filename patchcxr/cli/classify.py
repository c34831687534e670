"""``patchcxr classify``: classes of films by the vote of their patches, or by the whole film."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from patchcxr.cli.options import anatomy_for, as_failures, finish, lungs_for, lungs_name, prepared
from patchcxr.cli.study import read_overrides
from patchcxr.data.inputs import read_inputs
from patchcxr.data.labels import SCHEMES
from patchcxr.errors import CohortError, ModelError
from patchcxr.io.arrays import ArrayFolder
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.store import FilmStore
from patchcxr.study.build import with_classes
from patchcxr.study.classify_films import classify_by_patches, classify_whole_films
from patchcxr.study.networks import open_classifier, vote_settings
from patchcxr.study.provenance import claim_folder, settings_since

MAP_SIZE = 256
"""Side of the maps that are written, in pixels."""


def classify(options: argparse.Namespace) -> int:
    """Write what the classifier says of every film, and its maps where they are asked for.

    Below ``--out``: ``predictions.csv`` (a row a film), ``votes`` and ``patches`` of each film, ``maps`` with
    ``--explain``, and ``failures.csv``.
    """
    out = Path(options.out)
    table, skipped = read_inputs(options.inputs, exclude=out)
    model, config = open_classifier(options.model, options.whole)
    vote = vote_settings(model, read_overrides(options.set))
    target = None if options.explain is None else class_index(model, options.explain, "--explain")
    failures = [as_failures(skipped), prepared(table, out, [vote.image_size], config)]
    table = table[~table["study"].isin(failures[-1]["study"])].reset_index(drop=True)
    anatomy = anatomy_for(table, options.anatomy)
    lungs = lungs_for(table, anatomy, out, vote.image_size, config)
    claim_folder(out / ("scores" if options.whole else "votes"), model)
    told = {"vote": vote, "explain": options.explain, "lungs": lungs_name(anatomy)}
    since = settings_since(out / "settings.json", told)
    films, studies = FilmStore(out / "films", vote.image_size, config), list(table["study"])
    if options.whole:
        failures.append(classify_whole_films(model, films, lungs, studies, out, target, MAP_SIZE, since=since))
    else:
        failures.append(classify_by_patches(model, films, lungs, studies, out, vote, target, MAP_SIZE, since=since))
    said = predictions(out, with_truth(table, model.classes), model.classes, options.whole)
    if said.empty:
        raise CohortError(f"no film could be classified; the first failure: {failures[-1].iloc[0]['error']}")
    said.to_csv(out / "predictions.csv", index=False)
    for name, count in said["predicted"].value_counts().reindex(list(model.classes), fill_value=0).items():
        print(f"  {name:14} {count}")
    return finish(pd.concat(failures, ignore_index=True), out, len(said), "classified")


def class_index(model: TrainedModel, name: str, option: str) -> int:
    """Index of a class of a network.

    Raises
    ------
    ModelError
        If the network does not know the class.
    """
    if name not in model.classes:
        raise ModelError(f"{option} {name!r}: expected one of {', '.join(model.classes)}")
    return model.classes.index(name)


def with_truth(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Add ``truth``, the class of each label by the scheme that has these classes; empty where there is none."""
    schemes = [name for name, scheme in SCHEMES.items() if scheme.classes == tuple(classes)]
    if not schemes:
        return table.assign(truth=pd.NA)
    known = table["label"].isin(list(SCHEMES[schemes[0]].mapping))
    return table.assign(truth=with_classes(table[known], schemes[0])["class_name"].reindex(table.index))


def predictions(out: Path, table: pd.DataFrame, classes: Sequence[str], whole: bool) -> pd.DataFrame:
    """What was written of every film: study, patient, label, truth, predicted, ``p_<class>``, and the vote."""
    scores, votes = ArrayFolder(out / "scores"), ArrayFolder(out / "votes")
    rows = []
    for row in table[["study", "patient", "label", "truth"]].to_dict("records"):
        study = str(row["study"])
        path = votes.path(study).with_suffix(".json")
        if whole and study in scores:
            p = scores.load(study)
            rows.append({**row, "predicted": classes[int(np.argmax(p))], **_named("p", classes, p)})
        elif not whole and path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            said = {"predicted": classes[found["prediction"]], **_named("p", classes, found["probability"])}
            votes_for = _named("votes", classes, found["votes"])
            extra = {key: found[key] for key in ("entropy", "margin", "uncovered_share")}
            rows.append({**row, **said, **votes_for, **extra})
    return pd.DataFrame(rows)


def _named(prefix: str, classes: Sequence[str], values: Iterable[float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in zip(classes, values, strict=True)}
