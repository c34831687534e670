"""Detection of an infection, and its extent in percent of the lungs (Degerli 2021, Tahir 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from patchcxr.errors import ConfigError, ImageError
from patchcxr.measure._checks import as_map, as_mask, check_same_shape
from patchcxr.measure.zones import CELLS, MEMBERS, REGIONS, Part, partition
from patchcxr.types import BoolArray, FloatArray, IntArray


def detect_infection(
    probability: FloatArray,
    lung_mask: BoolArray | None = None,
    threshold: float = 0.5,
    minimum_area: int = 1,
    inclusive: bool = True,
) -> bool:
    """Tell whether a film is positive: enough pixels reach the threshold.

    The defaults are the rule of Degerli 2021 (any pixel with a probability of at least 0.5). The rule of Tahir 2021,
    section 3.3, is ``detect_infection(probability, lung_mask, inclusive=False)``: any *lung* pixel *above* 0.5.

    Parameters
    ----------
    probability
        Infection probability (H, W), in [0, 1].
    lung_mask
        Boolean mask (H, W); pixels outside are ignored. None counts the whole film.
    threshold
        Probability in [0, 1] from which a pixel is infected.
    minimum_area
        Number of infected pixels, connected or not, from which the film is positive.
    inclusive
        Whether a pixel exactly at the threshold is infected.

    Raises
    ------
    ImageError
        If the map is not finite or leaves [0, 1], as logits do.
    MaskError
        If the lung mask is not boolean or has another shape.
    ConfigError
        If the threshold is outside [0, 1] or the minimum area is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> detect_infection(np.array([[0.1, 0.5]])), detect_infection(np.array([[0.1, 0.5]]), inclusive=False)
    (True, False)
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold is {threshold}; expected a probability in [0, 1]")
    if minimum_area < 1:
        raise ConfigError(f"minimum_area is {minimum_area}; expected at least 1 pixel")
    probability = as_map(probability, "probability")
    if probability.min() < 0 or probability.max() > 1:
        raise ImageError(
            f"probability lies in [{probability.min():.3g}, {probability.max():.3g}]; expected [0, 1]; "
            "apply a sigmoid or softmax to logits"
        )
    infected = probability >= threshold if inclusive else probability > threshold
    if lung_mask is not None:
        lung_mask = as_mask(lung_mask, "lung_mask")
        check_same_shape(lung_mask, "lung_mask", probability.shape, "probability")
        infected &= lung_mask
    return bool(np.count_nonzero(infected) >= minimum_area)


def infected_share(infection_mask: BoolArray, lung_mask: BoolArray) -> float:
    """Infected share of the lungs in percent, in [0, 100]; NaN if the lung mask is empty.

    Infection outside the lungs is not counted (Tahir 2021, section 3.3).

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> infected_share(np.array([[True, False, True]]), np.array([[True, True, False]]))
    50.0
    """
    infection_mask = as_mask(infection_mask, "infection_mask")
    lung_mask = as_mask(lung_mask, "lung_mask")
    check_same_shape(infection_mask, "infection_mask", lung_mask.shape, "lung_mask")
    lung_pixels = int(np.count_nonzero(lung_mask))
    if lung_pixels == 0:
        return float("nan")
    return 100.0 * int(np.count_nonzero(infection_mask & lung_mask)) / lung_pixels


def severity(infection_mask: BoolArray, right_lung: BoolArray, left_lung: BoolArray) -> dict[str, float]:
    """Infected share in percent of both lungs and of each (Tahir 2021, section 3.3 and Fig. 5).

    Returns
    -------
    dict
        ``overall_percent`` (of the union of the two lungs), ``right_lung_percent`` and ``left_lung_percent``
        (the patient's right and left); NaN where a lung is empty.

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.
    """
    right_lung = as_mask(right_lung, "right_lung")
    left_lung = as_mask(left_lung, "left_lung")
    check_same_shape(right_lung, "right_lung", left_lung.shape, "left_lung")
    return {
        "overall_percent": infected_share(infection_mask, right_lung | left_lung),
        "right_lung_percent": infected_share(infection_mask, right_lung),
        "left_lung_percent": infected_share(infection_mask, left_lung),
    }


def zone_severity(infection_mask: BoolArray, right_lung: BoolArray, left_lung: BoolArray) -> dict[str, float]:
    """Infected share in percent of both lungs, of each lung and of each zone.

    Returns
    -------
    dict
        ``<region>_infected_percent`` for each of :data:`patchcxr.measure.zones.REGIONS`, in [0, 100]; NaN where a
        region has no pixel. The regions of both lungs need both: the share of the one lung that could be segmented is
        not the severity of the patient. (:func:`severity` keeps to Tahir 2021 and divides by the lungs that are there.)

    Raises
    ------
    MaskError
        If a mask is not boolean or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> lung = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]).astype(bool)
    >>> infection = np.zeros((3, 4), bool)
    >>> infection[2, :3] = True
    >>> found = zone_severity(infection, lung, lung[:, ::-1])
    >>> found["lung_infected_percent"], found["right_lung_lower_infected_percent"]
    (25.0, 100.0)
    """
    parts = partition(right_lung, left_lung)
    return region_severity(infection_mask, parts, np.shape(right_lung))


def region_severity(
    infection_mask: BoolArray | None, parts: Sequence[Part], shape: tuple[int, ...]
) -> dict[str, float]:
    """As :func:`zone_severity`, for lungs that are cut already; all NaN without an infection mask."""
    share = np.full(len(REGIONS), np.nan)
    if infection_mask is not None:
        infection = as_mask(infection_mask, "infection_mask", 2)
        check_same_shape(infection, "infection_mask", shape, "the lungs")
        right, left, rest = parts
        found = [_area_and_infected(part, infection) for part in (right, left)]
        found.append(found[1] if rest is left else _area_and_infected(rest, infection))
        area, infected = (MEMBERS @ np.concatenate(found)).T
        np.divide(100.0 * infected, area, out=share, where=area > 0)
        if not all(part.cell.size for part in parts[:2]):
            share[: len(REGIONS) // 3] = np.nan
    return {f"{region}_infected_percent": value for region, value in zip(REGIONS, share.tolist(), strict=True)}


def _area_and_infected(part: Part, infection: BoolArray) -> IntArray:
    """Pixels, and infected pixels, of each cell (:data:`CELLS`, 2)."""
    infected = infection[part.box][part.mask].view(np.uint8)
    healthy, ill = np.bincount(part.cell + CELLS * infected, minlength=2 * CELLS).reshape(2, CELLS)
    return np.stack([healthy + ill, ill], axis=1)
