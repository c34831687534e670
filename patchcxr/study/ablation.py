"""Studies that differ in one thing: the ablations of the papers, each by its name."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.config import from_dict, merge, to_dict
from patchcxr.errors import ConfigError, PatchCXRError
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import write_table
from patchcxr.study.compare_variants import paired_tests
from patchcxr.study.config import StudyConfig
from patchcxr.study.run import Study

log = logging.getLogger(__name__)

Changes = dict[str, Any]


def _both(**changes: Any) -> Changes:
    """The same changes of the global and the local classifier."""
    return {"classification": {f"{kind}_classifier": changes for kind in ("global", "local")}}


def _anatomy(architecture: str) -> Changes:
    network = {"architecture": architecture, "encoder": None, "encoder_weights": None, "encoder_checkpoint": None}
    return {"anatomy": {"model": network | {"encoder_frozen": False}}, "classification": {"lungs": "predicted"}}


def _sick(region: str) -> Changes:
    return {
        "classification": {"labels": "normal_abnormal", "region": region},
        "infection": {"positive": ["abnormal"]},
        "explanation": {"target": "abnormal"},
    }


ABLATIONS: Final[dict[str, dict[str, Changes]]] = {
    "preprocessing": {
        "equalised, gamma 0.5": {"preprocessing": {"equalize": True, "gamma": 0.5}},
        "equalised": {"preprocessing": {"equalize": True, "gamma": 1.0}},
        "gamma 0.5": {"preprocessing": {"equalize": False, "gamma": 0.5}},
        "original": {"preprocessing": {"equalize": False, "gamma": 1.0}},
    },
    "region": {name: {"classification": {"region": name}} for name in ("mask", "crop", "whole")},
    "standardization": {name: _both(model={"standardization": name}) for name in ("fixed", "batch")},
    "augmentation": {
        str(name): _both(train={"augment": name}) for name in (None, "degerli2021", "hertel2022_classification")
    },
    "patch_size": {f"{size} x {size}": {"classification": {"vote": {"patch_size": size}}} for size in (112, 224, 448)},
    "training_share": {f"{100 * share:.0f} %": _both(training_share=share) for share in (1.0, 0.5, 0.3, 0.1)},
    "segmentation_network": {
        name: _anatomy(architecture)
        for name, architecture in (
            ("FC-DenseNet103", "fc_densenet103"),
            ("FC-DenseNet67", "fc_densenet67"),
            ("U-Net", "unet"),
            ("compact U-Net", "compact_unet"),
        )
    },
    "lung_outline": {"masked film": _sick("mask"), "mask alone": _sick("lungs_only")},
}
"""Variants by ablation; each is laid over the configuration of a study.

``preprocessing``: with and without the steps of Oh 2020, section II-A.
``region``: masked lungs, the rectangle round the lungs (Hertel 2022), or the
whole film (Oh 2020, Table XVI). ``standardization``: fixed, or by batch
(Hertel 2022). ``augmentation``: of the classifiers. ``patch_size``: Oh 2020,
Table XVII. ``training_share``: of the patients that train the classifiers (Oh
2020, Fig. 12). ``segmentation_network``: the networks whose lungs mask the
films, trained by the same recipe (Oh 2020, Table XIV). ``lung_outline``:
normal against abnormal, from the masked film and from the lung mask in place
of the film (Oh 2020, section V-F); the global classifier is meant, patches of
a mask show little.
"""

GATHERED: Final = ("segmentation/summary", "classification/scores", "classification/sensitivity", "detectors/scores")
"""Tables of a study that are compared."""

PREDICTIONS: Final = "classification/predictions.csv"
NOTE: Final = (
    "McNemar's exact test of right and wrong films and DeLong's test of the AUROC of the explained class, each with "
    "Holm's correction over the pairs of a family. Both take films as independent; the interval of the accuracies' "
    "difference is over resampled patients."
)


def variants(config: StudyConfig, name: str) -> dict[str, StudyConfig]:
    """Configuration of every variant of an ablation.

    Raises
    ------
    ConfigError
        If no ablation has this name.
    """
    if name not in ABLATIONS:
        raise ConfigError(f"ablation is {name!r}; expected one of {', '.join(ABLATIONS)}")
    base = to_dict(config)
    return {
        variant: from_dict(StudyConfig, merge(base, changes), where=f"{name}: {variant}")
        for variant, changes in ABLATIONS[name].items()
    }


def run_ablation(config: StudyConfig, name: str, out: str | Path) -> pd.DataFrame:
    """Run a study in every variant of an ablation, on the same films and splits.

    Each variant has its folder below ``out`` and is resumed where it was
    interrupted; one that fails is listed, and the others go on. Steps that an
    earlier variant has done with the same configuration, such as the prepared
    films, are taken over from it.

    Writes ``<name>_tests`` to ``out``: paired tests between the variants, and
    between the global and the local classifier of each (see
    :func:`patchcxr.study.compare_variants.paired_tests`).

    Returns
    -------
    pandas.DataFrame
        The tables :data:`GATHERED`, stacked, with the columns ``variant`` and
        ``table`` in front; a failed variant has one row with ``error``.
    """
    parts, predictions, done = [], {}, list[Path]()
    for variant, varied in variants(config, name).items():
        folder = variant_folder(out, variant)
        log.info("ablation %s: %s", name, variant)
        try:
            run_variant(varied, folder, done)
        except PatchCXRError as error:
            parts.append(pd.DataFrame([{"variant": variant, "table": name, "error": str(error)}]))
            continue
        done.append(folder)
        for table in GATHERED:
            path = folder / f"{table}.csv"
            if path.is_file():
                found = read_table(path)
                found.insert(0, "table", table)
                found.insert(0, "variant", variant)
                parts.append(found)
        path = folder / PREDICTIONS
        if path.is_file():
            predictions[variant] = read_table(path)
    if predictions:
        rng, target = np.random.default_rng(config.seed), varied.explanation.target
        tests = paired_tests(predictions, target, rng, config.report.bootstrap_resamples)
        write_table(
            tests, Path(out) / f"{name}_tests", caption=f"Variants of {name} on the same test films.", note=NOTE
        )
    return pd.concat(parts, ignore_index=True)


def variant_folder(out: str | Path, variant: str) -> Path:
    """Folder of a variant below that of its ablation.

    >>> variant_folder("runs", "112 x 112").name
    '112-x-112'
    """
    return Path(out) / re.sub(r"[^A-Za-z0-9.]+", "-", variant).strip("-")


def run_variant(config: StudyConfig, folder: Path, done: Sequence[Path]) -> None:
    """Run a study, taking over steps from the folders of studies that are done.

    Raises
    ------
    PatchCXRError
        As :func:`patchcxr.study.run.run_study`.
    """
    study = Study(config, folder)
    study.steps.others = done
    study.run()
    if "report" in study.steps.failed:
        raise PatchCXRError(study.steps.failed["report"])
