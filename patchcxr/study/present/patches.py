"""Section on the intensity of the patches."""

from __future__ import annotations

import pandas as pd

from patchcxr.report.figures import patch_intensity_figure
from patchcxr.report.style import display_name
from patchcxr.report.tables import format_mean_std
from patchcxr.study.evaluate.patches import MEASURES
from patchcxr.study.present.presenter import DIFFERENT, Presenter


def show_patches(show: Presenter) -> None:
    """Spread of the intensity between and within correctly classified patches."""
    study, table = show.study, show.table("patches", "patches")
    by_class, by_film = show.table("patches", "by_class"), show.table("patches", "by_film")
    films = by_film[by_film["n"] > 0]["class_name"].value_counts()
    by_class = by_class.set_index("class_name").reindex(study.scheme.classes).dropna(subset="n").reset_index()
    rows = [
        {
            "class": display_name(row.class_name),
            "films": int(films.get(row.class_name, 0)),
            "patches": int(row.n),
            "wrong": int(row.wrong),
            "Inter-patch (mean of patches)": format_mean_std(row.inter_mean, row.inter_std),
            "Intra-patch (SD of patches)": format_mean_std(row.intra_mean, row.intra_std),
        }
        for row in by_class.itertuples()
    ]
    show.show(
        pd.DataFrame(rows),
        "patches",
        "Intensity of the lung pixels of correctly classified patches.",
        f"As Oh 2020, Fig. 5, with patches pooled by class. {DIFFERENT}",
    )
    correct = table[table["correct"]]
    order = [name for name in study.scheme.classes if (correct["class_name"] == name).any()]
    if not order:
        show.page.notice("No patch was classified correctly, so nothing can be drawn.")
        return
    pairs = {}
    for column, measure in zip(("mean", "std"), MEASURES, strict=True):
        if (study.out / "patches" / f"{measure}_pairs.csv").is_file():
            pairs[column] = show.table("patches", f"{measure}_pairs")
    show.figure(
        patch_intensity_figure(table, order, pairs or None),
        "patch_intensity",
        "Every correctly classified patch (left); mean and one standard deviation over patches (right). The stars are "
        "those of tests over patients, because patches of a film and films of a patient are not independent.",
        "Scatter of the intensity of patches by class",
    )
