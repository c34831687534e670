"""How well heart and lungs are found, and the biomarkers that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from patchcxr.errors import PatchCXRError, SplitError
from patchcxr.measure import biomarkers as marker
from patchcxr.measure.boundary import BOUNDARY_MEASURES, boundary_row
from patchcxr.measure.deformation import UNDER_SEGMENTED, lung_templates
from patchcxr.measure.lung_flags import lung_flags
from patchcxr.measure.overlap import dice, jaccard
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.comparison_tables import triangle
from patchcxr.report.tables import write_table
from patchcxr.stats.intervals import wilson_interval
from patchcxr.stats.markers import compare_groups
from patchcxr.study.config import BiomarkerConfig
from patchcxr.study.predict import Lungs, as_film, failure_table
from patchcxr.study.select import anatomy_rows, from_sources
from patchcxr.types import FloatArray

if TYPE_CHECKING:
    from patchcxr.study.run import Study

SPACING_COLUMNS = ("row_spacing_mm", "column_spacing_mm")
STRUCTURES = ("lung", "right_lung", "left_lung", "heart")
SCORES = ("jaccard", "dice", *BOUNDARY_MEASURES, *(f"{name}_mm" for name in BOUNDARY_MEASURES))
"""Measures of a structure, as they follow its name in a column."""


def segmentation(study: Study, folder: Path) -> pd.DataFrame:
    """Overlap and outlines of each structure on every film with true masks (Oh 2020, Table V).

    Writes ``scores`` (a row a film: :func:`score_films`) and ``summary``
    (:func:`summarize_scores`). ``role`` tells films that the network was
    trained on from unseen ones; ``cross`` is a source it never saw. Films of
    the sources ``anatomy.whole_lungs`` are compared with whole lungs, as their
    readers drew them.
    """
    truth, config = Lungs(study.store(study.config.anatomy.image_size)), study.config.anatomy
    parts = [
        score_films(films, study.predicted_anatomy(bool(whole)), truth)
        for whole, films in study.table.groupby(study.table["source"].isin(config.whole_lungs))
    ]
    scores = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if scores.empty:
        raise SplitError("no film of the cohort has a lung or heart mask; add masks, or leave this table out")
    trained = trained_sources(study)
    scores.insert(4, "role", scores["split"].where(scores["source"].isin(trained), "cross"))
    write_table(scores, folder / "scores")
    write_table(summarize_scores(scores, ["source", "role"]), folder / "summary")
    return failure_table([])


def score_films(table: pd.DataFrame, predicted: Lungs, truth: Lungs) -> pd.DataFrame:
    """Measures of each structure on every film with true masks, one row a film.

    Columns are study, patient, source and split, then for each structure of
    :data:`STRUCTURES` ``<structure>_jaccard``, ``_dice``, the outline measures
    (:func:`patchcxr.measure.boundary.boundary_row`) in pixels of the prepared
    film and with ``_mm`` in millimetres where the spacing is known, and
    ``_failed``, whether the structure was missed or invented. Empty where a
    film has no true mask of the structure; NaN where both masks have no pixel.
    A network of the lungs alone is not judged by the heart.
    """
    rows = []
    for record in table.to_dict("records"):
        name = str(record["study"])
        scores: dict[str, float | bool] = {}
        have = truth.store.mask_names(name)
        for part in STRUCTURES:
            if part in have and (part != "heart" or predicted.heart):
                spacing = _spacing(truth.store, name, [record.get(column) for column in SPACING_COLUMNS])
                pair = predicted.structure(name, part), truth.structure(name, part)
                found = {"jaccard": jaccard(*pair), "dice": dice(*pair), **boundary_row(*pair, spacing)}
                scores |= {f"{part}_{measure}": value for measure, value in found.items()}
        if scores:
            rows.append({column: record[column] for column in ("study", "patient", "source", "split")} | scores)
    films = pd.DataFrame(rows)
    return films.astype({column: "boolean" for column in films if str(column).endswith("_failed")})


def summarize_scores(scores: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, spread and extremes of each measure of :func:`score_films`, with the failures counted and kept.

    ``n`` films have a value; ``failed`` of them have one mask empty and the
    other not. Failures count in ``mean``, ``std``, ``median``, ``min`` and
    ``max`` with 0 for Jaccard, Dice and surface Dice and with the diagonal of
    the film for distances (:mod:`patchcxr.measure.boundary`); ``mean_found``
    leaves them out. Films of which both masks are empty (``both_empty``) are in
    none of these.
    """
    rows = []
    for group, part in scores.groupby(list(by), sort=False, dropna=False):
        for structure in STRUCTURES:
            names = [f"{structure}_{measure}" for measure in SCORES if f"{structure}_{measure}" in part]
            if not names:
                continue
            judged = part[part[f"{structure}_failed"].notna()]
            failed = judged[f"{structure}_failed"].astype(bool)
            for name in names:
                values = judged[name]
                # A film without a spacing has pixels but no millimetres, which does not make its masks empty.
                both_empty = int(values.isna().sum()) if not name.endswith("_mm") else 0
                rows.append(
                    {
                        **dict(zip(by, group, strict=True)),
                        "measure": name,
                        "n": int(values.notna().sum()),
                        "failed": int((failed & values.notna()).sum()),
                        "both_empty": both_empty,
                        "mean": values.mean(),
                        "std": values.std(),
                        "median": values.median(),
                        "min": values.min(),
                        "max": values.max(),
                        "mean_found": values[~failed].mean(),
                    }
                )
    summary = pd.DataFrame(rows)
    return summary[summary["n"] + summary["both_empty"] > 0].reset_index(drop=True)


def trained_sources(study: Study) -> set[str]:
    """Sources whose films train the anatomy network."""
    return set(anatomy_rows(study.table, study.config.anatomy)["source"])


def measure_films(
    table: pd.DataFrame, films: FilmStore, anatomy: Lungs, templates: Mapping[str, FloatArray] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Biomarkers of every film (Oh 2020, section III.B), and the films that failed.

    The first table has the cohort's columns study, patient, label, class,
    view, source, split and days, then the biomarkers
    (:func:`patchcxr.measure.biomarkers.biomarkers`) and ``under_segmented``,
    whether the lungs are deformed by a quarter or more (O14; empty without
    ``templates``), and ``flags``, what is odd about the masks or the film, in
    words (:mod:`patchcxr.measure.lung_flags`). A missing organ gives NaN and is
    listed in the second table, but for the heart that a network of the lungs
    alone cannot find. The infected shares are those of the cohort's own
    infection masks; millimetres come from the columns ``row_spacing_mm`` and
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
            film = as_film(films.film(name))
            flags = lung_flags(right, left, heart if anatomy.heart else None, film).text
            values = marker.biomarkers(
                film,
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
        missing = marker.missing_organs(right, left, heart)
        failures += [
            (name, "biomarkers", reason) for organ, reason in missing.items() if organ != "heart" or anatomy.heart
        ]
        deformed = values["lung_deformation"]
        flag = pd.NA if np.isnan(deformed) else deformed >= UNDER_SEGMENTED
        rows.append({**{column: record[column] for column in keep}, **values, "under_segmented": flag, "flags": flags})
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
    if len(errors) and errors["measured"].notna().any():
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
