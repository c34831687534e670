"""The covid-chestxray-dataset of Cohen et al. and its radiologist-drawn masks.

- Films: published cases from many hospitals, PA, AP and AP supine (654 frontal
  films by the repository's own count), as small as 157 pixels; mostly
  COVID-19, with SARS, bacterial and fungal pneumonia. CT slices and volumes
  are in the same table.
- Classes: ``finding``, in later versions a path such as
  ``Pneumonia/Viral/COVID-19``, plain in earlier ones.
- Masks: ``annotations/lungVAE-masks`` were made by a network. A re-encoded copy
  has ``masks/lungs_v7`` (annotators, both lungs in one, lung behind the heart
  included) and right lung, left lung, ground glass, consolidation and
  cardiomediastinum by a radiologist for 65 films.
- Layout: ``metadata.csv``, ``images/``, ``volumes/``, ``annotations/``
  (``covid-severity-scores.csv``, ``lungVAE-masks/<film>_mask.png``). In the
  re-encoded copy ``masks/<name>/``; a film marked in ``radiologist_masks`` that
  lacks one of the radiologist's files has none of that structure.
- Licence: given film by film; an empty cell means that none is stated. Tables
  CC BY-NC-SA 4.0, severity scores and lungVAE masks CC BY-SA.
- Citation: Cohen et al., COVID-19 image data collection, arXiv:2006.11988,
  2020; Cohen et al., Predicting COVID-19 pneumonia severity, arXiv:2005.11856
  (scores of 94 films); Selvan et al., arXiv:2005.10052 (lungVAE).

Decisions: lateral views and CT are skipped, as are findings that are not
stated (``todo``, ``Unknown``). The most specific known part of a finding's path
counts. ``infection_mask`` is ground glass united with consolidation.
``lung_mask`` is ``lungs_v7`` where it exists, else the radiologist's two lungs,
else lungVAE's where it has the film's size; ``lung_mask_by`` says whose it is.
The cardiomediastinum is wider and taller than a heart, so ``heart_mask`` stays
empty. ``days`` is the offset since onset of symptoms or admission, as stated
by the case. ``extent`` (0 to 8) and ``opacity`` (0 to 6) are means of three
readers.

Traps: several films of one patient, some of whom change their finding; ids of
patients are not unique across this set and others; annotators and radiologist
draw different lungs, and a network's masks are no reference; arrows, letters
and devices are on many films; many other sets contain these films.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from patchcxr.data.sources._layout import Imported, files_by_stem, find_images, finish, map_labels, read_metadata
from patchcxr.data.sources._masks import image_shape
from patchcxr.io.masks import EMPTY_MASK, MASK_SEPARATOR

LABELS: Final = {
    "No Finding": "normal",
    "COVID-19": "covid19",
    "COVID-19, ARDS": "covid19",
    "SARS": "viral",
    "MERS": "viral",
    "MERS-CoV": "viral",
    "Influenza": "viral",
    "H1N1": "viral",
    "Herpes": "viral",
    "Varicella": "viral",
    "Viral": "viral",
    "Streptococcus": "bacterial",
    "Staphylococcus": "bacterial",
    "Klebsiella": "bacterial",
    "E.Coli": "bacterial",
    "Legionella": "bacterial",
    "Chlamydophila": "bacterial",
    "Mycoplasma": "bacterial",
    "Nocardia": "bacterial",
    "Bacterial": "bacterial",
    "Pneumocystis": "fungal",
    "Aspergillosis": "fungal",
    "Fungal": "fungal",
    "Tuberculosis": "tuberculosis",
    "Lipoid": "other",
    "Aspiration": "other",
    "ARDS": "other",
    "Pneumonia": "pneumonia",
}
"""Label of each part of a finding; ARDS alone states no cause, lipoid and aspiration pneumonia no infection."""

_KNOWN: Final = {name.casefold(): name for name in LABELS}
_UNSTATED: Final = ("", "todo", "unknown")
_CT_VIEWS: Final = ("axial", "coronal", "ct")
_LATERAL_VIEWS: Final = ("l", "lateral")
_SIDES: Final = ("right_lung", "left_lung")
_INFECTION: Final = ("ground_glass", "consolidation")


class Cases(NamedTuple):
    """Frontal films of ``metadata.csv`` in the columns of a cohort, and what was left out of them.

    ``films`` also has ``filename`` and ``drawn`` (by the radiologist, in the re-encoded copy).
    """

    films: pd.DataFrame
    skipped: pd.DataFrame


def build(root: str | Path) -> Imported:
    """Cohort of the frontal films below ``root``.

    Extra columns: ``finding``, ``lung_mask_by``, ``extent`` and ``opacity``.

    Raises
    ------
    CohortError
        If the table is missing, or all images are.
    LabelError
        If a finding is not in :data:`LABELS`.
    """
    root = Path(root)
    films, skipped = read_cases(root / "metadata.csv")
    images = find_images(films["filename"], root / "images")
    files = {name: files_by_stem(root / "masks" / name) for name in ("lungs_v7", *_SIDES, *_INFECTION)}
    generated = files_by_stem(root / "annotations" / "lungVAE-masks")

    def drawn_field(stem: str, is_drawn: bool, names: tuple[str, ...]) -> str | None:
        if not is_drawn:
            return None
        return MASK_SEPARATOR.join(files[name][stem] for name in names if stem in files[name]) or EMPTY_MASK

    def lungs(stem: str, is_drawn: bool, image: str | None) -> tuple[str | None, str | None]:
        if stem in files["lungs_v7"]:
            return files["lungs_v7"][stem], "annotators"
        if is_drawn:
            return drawn_field(stem, is_drawn, _SIDES), "radiologist"
        mask = generated.get(f"{stem}_mask")
        if mask and image and image_shape(mask) == image_shape(image):
            return mask, "lungVAE"
        return None, None

    pairs = list(zip(films["study"], films["drawn"], strict=True))
    both = [lungs(*pair, image) for pair, image in zip(pairs, images, strict=True)]
    return finish(
        films.drop(columns=["filename", "drawn"]).assign(
            image=images,
            right_lung_mask=[drawn_field(*pair, ("right_lung",)) for pair in pairs],
            left_lung_mask=[drawn_field(*pair, ("left_lung",)) for pair in pairs],
            lung_mask=[mask for mask, _ in both],
            infection_mask=[drawn_field(*pair, _INFECTION) for pair in pairs],
            lung_mask_by=pd.Series([by for _, by in both], index=films.index, dtype="string"),
            **_severity(root, films["study"]),
        ),
        "cohen",
        root / "images",
        skipped,
    )


def read_cases(path: Path) -> Cases:
    """Frontal films of a ``metadata.csv``, one row a film.

    Raises
    ------
    CohortError
        If the table or one of its columns is missing.
    LabelError
        If a finding is not in :data:`LABELS`.
    """
    text = ("patientid", "sex", "finding", "view", "filename", "license")
    metadata = read_metadata(path, (*text, "offset", "age"), (*text, "modality"))
    metadata = metadata[metadata["filename"].notna()].reset_index(drop=True)
    stems = metadata["filename"].map(lambda name: Path(name).stem)
    view = metadata["view"].fillna("").str.strip().str.casefold()
    finding = metadata["finding"].fillna("").str.strip()
    modality = pd.Series(metadata.get("modality", "X-ray"), index=metadata.index, dtype="string").fillna("X-ray")
    reasons = pd.Series(pd.NA, index=metadata.index, dtype="string")
    for left_out, reason in (
        (view.isin(_LATERAL_VIEWS), "lateral view"),
        (view.isin(_CT_VIEWS) | modality.str.strip().str.casefold().ne("x-ray"), "not a radiograph"),
        (finding.str.casefold().isin(_UNSTATED), "finding is not stated"),
        (stems.duplicated(), "listed before"),
    ):
        reasons = reasons.mask(left_out & reasons.isna(), reason)
    kept = reasons.isna()
    metadata = metadata[kept]
    films = pd.DataFrame(
        {
            "study": stems[kept],
            "patient": metadata["patientid"],
            "label": map_labels(finding[kept].map(_most_specific), LABELS, path),
            "view": metadata["view"],
            "age_years": pd.to_numeric(metadata["age"], errors="coerce"),
            "sex": metadata["sex"],
            "days": pd.to_numeric(metadata["offset"], errors="coerce"),
            "licence": metadata["license"],
            "finding": finding[kept],
            "filename": metadata["filename"],
            "drawn": pd.Series(metadata.get("radiologist_masks", float("nan")), index=metadata.index).eq(1),
        }
    )
    skipped = pd.DataFrame({"name": stems[~kept], "reason": reasons[~kept]})
    return Cases(films.reset_index(drop=True), skipped.reset_index(drop=True))


def _most_specific(finding: str) -> str:
    """Last known part of a finding such as ``Pneumonia/Viral/Influenza/H1N1``; else the finding itself."""
    parts = reversed([part.strip().casefold() for part in finding.split("/")])
    return next((_KNOWN[part] for part in parts if part in _KNOWN), finding)


def _severity(root: Path, stems: pd.Series) -> dict[str, pd.Series]:
    """Scores of the films that readers graded; empty where the table is not there."""
    name = "covid-severity-scores.csv"
    path = next((path for path in (root / "annotations" / name, root / name) if path.is_file()), None)
    if path is None:
        return {column: pd.Series(float("nan"), index=stems.index) for column in ("extent", "opacity")}
    columns = ("filename", "geographic_mean", "opacity_mean")
    scores = read_metadata(path, columns, ("filename",), comment="#").dropna(subset="filename")
    scores = scores.set_index(scores["filename"].map(lambda name: Path(name).stem))
    scores = scores[~scores.index.duplicated()]
    return {"extent": stems.map(scores["geographic_mean"]), "opacity": stems.map(scores["opacity_mean"])}
