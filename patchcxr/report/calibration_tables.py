"""Tables of calibration and selective prediction, for any table of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError
from patchcxr.inference.predictions import Predictions
from patchcxr.inference.temperature import Temperature, calibrated, check_apart, fit_temperature
from patchcxr.measure.calibration import (
    BINS,
    bin_edges,
    bin_of,
    brier_terms,
    likelihood_terms,
    maximum_calibration_error,
    reliability_bins,
)
from patchcxr.measure.selective import (
    SelectiveCurve,
    area_under_risk_coverage,
    at_coverage,
    excess_area_under_risk_coverage,
    selective_curve,
)
from patchcxr.report.tables import write_table
from patchcxr.stats.bootstrap import cluster_bootstrap, cluster_bootstrap_sums
from patchcxr.stats.intervals import wilson_interval
from patchcxr.types import AnyArray, BoolArray, FloatArray

GIVEN, SCALED = "as given", "temperature"
COVERAGES: Final = (1.0, 0.9, 0.8, 0.5)
CONFIDENCES: Final = {
    "probability": "probability of the class",
    "margin": "margin of the vote",
    "entropy": "1 − entropy of the vote",
}
"""Confidence scores in words."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """Predictions of a method for films of known truth, as given and, where there were validation films, scaled."""

    given: Predictions
    scaled: Predictions | None = None
    temperature: Temperature | None = None

    @property
    def states(self) -> dict[str, Predictions]:
        """Predictions by state: :data:`GIVEN`, and :data:`SCALED` where there is a temperature."""
        return {GIVEN: self.given} | ({} if self.scaled is None else {SCALED: self.scaled})


def calibrate(
    methods: Mapping[str, Predictions], validation: Mapping[str, Predictions] | None = None
) -> dict[str, Calibrated]:
    """Fit a temperature for each method on its validation films, and apply it to the others.

    Parameters
    ----------
    methods, validation
        Predictions by method; without validation nothing is fitted.

    Raises
    ------
    CohortError
        If no film of a method has a truth, or a method has no validation films.
    SplitError
        If validation and test films share patients, or the former are of one class only.
    """
    found = {}
    for name, predictions in methods.items():
        test = predictions.known()
        if validation is None:
            found[name] = Calibrated(test)
            continue
        if name not in validation:
            raise CohortError(f"no validation films of the method {name!r}; there are {', '.join(validation)}")
        fit_on = validation[name].known()
        check_apart(fit_on, predictions)
        temperature = fit_temperature(fit_on.probability, fit_on.truth)
        found[name] = Calibrated(test, calibrated(test, temperature), temperature)
    return found


def reliability_table(predictions: Predictions, bins: int = BINS, binning: str = "width") -> pd.DataFrame:
    """Confidence and accuracy of the class that was said, by bin, with Wilson's interval of the accuracy.

    Columns: ``low``, ``high`` (ends of the bin), ``n``, ``confidence``, ``accuracy``, ``accuracy_low``,
    ``accuracy_high``; NaN in empty bins. The interval takes films as independent.
    """
    found = reliability_bins(predictions.confidence, predictions.correct, bins, binning)
    right = np.nan_to_num(found.accuracy * found.weight).round().astype(int)
    ends = [wilson_interval(int(k), int(n)) for k, n in zip(right, found.weight, strict=True)]
    low, high = np.array(ends).T
    return pd.DataFrame(
        {
            "low": found.low,
            "high": found.high,
            "n": found.weight.astype(int),
            "confidence": found.confidence,
            "accuracy": found.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
        }
    )


def calibration_table(
    methods: Mapping[str, Calibrated], rng: np.random.Generator, resamples: int = 1000, bins: int = BINS
) -> pd.DataFrame:
    """How well probabilities are calibrated, a row for each method and state of its probabilities.

    Columns: ``method``, ``probabilities`` (:data:`GIVEN` or :data:`SCALED`), ``temperature``, ``n``, ``patients``,
    ``accuracy``, ``ece`` (top-label, bins of equal width), ``ece_low``, ``ece_high``, ``ece_change`` (against the
    probabilities as given) with its ends, ``mce``, ``class_wise_ece``, ``brier``, ``nll`` and ``note``. Intervals
    resample patients with the bins kept. Resampling adds to the calibration error what few films add to it, so its
    interval lies too high; in the interval of the change this cancels, for the most part.
    """
    rows = []
    for name, method in methods.items():
        for state, found in method.states.items():
            fitted = method.temperature if state == SCALED else None
            ece = _ece_interval(found, None, rng, resamples, bins)
            row: dict[str, Any] = {
                "method": name,
                "probabilities": state,
                "temperature": fitted.value if fitted else np.nan,
                "n": len(found.truth),
                "patients": len(np.unique(found.patients)),
                "accuracy": float(found.correct.mean()),
                "ece": ece[0],
                "ece_low": ece[1],
                "ece_high": ece[2],
            }
            change = _ece_interval(found, method.given, rng, resamples, bins) if fitted else (np.nan,) * 3
            row |= dict(zip(("ece_change", "ece_change_low", "ece_change_high"), change, strict=True))
            columns = [found.probability[:, c] for c in range(len(found.classes))]
            of_class = [_gaps(p, found.truth == c, bins) for c, p in enumerate(columns)]
            row |= {
                "mce": maximum_calibration_error(reliability_bins(found.confidence, found.correct, bins)),
                "class_wise_ece": float(np.mean([np.abs(gap.mean(axis=0)).sum() for gap in of_class])),
                "brier": float(brier_terms(found.probability, found.truth).mean()),
                "nll": float(likelihood_terms(found.probability, found.truth).mean()),
                "note": fitted.note if fitted else "",
            }
            rows.append(row)
    return pd.DataFrame(rows)


def _gaps(confidence: FloatArray, correct: BoolArray, bins: int) -> FloatArray:
    """Right or wrong (1 or 0) less confidence, in the column of the film's bin (N, bins)."""
    gaps = np.zeros((len(confidence), bins))
    gaps[np.arange(len(confidence)), bin_of(confidence, bin_edges(confidence, bins))] = correct - confidence
    return gaps


def _ece_interval(
    found: Predictions, other: Predictions | None, rng: np.random.Generator, resamples: int, bins: int
) -> tuple[float, float, float]:
    """Calibration error, or its difference from that of other probabilities, with its interval over patients."""
    parts = [_gaps(p.confidence, p.correct, bins) for p in (found, other) if p is not None]

    def error(sums: FloatArray) -> AnyArray:
        each = [np.abs(part).sum(axis=1) for part in np.split(sums[:, :-1], len(parts), axis=1)]
        return (each[0] - each[1] if len(each) > 1 else each[0]) / sums[:, -1]

    sums = np.column_stack([*parts, np.ones(len(found.truth))])
    interval = cluster_bootstrap_sums(error, sums, rng=rng, groups=found.patients, resamples=resamples)
    return interval.estimate, interval.low, interval.high


def confidence_scores(predictions: Predictions) -> dict[str, FloatArray]:
    """Confidence of each film by each score that the table has: higher is surer.

    ``probability`` of the class that was said; ``margin`` of the vote and 1 - its ``entropy``, where the table has
    these columns without gaps.
    """
    scores, table = {"probability": predictions.confidence}, predictions.table
    for name in ("margin", "entropy"):
        if name in table and table[name].notna().all():
            values = table[name].to_numpy(dtype=np.float64)
            scores[name] = 1 - values if name == "entropy" else values
    return scores


def selective_curves(methods: Mapping[str, Calibrated]) -> dict[tuple[str, str, str], SelectiveCurve]:
    """Curve of each method, state of its probabilities and confidence score; scores of the vote have one state."""
    curves = {}
    for name, method in methods.items():
        for state, found in method.states.items():
            for score, values in confidence_scores(found).items():
                if score == "probability" or state == GIVEN:
                    curve = selective_curve(values, found.truth, found.predicted, len(found.classes))
                    curves[name, state, score] = curve
    return curves


def selective_table(
    methods: Mapping[str, Calibrated],
    rng: np.random.Generator,
    resamples: int = 1000,
    coverages: Sequence[float] = COVERAGES,
) -> pd.DataFrame:
    """Selective prediction, a row for each method, state of its probabilities and confidence score.

    Columns: ``method``, ``probabilities``, ``confidence``, ``n``, ``aurc`` (area under the risk-coverage curve, lower
    is better) with its interval over patients, ``excess_aurc`` (above that of the best order of the same films), and
    ``accuracy_at_90``, ``f1_at_90``, ... where 90 % of the films are kept, or as many more as are equally sure.
    """
    rows = []
    for (name, state, score), curve in selective_curves(methods).items():
        found = methods[name].states[state]
        values = confidence_scores(found)[score]
        area = cluster_bootstrap(
            area_under_risk_coverage, values, found.correct, rng=rng, groups=found.patients, resamples=resamples
        )
        row: dict[str, Any] = {
            "method": name,
            "probabilities": state,
            "confidence": score,
            "n": len(found.truth),
            "aurc": area.estimate,
            "aurc_low": area.low,
            "aurc_high": area.high,
            "excess_aurc": excess_area_under_risk_coverage(values, found.correct),
        }
        for coverage in coverages:
            point = at_coverage(curve, coverage)
            row[f"accuracy_at_{round(100 * coverage)}"] = float(point.accuracy[0])
            row[f"f1_at_{round(100 * coverage)}"] = float(point.macro_f1[0])
        rows.append(row)
    return pd.DataFrame(rows)


def three_way_summary(
    methods: Mapping[str, Predictions],
    rng: np.random.Generator,
    resamples: int = 1000,
    validation: Mapping[str, Predictions] | None = None,
) -> pd.DataFrame:
    """How right, how honest, and how well aware of its errors each method is: one row a method.

    Right: ``accuracy`` and ``macro_f1``. Honest: ``ece`` with its interval and, with validation films, ``temperature``
    and ``ece_scaled``. Aware: ``aurc`` with its interval, ``excess_aurc`` and ``accuracy_at_80``, by the probability of
    the class that was said.
    """
    found = calibrate(methods, validation)
    honest = calibration_table(found, rng, resamples)
    aware = selective_table(found, rng, resamples)
    given = honest[honest["probabilities"] == GIVEN]
    summary = given[["method", "n", "patients", "accuracy", "ece", "ece_low", "ece_high"]].set_index("method")
    aware = aware[(aware["probabilities"] == GIVEN) & (aware["confidence"] == "probability")].set_index("method")
    summary.insert(3, "macro_f1", aware["f1_at_100"])
    if validation is not None:
        scaled = honest[honest["probabilities"] == SCALED].set_index("method")
        summary = summary.assign(temperature=scaled["temperature"], ece_scaled=scaled["ece"])
    return summary.join(aware[["aurc", "aurc_low", "aurc_high", "excess_aurc", "accuracy_at_80"]]).reset_index()


def write_calibration(
    methods: Mapping[str, Calibrated], folder: Path, rng: np.random.Generator, resamples: int = 1000, bins: int = BINS
) -> pd.DataFrame:
    """Write ``calibration``, ``reliability``, ``selective`` and ``selective_curve``; returns the first."""
    table = calibration_table(methods, rng, resamples, bins)
    write_table(table, folder / "calibration")
    parts = [
        reliability_table(found, bins).assign(method=name, probabilities=state)
        for name, method in methods.items()
        for state, found in method.states.items()
    ]
    reliability = pd.concat(parts, ignore_index=True)
    write_table(reliability[["method", "probabilities", *reliability.columns[:-2]]], folder / "reliability")
    write_table(selective_table(methods, rng, resamples), folder / "selective")
    curves = [
        pd.DataFrame(curve._asdict()).assign(method=name, probabilities=state, confidence=score)
        for (name, state, score), curve in selective_curves(methods).items()
    ]
    write_table(pd.concat(curves, ignore_index=True), folder / "selective_curve", kinds=("csv",))
    return table
