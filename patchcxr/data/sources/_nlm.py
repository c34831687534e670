"""The two tuberculosis sets of the National Library of Medicine, which share one layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from patchcxr.data.sources._layout import Imported, finish
from patchcxr.errors import CohortError, MaskError
from patchcxr.io.folders import files_below
from patchcxr.io.masks import read_mask

LABELS: Final = {"0": "normal", "1": "tuberculosis"}
"""Label by the last digit of a film's name."""

_HEADING: Final = re.compile(r"patient.{0,3}s\s+(sex|age)\b", re.IGNORECASE)
_SEX: Final = re.compile(r"sex\W+([mfo])|\b(f)emal|\b(m)al", re.IGNORECASE)
_AGE: Final = re.compile(r"(?<!\d)(\d+(?:\.\d+)?)\s*([ymd])[a-z]*", re.IGNORECASE)
_IN_A_YEAR: Final = {"y": 1.0, "m": 12.0, "d": 365.25}
_OLDEST: Final = 120


class Reading(NamedTuple):
    """What a file of ``ClinicalReadings`` says; ``None`` where it does not say it."""

    sex: str | None
    age_years: float | None
    text: str


def parse_reading(text: str) -> Reading:
    r"""Sex, age and findings of a clinical reading, in the form of either set.

    Age 0 and numbers without a unit are taken for unknown.

    >>> parse_reading("Patient's Sex: F\r\nPatient's Age: 027Y\r\nnormal\r\n")
    Reading(sex='F', age_years=27.0, text='normal')
    >>> parse_reading("femal, 16month\nbilateral\nPTB")
    Reading(sex='F', age_years=1.3333333333333333, text='bilateral PTB')
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    head = [line for line in lines if _HEADING.match(line)] or lines[:1]
    body = [line for line in lines if line not in head]
    heading = "\n".join(head)
    sex, age = _SEX.search(heading), _AGE.search(heading)
    years = float(age[1]) / _IN_A_YEAR[age[2].lower()] if age else 0.0
    if age and not _HEADING.match(lines[0]):
        body = [heading[age.end() :].strip(" \t,.;"), *body]
    return Reading(
        next(group for group in sex.groups() if group).upper() if sex else None,
        years if 0 < years <= _OLDEST else None,
        " ".join(part for part in body if part),
    )


def build_nlm(root: Path, source: str, prefix: str, licence: str) -> Imported:
    """Cohort of the films ``<prefix>_0001_0`` below ``root``; ``reading`` is kept as an extra column.

    Films lie in ``CXR_png``, readings in ``ClinicalReadings``, lungs in
    ``leftMask`` and ``rightMask`` or, both in one, in ``mask`` or ``masks``;
    letter case and the folders above do not matter.

    Raises
    ------
    CohortError
        If no film is there.
    """
    name = re.compile(rf"({prefix}_\d+_[01])(_mask)?", re.IGNORECASE)
    files: dict[str, dict[str, Path]] = {}
    for path in files_below(root):
        matched = name.fullmatch(path.stem)
        if matched:
            files.setdefault(path.parent.name.lower(), {}).setdefault(matched[1].upper(), path)
    films = files.get("cxr_png", {})
    if not films:
        raise CohortError(
            f"{root}: no such file as CXR_png/{prefix}_0001_0.png; give the folder of the data set in its"
            " published layout, with its archives unpacked"
        )
    left, right = files.get("leftmask", {}), files.get("rightmask", {})
    if _viewers_sides(left, right):
        left, right = right, left
    both = files.get("masks", {}) | files.get("mask", {})
    readings = {
        stem: parse_reading(path.read_text(encoding="utf-8-sig", errors="replace"))
        for stem, path in files.get("clinicalreadings", {}).items()
    }
    stems = pd.Series(sorted(films.keys() | readings.keys()))
    return finish(
        pd.DataFrame(
            {
                "study": stems,
                "patient": stems.map(_same_patients(readings, list(stems), prefix)),
                "image": stems.map(films),
                "label": stems.str[-1].map(LABELS),
                "view": "PA",
                "age_years": [readings[stem].age_years if stem in readings else None for stem in stems],
                "sex": [readings[stem].sex if stem in readings else None for stem in stems],
                "right_lung_mask": stems.map(right),
                "left_lung_mask": stems.map(left),
                "lung_mask": stems.map(both),
                "licence": licence,
                "reading": [readings[stem].text if stem in readings else None for stem in stems],
            }
        ),
        source,
        root,
    )


def _viewers_sides(left: dict[str, Path], right: dict[str, Path]) -> bool:
    """Whether sides are the viewer's: the patient's left lung lies on the right of the film.

    The first pair of masks that can be read decides for the set.
    """
    for stem in sorted(left.keys() & right.keys()):
        try:
            columns = [np.flatnonzero(read_mask(masks[stem]).any(axis=0)) for masks in (left, right)]
        except MaskError:
            continue
        if columns[0].size and columns[1].size:
            return bool(columns[0].mean() < columns[1].mean())
    return False


def _same_patients(readings: dict[str, Reading], stems: list[str], prefix: str) -> dict[str, str]:
    """Films whose reading says ``same pt as ...``, and those it names, by the one film that stands for the patient."""
    number = {stem.rsplit("_", 1)[0]: stem for stem in stems}
    patients: dict[str, str] = {}
    for stem in stems:
        text = readings[stem].text if stem in readings else ""
        said = re.search(rf"same\s+(?:pt|patient)\W+as\W+({prefix}_\d+)", text, re.IGNORECASE)
        other = number.get(said[1].upper()) if said else None
        if other:
            kept, gone = patients.get(other, other), patients.get(stem, stem)
            patients |= {film: kept for film, patient in patients.items() if patient == gone}
            patients |= {stem: kept, other: kept}
    return patients
