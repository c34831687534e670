"""What is written of each film: masks and pictures at its own size, DICOM objects, and a row of the results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd

from patchcxr.errors import ConfigError, ImageError, PatchCXRError
from patchcxr.inference.infection import (
    DetectionConfig,
    detect,
    infection_mask,
    infection_score,
    infection_severity,
)
from patchcxr.io.arrays import ArrayFolder, safe_name
from patchcxr.io.dicom_file import is_dicom
from patchcxr.io.masks import write_mask
from patchcxr.io.outages import outage
from patchcxr.io.radiograph import read_radiograph
from patchcxr.measure.lung_flags import lung_flags
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.map_figure import infection_picture, outline_picture, write_picture
from patchcxr.study.evaluate.anatomy import measure_films
from patchcxr.study.predict import Lungs
from patchcxr.study.reading import Progress, as_film, changed
from patchcxr.types import AnyArray, BoolArray, FloatArray

STRUCTURES: Final = ("right_lung", "left_lung", "heart")
LONGEST_SIDE: Final = 1024
"""Pictures are at most this many pixels high and wide."""

Record = dict[str, Any]
_drawing = threading.Lock()


def of_each_film(
    rows: Sequence[Record], act: Callable[[Record], Record], stage: str, workers: int, progress: Progress | None = None
) -> tuple[list[Record], list[tuple[str, str, str]]]:
    """``act`` of each row in order, in threads, and (study, stage, error) of the films that failed."""
    found: list[Record] = []
    failures: list[tuple[str, str, str]] = []

    def attempt(row: Record) -> Record | str:
        try:
            return act(row)
        except (PatchCXRError, OSError, MemoryError) as error:
            if (fault := outage(error)) is not None:
                raise fault from None
            return " ".join(str(error).split()) or type(error).__name__

    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for row, result in zip(rows, pool.map(attempt, rows), strict=True):
            if isinstance(result, str):
                failures.append((str(row["study"]), stage, result))
            else:
                found.append(result)
            if progress:
                progress(len(found) + len(failures), len(rows))
    return found, failures


def enlarge_mask(mask: BoolArray, shape: tuple[int, int]) -> BoolArray:
    """A small mask at a film's size, with smooth outlines: half of the linear interpolation.

    >>> enlarge_mask(np.array([[True, False]]), (1, 4)).astype(int).tolist()
    [[1, 1, 0, 0]]
    """
    grown = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown.reshape(shape) > 0.5)


def picture_path(folder: Path, study: str) -> Path:
    """Absolute path of the PNG of a study."""
    return (folder / f"{safe_name(study)}.png").absolute()


def picture_film(path: str) -> FloatArray:
    """A film as it is, reduced for pictures."""
    pixels = read_radiograph(path).pixels
    scale = min(1.0, LONGEST_SIDE / max(pixels.shape))
    return resize_image(pixels, (max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))))


@dataclass(frozen=True)
class AnatomyOutput:
    """Writes the masks of lungs and heart, and measures them.

    Attributes
    ----------
    out
        Folder of ``masks`` and ``overlays``.
    store, lungs
        Prepared films and predicted label maps.
    since
        Files older than this (ns) are made again; see :func:`patchcxr.study.provenance.settings_since`.
    pictures
        Whether overlays are written.
    """

    out: Path
    store: FilmStore
    lungs: Lungs
    since: int
    pictures: bool = True

    @property
    def structures(self) -> tuple[str, ...]:
        """What the network marks: the heart is left out where it knows the lungs alone."""
        return STRUCTURES if self.lungs.heart else STRUCTURES[:2]

    def path(self, folder: str, study: str) -> Path:
        """Absolute path of a file of a study."""
        return picture_path(self.out / folder, study)

    def film(self, row: Record) -> Record:
        """Write the files of a film; return its row, with its biomarkers under ``markers``."""
        study, image = str(row["study"]), str(row["image"])
        small = {name: self.lungs.structure(study, name) for name in self.structures}
        shape = self.store.source_shape(study)
        made = max(self.since, (changed(self.lungs.labels.path(study)) or 0) if self.lungs.labels else 0)
        masks, picture = {name: self.path(f"masks/{name}", study) for name in small}, self.path("overlays", study)
        if not all(_is_newer(path, made) for path in masks.values()):
            for name, path in masks.items():
                write_mask(path, enlarge_mask(small[name], shape))
        if self.pictures and not _is_newer(picture, made):
            shown = picture_film(image)
            outlines = {name: enlarge_mask(mask, (shown.shape[0], shown.shape[1])) for name, mask in small.items()}
            # Matplotlib, which draws the key, is for one thread at a time.
            with _drawing:
                drawn = outline_picture(shown, outlines)
            write_picture(picture, drawn)
        markers, failed = measure_films(pd.DataFrame([row]), self.store, self.lungs)
        if markers.empty:
            raise ImageError(failed["error"].iloc[0])
        values = markers.iloc[0].to_dict()
        return {
            "study": study,
            "patient": row["patient"],
            "rows": shape[0],
            "columns": shape[1],
            **{f"{name}_percent": 100 * float(mask.mean()) for name, mask in small.items()},
            "right_lung_cm2": values["right_lung_area_mm2"] / 100,
            "left_lung_cm2": values["left_lung_area_mm2"] / 100,
            "cardiothoracic_ratio": values["cardiothoracic_ratio"],
            "flags": values["flags"],
            "markers": values,
        }


@dataclass(frozen=True)
class InfectionOutput:
    """Writes infection maps and masks, and measures detection and severity.

    Attributes
    ----------
    out
        Folder of ``maps`` and ``masks/infection``.
    store, maps
        Prepared films and infection probabilities.
    lungs
        Lungs of every film.
    since
        As for :class:`AnatomyOutput`.
    rule
        When a pixel and a film count as infected.
    colormap
        See :func:`patchcxr.explain.infection_map.infection_map`.
    drawn_from
        Probability from which the map is drawn; 0 is the paper's rule, but a sigmoid is never exactly 0.
    pictures
        Whether maps are drawn.
    """

    out: Path
    store: FilmStore
    maps: ArrayFolder
    lungs: Lungs
    since: int
    rule: DetectionConfig
    colormap: str
    drawn_from: float = 0.25
    pictures: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.drawn_from < 1:
            raise ConfigError(f"drawn_from is {self.drawn_from}; expected a probability from 0 up to, not including, 1")

    def path(self, folder: str, study: str) -> Path:
        """Absolute path of a file of a study."""
        return picture_path(self.out / folder, study)

    def film(self, row: Record) -> Record:
        """Write the files of a film; return its row."""
        study, image = str(row["study"]), str(row["image"])
        probability = self.maps.load(study).astype(np.float32)
        side = probability.shape[0]
        right, left = (self.lungs.structure(study, name, side) for name in ("right_lung", "left_lung"))
        both, shape = right | left, self.store.source_shape(study)
        made = max(self.since, changed(self.maps.path(study)) or 0)
        mask, picture = self.path("masks/infection", study), self.path("maps", study)
        if not _is_newer(mask, made):
            within = enlarge_mask(both, shape) if self.rule.rule == "tahir" else None
            write_mask(mask, infection_mask(resize_image(probability, shape), within, self.rule))
        if self.pictures and not _is_newer(picture, made):
            shown = picture_film(image)
            values = resize_image(probability, (shown.shape[0], shown.shape[1]))
            with _drawing:
                drawn = infection_picture(shown, values, self.drawn_from, self.colormap, self.rule.threshold)
            write_picture(picture, drawn)
        flags = lung_flags(right, left, None, as_film(self.store.film(study)))
        return {
            "study": study,
            "patient": row["patient"],
            "positive": detect(probability, both, self.rule),
            "score": infection_score(probability, both, self.rule),
            **infection_severity(probability, right, left, self.rule),
            "flags": flags.text,
        }


def is_dicom_file(path: str) -> bool:
    """Whether a film is a DICOM file, by its first bytes."""
    with open(path, "rb") as file:
        return is_dicom(file.read(132))


def _is_newer(path: Path, than: int) -> bool:
    made = changed(path)
    return made is not None and made >= than


def quartiles(values: pd.Series) -> AnyArray:
    """Lower quartile, median and upper quartile of the values that are there; NaN without one."""
    known = pd.to_numeric(values, errors="coerce").dropna().to_numpy(dtype=float)
    return np.percentile(known, [25, 50, 75]) if known.size else np.full(3, np.nan)
