"""What making a cohort gives: the cohort, and what had to be left out."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd


class Imported(NamedTuple):
    """A data set or a folder as it was found.

    Attributes
    ----------
    cohort
        One row a usable film; ``patient_id_known``, if it is there, says ``yes``
        where the patient is named, ``no`` where the study stands in for it.
    skipped
        Columns ``name`` and ``reason``: rows and files that were left out.
    """

    cohort: pd.DataFrame
    skipped: pd.DataFrame
