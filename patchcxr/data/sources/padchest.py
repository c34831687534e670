"""PadChest of the Hospital San Juan, Alicante.

- Films: 160,861 in the table, of about 67,000 patients (67,625 ids), dated
  2007 to 2017 (2009 to 2017 by the paper): 91,728 PA, 49,579 lateral, 14,346
  AP lying, 4,559 AP standing, 630 of ribs; PNG of 16 bits, made from 10 or 12
  bits, in their full size.
- Classes: 174 findings and 19 diagnoses, several a film, in
  ``finding_labels``. ``normal`` alone is ``normal``; else ``tuberculosis`` is
  ``tuberculosis``, ``pneumonia`` and ``atypical pneumonia`` are ``pneumonia``,
  ``nodule`` and ``multiple nodules`` are ``nodule`` and all others are
  ``other``, the first of these that a film has.
- Masks: none.
- Layout: ``PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv`` (or
  ``.csv.gz``), films in folders ``0`` to ``54`` or all in one.
- Licence: research use only, on the terms of BIMCV.
- Citation: Bustos et al., Medical Image Analysis 66:101797, 2020.

Decisions: lateral films, films of ribs, those that the authors exclude and
those of unknown projection are skipped, and so are films whose report names no
finding (``unchanged`` and ``suboptimal study`` are none). ``age_years`` is the
year of the study less the year of birth, so that it may be one too many.
``tuberculosis sequelae`` are ``other``. ``label_source`` says ``Physician``
(27 % of the reports) or ``RNN_model``; ``age_group`` is ``paediatric`` where
the table says so.

Traps: most labels were given by a network that read the reports; one report
may hold for two films of a study; readers of 8 bits make the 16-bit films
black or wrap them; a few hundred ids have several years of birth, so that they
are not one person's; small children lie among them; eleven files are known to
be damaged and are skipped. COVID-19 Radiography names PadChest as the source
of some of its films.
"""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources._layout import Imported, finish, read_metadata
from patchcxr.data.sources._search import find, images_by_stem, named, stems
from patchcxr.io.folders import files_below

LICENCE = "PadChest/BIMCV: research use only"
TABLE: Final = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"

LABELS: Final = {
    "tuberculosis": "tuberculosis",
    "pneumonia": "pneumonia",
    "atypical pneumonia": "pneumonia",
    "nodule": "nodule",
    "multiple nodules": "nodule",
}
"""Label of the findings that decide alone, first things first; ``normal`` decides only without company."""

VIEWS: Final = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP Supine"}
"""View of each projection that is kept."""

_SKIPPED: Final = {
    "L": "lateral view",
    "COSTAL": "film of the ribs",
    "EXCLUDE": "projection excluded by the authors",
    "UNK": "projection not known",
}
_SAYS_NOTHING: Final = frozenset({"", "unchanged", "suboptimal study"})
_UNREADABLE: Final = "?"
_COLUMNS: Final = ("ImageID", "PatientID", "PatientBirth", "StudyDate_DICOM", "Projection", "Labels")
_MORE: Final = ("PatientSex_DICOM", "Pediatric", "MethodLabel")

DAMAGED: Final = frozenset(
    {
        "216840111366964012283393834152009033102258826_00-059-087",
        "216840111366964012339356563862009072111404053_00-043-192",
        "216840111366964012373310883942009117084022290_00-064-025",
        "216840111366964012373310883942009170084120009_00-097-074",
        "216840111366964012558082906712009327122220177_00-102-064",
        "216840111366964012819207061112010306085429121_04-020-102",
        "216840111366964012819207061112010307142602253_04-014-084",
        "216840111366964012819207061112010315104455352_04-024-184",
        "216840111366964012959786098432011033083840143_00-176-115",
        "216840111366964012989926673512011074122523403_00-163-058",
        "216840111366964013076187734852011291090445391_00-196-188",
    }
)
"""Films that readers of the set leave out because their files are damaged or missing."""


def build(root: str | Path) -> Imported:
    """Cohort of the frontal films below ``root``, with ``finding_labels``, ``label_source`` and ``age_group``.

    Raises
    ------
    CohortError
        If the table is missing, or all images are.
    """
    root = Path(root)
    files = files_below(root)
    path = named(files, TABLE, f"{TABLE}.gz") or root / TABLE
    wanted = (*_COLUMNS, *_MORE)
    metadata = read_metadata(path, _COLUMNS, wanted, usecols=lambda column: column in wanted)
    metadata = metadata.reindex(columns=wanted).astype("string")
    study = stems(metadata["ImageID"])
    with warnings.catch_warnings(action="ignore"):  # of odd text that is parsed as Python
        findings = metadata["Labels"].map({text: _findings(text) for text in metadata["Labels"].dropna().unique()})
    label = findings.map({text: _label(text) for text in findings.dropna().unique()})
    reason = _reasons(metadata["Projection"].str.strip(), study, findings, label)
    birth = pd.to_numeric(metadata["PatientBirth"], errors="coerce")
    age = pd.to_numeric(metadata["StudyDate_DICOM"].str.slice(0, 4), errors="coerce") - birth
    table = pd.DataFrame(
        {
            "study": study,
            "patient": metadata["PatientID"],
            "image": find(study, images_by_stem(files)),
            "label": label,
            "view": metadata["Projection"].str.strip().map(VIEWS),
            "age_years": age.astype("Float64").where(age.between(0, 120)),
            "sex": metadata["PatientSex_DICOM"].where(metadata["PatientSex_DICOM"].isin(["M", "F", "O"])),
            "licence": LICENCE,
            "finding_labels": findings,
            "label_source": metadata["MethodLabel"],
            "age_group": metadata["Pediatric"].map({"PED": "paediatric"}).astype("string"),
        }
    )
    left = reason.notna()
    return finish(table[~left], "padchest", root, list(zip(study[left], reason[left], strict=True)))


def _reasons(projection: pd.Series, study: pd.Series, findings: pd.Series, label: pd.Series) -> pd.Series:
    """Why each row is skipped; empty where it is kept."""
    reason = projection.map(_SKIPPED).astype("string")
    reason = reason.mask(reason.isna() & ~projection.isin(list(VIEWS)), "projection is " + projection.fillna("(empty)"))
    reason = reason.mask(reason.isna() & study.isin(list(DAMAGED)), "file is known to be damaged")
    reason = reason.mask(reason.isna() & (findings == _UNREADABLE).fillna(False), "labels cannot be read")
    return reason.mask(reason.isna() & label.isna(), "the report names no finding")


def _findings(text: str) -> str:
    """Labels of a film, which are written as a Python list, joined by ``|``."""
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _UNREADABLE
    if not isinstance(names, list):
        return _UNREADABLE
    return "|".join(name for name in dict.fromkeys(str(name).strip() for name in names) if name)


def _label(findings: str) -> str | None:
    names = set(findings.split("|")) - _SAYS_NOTHING
    if not names or "exclude" in names:
        return None
    if names == {"normal"}:
        return "normal"
    return next((label for name, label in LABELS.items() if name in names), "other")
