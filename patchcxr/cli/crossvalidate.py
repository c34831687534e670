"""``patchcxr crossvalidate``."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from patchcxr.cli.options import lungs_for, open_cohort
from patchcxr.cli.study import load_study, logged
from patchcxr.report.crossvalidation import curve_of_films, curve_of_pixels, fold_curves_figure, pooled_table
from patchcxr.report.curves import confusion_figure
from patchcxr.report.style import display_name, save_figure
from patchcxr.report.tables import column_title, format_interval, write_table
from patchcxr.study.crossvalidation import CrossValidation, FoldConfig, cross_validate
from patchcxr.study.evaluate.pooled import POOLED, confusion_table
from patchcxr.study.networks import open_model
from patchcxr.study.provenance import network_fingerprint
from patchcxr.types import ANATOMY

MAIN: Final = {
    "film": ("dice", "iou"),
    "pixel": ("f1", "average_precision"),
    "image": ("sensitivity", "specificity", "auroc"),
}
"""Scores by level that the command prints."""

if TYPE_CHECKING:
    from collections.abc import Callable

    from patchcxr.study.predict import Lungs


def crossvalidate(options: argparse.Namespace) -> int:
    """Cross-validate the anatomy or the infection network; write its tables and curves."""
    out, table = Path(options.out), open_cohort(options.cohort)
    config = load_study(options.config or "oh2020", options.set, options.cohort)
    if options.seed is not None:
        config = dataclasses.replace(config, seed=options.seed)
    folds = FoldConfig(
        n_folds=options.folds, validation_fraction=options.validation, training_share=options.training_share
    )
    lungs: Callable[[pd.DataFrame], Lungs] | None = None
    lungs_from = "masks"
    if options.anatomy is not None:
        lungs_from = network_fingerprint(open_model(options.anatomy, ANATOMY)[0])[:8]
        place = out / f"lungs-{lungs_from}"
        size, steps = config.infection.image_size, config.preprocessing
        lungs = functools.partial(
            lungs_for, anatomy=options.anatomy, out=place, size=size, config=steps, whole_lungs=True
        )
    with logged(out):
        found = cross_validate(options.network, table, config, out, folds, lungs, lungs_from)
        write(found, out, config.report.formats)
    print(summary(found, out))
    for fold, error in found.missing_folds.items():
        print(f"patchcxr: error: fold {fold} is missing: {error}", file=sys.stderr)
    return 2 if found.missing_folds else 0


def write(found: CrossValidation, out: Path, formats: tuple[str, ...] = ("png", "svg")) -> None:
    """Write the tables of a cross-validation as CSV, Markdown and LaTeX, and its figures."""
    done = found.folds.loc[found.folds["fold"] != POOLED, "fold"].nunique()
    pooled_table(found.pooled, done, list(found.missing_folds)).write(out / "pooled", ("csv", "md", "tex"))
    write_table(found.folds, out / "folds")
    matrices = confusion_table(found.folds)
    write_table(matrices, out / "confusion")
    shown = {
        f"{column_title(structure)}, {level}s": part[["said_negative", "said_positive"]].to_numpy(dtype=int)
        for (structure, level), part in matrices.groupby(["structure", "level"], sort=False)
    }
    save_figure(confusion_figure(shown, ["negative", "positive"]), out / "confusion", formats)
    for structure, part in found.films.groupby("structure", sort=False):
        by_fold = found.counts[str(structure)]
        pixels = {fold: curve_of_pixels(counted) for fold, counted in by_fold.items()}
        whole = curve_of_pixels(sum(counted.sum(axis=0) for counted in by_fold.values()))
        curves = {"pixel": (whole, pixels)}
        if "truth" in part:
            films = {
                int(str(fold)): curve_of_films(piece["truth"], piece["score"]) for fold, piece in part.groupby("fold")
            }
            curves["image"] = (curve_of_films(part["truth"], part["score"]), films)
        for level, (pooled, folds) in curves.items():
            scores = found.pooled[(found.pooled["structure"] == structure) & (found.pooled["level"] == level)]
            rows = scores.set_index("measure")
            intervals = {
                name: (float(rows.at[name, "bootstrap_low"]), float(rows.at[name, "bootstrap_high"]))
                for name in ("auroc", "average_precision")
            }
            what, dot = ("films", "Rule of detection") if level == "image" else ("pixels", "Predicted masks")
            title = f"{column_title(structure)}: {what} of the test folds"
            figure = fold_curves_figure(pooled, folds, intervals, rows["value"].to_dict(), dot, title)
            save_figure(figure, out / f"curves_{structure}_{what}", formats)


def summary(found: CrossValidation, out: Path) -> str:
    """What the command prints at the end: films, folds, and the main scores with intervals over patients."""
    tested = found.films.drop_duplicates("study")
    folds = found.folds.loc[found.folds["fold"] != POOLED, "fold"].nunique()
    lines = [f"tested: {len(tested)} films of {tested['patient'].nunique()} patients in {folds} folds; tables in {out}"]
    for structure, part in found.pooled.groupby("structure", sort=False):
        rows, name, first = part.set_index(["level", "measure"]).sort_index(), column_title(structure), part.iloc[0]
        for level, measures in MAIN.items():
            if level in set(part["level"]):
                scores = [
                    rows.loc[(level, measure), ["value", "bootstrap_low", "bootstrap_high"]] for measure in measures
                ]
                cells = [
                    f"{display_name(name)} {format_interval(*score)}"
                    for name, score in zip(measures, scores, strict=True)
                ]
                lines.append(f"  {name}, by {level}: {', '.join(cells)}")
        lines.append(
            f"  {name}: {first['empty_truth']} of {first['films']} true masks are empty, and both masks of "
            f"{first['both_empty']} films"
        )
    if len(found.failures):
        lines.append(f"  {found.failures['study'].nunique()} films or steps failed; see {out / 'failures.csv'}")
    return "\n".join(lines)
