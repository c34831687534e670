"""Biomarkers between classes: rank-sum tests, effects and intervals that mind repeated patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from patchcxr.errors import ConfigError
from patchcxr.stats._tables import (
    PATIENT,
    STUDY,
    Clustering,
    check_clustering,
    check_columns,
    check_key,
    check_labels,
    group_order,
    group_values,
    join_notes,
    numbers,
    patient_column,
    unclustered_note,
)
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.stats.comparisons import by_patient, kruskal, normality, rank_sum_pairs
from patchcxr.stats.corrections import Correction, adjust, stars, with_stars
from patchcxr.stats.effects import shift_estimate
from patchcxr.stats.permutation import mean_difference, permute
from patchcxr.types import FloatArray

NAN = float("nan")


def compare(
    table: pd.DataFrame,
    value: str | Sequence[str],
    group: str,
    order: Sequence[Any] | None = None,
    *,
    patient: str | None = PATIENT,
    key: str | None = STUDY,
    clustering: Clustering = "aggregate",
    correction: Correction = "holm",
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Compare biomarkers between classes: one tidy table in, one tidy table out, and patients minded.

    Several films of one patient are not independent: tests that take them so find differences that are not there.
    Where patients are known, they are therefore the unit, and the naive result over films stands beside it.

    Parameters
    ----------
    table
        One row a film. The exclusion of AP supine films (Oh 2020, Table VIII) is a row filter on this table.
    value
        Column of the biomarker, or several.
    group
        Column of the class.
    order
        Classes to compare, in this order; others are left out. By default all, sorted.
    patient
        Column of the patient; by default ``patient`` if the table has it (the note says if not). None takes films as
        independent.
    key
        Column that no two rows may share, so that no film counts twice; by default ``study`` if the table has it. None
        does not check.
    clustering
        ``"aggregate"`` averages each patient's films of a class before the test. ``"bootstrap"`` keeps the films: the
        intervals resample whole patients, and p exchanges the classes of whole patients (permutation of the difference
        in mean ranks); it is undefined if a patient has films in both classes. ``"none"`` takes films as independent.
    correction
        ``"holm"``, ``"fdr_bh"`` or ``"none"`` (as in the paper), over all rows of the result: every pair of classes of
        every biomarker.
    confidence
        Coverage of the intervals.
    rng
        Source of randomness; needed by ``clustering="bootstrap"``.
    resamples
        Of the bootstrap and of the permutation.

    Returns
    -------
    pandas.DataFrame
        One row a biomarker and pair of classes: ``value``, ``clustering``, ``unit`` (``"patient"`` or ``"film"``), the
        columns of :func:`~patchcxr.stats.comparisons.rank_sum_pairs` over that unit, ``films_a``, ``films_b``,
        ``patients_a`` and ``patients_b`` (with a value; patients NaN if unknown), ``mean_difference`` (a - b) with
        ``_low`` and ``_high`` (Welch, or bootstrap), ``normal_a``, ``normal_b`` (Lilliefors) and ``omnibus_p``
        (Kruskal-Wallis) over that unit, the naive ``p_naive``, ``p_adjusted_naive``, ``stars_naive``, ``shift_naive``,
        ``shift_naive_low`` and ``shift_naive_high`` over films, and ``note``. With ``"bootstrap"`` means, effects and
        counts are over films, and so are ``normal`` and ``omnibus_p``.

        A patient with films in both classes counts once in each, is taken as two by ``"aggregate"``, and the note
        says how many there are.

    Raises
    ------
    CohortError
        If a column is missing or not numeric, a row has no group or no patient, two rows share a key, or there are
        fewer than two groups.
    LabelError
        If ``order`` names a group that no row has.
    ConfigError
        If the clustering, the correction or the confidence is not usable, or ``rng`` is missing.

    Examples
    --------
    >>> films = pd.DataFrame({"label": ["a"] * 6 + ["b"] * 6, "patient": [1, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9]})
    >>> films["ctr"] = np.arange(12.0)
    >>> compare(films, "ctr", "label")[["group_a", "group_b", "unit", "n_a", "n_b", "p", "p_naive"]].round(4)
      group_a group_b     unit  n_a  n_b       p  p_naive
    0       a       b  patient    5    4  0.0159   0.0022
    """
    check_clustering(clustering)
    values = [value] if isinstance(value, str) else list(value)
    if clustering == "bootstrap" and rng is None:
        raise ConfigError("clustering is 'bootstrap' and rng is None; pass a numpy Generator")
    if not values:
        raise ConfigError("value names no column; expected one or more biomarkers")
    check_columns(table, [*values, group])
    check_labels(table, group)
    chosen = group_order(table, group, order)
    films = table[table[group].isin(chosen)]
    known = patient_column(films, patient)
    column = None if clustering == "none" else known
    check_key(films, key)
    parts = []
    for name in values:
        naive = rank_sum_pairs(films, name, group, chosen, "none", confidence)
        units = by_patient(films, name, group, column) if column and clustering == "aggregate" else films
        pairs = naive.copy() if units is films else rank_sum_pairs(units, name, group, chosen, "none", confidence)
        samples, _ = group_values(units, name, group, chosen)
        _insert_details(pairs, samples, films, name, group, known, confidence)
        if column and clustering == "bootstrap":
            _resample(pairs, films, name, group, column, confidence, rng, resamples)
        normal = normality(units, name, group, chosen).set_index("group")["normal"]
        pairs["normal_a"], pairs["normal_b"] = (pairs[side].map(normal) for side in ("group_a", "group_b"))
        pairs["omnibus_p"] = kruskal(units, name, group, chosen)["p"].iloc[0]
        pairs["p_naive"], pairs["p_adjusted_naive"], pairs["stars_naive"] = naive["p"], NAN, ""
        for end in ("shift", "shift_low", "shift_high"):
            pairs[end.replace("shift", "shift_naive")] = naive[end]
        shared = _shared_patients(films, name, group, known, pairs)
        pairs["note"] = [
            join_notes(note, _shared_note(count, clustering), unclustered_note(films, patient, known))
            for note, count in zip(pairs["note"], shared, strict=True)
        ]
        pairs.insert(0, "value", name)
        parts.append(pairs)
    result = pd.concat(parts, ignore_index=True)
    result.insert(1, "clustering", clustering)
    result.insert(2, "unit", "patient" if column else "film")
    result["p_adjusted_naive"] = adjust(result["p_naive"].to_numpy(), correction)
    result["stars_naive"] = [stars(p) for p in result["p_adjusted_naive"]]
    result["note"] = result.pop("note")
    return with_stars(result, correction)


def _insert_details(
    pairs: pd.DataFrame,
    samples: dict[Any, FloatArray],
    films: pd.DataFrame,
    value: str,
    group: str,
    patient: str | None,
    confidence: float,
) -> None:
    """Add the numbers of films and patients, and the difference in means with Welch's interval."""
    measured = films[~np.isnan(numbers(films[value]))]
    film_counts = measured[group].value_counts()
    patient_counts = measured.groupby(group, observed=True)[patient].nunique() if patient else pd.Series(dtype=float)
    for side in ("a", "b"):
        names = pairs[f"group_{side}"]
        pairs[f"films_{side}"] = [int(film_counts.get(name, 0)) for name in names]
        pairs[f"patients_{side}"] = [int(patient_counts.get(name, 0)) if patient else NAN for name in names]
    pairs["mean_difference"] = pairs["mean_a"] - pairs["mean_b"]
    ends = [_welch(samples[a], samples[b], confidence) for a, b in zip(pairs["group_a"], pairs["group_b"], strict=True)]
    pairs["mean_difference_low"], pairs["mean_difference_high"] = zip(*ends, strict=True)


def _welch(a: FloatArray, b: FloatArray, confidence: float) -> tuple[float, float]:
    """Welch's interval of the difference in means; NaN below two values or without any spread."""
    if min(a.size, b.size) < 2:
        return NAN, NAN
    parts = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    error = np.sqrt(sum(parts))
    if error == 0:
        return NAN, NAN
    df = sum(parts) ** 2 / (parts[0] ** 2 / (a.size - 1) + parts[1] ** 2 / (b.size - 1))
    half = stats.t.ppf(0.5 + confidence / 2, df) * error
    difference = a.mean() - b.mean()
    return float(difference - half), float(difference + half)


def _resample(
    pairs: pd.DataFrame,
    films: pd.DataFrame,
    value: str,
    group: str,
    patient: str,
    confidence: float,
    rng: np.random.Generator | None,
    resamples: int,
) -> None:
    """Replace intervals by those of a bootstrap over patients, and p by a permutation of patients."""
    assert rng is not None
    labels, patients, values = films[group].to_numpy(), films[patient].to_numpy(), numbers(films[value])
    for index, name_a, name_b in pairs[["group_a", "group_b"]].itertuples():
        kept = ((labels == name_a) | (labels == name_b)) & ~np.isnan(values)
        x, in_b, who = values[kept], (labels[kept] == name_b).astype(np.int64), patients[kept]
        if in_b.sum() in (0, in_b.size):
            continue
        for column, centre in (("shift", shift_estimate), ("mean_difference", mean_difference)):
            low, high = cluster_bootstrap(
                lambda v, side, centre=centre: centre(v[side == 0], v[side == 1]) if 0 < side.mean() < 1 else NAN,
                x,
                in_b,
                rng=rng,
                groups=who,
                resamples=resamples,
                confidence=confidence,
            )
            pairs.loc[index, [f"{column}_low", f"{column}_high"]] = low, high
        p, method = NAN, "none"
        if np.unique(who[in_b == 0]).size + np.unique(who[in_b == 1]).size == np.unique(who).size:
            found = permute(stats.rankdata(x), in_b, who, mean_difference, rng=rng, resamples=resamples)
            p, method = found.p, "permutation"
        pairs.loc[index, "p"] = p
        pairs.loc[index, "method"] = method


def _shared_patients(
    films: pd.DataFrame, value: str, group: str, patient: str | None, pairs: pd.DataFrame
) -> list[int]:
    """Patients with a value in both groups of each pair."""
    if patient is None:
        return [0] * len(pairs)
    measured = films[~np.isnan(numbers(films[value]))]
    members = {name: set(part[patient]) for name, part in measured.groupby(group, observed=True)}
    return [
        len(members.get(a, set()) & members.get(b, set()))
        for a, b in zip(pairs["group_a"], pairs["group_b"], strict=True)
    ]


def _shared_note(count: int, clustering: str) -> str:
    if count == 0:
        return ""
    consequence = "p is undefined" if clustering == "bootstrap" else "taken as independent"
    return f"{count} patient{'s' if count > 1 else ''} with films in both groups: {consequence}"
