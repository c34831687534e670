"""Tables of overlap and outline measures: by group of films, and with and without preprocessing (Oh 2020, Table V)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from patchcxr.errors import ConfigError
from patchcxr.report.published import OH, published
from patchcxr.report.style import display_name
from patchcxr.report.tables import format_mean_std

STRUCTURES: Final = {"lung": "lungs", "heart": "heart"}
OVERLAP: Final = {"jaccard": "Jaccard", "dice": "Dice"}
OUTLINES: Final = {"hd95": "HD95 (pixels)", "hd95_mm": "HD95 (mm)", "assd": "ASSD (pixels)", "assd_mm": "ASSD (mm)"}
"""Measures of the tables, and how they are written."""

ROLES: Final = {
    "test": "unseen patients",
    "train": "training films",
    "validation": "validation",
    "cross": "other source",
}
"""What the films of a summary are to the network."""

PUBLISHED_SOURCES: Final = {"jsrt": "JSRT", "montgomery": "NLM(MC)"}
"""Sources of Oh 2020, Table V, as the paper writes them."""


def segmentation_table(summary: pd.DataFrame) -> pd.DataFrame:
    """One row for each group of films and structure, one column a measure, as ``mean ± standard deviation``.

    Parameters
    ----------
    summary
        What :func:`patchcxr.study.evaluate.anatomy.summarize_scores` gives: ``source``, ``role``, ``measure``, ``n``,
        ``failed``, ``mean`` and ``std``.

    Returns
    -------
    DataFrame
        ``Films``, ``Structure``, ``n``, ``Failed``, and the measures that are known.
    """
    rows = []
    for films, part in _by_films(summary):
        for structure in (name for name in STRUCTURES if f"{name}_jaccard" in part.index):
            first = part.loc[f"{structure}_jaccard"]
            row: dict[str, object] = {"Films": films, "Structure": display_name(STRUCTURES[structure])}
            row |= {"n": int(first["n"]), "Failed": int(first["failed"])}
            row |= {title: _cell(part, f"{structure}_{name}", 3) for name, title in OVERLAP.items()}
            row |= {title: _cell(part, f"{structure}_{name}", 2) for name, title in OUTLINES.items()}
            rows.append(row)
    return pd.DataFrame(rows).dropna(axis=1, how="all")


def preprocessing_table(summaries: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Jaccard by data set with different preprocessings side by side, beside Oh 2020, Table V.

    Parameters
    ----------
    summaries
        Name of the preprocessing (``preprocessed`` and ``original`` are those of the paper) to the summary of a study
        (:func:`segmentation_table`).

    Returns
    -------
    DataFrame
        One row for each group of films and structure: ``Films``, ``Structure``, and for each name ``<name>`` (mean ±
        standard deviation), ``<name>, n``, ``<name>, failed`` and ``<name>, Oh 2020`` where the paper has it.

    Raises
    ------
    ConfigError
        If there is no summary.
    """
    if not summaries:
        raise ConfigError("got no study; give at least one as NAME=FOLDER, such as preprocessed=runs/oh2020")
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for name, summary in summaries.items():
        for films, part in _by_films(summary):
            for structure in (one for one in STRUCTURES if f"{one}_jaccard" in part.index):
                found = part.loc[f"{structure}_jaccard"]
                key = films, display_name(STRUCTURES[structure])
                row = rows.setdefault(key, {"Films": key[0], "Structure": key[1]})
                row[name] = _cell(part, f"{structure}_jaccard", 3)
                row |= {f"{name}, n": int(found["n"]), f"{name}, failed": int(found["failed"])}
                printed = _published(str(found["source"]), name, f"{structure}_jaccard")
                if printed is not None:
                    row[f"{name}, Oh 2020"] = printed
    return pd.DataFrame(list(rows.values()))


def _by_films(summary: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Name of each group of films, and its rows by measure."""
    return [
        (f"{source}, {ROLES.get(str(role), str(role))}", part.set_index("measure"))
        for (source, role), part in summary.groupby(["source", "role"], sort=False)
    ]


def _cell(part: pd.DataFrame, measure: str, digits: int) -> str | None:
    if measure not in part.index:
        return None
    return format_mean_std(part.loc[measure, "mean"], part.loc[measure, "std"], digits)


def _published(source: str, name: str, measure: str) -> str | None:
    table = published(measure, OH)
    setting = f"{PUBLISHED_SOURCES.get(source, source)}, {name}"
    found = table[(table["table"] == "Table V") & (table["setting"] == setting)]
    return None if found.empty else format_mean_std(found["value"].iloc[0], found["spread"].iloc[0])
