"""Films with V7 Darwin JSON annotations, such as the V7 COVID-19 X-ray data set.

- Films: any; the V7 set has about 6,500 AP and PA films, from 156 x 156 to
  5600 x 4700: 5,863 of Kermany's children and those of the
  covid-chestxray-dataset, and 63 CT slices.
- Classes: tags; see :data:`LABELS`.
- Masks: polygons; in the V7 set ``Lung`` (two a film, drawn by annotators,
  with most of the lung behind the heart) and ``Ignore`` (devices and markup).
- Layout: ``images/`` and JSON files of Darwin 1.0 (``image``) or 2.0
  (``item``) anywhere below the folder, such as
  ``releases/all-images/annotations/``.
- Licence: annotations of the V7 set CC BY 4.0; films as their sources say.
- Citation: V7 Labs, covid-19-xray-dataset, 2020; Cohen et al.,
  arXiv:2003.11597; Kermany, Zhang, Goldbaum, Mendeley Data, 2018.

Decisions: polygons are filled by the even-odd rule, as Darwin's own tools do,
so that further paths of a polygon are holes or islands, and coordinates are
rounded and kept within the film; polygons of one class are united. Masks are
written to ``masks_dir``. A film with tags of two causes has no label. Lateral
views and CT are skipped by their tags. ``tags`` and ``original_filename`` are
kept as extra columns, and ``ignore_mask`` holds ``Ignore``.

Traps: patients are not named: Kermany's and Cohen's films hold several of one
patient, see ``original_filename``; children are viral, bacterial or normal,
adults mostly COVID-19; the same films are in ``kermany`` and ``cohen``; images
in folders of masks bear the names of films, and are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeGuard

import cv2
import numpy as np
import pandas as pd

from patchcxr.data.sources._layout import Imported, finish
from patchcxr.data.sources._masks import masks_folder, save_mask
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import IMAGE_SUFFIXES
from patchcxr.types import BoolArray

LICENCE = "annotations CC BY 4.0; films as their sources say"
LABELS: Final = {
    "covid-19": "covid19",
    "viral pneumonia": "viral",
    "sars": "viral",
    "mers": "viral",
    "influenza": "viral",
    "varicella": "viral",
    "bacterial pneumonia": "bacterial",
    "streptococcus": "bacterial",
    "klebsiella": "bacterial",
    "e.coli": "bacterial",
    "legionella": "bacterial",
    "chlamydophila": "bacterial",
    "mycoplasma": "bacterial",
    "fungal pneumonia": "fungal",
    "pneumocystis": "fungal",
    "tuberculosis": "tuberculosis",
    "pneumonia": "pneumonia",
    "undefined pneumonia": "pneumonia",
    "lipoid pneumonia": "other",
    "ards": "other",
    "no pneumonia (healthy)": "normal",
    "no finding": "normal",
}
"""Label of each tag, in lower case; other tags are kept but give no label."""

CLASSES: Final = {
    "lung": "lung_mask",
    "lungs": "lung_mask",
    "right lung": "right_lung_mask",
    "left lung": "left_lung_mask",
    "heart": "heart_mask",
    "infection": "infection_mask",
    "ground glass opacities": "infection_mask",
    "consolidation": "infection_mask",
    "ignore": "ignore_mask",
}
"""Mask that the polygons of a class become part of, in lower case; other classes are left out."""

LARGEST_SIDE: Final = 10_000
"""A film that claims more pixels on a side is skipped."""

_NOT_FRONTAL: Final = {
    "lateral": "lateral view",
    "l": "lateral view",
    "ct": "not a radiograph",
    "axial": "not a radiograph",
    "coronal": "not a radiograph",
}
_CAUSES: Final = {"viral", "covid19", "bacterial", "fungal", "tuberculosis"}
_REFINED_BY: Final = {"pneumonia": _CAUSES | {"other"}, "other": _CAUSES, "viral": {"covid19"}}
_VIEWS: Final = {view.lower(): view for view in ("PA", "AP", "AP Supine", "AP Erect", "AP semi erect")}


def build(root: str | Path, masks_dir: str | Path | None = None) -> Imported:
    """Cohort of the annotated films below ``root``; their masks are written to ``masks_dir``.

    Parameters
    ----------
    root
        Folder of images and JSON files.
    masks_dir
        Folder outside of ``root`` for the masks; needed where there are polygons.

    Raises
    ------
    CohortError
        If no annotated film is there, or ``masks_dir`` is needed.
    """
    root = Path(root)
    films = _films(root)
    skipped: list[tuple[str, str]] = []
    rows: dict[str, dict[str, Any]] = {}
    for path in files_below(root, {".json"}):
        try:
            names, shape, annotations = read_darwin(path)
            study = Path(names[0]).stem
            if study in rows:
                skipped.append((str(path), f"{study} is annotated by another file"))
                continue
            image = next((films[stem] for stem in (Path(name).stem for name in names) if stem in films), None)
            tags = [str(each.get("name")).strip() for each in annotations if "tag" in each]
            masks = _masks(annotations, shape) if image else {}
        except ValueError as error:
            skipped.append((str(path), str(error)))
            continue
        keys = [tag.rsplit("/", 1)[-1].strip().lower() for tag in tags]
        reason = next((_NOT_FRONTAL[key] for key in keys if key in _NOT_FRONTAL), None)
        if reason:
            skipped.append((study, reason))
            continue
        folder = masks_folder(masks_dir, root, "darwin", "polygons must be drawn as masks") if masks else root
        rows[study] = {
            "study": study,
            "image": image,
            "label": _label(keys),
            "view": next((_VIEWS[key] for key in keys if key in _VIEWS), None),
            "licence": LICENCE,
            "tags": "|".join(tags),
            "original_filename": names[-1],
            **{column: save_mask(mask, folder, column.removesuffix("_mask"), study) for column, mask in masks.items()},
        }
    columns = ["study", "image", "label", "view", "licence", "tags", "original_filename", *_fields()]
    table = pd.DataFrame(rows.values(), columns=columns)
    return finish(table.astype({"ignore_mask": "string"}), "darwin", root, skipped)


def read_darwin(path: Path) -> tuple[list[str], tuple[int, int], list[dict[str, Any]]]:
    """Names of the film, its shape (rows, columns), and its annotations.

    Raises
    ------
    ValueError
        Saying why this is not an annotation of one film.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError):
        raise ValueError("not a JSON file") from None
    annotations = document.get("annotations") if isinstance(document, dict) else None
    image = document.get("image", document.get("item")) if isinstance(document, dict) else None
    if not isinstance(annotations, list) or not isinstance(image, dict):
        raise ValueError("not a Darwin annotation")
    slots = image.get("slots", [image])
    if not isinstance(slots, list) or len(slots) != 1 or not isinstance(slots[0], dict):
        raise ValueError("does not describe one image")
    names = [name for name in map(image.get, ("filename", "name", "original_filename")) if isinstance(name, str)]
    rows, columns = slots[0].get("height"), slots[0].get("width")
    if not names or not _is_side(rows) or not _is_side(columns):
        raise ValueError(f"names {names} and {rows} x {columns} pixels are not those of an image")
    return names, (rows, columns), [each for each in annotations if isinstance(each, dict)]


def draw_polygon(paths: list[list[dict[str, float]]], shape: tuple[int, int]) -> BoolArray:
    """Mask of a polygon by the even-odd rule; points are rounded and kept within the film.

    >>> square = [{"x": 0, "y": 0}, {"x": 2, "y": 0}, {"x": 2, "y": 2}, {"x": 0, "y": 2}]
    >>> draw_polygon([square], (3, 4)).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]

    Raises
    ------
    ValueError
        If a point has no finite coordinates.
    """
    drawn = np.zeros(shape, dtype=np.uint8)
    outlines = []
    for path in paths:
        try:
            points = np.array([(point["x"], point["y"]) for point in path], dtype=np.float64).reshape(-1, 2)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError("a polygon has points without coordinates") from None
        if not np.isfinite(points).all():
            raise ValueError("a polygon has points that are not finite")
        if len(points):
            outlines.append(np.clip(np.rint(points), 0, (shape[1] - 1, shape[0] - 1)).astype(np.int32))
    if outlines:
        cv2.fillPoly(drawn, outlines, (1,))
    return drawn.astype(bool)


def _is_side(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 0 < value <= LARGEST_SIDE


def _films(root: Path) -> dict[str, str]:
    """Images below the root by name without suffix, those in folders of masks left out."""
    films: dict[str, str] = {}
    for path in files_below(root, IMAGE_SUFFIXES):
        if not any("mask" in part.lower() for part in path.relative_to(root.absolute()).parts[:-1]):
            films.setdefault(path.stem, str(path))
    return films


def _fields() -> list[str]:
    return list(dict.fromkeys(CLASSES.values()))


def _masks(annotations: list[dict[str, Any]], shape: tuple[int, int]) -> dict[str, BoolArray]:
    masks: dict[str, BoolArray] = {}
    for annotation in annotations:
        column = CLASSES.get(str(annotation.get("name")).strip().lower())
        paths = list(_paths(annotation))
        if column and paths:
            drawn = draw_polygon(paths, shape)
            masks[column] = masks[column] | drawn if column in masks else drawn
    return masks


def _paths(annotation: dict[str, Any]) -> Iterator[list[dict[str, float]]]:
    """Paths of a polygon: ``path`` and ``additional_paths`` (1.0), ``complex_polygon`` (1.0), or ``paths`` (2.0)."""
    for key in ("polygon", "complex_polygon"):
        polygon = annotation.get(key)
        if not isinstance(polygon, dict):
            continue
        for part in ("path", "paths", "additional_paths"):
            path = polygon.get(part)
            if isinstance(path, list) and path:
                yield from path if isinstance(path[0], list) else [path]


def _label(tags: list[str]) -> str | None:
    """The most specific label of a film's tags; ``None`` where they name no cause or several."""
    labels = {LABELS[tag] for tag in tags if tag in LABELS}
    specific = [label for label in labels if not labels & _REFINED_BY.get(label, set())]
    return specific[0] if len(specific) == 1 else None
