"""Branching vessels and bronchi of the lungs, as 8-bit layers."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from patchcxr.data.synthetic.geometry import Frame, blur, fixed
from patchcxr.types import AnyArray, FloatArray

HILA = {-1: (-0.235, 0.43), 1: (0.265, 0.395)}
"""Middle of each hilum in thorax coordinates; the left one is higher."""

STEMS = {
    -1: (
        (-2.00, 0.40, 0.00), (-2.45, 0.40, 0.01), (-2.85, 0.45, 0.02), (3.05, 0.50, 0.04),
        (2.60, 0.55, 0.06), (2.95, 0.50, 0.10), (2.30, 0.65, 0.12), (2.00, 0.70, 0.15), (1.72, 0.75, 0.17),
        (1.45, 0.60, 0.17), (1.90, 0.80, 0.01),
    ),
    1: (
        (-1.10, 0.40, 0.00), (-0.70, 0.40, 0.01), (-0.28, 0.45, 0.02), (0.10, 0.50, 0.04),
        (0.50, 0.55, 0.07), (0.25, 0.50, 0.10), (0.80, 0.65, 0.13), (1.05, 0.70, 0.15), (1.35, 0.70, 0.17),
        (1.15, 0.75, 0.01),
    ),
}  # fmt: skip
"""Direction (radians, rows run down), calibre, and way down the lower artery of the vessels of each hilum."""

LEVELS = 8
CALIBRES = 14


def draw_tree(frame: Frame, rng: np.random.Generator, markings: float, scale: int = 2) -> AnyArray:
    """Vessels of both lungs that branch and taper from the hila, uint8; 255 is a vessel 12 mm thick."""
    thin = np.zeros((frame.height * scale, frame.width * scale), np.uint8)
    thick = np.zeros((frame.height, frame.width), np.uint8)
    calibres, curves = _grow(rng)
    pixels = frame.to_pixels(curves.reshape(-1, 2)).reshape(curves.shape)
    # Thin vessels first, so that a thick one stays whole where they cross.
    bins = np.geomspace(calibres.min() * 0.999, calibres.max() * 1.001, CALIBRES + 1)
    for low, high in pairwise(bins):
        chosen = (calibres >= low) & (calibres < high)
        if not chosen.any():
            continue
        fine = low < 0.026
        canvas, enlarged = (thin, scale) if fine else (thick, 1)
        calibre = float(np.sqrt(low * high)) * frame.half_width * enlarged
        width = max(1, round(calibre))
        # Peripheral vessels are thinner than a pixel, but they still attenuate.
        value = 255 * markings * (calibre / (0.085 * frame.half_width * enlarged)) ** 0.95 * min(1.0, calibre / width)
        cv2.polylines(
            canvas, list(fixed(pixels[chosen], enlarged)), False, int(np.clip(value, 6, 255)), width, cv2.LINE_8, 4
        )
    size = (frame.width, frame.height)
    # A vessel is round: its shadow falls off towards its edges.
    soft = blur(thick, 0.015 * frame.half_width)
    return cv2.max(cv2.resize(thin, size, interpolation=cv2.INTER_AREA), soft)


def _grow(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Calibres (N,) and middle lines (N, 5, 2) in thorax coordinates of all vessels."""
    start = np.array([HILA[side] for side, stems in STEMS.items() for _ in stems])
    direction, calibre, down = np.array([stem for stems in STEMS.values() for stem in stems]).T
    start = start + np.stack([np.sign(start[:, 0]) * 0.35 * down, down], 1) + rng.normal(0, 0.03, start.shape)
    direction = direction + rng.normal(0, 0.18, len(direction))
    calibre = 0.062 * calibre
    t = np.linspace(0.0, 1.0, 5)[:, None]
    calibres, curves = [], []
    for level in range(LEVELS):
        count = len(start)
        length = (0.16 if level == 0 else 0.135 - 0.008 * level) * rng.uniform(0.6, 1.4, count)
        angles = direction + rng.normal(0, 0.36, count) * t
        step = np.stack([np.cos(angles), np.sin(angles) * 0.75], 2) * (length[:, None] / 4)
        curve = start + np.cumsum(step, 0) - step[0]
        # The two halves of a vessel differ a little in calibre.
        for part, taper in ((curve[:3], 1.0), (curve[2:], 0.88)):
            calibres.append(calibre * taper)
            curves.append(part.transpose(1, 0, 2))
        spread = rng.uniform(0.22, 0.62, count) * rng.choice([-1.0, 1.0], count)
        ways = [
            (curve[4], angles[4] - 0.4 * spread, calibre * rng.uniform(0.70, 0.84, count)),
            (curve[4], angles[4] + spread, calibre * rng.uniform(0.48, 0.70, count)),
            (curve[2], angles[2] - spread * 1.4, calibre * rng.uniform(0.32, 0.5, count)),
        ]
        start, direction, calibre = (np.concatenate([way[k] for way in ways]) for k in range(3))
        keep = (calibre > 0.0068) & (start[:, 1] < 1.1)
        start, direction, calibre = start[keep], direction[keep], calibre[keep]
        if not len(start):
            break
    return np.concatenate(calibres), np.concatenate(curves)
