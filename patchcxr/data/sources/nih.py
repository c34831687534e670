"""ChestX-ray14 of the NIH Clinical Center.

- Films: 112,120 of 30,805 patients (67,310 PA, 44,810 AP), PNG of 1024 x 1024,
  8 bits, reduced from larger originals; here those that are there.
- Classes: 14 findings, several a film, in ``finding_labels``. ``No Finding``
  is ``normal``; else ``Pneumonia`` is ``pneumonia``, ``Nodule`` is ``nodule``
  and all others are ``other``, the first of these that a film has.
- Masks: none; 984 boxes of 8 findings on 880 films, in pixels at 1024 x 1024.
  A film without boxes is one that nobody looked at for them.
- Layout: ``Data_Entry_2017_v2020.csv`` or the older ``Data_Entry_2017.csv``,
  ``images_001/images/`` to ``images_012/images/`` (or all in one folder),
  ``BBox_List_2017.csv``, ``train_val_list.txt``, ``test_list.txt``; also
  ``labels.csv`` (filename, patient_id, label, finding_labels, age, sex, view)
  with ``boxes.csv`` (image, finding, x, y, w, h) and ``images/``.
- Licence: free to use with attribution to the NIH Clinical Center.
- Citation: Wang et al., ChestX-ray8, CVPR 2017:2097-2106.

Decisions: of two tables the corrected one of 2020 is read. ``split`` follows
the two lists, which keep the films of a patient together: ``train`` for
train_val, from which a validation part is still to be drawn. Ages are in
years, or in months, weeks or days where the table says M, W or D.

Traps: labels were mined from reports and are noisy; the cause of the pneumonia
is not stated, so the ``four_class`` scheme leaves it out; ages go down to
infants (filter ``age_years`` for an adult cohort), and in the older table some
are above 120 years, such as 412, and are left empty; many films of one
patient, some normal and some not; ``No Finding`` says that the report names
none of 14 findings, and portable AP films of it are from wards. RSNA's
pneumonia challenge, COVIDx and COVID-19 Radiography take films from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.boxes import boxes_by_film
from patchcxr.data.sources._layout import Imported, finish, map_labels, read_metadata
from patchcxr.data.sources._published import dicom_age_years
from patchcxr.data.sources._search import find, images_by_stem, named, stems
from patchcxr.errors import CohortError, LabelError
from patchcxr.io.folders import files_below

LICENCE = "NIH Clinical Center: free use with attribution"
TABLES: Final = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv", "sample_labels.csv")
"""Names of the published table, best first; the last is that of the 5 % sample."""

LABELS: Final = {
    "No Finding": "normal",
    "Pneumonia": "pneumonia",
    "Nodule": "nodule",
    **dict.fromkeys(
        (
            *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia"),
            *("Infiltration", "Mass", "Pleural_Thickening", "Pneumothorax"),
        ),
        "other",
    ),
}
"""Label of each finding; of several findings the first in this order decides."""


def build(root: str | Path) -> Imported:
    """Cohort of the films below ``root``; ``finding_labels`` is kept as an extra column.

    Raises
    ------
    CohortError
        If the table is missing, or all images are.
    LabelError
        If a finding is not in :data:`LABELS`.
    """
    root = Path(root)
    files = files_below(root)
    path = named(files, *TABLES)
    if path is None and (root / "labels.csv").is_file():
        return _copy(root, files)
    return _published(root, files, path or root / TABLES[0])


def _published(root: Path, files: list[Path], path: Path) -> Imported:
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position")
    metadata = read_metadata(path, columns, (*columns, "Patient Gender", "Patient Sex"), index_col=False)
    images = images_by_stem(files)
    study = stems(metadata["Image Index"])
    boxes = named(files, "BBox_List_2017.csv")
    return finish(
        pd.DataFrame(
            {
                "study": study,
                "patient": metadata["Patient ID"],
                "image": find(study, images),
                "label": _labels(metadata["Finding Labels"], path),
                "view": metadata["View Position"],
                "age_years": metadata["Patient Age"].map(dicom_age_years, na_action="ignore").astype("float64"),
                "sex": metadata.get("Patient Gender", metadata.get("Patient Sex", pd.NA)),
                "split": study.map(_splits(files)),
                "boxes": study.map(_published_boxes(boxes) if boxes else {}).astype("string"),
                "licence": LICENCE,
                "finding_labels": metadata["Finding Labels"],
            }
        ),
        "nih",
        root,
    )


def _copy(root: Path, files: list[Path]) -> Imported:
    path = root / "labels.csv"
    columns = ("filename", "patient_id", "label", "finding_labels", "age", "sex", "view")
    metadata = read_metadata(path, columns, tuple(column for column in columns if column != "age"))
    folder = root / "images"
    images = images_by_stem(file for file in files if file.is_relative_to(folder.absolute()))
    study = stems(metadata["filename"])
    return finish(
        pd.DataFrame(
            {
                "study": study,
                "patient": metadata["patient_id"],
                "image": find(study, images),
                "label": map_labels(metadata["label"], {name: name for name in LABELS.values()}, path),
                "view": metadata["view"],
                "age_years": metadata["age"],
                "sex": metadata["sex"],
                "boxes": study.map(_copied_boxes(root / "boxes.csv")).astype("string"),
                "licence": LICENCE,
                "finding_labels": metadata["finding_labels"],
            }
        ),
        "nih",
        folder,
    )


def _labels(findings: pd.Series, path: Path) -> pd.Series:
    order = list(LABELS)
    label, unknown = {}, set()
    for text in findings.fillna("(empty)").unique():
        names = {name.strip() for name in str(text).split("|")}
        unknown |= names - LABELS.keys()
        label[text] = next((LABELS[name] for name in order if name in names), None)
    if unknown:
        raise LabelError(f"{path}: findings {sorted(unknown)} are unknown; expected {', '.join(LABELS)}")
    return findings.map(label)


def _splits(files: list[Path]) -> dict[str, str]:
    split: dict[str, str] = {}
    for name, part in (("train_val_list.txt", "train"), ("test_list.txt", "test")):
        if path := named(files, name):
            lines = pd.Series(path.read_text(encoding="utf-8", errors="replace").split(), dtype="string")
            split |= dict.fromkeys(stems(lines), part)
    return split


def _published_boxes(path: Path) -> dict[str, str]:
    # The header reads "Bbox [x,y,w,h]" without quotes, so that it takes four columns.
    table = read_metadata(path, ("Image Index", "Finding Label"), ("Image Index", "Finding Label"))
    if table.shape[1] < 6 or not str(table.columns[2]).lower().startswith("bbox"):
        got = ", ".join(map(str, table.columns))
        raise CohortError(f"{path}: columns are {got}; expected Image Index,Finding Label,Bbox [x,y,w,h]")
    x, y, width, height = (table.iloc[:, column] for column in range(2, 6))
    return boxes_by_film(stems(table["Image Index"]), y, x, height, width, table["Finding Label"])


def _copied_boxes(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    table = read_metadata(path, ("image", "finding", "x", "y", "w", "h"), ("image", "finding"))
    return boxes_by_film(stems(table["image"]), table["y"], table["x"], table["h"], table["w"], table["finding"])
