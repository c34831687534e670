"""Ribs, clavicles, shoulder blades and spine, as 8-bit layers of bone thickness."""

from __future__ import annotations

import cv2
import numpy as np

from patchcxr.data.synthetic.anatomy import Anatomy, Pose, chest_wall
from patchcxr.data.synthetic.geometry import SHIFT, Frame, band, blur, fill, fixed, spline
from patchcxr.types import AnyArray, FloatArray

RIBS = 11
POSTERIOR_ANGLES = np.linspace(0.10, np.pi / 2 + 0.22, 24)
ANTERIOR_ANGLES = np.linspace(np.pi / 2 - 0.22, 2.55, 24)


def rib_paths(anatomy: Anatomy, pose: Pose, side: int, angles: FloatArray) -> FloatArray:
    """Middle lines (u, v) of one side's ribs at angles round the chest, shape (RIBS, angles, 2).

    A rib runs on the wall of the chest from the spine (angle 0) round the
    lateral wall (90 degrees) to the front, and falls on its way.
    """
    index = np.arange(RIBS, dtype=float)[:, None]
    angle = angles[None, :]
    uneven = np.array(anatomy.uneven[8:])[(np.arange(RIBS) + (5 if side > 0 else 0)) % 16][:, None]
    spacing = anatomy.rib_spacing * (1.0 + 0.5 * pose.inspiration)
    level = -0.045 + spacing * index + 0.004 * uneven + np.where(index == 0, 0.02, 0.0)
    drop = anatomy.rib_drop * (
        0.065 + 0.105 * np.minimum(index, 6) / 6 + 0.02 * (index == 0) - 0.004 * np.maximum(index - 6, 0)
    )
    back = np.minimum(angle, np.pi / 2)
    v = level + drop * (1.0 - np.cos(angle))
    v -= 0.022 * np.sin(2 * back) * np.minimum(index + 1, 5) / 5
    v += 0.050 * np.minimum(index, 5) / 5 * np.sin(back)
    v += (angle - back) * (0.03 + 0.017 * np.minimum(index, 6))
    outline = chest_wall(anatomy, side)
    wall = np.interp(v, outline[:, 1], outline[:, 0] + 0.004, left=0.30)
    wall[0] = np.minimum(wall[0], 0.53)
    floating = np.clip((v - 1.0) * 0.6, 0, 0.2)
    return np.stack([side * (wall - floating) * np.sin(angle), v], 2)


def _bands(paths: FloatArray, half_width: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both edges of many ribbons (K, N, 2) of half widths (K, N)."""
    tangent = np.gradient(paths, axis=1)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], 2)
    normal *= (half_width / np.maximum(np.hypot(normal[..., 0], normal[..., 1]), 1e-9))[..., None]
    return paths - normal, paths + normal


def _thick(frame: Frame) -> int:
    return 2 if frame.height >= 700 else 1


def _ribs(frame: Frame, anatomy: Anatomy, pose: Pose, front: bool) -> AnyArray:
    layer = np.zeros((frame.height, frame.width), np.uint8)
    angles = ANTERIOR_ANGLES if front else POSTERIOR_ANGLES
    paths = np.concatenate([rib_paths(anatomy, pose, side, angles) for side in (-1, 1)])
    count, length = paths.shape[:2]
    pixels = frame.to_pixels(paths.reshape(-1, 2)).reshape(paths.shape)
    along = np.linspace(0, 1, length)
    half = 0.030 * anatomy.rib_width * frame.half_width * (1.12 + 0.28 * along if front else 0.85 + 0.3 * along)
    half = half * np.clip(0.35 + (along if front else 1 - along) / 0.22, 0, 1)
    slim = np.where(np.isin(np.arange(count) % RIBS, (0, RIBS - 1)), 0.8, 1.0)
    near, far = _bands(pixels, slim[:, None] * half[None, :])
    upper, lower = [], []
    for number in range(count):
        index = number % RIBS
        if front and index > 8:
            continue
        # The lower ribs end ever farther from the breastbone.
        end = length - (4 * max(index - 5, 0) if front else 0)
        one, other = near[number, :end], far[number, :end]
        fill(layer, np.concatenate([one, other[::-1]]), 105 if front else 120)
        upper.append(fixed(one))
        lower.append(fixed(other))
    cv2.polylines(layer, upper, False, 150 if front else 215, _thick(frame), cv2.LINE_AA, SHIFT)
    cv2.polylines(layer, lower, False, 175 if front else 185, _thick(frame), cv2.LINE_AA, SHIFT)
    return layer


def draw_ribs(frame: Frame, anatomy: Anatomy, pose: Pose) -> tuple[AnyArray, AnyArray]:
    """Layers of the posterior and the anterior halves of the ribs, uint8."""
    return _ribs(frame, anatomy, pose, front=False), _ribs(frame, anatomy, pose, front=True)


def draw_clavicles(frame: Frame, anatomy: Anatomy, pose: Pose) -> AnyArray:
    """Layer of both clavicles, uint8."""
    layer = np.zeros((frame.height, frame.width), np.uint8)
    rise = anatomy.clavicle_rise + (0.05 if pose.view == "AP" else 0.0)
    for side in (-1, 1):
        differ = anatomy.uneven[8 if side < 0 else 9]
        inner = 0.105 + side * 1.2 * pose.rotation
        path = spline(
            [
                (side * inner, 0.155), (side * (inner + 0.09), 0.148), (side * 0.38, 0.135 - 0.2 * rise),
                (side * 0.62, 0.110 - 0.6 * rise + 0.006 * differ), (side * 0.85, 0.075 - 0.9 * rise + 0.014 * differ),
                (side * 1.08, 0.050 - rise + 0.02 * differ), (side * 1.42, 0.045 - rise + 0.02 * differ),
            ]
        )  # fmt: skip
        along = np.linspace(0, 1, len(path))
        width = frame.half_width * (0.034 + 0.026 * np.exp(-((along / 0.09) ** 2)) + 0.012 * along)
        near, far = band(frame.to_pixels(path), width)
        fill(layer, np.concatenate([near, far[::-1]]), 125)
        cv2.polylines(layer, [fixed(near), fixed(far)], False, 215, _thick(frame), cv2.LINE_AA, SHIFT)
    return layer


def draw_shoulders(frame: Frame, anatomy: Anatomy, pose: Pose) -> AnyArray:
    """Layer of the shoulder blades and the upper arms, uint8."""
    layer = np.zeros((frame.height, frame.width), np.uint8)
    thick = _thick(frame)
    turn = np.linspace(0, 2 * np.pi, 40)
    circle = 0.17 * frame.half_width * np.stack([np.cos(turn), np.sin(turn)], 1)
    for side in (-1, 1):
        out = anatomy.scapula + 0.03 * anatomy.uneven[10 if side < 0 else 11] - (0.14 if pose.view == "AP" else 0.0)
        blade = np.array(
            [
                (1.00, 0.00), (0.95, 0.10), (0.93, 0.22), (0.97, 0.36), (1.06, 0.47), (1.13, 0.44), (1.20, 0.30),
                (1.34, 0.14), (1.40, 0.04), (1.25, -0.03),
            ]
        )  # fmt: skip
        crest = np.array([(0.97, 0.12), (1.2, 0.015), (1.45, -0.075), (1.6, -0.06)])
        shaft = np.array([(1.60, 0.15), (1.70, 0.45), (1.78, 0.9)])
        head = np.array([(1.58, 0.075)])
        for part in (blade, crest, shaft, head):
            part[:, 0] = side * (part[:, 0] + out)
        pixels = frame.to_pixels(spline(blade, closed=True, samples=6))
        fill(layer, pixels, 38)
        cv2.polylines(layer, [fixed(pixels[:26])], False, 130, thick, cv2.LINE_AA, SHIFT)
        cv2.polylines(layer, [fixed(pixels[26:50])], False, 165, thick + 1, cv2.LINE_AA, SHIFT)
        crest = spline(crest)
        ribbons = [
            (crest, frame.half_width * np.linspace(0.02, 0.05, len(crest)), 90, 150),
            (shaft, frame.half_width * np.array([0.13, 0.085, 0.08]), 120, 190),
        ]
        for path, width, inside, edge in ribbons:
            near, far = band(frame.to_pixels(path), width)
            fill(layer, np.concatenate([near, far[::-1]]), inside)
            cv2.polylines(layer, [fixed(near), fixed(far)], False, edge, thick, cv2.LINE_AA, SHIFT)
        ball = frame.to_pixels(head) + circle
        fill(layer, ball, 125)
        cv2.polylines(layer, [fixed(ball)], True, 185, thick, cv2.LINE_AA, SHIFT)
    return layer


def draw_spine(frame: Frame, anatomy: Anatomy, pose: Pose) -> AnyArray:
    """Layer of the vertebrae: bodies, pedicles and spinous processes, uint8."""
    layer = np.zeros((frame.height, frame.width), np.uint8)
    spacing = anatomy.rib_spacing * (1.0 + 0.5 * pose.inspiration)
    index = np.arange(-4, 20)
    level = -0.03 + spacing * index
    middle = anatomy.scoliosis * np.sin(2.2 * level) + 0.35 * pose.rotation
    size = 0.082 + 0.0018 * np.maximum(index, 0)
    half = 0.44 * spacing
    corners = np.array([(-1, -1), (-0.88, 0), (-1, 1), (1, 1), (0.88, 0), (1, -1)])
    turn = np.linspace(0, 2 * np.pi, 14)
    ring = np.stack([np.cos(turn), np.sin(turn)], 1)

    def place(u: FloatArray, v: FloatArray, shape: FloatArray) -> list[AnyArray]:
        points = np.stack([u, v], 1)[:, None] + shape
        return list(fixed(frame.to_pixels(points.reshape(-1, 2)).reshape(points.shape)))

    bodies = place(middle, level, corners[None] * np.stack([size, np.full(len(size), half)], 1)[:, None])
    cv2.fillPoly(layer, bodies, 100, cv2.LINE_AA, SHIFT)
    cv2.polylines(layer, bodies, True, 118, _thick(frame), cv2.LINE_AA, SHIFT)
    for side in (-1, 1):
        pedicles = place(
            middle + side * 0.62 * size + 0.3 * pose.rotation, level - 0.25 * half, ring * np.array([0.017, 0.014])
        )
        cv2.polylines(layer, pedicles, True, 165, _thick(frame), cv2.LINE_AA, SHIFT)
    tips = place(middle + 0.8 * pose.rotation, level + 0.8 * half, ring * np.array([0.014, 0.019]))
    cv2.fillPoly(layer, tips, 150, cv2.LINE_AA, SHIFT)
    return blur(layer, 0.009 * frame.half_width)
