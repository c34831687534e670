"""Synthetic chest radiographs with exact ground truth.

A parametric thorax, ray-summed attenuation, findings of five classes, and a
cohort of patients, days and sources on disk.

>>> from patchcxr.data.synthetic import SyntheticConfig, synthetic_film
>>> film = synthetic_film(SyntheticConfig(size=128), patient_index=0)
>>> film.label, film.severity
('normal', 0.0)
"""

from patchcxr.data.synthetic.cohort import generate_cohort
from patchcxr.data.synthetic.config import SOURCE_STYLES, SYNTHETIC_LABELS, SourceStyle, SyntheticConfig, patient_label
from patchcxr.data.synthetic.film import SyntheticFilm, SyntheticPatient, synthetic_film, synthetic_patient
from patchcxr.data.synthetic.findings import LESION_THRESHOLD

__all__ = [
    "LESION_THRESHOLD",
    "SOURCE_STYLES",
    "SYNTHETIC_LABELS",
    "SourceStyle",
    "SyntheticConfig",
    "SyntheticFilm",
    "SyntheticPatient",
    "generate_cohort",
    "patient_label",
    "synthetic_film",
    "synthetic_patient",
]
