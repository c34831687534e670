"""Measures on their own: ``biomarkers`` and ``intensity``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from patchcxr.cli.common import configured
from patchcxr.cli.options import filled, finish, lungs_for, open_cohort, prepared
from patchcxr.errors import CohortError
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.figures import group_scatter, save_figure
from patchcxr.report.intensity import intensity_figure
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import write_table
from patchcxr.study.config import BiomarkerConfig
from patchcxr.study.evaluate.anatomy import (
    compare_markers,
    label_order,
    lung_shapes,
    measure_films,
    under_segmentation,
)
from patchcxr.study.evaluate.intensity import between_groups, intensity_by_anatomy
from patchcxr.study.networks import open_model
from patchcxr.study.select import given
from patchcxr.types import ANATOMY

DEFAULT_SIZE = 256


def biomarkers(options: argparse.Namespace) -> int:
    """Write biomarkers a film, the tests between labels, and a figure of each measure."""
    out, table = Path(options.out), open_cohort(options.cohort)
    config = configured(BiomarkerConfig, options.set)
    preprocessing, size = PreprocessConfig(), DEFAULT_SIZE
    if options.anatomy:
        model, preprocessing = open_model(options.anatomy, ANATOMY)
        size = model.image_size
    failures = prepared(table, out, [size], preprocessing)
    table = table[~table["study"].isin(failures["study"])].reset_index(drop=True)
    films = FilmStore(out / "films", size, preprocessing)
    anatomy = lungs_for(table, options.anatomy, out, size, preprocessing)
    markers, missing = measure_films(table, films, anatomy, lung_shapes(table, films))
    if markers.empty:
        raise CohortError(
            f"no film has the masks that biomarkers need ({missing.iloc[0]['error']}); give --anatomy MODEL, or fill "
            "in right_lung_mask, left_lung_mask and heart_mask"
        )
    write_table(markers, out / "biomarkers", kinds=("csv",))
    if markers["under_segmented"].notna().any():
        write_table(under_segmentation(markers), out / "under_segmentation")
    if given(markers["label"]).any() and markers["label"].nunique() > 1:
        compare_markers(markers, config, out)
        labels = label_order(markers["label"])
        for measure in config.measures:
            pairs = read_table(out / f"{measure}_pairs.csv")
            figure = group_scatter(markers, measure, "label", labels, pairs, patient="patient")
            save_figure(figure, out / measure)
    return finish(pd.concat([failures, missing], ignore_index=True), out, len(markers), "biomarkers")


def intensity(options: argparse.Namespace) -> int:
    """Write the grey levels of lungs and heart before and after normalisation, and their figure."""
    out, table = Path(options.out), open_cohort(options.cohort)
    if not given(table[options.by]).any():
        raise CohortError(f"--by {options.by}: no film of {options.cohort} has a {options.by}; fill in the column")
    if options.anatomy is None:
        known = given(table["lung_mask"]) | (given(table["right_lung_mask"]) & given(table["left_lung_mask"]))
        if not known.all():
            print(
                f"{int((~known).sum())} of {len(table)} films have no lung mask and are left out; give --anatomy MODEL"
            )
        table = table[known].reset_index(drop=True)
        if table.empty:
            raise CohortError(f"{options.cohort}: no film has a lung mask; give --anatomy MODEL, or fill in lung_mask")
    config, size = configured(PreprocessConfig, options.set), DEFAULT_SIZE
    steps = (PreprocessConfig(equalize=False, gamma=1), config)
    original, normalised = (FilmStore(out / "films", size, step) for step in steps)
    failures = filled(table, [original, normalised])
    table = table[~table["study"].isin(failures["study"])].reset_index(drop=True)
    anatomy = lungs_for(table, options.anatomy, out, size, config)
    values, histograms, missing = intensity_by_anatomy(table, original, normalised, anatomy)
    if values.empty:
        raise CohortError(f"no film has lungs ({missing.iloc[0]['error']}); give --anatomy MODEL, or fill in lung_mask")
    write_table(values, out / "intensity")
    write_table(between_groups(values, options.by), out / "between_groups")
    save_figure(intensity_figure(values, histograms, options.by), out / "intensity")
    return finish(pd.concat([failures, missing], ignore_index=True), out, values["study"].nunique(), "intensities")
