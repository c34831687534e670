"""Agreement of measured values: intraclass correlation, and Bland-Altman's limits.

For categories see :mod:`patchcxr.stats.agreement`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from patchcxr.errors import CohortError
from patchcxr.stats._clustered import MISSING_RNG
from patchcxr.stats._tables import (
    PATIENT,
    STUDY,
    check_columns,
    check_confidence,
    check_key,
    check_labels,
    join_notes,
    numbers,
    patient_column,
    unclustered_note,
)
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.types import FloatArray, IntArray

NAN = float("nan")


def icc(table: pd.DataFrame, subject: str, rater: str, value: str, confidence: float = 0.95) -> pd.DataFrame:
    """Intraclass correlations of ratings of the same subjects by the same raters (Shrout & Fleiss 1979).

    Parameters
    ----------
    table
        One row a subject and rater.
    subject, rater, value
        Names of the columns. Subjects without a finite value from every rater are dropped and counted.
    confidence
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        Six rows: ``type`` (``"ICC(1,1)"`` each subject has other raters; ``"ICC(2,1)"`` random raters, absolute
        agreement; ``"ICC(3,1)"`` these raters, consistency; and of the mean of the k raters ``"ICC(1,k)"`` to
        ``"ICC(3,k)"``), ``icc``, ``low``, ``high``, ``f``, ``df1``, ``df2``, ``p``, ``subjects``, ``raters``,
        ``dropped`` (subjects) and ``note``. NaN with fewer than two subjects or raters, or without any spread.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, a row has no subject or rater, or a rater rated a subject twice.
    ConfigError
        If the confidence is outside (0, 1).

    References
    ----------
    Shrout & Fleiss 1979, Psychological Bulletin 86(2), 420-428; the interval of ICC(2, .) after McGraw & Wong 1996.
    """
    check_columns(table, [subject, rater, value])
    check_labels(table, subject)
    check_labels(table, rater)
    check_confidence(confidence)
    twice = int(table.duplicated([subject, rater]).sum())
    if twice:
        raise CohortError(
            f"{twice} rows repeat a pair of {subject} and {rater}; expected one value a pair: "
            "average or drop the repeats"
        )
    wide = table.assign(**{value: numbers(table[value])}).pivot(index=subject, columns=rater, values=value)
    complete = wide.dropna()
    x = complete.to_numpy()
    n, k = x.shape
    shared = {"subjects": n, "raters": k, "dropped": len(wide) - n}
    names = ["ICC(1,1)", "ICC(2,1)", "ICC(3,1)", "ICC(1,k)", "ICC(2,k)", "ICC(3,k)"]
    if n < 2 or k < 2 or np.ptp(x) == 0:
        note = "all values are equal" if n > 1 and k > 1 else f"{n} complete subjects and {k} raters are too few"
        return pd.DataFrame([_icc_row(name, (NAN, NAN, NAN), NAN, 0, 0) | shared | {"note": note} for name in names])
    rows = _icc_rows(x, confidence)
    flat = "the raters agree fully: an interval has no width or is undefined"
    return pd.DataFrame([row | shared | {"note": flat if np.isinf(row["f"]) else ""} for row in rows])


def bland_altman(
    table: pd.DataFrame,
    a: str,
    b: str,
    *,
    patient: str | None = PATIENT,
    key: str | None = STUDY,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Bias and 95 % limits of agreement of two measurements of the same films (Bland & Altman 1986, 1999).

    Where patients repeat, the standard deviation adds the variance between and within patients (Bland & Altman 2007,
    true value varying), and the intervals resample patients.

    Parameters
    ----------
    table
        One row a film; rows that lack either value are dropped and counted.
    a, b
        Columns of the two measurements; differences are a - b.
    patient
        Column of the patient; by default ``patient`` if the table has it.
    key
        Column that no two rows may share; by default ``study`` if the table has it.
    confidence
        Coverage of the intervals.
    rng, resamples
        Of the percentile bootstrap over patients, used if patients repeat; without a source these intervals are NaN.

    Returns
    -------
    pandas.DataFrame
        One row: ``n``, ``patients``, ``dropped``, ``bias``, ``bias_low``, ``bias_high``, ``sd``, ``lower`` and
        ``upper`` (limits, bias -+ 1.96 sd) with their ``_low`` and ``_high``, ``interval`` (``"t"``,
        ``"patient bootstrap"`` or ``"none"``), ``slope_p`` (Pearson correlation of
        difference and mean: does the difference grow with size?) and ``note``. NaN with fewer than two films.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, a film has no patient, two rows share a key, or both columns have values
        but never of the same film: such data are not paired.
    ConfigError
        If the confidence is outside (0, 1).
    """
    check_columns(table, [a, b])
    check_confidence(confidence)
    who = patient_column(table, patient)
    check_key(table, key)
    x, y = numbers(table[a]), numbers(table[b])
    kept = ~np.isnan(x) & ~np.isnan(y)
    if not kept.any() and not np.isnan(x).all() and not np.isnan(y).all():
        raise CohortError(f"no row has both {a!r} and {b!r}; expected paired data, one row a film")
    films, d, centre = table[kept], (x - y)[kept], ((x + y) / 2)[kept]
    n = d.size
    patients = np.arange(n) if who is None else np.unique(films[who].to_numpy(), return_inverse=True)[1]
    parts = _by_patient(d, patients)
    bias, lower, upper, sd = _limits(*parts)
    row: dict[str, Any] = {"n": n, "patients": films[who].nunique() if who else NAN, "dropped": len(table) - n}
    row |= {"bias": bias, "bias_low": NAN, "bias_high": NAN, "sd": sd}
    row |= {"lower": lower, "lower_low": NAN, "lower_high": NAN, "upper": upper, "upper_low": NAN, "upper_high": NAN}
    row |= {"interval": "none", "slope_p": NAN}
    if n > 2 and np.ptp(d) > 0 and np.ptp(centre) > 0:
        row["slope_p"] = float(stats.pearsonr(d, centre).pvalue)
    note = "fewer than two films" if n < 2 else "every difference is equal" if np.ptp(d) == 0 else ""
    if n > parts[0].size:
        row["interval"] = "patient bootstrap" if rng is not None else "none"
        if rng is not None:
            for index, name in enumerate(("bias", "lower", "upper")):
                row[f"{name}_low"], row[f"{name}_high"] = cluster_bootstrap(
                    lambda *drawn, at=index: _limits(*drawn)[at],
                    *parts,
                    rng=rng,
                    resamples=resamples,
                    confidence=confidence,
                )
        repeated = "limits add the variance between and within patients"
        note = join_notes(note, repeated, MISSING_RNG if rng is None else "")
    elif n > 1:
        t = stats.t.ppf(0.5 + confidence / 2, n - 1)
        of_bias, of_limit = sd / np.sqrt(n), sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
        for name, at, error in (("bias", bias, of_bias), ("lower", lower, of_limit), ("upper", upper, of_limit)):
            row |= {f"{name}_low": float(at - t * error), f"{name}_high": float(at + t * error)}
        row["interval"] = "t"
    row["note"] = join_notes(note, unclustered_note(table, patient, who))
    return pd.DataFrame([row])


def _icc_row(name: str, found: tuple[float, float, float], f: float, df1: float, df2: float) -> dict[str, Any]:
    p = float(stats.f.sf(f, df1, df2)) if not np.isnan(f) else NAN
    values = dict(zip(("icc", "low", "high"), found, strict=True))
    return {"type": name} | values | {"f": f, "df1": df1, "df2": df2, "p": p}


def _icc_rows(x: FloatArray, confidence: float) -> list[dict[str, Any]]:
    """Six intraclass correlations of a complete table (subjects, raters) (Shrout & Fleiss 1979)."""
    n, k = x.shape
    of_subjects, of_raters = x.mean(axis=1), x.mean(axis=0)
    between = k * of_subjects.var(ddof=1)
    within = ((x - of_subjects[:, None]) ** 2).sum() / (n * (k - 1))
    raters = n * of_raters.var(ddof=1)
    residual = ((x - of_subjects[:, None] - of_raters + x.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    residual = 0.0 if residual < 1e-12 * x.var() else float(residual)
    within = 0.0 if within < 1e-12 * x.var() else float(within)
    level, df, df_within, df_residual = 0.5 + confidence / 2, n - 1, n * (k - 1), (n - 1) * (k - 1)
    rows = []
    for kind, noise, df2 in ((1, within, df_within), (3, residual, df_residual)):
        f = between / noise if noise else float("inf")
        ends = f / stats.f.ppf(level, df, df2), f * stats.f.ppf(level, df2, df)
        estimate, low, high = (float(1 - k / (end + k - 1)) for end in (f, *ends))
        rows.append(_icc_row(f"ICC({kind},1)", (estimate, low, high), float(f), df, df2))
        rows.append(_icc_row(f"ICC({kind},k)", _of_mean(f, *ends), float(f), df, df2))
    f = rows[2]["f"]
    spread = between + (k - 1) * residual + k * (raters - residual) / n
    single_2 = (between - residual) / spread
    mean_2 = (between - residual) / (between + (raters - residual) / n)
    low, high = NAN, NAN
    if residual:
        ratio = raters / residual
        inner = n * (1 + (k - 1) * single_2) - k * single_2
        df_2 = df_residual * (k * single_2 * ratio + inner) ** 2 / (df * (k * single_2 * ratio) ** 2 + inner**2)
        upper, lower = stats.f.ppf(level, df, df_2), stats.f.ppf(level, df_2, df)
        noise = k * raters + (k * n - k - n) * residual
        low = float(n * (between - upper * residual) / (upper * noise + n * between))
        high = float(n * (lower * between - residual) / (noise + n * lower * between))
    means = [float(end * k / (1 + end * (k - 1))) for end in (low, high)]
    two = [
        _icc_row("ICC(2,1)", (float(single_2), low, high), f, df, df_residual),
        _icc_row("ICC(2,k)", (float(mean_2), means[0], means[1]), f, df, df_residual),
    ]
    return [rows[0], two[0], rows[2], rows[1], two[1], rows[3]]


def _of_mean(*ratios: float) -> tuple[float, float, float]:
    """Reliability of the mean of the raters, 1 - 1 / F, for the estimate and both ends."""
    estimate, low, high = (1 - 1 / ratio if ratio > 0 else -float("inf") for ratio in ratios)
    return float(estimate), float(low), float(high)


def _by_patient(d: FloatArray, patients: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Films, mean and sum of squares about it of each patient."""
    films = np.bincount(patients).astype(np.float64)
    means: FloatArray = np.bincount(patients, weights=d) / films
    squares: FloatArray = np.bincount(patients, weights=(d - means[patients]) ** 2).astype(np.float64)
    return films, means, squares


def _limits(films: FloatArray, means: FloatArray, squares: FloatArray) -> tuple[float, float, float, float]:
    """Bias, limits of agreement and standard deviation of one difference (Bland & Altman 2007, section 3)."""
    n, patients = films.sum(), films.size
    if n == 0:
        return NAN, NAN, NAN, NAN
    bias = float((films * means).sum() / n)
    if patients < 2:
        return bias, NAN, NAN, NAN
    within = squares.sum() / (n - patients) if n > patients else 0.0
    between = (films * (means - bias) ** 2).sum() / (patients - 1)
    typical = (n - (films**2).sum() / n) / (patients - 1)  # films a patient
    sd = float(np.sqrt(max(0.0, (between - within) / typical) + within))
    return bias, bias - 1.96 * sd, bias + 1.96 * sd, sd
