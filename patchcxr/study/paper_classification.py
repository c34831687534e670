"""Figures of classifiers from the tables of a finished study: Oh 2020, Fig. 6 and 10."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError
from patchcxr.measure.classification import classification_scores
from patchcxr.models.trained import load_model
from patchcxr.report.curves import confusion_figure
from patchcxr.report.paper_figure import PaperFigure
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.style import display_name
from patchcxr.report.tables import PaperTable, format_percent
from patchcxr.report.training_comparison import overfitting, training_comparison, training_values

APPROACHES: Final = {"global": "Global approach", "local": "Local approach"}


def oh2020_figure_6(folder: Path) -> dict[str, PaperFigure]:
    """Confusion matrices of the global and the local approach (Oh 2020, Fig. 6).

    Parameters
    ----------
    folder
        Of a finished study.

    Raises
    ------
    CohortError
        If the study has classified no film.
    """
    matrices, parts, rows = {}, [], []
    for method, approach in APPROACHES.items():
        path = folder / "classification" / f"confusion_{method}.csv"
        if not path.is_file():
            continue
        table = read_table(path).set_index("truth")
        counts, classes = table.to_numpy(dtype=int), list(table.columns)
        macro = classification_scores(counts, classes)["macro"]
        matrices[f"{approach}: accuracy {100 * macro['accuracy']:.1f} %, F1 {100 * macro['f1']:.1f} %"] = counts
        part = table.rename_axis(columns="predicted").stack().rename("films").reset_index()
        part["share"] = part["films"] / part.groupby("truth")["films"].transform("sum")
        parts.append(part.assign(approach=method))
        for name, line, total in zip(classes, counts, counts.sum(axis=1), strict=True):
            row = {"Approach": approach, "True class": display_name(name), "Films": int(total)}
            rows.append({**row, **{display_name(c): int(n) for c, n in zip(classes, line, strict=True)}})
            right = line[classes.index(name)] / total if total else np.nan
            rows[-1]["Sensitivity"] = format_percent(right)
    if not parts:
        raise CohortError(f"{folder}: no classification/confusion_global.csv or _local.csv; run the study to its end")
    data = pd.concat(parts, ignore_index=True)[["approach", "truth", "predicted", "films", "share"]]
    table = PaperTable(
        data=data,
        shown=pd.DataFrame(rows),
        caption="Confusion matrices of the test films, global and local approach.",
        note="Columns after the number of films: predicted class. Every test film that was classified counts once; "
        "F1 in the figure is the mean over classes.",
    )
    return {"": PaperFigure(confusion_figure(matrices, classes), table)}


def oh2020_figure_10(folder: Path) -> dict[str, PaperFigure]:
    """Training and validation by epoch, global and local approach (Oh 2020, Fig. 10).

    What the histories of the trainings lack is left out: without the accuracy
    and F1 of the training films their loss says how far the two part.

    Parameters
    ----------
    folder
        Of a finished study.

    Raises
    ------
    CohortError
        If the study has trained no classifier.
    """
    histories = {
        approach: read_table(folder / method / "history.csv")
        for method, approach in APPROACHES.items()
        if (folder / method / "history.csv").is_file()
    }
    if not histories:
        raise CohortError(f"{folder}: no global/history.csv or local/history.csv; run the study's trainings")
    kept = {
        approach: int(load_model(folder / method / "model.safetensors").training["best_epoch"])
        for method, approach in APPROACHES.items()
        if approach in histories and (folder / method / "model.safetensors").is_file()
    }
    values = training_values(histories)
    gaps = overfitting(values, kept)
    table = PaperTable(
        data=values,
        shown=gaps.rename(columns={"training_of": "approach"}),
        caption="Training and validation by epoch, global and local approach.",
        note="Gap: validation minus training for the loss, training minus validation for scores; above 0 the training "
        "films fare better. Training values are means over an epoch, while the weights change, with dropout and "
        "augmentation where the recipe has them; those of validation are of the epoch's last weights.",
    )
    return {"": PaperFigure(training_comparison(values, kept), table)}
