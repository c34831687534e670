"""The papers' tables of several networks, from their cross-validations, with the printed rows beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.errors import ConfigError
from patchcxr.report.crossvalidation import named, span
from patchcxr.report.published import published
from patchcxr.report.tables import PaperTable, column_title, format_mean_std, format_number, format_p
from patchcxr.stats.corrections import Correction, with_stars
from patchcxr.stats.paired import paired_table, signed_rank_pairs

NAN = float("nan")
DETECTION: Final = ("sensitivity", "specificity", "precision", "f1", "f2", "accuracy")

PAPER_TABLES: Final[dict[str, dict[str, Any]]] = {
    "Degerli 2021, Table 2": {
        "cells": [("pixel", measure) for measure in (*DETECTION, "auroc")],
        "equation": "eq13",
        "caption": "Infected regions pixel by pixel, pooled over the test folds, in percent.",
    },
    "Degerli 2021, Table 3": {
        "cells": [("image", measure) for measure in DETECTION],
        "equation": "eq13",
        "caption": "Detection by film, pooled over the test folds, in percent.",
    },
    "Tahir 2021, Table 2": {
        "cells": [("pixel", "accuracy")]
        + [("film", name) for name in ("iou", "dice", "iou_empty_as_1", "dice_empty_as_1")],
        "equation": "eq2",
        "caption": "Lungs and infected regions: accuracy over pixels, IoU and DSC averaged over films, in percent.",
    },
    "Tahir 2021, Table 3": {
        "cells": [("image", measure) for measure in ("accuracy", "precision", "sensitivity", "f1", "specificity")],
        "equation": "eq2",
        "caption": "Detection by film, in percent.",
    },
}
"""What each table of a paper holds: level and measure of its columns, and the equation of its intervals."""


def paper_table(
    pooled: Mapping[str, pd.DataFrame], table: str, prefix: str = "", structure: str | None = None
) -> PaperTable:
    """A table of a paper from the cross-validations of several networks, with the printed rows beside ours.

    Parameters
    ----------
    pooled
        Pooled scores (``pooled.csv``) by network; a name as printed, such as ``U-Net, DenseNet-121``, brings the
        paper's row.
    table
        One of :data:`PAPER_TABLES`.
    prefix
        What stands before the network's name in :mod:`patchcxr.report.published`, such as ``infection, ``.
    structure
        Structure to show; by default the first of each cross-validation.

    Returns
    -------
    PaperTable
        Ours with the interval that the paper prints and, in brackets, that over patients.

    Raises
    ------
    ConfigError
        If the table is unknown, there is no network, or one lacks the structure or the level.
    """
    if table not in PAPER_TABLES or not pooled:
        raise ConfigError(
            f"got the table {table!r} and {len(pooled)} networks; expected one of {', '.join(PAPER_TABLES)}, and a "
            "cross-validation of at least one network"
        )
    plan, (paper, number) = PAPER_TABLES[table], table.split(", ")
    theirs = published(paper=paper)
    theirs = theirs[theirs["table"] == number].set_index(["setting", "measure"])
    rows, shown = [], []
    for name, scores in pooled.items():
        wanted = structure or str(scores["structure"].iloc[0])
        ours = scores[scores["structure"] == wanted].set_index(["level", "measure"])
        missing = [f"{level} {measure}" for level, measure in plan["cells"] if (level, measure) not in ours.index]
        if missing:
            raise ConfigError(f"{name}: the cross-validation has no {missing[0]} of {wanted!r}; {table} needs it")
        mine: dict[str, str] = {"network": name, "from": "here"}
        printed: dict[str, str] = {"network": name, "from": paper}
        for level, measure in plan["cells"]:
            cell, key = ours.loc[(level, measure)], (prefix + name, measure)
            high = float(cell[f"{plan['equation']}_high"])
            their = theirs.loc[key] if key in theirs.index else {"value": NAN, "spread": NAN}
            rows.append(
                {"network": name, "structure": wanted, "level": level, "measure": measure, "value": cell["value"]}
                | {"n": cell[f"{plan['equation']}_n"], "r": high - cell["value"]}
                | {column: cell[column] for column in ("bootstrap_low", "bootstrap_high", "fold_mean", "fold_sd")}
                | {"published": their["value"], "published_r": their["spread"]}
            )
            column = named(measure)
            mine[column] = _percent(cell["value"], high - cell["value"])
            mine[column] += f" ({span(100 * cell['bootstrap_low'], 100 * cell['bootstrap_high'], 1)})"
            printed[column] = _percent(their["value"], their["spread"])
        shown.append(mine)
        if any((prefix + name, measure) in theirs.index for _, measure in plan["cells"]):
            shown.append(printed)
    equation = {"eq13": "eq. 13 of Degerli 2021", "eq2": "eq. 2 of Tahir 2021"}[plan["equation"]]
    note = (
        f"± is the half-width of {equation}, as printed; in brackets the 95 % interval over resampled patients. The "
        f"films of {paper} are others, so a difference is no finding."
    )
    return PaperTable(data=pd.DataFrame(rows), shown=pd.DataFrame(shown), caption=plan["caption"], note=note)


def _percent(value: float, r: float) -> str:
    if np.isnan(value):
        return ""
    if np.isnan(r):
        return format_number(100.0 * float(value), 2)
    return (
        f"{format_number(100.0 * float(value), 2)} ± {100 * r:.2f}"
        if r > 5e-5 or r == 0
        else (f"{format_number(100.0 * float(value), 2)} ± {100 * r:.0e}")
    )


def overlap_table(
    films: Mapping[str, pd.DataFrame],
    reference: str | None = None,
    printed: tuple[str, Callable[[str, str], str]] | None = None,
    correction: Correction = "holm",
) -> PaperTable:
    """Jaccard of each structure by network, with Wilcoxon signed-rank tests on the same films (Oh 2020, Table XIII).

    Parameters
    ----------
    films
        One table a network, one row a film and structure: study, patient, source, structure, iou (``films.csv`` of a
        cross-validation).
    reference
        Network that all others are compared with, as the whole training set in Table XV; None compares every two.
    printed
        A table of Oh 2020 and the function that gives its setting for a network and a source; only lungs are printed.
    correction
        Of the p-values of one structure and source.

    Returns
    -------
    PaperTable
        The data are the tests, over patients; shown are mean ± standard deviation over films, and the stars.

    Raises
    ------
    ConfigError
        If there are fewer than two networks, or the reference is none of them.
    CohortError
        If two networks have no film in common.
    """
    if len(films) < 2 or (reference is not None and reference not in films):
        raise ConfigError(
            f"got the networks {', '.join(films) or 'none'} and the reference {reference!r}; expected two networks or "
            "more, and a reference among them"
        )
    long = pd.concat([table.assign(network=name) for name, table in films.items()], ignore_index=True)
    long["source"] = long["source"].fillna("")
    theirs = published(measure="lung_jaccard", paper="Oh 2020")
    theirs = theirs[theirs["table"] == (printed[0] if printed else "")].set_index("setting")
    tests, shown = [], []
    for (structure, source), part in long.groupby(["structure", "source"], sort=False):
        wide = paired_table(part, "study", "network", "iou")
        wide["patient"] = wide["study"].map(part.drop_duplicates("study").set_index("study")["patient"])
        there = [name for name in films if name in wide]
        pairs = [(reference, name) for name in there if name != reference] if reference else combinations(there, 2)
        compared = [signed_rank_pairs(wide, pair, "none") for pair in pairs]
        found = with_stars(pd.concat(compared, ignore_index=True), correction) if compared else pd.DataFrame()
        tests.append(found.assign(structure=structure, source=source))
        for name in there:
            values = wide[name].dropna()
            setting = printed[1](name, str(source)) if printed and structure == "lung" else ""
            their = theirs.loc[setting] if setting in theirs.index else {"value": NAN, "spread": NAN}
            shown.append(
                {"structure": column_title(structure), "source": source, "network": name, "films": len(values)}
                | {"patients": wide.loc[values.index, "patient"].nunique()}
                | {"Jaccard": format_mean_std(values.mean(), values.std())}
                | {"against": _against(found, name, reference)}
                | {"Oh 2020": format_mean_std(their["value"], their["spread"])}
            )
    note = (
        f"Mean ± standard deviation over films. Wilcoxon signed-rank tests over patients, {correction} over the pairs "
        "of a structure and source; * p < 0.05, ** p < 0.01, *** p < 0.001, - otherwise. Films whose masks are both "
        "empty have no overlap and are left out."
    )
    data = pd.concat(tests, ignore_index=True)
    return PaperTable(data=data, shown=pd.DataFrame(shown), caption="Overlap by network on the same films.", note=note)


def _against(tests: pd.DataFrame, name: str, reference: str | None) -> str:
    """Stars and p of a network's tests; with a reference, of the test against that."""
    texts = []
    for row in tests.to_dict("records"):
        pair = [row["method_a"], row["method_b"]]
        if name in pair and name != reference:
            other = pair[1 - pair.index(name)]
            texts.append(f"{other}: {row['stars']} (p {format_p(row['p_adjusted'])})")
    return "; ".join(texts)


def overlap_films(table: pd.DataFrame) -> pd.DataFrame:
    """One row a film and structure, from a cross-validation, from ``patchcxr evaluate`` or from a study's scores.

    Raises
    ------
    ConfigError
        If it is none of them.
    """
    if {"study", "structure", "iou"} <= set(table.columns):
        return table
    if {"study", "structure", "jaccard"} <= set(table.columns):
        return table[table["structure"].isin(["lung", "heart"])].rename(columns={"jaccard": "iou"})
    names = [column for column in ("lung_jaccard", "heart_jaccard") if column in table]
    if not names:
        raise ConfigError(
            f"the table has the columns {', '.join(map(str, table.columns))}; expected films.csv of a cross-validation "
            "(study, structure, iou) or of evaluate (study, structure, jaccard), or segmentation/scores.csv of a study "
            "(study, lung_jaccard, heart_jaccard)"
        )
    kept = table[table["role"].isin(["test", "cross"])] if "role" in table else table
    long = kept.melt(["study", "patient", "source"], names, "structure", "iou")
    return long.dropna(subset=["iou"]).assign(structure=lambda found: found["structure"].str.removesuffix("_jaccard"))
