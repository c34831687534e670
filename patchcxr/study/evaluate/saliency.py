"""Activation maps against infection maps, measured on the films whose infection is known (X4)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from patchcxr.errors import SplitError
from patchcxr.io.arrays import ArrayFolder
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.study.compare_maps import MapMethod, score_maps, write_comparison
from patchcxr.study.evaluate.detectors import InfectionMaps
from patchcxr.study.predict import failure_table
from patchcxr.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from patchcxr.study.run import Study

MAPS: Final = ("global_gradcam", "probabilistic_gradcam", "infection_map")
PROBABILITIES: Final = ("infection_map",)
"""Infection maps are probabilities; activation maps have no scale of their own."""


class StudyMaps:
    """The three maps of a test film with its true lesion and predicted lungs, all at ``explanation.map_size``."""

    def __init__(self, study: Study) -> None:
        self.size = study.config.explanation.map_size
        self.infection = InfectionMaps(study)
        self.folders = {
            "global_gradcam": ArrayFolder(study.out / "global_test" / "maps"),
            "probabilistic_gradcam": ArrayFolder(study.out / "local_test" / "maps"),
        }

    def map(self, study: str, method: str) -> FloatArray:
        """One map (H, W), float32, not negative."""
        if method == "infection_map":
            return resize_image(np.asarray(self.infection.probability(study), dtype=np.float32), self.size)
        return np.asarray(self.folders[method].load(study), dtype=np.float32)

    def lesion(self, study: str) -> BoolArray:
        """True infection."""
        return resize_mask(self.infection.truth(study, True), self.size)

    def lung(self, study: str) -> BoolArray:
        """Predicted lungs."""
        return resize_mask(self.infection.anatomy.structure(study, "lung"), self.size)

    def complete(self, study: str) -> bool:
        """Whether all three maps exist."""
        return study in self.infection and all(study in folder for folder in self.folders.values())


def explained_films(study: Study, maps: StudyMaps) -> pd.DataFrame:
    """Test films of the explained class whose infection mask is known and not empty, and that have all maps."""
    rows = study.classified("test")
    rows = rows[rows["class_name"] == study.config.explanation.target]
    keep = [
        maps.infection.store.has(name, "infection") and bool(maps.lesion(name).any()) and maps.complete(name)
        for name in rows["study"]
    ]
    return rows[np.array(keep, dtype=bool)]


def saliency(study: Study, folder: Path) -> pd.DataFrame:
    """Every measure of every map, their paired tests, and how well each map ranks severity.

    Writes ``films`` (a row a film, method and measure), ``summary``, ``tests``
    (signed-rank over patients; Holm over the three pairs of each measure) and
    ``severity`` (rank correlation of the map's mean in the lungs with the
    true infected share); see :func:`patchcxr.study.compare_maps.write_comparison`.
    """
    maps = StudyMaps(study)
    rows = explained_films(study, maps)
    if rows.empty:
        raise SplitError(
            f"no test film of class {study.config.explanation.target!r} has an infection mask and all three maps; "
            "add films with infection masks, or change cohort.fractions"
        )
    methods = [MapMethod(name, partial(maps.map, method=name), name in PROBABILITIES) for name in MAPS]
    found = score_maps(
        rows, methods, lambda row, _: maps.lesion(row["study"]), lambda row, _: maps.lung(row["study"]), maps.size
    )
    rng = np.random.default_rng(study.config.seed)
    write_comparison(found, MAPS, folder, rng, study.config.report.bootstrap_resamples)
    return failure_table([(study, f"saliency {name}", error) for study, name, error in found.left_out.to_numpy()])
