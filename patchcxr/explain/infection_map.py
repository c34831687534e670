"""Colour on films: the infection map of Degerli 2021, and saliency as an overlay."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

from patchcxr.errors import ConfigError, ImageError
from patchcxr.types import FloatArray

ColourImage = npt.NDArray[np.uint8]


def infection_map(image: FloatArray, probability: FloatArray, floor: float = 0.0) -> ColourImage:
    """Reflect an infection probability onto its film (Degerli 2021, infection map generation).

    Hue and saturation come from the jet colour of the probability, the value
    from the film. Pixels of probability 0 are not drawn and stay grey.

    Parameters
    ----------
    image
        Film (H, W) in [0, 1].
    probability
        Infection probability (H, W) in [0, 1].
    floor
        Only pixels above it are drawn. The paper's rule is 0, the default. A
        sigmoid never gives an exact 0, and then every pixel is drawn, most of
        them blue; raise it (0.05, say) or set the background to 0 first
        (:func:`~patchcxr.inference.infection.within_lungs`).

    Returns
    -------
    uint8 RGB (H, W, 3)

    Raises
    ------
    ImageError
        If the shapes differ or a value is outside [0, 1] or NaN.

    Examples
    --------
    >>> infection_map(np.array([[0.2, 1.0]]), np.array([[0.0, 1.0]])).tolist()
    [[[51, 51, 51], [255, 0, 0]]]
    """
    _check(image, "image")
    _check(probability, "probability")
    _check_same_shape(image, probability, "probability")
    rgb = np.repeat(np.asarray(image, dtype=np.float64)[:, :, None], 3, axis=2)
    drawn = probability > floor
    if drawn.any():
        hsv = rgb_to_hsv(matplotlib.colormaps["jet"](np.asarray(probability, dtype=np.float64)[drawn])[:, :3])
        hsv[:, 2] = image[drawn]
        rgb[drawn] = hsv_to_rgb(hsv)
    return _to_bytes(rgb)


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


def _check(values: FloatArray, name: str) -> None:
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
