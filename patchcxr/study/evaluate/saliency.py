"""Activation maps against infection maps, measured on the films whose infection is known (X4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd

from patchcxr.errors import SplitError
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.localization import localization_scores
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.report.comparison_tables import localization_table
from patchcxr.report.tables import write_table
from patchcxr.stats.association import rank_correlation
from patchcxr.study.evaluate.detectors import InfectionMaps
from patchcxr.study.predict import failure_table
from patchcxr.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from patchcxr.study.run import Study

MAPS = ("global_gradcam", "probabilistic_gradcam", "infection_map")
SCALES: Final[dict[str, Literal["max", "none"]]] = {
    "global_gradcam": "max",
    "probabilistic_gradcam": "max",
    "infection_map": "none",
}
"""Where half lies: activation maps have no scale of their own, infection maps are probabilities."""


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
    true infected share).
    """
    maps = StudyMaps(study)
    rows = explained_films(study, maps)
    if rows.empty:
        raise SplitError(
            f"no test film of class {study.config.explanation.target!r} has an infection mask and all three maps; "
            "add films with infection masks, or change cohort.fractions"
        )
    records, means = [], []
    for row in rows.itertuples():
        lesion, lung = maps.lesion(row.study), maps.lung(row.study)
        for method in MAPS:
            found = maps.map(row.study, method)
            scores = localization_scores(found, lesion, lung, scale=SCALES[method])
            base = {"study": row.study, "patient": row.patient, "method": method}
            records += [{**base, "measure": measure, "value": value} for measure, value in scores.items()]
            means.append(
                {
                    **base,
                    "map_mean": float(found[lung].mean()) if lung.any() else float("nan"),
                    "lesion_share": float((lesion & lung).sum() / lung.sum()) if lung.any() else float("nan"),
                }
            )
    films = pd.DataFrame(records)
    write_table(films, folder / "films")
    summary = films.groupby(["measure", "method"], sort=False)["value"].agg(["count", "mean", "std", "median"])
    write_table(summary.reset_index().rename(columns={"count": "n"}), folder / "summary")
    rng = np.random.default_rng(study.config.seed)
    resamples = study.config.report.bootstrap_resamples
    localization_table(films, MAPS, rng=rng, resamples=resamples).write(folder / "tests")
    ranks = []
    for method, part in pd.DataFrame(means).groupby("method", sort=False):
        ranked = rank_correlation(
            part["map_mean"].to_numpy(), part["lesion_share"].to_numpy(), part["patient"].to_numpy(), rng, resamples
        )
        ranks.append(
            {"method": method, "rho": ranked.rho, "low": ranked.low, "high": ranked.high, "p": ranked.p, "n": ranked.n}
        )
    write_table(pd.DataFrame(ranks), folder / "severity")
    return failure_table([])
