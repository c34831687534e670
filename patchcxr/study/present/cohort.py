"""Sections on the films and on how the networks were trained."""

from __future__ import annotations

import pandas as pd

from patchcxr.config import to_dict
from patchcxr.io.checkpoint import load_weights
from patchcxr.report.figures import contact_sheet, training_curves
from patchcxr.report.style import display_name
from patchcxr.study.predict import as_film
from patchcxr.study.present.presenter import Presenter
from patchcxr.study.select import given


def show_cohort(show: Presenter) -> None:
    """What the cohort holds, which classes its sources confound, and films of each label."""
    table = show.study.table
    rows = table.assign(**{"class_name": table["class_name"].fillna("(not classified)")})
    summary = (
        rows.groupby(["source", "label", "class_name"], dropna=False)
        .agg(
            patients=("patient", "nunique"),
            films=("study", "size"),
            train=("split", lambda s: int((s == "train").sum())),
            validation=("split", lambda s: int((s == "validation").sum())),
            test=("split", lambda s: int((s == "test").sum())),
            infection_masks=("infection_mask", lambda s: int(given(s).sum())),
            median_age=("age_years", "median"),
        )
        .reset_index()
    )
    summary["label"] = summary["label"].fillna("(none)")
    patients = table["patient"].nunique()
    show.page.card("Films", str(len(table)), f"{patients} patients, split by patient")
    show.show(
        summary.rename(columns={"class_name": "class"}),
        "cohort",
        "The cohort by source and label.",
        "Patients are split, never films: no patient is in two splits.",
        median_age=".0f",
    )
    confounded = summary.groupby("class_name")["source"].nunique()
    alone = [name for name in confounded.index[confounded == 1] if name in show.study.scheme.classes]
    if alone and table["source"].nunique() > 1:
        show.page.notice(
            f"All films of {', '.join(alone)} come from one source each. A classifier can tell these classes by "
            "their source, so accuracies over all classes are optimistic."
        )
    large = show.study.store(show.study.config.classification.vote.image_size)
    first = table[table["class_name"].notna()].groupby("label", sort=False).head(2).sort_values("label")
    images = [as_film(large.film(name)) for name in first["study"]]
    titles = [f"{display_name(str(row.label))} · {row.source}" for row in first.itertuples()]
    show.figure(
        contact_sheet(images, titles, 5),
        "cohort",
        "Films of each label after normalisation (histogram equalisation, gamma 0.5; Oh 2020).",
        "A grid of chest radiographs, two of each label",
    )


def show_trainings(show: Presenter) -> None:
    """Networks, recipes, learning curves and the time of each step."""
    study, rows = show.study, []
    for step in ("anatomy", "infection", "global", "local"):
        if step not in study.steps.fingerprints:
            continue
        description = load_weights(study.out / step / "model.safetensors")[1]
        model, told = description["model"], description["training"]
        rows.append(
            {
                "network": step,
                "architecture": model["architecture"],
                "encoder": model["encoder"] or "",
                "weights at start": told.get("start") or "random",
                "size": description["image_size"],
                "items an epoch": told["films"]["train"],
                "epochs": told["epochs"],
                "best epoch": told["best_epoch"],
                "best score": told["best_value"],
                "minutes": told["seconds"] / 60,
            }
        )
        history = pd.read_csv(study.out / step / "history.csv")
        show.figure(
            training_curves({c: history[c].tolist() for c in history.columns}, told["best_epoch"], step),
            f"training_{step}",
            f"Training of the network {step}.",
            f"Loss and score by epoch of {step}",
        )
    if rows:
        show.show(
            pd.DataFrame(rows),
            "trainings",
            "The networks and their trainings.",
            "The weights of the best validation epoch are kept.",
            minutes=".1f",
        )
    spent = pd.DataFrame([{"step": name, "seconds": value} for name, value in study.steps.seconds.items()])
    show.show(spent, "steps", "Time spent on each step.", seconds=".1f")
    settings = to_dict(study.config)
    show.page.text(f"Cohort: {settings['cohort']}")
