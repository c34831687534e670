"""Figures of probabilistic Grad-CAM from a finished study: Oh 2020, Fig. 7 and 8.

Each function returns its parts by the suffix of their files. Which films are
shown follows from a rule that the table's note states, and the films that the
networks get wrong are among them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from patchcxr.errors import SplitError
from patchcxr.explain.infection_map import PAPER_COLORMAP
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.classification import auroc
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.report.film_grid import Panel, film_grid
from patchcxr.report.groups import group_scatter
from patchcxr.report.map_scale import common_scale
from patchcxr.report.paper_figure import PaperFigure
from patchcxr.report.style import DOUBLE_COLUMN_MM, display_name
from patchcxr.report.tables import PaperTable, format_interval
from patchcxr.stats.bootstrap import cluster_bootstrap_auroc
from patchcxr.study.evaluate.saliency import StudyMaps
from patchcxr.study.examples import ORIGINAL, PREPARED, choose_films, film_picture, said_by_classifiers
from patchcxr.study.run import Study
from patchcxr.types import FloatArray


def oh2020_figure_7(
    study: Study,
    count: int = 3,
    label: str | None = None,
    colormap: str = PAPER_COLORMAP,
    original: bool = False,
    width_mm: float = DOUBLE_COLUMN_MM,
) -> dict[str, PaperFigure]:
    """Global Grad-CAM, film, and probabilistic Grad-CAM of patients with COVID-19 (Oh 2020, Fig. 7).

    Parameters
    ----------
    study
        A finished study.
    count
        Films, chosen by the patch vote's probability of the explained class.
    label
        Label or class of the films; by default ``covid19`` where the test set
        has it, else the explained class.
    colormap, original, width_mm
        See :class:`~patchcxr.report.film_grid.Scale`,
        :func:`~patchcxr.study.examples.film_picture` and
        :func:`~patchcxr.report.film_grid.film_grid`.

    Raises
    ------
    SplitError
        If no test film of that label has both maps.
    """
    target, maps = study.config.explanation.target, StudyMaps(study)
    rows, wanted = study.classified("test"), label
    if wanted is None:
        is_target = rows["class_name"] == target
        wanted = "covid19" if (is_target & (rows["label"] == "covid19")).any() else target
    rows = rows[(rows["label"] == wanted) | (rows["class_name"] == wanted)]
    both = [all(name in folder for folder in maps.folders.values()) for name in rows["study"]]
    films = rows.loc[both, ["study", "patient", "label", "class_name"]]
    films = films.merge(said_by_classifiers(study), on="study", how="left")
    if films.empty:
        raise SplitError(
            f"no test film of {wanted!r} has both Grad-CAM maps; choose another label, or see failures.csv"
        )
    chosen = choose_films(films, "p_local", count, f"the patches' mean probability of {display_name(target)}")
    broads: list[FloatArray] = []
    locals_: list[FloatArray] = []
    panels = []
    for row in chosen.films.itertuples():
        film = film_picture(study, row.study, original)
        broad = resize_image(maps.map(row.study, "global_gradcam"), film.shape)
        local = resize_image(maps.map(row.study, "probabilistic_gradcam"), film.shape)
        broads.append(broad)
        locals_.append(local)
        panels.append(
            [
                Panel(film, broad, "global", text=f"p = {row.p_global:.2f}"),
                Panel(film),
                Panel(film, local, "local", text=f"p = {row.p_local:.2f}"),
            ]
        )
    name = display_name(target)
    scales = {
        "global": common_scale("Grad-CAM", broads, colormap, study.config.explanation.normalization),
        "local": common_scale("Probabilistic Grad-CAM", locals_, colormap),
    }
    figure = film_grid(
        panels,
        ["Global: Grad-CAM", "Film", "Local: probabilistic Grad-CAM"],
        [f"{display_name(row.label)}\n{row.study}" for row in chosen.films.itertuples()],
        scales,
        width_mm,
    )
    films["shown"] = films["study"].isin(chosen.films["study"])
    shown = chosen.films[["study", "label", "p_global", "predicted_global", "p_local", "predicted_local"]]
    note = (
        f"Shown: {chosen.rule}. Maps and p are those of {name}; p of the local approach is the mean over patches. "
        f"{ORIGINAL if original else PREPARED}"
    )
    caption = f"Maps of {name} for patients with {display_name(wanted)}: global approach, film, local approach."
    return {"": PaperFigure(figure, PaperTable(data=films, shown=shown, caption=caption, note=note))}


def class_map_values(study: Study) -> pd.DataFrame:
    """Mean and largest value, within the lungs, of the probabilistic Grad-CAM of the explained class: every test film.

    Returns
    -------
    Columns ``study``, ``patient``, ``label``, ``class_name``, ``map_mean`` and
    ``map_max``; NaN where no lung was found.
    """
    size, lungs = study.config.explanation.map_size, study.lungs()
    folder, values = ArrayFolder(study.out / "local_test" / "maps"), []
    rows = study.classified("test")[["study", "patient", "label", "class_name"]]
    rows = rows[[name in folder for name in rows["study"]]].reset_index(drop=True)
    for name in rows["study"]:
        inside = np.asarray(folder.load(name), dtype=np.float32)[lungs.structure(name, "lung", size)]
        values.append((float(inside.mean()), float(inside.max())) if inside.size else (float("nan"),) * 2)
    rows[["map_mean", "map_max"]] = np.array(values, dtype=float).reshape(-1, 2)
    return rows


def class_map_table(films: pd.DataFrame, classes: Sequence[str], target: str, seed: int, resamples: int) -> PaperTable:
    """Map means by class, and how well they tell the explained class from each other one.

    Parameters
    ----------
    films
        Of :func:`class_map_values`.
    classes, target
        Classes in their order, and the explained one.
    seed, resamples
        Of the bootstrap over patients.
    """
    known, rows = films.dropna(subset="map_mean"), []
    for name in classes:
        part = known[known["class_name"] == name]
        if part.empty:
            continue
        low, median, high = np.quantile(part["map_mean"], [0.25, 0.5, 0.75])
        row = {"class": name, "films": len(part), "patients": part["patient"].nunique()}
        row |= {"median": median, "quartile_low": low, "quartile_high": high}
        both = known[known["class_name"].isin([name, target])]
        truth, score = (both["class_name"] == target).to_numpy(), both["map_mean"].to_numpy()
        area, ends = float("nan"), (float("nan"), float("nan"))
        if name != target and truth.any():
            rng = np.random.default_rng(seed)
            area = auroc(truth, score)
            found = cluster_bootstrap_auroc(
                truth, score, rng=rng, groups=both["patient"].to_numpy(), resamples=resamples
            )
            ends = (found.low, found.high)
        rows.append({**row, "auroc": area, "auroc_low": ends[0], "auroc_high": ends[1]})
    data = pd.DataFrame(rows)
    shown = data[["class", "films", "patients"]].copy()
    shown["Median (quartiles)"] = [
        format_interval(*ends) for ends in data[["median", "quartile_low", "quartile_high"]].to_numpy()
    ]
    shown["AUROC (95 % CI)"] = [
        format_interval(*ends) for ends in data[["auroc", "auroc_low", "auroc_high"]].to_numpy()
    ]
    return PaperTable(
        data=data,
        shown=shown,
        caption=f"Mean of the probabilistic Grad-CAM of {display_name(target)} within the lungs, by true class.",
        note=f"AUROC: {display_name(target)} against the class of the row, by the mean of the map; interval by "
        "bootstrap over patients.",
    )


def oh2020_figure_8(
    study: Study,
    count: int = 1,
    colormap: str = PAPER_COLORMAP,
    original: bool = False,
    width_mm: float = DOUBLE_COLUMN_MM,
) -> dict[str, PaperFigure]:
    """Probabilistic Grad-CAM of one class for films of every class, on one scale (Oh 2020, Fig. 8).

    ``""`` shows films of each class, ``"_values"`` the mean of the map for
    every test film, which says whether what is shown is the rule.

    Parameters
    ----------
    study
        A finished study.
    count
        Films of each class: the median one of the class by the mean of its
        map, or several, evenly spaced.
    colormap, original, width_mm
        As for :func:`oh2020_figure_7`.

    Raises
    ------
    SplitError
        If no test film has a map.
    """
    target, films = study.config.explanation.target, class_map_values(study)
    if films.empty:
        raise SplitError("no test film has a probabilistic Grad-CAM; see the failures of the step local_test")
    films = films.merge(said_by_classifiers(study), on="study", how="left")
    classes = [
        name for name in study.scheme.classes if films.loc[films["class_name"] == name, "map_mean"].notna().any()
    ]
    mean_of = f"the mean of the map of {display_name(target)} within the lungs"
    chosen = {name: choose_films(films[films["class_name"] == name], "map_mean", count, mean_of) for name in classes}
    folder = ArrayFolder(study.out / "local_test" / "maps")
    panels: list[list[Panel | None]] = []
    drawn: list[FloatArray] = []
    for place in range(max(len(found.films) for found in chosen.values())):
        above: list[Panel | None] = []
        below: list[Panel | None] = []
        for found in chosen.values():
            if place >= len(found.films):
                above.append(None)
                below.append(None)
                continue
            row = found.films.iloc[place]
            film = film_picture(study, row["study"], original)
            drawn.append(resize_image(np.asarray(folder.load(row["study"]), dtype=np.float32), film.shape))
            above.append(Panel(film, text="" if row["label"] == row["class_name"] else display_name(row["label"])))
            below.append(Panel(film, drawn[-1], "map", text=f"mean {row['map_mean']:.3f}"))
        panels += [above, below]
    name = display_name(target)
    scale = common_scale(f"Probabilistic Grad-CAM of {name}, one scale for all films", drawn, colormap)
    titles = [display_name(found) for found in classes]
    names = ["Film", f"Map of {name}"] * (len(panels) // 2)
    figure = film_grid(panels, titles, names, {"map": scale}, width_mm)
    shown = pd.concat([found.films for found in chosen.values()])
    films["shown"] = films["study"].isin(shown["study"])
    rules = "; ".join(f"{display_name(c)}: {found.rule}" for c, found in chosen.items())
    note = f"Shown: {rules}. The number is that mean. {ORIGINAL if original else PREPARED}"
    columns = ["study", "class_name", "label", "map_mean", "map_max", "p_local", "predicted_local"]
    table = PaperTable(
        data=films,
        shown=shown[columns],
        caption=f"Probabilistic Grad-CAM of {name} for films of each class.",
        note=note,
    )
    values = group_scatter(
        films, "map_mean", "class_name", classes, ylabel=f"Map of {name}, mean in the lungs", patient="patient"
    )
    summary = class_map_table(films, classes, target, study.config.seed, study.config.report.bootstrap_resamples)
    return {"": PaperFigure(figure, table), "_values": PaperFigure(values, summary)}
