"""Classification of whole films against the vote of their patches (Oh 2020, Tables X and XI, Fig. 6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from patchcxr.errors import SplitError
from patchcxr.inference.predictions import by_method
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.classification import classification_scores, confusion_matrix, one_vs_rest_auroc
from patchcxr.report.calibration_tables import calibrate, write_calibration
from patchcxr.report.tables import write_table
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.stats.detectors import mcnemar
from patchcxr.stats.intervals import normal_interval
from patchcxr.study.predict import failure_table

if TYPE_CHECKING:
    from patchcxr.study.run import Study

METHODS = ("global", "local")


def predictions(study: Study) -> pd.DataFrame:
    """What both classifiers say of every test film: a row a film and method.

    Columns: study, patient, label, class, method, truth and predicted (class
    names), ``p_<class>`` (softmax of the whole film, or mean over patches),
    and for the vote ``votes_<class>``, entropy, margin and coverage.
    """
    classes = study.scheme.classes
    scores, votes = ArrayFolder(study.out / "global_test" / "scores"), ArrayFolder(study.out / "local_test" / "votes")
    rows = []
    for row in study.classified("test")[["study", "patient", "label", "class_name"]].to_dict("records"):
        name, base = str(row["study"]), {**row, "truth": row["class_name"]}
        if name in scores:
            p = scores.load(name)
            found = {f"p_{c}": float(value) for c, value in zip(classes, p, strict=True)}
            rows.append({**base, "method": "global", "predicted": classes[int(np.argmax(p))], **found})
        path = votes.path(name).with_suffix(".json")
        if path.is_file():
            vote = json.loads(path.read_text(encoding="utf-8"))
            found = {f"p_{c}": value for c, value in zip(classes, vote["probability"], strict=True)}
            found |= {f"votes_{c}": value for c, value in zip(classes, vote["votes"], strict=True)}
            extra = {
                key: vote[key]
                for key in ("entropy", "margin", "minimum_coverage", "median_coverage", "uncovered_share")
            }
            rows.append({**base, "method": "local", "predicted": classes[vote["prediction"]], **found, **extra})
    if not rows:
        raise SplitError("no test film was classified; see the failures of the steps global_test and local_test")
    return pd.DataFrame(rows)


def score_predictions(
    table: pd.DataFrame, classes: tuple[str, ...], folder: Path, rng: np.random.Generator, resamples: int = 1000
) -> None:
    """Confusion matrices, scores and intervals of each method of a table of predictions.

    Writes ``confusion_<method>``, ``scores`` (macro averages, Oh 2020, Table
    X), ``sensitivity`` (a class a column, Table XI) and ``comparison``
    (of two methods: McNemar's test of right and wrong films).
    """
    scores, sensitivity = [], []
    index = {name: number for number, name in enumerate(classes)}
    for method, part in table.groupby("method", sort=False):
        truth, predicted = (part[c].map(index).to_numpy() for c in ("truth", "predicted"))
        matrix = confusion_matrix(truth, predicted, len(classes))
        write_table(
            pd.DataFrame(matrix, columns=list(classes)).assign(truth=list(classes))[["truth", *classes]],
            folder / f"confusion_{method}",
        )
        found = classification_scores(matrix, classes)
        macro = found["macro"]

        def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
            return classification_scores(confusion_matrix(truth, predicted, len(classes)))["macro"]["f1"]

        interval = cluster_bootstrap(
            macro_f1, truth, predicted, rng=rng, groups=part["patient"].to_numpy(), resamples=resamples
        )
        low, high = normal_interval(macro["accuracy"], len(part))
        probabilities = [f"p_{name}" for name in classes]
        area = float("nan")
        if set(probabilities) <= set(part.columns):
            areas = one_vs_rest_auroc(truth, part[probabilities].to_numpy(dtype=float))
            area = float(np.nanmean(areas)) if np.isfinite(areas).any() else float("nan")
        scores.append(
            {
                "method": method,
                "n": len(part),
                "patients": part["patient"].nunique(),
                **{key: macro[key] for key in ("accuracy", "precision", "recall", "f1", "specificity")},
                "auroc": area,
                "accuracy_low": low,
                "accuracy_high": high,
                "f1_low": interval.low,
                "f1_high": interval.high,
            }
        )
        sensitivity.append({"method": method, **{name: found[name]["recall"] for name in classes}})
    write_table(pd.DataFrame(scores), folder / "scores")
    write_table(pd.DataFrame(sensitivity), folder / "sensitivity")
    wide = table.pivot(index="study", columns="method", values="predicted").dropna()
    pair = [row["method"] for row in scores]
    if len(pair) == 2:
        truth = table.drop_duplicates("study").set_index("study")["truth"].loc[wide.index].map(index).to_numpy()
        test = mcnemar(truth, *(wide[name].map(index).to_numpy() for name in pair))
        row = {
            "a": pair[0],
            "b": pair[1],
            "n": len(wide),
            "only_a_right": test.only_a_right,
            "only_b_right": test.only_b_right,
            "p": test.p,
        }
        write_table(pd.DataFrame([row]), folder / "comparison")


def score_calibration(
    table: pd.DataFrame,
    classes: tuple[str, ...],
    folder: Path,
    rng: np.random.Generator,
    resamples: int = 1000,
    validation: pd.DataFrame | None = None,
) -> None:
    """Calibration and selective prediction of each method of a table of predictions.

    Writes ``calibration``, ``reliability``, ``selective`` and ``selective_curve``
    (:func:`~patchcxr.report.calibration_tables.write_calibration`). With a
    table of the same methods for validation films, of other patients, a
    temperature is fitted too.
    """
    fit_on = None if validation is None else by_method(validation, classes, "the validation predictions")
    write_calibration(calibrate(by_method(table, classes), fit_on), folder, rng, resamples)


def classification(study: Study, folder: Path, validation: pd.DataFrame | None = None) -> pd.DataFrame:
    """Predictions of the test films, the scores of both classifiers, and their calibration.

    ``validation``: predictions of the validation films in the form of
    :func:`predictions`, for temperature scaling.
    """
    table = predictions(study)
    write_table(table, folder / "predictions")
    rng, resamples = np.random.default_rng(study.config.seed), study.config.report.bootstrap_resamples
    score_predictions(table, study.scheme.classes, folder, rng, resamples)
    score_calibration(table, study.scheme.classes, folder, rng, resamples, validation)
    return failure_table([])
