"""Triage by a classifier: who is confirmed by RT-PCR or CT, who is excluded, and what that costs (Oh 2020, Fig. 9).

The paper sends films classified as viral or COVID-19 to RT-PCR or CT and excludes all others. Beyond it, films that
the classifier is not sure of can be given to a radiologist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, ConfigError, LabelError
from patchcxr.stats._tables import check_columns, numbers
from patchcxr.stats.intervals import clopper_pearson_interval, wilson_interval
from patchcxr.types import AnyArray, FloatArray

CONFIRM: Final = "confirm by RT-PCR or CT"
UNCERTAIN: Final = "uncertain: read by a radiologist"
EXCLUDED: Final = "excluded"
GROUPS: Final = (CONFIRM, UNCERTAIN, EXCLUDED)
"""From the most to the least urgent."""

By = Literal["entropy", "margin", "p_entropy", "p_margin"]
_BY: Final = ("entropy", "margin", "p_entropy", "p_margin")
NAN = float("nan")


def triage(
    predictions: pd.DataFrame,
    positive: Sequence[str],
    by: By = "entropy",
    threshold: float | None = None,
    study: str = "study",
) -> pd.DataFrame:
    """Give each film to a group (Oh 2020, section IV.B and Fig. 9).

    Parameters
    ----------
    predictions
        One row a film: ``study``, ``predicted``, and what ``by`` needs; other columns are kept. A table with several
        methods must be cut to one.
    positive
        Classes that are confirmed, such as ``("viral",)`` where viral stands for COVID-19 too.
    by
        Measure of uncertainty: ``"entropy"`` of the vote (uncertain at or above the threshold) or its ``"margin"``
        (uncertain at or below it), as the columns of these names give them; ``"p_entropy"`` and ``"p_margin"``, the
        same of the columns ``p_<class>``: entropy over its largest value, and the largest less the second
        probability. All lie in [0, 1].
    threshold
        Films this uncertain are read by a radiologist, whatever was predicted. None has two groups, as in the paper,
        and needs no uncertainty.
    study
        Column that names the film.

    Returns
    -------
    pandas.DataFrame
        The table with ``uncertainty``, ``group`` (one of :data:`GROUPS`) and ``note``. A film without a prediction,
        or without an uncertainty where there is a threshold, is uncertain and the note says why: what is not known is
        not excluded.

    Raises
    ------
    CohortError
        If a column is missing or a film occurs twice.
    LabelError
        If a positive class occurs neither among the predictions nor as ``p_<class>``.
    ConfigError
        If ``by`` is unknown, the threshold is outside [0, 1], or no class is positive.

    Examples
    --------
    >>> films = pd.DataFrame({"study": list("abc"), "predicted": ["viral", "normal", "normal"], "margin": [1, 0.9, 0]})
    >>> triage(films, ["viral"], "margin", 0.1)["group"].tolist()
    ['confirm by RT-PCR or CT', 'excluded', 'uncertain: read by a radiologist']
    """
    check_columns(predictions, [study, "predicted"])
    _check(predictions, positive, by, threshold, study)
    measured = np.full(len(predictions), NAN)
    if threshold is not None or by in predictions or by.startswith("p_"):
        measured = uncertainty(predictions, by)
    unpredicted = predictions["predicted"].isna().to_numpy()
    unknown = np.isnan(measured) & (threshold is not None)
    groups = np.where(predictions["predicted"].isin(list(positive)), CONFIRM, EXCLUDED).astype(object)
    if threshold is not None:
        groups[measured <= threshold if by.endswith("margin") else measured >= threshold] = UNCERTAIN
    groups[unpredicted | unknown] = UNCERTAIN
    notes = np.where(unpredicted, "no prediction", np.where(unknown, f"no {by}", ""))
    return predictions.assign(uncertainty=measured, group=groups, note=notes)


def uncertainty(predictions: pd.DataFrame, by: By) -> FloatArray:
    """Uncertainty of each film (N,), in [0, 1]; NaN where it is not known. See :func:`triage`.

    Raises
    ------
    CohortError
        If the column, or at least two columns ``p_<class>``, are missing or not numeric.
    """
    if not by.startswith("p_"):
        check_columns(predictions, [by])
        return numbers(predictions[by])
    names = [name for name in predictions.columns if str(name).startswith("p_")]
    if len(names) < 2:
        raise CohortError(f"the table has the probabilities {names}; expected p_<class> of at least two classes")
    p = np.stack([numbers(predictions[name]) for name in names], axis=1)
    if by == "p_margin":
        ordered = np.sort(p, axis=1)
        return np.where(np.isnan(p).any(axis=1), NAN, ordered[:, -1] - ordered[:, -2])
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p), p * 0)
    return np.abs(terms.sum(axis=1)) / np.log(len(names))


def by_patient_group(triaged: pd.DataFrame, positive: Sequence[str], patient: str = "patient") -> pd.DataFrame:
    """Bring films to patients: a patient goes with the most urgent of their films, and is positive if any film is.

    Returns
    -------
    pandas.DataFrame
        One row a patient: ``patient``, ``group``, ``films`` and, where the films have a ``truth``, ``truth`` (bool;
        <NA> if no film shows the patient to be positive and one is of unknown truth).

    Raises
    ------
    CohortError
        If a column is missing.
    """
    check_columns(triaged, [patient, "group"])
    urgency = triaged["group"].map({name: place for place, name in enumerate(GROUPS)})
    frame = pd.DataFrame({patient: triaged[patient], "place": urgency, "truth": _truth(triaged, positive)})
    found = frame.groupby(patient, sort=False).agg(
        place=("place", "min"), films=("place", "size"), truth=("truth", _any_positive)
    )
    found["group"] = [GROUPS[int(place)] for place in found["place"]]
    columns = ["group", "films", *(["truth"] if "truth" in triaged else [])]
    return found.astype({"truth": "boolean"})[columns].reset_index()


def _any_positive(truth: pd.Series) -> Any:
    known = truth.dropna()
    if known.any():
        return True
    return False if len(known) == len(truth) and len(truth) else pd.NA


def triage_summary(triaged: pd.DataFrame, positive: Sequence[str], patient: str = "patient") -> pd.DataFrame:
    """How many films and patients are in each group, and how many of them are truly positive.

    Returns
    -------
    pandas.DataFrame
        A row for each unit (``film``, and ``patient`` where the column is there) and group: ``unit``, ``group``,
        ``n``, ``share``; with a column ``truth`` also ``positive``, ``negative`` and ``unknown`` (no truth).
    """
    rows = []
    for unit, table in _units(triaged, positive, patient).items():
        for name in GROUPS:
            part = table[table["group"] == name]
            row: dict[str, Any] = {"unit": unit, "group": name, "n": len(part)}
            row["share"] = len(part) / len(table) if len(table) else NAN
            if "truth" in triaged:
                row |= {
                    "positive": int(part["truth"].eq(True).sum()),
                    "negative": int(part["truth"].eq(False).sum()),
                    "unknown": int(part["truth"].isna().sum()),
                }
            rows.append(row)
    return pd.DataFrame(rows)


def triage_scores(
    triaged: pd.DataFrame, positive: Sequence[str], patient: str = "patient", confidence: float = 0.95
) -> pd.DataFrame:
    """What the triage is worth where the truth is known.

    ``sensitivity`` is the share of positives that are not excluded (confirmed or read), ``sensitivity_confirmed``
    of those confirmed; ``npv_of_exclusion`` the share of the excluded that are negative; ``negatives_excluded`` the
    share of negatives that are; ``confirmations_spared`` the share of all that need no RT-PCR or CT at once;
    ``readings`` the share that a radiologist reads; ``ppv_of_confirmation`` the share of the confirmed that are
    positive. The predictive values and shares hold for the prevalence of these films, which is seldom that of a ward.

    Returns
    -------
    pandas.DataFrame
        A row for each unit and measure: ``unit``, ``measure``, ``count``, ``n``, ``value``, ``low`` and ``high``
        (Wilson), ``exact_low`` and ``exact_high`` (Clopper-Pearson), ``missed`` (positives excluded), ``unknown``
        (rows without truth, left out) and ``note``. Undefined values are NaN. Intervals of films take them as
        independent; where patients repeat, the note says so and the rows of patients are the ones to report.

    Raises
    ------
    CohortError
        If there is no column ``truth``.
    """
    check_columns(triaged, ["truth", "group"])
    repeated = patient in triaged and bool(triaged[patient].duplicated().any())
    rows = []
    for unit, table in _units(triaged, positive, patient).items():
        known = table[table["truth"].notna()]
        truth, group = known["truth"].to_numpy(bool), known["group"].to_numpy()
        counts = _counts(truth, group)
        missed = int((truth & (group == EXCLUDED)).sum())
        for name, (count, n) in counts.items():
            low, high = wilson_interval(count, n, confidence)
            exact_low, exact_high = clopper_pearson_interval(count, n, confidence)
            rows.append(
                {
                    "unit": unit,
                    "measure": name,
                    "count": count,
                    "n": n,
                    "value": count / n if n else NAN,
                    "low": low,
                    "high": high,
                    "exact_low": exact_low,
                    "exact_high": exact_high,
                    "missed": missed,
                    "unknown": len(table) - len(known),
                    "note": "films of one patient taken as independent" if unit == "film" and repeated else "",
                }
            )
    return pd.DataFrame(rows)


def triage_curve(
    predictions: pd.DataFrame,
    positive: Sequence[str],
    by: By = "entropy",
    thresholds: FloatArray | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Share of films read by a radiologist against the share of positives missed, over the threshold.

    Parameters
    ----------
    predictions, positive, by
        As :func:`triage`; with a column ``truth``. Films without truth are left out.
    thresholds
        By default every uncertainty that occurs, and one at which no film is read.
    confidence
        Of Wilson's interval of the missed share.

    Returns
    -------
    pandas.DataFrame
        A row a threshold, from none read to all: ``threshold`` (NaN where none is read), ``read``, ``read_share``,
        ``missed``, ``missed_share`` (of positives), ``missed_low``, ``missed_high``, ``confirmed_share``, ``n`` and
        ``positives``.

    Raises
    ------
    CohortError, LabelError, ConfigError
        As :func:`triage`, or if there is no column ``truth``.
    """
    check_columns(predictions, ["truth", "predicted"])
    known = predictions[predictions["truth"].notna()]
    base = triage(known, positive, by, None)
    measured = uncertainty(known, by)
    flipped = -measured if by.endswith("margin") else measured
    if thresholds is None:
        levels = np.concatenate([[np.inf], np.unique(flipped[~np.isnan(flipped)])[::-1]])
    else:
        given = np.asarray(thresholds, dtype=np.float64)
        levels = np.sort(-given if by.endswith("margin") else given)[::-1]
    truth = known["truth"].isin(list(positive)).to_numpy()
    confirmed, unread = (base["group"] == CONFIRM).to_numpy(), (base["group"] == UNCERTAIN).to_numpy()
    rows = []
    for level in levels:
        read = unread | (flipped >= level) | np.isnan(flipped)
        missed, positives = int((truth & ~confirmed & ~read).sum()), int(truth.sum())
        low, high = wilson_interval(missed, positives, confidence)
        rows.append(
            {
                "threshold": NAN if np.isinf(level) else abs(float(level)),
                "read": int(read.sum()),
                "read_share": float(read.mean()) if read.size else NAN,
                "missed": missed,
                "missed_share": missed / positives if positives else NAN,
                "missed_low": low,
                "missed_high": high,
                "confirmed_share": float((confirmed & ~read).mean()) if read.size else NAN,
                "n": int(read.size),
                "positives": positives,
            }
        )
    return pd.DataFrame(rows)


def _counts(truth: AnyArray, group: AnyArray) -> dict[str, tuple[int, int]]:
    confirmed, excluded, read = group == CONFIRM, group == EXCLUDED, group == UNCERTAIN
    pairs = {
        "sensitivity": (truth & ~excluded, truth),
        "sensitivity_confirmed": (truth & confirmed, truth),
        "npv_of_exclusion": (~truth & excluded, excluded),
        "negatives_excluded": (~truth & excluded, ~truth),
        "ppv_of_confirmation": (truth & confirmed, confirmed),
        "confirmations_spared": (~confirmed, np.ones_like(truth)),
        "readings": (read, np.ones_like(truth)),
    }
    return {name: (int(part.sum()), int(whole.sum())) for name, (part, whole) in pairs.items()}


def _truth(triaged: pd.DataFrame, positive: Sequence[str]) -> pd.Series:
    """Whether each film is truly positive: True, False or <NA>."""
    if "truth" not in triaged:
        return pd.Series(pd.NA, index=triaged.index, dtype="boolean")
    found = triaged["truth"].isin(list(positive)).astype("boolean")
    return found.mask(triaged["truth"].isna())


def _units(triaged: pd.DataFrame, positive: Sequence[str], patient: str) -> dict[str, pd.DataFrame]:
    check_columns(triaged, ["group"])
    units = {"film": pd.DataFrame({"group": triaged["group"], "truth": _truth(triaged, positive)})}
    if patient in triaged:
        found = by_patient_group(triaged, positive, patient)
        units["patient"] = found if "truth" in found else found.assign(truth=pd.NA)
    return units


def _check(predictions: pd.DataFrame, positive: Sequence[str], by: str, threshold: float | None, study: str) -> None:
    if by not in _BY:
        raise ConfigError(f"by is {by!r}; expected one of {', '.join(_BY)}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"threshold is {threshold}; expected a value in [0, 1], or None for two groups")
    if isinstance(positive, str) or not len(positive):
        raise ConfigError(f"positive is {positive!r}; expected a list of classes, such as ('viral',)")
    known = set(predictions["predicted"].dropna()) | {
        str(name).removeprefix("p_") for name in predictions.columns if str(name).startswith("p_")
    }
    unknown = [name for name in positive if name not in known]
    if unknown and len(known):
        raise LabelError(f"no film can be predicted as {unknown}; expected some of {sorted(map(str, known))}")
    repeated = predictions[study][predictions[study].duplicated()]
    if len(repeated):
        raise CohortError(
            f"{len(repeated)} rows repeat a film, such as {repeated.iloc[0]!r}; cut the table to one method "
            "and one row a film"
        )
