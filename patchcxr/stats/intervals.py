"""Confidence intervals of proportions."""

from __future__ import annotations

import numpy as np
from scipy import stats

from patchcxr.errors import ConfigError
from patchcxr.stats._tables import check_confidence

NAN = float("nan")


def normal_interval(p: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Normal-approximation interval of a proportion (Degerli 2021, eq. 13; Tahir 2021, eq. 2).

    As printed: it may leave [0, 1], has no width at p = 0 or 1, and is applied by the papers to scores that are no
    proportions, such as F1. :func:`wilson_interval` has none of these faults.

    Parameters
    ----------
    p
        Score, as a fraction in [0, 1].
    n
        Number of cases. 0 gives NaN.
    z
        Quantile of the normal distribution; 1.96 is 95 %.

    Raises
    ------
    ConfigError
        If p is outside [0, 1], as a percentage is, or n is negative.

    Examples
    --------
    >>> low, high = normal_interval(0.9, 100)
    >>> round(low, 4), round(high, 4)
    (0.8412, 0.9588)
    """
    if n < 0 or p < 0 or p > 1:
        raise ConfigError(f"got p={p} of n={n}; expected a fraction in [0, 1] and n >= 0; divide percents by 100")
    if n == 0:
        return NAN, NAN
    r = z * np.sqrt(p * (1 - p) / n)  # Degerli eq. 13
    return float(p - r), float(p + r)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion, inside [0, 1]; NaN for n = 0.

    Raises
    ------
    ConfigError
        If not 0 <= successes <= n, or the confidence is outside (0, 1).

    Examples
    --------
    >>> low, high = wilson_interval(10, 10)
    >>> round(low, 4), high
    (0.7225, 1.0)
    """
    check_confidence(confidence)
    if not 0 <= successes <= n:
        raise ConfigError(f"got {successes} successes of {n}; expected 0 <= successes <= n")
    if n == 0:
        return NAN, NAN
    z = stats.norm.ppf(0.5 + confidence / 2)
    p = successes / n
    centre = p + z**2 / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    low = 0.0 if successes == 0 else float((centre - half) / scale)
    return low, 1.0 if successes == n else float((centre + half) / scale)


def clopper_pearson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper & Pearson 1934), inside [0, 1]; NaN for n = 0.

    It covers at least as often as it says, and so is wider than :func:`wilson_interval`.

    Raises
    ------
    ConfigError
        If not 0 <= successes <= n, or the confidence is outside (0, 1).

    Examples
    --------
    >>> low, high = clopper_pearson_interval(7, 20)
    >>> round(low, 4), round(high, 4)
    (0.1539, 0.5922)
    """
    check_confidence(confidence)
    if not 0 <= successes <= n:
        raise ConfigError(f"got {successes} successes of {n}; expected 0 <= successes <= n")
    if n == 0:
        return NAN, NAN
    found = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)
