"""Tests between methods that were measured on the same films.

Where the table has a column ``patient`` and patients repeat, each counts once, with the mean of its films, and the
p-value over films stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats._exact import TIED_LIMIT, UNTIED_LIMIT, exact_signed_rank
from patchcxr.stats._tables import (
    PATIENT,
    STUDY,
    check_columns,
    check_key,
    check_labels,
    join_notes,
    mean,
    numbers,
    patient_column,
    unclustered_note,
)
from patchcxr.stats.bootstrap import value_bootstrap
from patchcxr.stats.corrections import Correction, with_stars
from patchcxr.stats.effects import matched_rank_biserial, paired_hodges_lehmann
from patchcxr.types import FloatArray

NAN = float("nan")


def paired_table(table: pd.DataFrame, key: str, method: str, value: str) -> pd.DataFrame:
    """Bring long results (one row a film and method) into wide form, one column a method, paired by key.

    A film that a method lacks is NaN in its column, so :func:`signed_rank_pairs` counts it as dropped.

    Raises
    ------
    CohortError
        If a column is missing, a row has no key or method, a method has two rows for one key, or there are several
        methods and no key has two of them: such data are not paired.
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
    if table[method].nunique() > 1 and not table[key].duplicated().any():
        raise CohortError(
            f"no {key} has values of two {method}s; expected paired data: compare separate groups with "
            "stats.classes.compare"
        )
    wide = table.pivot(index=key, columns=method, values=value)
    return wide[list(dict.fromkeys(table[method]))].rename_axis(columns=None).reset_index()


def signed_rank_pairs(
    table: pd.DataFrame,
    columns: Sequence[str],
    correction: Correction = "holm",
    groups: str | None = PATIENT,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    zero_method: str = "wilcox",
    key: str | None = STUDY,
) -> pd.DataFrame:
    """Wilcoxon signed-rank test between every two methods measured on the same films (Oh 2020, Table XIII).

    The test is exact without ties if fewer than 50 differences are not 0, and with ties, given these, if at most 20
    are; else ``scipy.stats.wilcoxon``, normal with correction for ties and continuity, as ``wilcox.test`` of R.
    ``zero_method="wilcox"`` leaves out differences of exactly 0, as MATLAB's ``signrank`` and R do, and reports how
    many there were (R then gives up the exact test, which is not needed); ``"pratt"`` ranks them and leaves their
    ranks out, ``"zsplit"`` gives half of their ranks to either side.

    Parameters
    ----------
    table
        Wide table: one row a film, one column a method (:func:`paired_table` makes one).
    columns
        Columns of the methods to compare, in this order.
    correction
        ``"holm"``, ``"fdr_bh"`` or ``"none"``, over the pairs of this table.
    groups
        Column of the patient: each patient's films are averaged first, so that the test, the effect and the
        intervals all have one value a patient. By default ``patient`` if the table has it; None takes every film on
        its own.
    rng
        Source of randomness of the bootstrap; without one its intervals are NaN.
    resamples, confidence
        Of the percentile bootstrap over patients (or films, without groups).
    zero_method
        Treatment of zero differences.
    key
        Column that no two rows may share, so that no film counts twice; by default ``study`` if the table has it.

    Returns
    -------
    pandas.DataFrame
        One row a pair of methods: ``method_a``, ``method_b``, ``n`` (patients, or films without groups), ``films``,
        ``dropped`` (films that lack either value), ``zeros`` (differences of 0), ``mean_a``, ``mean_b``,
        ``mean_difference`` and ``median_difference`` (a - b) with their ``_low`` and ``_high``,
        ``shift``, ``shift_low`` and ``shift_high`` (Hodges-Lehmann), ``statistic`` (the smaller rank
        sum), ``method`` (``"exact"``, ``"asymptotic"`` or ``"none"``), ``p``, ``p_adjusted``, ``stars``,
        ``rank_biserial`` (matched pairs, positive if a tends to be larger), ``p_naive`` (over films) and ``note``. p is
        NaN without pairs, and 1 if every difference is 0.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, a film has no patient, two rows share a key, or two methods have values
        but never of the same film: such data are not paired.
    ConfigError
        If fewer than two columns are given, or the correction, the zero method or the confidence is not usable.
    """
    if len(columns) < 2 or len(set(columns)) != len(columns):
        raise ConfigError(f"columns are {list(columns)}; expected two or more different methods")
    if zero_method not in ("wilcox", "pratt", "zsplit"):
        raise ConfigError(f"zero_method is {zero_method!r}; expected 'wilcox', 'pratt' or 'zsplit'")
    check_columns(table, columns)
    patient = patient_column(table, groups)
    check_key(table, key)
    rows = []
    for name_a, name_b in combinations(columns, 2):
        measured = pd.DataFrame({"a": numbers(table[name_a]), "b": numbers(table[name_b])})
        both = measured.dropna()
        films = len(both)
        if films == 0 and measured.notna().any().all():
            raise CohortError(
                f"no row has both {name_a!r} and {name_b!r}; expected paired data, one row a film: bring long results "
                "into this form with paired_table, or compare separate groups with stats.classes.compare"
            )
        naive = (both["a"] - both["b"]).to_numpy()
        if patient:
            both = both.groupby(table[patient].to_numpy()[both.index]).mean()
        a, b = both["a"].to_numpy(), both["b"].to_numpy()
        differences = a - b
        statistic, p, how = signed_rank(differences, zero_method)
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
                low, high = value_bootstrap(centre, differences, rng=rng, resamples=resamples, confidence=confidence)
            row |= {name: float(centre(differences)) if films else NAN, f"{name}_low": low, f"{name}_high": high}
        row |= {"shift": shift.estimate, "shift_low": shift.low, "shift_high": shift.high}
        row |= {"statistic": statistic, "method": how, "p": p, "p_adjusted": NAN, "stars": ""}
        row |= {"rank_biserial": matched_rank_biserial(differences), "p_naive": signed_rank(naive, zero_method)[1]}
        rows.append(
            row | {"note": join_notes(_note(differences, confidence), unclustered_note(table, groups, patient))}
        )
    return with_stars(pd.DataFrame(rows), correction)


def signed_rank(differences: FloatArray, zero_method: str = "wilcox") -> tuple[float, float, str]:
    """Smaller rank sum, two-sided p-value and how it was found: ``"exact"``, ``"asymptotic"`` or ``"none"``."""
    if differences.size == 0:
        return NAN, NAN, "none"
    nonzero = differences != 0
    if not nonzero.any():
        return 0.0, 1.0, "exact"
    approximate = stats.wilcoxon(differences, zero_method=zero_method, correction=True, method="asymptotic")
    ranked = differences[nonzero] if zero_method == "wilcox" else differences
    ranks = stats.rankdata(np.abs(ranked))[ranked != 0]
    tied = np.unique(np.abs(ranked[ranked != 0])).size < ranks.size or ranks.size < ranked.size
    small = ranks.size <= TIED_LIMIT if tied else ranks.size < UNTIED_LIMIT
    p = exact_signed_rank(ranks, ranked[ranked != 0] > 0) if small else float(approximate.pvalue)
    return float(approximate.statistic), p, "exact" if small else "asymptotic"


def _note(differences: FloatArray, confidence: float) -> str:
    """Name what limits the test of these differences."""
    if differences.size == 0:
        return "no pair of values"
    tested = int(np.count_nonzero(differences))
    if tested == 0:
        return "every difference is 0"
    least = 2.0 ** (1 - tested)
    return join_notes(
        f"so few differences that p cannot be below {least:.2g}" if least >= 0.05 else "",
        "the interval of the shift spans all differences and has less confidence"
        if 2.0 ** (1 - differences.size) >= 1 - confidence
        else "",
    )
