"""Files of CheXlocalize (Saporta 2022, Nature Machine Intelligence 4:867), the benchmark of saliency on chest X-rays.

- *Maps*: one pickle an image and finding, ``IMAGE_FINDING_map.pkl``, a
  dictionary with ``map`` (tensor (1, 1, h, w)), ``prob``, ``task`` (the
  finding), ``gt`` (0 or 1; -1 is not known), ``cxr_img`` (tensor (3, h, w)) and ``cxr_dims``
  (columns, rows of the film).
- *Segmentations*: JSON, image by image and finding by finding a mask as COCO
  run lengths (:mod:`patchcxr.io.rle`); a finding that is absent has an empty mask.
- *Annotations*: JSON, image by image its ``img_size`` (rows, columns) and for
  every finding that is present the outlines, lists of [x, y].

An image is named after its place in CheXpert, ``patient64541_study1_view1_frontal``.
Pickles are read without running what they say (:mod:`patchcxr.io._tensor_pickle`).
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from patchcxr.errors import ImageError, MaskError
from patchcxr.io._tensor_pickle import DAMAGED, load_tensors
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.limits import check_pixels, read_file
from patchcxr.io.rle import decode_rle, encode_rle
from patchcxr.types import AnyArray, BoolArray, FloatArray

FINDINGS: Final = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Airspace Opacity",
    "Edema",
    "Consolidation",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Support Devices",
)
"""The ten findings; what the files call airspace opacity the paper calls lung opacity."""

MAP_ENDING: Final = "_map.pkl"

_FAR: Final = 1e6  # pixels; Pillow counts in 32-bit numbers
_MOST_STEPS: Final = 100_000_000
"""Points of outlines times rows plus columns: Pillow looks at every line in every row, so these take seconds."""


@dataclass(frozen=True, eq=False)
class SaliencyFile:
    """What a map file holds.

    Attributes
    ----------
    saliency
        Map (h, w), float32, over the whole film, whatever the film's shape.
    finding, probability, present
        The finding, the network's probability of it, and whether it is there; None where that is not known.
    film_shape
        (rows, columns) of the film.
    film
        The network's input (C, h, w), float32, or None.
    """

    saliency: FloatArray
    finding: str
    film_shape: tuple[int, int]
    probability: float | None = None
    present: bool | None = None
    film: FloatArray | None = None


def map_name(image: str, finding: str) -> str:
    """File name of a map.

    >>> map_name("patient64541_study1_view1_frontal", "Pleural Effusion")
    'patient64541_study1_view1_frontal_Pleural Effusion_map.pkl'
    """
    return f"{image}_{finding}{MAP_ENDING}"


def parse_map_name(name: str) -> tuple[str, str]:
    """Image and finding that a map's file name tells; the finding is what follows the last underscore.

    Raises
    ------
    ImageError
        If the name is not of this form.

    >>> parse_map_name("patient64541_study1_view1_frontal_Edema_map.pkl")
    ('patient64541_study1_view1_frontal', 'Edema')
    """
    image, _, finding = name.removesuffix(MAP_ENDING).rpartition("_")
    if not (name.endswith(MAP_ENDING) and image and finding):
        raise ImageError(f"{name}: expected a map named IMAGE_FINDING{MAP_ENDING}; rename the file")
    return image, finding


def read_saliency(path: str | Path) -> SaliencyFile:
    """Read a map file; tensors may have been on any device.

    Raises
    ------
    ImageError
        If the file is missing, too large or damaged, lacks the map, or its pickle asks for anything but tensors,
        arrays, numbers and text; nothing that it asks for is run.
    """
    path = Path(path)
    data = read_file(path, "map")
    try:
        held = load_tensors(data)
    except pickle.UnpicklingError as error:
        raise ImageError(
            f"{path}: not read, its pickle is none of a saliency map: {error}; write it as a dictionary of tensors, "
            "numbers and text"
        ) from None
    except DAMAGED as error:
        raise ImageError(f"{path}: damaged pickle ({str(error)[:200]}); copy or export it again") from None
    if not isinstance(held, dict) or "map" not in held:
        raise ImageError(f"{path}: expected a dictionary with map, prob, task, gt, cxr_img and cxr_dims")
    saliency = _numbers(held["map"], path, "map")
    saliency = saliency.reshape([side for side in saliency.shape[:-2] if side != 1] + list(saliency.shape[-2:]))
    if saliency.ndim != 2:
        raise ImageError(f"{path}: map has shape {np.shape(held['map'])}; expected one map, (1, 1, h, w)")
    check_pixels(saliency.shape[0], saliency.shape[1], path)
    film, finding = held.get("cxr_img"), held.get("task", "")
    probability, present = held.get("prob"), held.get("gt")
    if not isinstance(finding, str):
        raise ImageError(f"{path}: task is {type(finding).__name__}; expected the finding as text")
    try:
        columns, rows = (int(_number(side)) for side in held.get("cxr_dims", saliency.shape[::-1]))
        check_pixels(rows, columns, path)
        return SaliencyFile(
            saliency=np.array(saliency, dtype=np.float32),
            finding=finding,
            film_shape=(rows, columns),
            probability=None if probability is None else float(_number(probability)),
            present=None if present is None or _number(present) < 0 else bool(_number(present)),
            film=None if film is None else _film(film, path),
        )
    except (TypeError, ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, ImageError) else f"prob, gt or cxr_dims are no numbers ({error})"
        raise ImageError(f"{path}: {reason.removeprefix(f'{path}: ')}") from None


def write_saliency(path: str | Path, found: SaliencyFile) -> None:
    """Write a map file that the benchmark's own scripts read; their reader needs every entry, so all are written.

    Raises
    ------
    ImageError
        If the map is not (H, W) or the film not (C, H, W).
    """
    import torch

    saliency = np.array(found.saliency, dtype=np.float32)
    film = np.zeros((3, *saliency.shape)) if found.film is None else found.film
    film = np.array(film, dtype=np.float32)
    if saliency.ndim != 2 or film.ndim != 3:
        raise ImageError(f"{path}: map has shape {saliency.shape}, film {film.shape}; expected (H, W) and (C, H, W)")
    held = {
        "map": torch.from_numpy(saliency)[None, None],
        "prob": float("nan") if found.probability is None else float(found.probability),
        "task": found.finding,
        "gt": -1 if found.present is None else int(found.present),
        "cxr_img": torch.from_numpy(film),
        "cxr_dims": (int(found.film_shape[1]), int(found.film_shape[0])),
    }
    write_bytes_atomically(path, pickle.dumps(held, protocol=4))


class Segmentations:
    """Masks by image and finding, of either JSON file; each is made when it is asked for.

    Parameters
    ----------
    entries
        The parsed JSON.
    name
        Its file, for messages.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Any]], name: str = "segmentations") -> None:
        self.name = name
        self._entries = entries

    def __contains__(self, image: str) -> bool:
        return image in self._entries

    @property
    def images(self) -> list[str]:
        """Names of the images."""
        return list(self._entries)

    @property
    def findings(self) -> list[str]:
        """Findings that the file names, sorted."""
        return sorted({finding for entry in self._entries.values() for finding in entry if finding != "img_size"})

    def mask(self, image: str, findings: list[str]) -> BoolArray:
        """Union of an image's masks of these findings, (H, W); empty for a finding that an annotated image lacks.

        Raises
        ------
        MaskError
            If there is no such image, a file of segmentations lacks the finding, or an entry is damaged.
        """
        entry = self._entries.get(image)
        if not isinstance(entry, Mapping):
            raise MaskError(f"{self.name}: no segmentation of {image!r}; it has {', '.join(self.images[:3])}, ...")
        masks = [self._one(entry, image, finding) for finding in findings]
        shapes = {mask.shape for mask in masks}
        if len(shapes) != 1:
            raise MaskError(f"{self.name}: masks of {image} have the shapes {sorted(shapes)}; expected one")
        return np.logical_or.reduce(masks)

    def _one(self, entry: Mapping[str, Any], image: str, finding: str) -> BoolArray:
        where = f"{self.name}: {image}, {finding}"
        if "img_size" in entry:
            return draw_outlines(entry.get(finding, []), entry["img_size"], where)
        if finding not in entry:
            raise MaskError(f"{where}: no entry; this image has {', '.join(entry)}")
        return decode_rle(entry[finding], where)


def read_segmentations(path: str | Path) -> Segmentations:
    """Read a JSON file of segmentations or annotations.

    Raises
    ------
    MaskError
        If it is missing, too large, or no JSON object of objects.
    """
    path = Path(path)
    try:
        entries = json.loads(read_file(path, "segmentation"))
    except ImageError as error:
        raise MaskError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise MaskError(f"{path}: damaged JSON ({error}); copy or export it again") from None
    if not isinstance(entries, dict) or not entries or not all(isinstance(entry, dict) for entry in entries.values()):
        raise MaskError(f"{path}: expected an object with an object for every image, as CheXlocalize has them")
    return Segmentations(entries, str(path))


def write_segmentations(path: str | Path, masks: Mapping[str, Mapping[str, BoolArray]]) -> None:
    """Write masks by image and finding as the benchmark's scripts read them.

    Those scripts expect every image to have all of :data:`FINDINGS`; one that is not given gets an empty mask.

    Raises
    ------
    MaskError
        If a mask is not boolean and two-dimensional, or an image has masks of several sizes, or none.
    """
    entries = {}
    for image, named in masks.items():
        shapes = {np.shape(mask) for mask in named.values()}
        if len(shapes) != 1:
            raise MaskError(f"masks of {image} have the shapes {sorted(shapes)}; expected one, that of the film")
        empty = np.zeros(shapes.pop(), dtype=bool)
        entries[image] = {name: encode_rle(named.get(name, empty)) for name in dict.fromkeys((*FINDINGS, *named))}
    write_bytes_atomically(path, json.dumps(entries).encode())


def draw_outlines(outlines: Any, size: Any, name: str = "outlines") -> BoolArray:
    """Mask (H, W) of closed outlines, their lines included, by the rule of the benchmark (Pillow's polygons).

    Parameters
    ----------
    outlines
        Lists of [x, y] in pixels.
    size
        [rows, columns].
    name
        What is drawn, for messages.

    Raises
    ------
    MaskError
        If the outlines are no numbers or have too many points to draw, or the size is none within the limits.

    Examples
    --------
    >>> draw_outlines([[[1, 0], [2, 0], [2, 1], [1, 1]]], [3, 4]).astype(int).tolist()
    [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    try:
        rows, columns = (int(side) for side in size)
        check_pixels(rows, columns, name)
        drawn = [np.asarray(outline, dtype=np.float64) for outline in outlines]
    except (TypeError, ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, ImageError) else f"{name}: size or outlines are no numbers ({error})"
        raise MaskError(reason) from None
    number, most = sum(points.size for points in drawn) // 2, _MOST_STEPS // (rows + columns)
    if number > most:
        raise MaskError(
            f"{name}: outlines of {number} points; expected at most {most} on {rows} x {columns} pixels, so simplify"
            " them"
        )
    picture = Image.new("1", (columns, rows))
    for points in drawn:
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not (np.abs(points) < _FAR).all():
            raise MaskError(
                f"{name}: an outline of shape {points.shape} with values up to {np.abs(points).max(initial=0):.3g}; "
                "expected two or more [x, y] in pixels of the film"
            )
        ImageDraw.Draw(picture).polygon([(x, y) for x, y in points.tolist()], outline=1, fill=1)
    return np.array(picture, dtype=bool)


def _film(film: Any, path: Path) -> FloatArray:
    found = _numbers(film, path, "cxr_img")
    if found.ndim not in (3, 4):
        raise ImageError(f"{path}: cxr_img has shape {found.shape}; expected (3, h, w)")
    check_pixels(found.shape[-2], found.shape[-1] * int(np.prod(found.shape[:-2])), path)
    return np.array(found.reshape(found.shape[-3:]), dtype=np.float32)


def _numbers(held: Any, path: Path, name: str) -> AnyArray:
    found = np.asarray(held) if isinstance(held, np.ndarray | np.generic | float | int) else None
    if found is None or found.dtype.kind not in "fiub" or found.ndim < 2:
        raise ImageError(f"{path}: {name} is {type(held).__name__}; expected a tensor of numbers")
    return found


def _number(held: Any) -> Any:
    if not isinstance(held, np.ndarray | np.generic | float | int):
        raise TypeError(f"one is {type(held).__name__}")
    return np.asarray(held).item()
