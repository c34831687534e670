"""Write a synthetic cohort: films, masks, and the table with the truth."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pandas as pd

from patchcxr.config import fingerprint, to_dict
from patchcxr.data.synthetic.config import VERSION, SyntheticConfig
from patchcxr.data.synthetic.film import SyntheticFilm, synthetic_film, synthetic_patient
from patchcxr.errors import ImageError
from patchcxr.types import AnyArray

LICENCE: Final = "CC0-1.0 (synthetic)"
STRUCTURES: Final = ("right_lung", "left_lung", "heart", "lesion")
TRUTH_COLUMNS: Final = ("cardiothoracic_ratio_true", "severity_true", "severity_right_true", "severity_left_true")
COLUMNS: Final = (
    "study", "patient", "image", "label", "view", "age_years", "sex", "source", "split", "fold", "days",
    "right_lung_mask", "left_lung_mask", "heart_mask", "lung_mask", "infection_mask", "licence", *TRUTH_COLUMNS,
)  # fmt: skip


def generate_cohort(
    out_dir: str | Path, settings: SyntheticConfig | None = None, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Draw a cohort into a folder and return its table.

    Writes ``images/*.png`` (8, 12 or 16 bit by source), ``masks/<structure>/*.png``
    (8 bit, 0 and 255) for ``right_lung``, ``left_lung``, ``heart`` and ``lesion``,
    and ``cohort.csv``, whose paths are relative to the folder. Films that an
    earlier, interrupted call with the same settings drew are kept.

    Parameters
    ----------
    settings
        What to draw; the defaults of :class:`SyntheticConfig` if None.
    progress
        Called after each film with the number done and the number in all.

    Returns
    -------
    pandas.DataFrame
        One row a film: the columns of a cohort, then ``cardiothoracic_ratio_true``
        and ``severity_true``, ``severity_right_true``, ``severity_left_true`` in percent.
        ``split`` and ``fold`` are empty; so is ``lung_mask``, as each lung has its own.

    Raises
    ------
    ImageError
        If a film cannot be written.
    """
    settings = settings or SyntheticConfig()
    out_dir = Path(out_dir)
    for folder in ("images", "truth", *(f"masks/{name}" for name in STRUCTURES)):
        (out_dir / folder).mkdir(parents=True, exist_ok=True)
    plan = [
        (patient, film)
        for patient in range(settings.patients)
        for film in range(len(synthetic_patient(settings, patient).days))
    ]
    # The number of patients does not change a film.
    drawn = fingerprint({**to_dict(settings), "patients": 0, "version": VERSION})
    rows = []
    for done, (patient, film) in enumerate(plan, start=1):
        record = out_dir / "truth" / f"P{patient:05d}_F{film}.json"
        row = _finished(record, drawn)
        if row is None:
            row = _write_film(out_dir, synthetic_film(settings, patient, film))
            _write_text(record, json.dumps({"fingerprint": drawn, **row}))
        rows.append(row)
        if progress is not None:
            progress(done, len(plan))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    _write_text(out_dir / "cohort.csv", table.to_csv(index=False))
    return table


def _finished(record: Path, drawn: str) -> dict[str, object] | None:
    """Row of a film that the same settings drew before; its record is written last."""
    if not record.exists():
        return None
    try:
        row = json.loads(record.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return None
    if row.pop("fingerprint", None) != drawn or set(row) != set(COLUMNS):
        return None
    return row


def _write_film(out_dir: Path, film: SyntheticFilm) -> dict[str, object]:
    image = f"images/{film.study}.png"
    levels = 2**film.bit_depth - 1
    stored = np.rint(film.pixels * levels).astype(np.uint8 if film.bit_depth == 8 else np.uint16)
    _write_png(out_dir / image, stored)
    masks = {name: f"masks/{name}/{film.study}.png" for name in STRUCTURES}
    for name, path in masks.items():
        _write_png(out_dir / path, getattr(film, name).astype(np.uint8) * 255)
    return {
        "study": film.study,
        "patient": film.patient,
        "image": image,
        "label": film.label,
        "view": film.view,
        "age_years": film.age_years,
        "sex": film.sex,
        "source": film.source,
        "split": "",
        "fold": "",
        "days": film.days,
        "right_lung_mask": masks["right_lung"],
        "left_lung_mask": masks["left_lung"],
        "heart_mask": masks["heart"],
        "lung_mask": "",
        "infection_mask": masks["lesion"],
        "licence": LICENCE,
        "cardiothoracic_ratio_true": film.cardiothoracic_ratio,
        "severity_true": film.severity,
        "severity_right_true": film.severity_right,
        "severity_left_true": film.severity_left,
    }


def _write_png(path: Path, pixels: AnyArray) -> None:
    """Write a PNG so that an interruption leaves no half-written file."""
    partial = path.with_suffix(".partial.png")
    if not cv2.imwrite(str(partial), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3]):
        raise ImageError(f"{path}: could not be written; check that the folder is writable and the disk not full")
    os.replace(partial, path)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
