"""Adult tuberculosis and normal films from a public training set without patient ids.

- Films: 512 x 512, 8 bits; frontal, adults; their hospitals are not stated.
- Classes: ``tuberculosis`` and ``normal``.
- Layout: ``labels.csv`` (filename, label), ``images/``. No masks, ages or
  sexes.
- Licence: not stated with the films; research use only.

Traps: there are no patient ids. Near-duplicates are grouped by a difference
hash (:mod:`patchcxr.data.duplicates`), and a group stands in for a patient;
two different films of one person are not found that way, so a split of this
set may still share patients. All tuberculosis films come from this one source:
a network can tell the source instead of the disease.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from patchcxr.data.duplicates import hash_films, near_duplicate_groups
from patchcxr.data.sources._layout import find_images, finish, read_metadata

LICENCE = "not stated; research use only"


def build(root: str | Path) -> pd.DataFrame:
    """Cohort of the films below ``root``; every image is read once for its hash.

    Raises
    ------
    CohortError
        If the table or an image is missing.
    ImageError
        If an image cannot be read.
    """
    root = Path(root)
    metadata = read_metadata(root / "labels.csv", ("filename", "label"), text=("filename", "label"))
    images = find_images(metadata["filename"], root / "images")
    stems = metadata["filename"].map(lambda name: Path(name).stem)
    groups = pd.Series(near_duplicate_groups(hash_films(images)), index=stems.index)
    return finish(
        pd.DataFrame(
            {
                "study": stems,
                "patient": stems.groupby(groups).transform("first"),
                "image": images,
                "label": metadata["label"],
                "licence": LICENCE,
            }
        ),
        "tb",
    )
