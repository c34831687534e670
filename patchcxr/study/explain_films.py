"""Films classified and explained: maps, predictions and a figure of each."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from patchcxr.errors import PatchCXRError
from patchcxr.inference.voting import VoteConfig
from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.outages import outage
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.explanation import ExplainedClass, explanation_figure
from patchcxr.report.style import save_figure
from patchcxr.study.explain_view import Explanation, explain_patches, explain_whole
from patchcxr.study.film_output import Record, enlarge_mask, picture_film, picture_path
from patchcxr.study.lung_view import LungView, lung_view, trained_region
from patchcxr.study.predict import Lungs, failure_table
from patchcxr.study.provenance import claim_folder, network_fingerprint, settings_since
from patchcxr.study.reading import Progress, up_to_date
from patchcxr.types import AnyArray

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
                write_bytes_atomically(record, json.dumps(said).encode())
            said = json.loads(record.read_text(encoding="utf-8"))
            rows.append({"study": study, "patient": row["patient"], "label": row["label"], **said})
        except (PatchCXRError, OSError, MemoryError) as error:
            if (fault := outage(error)) is not None:
                raise fault from None
            failures.append((study, STAGE, " ".join(str(error).split()) or type(error).__name__))
        if progress:
            progress(len(rows) + len(failures), len(table))
    return pd.DataFrame(rows), failure_table(failures)


def explains_predicted(maps: str | Path) -> bool:
    """Whether a folder of maps was written by :func:`explain_films` for the class that is predicted of each film."""
    try:
        noted = json.loads((Path(maps) / "settings.json").read_text(encoding="utf-8"))
        return bool(noted["settings"]["settings"]["target"] == "predicted")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _explain(model: TrainedModel, view: LungView, settings: ExplainSettings, study: str) -> Explanation:
    classes = (settings.target,) if isinstance(settings.target, int) else None
    if settings.vote is None:
        found = explain_whole(model, view, classes, settings.normalization)
    else:
        found = explain_patches(model, view, study, settings.vote, classes, settings.normalization)
    if settings.target != "predicted":
        return found
    return replace(found, maps={found.prediction: found.maps[found.prediction]})


def _explain_film(
    model: TrainedModel, films: FilmStore, lungs: Lungs, row: Record, out: Path, settings: ExplainSettings
) -> dict[str, Any]:
    """Write the files of a film; return its row."""
    study = str(row["study"])
    view = lung_view(films, lungs, study, trained_region(model))
    found = _explain(model, view, settings, study)
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
