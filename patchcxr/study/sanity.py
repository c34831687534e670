"""Sanity checks of a classifier's maps on the films of a cohort (Adebayo 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, ConfigError, PatchCXRError
from patchcxr.explain.gradcam import grad_cam
from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.explain.sanity import cascade, map_similarity, seed_agreement
from patchcxr.inference.voting import VoteConfig
from patchcxr.models.trained import TrainedModel
from patchcxr.patches.location import coverage
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.sanity_figure import OTHER
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.study.lung_view import LungView, lung_view, trained_region
from patchcxr.study.predict import Lungs, failure_table
from patchcxr.study.reading import Progress
from patchcxr.types import FloatArray

MEASURES: Final = ("spearman", "ssim", "top_overlap")


@dataclass(frozen=True)
class SanityConfig:
    """What is checked.

    Attributes
    ----------
    target
        Class index whose maps are compared.
    vote
        Patches; None checks the Grad-CAM of the whole film.
    patches
        Numbers of patches K for the agreement between draws.
    draws
        Draws of patches for each K; below 2 leaves the agreement out.
    map_size
        Side at which maps are compared, in pixels.
    seed
        Of the weights drawn and the patches.
    """

    target: int
    vote: VoteConfig | None = None
    patches: tuple[int, ...] = (10, 25, 50, 100)
    draws: int = 4
    map_size: int = 256
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SanityResult:
    """What was found, one row a film and step or number of patches.

    Attributes
    ----------
    cascade
        study, patient, step, position, spearman, ssim, top_overlap: each map
        against the original, on lung pixels that patches cover. With a network trained on random
        labels the last step is ``random labels``.
    agreement
        study, patient, patches, spearman: mean of all pairs of draws.
    examples
        Film and maps by step of the first films.
    failures
        study, stage, error.
    """

    cascade: pd.DataFrame
    agreement: pd.DataFrame
    examples: list[tuple[str, FloatArray, dict[str, FloatArray]]]
    failures: pd.DataFrame = field(default_factory=lambda: failure_table([]))


def choose_studies(table: pd.DataFrame, name: str, films: int, seed: int) -> pd.DataFrame:
    """Draw so many films of the class ``name`` (``truth``, or ``label``), and of others where it has fewer."""
    own = table["label"] == name
    if "truth" in table:
        own |= (table["truth"] == name).fillna(False).astype(bool)
    order = np.random.default_rng(seed).permutation(len(table))
    first = order[np.argsort(~own.to_numpy(dtype=bool)[order], kind="stable")][:films]
    return table.iloc[np.sort(first)].reset_index(drop=True)


def check_maps(
    model: TrainedModel,
    films: FilmStore,
    lungs: Lungs,
    table: pd.DataFrame,
    config: SanityConfig,
    random_labels: TrainedModel | None = None,
    examples: int = 3,
    progress: Progress | None = None,
) -> SanityResult:
    """Randomise a classifier part by part, and compare its maps of each film with the original ones.

    Parameters
    ----------
    model
        Classifier; it has its weights back afterwards.
    films, lungs, table
        Films, their lungs, and which are checked.
    config
        What is checked.
    random_labels
        The same network trained on permuted labels: its maps are compared too.
    examples
        Films whose maps are kept for the figure.

    Raises
    ------
    CohortError
        If no film could be explained.
    ConfigError
        If the second network knows other classes.
    """
    if random_labels is not None and random_labels.classes != model.classes:
        raise ConfigError(
            f"the network of random labels tells {', '.join(random_labels.classes)} apart; expected "
            f"{', '.join(model.classes)}; train it on the same classes"
        )
    views: dict[str, LungView] = {}
    failures: list[tuple[str, str, str]] = []
    for study in table["study"].astype(str):
        try:
            views[study] = lung_view(films, lungs, study, trained_region(model))
        except (PatchCXRError, OSError) as error:
            failures.append((study, "sanity", str(error)))
    if not views:
        raise CohortError(f"none of {len(table)} films could be checked; the first: {failures[0][2]}")

    def maps(network: TrainedModel) -> dict[str, FloatArray]:
        return {study: explain_target(network, view, config, study) for study, view in views.items()}

    steps = 0

    def explained() -> dict[str, FloatArray]:
        nonlocal steps
        found, steps = maps(model), steps + 1
        if progress:
            progress(steps, 0)
        return found

    found = cascade(model.module, explained, config.seed)
    if random_labels is not None:
        found[OTHER] = maps(random_labels)
    patients = dict(zip(table["study"].astype(str), table["patient"].astype(str), strict=True))
    rows = []
    for position, (step, of_step) in enumerate(found.items()):
        for study, values in of_step.items():
            said = map_similarity(found["original"][study], values, _inside(views[study], config))
            rows.append(
                {"study": study, "patient": patients[study], "step": step, "position": position, **said._asdict()}
            )
    shown = [
        (study, resize_image(view.image, config.map_size), {step: of_step[study] for step, of_step in found.items()})
        for study, view in list(views.items())[:examples]
    ]
    agreement = _agreement(model, views, patients, config)
    return SanityResult(pd.DataFrame(rows), agreement, shown, failure_table(failures))


def explain_target(
    model: TrainedModel, view: LungView, config: SanityConfig, study: str, vote: VoteConfig | None = None, draw: int = 0
) -> FloatArray:
    """Map of the target class, (map_size, map_size), of what a classifier sees of a film; NaN where no patch lies."""
    vote = vote or config.vote
    if vote is None:
        image = resize_image(view.image, model.image_size)
        return resize_image(grad_cam(model.module, image, config.target)[0], config.map_size)
    rng = np.random.default_rng([vote.seed, config.seed, draw, *study.encode()])
    found = probabilistic_grad_cam(model.module, view.image, view.lung, vote, rng, (config.target,))
    covered = coverage(found.vote.centres, vote.patch_size, view.lung.shape) > 0
    return np.where(resize_mask(covered, config.map_size), resize_image(found.maps[0], config.map_size), np.nan)


def _inside(view: LungView, config: SanityConfig) -> np.ndarray:
    return resize_mask(view.lung, config.map_size)


def _agreement(
    model: TrainedModel, views: dict[str, LungView], patients: dict[str, str], config: SanityConfig
) -> pd.DataFrame:
    """Agreement between draws of the same number of patches, for each film and number."""
    rows = []
    if config.vote is not None and config.vote.mode == "sampled" and config.draws > 1:
        for k in config.patches:
            vote = VoteConfig(**{**vars(config.vote), "patches": k})
            for study, view in views.items():
                maps = [explain_target(model, view, config, study, vote, draw) for draw in range(config.draws)]
                spearman = seed_agreement(maps, _inside(view, config))
                rows.append({"study": study, "patient": patients[study], "patches": k, "spearman": spearman})
    return pd.DataFrame(rows, columns=["study", "patient", "patches", "spearman"])


def with_intervals(table: pd.DataFrame, by: str, measures: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Mean of each measure with its 95 % bootstrap interval over patients, for each value of a column, in its order.

    Returns
    -------
    DataFrame
        ``by``, measure, mean, low, high, films; NaN where no film has a value.
    """
    rows = []
    for value, part in table.groupby(by, sort=False):
        for measure in measures:
            known = part.dropna(subset=[measure])
            mean = low = high = float("nan")
            if len(known):
                mean = float(known[measure].mean())
                groups = known["patient"].to_numpy()
                rng = np.random.default_rng(seed)
                low, high = cluster_bootstrap(_mean, known[measure].to_numpy(dtype=float), rng=rng, groups=groups)
            rows.append({by: value, "measure": measure, "mean": mean, "low": low, "high": high, "films": len(known)})
    return pd.DataFrame(rows)


def _mean(values: FloatArray) -> float:
    return float(np.mean(values))
