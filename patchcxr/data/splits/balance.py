"""How evenly classes and sources are spread over the sides of a split."""

from __future__ import annotations

from typing import Final

import pandas as pd

from patchcxr.errors import SplitError

ALL: Final = "(all)"
NONE: Final = "(none)"


def split_balance(table: pd.DataFrame, column: str = "split", stratify: str | None = "label") -> pd.DataFrame:
    """Films and patients of every side, by source and class.

    Parameters
    ----------
    table
        Cohort; films whose ``column`` is empty are left out.
    column
        ``split`` or ``fold``.
    stratify
        Column of the classes; ``None`` counts sources only.

    Returns
    -------
    One row a side, source and class that occurs in the cohort, and with
    ``(all)`` for each margin; ``(none)`` stands for an empty cell.

    ==================== =======================================================
    split or fold        the side
    source, label        source and class (under this name whatever ``stratify``)
    films, patients      on this side
    share                of the side's films, from 0 to 1
    share_of_all         of all films that are on a side
    departure            share - share_of_all
    ==================== =======================================================

    Raises
    ------
    SplitError
        If no film is on a side.
    """
    used = table[table[column].notna()] if column in table else table.iloc[:0]
    if used.empty:
        raise SplitError(f"cohort has no film with a {column}; make a split first, with make_split")
    rows = pd.DataFrame(
        {
            column: used[column].to_numpy(dtype=object),
            "source": _named(used, "source"),
            "label": _named(used, stratify) if stratify else ALL,
            "patient": used["patient"].to_numpy(dtype=object),
        }
    )
    every = [rows, rows.assign(source=ALL)]
    if stratify:
        every += [rows.assign(label=ALL), rows.assign(source=ALL, label=ALL)]
    stacked = pd.concat(every)
    cells = ["source", "label"]
    counts = stacked.groupby([column, *cells])["patient"].agg(films="size", patients="nunique")
    sides = [side for side in ("train", "validation", "test") if side in set(rows[column])] or sorted(set(rows[column]))
    of_all = stacked.groupby(cells).size()
    index = pd.MultiIndex.from_tuples(
        [(side, *cell) for side in sides for cell in of_all.index], names=[column, *cells]
    )
    made = counts.reindex(index, fill_value=0).reset_index()
    films = made.groupby(column)["films"].transform("max")  # the row (all), (all)
    made["share"] = made["films"] / films
    made["share_of_all"] = of_all.reindex(pd.MultiIndex.from_frame(made[cells])).to_numpy() / len(rows)
    made["departure"] = made["share"] - made["share_of_all"]
    return made


def largest_departure(balance: pd.DataFrame) -> pd.Series:
    """Row of :func:`split_balance` whose class's share, over all sources, is farthest from its share in the whole.

    Sources stand in for classes where the table has none.
    """
    classes = balance[(balance["source"] == ALL) & (balance["label"] != ALL)]
    rows = classes if len(classes) else balance[balance["source"] != ALL]
    return balance.loc[rows["departure"].abs().idxmax()]


def _named(table: pd.DataFrame, column: str) -> list[str]:
    if column not in table:
        return [NONE] * len(table)
    return table[column].astype("string").fillna(NONE).tolist()
