"""Trend of a biomarker over days within patients: linear mixed models."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from patchcxr.stats._tables import (
    STUDY,
    check_columns,
    check_confidence,
    check_key,
    check_labels,
    join_notes,
    numbers,
)
from patchcxr.types import AnyArray, FloatArray

NAN = float("nan")
FEW_PATIENTS = 5
"""Below this many patients the variance between them is hardly known."""


def trend(
    table: pd.DataFrame,
    value: str,
    days: str,
    patient: str,
    *,
    random_slope: bool = False,
    key: str | None = STUDY,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Change of a value a day, within patients: a linear mixed model with an intercept for each patient.

    Fitted by restricted maximum likelihood (``statsmodels`` ``MixedLM``; ``lme`` of R). The p-value and interval take
    Student's t with films - patients - 1 degrees of freedom, as ``lme`` does, or patients - 1 with random slopes, where
    the patients' slopes are the sample. Values that are missing because a patient got well or died bias any slope.

    Parameters
    ----------
    table
        One row a film; rows that lack the value or the day are dropped and counted.
    value, days, patient
        Names of the columns; days may count from anything, such as the first symptoms.
    random_slope
        Let the slope differ between patients. Without it, patients that truly differ make the interval too narrow.
    key
        Column that no two rows may share; by default ``study`` if the table has it.
    confidence
        Coverage of the interval.

    Returns
    -------
    pandas.DataFrame
        One row: ``model``, ``slope`` (a day), ``se``, ``low``, ``high``, ``t``, ``df``, ``p``, ``intercept`` (at
        day 0), ``sd_patient`` (of intercepts, at the mean day), ``sd_slope``, ``sd_residual``, ``patients``, ``films``,
        ``repeated`` (patients with films on several days), ``dropped``, ``converged`` and ``note``. All is NaN if no
        patient has films on two days, the values are constant, or no degree of freedom is left; singular fits are
        noted.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, a row has no patient, or two rows share a key.
    ConfigError
        If the confidence is outside (0, 1).

    Examples
    --------
    >>> films = pd.DataFrame({"patient": np.repeat(list("abcdef"), 4), "day": [0, 3, 6, 9] * 6})
    >>> noise = np.random.default_rng(0).normal(0, 0.02, 24)
    >>> films["ctr"] = 0.02 * films["day"] + np.repeat([0.1, 0.5, 0.3, 0.8, 0.2, 0.6], 4) + noise
    >>> trend(films, "ctr", "day", "patient")[["slope", "patients", "films", "converged"]].round(3)
       slope  patients  films  converged
    0  0.022         6     24       True
    """
    check_columns(table, [value, days, patient])
    check_labels(table, patient)
    check_confidence(confidence)
    check_key(table, key)
    y, x = numbers(table[value]), numbers(table[days])
    kept = ~np.isnan(y) & ~np.isnan(x)
    y, x, who = y[kept], x[kept], table[patient].to_numpy()[kept]
    patients = int(np.unique(who).size)
    repeated = int((pd.Series(x).groupby(who).nunique() > 1).sum())
    df = patients - 1 if random_slope else y.size - patients - 1
    row: dict[str, Any] = {"model": "random slope" if random_slope else "random intercept"}
    row |= dict.fromkeys(["slope", "se", "low", "high", "t"], NAN) | {"df": max(df, 0), "p": NAN}
    row |= dict.fromkeys(["intercept", "sd_patient", "sd_slope", "sd_residual"], NAN)
    row |= {"patients": patients, "films": y.size, "repeated": repeated, "dropped": int(np.count_nonzero(~kept))}
    reason = ""
    if repeated == 0:
        reason = "no patient has films on two days"
    elif np.ptp(y) == 0:
        reason = "all values are equal"
    elif patients < 2:
        reason = "one patient: use a plain regression"
    elif df < 1:
        reason = "too few films for a slope and its error"
    elif random_slope and repeated < 3:
        reason = f"{repeated} patients with films on several days are too few for random slopes"
    if reason:
        return pd.DataFrame([row | {"converged": False, "note": reason}])
    fit, converged, singular = _fit(y, x, who, random_slope)
    row |= fit
    if fit["se"] > 0:
        half = stats.t.ppf(0.5 + confidence / 2, df) * fit["se"]
        row |= {"low": fit["slope"] - half, "high": fit["slope"] + half, "t": fit["slope"] / fit["se"]}
        row["p"] = float(2 * stats.t.sf(abs(row["t"]), df))
    note = join_notes(
        "" if converged else "the fit did not converge",
        "singular: a variance between patients is about 0" if singular else "",
        f"{patients} patients are few" if patients < FEW_PATIENTS else "",
    )
    return pd.DataFrame([row | {"converged": converged, "note": note}])


def _fit(y: FloatArray, x: FloatArray, who: AnyArray, random_slope: bool) -> tuple[dict[str, float], bool, bool]:
    """Fit on standardised values, which converges where days and values differ by orders of magnitude."""
    centre, day_scale, scale = x.mean(), x.std(), y.std()
    design = np.column_stack([np.ones_like(x), (x - centre) / day_scale])
    response = (y - y.mean()) / scale
    random = design if random_slope else design[:, :1]
    with warnings.catch_warnings():
        # singular fits and those that did not converge are noted in the table
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="Random effects covariance is singular", category=UserWarning)
        try:
            found = MixedLM(response, design, groups=who, exog_re=random).fit(reml=True)
            fixed, covariance = found.fe_params, found.cov_params()[:2, :2]
            between, residual, converged = np.asarray(found.cov_re), float(found.scale), bool(found.converged)
        except np.linalg.LinAlgError:
            nothing = ["slope", "se", "intercept", "sd_patient", "sd_slope", "sd_residual"]
            return dict.fromkeys(nothing, NAN), False, True
    variance = float(covariance[1, 1])
    singular = bool(np.linalg.eigvalsh(between).min() < 1e-6 * residual)
    slope = float(fixed[1]) * scale / day_scale
    return (
        {
            "slope": slope,
            "se": float(np.sqrt(variance)) * scale / day_scale if variance > 0 else NAN,
            "intercept": y.mean() + float(fixed[0]) * scale - slope * centre,
            "sd_patient": float(np.sqrt(max(between[0, 0], 0))) * scale,
            "sd_slope": float(np.sqrt(max(between[1, 1], 0))) * scale / day_scale if random_slope else NAN,
            "sd_residual": float(np.sqrt(residual)) * scale,
        },
        converged,
        singular,
    )
