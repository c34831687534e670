"""Commands on predictions: ``calibrate``, ``ensemble`` and ``patches-needed``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from patchcxr.errors import CohortError, ConfigError
from patchcxr.report.spreadsheet import read_table

if TYPE_CHECKING:
    from patchcxr.inference.predictions import Predictions
    from patchcxr.report.calibration_tables import Calibrated


def calibrate(options: argparse.Namespace) -> int:
    """Measure calibration, fit a temperature on validation films, and write the calibrated predictions.

    Below ``--out``: the tables ``calibration``, ``reliability``, ``selective`` and ``selective_curve``,
    ``predictions.csv`` (scaled, where there are validation films), and the figures ``reliability`` and ``selective``.
    """
    from patchcxr.inference.predictions import by_method
    from patchcxr.inference.temperature import calibrated
    from patchcxr.report.calibration_tables import calibrate as fit
    from patchcxr.report.calibration_tables import write_calibration

    out, rng = Path(options.out), np.random.default_rng(options.seed)
    methods = by_method(read_table(options.predictions), where=options.predictions)
    validation = None
    if options.validation:
        classes = next(iter(methods.values())).classes
        validation = by_method(read_table(options.validation), classes, options.validation)
    found = fit(methods, validation)
    table = write_calibration(found, out, rng, options.resamples, options.bins)
    if validation is not None:
        # Films of unknown truth are scaled too, though they cannot be scored.
        parts = [calibrated(p, found[name].temperature).table for name, p in methods.items()]  # type: ignore[arg-type]
        from patchcxr.report.tables import write_table

        write_table(pd.concat(parts, ignore_index=True), out / "predictions", kinds=("csv",))
    _calibration_figures(found, table, out, options.bins)
    print(f"calibration: {out} (expected calibration error of the class said; 95 % interval over patients)")
    for row in table.to_dict("records"):
        fitted = "" if np.isnan(row["temperature"]) else f", T = {row['temperature']:.3f}"
        note = f" ({row['note']})" if row["note"] else ""
        print(
            f"  {row['method']:12} {row['probabilities']:12} {row['ece']:.3f} ({row['ece_low']:.3f} to "
            f"{row['ece_high']:.3f}), NLL {row['nll']:.3f}, n {row['n']}{fitted}{note}"
        )
    unknown = sum(int((p.truth < 0).sum()) for p in methods.values())
    if unknown:
        print(f"  {unknown} predictions have no truth and are not scored")
    return 0


def _calibration_figures(found: dict[str, Calibrated], table: pd.DataFrame, out: Path, bins: int) -> None:
    from patchcxr.report.calibration import reliability_figure, selective_figure
    from patchcxr.report.calibration_tables import CONFIDENCES, GIVEN, reliability_table, selective_curves
    from patchcxr.report.style import save_figure
    from patchcxr.report.tables import format_interval

    rows = table.set_index(["method", "probabilities"])
    titles = {
        (name, state): _title(name, len(found), _state(method, state))
        for name, method in found.items()
        for state in method.states
    }
    errors = {key: format_interval(*rows.loc[key, ["ece", "ece_low", "ece_high"]]) for key in titles}
    panels = {titles[key]: reliability_table(found[key[0]].states[key[1]], bins) for key in titles}
    notes = {titles[key]: f"ECE {text}" for key, text in errors.items()}
    save_figure(reliability_figure(panels, notes), out / "reliability")
    areas = read_table(out / "selective.csv").set_index(["method", "probabilities", "confidence"])["aurc"]
    curves, texts = {}, {}
    for (name, state, score), curve in selective_curves(found).items():
        if state == GIVEN:
            title = _title(name, len(found), CONFIDENCES[score])
            curves[title], texts[title] = curve, f"{areas.loc[name, state, score]:.3f}"
    save_figure(selective_figure(curves, texts), out / "selective")


def _state(method: Calibrated, state: str) -> str:
    """What a panel says of its probabilities: nothing where there is one state alone."""
    if method.temperature is None:
        return ""
    return state if method.states[state] is method.given else f"T = {method.temperature.value:.2f}"


def _title(method: str, methods: int, what: str) -> str:
    """Title of one of several methods, or of the only one, of which nothing but ``what`` is said."""
    parts = [part for part in (method if methods > 1 or not what else "", what) if part]
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def ensemble(options: argparse.Namespace) -> int:
    """Combine classifiers by majority vote or weighted average, and score them and the ensemble on the same films.

    Each table is one classifier, or several that its column ``method`` tells apart. Below ``--out``:
    ``predictions.csv`` (of the ensemble), ``missing.csv`` (films that a classifier lacks, left out), ``weights``, and
    the scores of ``patchcxr metrics`` for every classifier and the ensemble.
    """
    from patchcxr.inference.ensembles import align, combine, fit_weights, weight_table
    from patchcxr.inference.temperature import check_apart
    from patchcxr.report.tables import write_table

    out = Path(options.out)
    members, missing = align(_classifiers(options.predictions))
    weights = None
    if options.rule == "weighted":
        if not options.validation:
            raise ConfigError("--rule weighted fits its weights on validation films; give --validation A.csv B.csv ...")
        fit_on = _classifiers(options.validation)
        if len(fit_on) != len(members):
            raise ConfigError(
                f"{len(members)} classifiers and {len(fit_on)} with --validation; expected one validation table for "
                "each, in the same order"
            )
        known, _ = align({name: p.known() for name, p in zip(members, fit_on.values(), strict=True)})
        for name, found in known.items():
            check_apart(found, members[name])
        weights = fit_weights(np.stack([p.probability for p in known.values()]), next(iter(known.values())).truth)
        write_table(weight_table(known, weights), out / "weights")
    elif options.validation:
        raise ConfigError("--validation is for --rule weighted; a majority vote has no weights to fit")
    table = combine(members, options.rule, weights)
    write_table(table, out / "predictions", kinds=("csv",))
    write_table(missing, out / "missing", kinds=("csv",))
    print(f"ensemble: {len(table)} films in {out}, {options.rule} of {', '.join(members)}")
    if weights is not None:
        print("  weights: " + ", ".join(f"{name} {w:.3f}" for name, w in zip(members, weights, strict=True)))
    if len(missing):
        left = missing["study"].nunique()
        print(f"  {left} films left out, which a classifier lacks; see {out / 'missing.csv'}")
    _score_ensemble(members, table, out, options.seed, options.resamples)
    return 0


def _score_ensemble(members: dict[str, Predictions], table: pd.DataFrame, out: Path, seed: int, resamples: int) -> None:
    first = next(iter(members.values()))
    unknown = int((first.truth < 0).sum())
    if unknown == len(first.truth):
        print("  not scored: no film has a truth")
        return
    if unknown:
        print(f"  {unknown} films have no truth and are not scored")
    from patchcxr.study.evaluate.classification import score_predictions

    each = [member.table.assign(method=name) for name, member in members.items()]
    stacked = pd.concat([*each, table], ignore_index=True)
    stacked = stacked[stacked["truth"].notna()]
    score_predictions(stacked, first.classes, out, np.random.default_rng(seed), resamples)
    print((out / "scores.md").read_text(encoding="utf-8"))


def _classifiers(paths: Sequence[str]) -> dict[str, Predictions]:
    """Predictions of each classifier, named after its file (and folder, where names repeat) and its method."""
    from patchcxr.inference.predictions import by_method

    files = [Path(path) for path in paths]
    stems = [file.stem for file in files]
    names = stems if len(set(stems)) == len(stems) else ["-".join(file.with_suffix("").parts[-2:]) for file in files]
    if len(set(names)) < len(names):
        raise ConfigError(f"got the tables {', '.join(paths)}; expected each once, with file names that differ")
    found: dict[str, Predictions] = {}
    for name, file in zip(names, files, strict=True):
        methods = by_method(read_table(file), where=str(file))
        found |= {name if len(methods) == 1 else f"{name}-{method}": part for method, part in methods.items()}
    return found


def patches_needed(options: argparse.Namespace) -> int:
    """Tell how many patches the votes of a folder of ``patchcxr classify`` need; the network is not run again.

    Below ``--out`` (by default ``patches_needed`` in the folder): ``films``, ``stability`` (share of settled films by
    number of patches), ``failures.csv``, and the figure ``stability``.
    """
    from patchcxr.cli.options import finish
    from patchcxr.inference.patches_needed import patches_needed as advise
    from patchcxr.inference.predictions import as_predictions
    from patchcxr.inference.vote_error import SIZES
    from patchcxr.report.calibration import stability_figure
    from patchcxr.report.style import save_figure
    from patchcxr.report.tables import write_table
    from patchcxr.study.predict import failure_table
    from patchcxr.study.recorded_votes import recorded_votes

    folder = Path(options.folder)
    out = Path(options.out) if options.out else folder / "patches_needed"
    predictions = as_predictions(read_table(folder / "predictions.csv"), where=str(folder / "predictions.csv"))
    failures: list[tuple[str, str, str]] = []
    votes = recorded_votes(folder, predictions, options.rule, failures)
    first = next(votes, None)
    if first is None:
        raise CohortError(f"{folder}: no film has recorded patches; the first failure: {failures[0][2]}")
    everything = (film for part in ([first], votes) for film in part)
    found = advise(everything, SIZES, options.level, options.seed, options.resamples)
    films = found.films.merge(predictions.table[["study", "patient"]], on="study")
    films["predicted"] = np.array(predictions.classes, dtype=object)[films["predicted"]]
    write_table(films, out / "films")
    write_table(found.cohort, out / "stability")
    recorded = films["patches"].unique()
    marked = int(recorded[0]) if len(recorded) == 1 else None
    save_figure(stability_figure(found.cohort, options.level, marked), out / "stability")
    for row in found.cohort.to_dict("records"):
        print(
            f"  {row['patches']:5} patches: {row['stable']} of {row['n']} films settled "
            f"({row['share']:.1%}), {row['redraw']:.1%} expected to differ from the recorded vote"
        )
    return finish(failure_table(failures), out, len(films), "patches needed")
