"""Adult tuberculosis and normal films from a public training set without patient ids.

- Films: 512 x 512, 8 bits; frontal, adults; their hospitals are not stated.
- Classes: ``tuberculosis`` and ``normal``.
- Masks: none.
- Layout: ``labels.csv`` (filename, label) with ``images/``, or the folders
  ``TB-positive`` and ``TB-negative``, such as ``train/TB-positive/``. No ages
  or sexes.
- Licence: not stated with the films; research use only.
- Citation: not stated with the films.

Traps: there are no patient ids. Near-duplicates are grouped by a difference
hash (:mod:`patchcxr.data.duplicates`), and a group stands in for a patient;
two different films of one person are not found that way, so a split of this
set may still share patients. All tuberculosis films come from this one source:
a network can tell the source instead of the disease.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.duplicates import difference_hash, near_duplicate_groups
from patchcxr.data.sources._layout import Imported, finish, map_labels, read_metadata
from patchcxr.data.sources._search import find, images_by_stem, stems
from patchcxr.errors import ImageError
from patchcxr.io.folders import files_below
from patchcxr.io.radiograph import IMAGE_SUFFIXES, read_radiograph
from patchcxr.types import BoolArray

LICENCE = "not stated; research use only"
LABELS: Final = {"tuberculosis": "tuberculosis", "normal": "normal"}
"""Label of each class of the table."""

_FOLDERS: Final = {"tb-positive": "tuberculosis", "tb-negative": "normal"}


def build(root: str | Path) -> Imported:
    """Cohort of the films below ``root``; every image is read once for its hash.

    Images that are missing or cannot be read are skipped.

    Raises
    ------
    CohortError
        If neither the table nor the folders are there, or no image can be read.
    LabelError
        If a class is not in :data:`LABELS`.
    """
    root = Path(root)
    files = files_below(root)
    table, folder = _films_in_folders(files), root
    if (root / "labels.csv").is_file() or table.empty:
        table, folder = _films_of_table(root, files), root / "images"
    hashes: dict[int, BoolArray] = {}
    faults: dict[int, str] = {}
    for row, image in table["image"].dropna().items():
        try:
            hashes[row] = difference_hash(read_radiograph(image).pixels)
        except ImageError as error:
            faults[row] = str(error)
    groups = pd.Series(
        near_duplicate_groups(list(hashes.values())) if hashes else [], index=list(hashes), dtype="Int64"
    )
    table["patient"] = table["study"].groupby(groups).transform("first")
    skipped = [(table["study"][row], reason) for row, reason in faults.items()]
    cohort, left = finish(table.drop(index=list(faults)), "tb", folder, skipped)
    return Imported(cohort.assign(patient_id_known="no").astype({"patient_id_known": "string"}), left)


def _films_of_table(root: Path, files: list[Path]) -> pd.DataFrame:
    path = root / "labels.csv"
    metadata = read_metadata(path, ("filename", "label"), text=("filename", "label"))
    study = stems(metadata["filename"])
    image = find(study, images_by_stem(files, folder="images"))
    label = map_labels(metadata["label"], LABELS, path)
    return pd.DataFrame({"study": study, "image": image, "label": label, "licence": LICENCE})


def _films_in_folders(files: list[Path]) -> pd.DataFrame:
    paths = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and path.parent.name.lower() in _FOLDERS]
    # Names such as image1.jpg occur in every folder.
    study = ["-".join((path.parent.parent.name, path.parent.name, path.stem)) for path in paths]
    label = [_FOLDERS[path.parent.name.lower()] for path in paths]
    return pd.DataFrame({"study": study, "image": map(str, paths), "label": label, "licence": LICENCE}, dtype="string")
