"""The commands and their options. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable
from typing import Any

from patchcxr import __version__

_LUNGS = "anatomy network; by default the cohort's lung masks where every film has them, else that of patchcxr"
NOTICE = "For research only; not a medical device and not for clinical use."


def resolve(target: str) -> Callable[[argparse.Namespace], int | None]:
    """The function that ``"module:function"`` names."""
    module, _, name = target.partition(":")
    found: Callable[[argparse.Namespace], int | None] = getattr(importlib.import_module(module), name)
    return found


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="patchcxr",
        description=f"Patch-based classification, probabilistic Grad-CAM and infection maps for chest X-rays. {NOTICE}",
    )
    parser.add_argument("--version", action="version", version=f"patchcxr {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _study(commands)
    _ablation(commands)
    _cohort(commands)
    _preprocess(commands)
    _train(commands)
    _crossvalidate(commands)
    _apply(commands)
    _explain(commands)
    _predictions(commands)
    _measure(commands)
    return parser


def _command(commands: Any, name: str, text: str, run: str | None) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text}. {NOTICE}")
    command.set_defaults(run=run)
    return command


def _set(command: argparse.ArgumentParser, stage: str) -> None:
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change one value of the {stage} configuration, e.g. --set seed=1; repeat for more",
    )


def _out(command: argparse.ArgumentParser, text: str = "folder for the results") -> None:
    command.add_argument("--out", required=True, metavar="PATH", help=text)


def _study(commands: Any) -> None:
    command = _command(
        commands, "study", "Run a whole study, from a cohort to a report", "patchcxr.cli.study:run_command"
    )
    command.add_argument("config", help="YAML file, or the name of one in configs/ (demo)")
    _out(command)
    command.add_argument("--data", metavar="DIR", help="folder of the real films; sets PATCHCXR_DATA")
    _set(command, "study (dotted keys, e.g. classification.vote.patches=50)")


def _ablation(commands: Any) -> None:
    command = _command(
        commands, "ablation", "Run a study in variants that differ in one thing", "patchcxr.cli.study:ablation"
    )
    command.add_argument("config", help="YAML file, or the name of one in configs/ (demo)")
    command.add_argument(
        "--of",
        required=True,
        help="preprocessing, region, standardization, augmentation, patch_size, training_share, segmentation_network, "
        "lung_outline",
    )
    _out(command)
    command.add_argument("--data", metavar="DIR", help="folder of the real films; sets PATCHCXR_DATA")
    _set(command, "study (dotted keys)")


def _cohort(commands: Any) -> None:
    group = _command(commands, "cohort", "Make a cohort table, look at it, audit it, split it", None)
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    _cohort_make(actions)
    _cohort_use(actions)


def _table(command: argparse.ArgumentParser) -> None:
    _out(command, "the table to write (.csv or .parquet)")


def _scan(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cache", metavar="DIR", help="folder that keeps what was read of the films")
    command.add_argument("--workers", type=int, default=0, help="processes that read films; 0 reads in this one")


def _cohort_make(actions: Any) -> None:
    command = _command(actions, "synthetic", "Generate the synthetic cohort", "patchcxr.cli.cohort:synthetic")
    _out(command)
    _set(command, "synthetic cohort")
    command = _command(
        actions, "sources", "Public data sets that can be imported, and their facts", "patchcxr.cli.cohort:sources"
    )
    command.add_argument("name", nargs="?", help="a data set, for its size, classes, licence, citation and traps")
    command = _command(
        actions, "import", "Import public data sets from their folders", "patchcxr.cli.cohort:import_sources"
    )
    command.add_argument("sources", nargs="+", metavar="NAME=FOLDER", help="e.g. jsrt=/films/jsrt cohen=/films/cohen")
    command.add_argument("--masks", metavar="DIR", help="where masks are drawn that a data set gives as outlines")
    _table(command)
    command = _command(actions, "folder", "Build a table from a folder of films", "patchcxr.cli.cohort:folder")
    command.add_argument("images", help="folder of DICOM, PNG, JPEG, TIFF or NPY films")
    command.add_argument("--csv", help="table with one row a film")
    command.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="which column of the CSV is which, e.g. image=filename label=finding; repeat for more",
    )
    command.add_argument(
        "--identifiers", action="store_true", help="take patient ids from DICOM headers instead of pseudonyms"
    )
    command.add_argument("--no-facts", action="store_true", help="do not read view, age, sex and patient from DICOM")
    _table(command)
    command = _command(actions, "merge", "Stack several tables into one", "patchcxr.cli.cohort:merge")
    command.add_argument("cohorts", nargs="+")
    command.add_argument("--prefix-ids", action="store_true", help="put the source in front of study and patient ids")
    _table(command)


def _cohort_use(actions: Any) -> None:
    command = _command(actions, "show", "Check a table and show what it holds", "patchcxr.cli.cohort:show")
    command.add_argument("cohort")
    command.add_argument("--picture", metavar="PNG", help="draw films of each source and label with their outlines")
    command = _command(
        actions,
        "audit",
        "Find what is wrong with a cohort",
        "patchcxr.cli.cohort:audit",
    )
    command.add_argument("cohort")
    _out(command)
    command.add_argument("--fix", action="store_true", help="write a cleaned cohort, and what was dropped and why")
    command.add_argument(
        "--fail-on",
        choices=("error", "warning", "note", "never"),
        default="error",
        help="exit with 1 from here on",
    )
    _scan(command)
    _set(command, "audit")
    command = _command(actions, "select", "Keep the films with given values", "patchcxr.cli.cohort:select")
    command.add_argument("cohort")
    command.add_argument(
        "--where", action="append", required=True, metavar="COLUMN=VALUE,...", help="e.g. split=test; repeat for more"
    )
    _table(command)
    command = _command(actions, "split", "Split by patient, duplicates kept together", "patchcxr.cli.cohort:split")
    command.add_argument("cohort")
    command.add_argument("--scheme", default="oh2020", help="oh2020, degerli2021, tahir2021, leave_one_source_out, ...")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--stratify", default="label", metavar="COLUMN", help="column of the classes")
    command.add_argument("--fold", type=int, metavar="K", help="write this fold's train, validation and test split")
    command.add_argument("--no-duplicates", action="store_true", help="do not look for copies of films")
    command.add_argument("--allow-leaks", metavar="WORDS", help="accept a split that leaks, in so many words")
    _scan(command)
    _table(command)
    command = _command(actions, "relabel", "Rewrite labels by a scheme or a file", "patchcxr.cli.cohort:relabel")
    command.add_argument("cohort")
    command.add_argument("--by", required=True, metavar="SCHEME|YAML", help="name of a label scheme, or a mapping file")
    _table(command)


def _preprocess(commands: Any) -> None:
    command = _command(
        commands, "preprocess", "Normalise films: equalise, gamma, resize (Oh 2020)", "patchcxr.cli.stages:preprocess"
    )
    command.add_argument("cohort")
    _out(command)
    command.add_argument("--size", type=int, default=1024, help="side of the prepared films in pixels")
    _set(command, "preprocessing")


def _train(commands: Any) -> None:
    command = _command(commands, "train", "Train one network", "patchcxr.cli.stages:train")
    command.add_argument("network", choices=("anatomy", "infection", "global", "local"))
    command.add_argument("cohort", help="cohort table; without a split column filled in, patients are split anew")
    command.add_argument("--config", help="study configuration whose section for this network is used")
    command.add_argument(
        "--anatomy",
        metavar="MODEL",
        help="anatomy network that masks the lungs (infection with input: masked_lungs; for classifiers, where not "
        "every film has lung masks, that of patchcxr by default)",
    )
    command.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), help="by default what the configuration says"
    )
    _out(command)
    _set(command, "study (dotted keys)")


def _films(command: argparse.ArgumentParser, out: str) -> None:
    command.add_argument("inputs", nargs="+", metavar="INPUT", help="films, folders of films, cohort tables")
    command.add_argument("--out", default=out, metavar="DIR", help=f"folder for the results; ./{out} by default")


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    command.add_argument(
        "--batch-size", type=_batch_size, default="auto", metavar="N", help="films at a time; auto: what memory allows"
    )
    command.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="threads that read and write")
    command.add_argument("--dicom-seg", action="store_true", help="write segmentation objects of DICOM films too")
    command.add_argument("--pseudonymise", action="store_true", help="name no patient in segmentation objects")
    command.add_argument("--no-pictures", action="store_true", help="write masks and tables alone")


def _batch_size(text: str) -> int | str:
    if text == "auto" or (text.isdigit() and int(text) > 0):
        return text if text == "auto" else int(text)
    raise argparse.ArgumentTypeError(f"got {text!r}; expected a number from 1, or auto")


def _crossvalidate(commands: Any) -> None:
    command = _command(
        commands,
        "crossvalidate",
        "Train and test a segmentation network in folds by patient",
        "patchcxr.cli.crossvalidate:crossvalidate",
    )
    command.add_argument("network", choices=("anatomy", "infection"))
    command.add_argument("cohort")
    command.add_argument("--config", help="study configuration whose section for this network is used")
    command.add_argument("--folds", type=int, metavar="K", help="by default the cohort's column fold, else 5")
    command.add_argument(
        "--validation", type=float, default=0.2, help="share of the other folds that chooses the epoch"
    )
    command.add_argument("--training-share", type=float, default=1.0, help="share of the training patients used")
    command.add_argument(
        "--anatomy", metavar="MODEL", help="anatomy network (a file, or anatomy) whose lungs limit the infection"
    )
    command.add_argument("--seed", type=int)
    _out(command)
    _set(command, "study (dotted keys)")


def _apply(commands: Any) -> None:
    command = _command(
        commands,
        "segment",
        "Segment heart and lungs; write masks, overlays and measures",
        "patchcxr.cli.segment:segment",
    )
    _films(command, "segmentation")
    command.add_argument("--model", help="anatomy network; that of patchcxr by default")
    command.add_argument("--whole-lungs", action="store_true", help="lungs with the part behind the heart")
    _device(command)
    command = _command(
        commands, "infection", "Infection maps, detection and severity", "patchcxr.cli.segment:infection"
    )
    _films(command, "infection")
    command.add_argument("--model", help="infection network; that of patchcxr by default")
    command.add_argument(
        "--anatomy",
        metavar="MODEL",
        help=_LUNGS,
    )
    command.add_argument("--colormap", default="jet", choices=("jet", "viridis", "inferno"), help="jet is the paper's")
    command.add_argument(
        "--drawn-from", type=float, default=0.25, metavar="P", help="probability from which maps are drawn (paper: 0)"
    )
    _device(command)
    _set(command, "detection")
    command = _command(
        commands, "models", "Networks that come with patchcxr, and their model cards", "patchcxr.cli.models:models"
    )
    command.add_argument("name", nargs="?", help="a network, for its card")
    command = _command(commands, "evaluate", "Compare predicted masks with true ones", "patchcxr.cli.evaluate:evaluate")
    command.add_argument("predicted", help="cohort table, or folder of masks by name (or of folders by structure)")
    command.add_argument("truth", help="the same")
    command.add_argument("--structure", default="lung", help="what a folder of masks shows, if it has no folders")
    command.add_argument("--seed", type=int, default=0, help="of bootstrap intervals")
    _out(command)
    command = _command(
        commands, "classify", "Classify films by the vote of their patches", "patchcxr.cli.classify:classify"
    )
    command.add_argument("inputs", nargs="+", metavar="INPUT", help="films, folders of films, cohort tables")
    command.add_argument(
        "--model", help="local (patch) or global classifier; the patch classifier of patchcxr by default"
    )
    command.add_argument("--anatomy", metavar="MODEL", help=_LUNGS)
    command.add_argument("--global", dest="whole", action="store_true", help="the model is a global classifier")
    command.add_argument("--explain", metavar="CLASS", help="write (probabilistic) Grad-CAM maps of this class too")
    command.add_argument("--out", default="classes", metavar="DIR", help="folder for the results; ./classes by default")
    _set(command, "vote")


def _explain(commands: Any) -> None:
    explain = _command(
        commands, "explain", "Maps of why a classifier says what it says", "patchcxr.cli.explain:explain"
    )
    explain.add_argument(
        "--target", default="predicted", metavar="CLASS", help="class that is explained, all, or predicted (default)"
    )
    explain.add_argument(
        "--normalization",
        default="minmax",
        choices=("minmax", "max", "none"),
        help="of each map; minmax is the paper's",
    )
    explain.add_argument("--map-size", type=int, default=256, help="side of the maps that are written")
    explain.add_argument("--colormap", default="jet", choices=("jet", "viridis", "inferno"), help="jet is the paper's")
    explain.add_argument("--no-pictures", action="store_true", help="write maps and tables alone")
    sanity = _command(
        commands, "sanity", "Do maps depend on the network? Weights and labels at random", "patchcxr.cli.explain:sanity"
    )
    sanity.add_argument("--target", required=True, metavar="CLASS", help="class whose maps are checked")
    sanity.add_argument("--films", type=int, default=16, help="films that are drawn, of the target where there are any")
    sanity.add_argument("--random-labels", metavar="MODEL", help="the same network, trained on permuted labels")
    sanity.add_argument(
        "--patches", type=int, nargs="+", default=[25, 50, 100, 200], help="K for which draws are compared"
    )
    sanity.add_argument("--draws", type=int, default=4, help="draws of patches that are compared")
    sanity.add_argument("--seed", type=int, default=0)
    for command, out in ((explain, "explanation"), (sanity, "sanity")):
        command.add_argument("inputs", nargs="+", metavar="INPUT", help="films, folders of films, cohort tables")
        command.add_argument("--model", help="local (patch) or global classifier; that of patchcxr by default")
        command.add_argument("--anatomy", metavar="MODEL", help=_LUNGS)
        command.add_argument("--global", dest="whole", action="store_true", help="the model is a global classifier")
        command.add_argument("--mode", choices=("sampled", "dense"), help="patches drawn at random, or a grid of them")
        command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
        command.add_argument("--out", default=out, metavar="DIR", help=f"folder for the results; ./{out} by default")
        _set(command, "vote")


def _predictions(commands: Any) -> None:
    command = _command(
        commands, "calibrate", "Calibration, temperature and selective prediction", "patchcxr.cli.calibrate:calibrate"
    )
    command.add_argument("predictions", help="table with study, patient, truth, predicted, p_CLASS (and method)")
    command.add_argument("--validation", metavar="CSV", help="the same for films of other patients, to fit on")
    command.add_argument("--bins", type=int, default=15)
    _resampled(command)
    _out(command)
    command = _command(
        commands, "ensemble", "Several classifiers as one: majority or weighted", "patchcxr.cli.calibrate:ensemble"
    )
    command.add_argument(
        "predictions", nargs="+", metavar="CSV", help="one table a classifier, or with a column method"
    )
    command.add_argument("--validation", nargs="+", metavar="CSV", help="tables of other patients, in the same order")
    command.add_argument("--rule", choices=("majority", "weighted"), default="majority")
    _resampled(command)
    _out(command)
    command = _command(
        commands, "patches-needed", "How many patches a vote needs", "patchcxr.cli.calibrate:patches_needed"
    )
    command.add_argument("folder", help="folder that patchcxr classify wrote")
    command.add_argument("--rule", choices=("majority", "mean_probability"), default="majority", help="of the vote")
    command.add_argument("--level", type=float, default=0.95, help="probability from which a vote counts as settled")
    command.add_argument("--out", metavar="DIR", help="FOLDER/patches_needed by default")
    _resampled(command)


def _resampled(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--resamples", type=int, default=1000)


def _compare_maps(commands: Any) -> None:
    command = _command(
        commands,
        "compare-maps",
        "Measure saliency maps of several methods against the truth",
        "patchcxr.cli.compare_maps:compare_maps",
    )
    command.add_argument("cohort")
    command.add_argument(
        "--maps",
        action="append",
        required=True,
        metavar="NAME=FOLDER",
        help="maps by study: .npy, grey .png or CheXlocalize .pkl; repeat for more",
    )
    command.add_argument(
        "--probability", action="append", default=[], metavar="NAME", help="maps that are probabilities"
    )
    command.add_argument("--truth", default="masks", metavar="masks|boxes|JSON", help="what maps are measured against")
    command.add_argument(
        "--finding", action="append", default=[], help="of boxes, JSON and .pkl maps: findings meant; repeat for more"
    )
    command.add_argument("--lungs", metavar="PATH", help="cohort or folder of lung masks, or none; else the cohort's")
    command.add_argument("--size", type=int, metavar="PIXELS", help="side of the grid; else the film's largest map")
    command.add_argument("--examples", type=int, default=6, help="films that are drawn")
    command.add_argument("--seed", type=int, default=0, help="of bootstrap intervals")
    _out(command)


def _measure(commands: Any) -> None:
    command = _command(
        commands, "biomarkers", "Biomarkers of every film, and their tests", "patchcxr.cli.measure:biomarkers"
    )
    command.add_argument("cohort")
    command.add_argument("--anatomy", metavar="MODEL", help="anatomy network; without it the cohort's masks")
    _out(command)
    _set(command, "biomarkers")
    command = _command(
        commands,
        "followup",
        "The course of one patient over days (Tahir 2021, Fig. 5b)",
        "patchcxr.cli.followup:followup",
    )
    command.add_argument("cohort")
    command.add_argument("--shares", metavar="CSV", help="infection.csv of patchcxr infection; else the readers' masks")
    command.add_argument("--patient", metavar="ID", help="without it, patients with films of several days are listed")
    _out(command)
    command = _command(commands, "stats", "Compare columns of a table between groups", "patchcxr.cli.tables:stats")
    command.add_argument("table", help="CSV, one row a film (with --paired: one row a film and method)")
    command.add_argument("--value", action="append", required=True, metavar="COLUMN", help="repeat for more")
    command.add_argument("--group", required=True, metavar="COLUMN")
    command.add_argument("--patient", default="patient", metavar="COLUMN", help="'' takes films as independent")
    command.add_argument("--paired", metavar="COLUMN", help="rows that belong together, e.g. study: signed-rank tests")
    command.add_argument("--correction", choices=("holm", "fdr_bh", "none"), default="holm")
    command.add_argument(
        "--exclude", action="append", default=[], metavar="COLUMN=VALUE,...", help="a second run without these films"
    )
    command.add_argument("--order", metavar="A,B,...", help="groups in this order; others are left out")
    command.add_argument("--seed", type=int, default=0, help="of bootstrap intervals")
    _out(command)
    command = _command(
        commands, "triage", "Test, exclude or read: triage from predictions", "patchcxr.cli.tables:triage"
    )
    command.add_argument("predictions", help="table with study, patient, predicted, p_CLASS, and truth where known")
    command.add_argument("--positive", action="append", required=True, metavar="CLASS", help="repeat for more")
    command.add_argument("--method", help="which method of the table")
    command.add_argument("--by", default="p_entropy", choices=("entropy", "margin", "p_entropy", "p_margin"))
    command.add_argument("--threshold", type=float, help="from which uncertainty on a film is read")
    _out(command)
    command = _command(
        commands,
        "intensity",
        "Grey levels of lungs and heart by data set, before and after normalisation",
        "patchcxr.cli.measure:intensity",
    )
    command.add_argument("cohort")
    command.add_argument(
        "--by", choices=("source", "label", "view"), default="source", help="what films are grouped by"
    )
    command.add_argument("--anatomy", metavar="MODEL", help="anatomy network; without it the cohort's masks")
    _out(command)
    _set(command, "preprocessing")
    _compare_maps(commands)
    command = _command(
        commands,
        "metrics",
        "Confusion matrix and scores from a table of predictions",
        "patchcxr.cli.tables:metrics",
    )
    command.add_argument("predictions", help="table with the columns truth and predicted (and p_CLASS for curves)")
    _out(command)
