"""Intervals that resample patients, where these repeat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.types import AnyArray

NAN = float("nan")
MISSING_RNG = "patients repeat: pass rng for an interval that resamples them"


def repeats(films: pd.DataFrame, patient: str | None) -> bool:
    """Whether a patient has several rows."""
    return patient is not None and bool(films[patient].duplicated().any())


def patient_interval(
    films: pd.DataFrame,
    patient: str,
    statistic: Callable[..., float],
    arrays: tuple[AnyArray, ...],
    confidence: float,
    rng: np.random.Generator | None,
    resamples: int,
) -> tuple[float, float]:
    """Percentile bootstrap interval over patients; NaN without a source of randomness."""
    if rng is None:
        return NAN, NAN
    low, high = cluster_bootstrap(
        statistic, *arrays, rng=rng, groups=films[patient].to_numpy(), resamples=resamples, confidence=confidence
    )
    return low, high
