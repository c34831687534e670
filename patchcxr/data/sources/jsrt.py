"""JSRT films with the SCR outlines of lungs and heart.

- Films: 247 posteroanterior radiographs in the full set, 2048 x 2048, 12 bits,
  digitised from film; here those of the table (197 in Oh 2020's training set).
- Classes: with a lung nodule (``nodule``), without (``normal``).
- Masks: right lung, left lung and heart. The lungs exclude the heart.
- Layout: ``clinical.csv`` (File, Sex, Age, Condition), ``images/``,
  ``masks/{right_lung,left_lung,heart}/``.
- Licence: free for research after registration with the JSRT.
- Citation: Shiraishi et al., AJR 174:71-74, 2000 (films); van Ginneken,
  Stegmann, Loog, Medical Image Analysis 10:19-40, 2006 (outlines).

Traps: each film is one patient; age 0 stands for unknown and is left empty; a
*nodule* film is no normal film, though most of its lung is; heart outlines of
other sets that include the mediastinum are wider.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from patchcxr.data.sources._layout import files_by_stem, find_images, finish, read_metadata

LICENCE = "JSRT/SCR: free for research, not for redistribution"


def build(root: str | Path) -> pd.DataFrame:
    """Cohort of the JSRT/SCR films below ``root``; ``condition`` is kept as an extra column.

    Raises
    ------
    CohortError
        If the table or an image is missing.
    """
    root = Path(root)
    text = ("File", "Sex", "Condition")
    metadata = read_metadata(root / "clinical.csv", (*text, "Age"), text)
    stems = metadata["File"].map(lambda name: Path(name).stem)
    condition = metadata["Condition"].str.strip()
    masks = {name: files_by_stem(root / "masks" / name) for name in ("right_lung", "left_lung", "heart")}
    return finish(
        pd.DataFrame(
            {
                "study": stems,
                "patient": stems,
                "image": find_images(metadata["File"], root / "images"),
                "label": condition.str.startswith("non-nodule").map({True: "normal", False: "nodule"}),
                "view": "PA",
                "age_years": metadata["Age"].where(metadata["Age"] > 0),
                "sex": metadata["Sex"],
                **{f"{name}_mask": stems.map(files) for name, files in masks.items()},
                "licence": LICENCE,
                "condition": condition,
            }
        ),
        "jsrt",
    )
