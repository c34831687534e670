"""Intensity within and between patches (Oh 2020, section IV-C and Fig. 5).

The paper takes mean and standard deviation of each correctly classified patch: the spread of the means is the
inter-patch, the standard deviations are the intra-patch distribution. Each patch is a point of its own there, although
the patches of a film overlap and those of a class share films; :func:`intra_inter` therefore gives a row a film, and
the class level from films. The paper does not say whether the zeros that masking leaves outside the lungs count. Here
they count unless a mask of the valid pixels is given; counted, they lower the mean of patches at the border of the lung
and raise their spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from patchcxr.errors import CohortError, ConfigError, ImageError
from patchcxr.measure._checks import as_mask, check_same_shape
from patchcxr.measure.intensity import film, mean_std
from patchcxr.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


def patch_intensity(patches: FloatArray, valid: BoolArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each patch.

    Parameters
    ----------
    patches
        Patches (K, h, w), in the unit of the film.
    valid
        Boolean masks (K, h, w): pixels of the lung, or inside the film. None counts every pixel, zeros left by masking
        or padding too.

    Returns
    -------
    mean, std : numpy.ndarray
        Each float64 (K,); the standard deviation is that of the population. NaN for a patch without a valid pixel.

    Raises
    ------
    ImageError
        If the patches are not (K, h, w), or NaN or infinite where they are valid.
    MaskError
        If the masks are not boolean or have another shape.

    Examples
    --------
    >>> import numpy as np
    >>> patches = np.array([[[0.0, 0.4], [0.0, 0.8]]])
    >>> mean, std = patch_intensity(patches, patches > 0)
    >>> mean.round(3), std.round(3)
    (array([0.6]), array([0.2]))
    """
    patches = np.asarray(patches)
    if patches.ndim != 3:
        raise ImageError(f"patches have shape {patches.shape}; expected (patches, rows, columns)")
    if valid is not None:
        valid = as_mask(valid, "valid", 3)
        check_same_shape(valid, "valid", patches.shape, "patches")
    found = [mean_std(patch.ravel() if valid is None else patch[valid[k]]) for k, patch in enumerate(patches)]
    return _columns(found)


def patch_intensity_at(
    image: FloatArray, centres: IntArray, size: int, lung_mask: BoolArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the patches around some pixels of a film, without cutting them out.

    Parameters
    ----------
    image
        Film (H, W).
    centres
        Row and column of the centres of the patches, int (K, 2), say of those classified correctly. A patch covers
        rows ``[row - size // 2, row - size // 2 + size)``, columns alike.
    size
        Side of the patches in pixels; 224 on films of 1024 pixels in the paper.
    lung_mask
        Boolean mask (H, W); pixels outside do not count. What reaches over the edge of the film never does.

    Returns
    -------
    mean, std : numpy.ndarray
        As :func:`patch_intensity`.

    Raises
    ------
    ImageError
        If the image is not (H, W), or is NaN or infinite in a patch.
    MaskError
        If the mask is not boolean or has another shape.
    ConfigError
        If the centres are not whole numbers (K, 2), or the size is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> mean, std = patch_intensity_at(np.arange(16.0).reshape(4, 4) / 16, np.array([[1, 1], [0, 0]]), size=2)
    >>> mean
    array([0.15625, 0.     ])
    """
    image, centres = film(image), np.asarray(centres)
    if centres.ndim != 2 or centres.shape[1] != 2 or not np.issubdtype(centres.dtype, np.integer):
        raise ConfigError(f"centres are {centres.dtype} of shape {centres.shape}; expected whole numbers (K, 2)")
    if size < 1:
        raise ConfigError(f"size is {size}; expected at least 1 pixel")
    if lung_mask is not None:
        lung_mask = as_mask(lung_mask, "lung_mask", 2)
        check_same_shape(lung_mask, "lung_mask", image.shape, "image")
    found = []
    for top, left in centres - size // 2:
        window = (slice(max(top, 0), max(top + size, 0)), slice(max(left, 0), max(left + size, 0)))
        found.append(mean_std(image[window].ravel() if lung_mask is None else image[window][lung_mask[window]]))
    return _columns(found)


def intra_inter(table: pd.DataFrame, by: Sequence[str] = ("study", "class_name")) -> pd.DataFrame:
    """Spread of the intensity between and within patches, by film and class.

    Parameters
    ----------
    table
        One row a patch: the columns ``by``, ``mean`` and ``std`` (:func:`patch_intensity`); where there is a boolean
        column ``correct``, only the patches classified correctly count, as in the paper.
    by
        Columns that make a group. The class alone pools all patches of a class, which is the paper's Fig. 5, and
        counts patches of one film as if they were independent.

    Returns
    -------
    pandas.DataFrame
        One row a group, as they come: ``by``; ``n`` (patches that count), ``wrong`` (classified otherwise),
        ``dropped`` (NaN or infinite); ``inter_mean`` and ``inter_std`` of the patches' means; ``intra_mean`` and
        ``intra_std`` of the patches' standard deviations; ``note``. Standard deviations over patches are those of a
        sample (``ddof=1``); NaN with a note below two patches.

    Raises
    ------
    CohortError
        If a column is missing, or ``correct`` is not boolean.

    Examples
    --------
    >>> import pandas as pd
    >>> patches = pd.DataFrame({"study": ["a", "a"], "class_name": "viral", "mean": [0.4, 0.6], "std": [0.1, 0.2]})
    >>> found = intra_inter(patches)
    >>> found[["study", "n", "inter_mean", "intra_mean"]].round(3)
      study  n  inter_mean  intra_mean
    0     a  2         0.5        0.15
    """
    missing = [name for name in (*by, "mean", "std") if name not in table]
    if missing:
        raise CohortError(f"the table of patches has no column {', '.join(missing)}; it has {', '.join(table)}")
    if "correct" in table and table["correct"].dtype != bool:
        raise CohortError(f"the column correct is {table['correct'].dtype}; expected bool, without a gap")
    wrong = ~table["correct"] if "correct" in table else np.zeros(len(table), bool)
    finite = np.isfinite(table["mean"]) & np.isfinite(table["std"])
    counts = finite & ~wrong
    patches = table[list(by)].assign(
        n=counts,
        wrong=wrong,
        dropped=~finite & ~wrong,
        mean=table["mean"].where(counts),
        std=table["std"].where(counts),
    )
    found = (
        patches.groupby(list(by), sort=False, dropna=False)
        .agg(
            n=("n", "sum"),
            wrong=("wrong", "sum"),
            dropped=("dropped", "sum"),
            inter_mean=("mean", "mean"),
            inter_std=("mean", "std"),
            intra_mean=("std", "mean"),
            intra_std=("std", "std"),
        )
        .reset_index()
    )
    notes = {0: "no patch counts", 1: "one patch: no spread over patches"}
    found["note"] = [notes.get(n, "") for n in found["n"]]
    return found


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    columns = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]
