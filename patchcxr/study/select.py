"""Which films of a cohort a stage uses."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from patchcxr.errors import SplitError
from patchcxr.io.masks import EMPTY_MASK
from patchcxr.study.config import AnatomyConfig, InfectionConfig

ANATOMY_MASKS = ("right_lung_mask", "left_lung_mask", "heart_mask")


def given(column: pd.Series) -> pd.Series:
    """Whether each cell of a text column holds something."""
    return column.notna() & (column.astype("string").str.strip().fillna("") != "")


def from_sources(table: pd.DataFrame, sources: Collection[str] | None) -> pd.DataFrame:
    """Rows of the named sources; all rows when ``sources`` is None."""
    return table if sources is None else table[table["source"].isin(list(sources))]


def with_anatomy(table: pd.DataFrame, whole_lungs: Collection[str] = ()) -> pd.DataFrame:
    """Rows with masks of both lungs and the heart; from the sources ``whole_lungs``, rows with masks of the lungs."""
    keep = pd.Series(True, index=table.index)
    for column in ANATOMY_MASKS:
        keep &= given(table[column])
    if not whole_lungs:
        return table[keep]
    lungs = given(table["lung_mask"]) | (given(table["right_lung_mask"]) & given(table["left_lung_mask"]))
    return table[keep | (lungs & table["source"].isin(list(whole_lungs)))]


def classified(table: pd.DataFrame) -> pd.DataFrame:
    """Rows whose label belongs to a class of the label scheme."""
    return table[given(table["class_name"])]


def infection_targets(table: pd.DataFrame, positive: Collection[str]) -> pd.DataFrame:
    """Rows that can train the infection network, with the boolean column ``infected``.

    Positive classes need an infection mask; every other class is a control
    with an empty target (Degerli 2021, control groups). Without ``positive``
    every film with an infection mask counts by its mask, whatever its class:
    controls are films whose mask is ``(empty)`` and those labelled normal.
    """
    if not positive:
        masked = given(table["infection_mask"])
        rows = table[masked | (table["label"] == "normal")]
        return rows.assign(infected=masked & (table["infection_mask"].astype("string").str.strip() != EMPTY_MASK))
    rows = classified(table)
    infected = rows["class_name"].isin(list(positive))
    rows = rows.assign(infected=infected)
    return rows[~infected | given(rows["infection_mask"])]


def anatomy_rows(table: pd.DataFrame, stage: AnatomyConfig) -> pd.DataFrame:
    """Films that can train the anatomy network: those with the masks of its target, of its sources."""
    if stage.target == "lungs":
        sides = given(table["right_lung_mask"]) & given(table["left_lung_mask"])
        rows = table[given(table["lung_mask"]) | sides]
    else:
        rows = with_anatomy(table, stage.whole_lungs)
    return from_sources(rows, stage.sources)


def infection_rows(table: pd.DataFrame, stage: InfectionConfig) -> pd.DataFrame:
    """Films that can train the infection network, with the boolean column ``infected``, of its sources."""
    return from_sources(infection_targets(table, stage.positive), stage.sources)


def split_rows(table: pd.DataFrame, split: str, stage: str, classes: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of one split, with every one of ``classes`` present.

    Raises
    ------
    SplitError
        If no row is left, or a class is missing.
    """
    rows = table[table["split"] == split]
    if rows.empty:
        raise SplitError(
            f"{stage}: the split {split!r} has no film that this stage can use; expected at least one; "
            "add films with the masks and labels it needs, or change cohort.fractions"
        )
    missing = [name for name in classes if name not in set(rows["class_name"].dropna())]
    if missing:
        raise SplitError(
            f"{stage}: the split {split!r} has no film of class {', '.join(missing)}; expected every class of the "
            "scheme; add patients of that class, change cohort.fractions, or choose another label scheme"
        )
    return rows
