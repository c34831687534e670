"""Sections on lungs and heart, and on the biomarkers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from patchcxr.report.figures import cardiothoracic_figure, group_scatter, segmentation_examples
from patchcxr.report.overlap import segmentation_table
from patchcxr.report.published import beside_published
from patchcxr.report.style import display_name
from patchcxr.report.tables import format_mean_std
from patchcxr.report.under_segmentation import EXAMPLES, Example, under_segmentation_figure
from patchcxr.study.evaluate.anatomy import label_order
from patchcxr.study.predict import Lungs, as_film
from patchcxr.study.present.presenter import DIFFERENT, Presenter


def show_segmentation(show: Presenter) -> None:
    """Overlap with the true masks, and films from the worst to the best."""
    study, summary = show.study, show.table("segmentation", "summary")
    scores = show.table("segmentation", "scores")
    architecture = study.config.anatomy.model.architecture
    show.show(
        segmentation_table(summary),
        "segmentation",
        f"Segmentation by {architecture} at {study.config.anatomy.image_size} pixels: mean ± standard deviation.",
        "HD95 and ASSD (average symmetric surface distance) are distances of outlines, in pixels of the network's size "
        "or in millimetres on the detector where the spacing is known. Failed: the structure was missed or invented; "
        "such films count with 0, and with the diagonal of the film for distances. "
        "Published: lungs 0.955 ± 0.015, heart 0.889 ± 0.054 on JSRT (Oh 2020, Table V, FC-DenseNet103); lungs Dice "
        f"0.950 (Hertel 2022, ResUnet). {DIFFERENT}",
    )
    unseen = scores[scores["role"] == "test"]
    for name, printed in (("lung_jaccard", "0.955 ± 0.015"), ("heart_jaccard", "0.889 ± 0.054")):
        if name in unseen and unseen[name].notna().any():
            show.page.card(
                display_name(name),
                format_mean_std(unseen[name].mean(), unseen[name].std()),
                f"{int(unseen[name].notna().sum())} films of unseen patients",
                f"Oh 2020: {printed} (JSRT)",
            )
    judged = unseen if len(unseen) else scores
    key = "lung_jaccard" if "lung_jaccard" in judged else "heart_jaccard"
    judged = judged.sort_values(key)
    places = np.unique(np.linspace(0, len(judged) - 1, min(8, len(judged))).round().astype(int))
    chosen = judged.iloc[places]
    large = study.store(study.config.classification.vote.image_size)
    predicted, truth = [study.predicted_anatomy(whole) for whole in (False, True)], Lungs(large)
    size = large.size
    parts = ("heart", "left_lung", "right_lung")
    show.figure(
        segmentation_examples(
            [as_film(large.film(name)) for name in chosen["study"]],
            [
                {
                    part: predicted[source in study.config.anatomy.whole_lungs].structure(name, part, size)
                    for part in parts
                }
                for name, source in zip(chosen["study"], chosen["source"], strict=True)
            ],
            [
                {part: truth.structure(name, part) for part in parts if large.has(name, part)}
                for name in chosen["study"]
            ],
            [f"{row['study']} · {row[key]:.3f}" for _, row in chosen.iterrows()],
        ),
        "segmentation",
        "From the worst to the best film of unseen patients, by lung Jaccard (after the name). Lungs blue, heart red, "
        "readers' contours green.",
        "Chest radiographs with predicted and true outlines of lungs and heart",
    )


def show_biomarkers(show: Presenter) -> None:
    """Triangular tables and scatter figures of each biomarker, beside the published values."""
    study, markers = show.study, show.table("biomarkers", "films")
    config = study.config.biomarkers
    labels = label_order(markers["label"])
    show.page.text(
        "Intensity is that of the normalised film in [0, 1] inside the predicted lungs; the cardiothoracic ratio is "
        "the widest extent of the heart over the widest extent of the lungs. Tests are Wilcoxon rank-sum over patients "
        f"(films of a patient averaged), corrected by {config.correction}; * p < 0.05, ** p < 0.01, *** p < 0.001. "
        "The tables with every film taken as independent, as in the paper, are in the folder of the step."
    )
    names = {
        "lung_mean": "Lung intensity",
        "lung_std": "Standard deviation of lung intensity",
        "cardiothoracic_ratio": "Cardiothoracic ratio",
    }
    tables = {"lung_mean": "Table VI", "lung_std": "Table VII", "cardiothoracic_ratio": "Table IX"}
    for measure in config.measures:
        if not (study.out / "biomarkers" / f"{measure}_table.csv").is_file():
            show.page.notice(f"{measure}: fewer than two labels, so nothing to compare.")
            continue
        title, triangle = names.get(measure, measure), show.table("biomarkers", f"{measure}_table")
        first = triangle.columns[0]
        triangle = triangle.rename(columns={first: "label"}).astype(object).fillna("")
        if measure in tables:
            ours = pd.DataFrame({"setting": triangle["label"], "measure": measure, "value": triangle["Mean"]})
            printed = beside_published(ours, "Oh 2020", tables[measure])
            triangle["Oh 2020"] = [
                format_mean_std(v, s) for v, s in zip(printed["published"], printed["published_spread"], strict=True)
            ]
        triangle.columns = [display_name(str(c)) if c != "label" else c for c in triangle.columns]
        show.show(
            triangle,
            f"biomarkers_{measure}",
            f"{title} by label, with the stars of each pair.",
            f"Published: Oh 2020, {tables[measure]}. {DIFFERENT}" if measure in tables else "",
        )
        if not np.isfinite(markers[measure].to_numpy(float)).any():
            show.page.notice(f"No film has a value of {title.lower()}, so nothing can be drawn; failures.csv says why.")
            continue
        pairs = show.table("biomarkers", f"{measure}_pairs")
        show.figure(
            group_scatter(markers, measure, "label", labels, pairs, title, patient="patient"),
            f"biomarkers_{measure}",
            f"{title}: each film (left); mean and one standard deviation over patients (right), with stars of the "
            "adjusted p.",
            f"Scatter of {title.lower()} by label",
        )
    large = study.store(study.config.classification.vote.image_size)
    anatomy = study.predicted_anatomy()
    if (study.out / "biomarkers" / "under_segmentation.csv").is_file():
        counts = show.table("biomarkers", "under_segmentation")
        worst = markers.sort_values("lung_deformation", ascending=False, na_position="last").drop_duplicates("label")
        worst = worst[worst["lung_deformation"].notna()].head(EXAMPLES)
        show.figure(
            under_segmentation_figure(
                counts,
                [
                    Example(
                        as_film(large.film(row["study"])),
                        anatomy.structure(row["study"], "lung", large.size),
                        f"{display_name(str(row['label']))} · {row['lung_deformation']:.2f}",
                    )
                    for row in worst.to_dict("records")
                ],
            ),
            "under_segmentation",
            "Share of films whose predicted lungs are deformed by a quarter or more; below, the most deformed film of "
            "each label, with its deformation.",
            "Under-segmented films by label with intervals, and films with the outline of their lungs",
        )
        counts["label"] = [display_name(str(name)) for name in counts["label"]]
        show.show(
            counts,
            "under_segmentation",
            "Films whose predicted lungs are deformed by a quarter or more against the mean shape of normal lungs.",
            "Wilson intervals over films. Oh 2020 judged by eye; measured so, the counts tell of the segmentation as "
            f"much as of disease. {DIFFERENT}",
        )
    with_ratio = markers[(markers["split"] == "test") & markers["cardiothoracic_ratio"].notna()]
    if len(with_ratio):
        middle = with_ratio.sort_values("cardiothoracic_ratio").iloc[len(with_ratio) // 2]["study"]
        show.figure(
            cardiothoracic_figure(
                as_film(large.film(middle)),
                anatomy.structure(middle, "heart", large.size),
                anatomy.structure(middle, "lung", large.size),
                str(middle),
                large.pixel_spacing_mm(middle),
            ),
            "cardiothoracic_ratio",
            "The two diameters of the cardiothoracic ratio on the test film with the median ratio.",
            "Chest radiograph with the widths of heart and thorax drawn",
        )
    path = study.out / "biomarkers" / "errors.csv"
    if path.is_file():
        errors = pd.read_csv(path)["error"].dropna()
        show.page.text(
            f"Against the true masks of {len(errors)} test films the measured cardiothoracic ratio is off by "
            f"{format_mean_std(errors.mean(), errors.std())} (mean ± standard deviation of the error)."
        )
