"""Tests between two columns of categories: chi-square, Fisher, Cramer's V and odds ratios."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, stats

from patchcxr.errors import CohortError, ConfigError
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
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.stats.permutation import permute
from patchcxr.types import AnyArray, FloatArray, IntArray

NAN = float("nan")


class Effect(NamedTuple):
    """An effect size with its confidence interval."""

    estimate: float
    low: float
    high: float


def cramers_v(counts: AnyArray, confidence: float = 0.95) -> Effect:
    """Cramer's V of a table of counts, in [0, 1], with the interval of the noncentral chi-square.

    V = sqrt(chi-square / (n (min(rows, columns) - 1))) without Yates' correction; its interval inverts the noncentral
    distribution of the statistic (Smithson 2003, chapter 4), and is cautious for large effects. V is biased
    upwards in small samples.

    Returns
    -------
    Effect
        NaN with fewer than two filled rows or columns.

    Raises
    ------
    CohortError
        If the counts are no table of whole numbers.
    ConfigError
        If the confidence is outside (0, 1).

    Examples
    --------
    >>> effect = cramers_v([[25, 15], [10, 30]])
    >>> round(effect.estimate, 3), round(effect.low, 3), round(effect.high, 3)
    (0.378, 0.159, 0.597)
    """
    check_confidence(confidence)
    counts = _filled(_table(counts))
    if min(counts.shape) < 2:
        return Effect(NAN, NAN, NAN)
    statistic, df, _ = _chi_square(counts)
    scale = counts.sum() * (min(counts.shape) - 1)

    def noncentrality(level: float) -> float:
        if stats.chi2.cdf(statistic, df) <= level:
            return 0.0
        top = statistic + 10 * np.sqrt(statistic + df) + 50
        return float(optimize.brentq(lambda nc: stats.ncx2.cdf(statistic, df, nc) - level, 1e-12, top))

    low, high = noncentrality(0.5 + confidence / 2), noncentrality(0.5 - confidence / 2)
    return Effect(*(float(min(1.0, np.sqrt(chi / scale))) for chi in (statistic, low, high)))


def odds_ratio(counts: AnyArray, kind: str = "sample", confidence: float = 0.95) -> Effect:
    """Odds ratio of a 2x2 table of counts: odds of the first column in the first row over those in the second.

    Parameters
    ----------
    counts
        (2, 2), whole numbers.
    kind
        ``"sample"``: ad / bc with Woolf's interval, undefined with a zero (a limit 0 or infinite); ``"conditional"``:
        the estimate and exact interval that go with Fisher's test (``fisher.test`` of R).
    confidence
        Coverage in (0, 1).

    Returns
    -------
    Effect
        In [0, inf]. NaN if a row or column is empty.

    Raises
    ------
    CohortError
        If the counts are no 2x2 table of whole numbers.
    ConfigError
        If the kind or the confidence is not usable.

    Examples
    --------
    >>> odds_ratio([[25, 15], [10, 30]]).estimate
    5.0
    """
    check_confidence(confidence)
    if kind not in ("sample", "conditional"):
        raise ConfigError(f"kind is {kind!r}; expected 'sample' or 'conditional'")
    counts = _table(counts)
    if counts.shape != (2, 2):
        raise CohortError(f"counts has shape {counts.shape}; an odds ratio needs a 2x2 table")
    if _filled(counts).shape != (2, 2):
        return Effect(NAN, NAN, NAN)
    if kind == "sample" and (counts == 0).any():
        return Effect(_sample_odds_ratio(counts), NAN, NAN)
    found = stats.contingency.odds_ratio(counts, kind=kind)
    interval = found.confidence_interval(confidence)
    return Effect(float(found.statistic), float(interval.low), float(interval.high))


def fisher(counts: AnyArray, rng: np.random.Generator | None = None, resamples: int = 9999) -> tuple[float, str]:
    """Fisher's exact test of a table of counts.

    2x2 tables are tested exactly. Larger ones by Monte Carlo over tables with the same margins: p =
    (k + 1) / (resamples + 1) with k at most as probable as the data (``simulate.p.value`` of R's ``fisher.test``).

    Returns
    -------
    tuple of float and str
        The two-sided p-value, and ``"exact"``, ``"monte carlo"`` or ``"none"`` (a margin with one class, or no ``rng``
        for a larger table, where p is NaN).

    Raises
    ------
    CohortError
        If the counts are no table of whole numbers.
    ConfigError
        If the number of resamples is below 1.

    Examples
    --------
    >>> p, how = fisher([[3, 1], [1, 3]])
    >>> round(p, 4), how
    (0.4857, 'exact')
    """
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}; expected at least 1")
    counts = _filled(_table(counts))
    if min(counts.shape) < 2:
        return NAN, "none"
    if counts.shape == (2, 2):
        return float(stats.fisher_exact(counts).pvalue), "exact"
    if rng is None:
        return NAN, "none"
    null = stats.random_table(counts.sum(axis=1), counts.sum(axis=0))
    observed = null.logpmf(counts)
    drawn = null.rvs(size=resamples, random_state=rng)
    extreme = int(np.count_nonzero(null.logpmf(drawn) <= observed + 1e-7))
    return (extreme + 1) / (resamples + 1), "monte carlo"


def compare_categories(
    table: pd.DataFrame,
    row: str,
    column: str,
    *,
    patient: str | None = PATIENT,
    key: str | None = STUDY,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    resamples: int = 9999,
) -> pd.DataFrame:
    """Test whether two columns of categories, such as class and finding, are independent.

    Where patients repeat, the first line of the result is a permutation test that exchanges the category of whole
    patients, and intervals resample patients; the tests over films stand below it. This needs one of the two columns
    to be the same on all films of a patient.

    Parameters
    ----------
    table
        One row a film; rows that lack either category are dropped and counted.
    row, column
        Names of the two columns.
    patient
        Column of the patient; by default ``patient`` if the table has it. None takes films as independent.
    key
        Column that no two rows may share; by default ``study`` if the table has it.
    confidence
        Coverage of the intervals.
    rng
        Source of randomness of Monte Carlo and bootstrap; without one these are NaN, and the note says so.
    resamples
        Of the Monte Carlo tests; at most 2,000 for the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One line a test: ``test`` (``"patient permutation"`` where patients repeat, ``"chi-square"``,
        ``"chi-square (Yates)"`` for 2x2, ``"fisher"``), ``unit``, ``method``, ``statistic``, ``df``, ``p``, ``n``
        (films), ``patients``, ``dropped``, ``least_expected`` (smallest expected count), ``cramers_v`` with ``_low``
        and ``_high``, ``odds_ratio`` with ``_low`` and ``_high`` (2x2: of the first category of each column, sorted;
        conditional in the line of Fisher; the bootstrap adds half a film to each cell) and ``note``.

    Raises
    ------
    CohortError
        If a column is missing, a film has no patient, or two rows share a key.
    ConfigError
        If the confidence or the number of resamples is not usable.

    Examples
    --------
    >>> films = pd.DataFrame({"label": ["a"] * 40 + ["b"] * 40, "opacity": [1] * 25 + [0] * 15 + [1] * 10 + [0] * 30})
    >>> compare_categories(films, "label", "opacity")[["test", "statistic", "p", "n"]].round(4)
                     test  statistic       p   n
    0          chi-square    11.4286  0.0007  80
    1  chi-square (Yates)     9.9556  0.0016  80
    2              fisher        NaN  0.0014  80
    """
    check_columns(table, [row, column])
    check_confidence(confidence)
    who = patient_column(table, patient)
    check_key(table, key)
    complete = table[[row, column]].notna().all(axis=1)
    films = table[complete]
    rows, _ = pd.factorize(films[row], sort=True)
    columns, _ = pd.factorize(films[column], sort=True)
    counts = _count(rows, columns)
    repeats = who is not None and bool(films[who].duplicated().any())
    shared: dict[str, Any] = {
        "n": len(films),
        "patients": films[who].nunique() if who else NAN,
        "dropped": len(table) - len(films),
        "least_expected": float(_expected(counts).min()) if counts.size else NAN,
    }
    degenerate = "a column has fewer than two categories" if min(counts.shape) < 2 else ""
    basis = join_notes(
        degenerate,
        "films of one patient taken as independent" if repeats else "",
        unclustered_note(table, patient, who),
    )
    lines = []
    if repeats:
        patients = films[who].to_numpy()
        lines.append(_by_patient(rows, columns, patients, confidence, rng, resamples) | shared)
    few = "expected counts below 5: prefer fisher" if counts.size and shared["least_expected"] < 5 else ""
    v = dict(zip(("cramers_v", "cramers_v_low", "cramers_v_high"), cramers_v(counts, confidence), strict=True))
    for yates in [False, True] if counts.shape == (2, 2) else [False]:
        statistic, df, p = (NAN, 0, NAN) if degenerate else _chi_square(counts, yates)
        line = {"test": "chi-square (Yates)" if yates else "chi-square", "statistic": statistic, "df": df, "p": p}
        line |= {"method": "none" if degenerate else "asymptotic", "note": join_notes(basis, few)}
        lines.append(line | shared | v | _odds(counts, "sample", confidence))
    p, how = fisher(counts, rng, resamples)
    missing = "pass rng for Monte Carlo" if how == "none" and not degenerate else ""
    line = {"test": "fisher", "statistic": NAN, "df": NAN, "p": p, "method": how, "note": join_notes(basis, missing)}
    lines.append(line | shared | v | _odds(counts, "conditional", confidence))
    result = pd.DataFrame([{"unit": "film"} | line for line in lines])
    order = ["test", "unit", "method", "statistic", "df", "p", *shared, *v, *_odds(counts, "sample", confidence)]
    return result[[*order, "note"]]


def _by_patient(
    rows: IntArray,
    columns: IntArray,
    patients: AnyArray,
    confidence: float,
    rng: np.random.Generator | None,
    resamples: int,
) -> dict[str, Any]:
    """Permutation of whole patients, with intervals that resample them."""
    line: dict[str, Any] = {"test": "patient permutation", "unit": "patient", "method": "none", "df": NAN, "p": NAN}
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    counts = _count(rows, columns)
    degenerate = min(shape) < 2
    line["statistic"] = NAN if degenerate else _chi_square(counts)[0]
    v, odds = cramers_v(counts).estimate, _sample_odds_ratio(counts) if shape == (2, 2) else NAN
    line |= {"cramers_v": v, "cramers_v_low": NAN, "cramers_v_high": NAN}
    line |= {"odds_ratio": odds, "odds_ratio_low": NAN, "odds_ratio_high": NAN, "note": ""}
    fixed = [labels for labels in (rows, columns) if _constant_within(labels, patients)]
    if degenerate:
        return line | {"note": "a column has fewer than two categories"}
    if rng is None:
        return line | {"note": "patients repeat: pass rng for the permutation and the bootstrap"}
    for name, effect in (("cramers_v", _v), ("odds_ratio", _smoothed_odds_ratio)):
        if name == "odds_ratio" and shape != (2, 2):
            continue
        line[f"{name}_low"], line[f"{name}_high"] = cluster_bootstrap(
            lambda r, c, effect=effect: effect(_count(r, c, shape)),
            rows,
            columns,
            rng=rng,
            groups=patients,
            resamples=min(resamples, 2000),
            confidence=confidence,
        )
    if not fixed:
        return line | {"note": "both columns vary within patients: no permutation of whole patients"}
    moved = columns if fixed[0] is rows else rows
    found = permute(
        moved,
        fixed[0],
        patients,
        lambda *parts: _chi_square(np.stack([np.bincount(part, minlength=moved.max() + 1) for part in parts]))[0],
        alternative="greater",
        rng=rng,
        resamples=resamples,
    )
    return line | {"p": found.p, "method": found.method}


def _table(counts: AnyArray) -> IntArray:
    counts = np.asarray(counts)
    if counts.ndim != 2 or not np.isfinite(counts.astype(np.float64)).all() or (counts < 0).any():
        raise CohortError(f"counts has shape {counts.shape}; expected a table of counts, none negative or NaN")
    whole = np.rint(counts).astype(np.int64)
    if (whole != counts).any():
        raise CohortError("counts holds fractions; expected whole numbers of films, not shares")
    return whole


def _filled(counts: IntArray) -> IntArray:
    return counts[counts.any(axis=1)][:, counts.any(axis=0)]


def _count(rows: IntArray, columns: IntArray, shape: tuple[int, int] | None = None) -> IntArray:
    if shape is None:
        shape = (int(rows.max(initial=-1)) + 1, int(columns.max(initial=-1)) + 1)
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def _expected(counts: IntArray) -> FloatArray:
    return np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()


def _chi_square(counts: IntArray, yates: bool = False) -> tuple[float, int, float]:
    """Statistic, degrees of freedom and p-value of a table without empty margins."""
    expected = _expected(counts)
    distance = np.abs(counts - expected)
    if yates:
        distance -= min(0.5, distance.min())
    statistic = float((distance**2 / expected).sum())
    df = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    return statistic, df, float(stats.chi2.sf(statistic, df))


def _v(counts: IntArray) -> float:
    """Cramer's V; NaN if a resample lost a category."""
    if _filled(counts).shape != counts.shape:
        return NAN
    return float(np.sqrt(_chi_square(counts)[0] / (counts.sum() * (min(counts.shape) - 1))))


def _sample_odds_ratio(counts: IntArray) -> float:
    (a, b), (c, d) = counts.astype(np.float64)
    if b * c == 0:
        return NAN if a * d == 0 else float("inf")
    return float(a * d / (b * c))


def _smoothed_odds_ratio(counts: IntArray) -> float:
    """Odds ratio with half a film added to each cell, finite in every resample (Haldane 1956)."""
    (a, b), (c, d) = counts + 0.5
    return float(a * d / (b * c))


def _odds(counts: IntArray, kind: str, confidence: float) -> dict[str, float]:
    found = odds_ratio(counts, kind, confidence) if counts.shape == (2, 2) else Effect(NAN, NAN, NAN)
    return dict(zip(("odds_ratio", "odds_ratio_low", "odds_ratio_high"), found, strict=True))


def _constant_within(labels: IntArray, patients: AnyArray) -> bool:
    return bool((pd.Series(labels).groupby(patients).nunique() == 1).all())
