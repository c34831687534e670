"""ChestX-ray14 of the NIH Clinical Center, normal and pneumonia films.

- Films: 112,120 of 30,805 patients in the full set, 1024 x 1024, 8 bits, PA
  and AP; here those of the table.
- Classes: ``No Finding`` (``normal``), ``Pneumonia`` alone or with other
  findings (``pneumonia``); all findings are kept in ``finding_labels``.
- Layout: ``labels.csv`` (filename, patient_id, label, finding_labels, age,
  sex, view), ``images/``. No masks.
- Licence: free to use with attribution to the NIH Clinical Center.
- Citation: Wang et al., ChestX-ray8, CVPR 2017.

Traps: labels were mined from reports and are noisy; the cause of the pneumonia
is not stated, so the ``four_class`` scheme leaves it out; ages go down to
childhood (filter ``age_years`` for an adult cohort); many films of one
patient, some normal and some not; ``No Finding`` says that the report names
none of 14 findings, and portable AP films of it are from wards.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from patchcxr.data.sources._layout import find_images, finish, read_metadata

LICENCE = "NIH Clinical Center: free use with attribution"


def build(root: str | Path) -> pd.DataFrame:
    """Cohort of the films below ``root``; ``finding_labels`` is kept as an extra column.

    Raises
    ------
    CohortError
        If the table or an image is missing.
    """
    root = Path(root)
    columns = ("filename", "patient_id", "label", "finding_labels", "age", "sex", "view")
    text = tuple(column for column in columns if column != "age")
    metadata = read_metadata(root / "labels.csv", columns, text)
    return finish(
        pd.DataFrame(
            {
                "study": metadata["filename"].map(lambda name: Path(name).stem),
                "patient": metadata["patient_id"],
                "image": find_images(metadata["filename"], root / "images"),
                "label": metadata["label"],
                "view": metadata["view"],
                "age_years": metadata["age"],
                "sex": metadata["sex"],
                "licence": LICENCE,
                "finding_labels": metadata["finding_labels"],
            }
        ),
        "nih",
    )
