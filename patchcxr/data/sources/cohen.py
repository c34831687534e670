"""The covid-chestxray-dataset of Cohen et al. and its radiologist-drawn masks.

- Films: published cases from many hospitals, PA, AP and AP supine, as small as
  157 pixels; mostly COVID-19, with SARS, bacterial and fungal pneumonia.
- Masks: ``lungs_v7`` (annotators, both lungs in one, lung behind the heart
  included) for most films; right lung, left lung, ground glass, consolidation
  and cardiomediastinum by a radiologist for 65 of them.
- Layout: ``metadata.csv``, ``images/``, ``masks/<name>/``; a film marked in
  ``radiologist_masks`` that lacks one of the radiologist's files has none of
  that structure.
- Licence: given film by film; an empty cell means that none is stated.
- Citation: Cohen et al., COVID-19 image data collection, arXiv:2006.11988,
  2020. General Blockchain publishes such radiologist's masks as
  covid-19-chest-xray-segmentations-dataset (CC BY 4.0).

Decisions: lateral views are left out. ``infection_mask`` is ground glass
united with consolidation. ``lung_mask`` is ``lungs_v7`` where it exists, else
the radiologist's two lungs. The cardiomediastinum is wider and taller than a
heart, so ``heart_mask`` stays empty. ``days`` is the offset since onset of
symptoms or admission, as stated by the case.

Traps: several films of one patient, six of whom change their finding; ids of
patients are not unique across this set and others; annotators and radiologist
draw different lungs; arrows, letters and devices are on many films.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources._layout import files_by_stem, find_images, finish, read_metadata
from patchcxr.errors import LabelError
from patchcxr.io.masks import EMPTY_MASK, MASK_SEPARATOR

LABELS: Final = {
    "No Finding": "normal",
    "COVID-19": "covid19",
    "COVID-19, ARDS": "covid19",
    "SARS": "viral",
    "Varicella": "viral",
    "Streptococcus": "bacterial",
    "Klebsiella": "bacterial",
    "E.Coli": "bacterial",
    "Legionella": "bacterial",
    "Chlamydophila": "bacterial",
    "Bacterial": "bacterial",
    "Pneumocystis": "fungal",
    "Pneumonia": "pneumonia",
    "ARDS": "other",
}
"""Label of each finding; ARDS alone states no cause."""

_SIDES: Final = ("right_lung", "left_lung")
_INFECTION: Final = ("ground_glass", "consolidation")


def build(root: str | Path) -> pd.DataFrame:
    """Cohort of the frontal films below ``root``; ``finding`` is kept as an extra column.

    Raises
    ------
    CohortError
        If the table or an image is missing.
    LabelError
        If a finding is not in :data:`LABELS`.
    """
    root = Path(root)
    text = ("patientid", "sex", "finding", "view", "filename", "license")
    metadata = read_metadata(root / "metadata.csv", (*text, "offset", "age"), text)
    metadata = metadata[metadata["view"] != "L"].reset_index(drop=True)
    finding = metadata["finding"].str.strip()
    unknown = sorted(set(finding[~finding.isin(list(LABELS))].fillna("(empty)")))
    if unknown:
        raise LabelError(f"{root / 'metadata.csv'}: findings {unknown} are unknown; expected {', '.join(LABELS)}")
    stems = metadata["filename"].map(lambda name: Path(name).stem)
    drawn = pd.Series(metadata.get("radiologist_masks", float("nan")), index=metadata.index).eq(1)
    files = {name: files_by_stem(root / "masks" / name) for name in ("lungs_v7", *_SIDES, *_INFECTION)}

    def drawn_field(stem: str, is_drawn: bool, names: tuple[str, ...]) -> str | None:
        if not is_drawn:
            return None
        return MASK_SEPARATOR.join(files[name][stem] for name in names if stem in files[name]) or EMPTY_MASK

    def lungs(stem: str, is_drawn: bool) -> str | None:
        return files["lungs_v7"].get(stem) or drawn_field(stem, is_drawn, _SIDES)

    pairs = list(zip(stems, drawn, strict=True))
    return finish(
        pd.DataFrame(
            {
                "study": stems,
                "patient": metadata["patientid"],
                "image": find_images(metadata["filename"], root / "images"),
                "label": finding.map(LABELS),
                "view": metadata["view"],
                "age_years": metadata["age"],
                "sex": metadata["sex"],
                "days": metadata["offset"],
                "right_lung_mask": [drawn_field(*pair, ("right_lung",)) for pair in pairs],
                "left_lung_mask": [drawn_field(*pair, ("left_lung",)) for pair in pairs],
                "lung_mask": [lungs(*pair) for pair in pairs],
                "infection_mask": [drawn_field(*pair, _INFECTION) for pair in pairs],
                "licence": metadata["license"],
                "finding": finding,
            }
        ),
        "cohen",
    )
