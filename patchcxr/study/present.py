"""The report of a study: tables, figures and one HTML page, from what the steps have written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from patchcxr import __version__
from patchcxr.config import fingerprint, to_dict
from patchcxr.errors import PatchCXRError
from patchcxr.report.figures import (
    cardiothoracic_figure,
    confusion_figure,
    contact_sheet,
    follow_up_figure,
    group_scatter,
    localization_figure,
    roc_pr_figure,
    saliency_panel,
    save_figure,
    segmentation_examples,
    severity_figure,
    training_curves,
)
from patchcxr.report.page import Report
from patchcxr.report.published import beside_published
from patchcxr.report.saliency import SaliencyRow
from patchcxr.report.style import display_name
from patchcxr.report.tables import format_interval, format_mean_std, format_p, format_percent, write_table
from patchcxr.study.evaluate.detectors import DETECTORS
from patchcxr.study.evaluate.saliency import MAPS, StudyMaps, explained_films
from patchcxr.study.predict import Lungs, as_film, failure_table
from patchcxr.study.select import given

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from patchcxr.study.run import Study

log = logging.getLogger(__name__)

DIFFERENT = (
    "The papers' numbers come from other films, other readers and longer trainings; they stand here for orientation, "
    "and no difference to them is a finding."
)
NAMES = {
    "infection": "Infection map",
    "local": "Patch vote (local)",
    "global": "Whole film (global)",
    "global_gradcam": "Global Grad-CAM",
    "probabilistic_gradcam": "Probabilistic Grad-CAM",
    "infection_map": "Infection map",
}


class Presenter:
    """Collects the page, its figures and tables, and says what is missing instead of stopping."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.study = study
        self.folder = folder
        config = study.config
        self.page = Report(
            config.title,
            "Lungs and heart segmented, patches voted on, saliency maps measured, detectors compared.",
            {
                "patchcxr": __version__,
                "Configuration": fingerprint(config),
                "Seed": config.seed,
                "Films": len(study.table),
                "Time of all steps": f"{sum(study.steps.seconds.values()) / 60:.1f} min",
            },
        )

    def table(self, step: str, name: str) -> pd.DataFrame:
        """A table that a step has written; ids stay text."""
        path = self.study.out / step / f"{name}.csv"
        try:
            return pd.read_csv(path, dtype={"study": str, "patient": str})
        except FileNotFoundError:
            raise PatchCXRError(f"the step {step!r} has written no table {name!r}") from None

    def figure(self, figure: Figure, name: str, caption: str, alt: str) -> None:
        """Save a figure in every format, and put it on the page."""
        paths = save_figure(figure, self.study.out / "figures" / name, self.study.config.report.formats)
        png = [path for path in paths if path.suffix == ".png"]
        self.page.figure(png[0] if png else figure, caption, alt)

    def show(self, table: pd.DataFrame, name: str, caption: str, note: str = "", **formats: str) -> None:
        """Save a table as CSV and Markdown, and put it on the page."""
        write_table(table, self.study.out / "tables" / name)
        self.page.table(table, caption, note, formats or None)


def report(study: Study, folder: Path) -> pd.DataFrame:
    """Write ``report.html`` and ``figures/`` and ``tables/`` beside it."""
    show = Presenter(study, folder)
    sections: list[tuple[str, str, Callable[[Presenter], None]]] = [
        ("cohort", "Cohort", _cohort),
        ("segmentation", "Segmentation of lungs and heart", _segmentation),
        ("biomarkers", "Biomarkers", _biomarkers),
        ("classification", "Classification: whole film against patch vote", _classification),
        ("detectors", "Detection: infection map against classifiers", _detectors),
        ("saliency", "Activation maps against infection maps", _saliency),
        ("cohort", "Trainings", _trainings),
    ]
    for step, title, section in sections:
        show.page.section(title)
        if step not in study.steps.fingerprints:
            show.page.notice(f"Not available: {study.steps.failed.get(step, 'the step was not run')}")
            continue
        section(show)
    failures = study.steps.failures()
    show.page.section(
        "Films and steps that failed",
        "A film that fails is left out of what follows the stage named here, and of nothing else.",
    )
    show.page.failures(failures)
    show.page.write(study.out / "report.html")
    return failure_table([])


def _cohort(show: Presenter) -> None:
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
        summary,
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
    films = show.study.store(show.study.config.anatomy.image_size)
    large = show.study.store(show.study.config.classification.vote.image_size)
    first = table[table["class_name"].notna()].groupby("label", sort=False).head(2).sort_values("label")
    images = [as_film(large.film(name)) for name in first["study"]]
    del films
    titles = [f"{display_name(str(row.label))} · {row.source} · {row.study}" for row in first.itertuples()]
    show.figure(
        contact_sheet(images, titles, 5),
        "cohort",
        "Films of each label after normalisation (histogram equalisation, gamma 0.5; Oh 2020).",
        "A grid of chest radiographs, two of each label",
    )


def _segmentation(show: Presenter) -> None:
    study, summary = show.study, show.table("segmentation", "summary")
    scores = show.table("segmentation", "scores")
    roles = {"test": "unseen patients", "train": "training films", "validation": "validation", "cross": "other source"}
    summary["films"] = summary["source"].astype(str) + ", " + summary["role"].map(roles)
    kept = summary[summary["measure"].isin(["lung_jaccard", "heart_jaccard", "lung_dice", "heart_dice"])]
    wide = kept.assign(text=[format_mean_std(m, s) for m, s in zip(kept["mean"], kept["std"], strict=True)])
    shown = wide.pivot(index="films", columns="measure", values="text").reset_index()
    shown.insert(1, "n", [int(wide[wide["films"] == name]["n"].max()) for name in shown["films"]])
    architecture = study.config.anatomy.model.architecture
    show.show(
        shown.rename(columns={c: display_name(c) for c in shown.columns}),
        "segmentation",
        f"Segmentation by {architecture} at {study.config.anatomy.image_size} pixels: mean ± standard deviation.",
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
    predicted, truth = study.predicted_anatomy(), Lungs(large)
    size = large.size
    parts = ("heart", "left_lung", "right_lung")
    show.figure(
        segmentation_examples(
            [as_film(large.film(name)) for name in chosen["study"]],
            [{part: predicted.structure(name, part, size) for part in parts} for name in chosen["study"]],
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


def _biomarkers(show: Presenter) -> None:
    study, markers = show.study, show.table("biomarkers", "films")
    config = study.config.biomarkers
    labels = [
        name for name in ("normal", "tuberculosis", "bacterial", "viral", "covid19") if name in set(markers["label"])
    ]
    labels += [name for name in markers["label"].dropna().unique() if name not in labels]
    show.page.text(
        "Intensity is that of the normalised film in [0, 1] inside the predicted lungs; the cardiothoracic ratio is the "
        "widest extent of the heart over the widest extent of the lungs. Tests are Wilcoxon rank-sum over patients "
        f"(films of a patient averaged), corrected by {config.correction}; * p < 0.05, ** p < 0.01, *** p < 0.001. The "
        "tables with every film taken as independent, as in the paper, are in the folder of the step."
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
        triangle = triangle.rename(columns={first: "label"}).fillna("")
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
        pairs = show.table("biomarkers", f"{measure}_pairs")
        show.figure(
            group_scatter(markers, measure, "label", labels, pairs, title),
            f"biomarkers_{measure}",
            f"{title}: each film (left), mean and one standard deviation (right); stars from adjusted p-values over patients.",
            f"Scatter of {title.lower()} by label",
        )
    large = study.store(study.config.classification.vote.image_size)
    anatomy = study.predicted_anatomy()
    with_ratio = markers[(markers["split"] == "test") & markers["cardiothoracic_ratio"].notna()]
    if len(with_ratio):
        middle = with_ratio.sort_values("cardiothoracic_ratio").iloc[len(with_ratio) // 2]["study"]
        show.figure(
            cardiothoracic_figure(
                as_film(large.film(middle)),
                anatomy.structure(middle, "heart", large.size),
                anatomy.structure(middle, "lung", large.size),
                str(middle),
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


def _classification(show: Presenter) -> None:
    study, scores = show.study, show.table("classification", "scores")
    classes = study.scheme.classes
    printed = {"global": {}, "local": {}}
    long = scores.melt("method", ["accuracy", "precision", "recall", "f1", "specificity"], "measure", "value")
    beside = beside_published(long.rename(columns={"method": "setting"}), "Oh 2020", "Table X")
    for row in beside.itertuples():
        printed[row.setting][row.measure] = row.published
    rows = []
    for row in scores.to_dict("records"):
        method = row["method"]
        rows.append(
            {
                "method": NAMES[method],
                "n": row["n"],
                **{
                    display_name(k): f"{format_percent(row[k])} ({format_percent(printed[method][k])})"
                    for k in ("accuracy", "precision", "recall", "f1", "specificity")
                },
                "AUROC": f"{row['auroc']:.3f}",
                "F1, 95 % CI": f"{format_percent(row['f1_low'])} to {format_percent(row['f1_high'])}",
            }
        )
    note = (
        f"In brackets: Oh 2020, Table X. {DIFFERENT} The interval resamples patients. AUROC is the mean over classes, "
        "each against the rest. Ties of the vote go to the class of larger mean probability."
    )
    show.show(pd.DataFrame(rows), "classification", "Classification of the test films, averaged over classes.", note)
    sensitivity = show.table("classification", "sensitivity")
    sensitivity["method"] = sensitivity["method"].map(NAMES)
    for name in classes:
        sensitivity[name] = sensitivity[name].map(format_percent)
    sensitivity.columns = [display_name(str(c)) for c in sensitivity.columns]
    show.show(
        sensitivity,
        "sensitivity",
        "Sensitivity for each class.",
        "Oh 2020, Table XI: global 63.2, 30, 54.5, 92.5 %; local 89.5, 80, 81.8, 92.5 % "
        "(normal, bacterial, tuberculosis, viral with COVID-19).",
    )
    for row in scores.itertuples():
        show.page.card(
            f"Macro-F1, {NAMES[row.method].lower()}",
            format_percent(row.f1),
            f"{row.n} test films",
            f"Oh 2020: {format_percent(printed[row.method]['f1'])}",
        )
    matrices = {
        NAMES[method]: show.table("classification", f"confusion_{method}").set_index("truth").to_numpy()
        for method in scores["method"]
    }
    show.figure(
        confusion_figure(matrices, [display_name(name) for name in classes]),
        "confusion",
        "Confusion matrices of the test films; rows are the truth.",
        "Two confusion matrices side by side",
    )
    path = study.out / "classification" / "comparison.csv"
    if path.is_file():
        test = pd.read_csv(path).iloc[0]
        show.page.text(
            f"Of {int(test['n'])} films, {int(test['only_b_right'])} are right by the patch vote alone and "
            f"{int(test['only_a_right'])} by the whole film alone (McNemar, exact, p = {format_p(test['p'])})."
        )
    vote = show.table("classification", "predictions").query("method == 'local'")
    config = study.config.classification.vote
    show.page.text(
        f"Each vote draws {config.patches} patches of {config.patch_size} pixels from films of {config.image_size} "
        f"pixels. The median lung pixel lies in {vote['median_coverage'].median():.0f} patches; "
        f"{format_percent(vote['uncovered_share'].max())} of the lung at most are in none."
    )


def _detectors(show: Presenter) -> None:
    study, scores, films = show.study, show.table("detectors", "scores"), show.table("detectors", "films")
    positive = ", ".join(display_name(name) for name in study.config.infection.positive)
    shown = pd.DataFrame(
        {
            "detector": scores["detector"].map(NAMES),
            "AUROC [95 % CI]": [format_interval(*v) for v in scores[["auroc", "auroc_low", "auroc_high"]].to_numpy()],
            "Average precision": [
                format_interval(*v)
                for v in scores[["average_precision", "average_precision_low", "average_precision_high"]].to_numpy()
            ],
            **{
                display_name(key): [
                    f"{100 * v:.1f} ± {100 * r:.1f}" for v, r in zip(scores[key], scores[f"{key}_r"], strict=True)
                ]
                for key in ("sensitivity", "specificity", "precision", "f1", "f2", "accuracy")
            },
        }
    )
    show.show(
        shown,
        "detectors",
        f"Detection of {positive} on the same {int(scores['n'].iloc[0])} test films "
        f"({int(scores['positive'].iloc[0])} positive).",
        "Scores in percent ± the half-width of Degerli 2021, eq. 13. AUROC with DeLong's interval, average precision "
        "with that of the patient bootstrap. Published for U-Net with DenseNet-121 (Degerli 2021, Table 3): sensitivity "
        f"98.4, specificity 98.1, precision 92.3, F1 95.2, F2 97.1, accuracy 98.1 %. {DIFFERENT}",
    )
    for row in scores.itertuples():
        show.page.card(
            f"AUROC, {NAMES[row.detector].lower()}",
            f"{row.auroc:.3f}",
            f"95 % CI {row.auroc_low:.3f} to {row.auroc_high:.3f}",
        )
    tests = show.table("detectors", "comparison")
    for column in ("a", "b"):
        tests[column] = tests[column].map(NAMES)
    show.show(
        tests,
        "detector_tests",
        "Paired tests between detectors.",
        "DeLong's test of the AUROCs and McNemar's exact test of the decisions, Holm over the three pairs.",
    )
    truth = films["truth"].astype(bool).astype(int).to_numpy()
    rows = {row.detector: row for row in scores.itertuples()}
    show.figure(
        roc_pr_figure(
            {NAMES[name]: {"truth": truth, "score": films[f"{name}_score"].to_numpy()} for name in DETECTORS},
            {
                NAMES[name]: {
                    "auroc": (row.auroc_low, row.auroc_high),
                    "average_precision": (row.average_precision_low, row.average_precision_high),
                }
                for name, row in rows.items()
            },
        ),
        "detectors",
        f"Receiver operating characteristic and precision-recall curves for {positive}.",
        "ROC and precision-recall curves of three detectors",
    )
    pixels = show.table("detectors", "pixels")
    shown = pixels[["films", "sensitivity", "specificity", "precision", "f1", "f2", "accuracy", "auroc"]]
    show.show(
        shown.rename(columns={c: display_name(c) for c in shown.columns}),
        "infection_pixels",
        "The infection map pixel by pixel, pooled over the test films.",
        "Published for U-Net with DenseNet-121 (Degerli 2021, Table 2): sensitivity 0.840, specificity 0.997, precision "
        f"0.878, F1 0.858, F2 0.847, accuracy 0.992, AUROC 0.992. {DIFFERENT}",
    )
    severity = show.table("detectors", "severity")
    infected = severity[severity["truth"].astype(bool)]
    if "true_overall_percent" in infected and infected["true_overall_percent"].notna().sum() >= 3:
        show.figure(
            severity_figure(
                infected["true_overall_percent"].to_numpy(), infected["predicted_overall_percent"].to_numpy()
            ),
            "severity",
            "Infected share of the lungs on the positive test films: predicted against true (Tahir 2021).",
            "Scatter of predicted against true infected share",
        )
    _follow_up(show, severity)


def _follow_up(show: Presenter, severity: pd.DataFrame) -> None:
    days = show.study.table[["study", "patient", "days"]].dropna(subset=["days"])
    joined = severity[severity["truth"].astype(bool)].drop(columns="patient").merge(days, on="study")
    sizes = joined.groupby("patient")["days"].nunique()
    if sizes.empty or sizes.max() < 2:
        return
    patient = sizes.idxmax()
    part = joined[joined["patient"] == patient].sort_values("days")
    show.figure(
        follow_up_figure(
            part["days"].to_numpy(),
            {name: part[f"predicted_{name}_percent"].to_numpy() for name in ("overall", "right_lung", "left_lung")},
            str(patient),
        ),
        "follow_up",
        "Predicted infected share of the test patient with most films, over days (Tahir 2021, Fig. 5b).",
        "Infected share over days for both lungs",
    )


def _saliency(show: Presenter) -> None:
    study, films = show.study, show.table("saliency", "films")
    summary, tests = show.table("saliency", "summary"), show.table("saliency", "tests")
    wide = summary.assign(text=[format_mean_std(m, s) for m, s in zip(summary["mean"], summary["std"], strict=True)])
    shown = wide.pivot(index="measure", columns="method", values="text").loc[summary["measure"].unique(), list(MAPS)]
    target = display_name(study.config.explanation.target)
    show.show(
        shown.rename(columns=NAMES).reset_index(),
        "saliency",
        f"Maps of {target} against the true infection on {films['study'].nunique()} test films: mean ± standard deviation.",
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
    measures = [m for m in ("pointing_hit", "energy_in_lesion", "best_iou", "best_dice", "auroc", "average_precision")]
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
    large = study.store(maps.size) if maps.size in study._sizes() else None
    source = large or study.store(study.config.classification.vote.image_size)
    from patchcxr.preprocessing.geometry import resize_image

    labels = rows.set_index("study")["label"]
    panel = [
        SaliencyRow(
            study=name,
            label=display_name(str(labels[name])),
            film=resize_image(as_film(source.film(name)), maps.size),
            lesion=maps.lesion(name),
            global_gradcam=maps.map(name, "global_gradcam"),
            probabilistic_gradcam=maps.map(name, "probabilistic_gradcam"),
            infection=maps.map(name, "infection_map"),
        )
        for name in order[places]
    ]
    show.figure(
        saliency_panel(panel),
        "saliency_maps",
        f"Test films of {target} from the best to the worst infection map, with the readers' infection, both activation "
        "maps and the infection map.",
        "Rows of film, true lesion, global Grad-CAM, probabilistic Grad-CAM and infection map",
    )


def _trainings(show: Presenter) -> None:
    study, rows = show.study, []
    for step in ("anatomy", "infection", "global", "local"):
        if step not in study.steps.fingerprints:
            continue
        model = study.model(step)
        told = model.training
        rows.append(
            {
                "network": step,
                "architecture": model.config.architecture,
                "encoder": model.config.encoder or "",
                "weights at start": model.config.encoder_weights or "random",
                "size": model.image_size,
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
