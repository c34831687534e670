"""RSNA Pneumonia Detection Challenge of 2018.

- Films: 26,684 of the training part (14,511 PA, 12,173 AP), DICOM of 1024 x
  1024, 8 bits, compressed as JPEG; all from ChestX-ray14.
- Classes: ``Normal`` (8,851, ``normal``), ``No Lung Opacity / Not Normal``
  (11,821, ``other``), ``Lung Opacity`` (6,012, ``pneumonia``).
- Masks: none; 9,555 boxes round opacities on the films with ``Target`` 1. The
  others were read and have none, so that their ``boxes`` are ``(empty)``.
- Layout: ``stage_2_train_images/*.dcm``, ``stage_2_train_labels.csv``
  (patientId, x, y, width, height, Target; a row a box),
  ``stage_2_detailed_class_info.csv`` (patientId, class), and, where it was
  fetched as well, ``pneumonia-challenge-dataset-mappings_2018.json``.
- Licence: free for research, education and other purposes with attribution to
  RSNA and to the NIH Clinical Center.
- Citation: Shih et al., Radiology: Artificial Intelligence 1:e180041, 2019;
  Wang et al., ChestX-ray8, CVPR 2017 (films).

Decisions: view, age and sex are read from the DICOM headers, which takes a
minute or so; PNG or JPEG copies of the films have none. ``patientId`` counts
films, not patients: it is the study. Patients, and the names of the films in
ChestX-ray14 (``nih_image``), come from the file of mappings.

Traps: every film is also in ChestX-ray14: never merge the two without removing
duplicates. Without the file of mappings a split by patient is not possible.
The boxes mark opacities that may be pneumonia, drawn without clinical data. A
few ages of the headers are above 120 years and are left empty. The films of
``stage_2_test_images`` have no published labels here and are left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.boxes import boxes_by_film
from patchcxr.data.sources._layout import Imported, finish, map_labels, read_metadata
from patchcxr.data.sources._search import find, images_by_stem, named, stems
from patchcxr.errors import CohortError, ImageError
from patchcxr.io.dicom_facts import DicomFacts, read_dicom_facts
from patchcxr.io.folders import files_below
from patchcxr.io.masks import EMPTY_MASK
from patchcxr.io.radiograph import DICOM_SUFFIXES

LICENCE = "RSNA and NIH Clinical Center: free use with attribution"
MAPPINGS: Final = "pneumonia-challenge-dataset-mappings_2018.json"

LABELS: Final = {"Normal": "normal", "No Lung Opacity / Not Normal": "other", "Lung Opacity": "pneumonia"}
"""Label of each class of ``stage_2_detailed_class_info.csv``."""


def build(root: str | Path) -> Imported:
    """Cohort of the training films below ``root``; ``finding`` and ``nih_image`` are extra columns.

    Raises
    ------
    CohortError
        If a table is missing or does not fit the other, or all images are missing.
    LabelError
        If a class is not in :data:`LABELS`.
    """
    root = Path(root)
    files = files_below(root)
    tables = [
        named(files, name) or root / name for name in ("stage_2_train_labels.csv", "stage_2_detailed_class_info.csv")
    ]
    rows = read_metadata(tables[0], ("patientId", "x", "y", "width", "height", "Target"), ("patientId",))
    info = read_metadata(tables[1], ("patientId", "class"), ("patientId", "class"))
    study = rows["patientId"].drop_duplicates().dropna().reset_index(drop=True)
    finding = study.map(info.drop_duplicates("patientId").set_index("patientId")["class"]).astype("string")
    boxed = rows[rows["Target"] == 1]
    boxes = boxes_by_film(boxed["patientId"], boxed["y"], boxed["x"], boxed["height"], boxed["width"])
    table = pd.DataFrame(
        {
            "study": study,
            "image": find(study, images_by_stem(files)),
            "label": map_labels(finding, LABELS, tables[1]),
            "boxes": study.map(boxes).astype("string").fillna(EMPTY_MASK),
            "licence": LICENCE,
            "finding": finding,
            "nih_image": study.map(_nih_images(named(files, MAPPINGS))).astype("string"),
        }
    )
    differ = (table["label"] == "pneumonia") != study.isin(list(boxes))
    if differ.any():
        raise CohortError(
            f"{tables[1]}: class and Target differ for {int(differ.sum())} films, such as {study[differ].iloc[0]};"
            " download both tables of the same stage"
        )
    table["patient"] = table["nih_image"].str.extract(r"^0*(\d+)_")[0].astype("string")
    headers, fault = _headers(table["image"])
    table["view"] = [header.view for header in headers]
    table["age_years"] = [header.age_years for header in headers]
    table["sex"] = [header.sex for header in headers]
    skipped = list(zip(table.loc[fault.notna(), "study"], fault.dropna(), strict=True))
    return finish(table[fault.isna()], "rsna", root, skipped)


def _headers(images: pd.Series) -> tuple[list[DicomFacts], pd.Series]:
    """What the header of every DICOM film says; and why it could not be read."""
    facts = [DicomFacts()] * len(images)
    faults: list[str | None] = [None] * len(images)
    for row, image in enumerate(images):
        if not pd.isna(image) and Path(image).suffix.lower() in DICOM_SUFFIXES:
            try:
                facts[row] = read_dicom_facts(image)
            except ImageError as error:
                faults[row] = str(error)
    return facts, pd.Series(faults, index=images.index, dtype="string")


def _nih_images(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        table = pd.DataFrame({key: [entry[key] for entry in entries] for key in ("subset_img_id", "img_id")})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CohortError(
            f"{path}: {error!r}; expected a list of entries with subset_img_id and img_id, so download it again"
        ) from None
    return dict(zip(table["subset_img_id"].astype(str), stems(table["img_id"]), strict=True))
