"""A whole study: its steps, what each needs, and the order in which they run.

::

    cohort ─ films ─┬─ anatomy ─ lungs ─┬─ segmentation, biomarkers        (tables)
                    │                   ├─ global ─ global_test ─┐
                    │                   └─ local ── local_test ──┼─ classification, detectors, saliency (tables)
                    └─ infection ─ infection_test ───────────────┘
    report: whatever of the above exists, and the list of what failed
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from patchcxr.config import save_yaml
from patchcxr.data.labels import SCHEMES, LabelScheme
from patchcxr.errors import CohortError, PatchCXRError
from patchcxr.models.trained import TrainedModel, load_model
from patchcxr.preprocessing.store import FilmStore, prepare_stores
from patchcxr.study import evaluate, learn, present, select
from patchcxr.study.build import build_cohort
from patchcxr.study.classify_films import classify_by_patches, classify_whole_films
from patchcxr.study.config import StudyConfig
from patchcxr.study.predict import Lungs, predict_infection, segment_films
from patchcxr.study.steps import StepRunner

log = logging.getLogger(__name__)

MASK_COLUMNS = ("right_lung_mask", "left_lung_mask", "heart_mask", "lung_mask", "infection_mask")


@dataclass
class Study:
    """A study and its folder; each property reads what a step has written."""

    config: StudyConfig
    out: Path

    def __post_init__(self) -> None:
        self.out = Path(self.out)
        self.steps = StepRunner(self.out)

    @property
    def scheme(self) -> LabelScheme:
        """The label scheme of the classification."""
        return SCHEMES[self.config.classification.labels]

    @property
    def target(self) -> int:
        """Index of the class that is explained and detected."""
        return self.scheme.classes.index(self.config.explanation.target)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The cohort with its classes and splits, without the films that could not be prepared."""
        table = pd.read_csv(self.out / "cohort" / "cohort.csv", dtype={"study": str, "patient": str}, low_memory=False)
        failures = pd.read_csv(self.out / "films" / "failures.csv", dtype=str)
        return table[~table["study"].isin(failures["study"])].reset_index(drop=True)

    def store(self, size: int) -> FilmStore:
        """The prepared films of one size."""
        return FilmStore(self.out / "films", size, self.config.preprocessing)

    def lungs(self) -> Lungs:
        """The lung masks that the classification uses."""
        if self.config.classification.lungs == "predicted":
            return self.predicted_anatomy()
        return Lungs(self.store(self.config.classification.vote.image_size))

    def predicted_anatomy(self, whole_lungs: bool = False) -> Lungs:
        """The predicted masks of heart and lungs; with the part behind the heart where the network tells it apart."""
        config = self.config.anatomy
        labels = self.out / "lungs" / "labels"
        return Lungs(self.store(config.image_size), labels, whole_lungs, heart=config.target == "anatomy")

    def infection_lungs(self) -> Lungs:
        """The predicted lungs in which infection counts: whole ones, because it counts behind the heart too."""
        return self.predicted_anatomy(whole_lungs=True)

    def model(self, step: str) -> TrainedModel:
        """The network that a training step has written."""
        return load_model(self.out / step / "model.safetensors")

    def classified(self, split: str | None = None) -> pd.DataFrame:
        """Films with a class, of the sources and lungs that the classification uses."""
        rows = select.from_sources(select.classified(self.table), self.config.classification.sources)
        if split is not None:
            rows = rows[rows["split"] == split]
        if self.config.classification.lungs == "predicted":
            failures = pd.read_csv(self.out / "lungs" / "failures.csv", dtype=str)
            rows = rows[~rows["study"].isin(failures["study"])]
        return rows

    def run(self) -> None:
        """Run every step that is not done, then write the report."""
        config, run = self.config, self.steps.run
        self.out.mkdir(parents=True, exist_ok=True)
        save_yaml(config, self.out / "config.yaml")
        run("cohort", self._cohort, [config.cohort, config.classification.labels, config.seed, self._inputs()])
        if "cohort" in self.steps.failed:
            raise CohortError(self.steps.failed["cohort"])
        run("films", self._films, [config.preprocessing, self._sizes()], ["cohort"])
        run("anatomy", self._anatomy, [config.anatomy, config.seed], ["films"])
        run("lungs", self._lungs, [config.anatomy.minimum_share], ["films", "anatomy"])
        lungs = ["lungs"] if config.infection.input == "masked_lungs" else []
        run("infection", self._infection, [config.infection, config.seed], ["films", *lungs])
        run("infection_test", self._infection_test, [], ["films", "infection", *lungs])
        masked = ["films", "lungs"] if config.classification.lungs == "predicted" else ["films"]
        seen = config.classification
        shared = [seen.labels, seen.sources, seen.lungs, seen.region, seen.shuffled_labels]
        run("global", self._global, [shared, config.classification.global_classifier, config.seed], masked)
        run("global_test", self._global_test, [config.explanation], ["global", *masked])
        vote = config.classification.vote
        run("local", self._local, [shared, config.classification.local_classifier, vote, config.seed], masked)
        run("local_test", self._local_test, [vote, config.explanation], ["local", *masked])
        run("patches", lambda folder: evaluate.patches(self, folder), [], ["local_test"])
        run("segmentation", lambda folder: evaluate.segmentation(self, folder), [], ["lungs"])
        run("biomarkers", lambda folder: evaluate.biomarkers(self, folder), [config.biomarkers], ["lungs"])
        both = ["global_test", "local_test"]
        run("classification", lambda folder: evaluate.classification(self, folder), [], both)
        judged = [config.infection.detection, config.infection.within_lungs, config.report.bootstrap_resamples]
        detectors = [*both, "infection_test", "lungs"]
        run("detectors", lambda folder: evaluate.detectors(self, folder), judged, detectors)
        run("saliency", lambda folder: evaluate.saliency(self, folder), [judged, config.explanation], detectors)
        done = sorted(self.steps.fingerprints.values())
        run("report", lambda folder: present.report(self, folder), [config.title, config.report, done], ["cohort"])
        self.steps.failures().to_csv(self.out / "failures.csv", index=False)

    def _inputs(self) -> Any:
        """What the cohort is built from, so that a changed table is noticed."""
        path = self.config.cohort.table
        if path is None:
            return os.environ.get("PATCHCXR_DATA") if self.config.cohort.sources else None
        file = Path(os.path.expandvars(path))
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else path

    def _sizes(self) -> list[int]:
        config = self.config
        return sorted({config.anatomy.image_size, config.infection.image_size, config.classification.vote.image_size})

    def _cohort(self, folder: Path) -> None:
        build_cohort(self.config, folder)

    def _films(self, folder: Path) -> pd.DataFrame:
        table = pd.read_csv(self.out / "cohort" / "cohort.csv", dtype={"study": str, "patient": str}, low_memory=False)
        return prepare_stores(table, [self.store(size) for size in self._sizes()], mask_columns=MASK_COLUMNS)

    def _anatomy(self, folder: Path) -> None:
        rows = select.anatomy_rows(self.table, self.config.anatomy)
        learn.train_anatomy(rows, self.store(self.config.anatomy.image_size), self.config, folder)

    def _lungs(self, folder: Path) -> pd.DataFrame:
        config = self.config.anatomy
        studies = list(self.table["study"])
        return segment_films(
            self.model("anatomy"), self.store(config.image_size), studies, folder, config.minimum_share
        )

    def _infection(self, folder: Path) -> None:
        config = self.config.infection
        rows = select.infection_rows(self.table, config)
        lungs = self.infection_lungs() if config.input == "masked_lungs" else None
        learn.train_infection(rows, self.store(config.image_size), self.config, folder, lungs)

    def _infection_test(self, folder: Path) -> pd.DataFrame:
        studies = list(self.classified("test")["study"])
        store = self.store(self.config.infection.image_size)
        lungs = self.infection_lungs() if self.config.infection.input == "masked_lungs" else None
        return predict_infection(self.model("infection"), store, studies, folder, lungs=lungs)

    def _global(self, folder: Path) -> None:
        learn.train_global(self.classified(), self._large_films(), self.lungs(), self.config, folder)

    def _local(self, folder: Path) -> None:
        learn.train_local(self.classified(), self._large_films(), self.lungs(), self.config, folder)

    def _large_films(self) -> FilmStore:
        return self.store(self.config.classification.vote.image_size)

    def _global_test(self, folder: Path) -> pd.DataFrame:
        config = self.config.explanation
        return classify_whole_films(
            self.model("global"),
            self._large_films(),
            self.lungs(),
            list(self.classified("test")["study"]),
            folder,
            self.target,
            config.map_size,
            config.normalization,
        )

    def _local_test(self, folder: Path) -> pd.DataFrame:
        config = self.config
        return classify_by_patches(
            self.model("local"),
            self._large_films(),
            self.lungs(),
            list(self.classified("test")["study"]),
            folder,
            config.classification.vote,
            self.target,
            config.explanation.map_size,
            config.explanation.normalization,
        )


def run_study(config: StudyConfig, out: str | Path) -> Study:
    """Run a study, or finish one that was interrupted.

    Parameters
    ----------
    config
        The study.
    out
        Folder for its results. Steps that are done there with the same
        configuration are skipped.

    Raises
    ------
    PatchCXRError
        If the cohort cannot be built or the report not written. Errors of
        other steps and of single films are listed in ``failures.csv`` and in
        the report, and the study goes on.
    """
    study = Study(config, Path(out))
    study.run()
    if "report" in study.steps.failed:
        raise PatchCXRError(study.steps.failed["report"])
    return study
