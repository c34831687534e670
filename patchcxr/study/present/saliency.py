"""Section on activation maps against infection maps."""

from __future__ import annotations

import numpy as np

from patchcxr.preprocessing.geometry import resize_image
from patchcxr.report.figures import localization_figure, saliency_panel
from patchcxr.report.saliency import SaliencyRow
from patchcxr.report.style import display_name
from patchcxr.report.tables import format_mean_std
from patchcxr.study.evaluate.saliency import MAPS, StudyMaps, explained_films
from patchcxr.study.predict import as_film
from patchcxr.study.present.presenter import NAMES, Presenter


def show_saliency(show: Presenter) -> None:
    """The three maps side by side, measured and tested."""
    study, films = show.study, show.table("saliency", "films")
    summary, tests = show.table("saliency", "summary"), show.table("saliency", "tests")
    wide = summary.assign(text=[format_mean_std(m, s) for m, s in zip(summary["mean"], summary["std"], strict=True)])
    shown = wide.pivot(index="measure", columns="method", values="text").loc[summary["measure"].unique(), list(MAPS)]
    target = display_name(study.config.explanation.target)
    show.show(
        shown.rename(columns=NAMES).reset_index(),
        "saliency",
        f"Maps of {target} against the true infection on {films['study'].nunique()} test films: mean ± SD.",
        "Half is half of the map's own maximum for activation maps and probability 0.5 for infection maps; the best "
        "thresholds, AUROC and average precision need none. Energies are shares of the map's sum.",
    )
    for measure in ("best_dice", "average_precision"):
        part = summary[summary["measure"] == measure].set_index("method")["mean"]
        show.page.card(
            f"{display_name(measure)}, infection map",
            f"{part['infection_map']:.3f}",
            f"probabilistic Grad-CAM {part['probabilistic_gradcam']:.3f}, global Grad-CAM {part['global_gradcam']:.3f}",
        )
    pairs = tests.rename(columns={"method_a": "group_a", "method_b": "group_b"})
    for column in ("group_a", "group_b"):
        pairs[column] = pairs[column].map(NAMES)
    long = films.assign(method=films["method"].map(NAMES))
    measures = ["pointing_hit", "energy_in_lesion", "best_iou", "best_dice", "auroc", "average_precision"]
    show.figure(
        localization_figure(long, [NAMES[m] for m in MAPS], measures, pairs),
        "saliency_measures",
        "Each measure by map. Stars: Wilcoxon signed-rank over patients, Holm over the three pairs of a measure.",
        "Box plots of localisation measures for three kinds of map",
    )
    columns = [
        "measure",
        "method_a",
        "method_b",
        "n",
        "dropped",
        "median_difference",
        "median_difference_low",
        "median_difference_high",
        "rank_biserial",
        "p",
        "p_adjusted",
        "stars",
    ]
    table = tests[columns].copy()
    for column in ("method_a", "method_b"):
        table[column] = table[column].map(NAMES)
    show.show(
        table,
        "saliency_tests",
        "Paired tests between maps.",
        "Difference a − b with the patient bootstrap's 95 % interval; rank-biserial of matched pairs.",
    )
    ranks = show.table("saliency", "severity")
    ranks["method"] = ranks["method"].map(NAMES)
    show.show(
        ranks,
        "saliency_severity",
        "Rank correlation of the map's mean in the lungs with the true infected share.",
        "Spearman, with the patient bootstrap's 95 % interval.",
    )
    maps = StudyMaps(study)
    rows = explained_films(study, maps)
    best = films[(films["measure"] == "best_dice") & (films["method"] == "infection_map")].set_index("study")["value"]
    order = best.loc[rows["study"]].sort_values(ascending=False).index
    places = np.unique(
        np.linspace(0, len(order) - 1, min(study.config.report.examples, len(order))).round().astype(int)
    )
    source = study.store(study.config.classification.vote.image_size)
    labels = rows.set_index("study")["label"]
    panel = [
        SaliencyRow(
            study=name,
            label=display_name(str(labels[name])),
            film=resize_image(as_film(source.film(name)), maps.size),
            lesion=maps.lesion(name),
            maps={method: maps.map(name, method) for method in MAPS},
        )
        for name in order[places]
    ]
    show.figure(
        saliency_panel(panel),
        "saliency_maps",
        f"Test films of {target} from the best to the worst infection map, with the true infection, both activation "
        "maps and the infection map.",
        "Rows of film, true lesion, global Grad-CAM, probabilistic Grad-CAM and infection map",
    )
