"""Curves in thorax coordinates and their place on the film.

Thorax coordinates (u, v): u = -1 and 1 are the lateral walls of the chest at
the patient's right and left (left and right of the film), v = 0 is the apex of
the lungs and v = 1 the costophrenic angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from patchcxr.types import AnyArray, FloatArray

SHIFT = 4
"""Bits of the sub-pixel part in OpenCV's drawing calls."""

CM_PER_UNIT = 14.0
"""Centimetres of one unit of u: half the inner width of the chest."""

REACH_CM = 64.0
"""Side of the square round the thorax that noise covers."""

Points = Sequence[tuple[float, float]] | FloatArray


def spline(points: Points, closed: bool = False, samples: int = 8) -> FloatArray:
    """Catmull-Rom curve through ``points``, shape (N, 2).

    >>> spline([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)], samples=2)[:, 0].tolist()
    [0.0, 0.4375, 1.0, 1.5625, 2.0]
    """
    p = np.asarray(points, float)
    padded = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    p0, p1, p2, p3 = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    t = (np.arange(samples) / samples)[None, :, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-1:]])


@dataclass(frozen=True)
class Frame:
    """Where the thorax lies on a film of ``height`` x ``width`` pixels.

    ``centre`` is the pixel (x, y) of u = 0, v = 0.5; ``half_width`` and
    ``length`` are the pixels of one unit of u and v; ``tilt`` in radians.
    """

    height: int
    width: int
    centre: tuple[float, float]
    half_width: float
    length: float
    tilt: float

    def to_pixels(self, points: Points) -> FloatArray:
        """Pixels (x, y) of points (u, v), shape (N, 2)."""
        p = np.asarray(points, float)
        x, y = p[:, 0] * self.half_width, (p[:, 1] - 0.5) * self.length
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        return np.stack([self.centre[0] + c * x - s * y, self.centre[1] + s * x + c * y], 1)

    def grids(self, step: int = 1) -> tuple[FloatArray, FloatArray]:
        """Maps (u, v) of every ``step``-th pixel, float32."""
        x = (np.arange(0, self.width, step, dtype=np.float32) + (step - 1) / 2 - self.centre[0])[None, :]
        y = (np.arange(0, self.height, step, dtype=np.float32) + (step - 1) / 2 - self.centre[1])[:, None]
        c, s = np.float32(np.cos(self.tilt)), np.float32(np.sin(self.tilt))
        u = (c * x + s * y) / np.float32(self.half_width)
        v = (c * y - s * x) / np.float32(self.length) + np.float32(0.5)
        return u, v

    def halved(self) -> Frame:
        """The same film with pixels twice as large."""
        centre = ((self.centre[0] + 0.5) / 2 - 0.5, (self.centre[1] + 0.5) / 2 - 0.5)
        half_width, length = self.half_width / 2, self.length / 2
        return Frame((self.height + 1) // 2, (self.width + 1) // 2, centre, half_width, length, self.tilt)


def fixed(points: FloatArray, scale: float = 1.0) -> AnyArray:
    """Sub-pixel coordinates for OpenCV's drawing calls, int32."""
    return np.round(points * (scale * (1 << SHIFT))).astype(np.int32)


def fill(canvas: AnyArray, points: FloatArray, value: int) -> None:
    """Fill a polygon of pixels (x, y) on an 8-bit canvas, anti-aliased."""
    cv2.fillPoly(canvas, [fixed(points)], value, cv2.LINE_AA, SHIFT)


def polygon_mask(frame: Frame, points: Points) -> AnyArray:
    """Pixels whose centre lies in a closed polygon of (u, v), uint8 0 or 1."""
    canvas = np.zeros((frame.height, frame.width), np.uint8)
    cv2.fillPoly(canvas, [fixed(frame.to_pixels(points))], 1, cv2.LINE_8, SHIFT)
    return canvas


def band(path: FloatArray, half_width: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Both edges of a ribbon along ``path`` (N, 2)."""
    tangent = np.gradient(path, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    offset = normal * np.broadcast_to(np.asarray(half_width, float), len(path))[:, None]
    return path - offset, path + offset


def blur(image: AnyArray, sigma: float) -> AnyArray:
    """Gaussian blur whose kernel ends at two and a half deviations, which is enough here and quicker."""
    reach = 2 * int(np.ceil(2.5 * sigma)) + 1
    return cv2.GaussianBlur(image, (reach, reach), sigma, borderType=cv2.BORDER_REPLICATE)


def rounded(distance: FloatArray, radius: float) -> FloatArray:
    """Chord, in [0, 1], of a body with a round edge of ``radius`` at ``distance`` from its outline."""
    share = np.minimum(distance * np.float32(1.0 / radius), np.float32(1.0))
    return cv2.sqrt(share * (np.float32(2.0) - share))


def smoothstep(x: FloatArray, low: float, high: float) -> FloatArray:
    """0 below ``low``, 1 above ``high``, smooth between (falling when low > high)."""
    t = np.asarray((x - low) * np.float32(1.0 / (high - low)))
    np.clip(t, 0.0, 1.0, out=t)
    return t * t * (3.0 - 2.0 * t)


def anchored_noise(frame: Frame, scale_cm: float, rng: np.random.Generator, step: int = 1) -> FloatArray:
    """Noise with mean 0, deviation about 1 and features of ``scale_cm``, on every ``step``-th pixel, float32.

    It is fixed to the thorax: it moves, turns and grows with it from film to film.
    """
    nodes = int(np.ceil(REACH_CM / scale_cm)) + 2
    grid = rng.standard_normal((nodes, nodes), np.float32)
    node = scale_cm * frame.half_width / CM_PER_UNIT
    c, s = np.cos(frame.tilt) / node, np.sin(frame.tilt) / node
    x, y = (step - 1) / 2 - frame.centre[0], (step - 1) / 2 - frame.centre[1]
    place = np.array(
        [[step * c, step * s, nodes / 2 + c * x + s * y], [-step * s, step * c, nodes / 2 - s * x + c * y]]
    )
    size = (-(-frame.width // step), -(-frame.height // step))
    noise = cv2.warpAffine(
        grid, place, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(noise, np.float32) * np.float32(1.35)
