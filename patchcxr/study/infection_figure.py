"""Infection maps against activation maps, from a finished study: Degerli 2021, Fig. 8, shown and measured."""

from __future__ import annotations

from typing import Final

import numpy as np

from patchcxr.errors import SplitError
from patchcxr.explain.infection_map import PAPER_COLORMAP
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.report.comparison_tables import localization_table
from patchcxr.report.film_grid import Panel, film_grid
from patchcxr.report.map_scale import Scale, common_scale
from patchcxr.report.paper_figure import PaperFigure
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.statistics import localization_figure
from patchcxr.report.style import DOUBLE_COLUMN_MM, ORGAN_COLOURS, display_name
from patchcxr.report.tables import PaperTable
from patchcxr.study.evaluate.saliency import MAPS, StudyMaps, explained_films
from patchcxr.study.examples import ORIGINAL, PREPARED, choose_films, film_picture
from patchcxr.study.run import Study
from patchcxr.types import FloatArray

INFECTION_FLOOR: Final = 0.05
"""Infection probabilities up to it are not drawn; a sigmoid gives no exact 0, which the paper leaves out."""


def degerli2021_figure_8(
    study: Study,
    count: int = 4,
    colormap: str = PAPER_COLORMAP,
    original: bool = False,
    width_mm: float = DOUBLE_COLUMN_MM,
) -> dict[str, PaperFigure]:
    """Infection maps beside activation maps of the same films, with the true infection (Degerli 2021, Fig. 8).

    ``""`` shows films, ``"_values"`` the measures of every film with tests
    between the maps, as the study's step ``saliency`` has found them.

    Parameters
    ----------
    study
        A finished study.
    count
        Films, chosen by the share of the lungs that is truly infected, which
        favours no map.
    colormap, original, width_mm
        As for :func:`~patchcxr.study.paper_maps.oh2020_figure_7`.

    Raises
    ------
    SplitError
        If no film has a true infection and all maps.
    """
    maps, target = StudyMaps(study), display_name(study.config.explanation.target)
    scores = read_table(study.out / "saliency" / "films.csv")
    rows = explained_films(study, maps)[["study", "patient", "label", "class_name"]].reset_index(drop=True)
    if rows.empty:
        raise SplitError(f"no test film of {target} has an infection mask and all three maps; see failures.csv")
    rows["infected_share"] = [_infected_share(maps, name) for name in rows["study"]]
    chosen = choose_films(rows, "infected_share", count, "the truly infected share of the lungs")
    wide = scores.pivot(index="study", columns=["method", "measure"], values="value")
    drawn: dict[str, list[FloatArray]] = {method: [] for method in MAPS}
    panels = []
    for row in chosen.films.itertuples():
        film = film_picture(study, row.study, original)
        fine = study.store(film.shape[0])
        lesion = fine.mask(row.study, "infection") if fine.has(row.study, "infection") else maps.lesion(row.study)
        lesion = resize_mask(lesion, film.shape)
        infected = f"{100 * row.infected_share:.0f} % infected"
        line = [Panel(film, outlines={ORGAN_COLOURS["truth"]: lesion}, text=infected)]
        for method in reversed(MAPS):
            values = np.clip(resize_image(maps.map(row.study, method), film.shape), 0, None)
            share = wide.loc[row.study, (method, "energy_in_lesion")]
            line.append(
                Panel(film, values, method, {ORGAN_COLOURS["lesion"]: lesion}, f"{100 * share:.0f} % in lesion")
            )
        panels.append(line)
    normalization = study.config.explanation.normalization
    scales = {
        "infection_map": Scale(
            f"Probability above {INFECTION_FLOOR:g}", 1.0, colormap, floor=INFECTION_FLOOR, infection=True
        ),
        "probabilistic_gradcam": common_scale("Probabilistic Grad-CAM", drawn["probabilistic_gradcam"], colormap),
        "global_gradcam": common_scale("Grad-CAM", drawn["global_gradcam"], colormap, normalization),
    }
    titles = ["Film and true infection", *(display_name(method) for method in reversed(MAPS))]
    names = [f"{display_name(row.label)}\n{row.study}" for row in chosen.films.itertuples()]
    figure = film_grid(panels, titles, names, scales, width_mm)
    data = wide.set_axis([f"{method}_{measure}" for method, measure in wide.columns], axis=1).reset_index()
    data = rows.merge(data, on="study", how="left").assign(shown=rows["study"].isin(chosen.films["study"]))
    shares = [f"{method}_energy_in_lesion" for method in MAPS]
    outside = [f"{method}_energy_outside_lungs" for method in MAPS]
    table = PaperTable(
        data=data,
        shown=data.set_index("study").loc[chosen.films["study"], ["infected_share", *shares, *outside]].reset_index(),
        caption=f"Infection map, probabilistic Grad-CAM and global Grad-CAM of {target}, with the true infection.",
        note=f"Shown: {chosen.rule}. The number on a map is the share of its sum that lies in the true infection, that "
        "on a film the truly infected share of the predicted lungs. "
        f"{ORIGINAL if original else PREPARED}",
    )
    tests = localization_table(
        scores, MAPS, rng=np.random.default_rng(study.config.seed), resamples=study.config.report.bootstrap_resamples
    )
    named = scores.assign(method=scores["method"].map(display_name))
    pairs = tests.data.rename(columns={"method_a": "group_a", "method_b": "group_b"})
    pairs = pairs.assign(group_a=pairs["group_a"].map(display_name), group_b=pairs["group_b"].map(display_name))
    measures = ["pointing_hit", "energy_in_lesion", "energy_outside_lungs", "best_dice", "auroc", "average_precision"]
    values_figure = localization_figure(named, [display_name(method) for method in MAPS], measures, pairs)
    return {"": PaperFigure(figure, table), "_values": PaperFigure(values_figure, tests)}


def _infected_share(maps: StudyMaps, study: str) -> float:
    """Share of the predicted lungs that is truly infected; NaN without lungs."""
    lung = maps.lung(study)
    return float((maps.lesion(study) & lung).sum() / lung.sum()) if lung.any() else float("nan")
