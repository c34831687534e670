"""Attenuation summed along each ray of a thorax without lesions (Beer-Lambert law)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from patchcxr.data.synthetic.anatomy import (
    Anatomy,
    Pose,
    cage_outline,
    dome_curve,
    heart_outline,
    mediastinum_outline,
)
from patchcxr.data.synthetic.bones import draw_clavicles, draw_ribs, draw_shoulders, draw_spine
from patchcxr.data.synthetic.geometry import (
    CM_PER_UNIT,
    Frame,
    anchored_noise,
    band,
    blur,
    fill,
    polygon_mask,
    rounded,
    smoothstep,
    spline,
)
from patchcxr.data.synthetic.vessels import HILA, draw_tree
from patchcxr.types import AnyArray, BoolArray, FloatArray

SOFT_PER_CM = 0.20
"""Attenuation of a centimetre of soft tissue at a diagnostic tube voltage."""

LUNG_DENSITY = 0.24
"""Density of aerated lung relative to soft tissue."""

POSTERIOR_RIB, ANTERIOR_RIB, CLAVICLE, BLADE, SPINE = 0.32, 0.19, 0.44, 0.60, 0.38
"""Attenuation of bone where an 8-bit layer holds 255."""


@dataclass(frozen=True)
class Thorax:
    """A thorax without lesions, on the pixels of one film.

    ``right_lung`` and ``left_lung`` leave the heart out; ``right_field`` and
    ``left_field`` are the lungs as they are to be stored.
    """

    frame: Frame
    attenuation: FloatArray
    right_lung: BoolArray
    left_lung: BoolArray
    right_field: BoolArray
    left_field: BoolArray
    heart: BoolArray
    wall_distance: FloatArray
    aeration: FloatArray
    bronchi_seed: int


def _distance(mask: AnyArray) -> FloatArray:
    return np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 3), np.float32)


def _tapered(distance: FloatArray, radius: float) -> FloatArray:
    """Chord of a body whose edge is thinner than a round one, in [0, 1]."""
    chord = rounded(distance, radius)
    return chord * (np.float32(0.45) + np.float32(0.55) * chord)


def _body_outline(anatomy: Anatomy, pose: Pose) -> FloatArray:
    wide = 1.24 + 0.34 * anatomy.fat
    drop = anatomy.shoulder + (-0.05 if pose.view == "AP" else 0.0)
    side = [
        (0.36 + 0.1 * anatomy.fat, -0.5), (0.38 + 0.1 * anatomy.fat, -0.18), (0.60, -0.10 + drop),
        (1.00, -0.06 + drop), (1.40, -0.02 + drop), (1.75, 0.10), (2.2, 0.5), (2.0, 0.78), (1.65, 0.62),
        (wide + 0.15, 0.46), (wide + 0.06, 0.50), (wide + 0.01, 0.66), (wide - 0.03, 0.9), (wide - 0.02, 1.1),
        (wide - 0.01, 1.6),
    ]  # fmt: skip
    right = [(-u, v) for u, v in reversed(side)]
    return spline(side + right, closed=True, samples=6)


def _below_dome(frame: Frame, anatomy: Anatomy, pose: Pose) -> FloatArray:
    """Pixels by which each pixel lies below the silhouette of the diaphragm, negative above it."""
    right = frame.to_pixels(dome_curve(anatomy, pose, -1))[::-1]
    left = frame.to_pixels(dome_curve(anatomy, pose, 1))
    points = np.concatenate([right, left[1:]])
    points = points[np.argsort(points[:, 0], kind="stable")]
    dome = np.interp(np.arange(frame.width), points[:, 0], points[:, 1]).astype(np.float32)
    return np.arange(frame.height, dtype=np.float32)[:, None] - dome[None, :]


def _largest_each(masks: list[AnyArray]) -> list[BoolArray]:
    """Largest connected piece of each mask; the masks do not touch one another."""
    both = (masks[0] | masks[1]).astype(np.uint8)
    count, labels = cv2.connectedComponents(both, connectivity=4, ltype=cv2.CV_16U)
    if count == 3:
        return [mask.astype(bool) for mask in masks]
    kept = []
    for mask in masks:
        inside = np.bincount(labels[mask.astype(bool)], minlength=count)
        kept.append((labels == int(np.argmax(inside))) & mask.astype(bool))
    return kept


def _up(low: FloatArray, frame: Frame) -> FloatArray:
    return np.asarray(cv2.resize(low, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR), np.float32)


def build_thorax(
    frame: Frame, anatomy: Anatomy, pose: Pose, bone: float, exclude_heart: bool, rng: np.random.Generator
) -> Thorax:
    """Sum the attenuation of all structures but lesions, and draw the masks.

    ``rng`` is the patient's: it gives vessels, gas and texture, which stay the
    same from film to film.
    """
    soft_rng, vessel_rng, hilum_rng, texture_rng = rng.spawn(4)
    heart = polygon_mask(frame, heart_outline(anatomy, pose))
    free = (polygon_mask(frame, mediastinum_outline(anatomy, pose)) == 0) & (_below_dome(frame, anatomy, pose) < 0)
    sides = [polygon_mask(frame, cage_outline(anatomy, side)) & free for side in (-1, 1)]
    right_lung, left_lung = _largest_each([side & (heart == 0) for side in sides])
    fields = (right_lung, left_lung) if exclude_heart else _largest_each(sides)

    # Depths vary slowly but for their edges, which two pixels blur as a real film's focal spot does.
    coarse = frame.halved()
    cm = coarse.half_width / CM_PER_UNIT
    quarter = frame.grids(4)
    cage = polygon_mask(coarse, cage_outline(anatomy, -1)) | polygon_mask(coarse, cage_outline(anatomy, 1))
    wall = _distance(cage)
    # Depth of the chest's inside: less at the apex, most above the diaphragm.
    inside = _up(anatomy.depth_cm * (0.30 + 0.46 * smoothstep(quarter[1], -0.05, 0.55)), coarse)
    air = inside * rounded(wall, 4.2 * cm)
    # Below the silhouette of the dome only the posterior recess holds lung.
    sunk = np.clip(_below_dome(coarse, anatomy, pose) * np.float32(1 / (2.6 * cm)), 0.0, 1.0)
    above_dome = air * (np.float32(1.0) - cv2.sqrt(sunk * (2.0 - sunk)) * np.float32(0.98))

    # Fat and liver below the heart carry its shadow on to the diaphragm.
    shadow = heart_outline(anatomy, pose)
    shadow[:, 1] += 0.30 * smoothstep(shadow[:, 1], 0.86, 0.96)
    heart_edge = _tapered(_distance(polygon_mask(coarse, shadow)), 3.6 * cm)
    central_edge = _tapered(_distance(polygon_mask(coarse, mediastinum_outline(anatomy, pose))), 2.4 * cm)
    tissue = np.maximum(heart_edge, central_edge) * np.float32(0.86) * inside
    # Heart and dome both fill the front of the chest: the larger one counts.
    air = blur(np.minimum(above_dome, np.maximum(air - tissue, 0.0)), 0.6)

    total = _up(_soft_tissue(frame, coarse, quarter, anatomy, pose, soft_rng) - (1.0 - LUNG_DENSITY) * air, frame)
    total -= _trachea(frame, anatomy, pose)
    attenuation = np.float32(SOFT_PER_CM) * np.maximum(total, 0.0)

    cm = frame.half_width / CM_PER_UNIT
    aeration = _up(air * np.float32(1.0 / anatomy.depth_cm), frame)
    tree = draw_tree(frame, vessel_rng, anatomy.markings)
    hila = _hila(quarter, coarse, anatomy, pose, hilum_rng) * above_dome * np.float32(1.0 / anatomy.depth_cm)
    lungs = np.clip(aeration * 2.2, 0, 1)
    attenuation += lungs * _weighed(tree, 0.74)
    attenuation += _up(hila, frame)
    texture = anchored_noise(coarse, 0.33, texture_rng) + 0.8 * anchored_noise(coarse, 0.9, texture_rng)
    attenuation += np.float32(0.016 * anatomy.markings) * lungs * _up(texture, frame)

    # A ray along the lateral wall runs a long way inside the rib. Beside the spine the ribs lie behind the
    # transverse processes, and on heart and liver in scatter; there they are hard to tell.
    rib = 1.0 + 0.65 * cv2.exp(-wall * np.float32(1.0 / (0.45 * cm))) * cage
    rib *= (
        _up(0.35 + 0.65 * smoothstep(np.abs(quarter[0]), 0.08, 0.26), coarse)
        * (1.0 - 0.4 * heart_edge)
        * (1.0 - 0.55 * sunk)
    )
    attenuation += _bones(frame, anatomy, pose, _up(rib, frame), bone * anatomy.bone)
    return Thorax(
        frame=frame,
        attenuation=attenuation,
        right_lung=right_lung,
        left_lung=left_lung,
        right_field=fields[0],
        left_field=fields[1],
        heart=heart.astype(bool),
        wall_distance=_up(2.0 * wall, frame),
        aeration=aeration,
        bronchi_seed=int(vessel_rng.integers(2**31)),
    )


def _soft_tissue(
    frame: Frame,
    coarse: Frame,
    quarter: tuple[FloatArray, FloatArray],
    anatomy: Anatomy,
    pose: Pose,
    rng: np.random.Generator,
) -> FloatArray:
    """Centimetres of soft tissue along each ray of the body without its lungs, at half the resolution."""
    u, v = quarter
    body = polygon_mask(coarse, _body_outline(anatomy, pose))
    # The film's own border is no outline of the body.
    padded = cv2.copyMakeBorder(body, 64, 64, 64, 64, cv2.BORDER_REPLICATE)
    inner = blur(_distance(padded), 2.0)[64:-64, 64:-64]
    distance = np.asarray(cv2.resize(inner, v.shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    depth = anatomy.depth_cm * (0.72 + 0.28 * smoothstep(v, -0.12, 0.35) + 0.14 * smoothstep(v, 0.25, 0.95))
    across = np.sqrt(np.clip(1.0 - (u / 1.75) ** 2, 0.12, 1.0))
    soft = depth * across * (0.42 + 0.58 * rounded(distance, 3.2 * coarse.half_width / CM_PER_UNIT))
    if anatomy.breasts:
        soft = soft + _breasts(quarter, anatomy, pose)
    soft = soft * (1.0 + 0.010 * anchored_noise(frame, 2.2, rng, step=4))
    soft = soft - _gas(quarter, frame, anatomy, pose, rng)
    return _up(soft, coarse) * blur(body * np.float32(1), 0.018 * coarse.half_width)


def _weighed(layer: AnyArray, amount: float) -> FloatArray:
    """Float32 map of an 8-bit layer: ``amount`` where it holds 255."""
    return np.asarray(cv2.addWeighted(layer, amount / 255, layer, 0.0, 0.0, dtype=cv2.CV_32F), np.float32)


def _bones(frame: Frame, anatomy: Anatomy, pose: Pose, rib: FloatArray, strength: float) -> FloatArray:
    """Attenuation of all bones; ``rib`` is the factor of the ribs' own."""
    posterior, anterior = draw_ribs(frame, anatomy, pose)
    bone = (_weighed(posterior, POSTERIOR_RIB) + _weighed(anterior, ANTERIOR_RIB)) * rib
    bone += _weighed(draw_clavicles(frame, anatomy, pose), CLAVICLE)
    bone += _weighed(draw_shoulders(frame, anatomy, pose), BLADE)
    bone += _weighed(draw_spine(frame, anatomy, pose), SPINE)
    return blur(bone, max(0.6, 0.085 * frame.half_width / CM_PER_UNIT)) * np.float32(strength)


def _breasts(low: tuple[FloatArray, FloatArray], anatomy: Anatomy, pose: Pose) -> FloatArray:
    u, v = low
    size = anatomy.breasts
    sag = 0.10 if pose.view == "PA" else 0.02
    total = np.zeros(np.broadcast_shapes(u.shape, v.shape), np.float32)
    for side in (-1, 1):
        x = (u - side * (0.68 + 0.06 * size)) / (0.40 + 0.20 * size)
        y = (v - (0.68 + sag)) / (0.18 + 0.10 * size)
        y = np.where(y < 0, 0.5 * y, y)
        inside = np.maximum(1.0 - x * x - y * y, 0.0)
        total += inside**0.7 * smoothstep(y, -0.9, 0.35)
    return total * np.float32(2.9 * size)


def _gas(
    low: tuple[FloatArray, FloatArray], frame: Frame, anatomy: Anatomy, pose: Pose, rng: np.random.Generator
) -> FloatArray:
    """Gas of the stomach, and of the bowel in some, in centimetres of missing tissue."""
    u, v = low
    top = anatomy.dome_right + anatomy.dome_left + 1.6 * pose.inspiration
    wobble = anchored_noise(frame, 2.8, rng, step=4)
    x, y = (u - 0.48 - 0.15 * (anatomy.gas - 0.5)) / 0.22, (v - top - 0.075) / 0.055
    y = np.where(y > 0, 0.7 * y, y)
    bubble = smoothstep(x * x + y * y + 0.5 * wobble, 1.35, 0.0) * (4.2 * max(anatomy.gas - 0.25, 0.0))
    bowel = smoothstep(wobble, 0.4, 2.2) * smoothstep(v, top + 0.16, top + 0.3) * smoothstep(np.abs(u - 0.4), 0.45, 0.2)
    return bubble + bowel * (2.4 if anatomy.gas > 0.6 else 0.6)


def _trachea(frame: Frame, anatomy: Anatomy, pose: Pose) -> FloatArray:
    """Air of the trachea and main bronchi in centimetres of missing tissue."""
    layer = np.zeros((frame.height // 2, frame.width // 2), np.uint8)
    lean = -0.02 - 0.015 * anatomy.knob + pose.rotation
    carina = (lean, 0.33)
    wide = 0.058
    paths = [
        ([(0.3 * pose.rotation, -0.4), (0.4 * lean, -0.05), (lean, 0.18), carina], np.array([wide, wide, wide, wide])),
        ([carina, (lean - 0.10, 0.40), (-0.20, 0.455)], np.array([0.55, 0.6, 0.4]) * wide),
        ([carina, (lean + 0.13, 0.39), (0.25, 0.425)], np.array([0.5, 0.5, 0.35]) * wide),
    ]
    for path, widths in paths:
        curve = spline(path)
        half = np.interp(np.linspace(0, 1, len(curve)), np.linspace(0, 1, len(widths)), widths) * frame.half_width
        near, far = band(frame.to_pixels(curve), half)
        fill(layer, 0.5 * np.concatenate([near, far[::-1]]), 255)
    return _up(blur(layer * np.float32(1.7 / 255), 0.011 * frame.half_width), frame)


def _hila(
    quarter: tuple[FloatArray, FloatArray], coarse: Frame, anatomy: Anatomy, pose: Pose, rng: np.random.Generator
) -> FloatArray:
    """Roots of the lungs, as attenuation, at half the resolution."""
    u, v = quarter
    # Vessels too fine to draw make the middle and the base of the lungs denser.
    total = 0.07 * smoothstep(v, 0.35, 1.0) + np.zeros_like(u)
    for side, (hu, hv) in HILA.items():
        x, y = (u - hu) / 0.26, (v - hv - 0.10) / 0.26
        total += 0.17 * np.exp(-(x * x + y * y))
        for _ in range(7):
            x = (u - hu - side * 0.01 - rng.normal(0, 0.035) - pose.rotation) / rng.uniform(0.03, 0.065)
            y = (v - hv - rng.normal(0.01, 0.05)) / rng.uniform(0.025, 0.06)
            total += rng.uniform(0.06, 0.16) * np.exp(-(x * x + y * y))
        x = (u - hu - side * (0.03 + 0.25 * (v - hv))) / 0.06
        y = (v - hv - 0.07) / 0.085
        total += 0.17 * np.exp(-(x * x) - y * y)
    return _up(total * np.float32(anatomy.hilum_size), coarse)
