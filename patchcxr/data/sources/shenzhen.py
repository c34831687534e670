"""Shenzhen Hospital films of tuberculosis and normal out-patients.

- Films: 662 posteroanterior radiographs, from 948 x 1130 to 3001 x 3001, 8-bit
  PNG with a palette; from a Philips DR Digital Diagnose, daily routine of
  Shenzhen No. 3 People's Hospital.
- Classes: 326 ``normal`` (last digit of the name 0), 336 ``tuberculosis`` (1).
- Masks: none as first released; 566 later ones by others, both lungs in one
  file. The 19 kinds of abnormality outlined in 2022 are not imported.
- Layout: ``ChinaSet_AllFiles/``: ``CXR_png/CHNCXR_0001_0.png`` and
  ``ClinicalReadings/*.txt`` (sex, age, findings); lungs as
  ``mask/CHNCXR_0001_0_mask.png`` (or ``masks/``).
- Licence: not stated for films and masks by the pages that were at hand; see
  the ReadMe of the download, which asks for citation.
- Citation: Jaeger et al., Quantitative Imaging in Medicine and Surgery
  4(6):475-477, 2014 (films); Stirenko et al., Chest X-Ray Analysis of
  Tuberculosis by Deep Learning with Segmentation and Augmentation, 2018
  (masks).

Decisions: patients are not named, so a film stands for its patient. A reading
without a unit of age leaves the age empty, because infants are stated in
months and days.

Traps: infants and children are among the patients; readings are typed by hand
(``femal``, ``male , 29yrs``); 96 films have no mask; the same films come in
mixtures such as the Kaggle *Chest X-ray Masks and Labels*, whose ``test/``
repeats those 96.
"""

from __future__ import annotations

from pathlib import Path

from patchcxr.data.sources._layout import Imported
from patchcxr.data.sources._nlm import build_nlm

LICENCE = "not stated; see the ReadMe of the download"


def build(root: str | Path) -> Imported:
    """Cohort of the Shenzhen films below ``root``; ``reading`` is kept as an extra column.

    Raises
    ------
    CohortError
        If no film is there.
    """
    return build_nlm(Path(root), "shenzhen", "CHNCXR", LICENCE)
