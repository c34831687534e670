"""``patchcxr compare-maps``: saliency maps of several methods against the truth, side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from patchcxr.cli.common import named_pairs, progress_bar
from patchcxr.cli.options import open_cohort
from patchcxr.errors import ConfigError, PatchCXRError
from patchcxr.io.radiograph import read_radiograph
from patchcxr.io.saliency_maps import MapFolder
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.report.figures import localization_figure, saliency_panel, save_figure
from patchcxr.report.saliency import SaliencyRow
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.style import display_name
from patchcxr.report.tables import format_interval
from patchcxr.study.compare_maps import LUNGS, MapMethod, MapScores, score_maps, write_comparison
from patchcxr.study.explain_films import explains_predicted
from patchcxr.study.map_truth import Truth, open_lungs, open_truth

DRAWN = ("pointing_hit", "energy_in_lesion", "best_iou", "iou_at_otsu", "auroc", "average_precision")
ORDERED_BY = "best_dice"
RESAMPLES = 1000
LONGEST_SIDE = 512
"""Films of the panel are drawn with at most this many pixels a side."""


def compare_maps(options: argparse.Namespace) -> int:
    """Measure maps from folders against masks, boxes or segmentations; write tables and figures, print the summary.

    Below ``--out``: ``films.csv``, ``summary``, ``tests``, ``severity`` (:func:`patchcxr.study.compare_maps
    .write_comparison`), ``left_out.csv`` (what could not be compared), and the figures ``measures`` and ``maps`` (films
    from the best to the worst).
    """
    out, table = Path(options.out), open_cohort(options.cohort)
    findings = list(options.finding)
    methods = _methods(options, findings)
    truth = open_truth(table, options.truth, findings)
    lungs = open_lungs(table, options.lungs)
    if options.with_lungs and lungs is None:
        raise ConfigError("--with-lungs: the cohort has no lung masks; give --lungs COHORT or a folder of masks")
    with progress_bar("measuring", len(truth.rows)) as progress:
        found = score_maps(truth.rows, methods, truth.read, lungs, options.size, progress, options.with_lungs)
    out.mkdir(parents=True, exist_ok=True)
    found.left_out.to_csv(out / "left_out.csv", index=False)
    names = [*(method.name for method in methods), *([LUNGS] if options.with_lungs else [])]
    summary = write_comparison(found, names, out, np.random.default_rng(options.seed), RESAMPLES)
    _draw_measures(found, names, out)
    _draw_films(found, methods, truth, options.examples, out)
    _print(found, summary, names, len(table), len(truth.rows), out)
    return 0


def _methods(options: argparse.Namespace, findings: list[str]) -> list[MapMethod]:
    roots = named_pairs(options.maps, "--maps")
    unknown = [name for name in options.probability if name not in roots]
    if unknown:
        raise ConfigError(f"--probability {unknown[0]}: no --maps has this name; expected some of {', '.join(roots)}")
    if options.size is not None and options.size < 1:
        raise ConfigError(f"--size {options.size}: expected at least 1 pixel")
    if options.with_lungs and LUNGS in roots:
        raise ConfigError(f"--maps {LUNGS}=…: --with-lungs gives this name to the lung masks; choose another name")
    for name, root in roots.items():
        if explains_predicted(root):
            raise ConfigError(
                f"--maps {name}: the maps of {root} explain the class that was predicted, which differs from film to "
                "film; expected maps of one class; run patchcxr explain with --target CLASS"
            )
    chosen = findings[0] if len(findings) == 1 else None
    return [MapMethod(name, MapFolder(root, chosen).load, name in options.probability) for name, root in roots.items()]


def _draw_measures(found: MapScores, names: list[str], out: Path) -> None:
    films = found.films[found.films["compared"] & found.films["value"].notna()]
    drawn = [name for name in DRAWN if (films["measure"] == name).any()]
    if not drawn:
        return
    pairs = None
    if len(names) > 1:
        pairs = read_table(out / "tests.csv").rename(columns={"method_a": "group_a", "method_b": "group_b"})
        pairs[["group_a", "group_b"]] = pairs[["group_a", "group_b"]].map(display_name)
    shown = films.assign(method=films["method"].map(display_name))
    save_figure(localization_figure(shown, [display_name(name) for name in names], drawn, pairs), out / "measures")


def _draw_films(found: MapScores, methods: list[MapMethod], truth: Truth, examples: int, out: Path) -> None:
    """Draw films from the best to the worst by their mean over the methods; one that cannot be drawn is left out."""
    films = found.films[found.films["compared"] & (found.films["measure"] == ORDERED_BY)]
    order = films.groupby("study")["value"].mean().dropna().sort_values(ascending=False).index
    if examples < 1 or order.empty:
        return
    places = np.unique(np.linspace(0, len(order) - 1, min(examples, len(order))).round().astype(int))
    rows = truth.rows.set_index(truth.rows["study"].astype(str), drop=False)
    panel = []
    for study in order[places]:
        row: dict[str, Any] = rows.loc[study].to_dict()
        try:
            film = read_radiograph(row["image"]).pixels
            factor = min(1.0, LONGEST_SIDE / max(film.shape))
            shape = (max(1, round(film.shape[0] * factor)), max(1, round(film.shape[1] * factor)))
            maps = {method.name: resize_image(method.load(study), shape) for method in methods}
            label = "" if pd.isna(row.get("label")) else str(row["label"])
            panel.append(SaliencyRow(study, label, resize_image(film, shape), truth.read(row, shape), maps))
        except (PatchCXRError, OSError) as error:
            print(f"{study}: not drawn ({error})", file=sys.stderr)
    if panel:
        save_figure(saliency_panel(panel, [method.name for method in methods if method.probability]), out / "maps")


def _print(found: MapScores, summary: pd.DataFrame, names: list[str], cohort: int, known: int, out: Path) -> None:
    compared = found.films.loc[found.films["compared"], "study"].nunique()
    print(f"maps: {compared} of {known} films with a truth compared ({cohort} in the cohort); {out}")
    print("mean (95 % interval over patients)")
    widths = [max(24, len(name) + 2) for name in names]
    print("  " + " " * 22 + "".join(f"{name:{width}}" for name, width in zip(names, widths, strict=True)) + "n")
    for measure, part in summary.groupby("measure", sort=False):
        if not part["n"].any():
            continue
        cells = part.set_index("method").loc[names]
        shown = [format_interval(*cells.loc[name, ["mean", "low", "high"]]) for name in names]
        counts = "/".join(str(count) for count in dict.fromkeys(cells["n"]))
        print(
            f"  {measure:22}" + "".join(f"{text:{width}}" for text, width in zip(shown, widths, strict=True)) + counts
        )
    if len(found.left_out):
        films = found.left_out["study"].nunique()
        print(f"{films} films lack a usable map or truth; see {out / 'left_out.csv'}", file=sys.stderr)
