"""Sections on classification and detection."""

from __future__ import annotations

import pandas as pd

from patchcxr.report.figures import confusion_figure, follow_up_figure, roc_pr_figure, severity_figure
from patchcxr.report.published import beside_published
from patchcxr.report.style import display_name
from patchcxr.report.tables import format_interval, format_p, format_percent
from patchcxr.study.evaluate.detectors import DETECTORS
from patchcxr.study.present.presenter import DIFFERENT, NAMES, Presenter


def show_classification(show: Presenter) -> None:
    """Whole films against the vote of patches: scores, sensitivities, confusion matrices."""
    study, scores = show.study, show.table("classification", "scores")
    classes = study.scheme.classes
    printed: dict[str, dict[str, float]] = {"global": {}, "local": {}}
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


def show_detectors(show: Presenter) -> None:
    """Infection map against classifiers: scores, tests, curves, pixels and severity."""
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
        "with that of the patient bootstrap. Published for U-Net with DenseNet-121 (Degerli 2021, Table 3): "
        f"sensitivity 98.4, specificity 98.1, precision 92.3, F1 95.2, F2 97.1, accuracy 98.1 %. {DIFFERENT}",
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
        "Published for U-Net with DenseNet-121 (Degerli 2021, Table 2): sensitivity 0.840, specificity 0.997, "
        f"precision 0.878, F1 0.858, F2 0.847, accuracy 0.992, AUROC 0.992. {DIFFERENT}",
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
