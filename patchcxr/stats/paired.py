"""Tests between methods that were measured on the same films."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats._tables import check_columns, check_labels, mean, numbers
from patchcxr.stats.corrections import Correction, with_stars
from patchcxr.stats.effects import matched_rank_biserial, paired_hodges_lehmann
from patchcxr.stats.intervals import cluster_bootstrap
from patchcxr.types import FloatArray

NAN = float("nan")


def paired_table(table: pd.DataFrame, key: str, method: str, value: str) -> pd.DataFrame:
    """Bring long results (one row a film and method) into wide form, one column a method, paired by key.

    A film that a method lacks is NaN in its column, so :func:`signed_rank_pairs` counts it as dropped.

    Raises
    ------
    CohortError
        If a column is missing, a row has no key or method, or a method has two rows for one key.
    """
    check_columns(table, [key, method, value])
    check_labels(table, key)
    check_labels(table, method)
    repeated = table[table.duplicated([key, method])]
    if len(repeated):
        first = repeated.iloc[0]
        raise CohortError(
            f"{len(repeated)} rows repeat a pair of {key} and {method}, such as ({first[key]!r}, {first[method]!r}); "
            "expected one value a pair; average or drop the repeats"
        )
    wide = table.pivot(index=key, columns=method, values=value)
    return wide[list(dict.fromkeys(table[method]))].rename_axis(columns=None).reset_index()


def signed_rank_pairs(
    table: pd.DataFrame,
    columns: Sequence[str],
    correction: Correction = "holm",
    groups: str | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    zero_method: str = "wilcox",
) -> pd.DataFrame:
    """Wilcoxon signed-rank test between every two methods measured on the same films (Oh 2020, Table XIII).

    The test is ``scipy.stats.wilcoxon``: exact for small samples without ties, else normal with correction for ties
    and none for continuity (R's ``wilcox.test`` has both). ``zero_method="wilcox"`` leaves out differences of
    exactly 0, as MATLAB's ``signrank`` and R do, and reports how many there were; ``"pratt"`` and ``"zsplit"`` are
    SciPy's.

    Parameters
    ----------
    table
        Wide table: one row a film, one column a method (:func:`paired_table` makes one).
    columns
        Columns of the methods to compare, in this order.
    correction
        ``"holm"``, ``"fdr_bh"`` or ``"none"``, over the pairs of this table.
    groups
        Column of the patient. If given, each patient's films are averaged first, so that the test, the effect
        and the intervals all have one value a patient.
    rng
        Source of randomness of the bootstrap; without one its intervals are NaN.
    resamples, confidence
        Of the percentile bootstrap over patients (or films, without groups).
    zero_method
        Treatment of zero differences.

    Returns
    -------
    pandas.DataFrame
        One row a pair of methods: ``method_a``, ``method_b``, ``n`` (patients, or films without groups), ``films``,
        ``dropped`` (films that lack either value), ``zeros`` (differences of 0), ``mean_a``, ``mean_b``,
        ``mean_difference`` and ``median_difference`` (a - b) with their ``_low`` and ``_high``,
        ``shift``, ``shift_low`` and ``shift_high`` (Hodges-Lehmann), ``statistic``, ``p``, ``p_adjusted``,
        ``stars`` and ``rank_biserial`` (matched pairs, positive if a tends to be larger). p is NaN without pairs, and
        1 if every difference is 0.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, or a film has no patient.
    ConfigError
        If fewer than two columns are given, or the correction, the zero method or the confidence is not usable.
    """
    if len(columns) < 2 or len(set(columns)) != len(columns):
        raise ConfigError(f"columns are {list(columns)}; expected two or more different methods")
    if zero_method not in ("wilcox", "pratt", "zsplit"):
        raise ConfigError(f"zero_method is {zero_method!r}; expected 'wilcox', 'pratt' or 'zsplit'")
    check_columns(table, [*columns, *([groups] if groups else [])])
    if groups:
        check_labels(table, groups)
    rows = []
    for name_a, name_b in combinations(columns, 2):
        both = pd.DataFrame({"a": numbers(table[name_a]), "b": numbers(table[name_b])}).dropna()
        films = len(both)
        if groups:
            both = both.groupby(table[groups].to_numpy()[both.index]).mean()
        a, b = both["a"].to_numpy(), both["b"].to_numpy()
        differences = a - b
        statistic, p = _signed_rank(differences, zero_method)
        shift = paired_hodges_lehmann(differences, confidence)
        row = {
            "method_a": name_a,
            "method_b": name_b,
            "n": differences.size,
            "films": films,
            "dropped": len(table) - films,
            "zeros": int(np.count_nonzero(differences == 0)),
            "mean_a": mean(a),
            "mean_b": mean(b),
        }
        for name, centre in (("mean_difference", np.mean), ("median_difference", np.median)):
            low, high = NAN, NAN
            if rng is not None and films:
                low, high = cluster_bootstrap(centre, differences, rng=rng, resamples=resamples, confidence=confidence)
            row |= {name: float(centre(differences)) if films else NAN, f"{name}_low": low, f"{name}_high": high}
        row |= {"shift": shift.estimate, "shift_low": shift.low, "shift_high": shift.high}
        row |= {"statistic": statistic, "p": p, "p_adjusted": NAN, "stars": ""}
        rows.append(row | {"rank_biserial": matched_rank_biserial(differences)})
    return with_stars(pd.DataFrame(rows), correction)


def _signed_rank(differences: FloatArray, zero_method: str) -> tuple[float, float]:
    if differences.size == 0:
        return NAN, NAN
    if not differences.any():
        return 0.0, 1.0
    result = stats.wilcoxon(differences, zero_method=zero_method, correction=False, method="auto")
    return float(result.statistic), float(result.pvalue)
