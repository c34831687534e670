"""Cross-validation of a segmentation network: folds by patient, every film tested once by a network that never saw it.

Each fold is two steps, ``fold_K_train`` and ``fold_K_test``, that are done once
(:class:`~patchcxr.study.steps.StepRunner`): a killed run goes on inside the
fold, a fold that fails is listed, and the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from patchcxr.config import fingerprint, save_yaml
from patchcxr.data.cohort import MASK_COLUMNS
from patchcxr.data.splits import check_leaks, fold_split, folds_by_patient, reduce_training
from patchcxr.errors import ConfigError, SplitError, TrainingError
from patchcxr.models.trained import load_model
from patchcxr.preprocessing.store import FilmStore, prepare_stores
from patchcxr.report.tables import write_table
from patchcxr.study import learn, select
from patchcxr.study.build import strata, with_classes
from patchcxr.study.config import StudyConfig
from patchcxr.study.evaluate.fold import KEPT, anatomy_films, infection_films, measure_fold, needs_lungs
from patchcxr.study.evaluate.pooled import fold_scores, pooled_scores
from patchcxr.study.predict import Lungs
from patchcxr.study.steps import StepRunner
from patchcxr.types import IntArray

log = logging.getLogger(__name__)

NETWORKS: Final = ("anatomy", "infection")
FOLDS: Final = 5
VALIDATION: Final = 0.2
"""Share of the films outside the fold that choose the best epoch (Tahir 2021, section 3.4). Degerli 2021 keeps none."""
TESTED: Final = ("detection", "within_lungs", "minimum_share")
"""Settings of a network that change how it is tested, and not what it learns."""


@dataclass(frozen=True, kw_only=True)
class FoldConfig:
    """How the folds are made and trained.

    Attributes
    ----------
    n_folds
        Folds; None takes the column ``fold`` of the cohort where it is filled, else :data:`FOLDS`.
    validation_fraction
        Share of the films outside the fold that choose the best epoch.
    training_share
        Share of the training patients that are used, to see what fewer films cost (Oh 2020, Table XV).
    """

    n_folds: int | None = None
    validation_fraction: float = VALIDATION
    training_share: float = 1.0

    def __post_init__(self) -> None:
        if self.n_folds is not None and self.n_folds < 2:
            raise ConfigError(f"folds: got {self.n_folds}; expected 2 or more")
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(
                f"validation: got {self.validation_fraction}; expected a share between 0 and 1: "
                "the best epoch is chosen on films that are neither trained on nor tested"
            )


class CrossValidation(NamedTuple):
    """Results: per film, per fold, pooled; the pixels' scores by structure and fold; films and folds that failed."""

    films: pd.DataFrame
    folds: pd.DataFrame
    pooled: pd.DataFrame
    counts: dict[str, dict[int, IntArray]]
    failures: pd.DataFrame
    missing_folds: dict[int, str]


def usable_rows(network: str, table: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """Films of a cohort that can train and test a network, with ``class_name``, and ``infected`` for an infection."""
    table = with_classes(table, config.classification.labels)
    if network == "anatomy":
        rows = select.anatomy_rows(table, config.anatomy)
    elif network == "infection":
        rows = select.infection_rows(table, config.infection)
    else:
        raise ConfigError(f"network is {network!r}; expected one of {', '.join(NETWORKS)}")
    if rows.empty:
        raise SplitError(f"no film of the cohort can train the {network} network; add the masks and labels it needs")
    return rows.reset_index(drop=True)


def with_folds(rows: pd.DataFrame, n_folds: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Films with ``stratum`` and ``fold``; see :class:`FoldConfig` and :func:`patchcxr.study.build.strata`.

    Raises
    ------
    SplitError
        If there are fewer patients than folds, or the cohort's own folds share patients.
    """
    stratum = strata(rows)
    patients = rows.groupby(stratum)["patient"].nunique()
    least = n_folds or FOLDS
    rows = rows.assign(stratum=stratum.mask(stratum.map(patients) < least, str(patients.idxmax())))
    if n_folds is None and "fold" in rows and pd.to_numeric(rows["fold"], errors="coerce").notna().all():
        rows["fold"] = pd.to_numeric(rows["fold"]).astype("Int64")
        check_leaks(rows, "fold", where="folds of the cohort")
        if rows["fold"].nunique() < 2:
            raise SplitError("the cohort's column 'fold' holds one fold; expected two or more, or give --folds")
        return rows
    return folds_by_patient(rows, n_folds or FOLDS, "stratum", seed)


@dataclass
class _Run:
    """One cross-validation and its folder."""

    network: str
    rows: pd.DataFrame
    config: StudyConfig
    folds: FoldConfig
    store: FilmStore
    lungs: Lungs | None
    lungs_from: str
    steps: StepRunner

    def fold(self, fold: int) -> None:
        """Train on the other folds and test this one, unless that is done."""
        train, test = f"fold_{fold}_train", f"fold_{fold}_test"
        try:
            made = fold_split(self.rows, fold, self.folds.validation_fraction, self.config.seed, "stratum")
            if self.folds.training_share < 1:
                made = reduce_training(made, self.folds.training_share, "stratum", self.config.seed)
        except SplitError as error:
            self.steps.failed[train] = str(error)
            return
        stage = getattr(self.config, self.network)
        known = [c for c in ("study", "split", "class_name", "infected", *MASK_COLUMNS) if c in made]
        seen = fingerprint(made[known].astype(str).to_numpy().tolist())
        learnt = {name: value for name, value in vars(stage).items() if name not in TESTED}
        lungs_from = self.lungs_from if learnt.get("input") == "masked_lungs" else ""
        self.steps.run(
            train,
            lambda folder: self._train(made, folder),
            [learnt, self.config.seed, self.config.preprocessing, seen, lungs_from],
        )
        tested = made[made["split"] == "test"]
        self.steps.run(
            test,
            lambda folder: self._test(tested, self.steps.out / train / "model.safetensors", folder),
            [stage, self.lungs_from],
            [train],
        )

    def _train(self, rows: pd.DataFrame, folder: Path) -> None:
        if self.network == "anatomy":
            learn.train_anatomy(rows, self.store, self.config, folder)
        elif self.config.infection.input == "masked_lungs":
            learn.train_infection(rows, self.store, self.config, folder, self.lungs)
        else:
            learn.train_infection(rows, self.store, self.config, folder)

    def _test(self, rows: pd.DataFrame, model: Path, folder: Path) -> pd.DataFrame:
        trained, failures, config = load_model(model), list[tuple[str, str, str]](), self.config
        if self.network == "anatomy":
            measured = anatomy_films(trained, rows, self.store, config.anatomy, folder, failures)
        else:
            measured = infection_films(trained, rows, self.store, self.lungs, config.infection, folder, failures)
        return measure_fold(rows, measured, folder, failures, config.seed)


def cross_validate(
    network: str,
    table: pd.DataFrame,
    config: StudyConfig,
    out: str | Path,
    folds: FoldConfig | None = None,
    lungs: Callable[[pd.DataFrame], Lungs] | None = None,
    lungs_from: str = "masks",
) -> CrossValidation:
    """Cross-validate the anatomy or the infection network, or finish a run that was interrupted.

    Parameters
    ----------
    network
        ``anatomy`` (lungs and heart) or ``infection``.
    table
        Cohort with masks, and for an infection labels.
    config
        Study whose section for this network is used: model, size, recipe, and for an infection the rule of detection.
    out
        Folder of the results. Folds that are done there with the same settings are not trained again.
    folds
        How the folds are made.
    lungs
        Gives the lungs of the prepared films that have no lung mask, where infection is looked for within the lungs
        (``infection.within_lungs``, the rule ``tahir``, or ``input: masked_lungs``).
    lungs_from
        Name of what ``lungs`` come from; another name tests again.

    Returns
    -------
    CrossValidation
        See :func:`patchcxr.study.evaluate.pooled.pooled_scores`. Written below ``out`` too: ``split.csv``,
        ``films.csv``, ``failures.csv`` and ``config.yaml``.

    Raises
    ------
    SplitError
        If the cohort has no films for this network, or fewer patients than folds.
    TrainingError
        If not one fold could be finished.
    """
    out, folds = Path(out), folds or FoldConfig()
    rows = usable_rows(network, table, config)
    out.mkdir(parents=True, exist_ok=True)
    save_yaml(config, out / "config.yaml")
    store = FilmStore(out / "films", getattr(config, network).image_size, config.preprocessing)
    unprepared = prepare_stores(rows, [store])
    rows = rows[~rows["study"].isin(unprepared["study"])].reset_index(drop=True)
    if rows.empty:
        raise SplitError(f"none of {len(unprepared)} films could be prepared; the first: {unprepared.iloc[0]['error']}")
    rows = with_folds(rows, folds.n_folds, config.seed)
    rows[[*KEPT, "stratum"]].to_csv(out / "split.csv", index=False)
    needed = network == "infection" and needs_lungs(config.infection)
    found = lungs(rows) if needed and lungs is not None else None
    run = _Run(network, rows, config, folds, store, found, lungs_from if needed else "", StepRunner(out))
    numbers = sorted(int(fold) for fold in rows["fold"].unique())
    for fold in numbers:
        log.info("fold %d of %d", numbers.index(fold) + 1, len(numbers))
        run.fold(fold)
    failures = pd.concat([unprepared, run.steps.failures()], ignore_index=True)
    failures.to_csv(out / "failures.csv", index=False)
    return _gather(run.steps, config, numbers, failures)


def _gather(steps: StepRunner, config: StudyConfig, numbers: list[int], failures: pd.DataFrame) -> CrossValidation:
    """The folds that are done, put together."""
    missing = {}
    for fold in numbers:
        errors = [steps.failed[name] for kind in ("train", "test") if (name := f"fold_{fold}_{kind}") in steps.failed]
        if errors:
            missing[fold] = errors[0]
    done = [fold for fold in numbers if fold not in missing]
    if not done:
        raise TrainingError(
            f"not one of {len(numbers)} folds could be finished; the first failed: {missing[numbers[0]]}"
        )
    folders = {fold: steps.out / f"fold_{fold}_test" for fold in done}
    text = {"study": str, "patient": str}
    films = pd.concat([pd.read_csv(folder / "films.csv", dtype=text) for folder in folders.values()], ignore_index=True)
    write_table(films, steps.out / "films", kinds=("csv",))
    counts = {
        str(structure): {
            fold: np.load(path) for fold in done if (path := folders[fold] / f"pixels_{structure}.npy").is_file()
        }
        for structure in films["structure"].unique()
    }
    by_fold = fold_scores(films, counts)
    resamples = config.report.bootstrap_resamples
    pooled = pooled_scores(films, counts, by_fold, np.random.default_rng(config.seed), resamples)
    return CrossValidation(films, by_fold, pooled, counts, failures, missing)
