"""How far the label can be told from where and how a film was taken, instead of from the disease.

A network that learns the source learns the label with it wherever the two go
together. Each factor (source, view, sex, age, image size, bit depth) is
therefore held against the label, patient by patient: every patient has the
weight 1, spread over his films, so that follow-up films do not count as new
evidence.

Sources: the bias correction of Cramér's V is that of Bergsma (Journal of the
Korean Statistical Society 42:323-328, 2013); intervals invert the noncentral
chi-square distribution (Smithson, Confidence Intervals, 2003); Theil's
uncertainty coefficient; the rank eta squared of a Kruskal-Wallis test
(Tomczak and Tomczak, Trends in Sport Sciences 21:19-25, 2014).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import optimize, stats

from patchcxr.data.audit.findings import Finding, column_text, names_at, row_names
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.types import FloatArray

PURE: Final = 0.95
"""A source is of one class if at least this share of its patients has it."""

STRONG: Final = 0.3
"""An association whose interval lies wholly above this is a warning (0.1 small, 0.3 medium, 0.5 large: Cohen 1988)."""

COMMON_SIZE: Final = 0.02
"""Image sizes of at least this share of the films are told apart, all others count as one."""

_NAN: Final = float("nan")
_REMEDIES: Final = {
    "source": "Test on sources that were left out of training (leave-one-source-out), report results within each source"
    " as well, and match labels across sources.",
    "view": "Report results within PA and within AP films, or match the views of the labels.",
    "sex": "Report results by sex, or match the sexes of the labels.",
    "age": "Match ages across labels or leave out the ages that one label alone has, and report results by age group.",
    "image size": "Bring all films to one size from the same resolution before training; never pad by size.",
    "bit depth": "Bring all films to one bit depth and equalise their histograms before training.",
}


@dataclass(frozen=True, kw_only=True)
class Association:
    """How strongly the label goes with one factor.

    Attributes
    ----------
    factor
        What is held against the label.
    measure
        ``"Cramér's V"`` for named values, ``"rank eta"`` for numbers. Both are
        0 for independence and 1 where the factor tells the label fully (for
        eta: where the labels' ranks do not overlap and do not vary within).
    value, low, high
        Bias-corrected estimate and its interval; NaN with fewer than two
        labels or two values of the factor.
    p
        Of the chi-square or the Kruskal-Wallis test.
    uncertainty
        Share of the label's entropy that the factor removes (named values only).
    accuracy, majority
        Share of the patients whose label is the most frequent one of their
        value of the factor, and the share of the most frequent label overall.
    patients
        Patients with both label and factor known.
    unknown_films
        Films left out because one of the two is unknown.
    """

    factor: str
    measure: str
    value: float = _NAN
    low: float = _NAN
    high: float = _NAN
    p: float = _NAN
    uncertainty: float = _NAN
    accuracy: float = _NAN
    majority: float = _NAN
    patients: int
    unknown_films: int


def check_confounding(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find labels that come from one source alone, and the factors that tell the label.

    An error where a label lies (nearly) wholly in sources that hold nothing
    else, since no comparison within a source is possible; a warning where a
    label comes from one source that holds others too, and where a factor is
    strongly associated with the label; a note of each weaker association.
    """
    labels, patients, values = column_text(table, "label"), patient_names(table), factors(table, scan.facts)
    found = list(_one_source_one_class(table, contingency(labels, column_text(table, "source"), patients)))
    for one in associations(table, scan.facts):
        if not np.isnan(one.value):
            found.append(_association_finding(labels, values[one.factor], patients, one))
    return found


def patient_names(table: pd.DataFrame) -> pd.Series:
    """Patient of every film; a film without one counts as its own patient."""
    return column_text(table, "patient").fillna("film " + row_names(table))


def factors(table: pd.DataFrame, facts: pd.DataFrame) -> dict[str, pd.Series]:
    """Values of each factor, a film a row; those that the cohort does not have at all are left out.

    Parameters
    ----------
    table
        Cohort.
    facts
        Of :class:`~patchcxr.data.audit.scan.FilmScan`, aligned with the cohort.
    """
    read = facts["rows"].gt(0).to_numpy(dtype=bool)
    whole = facts[["rows", "columns", "bit_depth"]].reset_index(drop=True).astype("Int64").astype("string")
    size = (whole["columns"] + " × " + whole["rows"]).where(read)
    shares = size.value_counts(normalize=True)
    size = size.where(size.isin(shares.index[shares >= COMMON_SIZE]) | ~read, "other sizes")
    made = {
        "source": column_text(table, "source"),
        "view": column_text(table, "view").str.strip().str.upper(),
        "sex": column_text(table, "sex"),
        "age": pd.to_numeric(column_text(table, "age_years"), errors="coerce").astype("Float64"),
        "image size": size,
        "bit depth": (whole["bit_depth"] + " bits").where(read),
    }
    return {name: value for name, value in made.items() if value.notna().any()}


def associations(table: pd.DataFrame, facts: pd.DataFrame) -> list[Association]:
    """Association of the label with every factor of :func:`factors`; undefined ones have a value of NaN."""
    labels, patients = column_text(table, "label"), patient_names(table)
    return [
        (rank_association if name == "age" else nominal_association)(labels, value, patients, name)
        for name, value in factors(table, facts).items()
    ]


def contingency(labels: pd.Series, values: pd.Series, patients: pd.Series) -> pd.DataFrame:
    """Patients by label (rows) and value (columns); a patient of several cells is spread over them.

    Films with an empty label, value or patient do not count. The cells sum to
    the number of patients.

    Examples
    --------
    >>> contingency(pd.Series(["a", "a", "b"]), pd.Series(["x", "y", "y"]), pd.Series([1, 1, 2])).to_numpy().tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    films = _known(labels, values, patients)
    films["weight"] = 1.0 / films.groupby("patient")["patient"].transform("size")
    return films.pivot_table(index="label", columns="value", values="weight", aggfunc="sum", fill_value=0.0)


def nominal_association(
    labels: pd.Series, values: pd.Series, patients: pd.Series, factor: str = "factor", confidence: float = 0.95
) -> Association:
    """Bias-corrected Cramér's V of label and a named factor, with an interval, over patients.

    Parameters
    ----------
    labels, values, patients
        One entry a film; films where one is empty are left out.
    factor
        Name for the result.
    confidence
        Of the interval.

    Examples
    --------
    >>> label, source = pd.Series(["a", "b"] * 50), pd.Series(["x", "y"] * 50)
    >>> result = nominal_association(label, source, pd.Series(range(100)))
    >>> result.value, result.accuracy, result.majority
    (1.0, 1.0, 0.5)
    """
    counts = contingency(labels, values, patients)
    known = {"patients": round(float(counts.to_numpy().sum())), "unknown_films": _unknown(labels, values, patients)}
    if min(counts.shape) < 2:
        return Association(factor=factor, measure="Cramér's V", **known)
    cells = counts.to_numpy()
    n = cells.sum()
    test = stats.chi2_contingency(cells, correction=False)
    rows, columns = (side - (side - 1) ** 2 / (n - 1) for side in cells.shape)  # Bergsma 2013, eq. 6
    scale = min(rows - 1, columns - 1)
    value = _root(test.statistic / n - test.dof / (n - 1), scale)  # Bergsma 2013, eq. 7
    low, high = (_root(end / n, scale) for end in noncentrality_interval(test.statistic, test.dof, confidence))
    of_label = stats.entropy(cells.sum(axis=1))
    mutual = of_label + stats.entropy(cells.sum(axis=0)) - stats.entropy(cells.ravel())
    return Association(
        factor=factor,
        measure="Cramér's V",
        value=value,
        low=min(low, value),
        high=max(high, value),
        p=float(test.pvalue),
        uncertainty=float(np.clip(mutual / of_label, 0.0, 1.0)),
        accuracy=float(cells.max(axis=0).sum() / n),
        majority=float(cells.sum(axis=1).max() / n),
        **known,
    )


def rank_association(
    labels: pd.Series, numbers: pd.Series, patients: pd.Series, factor: str = "factor", confidence: float = 0.95
) -> Association:
    """Rank eta of label and a number, from a Kruskal-Wallis test over the patients' medians within each label."""
    films = _known(labels, numbers, patients)
    one = films.groupby(["patient", "label"], as_index=False)["value"].median()
    samples = [group.to_numpy(dtype=float) for _, group in one.groupby("label")["value"]]
    known = {"patients": one["patient"].nunique(), "unknown_films": _unknown(labels, numbers, patients)}
    n, k = len(one), len(samples)
    if k < 2 or n <= k or one["value"].nunique() < 2:
        return Association(factor=factor, measure="rank eta", **known)
    test = stats.kruskal(*samples)
    value = _root((test.statistic - k + 1) / (n - k))  # Tomczak and Tomczak 2014, eta squared of H
    low, high = (_root(end / (n - 1)) for end in noncentrality_interval(test.statistic, k - 1, confidence))
    return Association(
        factor=factor,
        measure="rank eta",
        value=value,
        low=min(low, value),
        high=max(high, value),
        p=float(test.pvalue),
        **known,
    )


def noncentrality_interval(statistic: float, freedom: int, confidence: float = 0.95) -> tuple[float, float]:
    """Noncentralities of a chi-square distribution that the statistic does not contradict.

    Both ends are 0 where even independence would give a larger statistic
    most of the time.

    Examples
    --------
    >>> low, high = noncentrality_interval(3.0, 3)
    >>> low, round(high, 1)
    (0.0, 10.6)
    """
    tail = (1 - confidence) / 2
    spread = 10 * np.sqrt(2 * (freedom + 2 * statistic)) + 50

    def end(level: float) -> float:
        if stats.chi2.cdf(statistic, freedom) <= level:
            return 0.0
        low, high = max(statistic - freedom - spread, 1e-9), statistic + spread
        return float(optimize.brentq(lambda nc: stats.ncx2.cdf(statistic, freedom, nc) - level, low, high))

    return end(1 - tail), end(tail)


def _root(square: float, scale: float = 1.0) -> float:
    return float(np.sqrt(np.clip(square / scale, 0.0, 1.0))) if scale > 0 else _NAN


def _known(labels: pd.Series, values: pd.Series, patients: pd.Series) -> pd.DataFrame:
    columns = {"label": labels.to_numpy(), "value": values.to_numpy(), "patient": patients.to_numpy()}
    return pd.DataFrame(columns).dropna()


def _unknown(labels: pd.Series, values: pd.Series, patients: pd.Series) -> int:
    return len(labels) - len(_known(labels, values, patients))


def _one_source_one_class(table: pd.DataFrame, counts: pd.DataFrame) -> Iterator[Finding]:
    if min(counts.shape) < 2:
        return
    cells: FloatArray = counts.to_numpy()
    pure = cells / cells.sum(axis=0) >= PURE
    alone = (cells * pure).sum(axis=1) / cells.sum(axis=1) >= PURE
    shares = cells / cells.sum(axis=1, keepdims=True)
    single = (shares.max(axis=1) >= PURE) & ~alone
    if alone.any():
        names = [
            f"{label} ({', '.join(counts.columns[pure[row] & (cells[row] > 0)])})"
            for row, label in enumerate(counts.index)
            if alone[row]
        ]
        yield Finding(
            check="one-source-one-class",
            severity="error",
            message=f"{len(names)} of {len(counts)} labels come from sources that hold (nearly) nothing else, so"
            f" telling the source tells the label: {'; '.join(names)}.",
            remedy="Add films of other labels from the same sources, or of these labels from sources that hold others;"
            " until then a result on them shows how well the sources are told apart.",
            studies=_with_label(table, counts.index[alone]),
            details=_wide(counts),
        )
    if single.any():
        names = [
            f"{label} ({counts.columns[cells[row].argmax()]}, {100 * shares[row].max():.0f} %)"
            for row, label in enumerate(counts.index)
            if single[row]
        ]
        yield Finding(
            check="label-in-one-source",
            severity="warning",
            message=f"{len(names)} of {len(counts)} labels come (nearly) wholly from one source, which holds others"
            f" too: {'; '.join(names)}.",
            remedy="Compare these labels with others of their own source only, and report the results within the"
            " source; a comparison across sources is partly one of the sources.",
            studies=_with_label(table, counts.index[single]),
            details=_wide(counts),
        )


def _association_finding(labels: pd.Series, values: pd.Series, patients: pd.Series, one: Association) -> Finding:
    if one.measure == "rank eta":
        one_a_patient = _known(labels, values, patients).groupby(["label", "patient"])["value"].median()
        grouped = one_a_patient.groupby("label")
        details = grouped.describe(percentiles=[0.25, 0.5, 0.75]).reset_index()
        details = details[["label", "count", "min", "25%", "50%", "75%", "max"]]
        details["count"] = details["count"].astype(int)
        middle = grouped.median().sort_values()
        told = (
            f"median {one.factor} from {middle.iloc[0]:g} ({middle.index[0]}) to {middle.iloc[-1]:g}"
            f" ({middle.index[-1]})"
        )
    else:
        details = _wide(contingency(labels, values, patients))
        told = (
            f"naming the most frequent label of each {one.factor} is right for {100 * one.accuracy:.1f} % of the"
            f" patients, against {100 * one.majority:.1f} % for the most frequent label of all"
        )
    unknown = f"; unknown for {one.unknown_films} films" if one.unknown_films else ""
    return Finding(
        check=f"label-{one.factor.replace(' ', '-')}",
        severity="warning" if one.low >= STRONG else "note",
        message=f"The label goes with {one.factor}: {one.measure} {one.value:.2f} ({one.low:.2f} to {one.high:.2f}),"
        f" {one.patients} patients{unknown}; {told}.",
        remedy=_REMEDIES[one.factor],
        details=details,
    )


def _with_label(table: pd.DataFrame, labels: pd.Index) -> tuple[str, ...]:
    return names_at(table, column_text(table, "label").isin(labels).to_numpy(dtype=bool))


def _wide(counts: pd.DataFrame) -> pd.DataFrame:
    """Contingency table with whole patients as numbers and plain column names, for a report."""
    rounded = counts.round(1).reset_index()
    rounded.columns = pd.Index([str(name) for name in rounded.columns])
    return rounded
