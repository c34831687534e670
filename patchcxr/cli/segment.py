"""``patchcxr segment`` and ``patchcxr infection``: networks applied to films, folders and cohorts."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd

from patchcxr.cli.common import configured, progress_bar
from patchcxr.cli.options import as_failures
from patchcxr.data.cohort import write_cohort
from patchcxr.data.inputs import read_inputs
from patchcxr.errors import CohortError, ModelError
from patchcxr.inference.batches import choose_device, fitting_batch
from patchcxr.inference.infection import DetectionConfig
from patchcxr.inference.lungs import is_lung_network
from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.masks import read_mask
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.tables import format_interval, write_table
from patchcxr.study.film_output import (
    AnatomyOutput,
    InfectionOutput,
    is_dicom_file,
    of_each_film,
    quartiles,
)
from patchcxr.study.networks import open_model
from patchcxr.study.predict import Lungs, failure_table, predict_infection, segment_films
from patchcxr.study.provenance import network_fingerprint, settings_since
from patchcxr.study.reading import Preparation
from patchcxr.study.select import given
from patchcxr.types import ANATOMY, PARTITION, BoolArray

LUNG_COLUMNS = ("right_lung_mask", "left_lung_mask")


def segment(options: argparse.Namespace) -> int:
    """Write masks of heart and lungs at each film's own size, overlays, the cohort with the masks, and measures.

    Below ``--out``: ``masks/<structure>/``, ``overlays/``, ``segmentation.csv`` (areas, cardiothoracic ratio and
    flags of each film), ``biomarkers.csv``, ``cohort.csv`` and ``failures.csv``. The tables tell of the films of this
    run. A film without lungs is no failure: its masks are empty and its row is flagged.
    """
    begin, out = time.perf_counter(), Path(options.out)
    table, skipped = read_inputs(options.inputs, exclude=out)
    model, config = _network(options.model or "anatomy", ANATOMY, options.device)
    if options.whole_lungs and model.classes != PARTITION:
        raise ModelError(
            f"--whole-lungs needs a network that tells {', '.join(PARTITION[4:])} apart, which this one does not; "
            "leave --model out to take the network of patchcxr"
        )
    store = FilmStore(out / "films", model.image_size, config)
    prepare = Preparation(table, [store], ("infection_mask",), options.workers)
    size = fitting_batch(model.module, model.image_size, options.batch_size)
    with progress_bar("segmenting", len(table)) as progress:
        segment_films(model, store, list(table["study"]), out, batch_size=size, prepare=prepare, progress=progress)
    failures = [as_failures(skipped), prepare.failures()]
    table = _left(table, failures[1])
    network = (model.config.architecture, network_fingerprint(model))
    since = settings_since(out / "masks" / "settings.json", {"network": network, "whole_lungs": options.whole_lungs})
    lungs = Lungs(store, out / "labels", options.whole_lungs, heart=not is_lung_network(model))
    output = AnatomyOutput(out, store, lungs, since, not options.no_pictures)
    with progress_bar("writing masks", len(table)) as progress:
        rows, failed = of_each_film(table.to_dict("records"), output.film, "segment", options.workers, progress)
    failures.append(failure_table(failed))
    table = _left(table, failures[2])
    markers = pd.DataFrame([row.pop("markers") for row in rows])
    found = pd.DataFrame(rows)
    masks = {
        f"{name}_mask": [str(output.path(f"masks/{name}", study)) for study in table["study"]]
        for name in output.structures
    }
    # A reader's mask of both lungs would stand before the two that were found.
    write_cohort(table.assign(**masks, lung_mask=pd.NA), out / "cohort.csv")
    if options.dicom_seg:
        failures.append(_write_objects(table, output, output.structures, network, options.pseudonymise))
    write_table(markers, out / "biomarkers", kinds=("csv",))
    write_table(found, out / "segmentation", kinds=("csv",))
    measures = {"cardiothoracic ratio": (found["cardiothoracic_ratio"], 2)} if lungs.heart else {}
    for name in output.structures:
        measures[f"{name.replace('_', ' ')}, % of film"] = (found[f"{name}_percent"], 1)
    return _finish("segmentation", found, failures, out, begin, [], measures)


def infection(options: argparse.Namespace) -> int:
    """Write infection probabilities, maps and masks, and detection and severity of each film.

    Lungs, for the infected share and the rule ``tahir``, are those of ``--anatomy``; without it the cohort's masks
    where every film has both lungs; else those of the network that comes with patchcxr. A network that tells the part
    of the lungs behind the heart apart gives whole lungs, because infection there counts.
    """
    begin, out = time.perf_counter(), Path(options.out)
    rule = configured(DetectionConfig, options.set)
    table, skipped = read_inputs(options.inputs, exclude=out)
    model, config = _network(options.model or "infection", ("infection",), options.device)
    store = FilmStore(out / "films", model.image_size, config)
    readers = options.anatomy is None and all(given(table[column]).all() for column in LUNG_COLUMNS)
    if readers:
        stores, lungs = [store], Lungs(store)
    else:
        anatomy, own = _network(options.anatomy or "anatomy", ANATOMY, options.device)
        lungs_store = FilmStore(out / "films", anatomy.image_size, own)
        stores = [store] if lungs_store.folder == store.folder else [store, lungs_store]
        lungs = Lungs(lungs_store, out / "anatomy" / "labels", anatomy.classes == PARTITION)
    prepare = Preparation(table, stores, (*LUNG_COLUMNS, "lung_mask") if readers else (), options.workers)
    studies = list(table["study"])
    if not readers:
        size = fitting_batch(anatomy.module, anatomy.image_size, options.batch_size)
        with progress_bar("lungs", len(table)) as progress:
            segment_films(
                anatomy, lungs_store, studies, out / "anatomy", batch_size=size, prepare=prepare, progress=progress
            )
        studies = list(_left(table, prepare.failures())["study"])
    size = fitting_batch(model.module, model.image_size, options.batch_size)
    with progress_bar("infection", len(studies)) as progress:
        predict_infection(model, store, studies, out, size, prepare if readers else None, progress, lungs)
    failures = [as_failures(skipped), prepare.failures()]
    table = _left(table, failures[1])
    settings = {"network": network_fingerprint(model), "rule": rule, "colormap": [options.colormap, options.drawn_from]}
    settings["lungs"] = "cohort" if readers else network_fingerprint(anatomy)
    since = settings_since(out / "maps" / "settings.json", settings)
    maps = ArrayFolder(out / "probability")
    output = InfectionOutput(
        out, store, maps, lungs, since, rule, options.colormap, options.drawn_from, not options.no_pictures
    )
    with progress_bar("drawing maps", len(table)) as progress:
        rows, failed = of_each_film(table.to_dict("records"), output.film, "infection", options.workers, progress)
    failures.append(failure_table(failed))
    table, found = _left(table, failures[2]), pd.DataFrame(rows)
    found.insert(2, "lungs_from", "cohort" if readers else "network")
    masks = [str(output.path("masks/infection", study)) for study in table["study"]]
    write_cohort(table.assign(infection_mask=masks), out / "cohort.csv")
    if options.dicom_seg:
        network = (model.config.architecture, network_fingerprint(model))
        failures.append(_write_objects(table, output, ("infection",), network, options.pseudonymise))
    write_table(found, out / "infection", kinds=("csv",))
    positive = found["positive"].astype(bool)
    counts = [("positive", f"{int(positive.sum())} of {len(found)}")]
    measures = {
        "infected share of lungs, %": (found["overall_percent"], 1),
        "  of positive films, %": (found.loc[positive, "overall_percent"], 1),
    }
    return _finish("infection", found, failures, out, begin, counts, measures)


def _network(path: str, classes: tuple[str, ...], device: str) -> tuple[TrainedModel, PreprocessConfig]:
    """A network by file or name, on its device."""
    where = choose_device(device)
    model, config = open_model(path, classes)
    model.module.to(where)
    return model, config


def _write_objects(
    table: pd.DataFrame,
    output: AnatomyOutput | InfectionOutput,
    structures: tuple[str, ...],
    network: tuple[str, str],
    pseudonymise: bool,
) -> pd.DataFrame:
    """Write the masks of the DICOM films as segmentation objects, and return the films for which that failed."""
    from patchcxr.cli.segmentation_objects import save_masks_as_dicom
    from patchcxr.io.dicom_seg import Algorithm

    def masks(study: str) -> dict[str, BoolArray]:
        return {name: read_mask(output.path(f"masks/{name}", study)) for name in structures}

    films = table[[is_dicom_file(image) for image in table["image"]]]
    with progress_bar("writing DICOM", len(films)) as progress:
        return save_masks_as_dicom(films, masks, output.out / "dicom_seg", Algorithm(*network), pseudonymise, progress)


def _left(table: pd.DataFrame, failures: pd.DataFrame) -> pd.DataFrame:
    """The films that did not fail.

    Raises
    ------
    CohortError
        If there is none.
    """
    left = table[~table["study"].isin(failures["study"])].reset_index(drop=True)
    if left.empty:
        first = failures.iloc[0]
        raise CohortError(f"none of {len(table)} films could be used; the first, {first['study']}: {first['error']}")
    return left


def _finish(
    what: str,
    found: pd.DataFrame,
    failures: list[pd.DataFrame],
    out: Path,
    begin: float,
    counts: list[tuple[str, str]],
    measures: dict[str, tuple[pd.Series, int]],
) -> int:
    """Write ``failures.csv`` and print the summary."""
    failed = pd.concat(failures, ignore_index=True)
    failed.to_csv(out / "failures.csv", index=False)
    seconds = time.perf_counter() - begin
    flags = found["flags"].str.split("; ").explode()
    flags = flags[flags != ""].value_counts()
    lost = failed.loc[~failed["study"].isin(found["study"]), "study"].nunique()
    lines = [("films", f"{len(found)} in {seconds:.1f} s"), ("failed", str(lost)), *counts]
    lines.append(("flagged", str(int((found["flags"] != "").sum()))))
    lines += [(f"  {name}", str(count)) for name, count in flags.items()]
    for name, (values, digits) in measures.items():
        low, median, high = quartiles(values)
        lines.append((name, format_interval(median, low, high, digits)))
    width = max(len(name) for name, _ in lines)
    print(f"{what}: {out} (medians with quartiles)")
    for name, text in lines:
        print(f"  {name:{width}}  {text}")
    if len(failed):
        first = failed.iloc[0]
        print(f"see {out / 'failures.csv'}; the first, {first['study']}: {first['error']}", file=sys.stderr)
    return 0
