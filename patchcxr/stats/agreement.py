"""Agreement of readers on categories: Cohen's and Fleiss' kappa.

For measured values see :mod:`patchcxr.stats.reliability`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from patchcxr.errors import ConfigError, LabelError
from patchcxr.stats._clustered import MISSING_RNG, patient_interval, repeats
from patchcxr.stats._tables import (
    PATIENT,
    STUDY,
    check_columns,
    check_confidence,
    check_key,
    join_notes,
    patient_column,
    unclustered_note,
)
from patchcxr.types import FloatArray, IntArray

NAN = float("nan")
Weights = Literal["none", "linear", "quadratic"]


def cohen_kappa(
    table: pd.DataFrame,
    a: str,
    b: str,
    weights: Weights = "none",
    order: Sequence[Any] | None = None,
    *,
    patient: str | None = PATIENT,
    key: str | None = STUDY,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Cohen's kappa of two readers who put the same films into categories.

    Parameters
    ----------
    table
        One row a film; rows that lack either reading are dropped and counted.
    a, b
        Columns of the two readers.
    weights
        ``"none"``, or ``"linear"`` (Cicchetti-Allison) or ``"quadratic"`` (Fleiss-Cohen) by the distance of categories
        in the order.
    order
        All categories from low to high; by default those that occur, sorted. Give it for weighted kappa where a
        category may not occur.
    patient
        Column of the patient; by default ``patient`` if the table has it.
    key
        Column that no two rows may share; by default ``study`` if the table has it.
    confidence
        Coverage of the interval.
    rng, resamples
        Of the percentile bootstrap over patients, used if patients repeat.

    Returns
    -------
    pandas.DataFrame
        One row: ``weights``, ``n``, ``patients``, ``dropped``, ``agreement`` (weighted), ``expected`` (by chance),
        ``kappa``, ``se`` (large-sample, Fleiss, Cohen & Everitt 1969), ``low``, ``high`` (cut at -1 and 1),
        ``interval`` (``"asymptotic"`` or ``"patient bootstrap"``), ``p`` (two-sided, kappa 0, films independent) and
        ``note``. Kappa is NaN if both readers use one and the same category throughout.

    Raises
    ------
    CohortError
        If a column is missing, a film has no patient, or two rows share a key.
    LabelError
        If a reading is not in ``order``.
    ConfigError
        If the weights or the confidence are not usable.

    Examples
    --------
    >>> films = pd.DataFrame({"first": [0, 0, 1, 1, 1, 0], "second": [0, 0, 1, 1, 0, 0]})
    >>> cohen_kappa(films, "first", "second")[["n", "agreement", "kappa"]].round(3)
       n  agreement  kappa
    0  6      0.833  0.667
    """
    if weights not in ("none", "linear", "quadratic"):
        raise ConfigError(f"weights is {weights!r}; expected 'none', 'linear' or 'quadratic'")
    check_columns(table, [a, b])
    check_confidence(confidence)
    who = patient_column(table, patient)
    check_key(table, key)
    films = table[table[[a, b]].notna().all(axis=1)]
    first, second, size = _codes(films, a, b, order)
    weight = _agreement_weights(size, weights)
    agreement, expected, kappa, se, null_se = _kappa(first, second, weight)
    row: dict[str, Any] = {"weights": weights, "n": len(films), "patients": films[who].nunique() if who else NAN}
    row |= {"dropped": len(table) - len(films), "agreement": agreement, "expected": expected, "kappa": kappa, "se": se}
    half = stats.norm.ppf(0.5 + confidence / 2) * se
    low, high = np.clip([kappa - half, kappa + half], -1, 1)
    clustered = repeats(films, who)
    if who and clustered:
        low, high = patient_interval(
            films, who, lambda r, c: _kappa(r, c, weight)[2], (first, second), confidence, rng, resamples
        )
    row |= {"low": low, "high": high, "interval": "patient bootstrap" if clustered else "asymptotic"}
    row["p"] = float(2 * stats.norm.sf(abs(kappa / null_se))) if null_se > 0 else NAN
    undefined = "no film has both readings" if films.empty else "one category throughout" if np.isnan(kappa) else ""
    flat = "no disagreement: the interval has no width" if kappa == 1 and se < 1e-12 else ""
    missing = MISSING_RNG if clustered and rng is None else ""
    row["note"] = join_notes(undefined, flat, missing, unclustered_note(table, patient, who))
    return pd.DataFrame([row])


def fleiss_kappa(table: pd.DataFrame, readers: Sequence[str], confidence: float = 0.95) -> pd.DataFrame:
    """Fleiss' kappa of two or more readers who put the same films into unordered categories (Fleiss 1971).

    The readers may differ from film to film. Films are taken as independent.

    Parameters
    ----------
    table
        One row a film; films that lack a reading are dropped and counted.
    readers
        Columns of the readings.
    confidence
        Coverage of the interval.

    Returns
    -------
    pandas.DataFrame
        One row: ``readers``, ``categories``, ``n``, ``dropped``, ``agreement``, ``expected``, ``kappa``, ``se``,
        ``low``, ``high`` (from the variation between films, Gwet 2021, cut at -1 and 1), ``z`` and ``p`` (kappa 0,
        Fleiss, Nee & Landis 1979) and ``note``. Kappa is NaN without films or with one category throughout.

    Raises
    ------
    CohortError
        If a column is missing.
    ConfigError
        If there are fewer than two readers, or the confidence is outside (0, 1).

    References
    ----------
    Gwet 2021, Educational and Psychological Measurement 81(4), 781-790.
    """
    if len(readers) < 2 or len(set(readers)) != len(readers):
        raise ConfigError(f"readers is {list(readers)}; expected two or more different columns")
    check_columns(table, readers)
    check_confidence(confidence)
    films = table[list(readers)].dropna()
    codes, names = pd.factorize(films.to_numpy().ravel())
    n, k = len(films), len(readers)
    row: dict[str, Any] = {"readers": k, "categories": len(names), "n": n, "dropped": len(table) - n}
    row |= dict.fromkeys(["agreement", "expected", "kappa", "se", "low", "high", "z", "p"], NAN)
    if n == 0 or len(names) < 2:
        return pd.DataFrame([row | {"note": "no film has all readings" if n == 0 else "one category throughout"}])
    counts = np.stack([np.bincount(one, minlength=len(names)) for one in codes.reshape(n, k)])
    share = counts.sum(axis=0) / (n * k)
    each = (counts * (counts - 1)).sum(axis=1) / (k * (k - 1))
    agreement, expected = float(each.mean()), float((share**2).sum())
    kappa = (agreement - expected) / (1 - expected)
    linear = (each - expected) / (1 - expected) - 2 * (1 - kappa) * (counts @ share / k - expected) / (1 - expected)
    se = float(np.sqrt(((linear - kappa) ** 2).sum() / (n * (n - 1)))) if n > 1 else NAN
    spread = (share * (1 - share)).sum()
    null = 2 * (spread**2 - (share * (1 - share) * (1 - 2 * share)).sum()) / (n * k * (k - 1) * spread**2)
    z = float(kappa / np.sqrt(null))
    half = stats.norm.ppf(0.5 + confidence / 2) * se
    low, high = np.clip([kappa - half, kappa + half], -1, 1)
    row |= {"agreement": agreement, "expected": expected, "kappa": float(kappa), "se": se, "low": low, "high": high}
    note = "one film: no interval" if n == 1 else "films are few: the interval is too narrow" if n < 20 else ""
    return pd.DataFrame([row | {"z": z, "p": float(2 * stats.norm.sf(abs(z))), "note": note}])


def _codes(films: pd.DataFrame, a: str, b: str, order: Sequence[Any] | None) -> tuple[IntArray, IntArray, int]:
    pooled = pd.concat([films[a], films[b]], ignore_index=True)
    names = list(order) if order is not None else sorted(pooled.unique())
    unknown = [name for name in pooled.unique() if name not in names]
    if unknown:
        raise LabelError(f"readings {unknown} are not in the order {names}; name every category")
    codes = pooled.map({name: code for code, name in enumerate(names)}).to_numpy(dtype=np.int64)
    return codes[: len(films)], codes[len(films) :], len(names)


def _kappa(first: IntArray, second: IntArray, weight: FloatArray) -> tuple[float, float, float, float, float]:
    """Agreement, chance agreement, kappa, its standard error, and that under kappa 0 (Fleiss, Cohen & Everitt 1969)."""
    n, size = first.size, len(weight)
    if n == 0:
        return NAN, NAN, NAN, NAN, NAN
    p = np.bincount(first * size + second, minlength=size * size).reshape(size, size) / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    chance = np.outer(rows, columns)
    agreement, expected = float((weight * p).sum()), float((weight * chance).sum())
    if expected > 1 - 1e-12:
        return agreement, expected, NAN, NAN, NAN
    kappa = (agreement - expected) / (1 - expected)
    margins = (weight @ columns)[:, None] + (weight.T @ rows)[None, :]
    variance = (p * (weight - margins * (1 - kappa)) ** 2).sum() - (kappa - expected * (1 - kappa)) ** 2
    null = (chance * (weight - margins) ** 2).sum() - expected**2
    scale = np.sqrt(n) * (1 - expected)
    return agreement, expected, kappa, float(np.sqrt(max(variance, 0)) / scale), float(np.sqrt(max(null, 0)) / scale)


def _agreement_weights(size: int, weights: Weights) -> FloatArray:
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / max(size - 1, 1)
    return {"none": np.eye(size), "linear": 1 - distance, "quadratic": 1 - distance**2}[weights]
