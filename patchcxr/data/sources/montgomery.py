"""Montgomery County films of tuberculosis screening.

- Films: 138 posteroanterior radiographs, 4020 x 4892 or 4892 x 4020, PNG,
  0.0875 mm a pixel; 12 grey-level bits by the data set's ReadMe, 8-bit files.
- Classes: 80 ``normal`` (last digit of the name 0), 58 ``tuberculosis`` (1).
- Masks: left and right lung, by hand under a radiologist; the lung behind the
  heart is excluded, severe disease is bridged.
- Layout: ``MontgomerySet/``: ``CXR_png/MCUCXR_0001_0.png``,
  ``ManualMask/{leftMask,rightMask}/`` and ``ClinicalReadings/*.txt`` (sex,
  age, findings). A widespread copy has both lungs in one file of ``masks/``.
- Licence: attribute the National Library of Medicine and cite both papers;
  not to be passed on outside of one's own group.
- Citation: Candemir et al., IEEE TMI 33(2):577-590, 2014; Jaeger et al., IEEE
  TMI 33(2):233-245, 2014.

Decisions: patients are not named, so a film stands for its patient, except
where a reading says that it is the same patient as another film. Which folder
of masks is the patient's left is told from the first pair of them.

Traps: films with the digit 1 may show another or an old disease, see
``reading``; children are among the patients; sex may be ``O``; an age of 0
stands for unknown; the same films come in mixtures such as the Kaggle *Chest
X-ray Masks and Labels*.
"""

from __future__ import annotations

from pathlib import Path

from patchcxr.data.sources._layout import Imported
from patchcxr.data.sources._nlm import build_nlm

LICENCE = "NLM: attribution and citation; not for redistribution"


def build(root: str | Path) -> Imported:
    """Cohort of the Montgomery films below ``root``; ``reading`` is kept as an extra column.

    Raises
    ------
    CohortError
        If no film is there.
    """
    return build_nlm(Path(root), "montgomery", "MCUCXR", LICENCE)
