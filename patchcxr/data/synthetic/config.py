"""Settings of the synthetic cohort, its sources, and the seeds of every film."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from patchcxr.config import config
from patchcxr.errors import ConfigError, LabelError

SYNTHETIC_LABELS: Final = ("normal", "bacterial", "tuberculosis", "viral", "covid19")
"""Classes that can be drawn."""

FOLLOWED_LABELS: Final = ("viral", "covid19")
"""Classes whose patients have several films over days."""

VERSION: Final = 1
"""Part of the fingerprint of a cohort: changes when the same settings draw other films."""


@dataclass(frozen=True)
class SourceStyle:
    """How one hospital's films look and are stored.

    ``contrast`` is the slope of the response curve and ``offset`` the
    attenuation above that of aerated lung shown at its middle; ``window`` are
    the ends of the curve shown black and white, ``gamma`` the power of the
    display, ``flatten`` the share of the large-scale attenuation that the
    hospital's processing takes away, ``bone`` scales bone against soft tissue
    (low tube voltage > 1), ``aspect`` is width over height.
    """

    bit_depth: int
    contrast: float
    offset: float
    window: tuple[float, float]
    gamma: float
    flatten: float
    bone: float
    noise: float
    sharpness: float
    border: bool
    aspect: float


SOURCE_STYLES: Final[dict[str, SourceStyle]] = {
    "A": SourceStyle(8, 1.45, 0.20, (-0.10, 0.97), 0.9, 0.08, 0.95, 0.008, 0.3, False, 1.0),
    "B": SourceStyle(12, 1.75, 0.22, (0.02, 0.97), 1.0, 0.35, 1.15, 0.008, 0.8, False, 1.0),
    "C": SourceStyle(16, 2.00, 0.38, (0.03, 0.98), 1.0, 0.20, 1.35, 0.010, 0.5, True, 0.875),
    "D": SourceStyle(8, 1.60, 0.25, (0.02, 0.98), 1.0, 0.25, 1.0, 0.016, 0.5, False, 1.0),
}
"""Known sources: film-like 8 bit, processed 12 bit, hard 16 bit with a black border, noisy 8 bit."""


@config
class SyntheticConfig:
    """What is drawn.

    Parameters
    ----------
    size
        Height of a film in pixels; the width follows from the source.
    patients
        Number of patients.
    films_per_patient_max
        Most films of one viral or COVID-19 patient; the other classes have one.
    labels
        Classes in equal parts, or a mapping from class to its share.
    confounding
        0: source, view, markers and leads are independent of the class;
        1: each class has its own. Between: the share of patients tied to it.
    severity
        Scales extent and density of the lesions: 1 for a mixed cohort with
        subtle cases, 2 for advanced disease.
    seed
        Films depend on the seed, the patient's and the film's index only.
    lungs_exclude_heart
        Lung masks leave the heart out, as JSRT's do; otherwise they reach to
        the mediastinum behind the heart and overlap the heart mask.
    sources
        Names from :data:`SOURCE_STYLES`.

    Raises
    ------
    ConfigError
        If a value is out of its range, or a source or class is unknown.
    """

    size: int = 512
    patients: int = 40
    films_per_patient_max: int = 3
    labels: dict[str, float] | tuple[str, ...] = SYNTHETIC_LABELS
    confounding: float = 0.0
    severity: float = 1.0
    seed: int = 0
    lungs_exclude_heart: bool = True
    sources: tuple[str, ...] = ("A", "B", "C")

    def __post_init__(self) -> None:
        if self.size < 64:
            raise ConfigError(f"size is {self.size}; a film needs at least 64 pixels: raise size")
        if self.patients < 1 or self.films_per_patient_max < 1:
            raise ConfigError(
                f"patients is {self.patients} and films_per_patient_max {self.films_per_patient_max}; both must be >= 1"
            )
        if not 0.0 <= self.confounding <= 1.0:
            raise ConfigError(f"confounding is {self.confounding}; expected a share from 0 to 1")
        if self.severity <= 0:
            raise ConfigError(f"severity is {self.severity}; expected a factor above 0; leave diseases out with labels")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; expected a whole number >= 0")
        unknown = [name for name in self.sources if name not in SOURCE_STYLES]
        if unknown or not self.sources:
            raise ConfigError(f"sources {list(self.sources)}: choose one or more of {sorted(SOURCE_STYLES)}")
        shares = self.label_shares()
        unknown = [label for label in shares if label not in SYNTHETIC_LABELS]
        if unknown or not shares:
            raise ConfigError(f"labels {sorted(shares)}: choose from {list(SYNTHETIC_LABELS)}")
        if min(shares.values()) < 0 or sum(shares.values()) <= 0:
            raise ConfigError(f"labels have the shares {shares}; expected shares >= 0 with a sum above 0")

    def label_shares(self) -> dict[str, float]:
        """Share of each class, not yet scaled to a sum of one."""
        return dict(self.labels) if isinstance(self.labels, dict) else dict.fromkeys(self.labels, 1.0)


@lru_cache(maxsize=32)
def _label_schedule(shares: tuple[tuple[str, float], ...], patients: int) -> tuple[str, ...]:
    """Label of each patient: the class that is furthest behind its share comes next."""
    names = [name for name, _ in shares]
    weights = np.array([share for _, share in shares], float)
    weights /= weights.sum()
    given = np.zeros(len(names))
    schedule = []
    for index in range(patients):
        behind = weights * (index + 1) - given
        chosen = int(np.argmax(np.round(behind, 9)))
        given[chosen] += 1
        schedule.append(names[chosen])
    return tuple(schedule)


def patient_label(settings: SyntheticConfig, patient_index: int) -> str:
    """Class of a patient; any run of patients from the first on has nearly the shares asked for.

    >>> [patient_label(SyntheticConfig(labels=("normal", "viral")), index) for index in range(4)]
    ['normal', 'viral', 'normal', 'viral']
    """
    length = 64
    while length <= patient_index:
        length *= 2
    return _label_schedule(tuple(settings.label_shares().items()), length)[patient_index]


def check_label(label: str) -> str:
    """``label`` itself, or a :class:`~patchcxr.errors.LabelError` when it cannot be drawn."""
    if label not in SYNTHETIC_LABELS:
        raise LabelError(f"label {label!r} cannot be drawn; choose one of {list(SYNTHETIC_LABELS)}")
    return label


def generator(settings: SyntheticConfig, patient_index: int, *stream: int) -> np.random.Generator:
    """Generator of one stream of one patient, independent of all others."""
    return np.random.default_rng(np.random.SeedSequence([settings.seed, patient_index, *stream]))
