"""Colour on films: the infection map of Degerli 2021, and saliency as an overlay."""

from __future__ import annotations

import functools
from typing import Any, Final

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt

from patchcxr.errors import ConfigError, ImageError
from patchcxr.types import AnyArray, FloatArray

ColourImage = npt.NDArray[np.uint8]

PAPER_COLORMAP: Final = "jet"
UNIFORM_COLORMAP: Final = "viridis"
"""The perceptually uniform map of choice: its hues alone, which are all that is drawn, still tell low from high."""
COLORMAPS: Final = (PAPER_COLORMAP, UNIFORM_COLORMAP, "inferno")
"""The map cividis is not among them: in its middle, where thresholds lie, it is grey but for its luminance."""
LEVELS: Final = 256
"""Colours of a matplotlib colour map, and so the steps in which a probability is shown."""

_BLOCK: Final = 65536  # pixels worked on at a time, so that all their arrays fit into the processor's cache
_LUMA: Final = np.array([0.299, 0.587, 0.114])


def infection_map(
    image: FloatArray, probability: FloatArray, floor: float = 0.0, colormap: str = PAPER_COLORMAP
) -> ColourImage:
    """Reflect an infection probability onto its film (Degerli 2021, infection map generation).

    With ``jet``, as in the paper: hue and saturation come from the jet colour
    of the probability, the value from the film. Pixels of probability 0 are
    not drawn and stay grey.

    The other colour maps are perceptually uniform. The film keeps its
    luminance (ITU-R 601), the map gives the colour, and the weight of the
    colour is the probability: a doubtful pixel is nearly grey, and anatomy
    stays visible under a certain one. Only where film and colour together
    leave the range of a display (a strong colour on the darkest or brightest
    parts of a film) are they clipped, and the luminance changes.

    Parameters
    ----------
    image
        Film (H, W) in [0, 1].
    probability
        Infection probability (H, W) in [0, 1]; shown in :data:`LEVELS` steps.
    floor
        Only pixels above it are drawn. The paper's rule is 0, the default. A
        sigmoid never gives an exact 0, and then every pixel is drawn, most of
        them blue; raise it (0.05, say) or set the background to 0 first
        (:func:`~patchcxr.inference.infection.within_lungs`).
    colormap
        One of :data:`COLORMAPS`.

    Returns
    -------
    uint8 RGB (H, W, 3)

    Raises
    ------
    ImageError
        If the shapes differ or a value is outside [0, 1] or NaN.
    ConfigError
        If the colour map is not one of those.

    Examples
    --------
    >>> infection_map(np.array([[0.2, 1.0]]), np.array([[0.0, 1.0]])).tolist()
    [[[51, 51, 51], [255, 0, 0]]]
    >>> infection_map(np.array([[0.2, 0.5]]), np.array([[0.0, 1.0]]), colormap="viridis").tolist()
    [[[51, 51, 51], [165, 143, 0]]]
    """
    if colormap not in COLORMAPS:
        raise ConfigError(f"colormap: got {colormap!r}; expected one of {', '.join(COLORMAPS)}")
    _check(image, "image")
    _check(probability, "probability")
    _check_same_shape(image, probability, "probability")
    film = np.ascontiguousarray(image, dtype=np.float32)
    drawn = np.empty((*film.shape, 3), dtype=np.uint8)
    rows = max(1, _BLOCK // film.shape[1])
    for start in range(0, film.shape[0], rows):
        block = slice(start, start + rows)
        cv2.merge(_channels(film[block], probability[block], floor, colormap), drawn[block])
    return drawn


def _channels(film: FloatArray, probability: FloatArray, floor: float, colormap: str) -> list[AnyArray]:
    """Red, green and blue of some rows."""
    level = np.minimum((probability * LEVELS).astype(np.uint16), LEVELS - 1).astype(np.uint8)
    grey, hidden = cv2.convertScaleAbs(film, alpha=255), probability <= floor
    channels: list[AnyArray] = []
    for gain, offset in zip(*_film_to_colour(colormap), strict=True):
        shade = cv2.multiply(cv2.LUT(level, gain), film)
        coloured = cv2.add(shade, cv2.LUT(level, offset), dtype=cv2.CV_8U)
        np.copyto(coloured, grey, where=hidden)
        channels.append(coloured)
    return channels


@functools.cache
def _film_to_colour(colormap: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Gain and offset of each channel and level, (3, LEVELS), that turn a film in [0, 1] into colours of 0 to 255.

    A colour of given hue and saturation grows in proportion to its value, so
    that taking hue and saturation from jet and the value from the film is a
    multiplication by the jet colour over its own value.
    """
    colours = matplotlib.colormaps[colormap](np.arange(LEVELS))[:, :3]
    if colormap == PAPER_COLORMAP:
        gain, offset = colours / colours.max(axis=1, keepdims=True), np.zeros_like(colours)
    else:
        weight = (np.arange(LEVELS)[:, None] + 0.5) / LEVELS
        gain, offset = np.ones_like(colours), weight * (colours - colours @ _LUMA[:, None])
    scaled = [np.ascontiguousarray((255 * table).T, dtype=np.float32) for table in (gain, offset)]
    return scaled[0], scaled[1]


def saliency_overlay(image: FloatArray, saliency: FloatArray, colormap: str = "jet", alpha: float = 0.4) -> ColourImage:
    """Blend a saliency map with its film.

    Parameters
    ----------
    image
        Film (H, W) in [0, 1].
    saliency
        (H, W) in [0, 1]; the map is drawn as it is, so bring it to the scale
        that the figure states first.
    colormap
        Name of a matplotlib colour map.
    alpha
        Weight of the colour in [0, 1]; the film has the rest.

    Returns
    -------
    uint8 RGB (H, W, 3)

    Raises
    ------
    ImageError
        If the shapes differ or a value is outside [0, 1] or NaN.
    """
    if colormap not in matplotlib.colormaps:
        raise ConfigError(f"colormap: got {colormap!r}; expected a matplotlib colour map, such as 'jet' or 'inferno'")
    if not 0 <= alpha <= 1:
        raise ConfigError(f"alpha: got {alpha}; expected a weight in [0, 1]")
    _check(image, "image")
    _check(saliency, "saliency")
    _check_same_shape(image, saliency, "saliency")
    colours = matplotlib.colormaps[colormap](np.asarray(saliency, dtype=np.float64))[:, :, :3]
    return _to_bytes((1 - alpha) * image[:, :, None] + alpha * colours)


def _to_bytes(rgb: npt.NDArray[np.floating[Any]]) -> ColourImage:
    return np.round(rgb * 255).astype(np.uint8)


def _check(values: AnyArray, name: str) -> None:
    if values.ndim != 2 or not values.size:
        raise ImageError(f"{name} has shape {values.shape}; expected (H, W); give one map at a time")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ImageError(f"{name} has values from {low:g} to {high:g}; expected [0, 1]; scale it first")


def _check_same_shape(image: FloatArray, values: FloatArray, name: str) -> None:
    if image.shape != values.shape:
        raise ImageError(
            f"{name} has shape {values.shape} but the film has {image.shape}; "
            "resize one of them with preprocessing.geometry.resize_image"
        )
