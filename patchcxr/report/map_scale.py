"""How the values of a map become colours, and one scale for maps that are to be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from patchcxr.errors import ConfigError
from patchcxr.explain.infection_map import COLORMAPS, PAPER_COLORMAP, ColourImage, infection_map, saliency_overlay
from patchcxr.types import FloatArray

NORMALISED: Final = {"minmax": "share of each map's range", "max": "share of each map's largest value"}
"""What a Grad-CAM shows whose map was brought to [0, 1] by itself, by its normalisation."""


@dataclass(frozen=True)
class Scale:
    """How the values of a map become colours; panels that share a scale can be compared.

    Attributes
    ----------
    label
        What the values are, below the colour bar.
    top
        Value of the last colour; larger ones have it too.
    colormap
        One of :data:`~patchcxr.explain.infection_map.COLORMAPS`: jet, as in
        the papers, or a perceptually uniform one that readers with defective
        colour vision can tell apart.
    floor
        Values up to it are not drawn; only for infection maps and uniform
        colour maps.
    infection
        Draw as an infection map (Degerli 2021): the film gives the brightness.
        Uniform colour maps are always drawn so.
    alpha
        Opacity of the colours of jet, where it lies over the film.
    """

    label: str
    top: float = 1.0
    colormap: str = PAPER_COLORMAP
    floor: float = 0.0
    infection: bool = False
    alpha: float = 0.4

    def __post_init__(self) -> None:
        if self.colormap not in COLORMAPS:
            raise ConfigError(f"colormap: got {self.colormap!r}; expected one of {', '.join(COLORMAPS)}")
        if not (np.isfinite(self.top) and self.top > 0):
            raise ConfigError(f"the top of the scale {self.label!r} is {self.top}; expected a positive number")

    def paint(self, film: FloatArray, values: FloatArray) -> ColourImage:
        """Film (H, W) in [0, 1] with a map (H, W) in colour, uint8 RGB (H, W, 3)."""
        share = np.clip(np.asarray(values, dtype=np.float32) / np.float32(self.top), 0, 1)
        if self.infection or self.colormap != PAPER_COLORMAP:
            return infection_map(film, share, self.floor / self.top, self.colormap)
        return saliency_overlay(film, share, self.colormap, self.alpha)


def round_up(value: float) -> float:
    """Round up to an even number of its leading decimal, so that a scale and its half have short ticks.

    >>> round_up(0.37), round_up(0.012), round_up(0.0)
    (0.4, 0.02, 1.0)
    """
    if value <= 0:
        return 1.0
    place = math.floor(math.log10(value))
    return round(math.ceil(value / 10**place / 2 - 1e-6) * 2 * 10**place, 12)


def common_scale(label: str, maps: Sequence[FloatArray], colormap: str, normalization: str = "none") -> Scale:
    """One scale for several maps.

    Parameters
    ----------
    label
        What the values are.
    maps
        Maps, not negative.
    colormap
        See :class:`Scale`.
    normalization
        How each map was scaled by itself: ``none`` gives a scale that ends
        just above the largest value of all maps, ``minmax`` and ``max`` one
        up to 1, whose label says so.
    """
    if normalization in NORMALISED:
        return Scale(f"{label}, {NORMALISED[normalization]}", 1.0, colormap)
    return Scale(label, round_up(max((float(found.max()) for found in maps), default=0.0)), colormap)
