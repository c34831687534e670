"""Drawing patch centres in the lungs, and cutting patches out of a film."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from patchcxr.errors import ConfigError, EmptyLungError, MaskError
from patchcxr.types import AnyArray, BoolArray, IntArray

ScalarT = TypeVar("ScalarT", bound=np.generic)


def sample_centres(lung_mask: BoolArray, k: int, rng: np.random.Generator) -> IntArray:
    """Draw patch centres uniformly over the lung pixels, with replacement (Oh 2020, section II.B).

    Parameters
    ----------
    lung_mask
        Lung pixels, bool (H, W).
    k
        Number of centres, at least 1.
    rng
        Source of randomness.

    Returns
    -------
    int64 (K, 2)
        Row and column of each centre.

    Raises
    ------
    EmptyLungError
        If the mask has no pixel.

    Examples
    --------
    >>> mask = np.zeros((4, 4), dtype=bool)
    >>> mask[2, 1] = True
    >>> sample_centres(mask, 2, np.random.default_rng(0))
    array([[2, 1],
           [2, 1]])
    """
    if k < 1:
        raise ConfigError(f"got {k} patches a film; expected at least 1; raise the number of patches")
    lung = _lung(lung_mask)
    pixels = np.flatnonzero(lung)
    chosen = pixels[rng.integers(pixels.size, size=k)]
    return np.stack(np.unravel_index(chosen, lung.shape), axis=1)


def dense_centres(lung_mask: BoolArray, stride: int) -> IntArray:
    """Centres on a regular grid that lie in the lungs, in row-major order.

    The grid has a point in the middle of each ``stride`` x ``stride`` cell:
    rows and columns ``stride // 2, stride // 2 + stride, ...``

    Parameters
    ----------
    lung_mask
        Lung pixels, bool (H, W).
    stride
        Distance between neighbouring grid points in pixels.

    Returns
    -------
    int64 (K, 2)

    Raises
    ------
    EmptyLungError
        If no grid point lies in the lungs.
    """
    if stride < 1:
        raise ConfigError(f"got a stride of {stride}; expected at least 1 pixel; raise the stride")
    lung = _lung(lung_mask)
    start = stride // 2
    centres = np.argwhere(lung[start::stride, start::stride]) * stride + start
    if not len(centres):
        raise EmptyLungError(
            f"lung_mask has {np.count_nonzero(lung)} lung pixels but none on the grid of stride {stride}; "
            "expected at least one; lower the stride or draw the centres at random"
        )
    return centres


def pad_for_patches(image: npt.NDArray[ScalarT], size: int) -> npt.NDArray[ScalarT]:
    """Add a border of zeros so that the patch centred at (r, c) starts at (r, c) of the result."""
    border = (size // 2, size - size // 2)
    return np.pad(image, (border, border))


def cut_patches(image: npt.NDArray[ScalarT], centres: IntArray, size: int) -> npt.NDArray[ScalarT]:
    """Cut square patches; what lies over the edge of the film is zero, as the masked background is.

    Parameters
    ----------
    image
        Film (H, W), any type.
    centres
        Centre pixels inside the film, int (K, 2).
    size
        Side in pixels. A patch covers rows ``[r - size // 2, r - size // 2 + size)``.

    Returns
    -------
    (K, size, size), same type as the film

    Raises
    ------
    MaskError
        If a centre lies outside the film: then the lung mask that it was
        drawn from has another shape.

    Examples
    --------
    >>> cut_patches(np.arange(9).reshape(3, 3), np.array([[0, 0]]), size=3)
    array([[[0, 0, 0],
            [0, 0, 1],
            [0, 3, 4]]])
    """
    centres = np.asarray(centres).reshape(-1, 2)
    outside = ((centres < 0) | (centres >= image.shape)).any(axis=1)
    if outside.any():
        row, column = centres[outside][0]
        raise MaskError(
            f"patch centre ({row}, {column}) lies outside the film of shape {image.shape}; expected centres inside; "
            "draw them from a lung mask of the film's shape (preprocessing.geometry.resize_mask)"
        )
    windows = np.lib.stride_tricks.sliding_window_view(pad_for_patches(image, size), (size, size))
    return windows[centres[:, 0], centres[:, 1]]


def _lung(lung_mask: AnyArray) -> BoolArray:
    lung = np.asarray(lung_mask, dtype=bool)
    if lung.ndim != 2:
        raise MaskError(f"lung_mask has shape {lung.shape}; expected (H, W); pass one mask at a time")
    if not lung.any():
        raise EmptyLungError(
            f"lung_mask of shape {lung.shape} has no lung pixel; expected at least one; "
            "segment the film again, give a mask by hand, or leave the film out"
        )
    return lung
