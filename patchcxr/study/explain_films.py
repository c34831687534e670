"""Films classified and explained: maps, predictions and a figure of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from patchcxr.errors import PatchCXRError
from patchcxr.explain.gradcam import grad_cam_of_classes
from patchcxr.explain.probabilistic import probabilistic_grad_cam
from patchcxr.inference.voting import VoteConfig, VoteResult
from patchcxr.io.arrays import ArrayFolder
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.explanation import ExplainedClass, explanation_figure
from patchcxr.report.style import save_figure
from patchcxr.study.film_output import Record, enlarge_mask, picture_film, picture_path
from patchcxr.study.predict import Lungs, LungView, failure_table, lung_view, trained_region
from patchcxr.study.provenance import claim_folder, network_fingerprint, settings_since
from patchcxr.study.reading import Progress, up_to_date
from patchcxr.types import AnyArray, FloatArray

Target = int | Literal["all", "predicted"]
STAGE: Final = "explain"


@dataclass(frozen=True)
class ExplainSettings:
    """How films are explained.

    Attributes
    ----------
    target
        Class index; ``all`` classes; or the class that is ``predicted`` of each film.
    vote
        Patches; None explains the whole film at the network's size.
    normalization
        See :func:`patchcxr.explain.gradcam.grad_cam`.
    map_size
        Side of the maps that are written, in pixels.
    pictures
        Whether a figure of each film is drawn.
    colormap
        Of the figures.
    """

    target: Target = "predicted"
    vote: VoteConfig | None = None
    normalization: str = "minmax"
    map_size: int = 256
    pictures: bool = True
    colormap: str = "jet"


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a classifier says of a film, and why.

    Attributes
    ----------
    prediction
        Class index.
    probabilities
        Softmax of the film, or mean over its patches, (C,).
    maps
        Maps of the classes asked for by index, (H, W) of the view.
    vote
        The vote of the patches; None for a whole film.
    """

    prediction: int
    probabilities: FloatArray
    maps: dict[int, FloatArray]
    vote: VoteResult | None = None


def explain_view(model: TrainedModel, view: LungView, settings: ExplainSettings, study: str) -> Explanation:
    """Classify and explain what a classifier sees of a film.

    The patches of a study are drawn from (vote.seed, study id), as in
    :func:`patchcxr.study.predict.classify_and_explain_local`.
    """
    classes = [settings.target] if isinstance(settings.target, int) else None
    if settings.vote is None:
        image = resize_image(view.image, model.image_size)
        found = grad_cam_of_classes(model.module, image, classes, settings.normalization)
        probabilities, maps, vote = found.probabilities[0], found.maps[0], None
        prediction = int(probabilities.argmax())
    else:
        rng = np.random.default_rng([settings.vote.seed, *study.encode()])
        cam = probabilistic_grad_cam(
            model.module, view.image, view.lung, settings.vote, rng, classes, settings.normalization
        )
        vote, maps = cam.vote, cam.maps
        prediction, probabilities = vote.prediction, vote.mean_probability
    kept = {index: maps[place] for place, index in enumerate(classes or range(len(maps)))}
    if settings.target == "predicted":
        kept = {prediction: kept[prediction]}
    return Explanation(prediction, probabilities, kept, vote)


def explain_films(
    model: TrainedModel,
    films: FilmStore,
    lungs: Lungs,
    table: pd.DataFrame,
    out: Path,
    settings: ExplainSettings,
    progress: Progress | None = None,
    lungs_from: str = "cohort",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Classify and explain every film of a cohort.

    Below ``out``: ``maps/<study>.npy``, with ``target="all"``
    ``maps/<class>/<study>.npy`` (float16, (map_size, map_size), the whole
    film), ``records`` (a JSON file a study), and ``pictures``. A film that
    has its files is not computed again.

    Returns
    -------
    predictions, failures
        A row a film: study, patient, label, predicted, explained, ``p_<class>``
        and of a vote ``votes_<class>``, entropy, margin and coverage; and
        study, stage and error of the films that failed.

    Raises
    ------
    ConfigError
        If the folder holds the maps of another network.
    """
    claim_folder(out / "maps", model)
    since = settings_since(
        out / "maps" / "settings.json",
        {"settings": settings, "network": network_fingerprint(model), "lungs": lungs_from},
    )
    rows: list[Record] = []
    failures: list[tuple[str, str, str]] = []
    for row in table.to_dict("records"):
        study = str(row["study"])
        record = ArrayFolder(out / "records").path(study).with_suffix(".json")
        try:
            if not up_to_date(record, films, study, since):
                said = _explain_film(model, films, lungs, row, out, settings)
                record.parent.mkdir(parents=True, exist_ok=True)
                temporary = record.with_suffix(".tmp")
                temporary.write_text(json.dumps(said), encoding="utf-8")
                temporary.replace(record)
            said = json.loads(record.read_text(encoding="utf-8"))
            rows.append({"study": study, "patient": row["patient"], "label": row["label"], **said})
        except (PatchCXRError, OSError, MemoryError) as error:
            failures.append((study, STAGE, " ".join(str(error).split()) or type(error).__name__))
        if progress:
            progress(len(rows) + len(failures), len(table))
    return pd.DataFrame(rows), failure_table(failures)


def _explain_film(
    model: TrainedModel, films: FilmStore, lungs: Lungs, row: Record, out: Path, settings: ExplainSettings
) -> dict[str, Any]:
    """Write the files of a film; return its row."""
    study = str(row["study"])
    view = lung_view(films, lungs, study, trained_region(model))
    found = explain_view(model, view, settings, study)
    for index, values in found.maps.items():
        folder = out / "maps" / model.classes[index] if settings.target == "all" else out / "maps"
        ArrayFolder(folder).save(study, view.place(values, settings.map_size))
    if settings.pictures:
        _draw(model, view, lungs, found, row, out, settings)
    explained = [model.classes[index] for index in found.maps]
    said: dict[str, Any] = {"predicted": model.classes[found.prediction], "explained": " ".join(explained)}
    said |= {f"p_{name}": float(p) for name, p in zip(model.classes, found.probabilities, strict=True)}
    if found.vote is not None:
        vote = found.vote
        said |= {f"votes_{name}": int(n) for name, n in zip(model.classes, vote.votes, strict=True)}
        said |= {"patches": len(vote.centres), "entropy": float(vote.entropy), "margin": float(vote.margin)}
        said |= {"minimum_coverage": vote.coverage.minimum, "uncovered_share": vote.coverage.uncovered_share}
    return said


def _draw(
    model: TrainedModel,
    view: LungView,
    lungs: Lungs,
    found: Explanation,
    row: Record,
    out: Path,
    settings: ExplainSettings,
) -> None:
    """Write the figure of a film, at its own proportions."""
    study = str(row["study"])
    film = picture_film(str(row["image"]))
    shape = (film.shape[0], film.shape[1])
    classes = []
    for index, values in found.maps.items():
        said = f"p {found.probabilities[index]:.2f}"
        if found.vote is not None:
            said = f"{said}, {found.vote.votes[index]}/{len(found.vote.centres)} votes"
        whole: AnyArray = view.place(values, view.image.shape[0]).astype(np.float32)
        values = resize_image(whole, shape)
        classes.append(ExplainedClass(model.classes[index], values, said, index == found.prediction))
    figure = explanation_figure(
        film,
        enlarge_mask(lungs.lung(study), shape),
        classes,
        study,
        "global" if settings.vote is None else "probabilistic",
        settings.normalization,
        settings.colormap,
    )
    save_figure(figure, picture_path(out / "pictures", study).with_suffix(""), ("png",))
