"""Correlation, with intervals that mind repeated patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats._clustered import MISSING_RNG, patient_interval, repeats
from patchcxr.stats._tables import (
    PATIENT,
    STUDY,
    Clustering,
    check_clustering,
    check_columns,
    check_confidence,
    check_key,
    join_notes,
    numbers,
    patient_column,
    unclustered_note,
)
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.types import AnyArray, FloatArray

NAN = float("nan")
Coefficient = Literal["spearman", "pearson", "kendall"]


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Spearman's correlation ``rho`` with its p-value, interval, and the films used and dropped."""

    rho: float
    p: float
    low: float
    high: float
    n: int
    dropped: int


def rank_correlation(
    a: FloatArray,
    b: FloatArray,
    groups: AnyArray | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> RankCorrelation:
    """Spearman's rank correlation, such as of map-derived with true severity.

    Parameters
    ----------
    a, b
        Values of the same films (N,); a film where either is NaN or infinite is dropped and counted.
    groups
        Patient of each film (N,), for the interval.
    rng
        Source of randomness of the bootstrap; without one the interval is NaN.
    resamples, confidence
        Of the percentile bootstrap over patients.

    Returns
    -------
    RankCorrelation
        NaN with fewer than three films or if either side is constant. The p-value takes films as independent.

    Raises
    ------
    CohortError
        If the arrays differ in length.

    Examples
    --------
    >>> result = rank_correlation([1, 2, 3, 4], [10, 20, 40, 30])
    >>> round(result.rho, 2), result.n
    (0.8, 4)
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise CohortError(f"a has shape {a.shape} and b {b.shape}; expected one value of each per film")
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both], b[both]
    rho, p, low, high = NAN, NAN, NAN, NAN
    if x.size >= 3 and np.ptp(x) > 0 and np.ptp(y) > 0:
        result = stats.spearmanr(x, y)
        rho, p = float(result.statistic), float(result.pvalue)
        if rng is not None:
            patients = None if groups is None else np.asarray(groups)[both]
            low, high = cluster_bootstrap(
                _rho, x, y, rng=rng, groups=patients, resamples=resamples, confidence=confidence
            )
    return RankCorrelation(rho=rho, p=p, low=low, high=high, n=x.size, dropped=a.size - x.size)


def _rho(x: FloatArray, y: FloatArray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return NAN
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])


def correlation(
    table: pd.DataFrame,
    x: str,
    y: str,
    method: Coefficient = "spearman",
    *,
    patient: str | None = PATIENT,
    key: str | None = STUDY,
    clustering: Clustering = "aggregate",
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Correlation of two columns: one tidy table in, one tidy table out.

    Parameters
    ----------
    table
        One row a film; rows that lack either value are dropped and counted.
    x, y
        Names of the columns.
    method
        ``"spearman"``, ``"pearson"`` or ``"kendall"`` (tau-b).
    patient
        Column of the patient; by default ``patient`` if the table has it.
    key
        Column that no two rows may share; by default ``study`` if the table has it.
    clustering
        Where patients repeat: ``"aggregate"`` averages the films of each, ``"bootstrap"`` keeps the films with an
        interval that resamples patients (and no p-value), ``"none"`` takes films as independent.
    confidence
        Coverage of the interval.
    rng, resamples
        Of the percentile bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row: ``method``, ``unit``, ``n``, ``films``, ``patients``, ``dropped``, ``r``, ``low``, ``high``,
        ``interval`` (``"fisher z"`` or ``"patient bootstrap"``), ``p`` (Student's t, or Kendall's exact where it can
        be had), the naive ``r_naive``, ``low_naive``, ``high_naive`` and ``p_naive`` over films, and ``note``.
        Intervals transform with atanh; the variance is 1 / (n - 3) for Pearson, (1 + r^2 / 2) / (n - 3) for Spearman
        and 0.437 / (n - 4) for Kendall (Bonett & Wright 2000). NaN with fewer than three values or a constant column.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, a film has no patient, two rows share a key, or both columns have values
        but never of the same film.
    ConfigError
        If the method, the clustering or the confidence is not usable.

    References
    ----------
    Bonett & Wright 2000, Psychometrika 65(1), 23-28.

    Examples
    --------
    >>> films = pd.DataFrame({"severity": [1, 2, 3, 4, 5, 6], "ctr": [2, 1, 4, 3, 6, 5]})
    >>> correlation(films, "severity", "ctr")[["n", "r", "low", "high"]].round(3)
       n      r    low   high
    0  6  0.829 -0.127  0.986
    """
    if method not in ("spearman", "pearson", "kendall"):
        raise ConfigError(f"method is {method!r}; expected 'spearman', 'pearson' or 'kendall'")
    check_clustering(clustering)
    check_confidence(confidence)
    check_columns(table, [x, y])
    who = patient_column(table, patient)
    check_key(table, key)
    values = pd.DataFrame({"x": numbers(table[x]), "y": numbers(table[y])}, index=table.index)
    kept = values.notna().all(axis=1)
    if not kept.any() and values.notna().any().all():
        raise CohortError(f"no row has both {x!r} and {y!r}; expected paired data, one row a film")
    films, both = table[kept], values[kept]
    naive = _correlate(both, method, confidence)
    found, unit, interval, missing = naive, "film", "fisher z", ""
    used = both
    if who and clustering == "aggregate":
        used = both.groupby(films[who].to_numpy()).mean()
        found, unit = _correlate(used, method, confidence), "patient"
    elif who and clustering == "bootstrap" and repeats(films, who):
        pair = both["x"].to_numpy(), both["y"].to_numpy()
        low, high = patient_interval(
            films, who, lambda a, b: _coefficient(a, b, method)[0], pair, confidence, rng, resamples
        )
        found = {"r": naive["r"], "low": low, "high": high, "p": NAN}
        unit, interval, missing = "patient", "patient bootstrap", MISSING_RNG if rng is None else ""
    row: dict[str, Any] = {"method": method, "unit": unit, "n": len(used), "films": len(both)}
    row |= {"patients": films[who].nunique() if who else NAN, "dropped": len(table) - len(both)}
    row |= {"r": found["r"], "low": found["low"], "high": found["high"], "interval": interval, "p": found["p"]}
    row |= {f"{name}_naive": naive[name] for name in ("r", "low", "high", "p")}
    few = "fewer than three values" if len(used) < 3 else ""
    flat = "a column is constant" if not few and np.isnan(row["r"]) else ""
    perfect = "perfect correlation: the interval has no width" if abs(row["r"]) > 1 - 1e-12 else ""
    row["note"] = join_notes(few, flat, perfect, missing, unclustered_note(table, patient, who))
    return pd.DataFrame([row])


def _correlate(both: pd.DataFrame, method: Coefficient, confidence: float) -> dict[str, float]:
    """Coefficient, p-value and interval by the z-transform (Bonett & Wright 2000)."""
    r, p = _coefficient(both["x"].to_numpy(), both["y"].to_numpy(), method)
    n = len(both)
    variance = {"pearson": 1 / max(n - 3, 0.5), "spearman": (1 + r**2 / 2) / max(n - 3, 0.5)}
    variance["kendall"] = 0.437 / max(n - 4, 0.5)
    low, high = NAN, NAN
    if abs(r) > 1 - 1e-12:
        low, high = r, r
    elif n > (4 if method == "kendall" else 3):
        half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(variance[method])
        low, high = np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)
    return {"r": r, "low": float(low), "high": float(high), "p": p}


def _coefficient(a: FloatArray, b: FloatArray, method: Coefficient) -> tuple[float, float]:
    if a.size < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return NAN, NAN
    function = {"spearman": stats.spearmanr, "pearson": stats.pearsonr, "kendall": stats.kendalltau}[method]
    found = function(a, b)
    return float(found.statistic), float(found.pvalue)
