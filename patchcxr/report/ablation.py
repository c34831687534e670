"""Ablations of the classifiers beside the paper's values (Oh 2020, Tables XIV, XVI and XVII, Fig. 12)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from patchcxr.errors import ConfigError
from patchcxr.report.published import OH, published
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.style import (
    BLUE,
    DOUBLE_COLUMN_MM,
    GREY,
    VERMILION,
    display_name,
    new_figure,
    panel_letter,
    styled,
)
from patchcxr.report.tables import PaperTable, format_number, format_p

SCORES: Final = ("accuracy", "precision", "recall", "f1", "specificity")
NAN = float("nan")
_LOOKS: Final = {"global": (VERMILION, "s", "--"), "local": (BLUE, "o", "-")}


class AblationTable(NamedTuple):
    """A table of the paper: the ablation that gives it, its first variant, where its cells are printed, its caption.

    ``printed`` gives table and setting in :mod:`patchcxr.report.published` of a variant and method, or None.
    """

    ablation: str
    reference: str
    printed: Callable[[str, str], tuple[str, str] | None]
    caption: str


_MASKS: Final = {"mask": "with mask", "whole": "without mask"}

ABLATION_TABLES: Final = {
    "Table XIV": AblationTable(
        "segmentation_network", "FC-DenseNet103",
        lambda variant, method: ("Table XIV", variant) if method == "local" else None,
        "Classification with lungs of different segmentation networks.",
    ),
    "Table XVI": AblationTable(
        "region", "mask",
        lambda variant, method: ("Table XVI", _MASKS.get(variant, "")) if method == "local" else None,
        "Classification with and without the lung mask.",
    ),
    "Table XVII": AblationTable(
        "patch_size", "224 x 224",
        lambda variant, method: ("Table XVII", f"patch {variant.split()[0]}") if method == "local" else None,
        "Classification with patches of different size.",
    ),
    "Fig. 12": AblationTable(
        "training_share", "100 %",
        lambda variant, method: ("Table X", method) if variant == "100 %" else None,
        "Classification by share of the training patients.",
    ),
}  # fmt: skip
"""Tables of Oh 2020 that compare classifications. Fig. 12 prints no numbers but those that Table X repeats."""


class Ablation(NamedTuple):
    """What an ablation has left on disk: its tables stacked, and its paired tests (empty where there are none)."""

    found: pd.DataFrame
    tests: pd.DataFrame


def read_ablation(folder: str | Path, name: str) -> Ablation:
    """Read the tables of ``patchcxr ablation CONFIG --of NAME --out FOLDER``.

    Raises
    ------
    CohortError
        If the folder does not hold this ablation.
    """
    tests = Path(folder) / f"{name}_tests.csv"
    return Ablation(read_table(Path(folder) / f"{name}.csv"), read_table(tests) if tests.is_file() else pd.DataFrame())


def classification_scores_of(found: pd.DataFrame) -> pd.DataFrame:
    """Scores of each variant and classifier of an ablation, a row each.

    Raises
    ------
    ConfigError
        If no variant has any.
    """
    scores = found[found["table"] == "classification/scores"].dropna(axis="columns", how="all")
    if scores.empty:
        failed = found["error"].dropna() if "error" in found else []
        raise ConfigError(
            "the ablation has no scores of a classification; "
            + (f"its first variant failed: {next(iter(failed))}" if len(failed) else "run it with classifiers")
        )
    return scores.reset_index(drop=True)


def ablation_table(ablation: Ablation, table: str) -> PaperTable:
    """Scores of every variant, global and local, with the printed row below, and the tests against the first variant.

    Parameters
    ----------
    ablation
        Of the name that :data:`ABLATION_TABLES` gives.
    table
        A key of :data:`ABLATION_TABLES`.

    Returns
    -------
    PaperTable
        Data: a row a variant, method and measure with ``value`` and
        ``published`` (fractions). Shown: percent, the macro-F1 with its 95 %
        interval over resampled patients, and the p-values of McNemar's and
        DeLong's tests after Holm's correction.

    Raises
    ------
    ConfigError
        If the table is unknown, or there are no scores.
    """
    if table not in ABLATION_TABLES:
        raise ConfigError(f"got the table {table!r}; expected one of {', '.join(ABLATION_TABLES)}")
    plan, scores = ABLATION_TABLES[table], classification_scores_of(ablation.found)
    theirs = published(paper=OH).set_index(["table", "setting", "measure"])["value"]
    rows, shown = [], []
    for record in scores.to_dict("records"):
        variant, method = str(record["variant"]), str(record["method"])
        place = plan.printed(variant, method)
        printed = {measure: theirs.get((*place, measure), NAN) if place else NAN for measure in SCORES}
        rows += [
            {"variant": variant, "method": method, "n": record["n"], "measure": measure, "value": record[measure]}
            | {"published": printed[measure]}
            for measure in SCORES
        ]
        cells = {display_name(measure): _percent(record[measure]) for measure in SCORES}
        if "f1_low" in record:
            cells["F1"] += f" ({_percent(record['f1_low'])} to {_percent(record['f1_high'])})"
        start = {"Variant": variant, "Classifier": method}
        tests = _against(ablation.tests, method, variant, plan.reference)
        shown.append(start | {"From": "here", "Films": str(record["n"])} | cells | tests)
        if not np.isnan(list(printed.values())).all():
            theirs_shown = {display_name(measure): _percent(value) for measure, value in printed.items()}
            shown.append(start | {"From": OH, "Films": ""} | theirs_shown | dict.fromkeys(tests, ""))
    note = (
        "In percent, macro averages over the classes; in brackets the 95 % interval over resampled patients. p against "
        f"{plan.reference} on the same films: McNemar's test of right and wrong films, DeLong's of the AUROC of the "
        f"explained class, after Holm's correction. The films of {OH} are others, so a difference is no finding."
    )
    if "error" in ablation.found:
        failed = ablation.found.dropna(subset=["error"])
        note += "".join(f" {row['variant']} failed: {row['error']}." for row in failed.to_dict("records"))
    return PaperTable(data=pd.DataFrame(rows), shown=pd.DataFrame(shown), caption=plan.caption, note=note)


def _percent(value: float) -> str:
    return "" if np.isnan(value) else format_number(100 * float(value), 1)


def _against(tests: pd.DataFrame, method: str, variant: str, reference: str) -> dict[str, str]:
    """The p-values of one variant against the first."""
    names = {"p, McNemar": "p_mcnemar_holm", "p, DeLong": "p_delong_holm"}
    if tests.empty or variant == reference:
        return dict.fromkeys(names, "")
    pair = {variant, reference}
    chosen = tests[(tests["family"] == method) & tests["a"].isin(pair) & tests["b"].isin(pair)]
    return {title: format_p(chosen[column].iloc[0]) if len(chosen) else "" for title, column in names.items()}


def outline_table(ablation: Ablation) -> PaperTable:
    """Sensitivity for abnormal films from masked films and from the lung masks alone (Oh 2020, section V-F).

    Parameters
    ----------
    ablation
        Of ``lung_outline``.

    Returns
    -------
    PaperTable
        A row a variant and method: sensitivity of ``abnormal``, specificity
        (sensitivity of ``normal``), and the printed sensitivity.

    Raises
    ------
    ConfigError
        If the ablation has no sensitivities.
    """
    found = ablation.found
    rows = found[found["table"] == "classification/sensitivity"]
    if rows.empty or not {"normal", "abnormal"} <= set(rows.columns):
        raise ConfigError("the ablation has no sensitivity for normal and abnormal films; give one of lung_outline")
    printed = published(measure="sensitivity", paper=OH)["value"].item()
    data = pd.DataFrame(
        {
            "variant": rows["variant"],
            "method": rows["method"],
            "sensitivity": rows["abnormal"].astype(float),
            "specificity": rows["normal"].astype(float),
        }
    ).reset_index(drop=True)
    data["published"] = np.where((data["variant"] == "mask alone") & (data["method"] == "global"), printed, NAN)
    shown = data.rename(columns={"variant": "Variant", "method": "Classifier", "published": OH}).rename(
        columns={"sensitivity": "Sensitivity", "specificity": "Specificity"}
    )
    shown = shown.assign(**{name: [_percent(v) for v in shown[name]] for name in ("Sensitivity", "Specificity", OH)})
    note = f"In percent. {OH} prints a sensitivity alone, of another classifier of masks and of other films."
    return PaperTable(data=data, shown=shown, caption="Abnormal films told by the outline of the lungs.", note=note)


@styled
def training_share_figure(scores: pd.DataFrame) -> Figure:
    """Accuracy of both classifiers by share of the training patients (Oh 2020, Fig. 12).

    Absolute, with the stored interval of each accuracy, and relative to that of
    the same classifier with all training patients.

    Parameters
    ----------
    scores
        Of :func:`classification_scores_of`: variant (such as ``30 %``),
        method, accuracy, and its interval accuracy_low and accuracy_high.

    Raises
    ------
    ConfigError
        If a variant is no share, or the whole training set is missing.
    """
    shares = pd.to_numeric(scores["variant"].str.removesuffix(" %"), errors="coerce")
    if shares.isna().any() or not (shares == 100).any():
        raise ConfigError(
            f"got the variants {', '.join(dict.fromkeys(scores['variant']))}; expected shares such as 30 %, with 100 %"
        )
    figure = new_figure(height_mm=68, width_mm=DOUBLE_COLUMN_MM)
    absolute, relative = figure.subplots(1, 2)
    for method, part in scores.assign(share=shares).sort_values("share").groupby("method"):
        colour, marker, line = _LOOKS.get(str(method), (GREY, "^", ":"))
        look = {
            "color": colour,
            "marker": marker,
            "linestyle": line,
            "markersize": 4,
            "label": str(method).capitalize(),
        }
        value = 100 * part["accuracy"]
        reach = [value - 100 * part["accuracy_low"], 100 * part["accuracy_high"] - value]
        aside = -0.6 if method == "global" else 0.6  # so that the bars of both can be told apart
        absolute.errorbar(part["share"] + aside, value, yerr=reach, capsize=2, elinewidth=0.8, **look)
        whole = float(value[part["share"] == 100].iloc[0]) if (part["share"] == 100).any() else NAN
        relative.plot(part["share"], 100 * value / whole, **look)
    ticks = sorted(shares.unique())
    for index, (axes, label) in enumerate(((absolute, "Accuracy (%)"), (relative, "Relative accuracy (%)"))):
        axes.set(xlabel="Training patients (%)", ylabel=label, xticks=ticks, xticklabels=[f"{t:.0f}" for t in ticks])
        panel_letter(axes, index)
    relative.axhline(100, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    handles, labels = relative.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
