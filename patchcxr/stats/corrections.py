"""Correction of p-values for their number, and the stars that mark them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from patchcxr.errors import ConfigError
from patchcxr.types import FloatArray

Correction = Literal["holm", "fdr_bh", "none"]


def adjust(p: FloatArray, correction: Correction) -> FloatArray:
    """Correct p-values for their number; NaN (no test was possible) stays NaN and is not counted.

    Raises
    ------
    ConfigError
        If the correction is not ``"holm"``, ``"fdr_bh"`` or ``"none"``.
    """
    if correction not in ("holm", "fdr_bh", "none"):
        raise ConfigError(f"correction is {correction!r}; expected 'holm', 'fdr_bh' or 'none'")
    adjusted = np.array(p, dtype=np.float64)
    tested = ~np.isnan(adjusted)
    if correction != "none" and tested.any():
        adjust_tested = _holm if correction == "holm" else stats.false_discovery_control
        adjusted[tested] = adjust_tested(adjusted[tested])
    return adjusted


def _holm(p: FloatArray) -> FloatArray:
    """Holm's step-down: the k-th smallest of n p-values times n - k + 1, never below the one before it."""
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted


def stars(p: float) -> str:
    """Significance level as Oh 2020 marks it, section III-B.

    Returns
    -------
    str
        ``***`` p < 0.001, ``**`` p < 0.01, ``*`` p < 0.05, ``-`` otherwise; ``n/a`` for NaN (no test was possible).

    Examples
    --------
    >>> stars(0.0004), stars(0.05), stars(float("nan"))
    ('***', '-', 'n/a')
    """
    if np.isnan(p):
        return "n/a"
    return "***" if p < 0.001 else "**" if p < 0.01 else "*" if p < 0.05 else "-"


def with_stars(pairs: pd.DataFrame, correction: Correction) -> pd.DataFrame:
    """Fill in the columns ``p_adjusted`` and ``stars`` from ``p``."""
    pairs["p_adjusted"] = adjust(pairs["p"].to_numpy(), correction)
    pairs["stars"] = [stars(p) for p in pairs["p_adjusted"]]
    return pairs
