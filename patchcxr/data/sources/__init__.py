"""One module a public data set: from its folder layout to a cohort table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pandas as pd

from patchcxr.data.sources import cohen, jsrt, nih, tb
from patchcxr.errors import CohortError

SOURCES: Final[dict[str, Callable[[Path], pd.DataFrame]]] = {
    "jsrt": jsrt.build,
    "cohen": cohen.build,
    "nih": nih.build,
    "tb": tb.build,
}
"""Builders by name; each takes the folder of its data set and returns a cohort."""


def build_source(name: str, root: str | Path) -> pd.DataFrame:
    """Cohort of a public data set from its folder.

    Raises
    ------
    CohortError
        If the name is unknown or the folder does not have the expected layout.
    """
    if name not in SOURCES:
        raise CohortError(f"source is {name!r}; expected one of {', '.join(SOURCES)}")
    return SOURCES[name](Path(root))
