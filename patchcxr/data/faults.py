"""Faults of a table, in words: row, study, column, value and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import pandas as pd

from patchcxr.errors import CohortError

SHOWN: Final = 5
_LONGEST: Final = 300


class Fault(NamedTuple):
    """What is wrong with one cell; ``row`` counts from 0."""

    row: int
    column: str
    value: object
    remedy: str


def refuse(table: pd.DataFrame, faults: Sequence[Fault], where: str, what: str = "faults") -> None:
    """Raise :class:`~patchcxr.errors.CohortError` with up to five of the faults, and the count of the others."""
    if not faults:
        return
    shown = [_described(table, fault) for fault in faults[:SHOWN]]
    more = f"; and {len(faults) - SHOWN} more {what}" if len(faults) > SHOWN else ""
    raise CohortError(f"{where}: {'; '.join(shown)}{more}")


def _described(table: pd.DataFrame, fault: Fault) -> str:
    study = table["study"].iloc[fault.row]
    named = "without study id" if pd.api.types.is_scalar(study) and pd.isna(study) else f"study {_short(study)}"
    return f"row {fault.row + 1} ({named}): column {fault.column!r} has {_short(fault.value)}; {fault.remedy}"


def _short(value: object) -> str:
    text = repr(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
