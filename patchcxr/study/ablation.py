"""Studies that differ in one thing: the ablations of the papers, each by its name."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Final

import pandas as pd

from patchcxr.config import from_dict, merge, to_dict
from patchcxr.errors import ConfigError, PatchCXRError
from patchcxr.study.config import StudyConfig
from patchcxr.study.run import run_study

log = logging.getLogger(__name__)

Changes = dict[str, Any]

ABLATIONS: Final[dict[str, dict[str, Changes]]] = {
    "preprocessing": {
        "equalised, gamma 0.5": {"preprocessing": {"equalize": True, "gamma": 0.5}},
        "equalised": {"preprocessing": {"equalize": True, "gamma": 1.0}},
        "gamma 0.5": {"preprocessing": {"equalize": False, "gamma": 0.5}},
        "original": {"preprocessing": {"equalize": False, "gamma": 1.0}},
    },
    "region": {name: {"classification": {"region": name}} for name in ("mask", "crop", "whole")},
    "standardization": {
        name: {
            "classification": {
                f"{kind}_classifier": {"model": {"standardization": name}} for kind in ("global", "local")
            }
        }
        for name in ("fixed", "batch")
    },
    "augmentation": {
        str(name): {
            "classification": {f"{kind}_classifier": {"train": {"augment": name}} for kind in ("global", "local")}
        }
        for name in (None, "degerli2021", "hertel2022_classification")
    },
    "patch_size": {f"{size} x {size}": {"classification": {"vote": {"patch_size": size}}} for size in (112, 224, 448)},
}
"""Variants by ablation; each is laid over the configuration of a study.

``preprocessing``: with and without the steps of Oh 2020, section II-A.
``region``: masked lungs, the rectangle round the lungs (Hertel 2022), or the
whole film (Oh 2020, Table XVI). ``standardization``: fixed, or by batch
(Hertel 2022). ``augmentation``: of the classifiers. ``patch_size``: Oh 2020,
Table XVII.
"""

GATHERED: Final = ("segmentation/summary", "classification/scores", "detectors/scores")
"""Tables of a study that are compared."""


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
    interrupted; one that fails is listed, and the others go on.

    Returns
    -------
    pandas.DataFrame
        The tables :data:`GATHERED`, stacked, with the columns ``variant`` and
        ``table`` in front; a failed variant has one row with ``error``.
    """
    parts = []
    for variant, varied in variants(config, name).items():
        folder = Path(out) / re.sub(r"[^A-Za-z0-9.]+", "-", variant)
        log.info("ablation %s: %s", name, variant)
        try:
            run_study(varied, folder)
        except PatchCXRError as error:
            parts.append(pd.DataFrame([{"variant": variant, "table": name, "error": str(error)}]))
            continue
        for table in GATHERED:
            path = folder / f"{table}.csv"
            if path.is_file():
                found = pd.read_csv(path)
                found.insert(0, "table", table)
                found.insert(0, "variant", variant)
                parts.append(found)
    return pd.concat(parts, ignore_index=True)
