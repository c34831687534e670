"""How a review stands, for adjudicators: each reader's progress, how they agree, and what they chose."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd

from patchcxr.review.agreement import action_agreement, dice_summary, mask_agreement, share_agreement, shares, tally
from patchcxr.review.store import ReviewStore
from patchcxr.review.views import progress_view

DIGITS: Final = 3


def review_status(store: ReviewStore) -> dict[str, Any]:
    """Progress and agreement in the latest round, and the tally of sources, as JSON values.

    Returns
    -------
    dict
        ``round`` and ``name``; ``progress``, a list of ``reader`` and the values of
        :func:`patchcxr.review.views.progress_view`; ``tables``, a list of ``title``, ``about``, ``columns`` and
        ``rows`` of text.

    Raises
    ------
    ReviewError
        If the review has no round.
    """
    number = store.latest_round()
    name = store.rounds().set_index("round").loc[number, "name"]
    progress = [{"reader": reader} | progress_view(store.progress(reader, number)) for reader in store.readers()]
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
        table_view(
            "Sources", "How often a source's mask was chosen where it was offered, in all rounds but adjudications.",
            tally(store),
            ["source", "offered", "chosen", "started", "share", "low", "high"],
        ),
    ]  # fmt: skip
    return {"round": number, "name": name, "progress": progress, "tables": tables}


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
