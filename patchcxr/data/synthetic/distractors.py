"""Side markers, leads and labels: things on a film that have nothing to do with the disease."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from patchcxr.data.synthetic.geometry import Frame, blur, fixed, spline
from patchcxr.types import AnyArray, FloatArray


@dataclass(frozen=True)
class Distractors:
    """What lies on a film beside the patient."""

    side_marker: str
    marker_place: tuple[float, float]
    leads: int
    text: str
    seed: int


def draw_distractors(view: str, tied: int | None, rng: np.random.Generator) -> Distractors:
    """Draw a film's distractors; ``tied`` is the number of the class they are tied to, or None."""
    marker = "" if rng.random() < 0.15 else ("L" if rng.random() < 0.6 else "R")
    leads = int(rng.integers(2, 5)) if view == "AP" and rng.random() < 0.75 else 0
    text = str(rng.choice(["PORTABLE", "AP", "AP PORTABLE", "SEMI-ERECT", ""])) if view == "AP" else ""
    place = (float(rng.uniform(0.03, 0.10)), float(rng.uniform(0.04, 0.20)))
    seed = int(rng.integers(2**31))
    if tied is not None:
        marker = "RL"[tied % 2]
        leads = 3 if tied >= 3 else 0
        text = ("", "", "", "AP", "PORTABLE")[tied]
        place = (0.06, 0.06 + 0.03 * tied)
    return Distractors(marker, place, leads, text, seed)


def lead_layer(frame: Frame, distractors: Distractors) -> FloatArray | None:
    """Attenuation of electrodes and their wires, or None without leads."""
    if not distractors.leads:
        return None
    rng = np.random.default_rng(distractors.seed)
    wires = np.zeros((frame.height, frame.width), np.uint8)
    thick = max(1, round(frame.height / 360))
    places = [(-0.75, 0.12), (0.72, 0.10), (0.70, 0.78), (-0.70, 0.82)]
    exit_side = 1 if rng.random() < 0.5 else -1
    for index in rng.permutation(4)[: distractors.leads]:
        u, v = np.array(places[index]) + rng.normal(0, 0.07, 2)
        middle = (rng.uniform(-0.3, 0.5) * exit_side, v + rng.uniform(0.05, 0.4))
        path = spline(
            [
                (u, v), (0.7 * u + 0.3 * middle[0] + rng.normal(0, 0.12), v + rng.uniform(0.0, 0.15)), middle,
                (0.75 * exit_side, middle[1] + rng.uniform(-0.1, 0.15)),
                (1.6 * exit_side, middle[1] + rng.uniform(-0.2, 0.3)),
            ]
        )  # fmt: skip
        cv2.polylines(wires, [fixed(frame.to_pixels(path))], False, 110, thick, cv2.LINE_AA, 4)
        centre = frame.to_pixels([(u, v)])
        angles = np.linspace(0, 2 * np.pi, 24)
        ring = np.stack([np.cos(angles), np.sin(angles)], 1)
        pad = fixed(centre + ring * 0.062 * frame.half_width)
        button = fixed(centre + ring * 0.026 * frame.half_width)
        cv2.fillPoly(wires, [pad], 42, cv2.LINE_AA, 4)
        cv2.fillPoly(wires, [button], 255, cv2.LINE_AA, 4)
    return blur(wires, 0.6).astype(np.float32) * np.float32(0.75 / 255)


def burn_in(pixels: FloatArray, distractors: Distractors) -> None:
    """Draw the side marker and the text on a film with values in [0, 1], in place."""
    height, width = pixels.shape
    layer: AnyArray = np.zeros((height, width), np.uint8)
    scale = height / 512
    marker, text = distractors.side_marker, distractors.text
    x, y = distractors.marker_place
    if marker:
        column = x * width if marker == "R" else (1 - x) * width - 22 * scale
        place = (round(column), round(y * height + 24 * scale))
        cv2.putText(layer, marker, place, cv2.FONT_HERSHEY_DUPLEX, scale, 255, max(1, round(2 * scale)), cv2.LINE_AA)
    if text:
        x, y = (0.03, 0.965) if distractors.seed % 2 else (0.62, 0.05)
        place = (round(x * width), round(y * height))
        cv2.putText(layer, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42 * scale, 255, max(1, round(scale)), cv2.LINE_AA)
    if marker or text:
        opaque = layer.astype(np.float32) * np.float32(1 / 255)
        pixels += opaque * (np.float32(0.97) - pixels)
