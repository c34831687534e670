"""How a review stands, for adjudicators: each reader's progress, and how they agree."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.review.agreement import action_agreement, dice_summary, mask_agreement, share_agreement, shares
from patchcxr.review.store import ReviewStore
from patchcxr.review.views import progress_view

DIGITS: Final = 3


WITHHELD: Final = (
    "How readers agree is shown when you have no film left in this round, so that it does not sway what you decide."
)


def review_status(store: ReviewStore, reader: str) -> dict[str, Any]:
    """Progress and agreement in the latest round, as JSON values, without what would sway a reader.

    No source is named: adjudicators read too, and the operator has ``patchcxr review status``.

    Parameters
    ----------
    store
        The review.
    reader
        Who asks; the agreement is withheld while films of the round are left for this reader.

    Returns
    -------
    dict
        ``round`` and ``name``; ``progress``, a list of ``reader`` and the values of
        :func:`patchcxr.review.views.progress_view`; ``tables``, a list of ``title``, ``about``, ``columns`` and
        ``rows`` of text; ``withheld``, why there are no tables, or None.

    Raises
    ------
    ReviewError
        If the review has no round, or the reader is unknown.
    """
    number = store.latest_round()
    name = store.rounds().set_index("round").loc[number, "name"]
    progress = [{"reader": reader} | progress_view(store.progress(reader, number)) for reader in store.readers()]
    status = {"round": number, "name": name, "progress": progress}
    if store.progress(reader, number).left:
        return status | {"withheld": WITHHELD, "tables": []}
    tables = [
        table_view(
            "Actions", "Kappa of what readers did with the films that they both did.",
            action_agreement(store, number),
            ["measure", "reader_a", "reader_b", "n", "agreement", "kappa", "low", "high"],
        ),
        table_view(
            "Masks", "Dice between the masks of two readers, over films.",
            dice_summary(mask_agreement(store, number)),
            ["reader_a", "reader_b", "n", "mean", "sd", "median", "lowest"],
        ),
        table_view(
            "Size of the mask", "Bland-Altman of its share of the lungs, or of the film without a lung mask.",
            share_agreement(shares(store, number)),
            ["reader_a", "reader_b", "share_of", "n", "bias", "lower", "upper"],
        ),
    ]  # fmt: skip
    return status | {"withheld": None, "tables": tables}


def table_view(title: str, about: str, table: pd.DataFrame, columns: list[str]) -> dict[str, Any]:
    """A table as text, of those of ``columns`` that it has; numbers to three decimals, what is not known empty.

    >>> table_view("T", "", pd.DataFrame({"a": [0.12345, np.nan], "n": [3, 4]}), ["a", "n", "absent"])["rows"]
    [['0.123', '3'], ['', '4']]
    """
    kept = [column for column in columns if column in table]
    rows = [[_text(row[column]) for column in kept] for row in table.to_dict("records")]
    return {"title": title, "about": about, "columns": kept, "rows": rows}


def _text(value: object) -> str:
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ""
    return f"{value:.{DIGITS}f}" if isinstance(value, float | np.floating) else str(value)
