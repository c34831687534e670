"""How much of a Grad-CAM lies outside the lungs, with and without lung segmentation: Hertel 2022, Fig. 11, measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.errors import ConfigError, SplitError
from patchcxr.explain.infection_map import PAPER_COLORMAP
from patchcxr.io.arrays import ArrayFolder
from patchcxr.measure.localization import localization_scores
from patchcxr.models.trained import TrainedModel
from patchcxr.preprocessing.geometry import resize_image
from patchcxr.preprocessing.lungfields import mask_image
from patchcxr.report.film_grid import Panel, film_grid
from patchcxr.report.map_scale import common_scale
from patchcxr.report.paired_figure import paired_figure
from patchcxr.report.paper_figure import PaperFigure
from patchcxr.report.style import DOUBLE_COLUMN_MM, ORGAN_COLOURS, display_name
from patchcxr.report.tables import PaperTable, format_interval, format_number, format_p
from patchcxr.stats.bootstrap import cluster_bootstrap
from patchcxr.stats.paired import paired_table, signed_rank_pairs
from patchcxr.study.classify_films import classify_whole_films
from patchcxr.study.examples import ORIGINAL, PREPARED, choose_films, film_picture
from patchcxr.study.lung_view import trained_region
from patchcxr.study.provenance import claim_folder
from patchcxr.study.run import Study
from patchcxr.types import FloatArray

MEASURE: Final = "energy_outside_lungs"
NAMES: Final = {"without": "Without segmentation", "with": "With segmentation"}
"""The paper's two trainings, as figures name them: on whole films, and on films of the lungs alone."""

ENDS: Final = ("median", "low", "high")
DIFFERENCE: Final = ("median_difference", "median_difference_low", "median_difference_high")


def maps_of_study(study: Study, masked: bool) -> ArrayFolder:
    """Folder of the global Grad-CAM of a study, after a check that its classifier saw what the figure says.

    Raises
    ------
    ConfigError
        If the study's ``classification.region`` is ``whole`` although ``masked``, or is not.
    """
    region = study.config.classification.region
    if (region == "whole") == masked:
        wanted = "mask or crop" if masked else "whole"
        raise ConfigError(
            f"{study.out}: classification.region is {region!r}; expected {wanted}: "
            f"give the study whose classifier saw {'the lungs alone' if masked else 'whole films'}"
        )
    return ArrayFolder(study.out / "global_test" / "maps")


def maps_of_model(study: Study, model: TrainedModel, masked: bool, folder: Path) -> ArrayFolder:
    """Compute the global Grad-CAM of a network for the test films of a study, or go on where that was interrupted.

    Parameters
    ----------
    study
        Gives films, lungs, explained class and size of the maps.
    model
        Classifier of whole films or of films of the lungs alone.
    masked
        Whether it is the one of the lungs alone.
    folder
        Where the maps go.

    Raises
    ------
    ConfigError
        If the network saw something else, does not know the explained class,
        or the folder holds the maps of another network.
    """
    region, target = trained_region(model), study.config.explanation.target
    if (region == "whole") == masked:
        raise ConfigError(
            f"the network was trained on region {region!r}; expected {'mask or crop' if masked else 'whole'}; "
            "give the networks in the order with, without segmentation"
        )
    if target not in model.classes:
        raise ConfigError(f"the network tells {', '.join(model.classes)} apart; expected {target!r} among them")
    claim_folder(folder, model)
    config = study.config
    classify_whole_films(
        model,
        study.store(config.classification.vote.image_size),
        study.lungs(),
        list(study.classified("test")["study"]),
        folder,
        model.classes.index(target),
        config.explanation.map_size,
        config.explanation.normalization,
    )
    return ArrayFolder(folder / "maps")


def outside_lungs(study: Study, maps: Mapping[str, ArrayFolder]) -> pd.DataFrame:
    """Share of each map's sum that lies outside the lungs, for test films of which every map exists.

    Parameters
    ----------
    study
        Gives films and lungs: all maps are measured on the same lungs.
    maps
        Maps of each method; brought to the study's size of maps.

    Returns
    -------
    A row a film and method: ``study``, ``patient``, ``label``, ``class_name``,
    ``method``, ``measure``, ``value``, and ``uniform``, what an even map
    would have: the share of the film outside the lungs. ``value`` is NaN for a
    map of zeros; all are NaN where no lung was found.
    """
    size, lungs, rows = study.config.explanation.map_size, study.lungs(), []
    table = study.classified("test")[["study", "patient", "label", "class_name"]]
    for film in table.to_dict("records"):
        name = str(film["study"])
        if any(name not in folder for folder in maps.values()):
            continue
        lung = lungs.structure(name, "lung", size)
        for method, folder in maps.items():
            value, uniform = float("nan"), float("nan")
            if lung.any():
                found = np.clip(resize_image(np.asarray(folder.load(name), dtype=np.float32), size), 0, None)
                value = localization_scores(found, np.zeros_like(lung), lung)[MEASURE]
                uniform = float(1 - lung.mean())
            rows.append({**film, "method": method, "measure": MEASURE, "value": value, "uniform": uniform})
    return pd.DataFrame(rows, columns=[*table.columns, "method", "measure", "value", "uniform"])


def outside_table(films: pd.DataFrame, target: str, seed: int = 0, resamples: int = 1000) -> PaperTable:
    """Median share outside the lungs with and without segmentation, and the paired test between the two.

    Parameters
    ----------
    films
        Of :func:`outside_lungs`, with the methods ``with`` and ``without``.
    target
        Explained class; its films come first, then all films.
    seed, resamples
        Of the bootstrap over patients.

    Returns
    -------
    PaperTable
        ``data``: a row a set of films with medians, their intervals, and the
        columns of :func:`~patchcxr.stats.paired.signed_rank_pairs`
        (with - without).
    """
    rows = []
    for name, part in ((target, films[films["class_name"] == target]), ("all", films)):
        wide = paired_table(part, "study", "method", "value").reindex(columns=["study", *NAMES])
        facts = part.drop_duplicates("study").set_index("study")
        wide["patient"] = wide["study"].map(facts["patient"])
        uniform = wide["study"].map(facts["uniform"])
        rng = np.random.default_rng(seed)
        row: dict[str, object] = {"films_of": name, "zero_maps": int(wide[list(NAMES)].isna().any(axis=1).sum())}
        both = wide.dropna(subset=list(NAMES))
        for method in NAMES:
            ends = (float("nan"), float("nan"))
            if len(both):
                values, patients = both[method].to_numpy(), both["patient"].to_numpy()
                found = cluster_bootstrap(np.median, values, rng=rng, groups=patients, resamples=resamples)
                ends = (found.low, found.high)
            row |= {f"median_{method}": both[method].median(), f"low_{method}": ends[0], f"high_{method}": ends[1]}
        row["median_uniform"] = uniform.median()
        test = signed_rank_pairs(wide, ["with", "without"], "none", rng=rng, resamples=resamples).iloc[0]
        rows.append(row | test.to_dict())
    data = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "Films of": ["all classes" if name == "all" else display_name(name) for name in data["films_of"]],
            "Films": data["films"],
            "Patients": data["n"],
            **{NAMES[method]: _intervals(data, [f"{part}_{method}" for part in ENDS]) for method in NAMES},
            "Even map": data["median_uniform"].map("{:.2f}".format),
            "Difference, with − without": _intervals(data, DIFFERENCE),
            "p": data["p"],
        }
    )
    return PaperTable(
        data=data,
        shown=shown,
        caption=f"Share of the Grad-CAM of {display_name(target)} outside the lungs, with and without segmentation.",
        note="Medians over films, 95 % intervals by bootstrap over patients; difference: median over patients; p: "
        "Wilcoxon signed-rank over patients, not corrected for the two sets of films. All maps on the same lungs; an "
        f"even map has the share of the film outside the lungs. {int(data['zero_maps'].iloc[-1])} films with a map of "
        "zeros or without lungs are left out.",
    )


def hertel2022_figure_11(
    study: Study,
    maps: Mapping[str, ArrayFolder],
    count: int = 3,
    colormap: str = PAPER_COLORMAP,
    original: bool = False,
    width_mm: float = DOUBLE_COLUMN_MM,
) -> dict[str, PaperFigure]:
    """Film, Grad-CAM without segmentation, lungs, Grad-CAM with segmentation (Hertel 2022, Fig. 11).

    ``""`` shows films, ``"_values"`` the share outside the lungs of all films
    of the explained class, with the paired test.

    Parameters
    ----------
    study
        Gives films, lungs, the explained class and seed.
    maps
        ``without`` and ``with``: of :func:`maps_of_study` or :func:`maps_of_model`.
    count
        Films of the explained class, chosen by the difference between the two
        maps, from the one that segmentation changes most for the better to
        the one that it changes most for the worse.
    colormap, original, width_mm
        As for :func:`~patchcxr.study.paper_maps.oh2020_figure_7`.

    Raises
    ------
    SplitError
        If no test film of the explained class has both maps.
    """
    config = study.config
    target = config.explanation.target
    films = outside_lungs(study, maps)
    of_target = films[films["class_name"] == target]
    if of_target["value"].notna().sum() == 0:
        raise SplitError(f"no test film of class {target!r} has maps with and without segmentation; see failures.csv")
    facts = ["study", "patient", "label", "class_name", "uniform"]
    wide = films.pivot(index=facts, columns="method", values="value").reset_index().rename_axis(columns=None)
    wide["difference"] = wide["without"] - wide["with"]
    order = "what segmentation takes off the share outside the lungs"
    chosen = choose_films(wide[wide["class_name"] == target], "difference", count, order)
    drawn: dict[str, list[FloatArray]] = {method: [] for method in NAMES}
    panels = []
    for row in chosen.films.itertuples():
        film = film_picture(study, row.study, original)
        lung = study.lungs().structure(row.study, "lung", film.shape[0])
        outline, line = {ORGAN_COLOURS["lesion"]: lung}, []
        for method, seen in (("without", film), ("with", mask_image(film, lung))):
            found = np.asarray(maps[method].load(row.study), dtype=np.float32)
            drawn[method].append(np.clip(resize_image(found, film.shape), 0, None))
            share = wide.loc[wide["study"] == row.study, method].iloc[0]
            line += [Panel(seen), Panel(seen, drawn[method][-1], "map", outline, f"{100 * share:.0f} % outside")]
        panels.append(line)
    scale = common_scale("Grad-CAM", [*drawn["without"], *drawn["with"]], colormap, config.explanation.normalization)
    titles = ["Film", "Grad-CAM, trained on whole films", "Segmented lungs", "Grad-CAM, trained on segmented lungs"]
    names = [f"{display_name(row.label)}\n{row.study}" for row in chosen.films.itertuples()]
    figure = film_grid(panels, titles, names, {"map": scale}, width_mm)
    wide["shown"] = wide["study"].isin(chosen.films["study"])
    table = PaperTable(
        data=wide,
        shown=chosen.films[["study", "label", *NAMES, "uniform", "difference"]],
        caption=f"Grad-CAM of {display_name(target)} with and without lung segmentation.",
        note=f"Shown: {chosen.rule}. The number is the share of the map's sum outside the white outline of the lungs, "
        f"of maps with the normalization {config.explanation.normalization!r}. {ORIGINAL if original else PREPARED}",
    )
    summary = outside_table(films, target, config.seed, config.report.bootstrap_resamples)
    test = summary.data.iloc[0]
    plot = paired_figure(
        wide[wide["class_name"] == target],
        NAMES,
        "Share of the Grad-CAM outside the lungs",
        f"{display_name(target)}, {test['films']} films of {test['n']} patients: difference "
        f"{format_number(test['median_difference'], 2)}, p {_p(test['p'])}",
        (float(test["median_uniform"]), "even map"),
    )
    return {"": PaperFigure(figure, table), "_values": PaperFigure(plot, summary)}


def _intervals(data: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    ends = data[list(columns)].to_numpy(float)
    return [format_interval(value, low, high, digits=2) for value, low, high in ends]


def _p(p: float) -> str:
    text = format_p(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"
