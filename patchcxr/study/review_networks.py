"""Networks that propose masks to the readers of a review (Degerli 2021, Fig. 4; Tahir 2021, section 2.2).

By cross-validation, every film's mask comes from a network that never saw it (Degerli, stage I). Networks that are
trained already propose masks of films that nobody has drawn yet (Degerli, stage II; Tahir, stages II and III). Masks
are written at each film's own size, a PNG a study, for :mod:`patchcxr.review.propose`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.config import fingerprint, load_yaml
from patchcxr.errors import CohortError, ConfigError
from patchcxr.inference.infection import DetectionConfig, infection_mask
from patchcxr.inference.lungs import is_lung_network
from patchcxr.inference.segmentation import structure_mask
from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.masks import mask_paths, write_mask
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.preprocessing.store import FilmStore, prepare_stores
from patchcxr.study.config import StudyConfig
from patchcxr.study.crossvalidation import FoldConfig, cross_validate
from patchcxr.study.film_output import Record, enlarge_mask, of_each_film, picture_path
from patchcxr.study.predict import KnownLungs, Lungs, failure_table, predict_infection, segment_films
from patchcxr.study.provenance import network_fingerprint
from patchcxr.study.reading import Progress
from patchcxr.study.steps import FAILURE_COLUMNS
from patchcxr.types import PARTITION, BoolArray

NETWORKS: Final = {"infection": "infection", "lung": "anatomy"}
"""Network that proposes masks of a target."""
LUNG_COLUMNS: Final = ("right_lung_mask", "left_lung_mask", "lung_mask")


def is_cross_validation(folder: str | Path) -> bool:
    """Whether a folder was written by ``patchcxr crossvalidate``."""
    return (Path(folder) / "config.yaml").is_file() and any(Path(folder).glob("fold_*_test"))


def network_folder(root: Path, name: str, *settings: object) -> Path:
    """Folder of what a network proposes: another network, other settings or other masks have another folder.

    An interrupted run of the same goes on there.
    """
    return root / f"{name}-{fingerprint(name, *settings)[:8]}"


def table_stamp(table: pd.DataFrame, target: str) -> str:
    """Fingerprint of the masks that a network of a target learns from: their paths, sizes and times of change."""
    columns = ["infection_mask"] if target == "infection" else ["heart_mask", *LUNG_COLUMNS]
    rows: list[list[object]] = []
    for row in table[["study", "label", *columns]].astype("string").fillna("").to_dict("records"):
        facts = [path.stat() for column in columns for path in mask_paths(row[column]) if path.is_file()]
        rows.append([*row.values(), *((fact.st_size, fact.st_mtime_ns) for fact in facts)])
    return fingerprint(rows)


def crossvalidated_masks(
    target: str,
    table: pd.DataFrame,
    config: StudyConfig,
    out: Path,
    folds: FoldConfig,
    lungs: Callable[[pd.DataFrame], Lungs] | None = None,
    whole_lungs: bool = False,
) -> tuple[Path, pd.DataFrame]:
    """Cross-validate a network on a cohort's masks and write the mask that each film got while it was held out.

    Parameters
    ----------
    target
        ``infection`` or ``lung``.
    table, config, folds, lungs
        As for :func:`patchcxr.study.crossvalidation.cross_validate`.
    out
        Folder of the cross-validation; masks go to ``out/masks/<target>``.
    whole_lungs
        As for :func:`held_out_masks`.

    Returns
    -------
    The folder of the masks, and the films and folds that failed (study, stage, error).

    Raises
    ------
    SplitError
        If the cohort has too few films with masks for the folds.
    """
    found = cross_validate(NETWORKS[target], table, config, out, folds, lungs)
    within = target == "infection" and config.infection.within_lungs
    tested = table[table["study"].astype(str).isin(found.films["study"])]
    folder, failures = held_out_masks(
        target, out, out / "masks", lungs(tested) if within and lungs is not None else None, whole_lungs
    )
    return folder, pd.concat([found.failures, failures], ignore_index=True)


def held_out_masks(
    target: str, run: str | Path, out: Path, lungs: Lungs | None = None, whole_lungs: bool = False, workers: int = 2
) -> tuple[Path, pd.DataFrame]:
    """Masks, at the films' own size, that the networks of a finished cross-validation gave to the films of their folds.

    Parameters
    ----------
    target
        ``infection`` or ``lung``.
    run
        Folder that ``patchcxr crossvalidate`` wrote.
    out
        Masks go to ``out/<target>``.
    lungs
        Where infection counts within the lungs only: those of films without a lung mask.
    whole_lungs
        Count the part of the lungs behind the heart as lung, where the network tells it apart.

    Raises
    ------
    ConfigError
        If the folder holds the cross-validation of another target.
    """
    run = Path(run)
    config = load_yaml(StudyConfig, run / "config.yaml")
    tested = sorted(run.glob("fold_*_test/films.csv"))
    films = pd.concat([pd.read_csv(path, dtype={"study": str, "patient": str}) for path in tested] or [pd.DataFrame()])
    if films.empty or target not in set(films["structure"].replace("whole_lung", "lung")):
        held = ", ".join(films["structure"].unique()) if len(films) else "no finished fold"
        raise ConfigError(f"{run}: this cross-validation holds {held}; expected one of the {NETWORKS[target]} network")
    stage = config.infection if target == "infection" else config.anatomy
    store, folder = FilmStore(run / "films", stage.image_size, config.preprocessing), out / target
    known = KnownLungs(store, lungs)

    def infection(row: Record) -> BoolArray:
        maps, study = ArrayFolder(run / f"fold_{row['fold']}_test" / "probability"), str(row["study"])
        within = known.structure(study, "lung", store.size) if config.infection.within_lungs else None
        return _infection_at(maps, study, store.source_shape(study), within, config.infection.detection)

    def lung(row: Record) -> BoolArray:
        labels, study = ArrayFolder(run / f"fold_{row['fold']}_test" / "labels"), str(row["study"])
        return enlarge_mask(structure_mask(labels.load(study), "lung", whole_lungs), store.source_shape(study))

    rows = films.drop_duplicates("study").to_dict("records")
    return folder, _write(rows, infection if target == "infection" else lung, folder, f"{target} mask", workers)


def predicted_masks(
    target: str,
    model: TrainedModel,
    preprocessing: PreprocessConfig,
    table: pd.DataFrame,
    out: Path,
    rule: DetectionConfig | None = None,
    lungs: Lungs | None = None,
    whole_lungs: bool = False,
    workers: int = 2,
    progress: Progress | None = None,
) -> tuple[Path, pd.DataFrame]:
    """Masks that a trained network finds in films, at the films' own size.

    Parameters
    ----------
    target
        ``infection`` or ``lung``.
    model, preprocessing
        The network, and the preprocessing it was trained with.
    table
        Films, as rows of a cohort.
    out
        Prepared films, probabilities and ``<target>``, the masks.
    rule
        When a pixel counts as infected; under the rule ``tahir`` only within the lungs.
    lungs
        Lungs of films whose cohort has none, for networks and rules that need them.
    whole_lungs
        As for :func:`held_out_masks`.

    Returns
    -------
    The folder of the masks, and the films that failed (study, stage, error).
    """
    rule, folder = rule or DetectionConfig(), out / target
    store = FilmStore(out / "films", model.image_size, preprocessing)
    failed = prepare_stores(table, [store], LUNG_COLUMNS if target == "infection" else (), workers=workers)
    rows = table[~table["study"].isin(failed["study"])].to_dict("records")
    studies = [str(row["study"]) for row in rows]
    if target == "infection":
        known = KnownLungs(store, lungs)
        predict_infection(model, store, studies, out, progress=progress, lungs=known)
        maps = ArrayFolder(out / "probability")

        def mask(row: Record) -> BoolArray:
            study = str(row["study"])
            within = known.structure(study, "lung", store.size) if rule.rule == "tahir" else None
            return _infection_at(maps, study, store.source_shape(study), within, rule)
    else:
        if not (is_lung_network(model) or "left_lung" in model.classes):
            raise ConfigError(
                f"the network knows {', '.join(model.classes)}; expected one of the lungs, as train anatomy makes it"
            )
        segment_films(model, store, studies, out, progress=progress)
        whole, labels = whole_lungs and model.classes == PARTITION, ArrayFolder(out / "labels")

        def mask(row: Record) -> BoolArray:
            study = str(row["study"])
            return enlarge_mask(structure_mask(labels.load(study), "lung", whole), store.source_shape(study))

    written = _write(rows, mask, folder, f"{target} mask", workers)
    return folder, pd.concat([failed, written], ignore_index=True)[list(FAILURE_COLUMNS)]


def model_name(path: str) -> str:
    """Name of a network by its file: the folder's for the ``model.safetensors`` that ``train`` writes.

    >>> model_name("runs/unet/model.safetensors"), model_name("infection")
    ('unet', 'infection')
    """
    named = Path(path)
    return named.parent.name or named.stem if named.stem == "model" else named.stem


def trained_folder(root: Path, name: str, model: TrainedModel, rule: DetectionConfig | None) -> Path:
    """Folder of what a trained network proposes; see :func:`network_folder`."""
    return network_folder(root, name, network_fingerprint(model), rule)


def _infection_at(
    maps: ArrayFolder, study: str, shape: tuple[int, int], within: BoolArray | None, rule: DetectionConfig
) -> BoolArray:
    """Infected pixels of a film at its own size."""
    probability = maps.load(study).astype(np.float32)
    lung = None if within is None else enlarge_mask(within, shape)
    return infection_mask(resize_image(probability, shape), lung, rule)


def _write(
    rows: list[Record], mask: Callable[[Record], BoolArray], folder: Path, stage: str, workers: int
) -> pd.DataFrame:
    """Write the mask of each film; return the films that failed."""

    def act(row: Record) -> Record:
        write_mask(picture_path(folder, str(row["study"])), mask(row))
        return row

    if not rows:
        raise CohortError("no film is left to propose a mask of; see which failed, or choose other films")
    _, failures = of_each_film(rows, act, stage, workers)
    return failure_table(failures)
