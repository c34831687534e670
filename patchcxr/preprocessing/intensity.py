"""Intensity normalisation: histogram equalisation, then gamma (Oh 2020, section II-A)."""

from __future__ import annotations

import numpy as np

from patchcxr.config import config
from patchcxr.errors import ConfigError, ImageError
from patchcxr.types import FloatArray

LEVELS = 65536
"""Grey levels of the histogram; enough to keep every level of a 16-bit film apart."""


@config
class PreprocessConfig:
    """Which steps of the normalisation are applied.

    Attributes
    ----------
    equalize
        Histogram equalisation over the whole film.
    gamma
        Exponent of the gamma correction; 1 leaves the film as it is. The
        paper uses 0.5, which brightens.
    """

    equalize: bool = True
    gamma: float = 0.5

    def __post_init__(self) -> None:
        if not (np.isfinite(self.gamma) and self.gamma > 0):
            raise ConfigError(f"gamma is {self.gamma}; expected a positive number (0.5 in the paper, 1 for none)")


def normalize_intensity(pixels: FloatArray, config: PreprocessConfig | None = None) -> FloatArray:
    """Equalise the histogram of a film, then correct its gamma.

    With ``n`` pixels and ``cdf(v)`` the number of them that are ``v`` or
    darker, a pixel of level ``v`` becomes
    ``((cdf(v) - cdf_min) / (n - cdf_min)) ** gamma``, where ``cdf_min`` is the
    count of the darkest level that occurs (the form of OpenCV's
    ``equalizeHist``): the darkest level becomes 0 and the brightest 1. The
    result times 255 is the grey level of the paper.

    Levels are counted on a grid of 65,536, so 8-, 12- and 16-bit films keep
    all their levels, and a monotone change of contrast that keeps the levels
    apart does not change the result. Equal pixels stay equal. Black borders
    take part in the histogram, as in the paper. A film with a single grey
    level is left as it is by equalisation.

    Parameters
    ----------
    pixels
        Shape (H, W), range [0, 1].
    config
        Steps to apply; all by default.

    Returns
    -------
    float32, shape (H, W), range [0, 1].

    Raises
    ------
    ImageError
        If the film is empty, has values that are not finite, or values
        outside [0, 1].

    Examples
    --------
    >>> film = np.array([[0, 51], [51, 255]]) / 255
    >>> normalize_intensity(film, PreprocessConfig(gamma=1)).round(3).tolist()
    [[0.0, 0.6669999957084656], [0.6669999957084656, 1.0]]
    """
    config = config or PreprocessConfig()
    pixels = np.asarray(pixels, dtype=np.float32)
    if pixels.ndim != 2 or pixels.size == 0:
        raise ImageError(f"film has shape {pixels.shape}; expected (H, W) with at least one pixel")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ImageError(
            f"film has values from {low:.4g} to {high:.4g}; expected 0 to 1, so read it with io.radiograph"
            " or divide it by its full range"
        )
    if config.equalize and low < high:
        level = (pixels * np.float32(LEVELS - 1) + np.float32(0.5)).astype(np.uint16)
        table = equalization_table(np.bincount(level.ravel(), minlength=LEVELS))
        if config.gamma != 1:
            table = table**config.gamma
        return np.take(table.astype(np.float32), level, mode="clip")
    if config.gamma != 1:
        return np.power(pixels, np.float32(config.gamma))
    return pixels.copy()


def equalization_table(histogram: np.ndarray) -> np.ndarray:
    """Equalised value in [0, 1] of every level of a histogram of counts.

    A histogram with a single filled level maps every level to its own share
    of the range, which leaves the film as it is.

    >>> equalization_table(np.array([1, 0, 2, 1])).round(3).tolist()
    [0.0, 0.0, 0.667, 1.0]
    """
    filled = np.flatnonzero(histogram)
    if filled.size < 2:
        return np.linspace(0, 1, len(histogram))
    cumulative = np.cumsum(histogram)
    darkest = cumulative[filled[0]]
    return np.maximum(cumulative - darkest, 0) / (cumulative[-1] - darkest)
