"""How well heart and lungs are found, and the biomarkers that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from patchcxr.errors import PatchCXRError, SplitError
from patchcxr.measure import biomarkers as marker
from patchcxr.measure.deformation import UNDER_SEGMENTED, lung_templates
from patchcxr.measure.overlap import dice, jaccard
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.comparison_tables import triangle
from patchcxr.report.tables import write_table
from patchcxr.stats.intervals import wilson_interval
from patchcxr.stats.markers import compare_groups
from patchcxr.study.config import BiomarkerConfig
from patchcxr.study.predict import Lungs, as_film, failure_table
from patchcxr.study.select import from_sources
from patchcxr.types import FloatArray

if TYPE_CHECKING:
    from patchcxr.study.run import Study

SPACING_COLUMNS = ("row_spacing_mm", "column_spacing_mm")
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


def measure_films(
    table: pd.DataFrame, films: FilmStore, anatomy: Lungs, templates: Mapping[str, FloatArray] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Biomarkers of every film (Oh 2020, section III.B), and the films that failed.

    The first table has the cohort's columns study, patient, label, class,
    view, source, split and days, then the biomarkers
    (:func:`patchcxr.measure.biomarkers.biomarkers`) and ``under_segmented``,
    whether the lungs are deformed by a quarter or more (O14; empty without
    ``templates``). A missing organ gives NaN and is listed in the second
    table. The infected shares are those of the cohort's own infection masks;
    millimetres come from the columns ``row_spacing_mm`` and
    ``column_spacing_mm``, else from the film's file.
    """
    rows, failures = [], []
    keep = [c for c in ("study", "patient", "label", "class_name", "view", "source", "split", "days") if c in table]
    given = [c for c in SPACING_COLUMNS if c in table]
    for record in table[keep + given].to_dict("records"):
        name = str(record["study"])
        try:
            right, left, heart = (
                anatomy.structure(name, part, films.size) for part in ("right_lung", "left_lung", "heart")
            )
            values = marker.biomarkers(
                as_film(films.film(name)),
                right,
                left,
                heart,
                infection=films.mask(name, "infection") if films.has(name, "infection") else None,
                pixel_spacing_mm=_spacing(films, name, [record.get(column) for column in SPACING_COLUMNS]),
                templates=templates,
            )
        except PatchCXRError as error:
            failures.append((name, "biomarkers", str(error)))
            continue
        failures += [(name, "biomarkers", reason) for reason in marker.missing_organs(right, left, heart).values()]
        deformed = values["lung_deformation"]
        flag = pd.NA if np.isnan(deformed) else deformed > UNDER_SEGMENTED
        rows.append({**{column: record[column] for column in keep}, **values, "under_segmented": flag})
    return pd.DataFrame(rows), failure_table(failures)


def _spacing(films: FilmStore, study: str, given: Sequence[object]) -> tuple[float, float] | None:
    """(row, column) spacing in millimetres of a prepared film: as the cohort says, else as its file does."""
    row_mm, column_mm = (pd.to_numeric(value, errors="coerce") for value in given)
    if pd.isna(row_mm) or pd.isna(column_mm):
        return films.pixel_spacing_mm(study)
    rows, columns = films.source_shape(study)
    return float(row_mm) * rows / films.size, float(column_mm) * columns / films.size


def lung_shapes(table: pd.DataFrame, films: FilmStore) -> dict[str, FloatArray] | None:
    """Mean shapes of the lungs of the normal training films whose lungs are known; ``None`` without such films."""
    normal = table[(table["label"] == "normal") & (table["split"] == "train")]["study"]
    known = [name for name in normal if films.has(name, "right_lung") and films.has(name, "left_lung")]
    pairs = [(films.mask(name, "right_lung"), films.mask(name, "left_lung")) for name in known]
    pairs = [pair for pair in pairs if all(lung.any() for lung in pair)]
    return lung_templates(pairs) if pairs else None


def under_segmentation(markers: pd.DataFrame) -> pd.DataFrame:
    """Films whose lungs are deformed by a quarter or more, by label (Oh 2020, section on segmentation effects).

    The paper judged by eye; here the deformation is measured against the mean
    shape of normal lungs, so the counts tell of the masks as much as of disease.
    """
    judged = markers[markers["under_segmented"].notna()]
    rows = []
    for label in label_order(judged["label"]):
        part = judged[judged["label"] == label]
        count = int(part["under_segmented"].astype(bool).sum())
        low, high = wilson_interval(count, len(part))
        rows.append({"label": label, "films": len(part), "under_segmented": count, "share": count / len(part)})
        rows[-1] |= {"share_low": low, "share_high": high, "median_deformation": part["lung_deformation"].median()}
    return pd.DataFrame(rows)


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
            triangle(found).write(f"{base}_table")


def biomarkers(study: Study, folder: Path) -> pd.DataFrame:
    """Biomarkers of every film with a class, from predicted masks, and their tests.

    Where the cohort knows the true cardiothoracic ratio or has true masks,
    ``errors`` compares them with the measured one on unseen films.
    """
    config = study.config.biomarkers
    rows = from_sources(study.table[study.table["class_name"].notna()], config.sources)
    films = study.store(study.config.anatomy.image_size)
    templates = lung_shapes(study.table, films)
    markers, failures = measure_films(rows, films, study.predicted_anatomy(), templates)
    write_table(markers, folder / "films", kinds=("csv",))
    if markers["under_segmented"].notna().any():
        write_table(under_segmentation(markers), folder / "under_segmentation")
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
