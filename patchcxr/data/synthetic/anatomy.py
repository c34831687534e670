"""The parametric thorax: what differs between patients, and the outlines of organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from patchcxr.data.synthetic.geometry import spline
from patchcxr.types import FloatArray

CAGE = np.array(
    [
        (0.30, -0.012), (0.40, 0.0), (0.50, 0.020), (0.605, 0.058), (0.70, 0.105), (0.765, 0.155), (0.83, 0.235),
        (0.884, 0.33), (0.916, 0.42), (0.94, 0.51), (0.96, 0.60), (0.978, 0.69), (0.992, 0.78), (1.0, 0.87),
        (0.998, 0.95), (0.985, 1.02), (0.94, 1.09),
    ]
)  # fmt: skip
"""Lateral wall of the chest from the apex down, as (|u|, v)."""


@dataclass(frozen=True)
class Anatomy:
    """One patient's thorax; lengths in thorax units, thickness in centimetres.

    ``uneven`` holds standard normal numbers by which the sides differ.
    """

    age_years: int
    sex: str
    depth_cm: float
    fat: float
    chest_width: float
    chest_length: float
    apex: float
    heart_ratio: float
    heart_tilt: float
    knob: float
    dome_right: float
    dome_left: float
    dome_depth: float
    hilum_size: float
    rib_spacing: float
    rib_drop: float
    rib_width: float
    bone: float
    clavicle_rise: float
    scapula: float
    scoliosis: float
    breasts: float
    gas: float
    markings: float
    shoulder: float
    uneven: tuple[float, ...]


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a patient."""
    sex = "F" if rng.random() < 0.48 else "M"
    age = int(np.clip(rng.normal(52, 18), 18, 92))
    fat = float(np.clip(rng.normal(0.4, 0.25), 0.0, 1.0))
    old = np.clip((age - 45) / 40, 0, 1)
    return Anatomy(
        age_years=age,
        sex=sex,
        depth_cm=20 + 5 * fat + rng.normal(0, 0.8),
        fat=fat,
        chest_width=float(np.clip(rng.normal(0.372 if sex == "M" else 0.362, 0.018), 0.325, 0.405)),
        chest_length=float(np.clip(rng.normal(0.70 if sex == "M" else 0.67, 0.035), 0.58, 0.77)),
        apex=float(rng.normal(0, 0.012)),
        heart_ratio=float(np.clip(rng.normal(0.435 + 0.05 * old + 0.03 * fat, 0.035), 0.35, 0.62)),
        heart_tilt=float(rng.normal(0, 0.06)),
        knob=float(np.clip(0.25 + 0.75 * old + rng.normal(0, 0.15), 0.05, 1.2)),
        dome_right=float(rng.normal(0.845, 0.018)),
        dome_left=float(rng.normal(0.028, 0.009)),
        dome_depth=float(rng.uniform(0.12, 0.18)),
        hilum_size=float(rng.uniform(0.85, 1.25)),
        rib_spacing=float(rng.normal(0.0835, 0.002)),
        rib_drop=float(rng.uniform(0.8, 1.25)),
        rib_width=float(rng.uniform(0.9, 1.15) * (1.05 if sex == "M" else 0.92)),
        bone=float(np.clip(rng.normal(1.0, 0.15) - 0.25 * old, 0.5, 1.35)),
        clavicle_rise=float(rng.uniform(0.02, 0.12)),
        scapula=float(rng.uniform(-0.05, 0.12)),
        scoliosis=float(rng.normal(0, 0.012)),
        breasts=float(rng.uniform(0.3, 1.0)) if sex == "F" and rng.random() < 0.85 else 0.0,
        gas=float(rng.uniform(0, 1)),
        markings=float(rng.uniform(0.75, 1.1)),
        shoulder=float(rng.uniform(-0.03, 0.05)),
        uneven=tuple(float(value) for value in rng.normal(0, 1, 24)),
    )


@dataclass(frozen=True)
class Pose:
    """What differs between two films of one patient."""

    view: str
    tilt: float
    shift: tuple[float, float]
    zoom: float
    rotation: float
    inspiration: float


def draw_pose(view: str, rng: np.random.Generator) -> Pose:
    """Draw a position; a portable AP film is turned more, magnifies, and inspiration is lower."""
    loose = 2.2 if view == "AP" else 1.0
    return Pose(
        view=view,
        tilt=float(np.clip(rng.normal(0, 0.012 * loose), -0.06, 0.06)),
        shift=(float(rng.normal(0, 0.010 * loose)), float(rng.normal(0.0, 0.012 * loose))),
        zoom=float(rng.normal(1.0 if view == "PA" else 0.97, 0.025 * loose)),
        rotation=float(rng.normal(0, 0.018 * loose)),
        inspiration=float(rng.normal(0, 0.012) - (0.05 if view == "AP" else 0.0)),
    )


def heart_ratio(anatomy: Anatomy, pose: Pose) -> float:
    """Nominal cardiothoracic ratio; the AP projection and low inspiration make the heart larger."""
    return anatomy.heart_ratio * (1.0 + (0.10 if pose.view == "AP" else 0.0) - 0.5 * pose.inspiration)


def chest_wall(anatomy: Anatomy, side: int) -> FloatArray:
    """Lateral wall of one side from the apex down, as (|u|, v) with rising v."""
    wall = CAGE.copy()
    wobble = anatomy.uneven[0:4] if side < 0 else anatomy.uneven[4:8]
    height = wall[:, 1]
    wall[:, 0] += 0.010 * wobble[0] * np.sin(np.pi / 2 * np.clip(height / 0.6, 0, 1)) + 0.010 * wobble[1] * (1 - height)
    wall[:, 0] += 0.004 * wobble[2] * np.sin(9 * height + wobble[3]) * np.clip((0.95 - height) / 0.3, 0, 1)
    wall[:4, 1] += anatomy.apex * np.array([1.0, 1.0, 0.7, 0.3])
    return wall


def cage_outline(anatomy: Anatomy, side: int) -> FloatArray:
    """Pleural space of one side up to the midline; side -1 is the patient's right."""
    wall = chest_wall(anatomy, side)
    inner = [(0.03, 1.12), (0.03, 0.6), (0.03, 0.2), (0.10, 0.06), (0.19, 0.005 + anatomy.apex)]
    curve = spline(np.concatenate([wall, np.array(inner)]), closed=True, samples=6)
    curve[:, 0] *= side
    return curve


def heart_outline(anatomy: Anatomy, pose: Pose) -> FloatArray:
    """Closed outline of the heart; about two thirds lie at the patient's left."""
    width = 2.0 * heart_ratio(anatomy, pose)
    right, left = 0.31 * width, 0.69 * width
    lift = -0.6 * pose.inspiration
    points = np.array(
        [
            (-0.42, 0.54), (-0.74, 0.60), (-0.93, 0.68), (-1.0, 0.765), (-0.95, 0.84), (-0.72, 0.905), (-0.25, 0.945),
            (0.30, 0.972), (0.68, 0.972), (0.92, 0.94), (1.0, 0.885), (0.965, 0.81), (0.85, 0.73), (0.685, 0.655),
            (0.50, 0.585), (0.33, 0.535), (0.05, 0.515),
        ]
    )  # fmt: skip
    points[:, 1] += anatomy.heart_tilt * 0.4 * np.maximum(points[:, 0], 0) * (points[:, 1] > 0.7)
    fullness, shoulder = np.clip(anatomy.uneven[12:14], -1.5, 1.5) * np.array([0.03, 0.022])
    points[11:15, 0] += fullness * np.array([0.4, 1.0, 1.2, 0.8])
    points[13:16, 1] += shoulder
    points[1:4, 1] += 0.012 * anatomy.uneven[14]
    points[:, 0] *= np.where(points[:, 0] < 0, right, left)
    points[:, 1] -= lift * (points[:, 1] - 0.4)
    points[:, 0] += pose.rotation
    return spline(points, closed=True, samples=6)


def mediastinum_outline(anatomy: Anatomy, pose: Pose) -> FloatArray:
    """Great vessels from the neck to the diaphragm: caval line, aortic knob, pulmonary trunk."""
    wide = 1.0 + 0.12 * anatomy.fat + (0.12 if pose.view == "AP" else 0.0)
    knob = 0.045 * anatomy.knob
    right = [
        (-0.17, -0.25), (-0.16, -0.08), (-0.145, 0.03), (-0.14, 0.12), (-0.13, 0.22), (-0.135, 0.32), (-0.155, 0.40),
        (-0.18, 0.48), (-0.20, 0.56), (-0.19, 0.7), (-0.13, 0.85), (-0.12, 1.2),
    ]  # fmt: skip
    left = [
        (0.14, 1.2), (0.16, 0.85), (0.24, 0.7), (0.30, 0.58), (0.27, 0.50), (0.235, 0.43), (0.20, 0.375),
        (0.175 + 0.2 * knob, 0.335), (0.185 + knob, 0.30), (0.195 + 1.3 * knob, 0.26), (0.185 + 1.1 * knob, 0.215),
        (0.15 + 0.3 * knob, 0.17), (0.14, 0.11), (0.15, 0.03), (0.16, -0.08), (0.17, -0.25),
    ]  # fmt: skip
    points = np.array(right + left)
    points[:, 0] = points[:, 0] * wide + pose.rotation * np.clip(1.2 - points[:, 1], 0, 1)
    return spline(points, closed=True, samples=5)


def dome_curve(anatomy: Anatomy, pose: Pose, side: int) -> FloatArray:
    """Diaphragm of one side from the midline to the wall, (N, 2) by rising |u|; the right one is higher."""
    top = anatomy.dome_right + (0.0 if side < 0 else anatomy.dome_left) + 1.6 * pose.inspiration
    summit = 0.44 if side < 0 else 0.50
    u = np.linspace(0.0, 1.25, 60)
    outward = np.clip((u - summit) / (1.0 - summit), 0, 1.0)
    inward = np.clip((summit - u) / summit, 0, 1)
    fall = anatomy.dome_depth * (0.5 * outward**2 + 0.5 * (1.0 - np.sqrt(1.0 - 0.96 * outward**2)))
    v = top + fall + 0.05 * inward**2 * (3 - 2 * inward) + 0.6 * np.clip(u - 1.0, 0, None)
    return np.stack([side * u, v], 1)
