"""From a patient and a day to a film with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from patchcxr.data.synthetic.anatomy import Anatomy, Pose, draw_anatomy, draw_pose
from patchcxr.data.synthetic.attenuation import build_thorax
from patchcxr.data.synthetic.config import (
    FOLLOWED_LABELS,
    SOURCE_STYLES,
    SYNTHETIC_LABELS,
    SourceStyle,
    SyntheticConfig,
    check_label,
    generator,
    patient_label,
)
from patchcxr.data.synthetic.distractors import burn_in, draw_distractors, lead_layer
from patchcxr.data.synthetic.findings import Disease, draw_disease, lesion_attenuation, lesion_mask
from patchcxr.data.synthetic.geometry import Frame, blur
from patchcxr.types import BoolArray, FloatArray

ANATOMY_STREAM, TISSUE_STREAM, DISEASE_STREAM, FILM_STREAM, TIE_STREAM = range(5)


@dataclass(frozen=True)
class SyntheticFilm:
    """One film and all that is true of it.

    ``pixels`` is float32 in [0, 1], higher is brighter, already rounded to the
    grey levels of ``bit_depth``. Masks are bool of the same shape. Severities
    are the share of lung pixels that are lesion, in percent.
    ``cardiothoracic_ratio`` is the heart's width over the lungs' in pixels.
    """

    pixels: FloatArray
    right_lung: BoolArray
    left_lung: BoolArray
    heart: BoolArray
    lesion: BoolArray
    study: str
    patient: str
    label: str
    view: str
    age_years: int
    sex: str
    source: str
    days: int
    bit_depth: int
    cardiothoracic_ratio: float
    severity: float
    severity_right: float
    severity_left: float


@dataclass(frozen=True)
class SyntheticPatient:
    """What stays the same over all films of a patient."""

    patient: str
    label: str
    anatomy: Anatomy
    disease: Disease
    source: str
    view: str
    days: tuple[int, ...]
    tied: int | None


def synthetic_patient(settings: SyntheticConfig, patient_index: int, label: str | None = None) -> SyntheticPatient:
    """Draw a patient.

    Parameters
    ----------
    label
        Class to draw instead of the one that the cohort's shares give; the
        anatomy stays the same.

    Raises
    ------
    LabelError
        If ``label`` cannot be drawn.
    """
    label = check_label(label) if label is not None else patient_label(settings, patient_index)
    anatomy = draw_anatomy(generator(settings, patient_index, ANATOMY_STREAM))
    rng = generator(settings, patient_index, DISEASE_STREAM)
    disease = draw_disease(label, rng, settings.severity)
    gaps = np.concatenate([[rng.integers(0, 5)], rng.integers(2, 7, size=max(settings.films_per_patient_max - 1, 0))])
    films = int(rng.integers(1, settings.films_per_patient_max + 1)) if label in FOLLOWED_LABELS else 1
    days = tuple(int(day) for day in np.cumsum(gaps)[:films]) if label in FOLLOWED_LABELS else (0,)

    rng = generator(settings, patient_index, TIE_STREAM)
    source = str(rng.choice(list(settings.sources)))
    view = "AP" if rng.random() < 0.3 else "PA"
    tied = None
    if rng.random() < settings.confounding:
        tied = SYNTHETIC_LABELS.index(label)
        source = settings.sources[tied % len(settings.sources)]
        view = "AP" if label in FOLLOWED_LABELS else "PA"
    return SyntheticPatient(f"P{patient_index:05d}", label, anatomy, disease, source, view, days, tied)


def film_frame(settings: SyntheticConfig, style: SourceStyle, anatomy: Anatomy, pose: Pose) -> Frame:
    """Place of the thorax on the film."""
    size = settings.size
    width = max(32, round(size * style.aspect / 8) * 8)
    room = min(1.0, style.aspect * 1.06)
    half_width = anatomy.chest_width * pose.zoom * room * size
    length = anatomy.chest_length * pose.zoom * (0.5 + 0.5 * room) * size
    top = (0.095 + pose.shift[1]) * size
    return Frame(size, width, (width / 2 + pose.shift[0] * size, top + length / 2), half_width, length, pose.tilt)


def synthetic_film(
    settings: SyntheticConfig,
    patient_index: int,
    film_index: int = 0,
    label: str | None = None,
    *,
    lesions: bool = True,
) -> SyntheticFilm:
    """Draw one film with its exact ground truth.

    Parameters
    ----------
    patient_index, film_index
        With the seed they fix the film; it does not depend on how many others
        are drawn. The indices may exceed those of the cohort, but not the
        number of the patient's days.
    label
        Class to draw instead of the patient's own.
    lesions
        False draws the same film without its lesions.

    Raises
    ------
    LabelError
        If ``label`` cannot be drawn.
    IndexError
        If the patient has no such film.

    Examples
    --------
    >>> film = synthetic_film(SyntheticConfig(size=128), patient_index=0, label="covid19")
    >>> film.pixels.shape[0], film.label, bool(film.lesion.any())
    (128, 'covid19', True)
    """
    patient = synthetic_patient(settings, patient_index, label)
    if not 0 <= film_index < len(patient.days):
        raise IndexError(
            f"film_index is {film_index}, but patient {patient.patient} has {len(patient.days)} film(s); "
            "see synthetic_patient(...).days"
        )
    style = SOURCE_STYLES[patient.source]
    day = patient.days[film_index]
    rng = generator(settings, patient_index, FILM_STREAM, film_index)
    pose = draw_pose(patient.view, rng)
    frame = film_frame(settings, style, patient.anatomy, pose)
    distractors = draw_distractors(patient.view, patient.tied, rng)
    thorax = build_thorax(
        frame,
        patient.anatomy,
        pose,
        style.bone,
        settings.lungs_exclude_heart,
        generator(settings, patient_index, TISSUE_STREAM),
    )
    lungs = thorax.right_lung | thorax.left_lung
    total = thorax.attenuation
    fields = thorax.right_field | thorax.left_field
    lesion = np.zeros(lungs.shape, bool)
    if lesions:
        added = lesion_attenuation(thorax, patient.disease, day)
        lesion = lesion_mask(added, fields)
        total = total + added
    leads = lead_layer(frame, distractors)
    if leads is not None:
        total = total + leads
    lung_level = float(np.median(thorax.attenuation[::4, ::4][lungs[::4, ::4]]))
    pixels = expose(total, lung_level, style, patient.view, rng)
    if style.border:
        _collimate(pixels, rng)
    burn_in(pixels, distractors)
    levels = np.float32(2**style.bit_depth - 1)
    pixels = np.rint(np.clip(pixels, 0.0, 1.0) * levels) / levels
    return SyntheticFilm(
        pixels=pixels.astype(np.float32),
        right_lung=thorax.right_field,
        left_lung=thorax.left_field,
        heart=thorax.heart,
        lesion=lesion,
        study=f"{patient.patient}_F{film_index}",
        patient=patient.patient,
        label=patient.label,
        view=patient.view,
        age_years=patient.anatomy.age_years,
        sex=patient.anatomy.sex,
        source=patient.source,
        days=day,
        bit_depth=style.bit_depth,
        cardiothoracic_ratio=_width(thorax.heart) / _width(fields),
        severity=_share(lesion, fields),
        severity_right=_share(lesion, thorax.right_field),
        severity_left=_share(lesion, thorax.left_field),
    )


def _width(mask: BoolArray) -> float:
    columns = np.flatnonzero(mask.any(axis=0))
    return float(columns[-1] - columns[0] + 1) if columns.size else float("nan")


def _share(lesion: BoolArray, lung: BoolArray) -> float:
    return 100.0 * int(np.count_nonzero(lesion & lung)) / max(int(np.count_nonzero(lung)), 1)


def expose(
    attenuation: FloatArray, lung_level: float, style: SourceStyle, view: str, rng: np.random.Generator
) -> FloatArray:
    """Film of an attenuation map: transmission, scatter, noise, processing, response curve; in [0, 1].

    ``lung_level`` is the attenuation of the lungs without lesions, on which the
    exposure is centred.
    """
    middle = lung_level + style.offset + float(rng.normal(0, 0.10))
    contrast = style.contrast * float(np.exp(rng.normal(0, 0.08)))
    height = attenuation.shape[0]
    small = cv2.resize(attenuation, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    primary = np.exp(-small)
    haze = blur(primary, 0.07 * height / 8)
    share = np.float32(0.22 if view == "PA" else 0.36)
    scatter = share * haze + np.float32(0.004)
    full = cv2.resize(scatter, attenuation.shape[::-1], interpolation=cv2.INTER_LINEAR)
    signal = cv2.exp(-attenuation) + full
    grain = blur(rng.standard_normal(attenuation.shape, np.float32), 0.55)
    signal *= 1.0 + np.float32(style.noise * (1.5 if view == "AP" else 1.0)) * grain / np.sqrt(
        signal + np.float32(0.04)
    )
    seen = -cv2.log(np.maximum(signal, np.float32(1e-4)))
    if view == "AP":
        seen = blur(seen, 0.0016 * height)
    if style.sharpness:
        seen += np.float32(style.sharpness) * (seen - blur(seen, 0.006 * height))
    if style.flatten:
        low = cv2.resize(seen, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
        low = blur(low, 0.10 * height / 8)
        low = cv2.resize(low, attenuation.shape[::-1], interpolation=cv2.INTER_LINEAR)
        seen -= np.float32(style.flatten) * (low - np.float32(middle))
    # Toe and shoulder of the response curve, about the grey level of aerated lung.
    seen -= np.float32(middle)
    seen *= np.float32(-contrast)
    grey = np.float32(1.0) / (cv2.exp(seen) + np.float32(1.0))
    black, white = style.window
    grey -= np.float32(black)
    grey *= np.float32(1.0 / (white - black))
    np.clip(grey, 0.0, 1.0, out=grey)
    return np.asarray(grey if style.gamma == 1.0 else cv2.pow(grey, style.gamma), np.float32)


def _collimate(pixels: FloatArray, rng: np.random.Generator) -> None:
    """Black border outside the collimated field, in place."""
    height, width = pixels.shape
    edges = [int(rng.uniform(0.0, 0.035) * length) for length in (height, height, width, width)]
    pixels[: edges[0]] = 0.0
    pixels[height - edges[1] :] = 0.0
    pixels[:, : edges[2]] = 0.0
    pixels[:, width - edges[3] :] = 0.0
