"""COVID-19 Image Repository of the Hannover Medical School.

- Films: chest radiographs (CR and DX), AP and PA, PNG of full size on GitHub;
  Degerli 2021 counted 183, and the table has grown since. A copy of 132 films
  re-encoded to about 640 pixels is understood too.
- Classes: all patients have COVID-19 (``covid19``).
- Masks: none.
- Layout: ``data.csv`` and ``png/<image_id>.png``; in the copy ``images/``.
- Licence: CC BY 3.0.
- Citation: Institute for Diagnostic and Interventional Radiology, Hannover
  Medical School, COVID-19 Image Repository,
  github.com/ml-workgroup/covid-19-image-repository, 2020.

Decisions: an offset of the table is the day of the event minus the day of the
film, so ``days`` since admission (the readme adds: begin of symptoms) is
``admission_offset`` with the other sign; negative ``days`` are films before
admission. The sign follows from series of films of one patient, whose release
from intensive care comes nearer film by film, and from ieee8023's collection,
whose days have the other sign where the tables still agree. All other columns
are kept, with their offsets as published; ``death_offset`` is empty for
survivors.

Traps: laboratory values are rounded, ``-inf`` and ``inf`` mean below and above
what the test detects, and each has an offset of its own; age, height and
weight are withheld; some patients have more than ten films, so that a split by
film leaks; ieee8023's collection holds at least 84 films of this hospital under
the same names but with other patient ids and, for many, other days; 12 of them
are among the 132 of the copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources._layout import Imported, find_images, finish, read_metadata

LICENCE: Final = "CC BY 3.0"

_FOLDERS: Final = ("png", "images", "dicom")
_RENAMED: Final = ("patient_id", "image_id", "sex", "age", "projection")


def build(root: str | Path) -> Imported:
    """Cohort of the films below ``root``; offsets, stays in intensive care and laboratory values are extra columns.

    Raises
    ------
    CohortError
        If the table is missing, or all images are.
    """
    root = Path(root)
    metadata = read_metadata(root / "data.csv", (*_RENAMED, "admission_offset"), ("patient_id", "image_id", "sex"))
    present = {path.name.lower(): path for path in sorted(root.iterdir(), reverse=True) if path.is_dir()}
    folder = next((present[name] for name in _FOLDERS if name in present), root / _FOLDERS[0])
    return finish(
        pd.DataFrame(
            {
                "study": metadata["image_id"],
                "patient": metadata["patient_id"],
                "image": find_images(metadata["image_id"], folder),
                "label": "covid19",
                "view": metadata["projection"].astype("string").str.strip().str.upper(),
                "age_years": metadata["age"],
                "sex": metadata["sex"].str.strip().str.upper().replace({"W": "F"}),
                "days": 0.0 - pd.to_numeric(metadata["admission_offset"], errors="coerce"),
                "licence": LICENCE,
                **{name: metadata[name] for name in metadata.columns if name not in _RENAMED},
            }
        ),
        "hannover",
        folder,
    )
