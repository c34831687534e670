"""How many films or patients a comparison needs."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import stats

from patchcxr.errors import ConfigError


class SampleSize(NamedTuple):
    """Cases of each group, and of both."""

    n_a: int
    n_b: int
    total: int


def rank_sum_sample_size(
    probability_larger: float, power: float = 0.8, alpha: float = 0.05, share_a: float = 0.5
) -> SampleSize:
    """Cases that a two-sided Wilcoxon rank-sum test needs (Noether 1987).

    ``N = (z_alpha/2 + z_power)^2 / (12 c (1 - c) (p - 1/2)^2)`` with ``c`` the share of group a. The formula takes the
    variance under the null, which is good for small effects and cautious for large ones.

    Parameters
    ----------
    probability_larger
        p: probability that a case of group a has a larger value than one of group b (ties counted half); the
        rank-biserial correlation is 2 p - 1.
    power
        Wanted probability of finding the difference, in (0, 1).
    alpha
        Level of the two-sided test, in (0, 1). For m comparisons corrected after Bonferroni give alpha / m.
    share_a
        Share of the cases that belong to group a, in (0, 1).

    Returns
    -------
    SampleSize
        Whole numbers, rounded up.

    Raises
    ------
    ConfigError
        If a value is outside its range, or ``probability_larger`` is 1/2: no number of cases finds no difference.

    Examples
    --------
    >>> rank_sum_sample_size(0.65)
    SampleSize(n_a=59, n_b=59, total=118)
    """
    for name, value in (("power", power), ("alpha", alpha), ("share_a", share_a)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} is {value}; expected a fraction in (0, 1)")
    if not 0 <= probability_larger <= 1 or probability_larger == 0.5:
        raise ConfigError(
            f"probability_larger is {probability_larger}; expected a probability in [0, 1] other than 0.5,"
            " such as (rank-biserial + 1) / 2 of a pilot study"
        )
    z = stats.norm.isf(alpha / 2) + stats.norm.ppf(power)
    total = z**2 / (12 * share_a * (1 - share_a) * (probability_larger - 0.5) ** 2)
    n_a, n_b = math.ceil(total * share_a), math.ceil(total * (1 - share_a))
    return SampleSize(n_a, n_b, n_a + n_b)
