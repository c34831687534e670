"""Lesions of each class, as attenuation that is added inside the lungs.

The lesion mask is where that attenuation exceeds :data:`LESION_THRESHOLD`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from patchcxr.data.synthetic.attenuation import Thorax
from patchcxr.data.synthetic.geometry import CM_PER_UNIT, Frame, anchored_noise, blur, smoothstep
from patchcxr.data.synthetic.vessels import draw_tree
from patchcxr.types import BoolArray, FloatArray

LESION_THRESHOLD: Final = 0.05
"""Added attenuation above which a lung pixel is a lesion: a quarter of a centimetre of soft tissue."""


@dataclass(frozen=True)
class Disease:
    """What a patient has, the same on all of the patient's films.

    ``extent`` is the infected share of the lungs at the worst, 0 to 1;
    ``density`` scales the lesions' attenuation; ``seed`` draws their shape.
    """

    label: str
    extent: float
    density: float
    side: int
    lobe: int
    balance: float
    peak_day: float
    seed: int


def draw_disease(label: str, rng: np.random.Generator, severity: float = 1.0) -> Disease:
    """Draw a patient's disease; some are subtle.

    ``severity`` scales the extent, up to 95 % of the lungs, and its square
    root the density.
    """
    low, high = {
        "normal": (0.0, 0.0),
        "bacterial": (0.02, 0.36),
        "tuberculosis": (0.02, 0.32),
        "viral": (0.04, 0.75),
        "covid19": (0.04, 0.75),
    }[label]
    return Disease(
        label=label,
        extent=min(0.95, severity * (low + (high - low) * float(rng.beta(1.2, 1.6)))),
        density=float(np.sqrt(severity)) * float(rng.uniform(0.6, 1.3)),
        side=-1 if rng.random() < 0.55 else 1,
        lobe=int(rng.integers(3)),
        balance=float(rng.uniform(-0.35, 0.35)),
        peak_day=float(rng.uniform(5, 10)),
        seed=int(rng.integers(2**31)),
    )


def course(disease: Disease, day: int) -> float:
    """Share of the worst extent reached on a day: it grows to the peak, then clears."""
    before = np.exp(-(((day - disease.peak_day) / 5.5) ** 2))
    after = np.exp(-(((day - disease.peak_day) / 11.0) ** 2))
    return float(max(before if day < disease.peak_day else after, 0.12))


def lesion_attenuation(thorax: Thorax, disease: Disease, day: int) -> FloatArray:
    """Attenuation that the lesions add, shape of the film.

    Lesions end within the chest: a few millimetres beyond the lung's outline
    they fade with the air that is left there, so that a lesion beside the heart
    or the diaphragm hides its border (the silhouette sign).
    """
    shape = (thorax.frame.height, thorax.frame.width)
    if disease.label == "normal":
        return np.zeros(shape, np.float32)
    rng = np.random.default_rng(disease.seed)
    draw = {"bacterial": _lobar, "tuberculosis": _tuberculous}.get(disease.label, _bilateral)
    coarse = _halved(thorax)
    added = np.maximum(draw(coarse, disease, course(disease, day) if draw is _bilateral else 1.0, rng), 0.0)
    inside = (coarse.right_lung | coarse.left_lung).astype(np.float32)
    sigma = 0.012 * coarse.frame.height
    beyond = blur(added * inside, sigma) / np.maximum(blur(inside, sigma), np.float32(0.05))
    filled = np.where(inside > 0, added, beyond).astype(np.float32)
    full = np.asarray(cv2.resize(filled, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    lungs = thorax.right_lung | thorax.left_lung
    return full * np.where(lungs, np.float32(1.0), np.float32(0.4) * np.minimum(thorax.aeration * 2.5, 1.0))


def _halved(thorax: Thorax) -> Thorax:
    """The same thorax with pixels twice as large; lesions have no finer detail."""
    fields = ("right_lung", "left_lung", "right_field", "left_field", "heart", "aeration", "attenuation")
    return replace(
        thorax,
        frame=thorax.frame.halved(),
        wall_distance=0.5 * thorax.wall_distance[::2, ::2],
        **{name: getattr(thorax, name)[::2, ::2] for name in fields},
    )


def lesion_mask(added: FloatArray, lungs: BoolArray) -> BoolArray:
    """Lung pixels where the added attenuation exceeds the threshold."""
    return (added > LESION_THRESHOLD) & lungs


def _texture(thorax: Thorax, rng: np.random.Generator, scales_cm: tuple[float, ...]) -> FloatArray:
    """Sum of noises of the given scales."""
    return np.sum([anchored_noise(thorax.frame, scale, rng) for scale in scales_cm], axis=0, dtype=np.float32)


def _level(field: FloatArray, lung: BoolArray, share: float) -> float:
    """Value of ``field`` that a ``share`` of the lung's pixels exceeds."""
    values = field[::2, ::2][lung[::2, ::2]]
    if values.size == 0:
        return float("inf")
    return float(np.quantile(values, 1.0 - np.clip(share, 0.0, 0.98)))


def _bilateral(thorax: Thorax, disease: Disease, grown: float, rng: np.random.Generator) -> FloatArray:
    """Patchy ground glass and consolidation, both lungs, peripheral and low; COVID-19 a little more so."""
    covid = disease.label == "covid19"
    cm = thorax.frame.half_width / CM_PER_UNIT
    patches = _texture(thorax, rng, (2.8,))
    patches = patches + 0.30 * _texture(thorax, rng, (1.1,))
    fine = _texture(thorax, rng, (0.9, 0.4))
    rim = np.exp(-thorax.wall_distance * np.float32(1.0 / (3.2 * cm)))
    low = smoothstep(thorax.frame.grids()[1], 0.12, 0.85)
    field = (1.9 if covid else 1.3) * rim + (2.2 if covid else 1.8) * low + 0.62 * patches
    added = np.zeros_like(field)
    for side, lung in ((-1, thorax.right_lung), (1, thorax.left_lung)):
        share = float(np.clip(disease.extent * grown * (1.0 + side * disease.balance), 0.012, 0.9))
        edge, core = _level(field, lung, share), _level(field, lung, 0.30 * share)
        glass = smoothstep(field, edge - 0.45, edge + 1.0)
        solid = smoothstep(field, core - 0.4, core + 1.1)
        here = disease.density * (0.31 * glass * (1.0 + 0.16 * fine) + 0.48 * solid * (1.0 + 0.10 * fine))
        added = np.where(lung, here, added)
    return added


def _lobar(thorax: Thorax, disease: Disease, grown: float, rng: np.random.Generator) -> FloatArray:
    """Dense consolidation of one lobe with air bronchograms, up to a fissure or the border of an organ."""
    right = disease.side < 0
    lung = thorax.right_lung if right else thorax.left_lung
    u, v = thorax.frame.grids()
    u = np.abs(u)
    # Signed depth inside the lobe (upper, middle or lingula, lower) and the middle of the consolidation.
    bow = 0.45 + 0.05 * disease.balance + 0.03 * np.sin(2.5 * u + 4 * disease.balance)
    # Only the minor fissure of the right lung is seen edge-on; other lobes end gradually.
    edge_on = 1.0 if right else 0.16
    lobe, middle = (
        (edge_on * (bow - v), (0.55, 0.30)),
        (edge_on * (v - bow), (0.36, 0.68)),
        (0.14 * (v - 0.42 - 0.2 * (0.6 - u)), (0.66, 0.84)),
    )[disease.lobe]
    x, y = (u - middle[0]) / 0.55, (v - middle[1]) / 0.32
    near = -np.sqrt(x * x + y * y)
    field = near + 0.15 * _texture(thorax, rng, (2.6,)) + 0.04 * _texture(thorax, rng, (1.0,))
    fissure = smoothstep(lobe, -0.012, 0.03)
    whole = float((thorax.right_lung | thorax.left_lung).sum()) / max(float(lung.sum()), 1.0)
    field = np.where(lobe > -0.012, field, -9.0)
    edge = _level(field, lung, min(disease.extent * grown * whole, 0.8))
    dense = smoothstep(field, edge - 0.03, edge + 0.62)
    fine = _texture(thorax, rng, (1.0, 0.4))
    tree = draw_tree(thorax.frame, np.random.default_rng(thorax.bronchi_seed), 1.0)
    bronchi = blur(tree, 0.0022 * thorax.frame.height).astype(np.float32) / 255
    amount = 0.95 * disease.density * np.clip(0.35 + 1.5 * thorax.aeration, 0, 1.2)
    return amount * dense * fissure * (1.0 + 0.07 * fine) * (1.0 - 0.45 * np.minimum(2.2 * bronchi, 1.0)) * lung


def _tuberculous(thorax: Thorax, disease: Disease, grown: float, rng: np.random.Generator) -> FloatArray:
    """Nodules, fibro-nodular opacities and cavities of the upper zones."""
    frame = thorax.frame
    cm = frame.half_width / CM_PER_UNIT
    height = frame.grids()[1]
    upper = smoothstep(height, 0.62, 0.10)
    patches = _texture(thorax, rng, (1.6,)) + 0.5 * _texture(thorax, rng, (0.7,))
    fine = _texture(thorax, rng, (0.7, 0.4))
    field = 2.4 * upper + 0.55 * patches
    added = np.zeros(field.shape, np.float32)
    lungs = {-1: thorax.right_lung, 1: thorax.left_lung}
    for side, lung in lungs.items():
        weight = 1.25 if side == disease.side else float(np.clip(0.55 + disease.balance, 0.15, 0.9))
        share = float(np.clip(disease.extent * grown * weight * 0.7, 0.008, 0.6))
        edge = _level(field, lung, share)
        infiltrate = smoothstep(field, edge - 0.1, edge + 1.2)
        added = np.where(lung, 0.42 * disease.density * infiltrate * (1.0 + 0.16 * fine), added)
        top = smoothstep(height, 0.55, 0.08) * lung
        count = int(rng.integers(3, 10) + 45 * disease.extent * weight)
        _nodules(added, frame, side, top, count, disease.density, rng)
    for _ in range(int(rng.integers(0, 3) + (disease.extent > 0.12))):
        side = disease.side if rng.random() < 0.75 else -disease.side
        place = frame.to_pixels([(side * rng.uniform(0.36, 0.66), rng.uniform(0.14, 0.36))])[0]
        _cavity(added, place, rng.uniform(0.9, 2.2) * cm, rng.uniform(0.30, 0.5) * cm, 0.34 * disease.density, patches)
    return added


def _window(shape: tuple[int, ...], place: FloatArray, radius: float) -> tuple[slice, slice, FloatArray]:
    """Rows, columns and squared distances of the square round a place (x, y)."""
    reach = int(np.ceil(radius))
    x, y = round(float(place[0])), round(float(place[1]))
    rows = slice(max(0, y - reach), min(shape[0], y + reach + 1))
    columns = slice(max(0, x - reach), min(shape[1], x + reach + 1))
    yy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(place[1])
    xx = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - np.float32(place[0])
    return rows, columns, xx * xx + yy * yy


def _nodules(
    added: FloatArray,
    frame: Frame,
    side: int,
    where: FloatArray,
    count: int,
    density: float,
    rng: np.random.Generator,
) -> None:
    """Stamp round nodules at places of one side drawn in proportion to ``where``."""
    tries = rng.uniform((0.05, 0.0, 0.0), (1.0, 0.6, 1.0), (20 * count, 3))
    places = frame.to_pixels(tries[:, :2] * (side, 1.0))
    columns, rows = (np.clip(np.rint(places[:, k]), 0, where.shape[1 - k] - 1).astype(int) for k in (0, 1))
    cm = frame.half_width / CM_PER_UNIT
    for place in places[where[rows, columns] > tries[:, 2]][:count]:
        radius = max(1.0, rng.uniform(0.22, 0.62) * cm)
        window_rows, window_columns, squared = _window(added.shape, place, 2 * radius)
        amount = density * rng.uniform(0.10, 0.30)
        added[window_rows, window_columns] += amount * np.exp(-((squared / radius**2) ** 1.5))


def _cavity(
    added: FloatArray, place: FloatArray, radius: float, wall: float, amount: float, patches: FloatArray
) -> None:
    """Stamp a ring with an uneven wall and a clear inside."""
    rows, columns, squared = _window(added.shape, place, radius + 3 * wall)
    distance = np.sqrt(squared) - radius * (1.0 + 0.12 * patches[rows, columns])
    uneven = wall * (1.0 + 0.25 * np.clip(patches[rows, columns], -2, 2))
    ring = amount * np.exp(-((distance / uneven) ** 2)) * (1.0 + 0.35 * patches[rows, columns])
    clear = smoothstep(distance, -0.3 * wall, -1.3 * wall)
    added[rows, columns] = added[rows, columns] * (1.0 - 0.9 * clear) + ring
