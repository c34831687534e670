"""How well heart and lungs are found, and the biomarkers that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from patchcxr.errors import PatchCXRError, SplitError
from patchcxr.measure import biomarkers as marker
from patchcxr.measure.overlap import dice, jaccard
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.tables import write_table
from patchcxr.stats.markers import compare_groups, triangular_table
from patchcxr.study.config import BiomarkerConfig
from patchcxr.study.predict import Lungs, as_film, failure_table
from patchcxr.study.select import from_sources

if TYPE_CHECKING:
    from patchcxr.study.run import Study

STRUCTURES = ("lung", "right_lung", "left_lung", "heart")


def segmentation(study: Study, folder: Path) -> pd.DataFrame:
    """Jaccard and Dice of each structure on every film with true masks (Oh 2020, Table V).

    Writes ``scores`` (a row a film) and ``summary`` (mean and standard
    deviation by source and split). ``role`` tells films that the network was
    trained on from unseen ones; ``cross`` is a source it never saw.
    """
    truth, predicted = Lungs(study.store(study.config.anatomy.image_size)), study.predicted_anatomy()
    trained = trained_sources(study)
    rows = []
    for row in study.table.itertuples():
        have = truth.store.mask_names(row.study)
        scores = {
            f"{name}_{kind}": measure(predicted.structure(row.study, name), truth.structure(row.study, name))
            for name in STRUCTURES
            if name in have
            for kind, measure in (("jaccard", jaccard), ("dice", dice))
        }
        if scores:
            seen = row.source in trained
            rows.append(
                {
                    "study": row.study,
                    "patient": row.patient,
                    "source": row.source,
                    "split": row.split,
                    "role": row.split if seen else "cross",
                    **scores,
                }
            )
    if not rows:
        raise SplitError("no film of the cohort has a lung or heart mask; add masks, or leave this table out")
    scores = pd.DataFrame(rows)
    write_table(scores, folder / "scores")
    columns = [c for c in scores if c.endswith(("_jaccard", "_dice"))]
    long = scores.melt(["study", "source", "role"], columns, "measure", "value")
    grouped = long.groupby(["source", "role", "measure"], sort=False)["value"]
    summary = grouped.agg(["count", "mean", "std", "min"]).reset_index().rename(columns={"count": "n"})
    write_table(summary[summary["n"] > 0], folder / "summary")
    return failure_table([])


def trained_sources(study: Study) -> set[str]:
    """Sources whose films train the anatomy network."""
    from patchcxr.study.select import with_anatomy

    rows = from_sources(with_anatomy(study.table), study.config.anatomy.sources)
    return set(rows["source"])


def measure_films(table: pd.DataFrame, films: FilmStore, anatomy: Lungs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Biomarkers of every film (Oh 2020, section III.B), and the films that failed.

    The first table has the cohort's columns study, patient, label, class,
    view, source, split and days, then the biomarkers; a missing organ gives
    NaN and is listed in the second table.
    """
    rows, failures = [], []
    keep = [c for c in ("study", "patient", "label", "class_name", "view", "source", "split", "days") if c in table]
    for row in table[keep].to_dict("records"):
        name = str(row["study"])
        try:
            masks = [anatomy.structure(name, part, films.size) for part in ("right_lung", "left_lung", "heart")]
            values = marker.biomarkers(as_film(films.film(name)), *masks)
        except PatchCXRError as error:
            failures.append((name, "biomarkers", str(error)))
            continue
        failures += [(name, "biomarkers", reason) for reason in marker.missing_organs(*masks).values()]
        rows.append({**row, **values})
    return pd.DataFrame(rows), failure_table(failures)


def label_order(labels: pd.Series) -> list[str]:
    """Labels that occur, in the order of Oh 2020, Tables VI to IX; others after them by name."""
    found = set(labels.dropna())
    first = ("normal", "tuberculosis", "bacterial", "viral", "covid19")
    return [name for name in first if name in found] + sorted(found - set(first))


def compare_markers(markers: pd.DataFrame, config: BiomarkerConfig, folder: Path) -> None:
    """Tests of each biomarker between labels (Oh 2020, Tables VI to IX).

    For each measure writes ``<measure>_summary``, ``_normality``,
    ``_omnibus``, ``_pairs`` (over patients), ``_pairs_films`` (each film taken
    as independent, as in the paper) and ``_table`` (triangular); again with
    ``excluded_views_`` before the name without the views of
    ``config.exclude_views`` (Table VIII), where any film has one.
    """
    order = label_order(markers["label"])
    parts = {"": markers}
    excluded = markers["view"].isin(list(config.exclude_views))
    if excluded.any():
        parts["excluded_views_"] = markers[~excluded]
    for prefix, part in parts.items():
        present = [name for name in order if (part["label"] == name).any()]
        for measure in config.measures:
            if measure not in part:
                raise PatchCXRError(
                    f"biomarkers.measures: got {measure!r}; expected some of "
                    f"{', '.join(c for c in part if pd.api.types.is_float_dtype(part[c]))}"
                )
            if len(present) < 2:
                continue
            found = compare_groups(part, measure, "label", present, patient="patient", correction=config.correction)
            base = folder / f"{prefix}{measure}"
            write_table(found.summary, f"{base}_summary")
            write_table(found.normality, f"{base}_normality")
            write_table(found.omnibus, f"{base}_omnibus")
            write_table(found.pairs, f"{base}_pairs")
            write_table(found.naive_pairs, f"{base}_pairs_films")
            write_table(triangular_table(found.pairs, present, found.summary).reset_index(), f"{base}_table")


def biomarkers(study: Study, folder: Path) -> pd.DataFrame:
    """Biomarkers of every film with a class, from predicted masks, and their tests.

    Where the cohort knows the true cardiothoracic ratio or has true masks,
    ``errors`` compares them with the measured one on unseen films.
    """
    config = study.config.biomarkers
    rows = from_sources(study.table[study.table["class_name"].notna()], config.sources)
    films = study.store(study.config.anatomy.image_size)
    markers, failures = measure_films(rows, films, study.predicted_anatomy())
    write_table(markers, folder / "films")
    compare_markers(markers, config, folder)
    errors = marker_errors(study, markers, films)
    if len(errors):
        write_table(errors, folder / "errors")
    return failures


def marker_errors(study: Study, markers: pd.DataFrame, films: FilmStore) -> pd.DataFrame:
    """Measured and true cardiothoracic ratio of the test films whose true masks are known."""
    truth, rows = Lungs(films), []
    for row in markers[markers["split"] == "test"].itertuples():
        have: Sequence[str] = sorted(films.mask_names(row.study))
        if {"right_lung", "left_lung", "heart"} <= set(have):
            lung = truth.structure(row.study, "right_lung") | truth.structure(row.study, "left_lung")
            true = marker.cardiothoracic_ratio(truth.structure(row.study, "heart"), lung)
            rows.append(
                {
                    "study": row.study,
                    "measured": row.cardiothoracic_ratio,
                    "true": true,
                    "error": np.float64(row.cardiothoracic_ratio) - true,
                }
            )
    return pd.DataFrame(rows)
