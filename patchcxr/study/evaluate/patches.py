"""Intensity within and between the correctly classified patches (Oh 2020, section IV-C and Fig. 5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from patchcxr.errors import SplitError
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.patches import intra_inter
from patchcxr.report.tables import write_table
from patchcxr.stats.markers import compare_groups
from patchcxr.study.classify_films import PATCH_COLUMNS
from patchcxr.study.predict import failure_table

if TYPE_CHECKING:
    from patchcxr.study.run import Study

MEASURES = ("inter_mean", "intra_mean")
"""Mean of the patches' means, and of their standard deviations, of a film."""


def patch_table(study: Study) -> pd.DataFrame:
    """Every patch of every test film: study, patient, class_name, predicted, correct, mean and std.

    Mean and standard deviation are those of the lung pixels of the patch, on
    the film as the classifier sees it.
    """
    classes, stored, parts = study.scheme.classes, ArrayFolder(study.out / "local_test" / "patches"), []
    for row in study.classified("test")[["study", "patient", "class_name"]].to_dict("records"):
        if str(row["study"]) in stored:
            seen = stored.load(str(row["study"]))[:, : len(PATCH_COLUMNS)]
            part = pd.DataFrame(seen, columns=list(PATCH_COLUMNS)).assign(**row)
            part["predicted"] = [classes[int(index)] for index in part["predicted"]]
            parts.append(part)
    if not parts:
        raise SplitError("no test film was classified by its patches; see the failures of the step local_test")
    table = pd.concat(parts, ignore_index=True)
    table["correct"] = table["predicted"] == table["class_name"]
    return table[["study", "patient", "class_name", "predicted", "correct", "mean", "std"]]


def patches(study: Study, folder: Path) -> pd.DataFrame:
    """Patches, their spread by film and by class, and tests between classes.

    Writes ``patches``, ``by_film``, ``by_class`` (patches pooled, as in the
    paper) and, where two classes have films, ``<measure>_pairs`` of
    :data:`MEASURES` over patients: patches of a film, and films of a patient,
    are not independent.
    """
    table = patch_table(study)
    write_table(table, folder / "patches", kinds=("csv",))
    by_film = intra_inter(table, ("study", "patient", "class_name"))
    write_table(by_film, folder / "by_film")
    write_table(intra_inter(table, ("class_name",)), folder / "by_class")
    counted = by_film[by_film["n"] > 0]
    present = [name for name in study.scheme.classes if (counted["class_name"] == name).any()]
    if len(present) > 1:
        for measure in MEASURES:
            found = compare_groups(counted, measure, "class_name", present, patient="patient")
            write_table(found.pairs, folder / f"{measure}_pairs")
    return failure_table([])
