"""Films that do not belong in a cohort: lateral, paediatric, small, or there twice."""

from __future__ import annotations

import numpy as np
import pandas as pd

from patchcxr.config import config
from patchcxr.data.duplicates import difference_hash, near_duplicate_groups
from patchcxr.errors import ConfigError, ImageError
from patchcxr.io.radiograph import read_radiograph

LATERAL_VIEWS = ("L", "LL", "RL", "LATERAL", "LLD", "RLD")


@config
class HygieneConfig:
    """Which films :func:`clean_cohort` leaves out.

    Attributes
    ----------
    drop_lateral
        Lateral views, where the table gives the view.
    minimum_age_years
        Younger patients, where the table gives the age; ``None`` keeps all.
        A film of unknown age stays.
    minimum_side
        Films with a shorter side in pixels; 0 keeps all.
    drop_duplicates
        All but the first film of each group of near-duplicates.
    """

    drop_lateral: bool = True
    minimum_age_years: float | None = 18
    minimum_side: int = 256
    drop_duplicates: bool = True

    def __post_init__(self) -> None:
        if self.minimum_side < 0:
            raise ConfigError(f"minimum_side is {self.minimum_side}; expected 0 pixels or more")


def clean_cohort(table: pd.DataFrame, config: HygieneConfig | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out films that do not belong in an adult frontal cohort.

    Films are opened only if size or duplicates are to be checked; one that
    cannot be read is left out with the reader's message as the reason.

    Parameters
    ----------
    table
        Cohort.
    config
        Which films to leave out.

    Returns
    -------
    kept : pandas.DataFrame
        The remaining rows, index reset.
    dropped : pandas.DataFrame
        Columns ``study`` and ``reason``, one row a film left out.
    """
    config = config or HygieneConfig()
    reasons = pd.Series(pd.NA, index=table.index, dtype="string")
    if config.drop_lateral and "view" in table:
        view = table["view"].astype("string").str.upper()
        reasons = reasons.mask(view.isin(LATERAL_VIEWS).fillna(False), "lateral view")
    if config.minimum_age_years is not None and "age_years" in table:
        young = (table["age_years"] < config.minimum_age_years).fillna(False).astype(bool)
        reasons = reasons.mask(reasons.isna() & young, f"younger than {config.minimum_age_years:g} years")
    if config.minimum_side or config.drop_duplicates:
        reasons = _by_pixels(table, reasons, config)
    dropped = pd.DataFrame({"study": table["study"], "reason": reasons})[reasons.notna()]
    return table[reasons.isna()].reset_index(drop=True), dropped.reset_index(drop=True)


def _by_pixels(table: pd.DataFrame, reasons: pd.Series, config: HygieneConfig) -> pd.Series:
    reasons = reasons.copy()
    studies, images = table["study"].to_numpy(), table["image"].to_numpy()
    hashes, owners = [], []
    for position in np.flatnonzero(reasons.isna()).tolist():
        try:
            pixels = read_radiograph(str(images[position])).pixels
        except ImageError as error:
            reasons.iloc[position] = str(error)
            continue
        if min(pixels.shape) < config.minimum_side:
            reasons.iloc[position] = f"{pixels.shape[0]} x {pixels.shape[1]} pixels, below {config.minimum_side}"
        elif config.drop_duplicates:
            hashes.append(difference_hash(pixels))
            owners.append(position)
    first: dict[int, str] = {}
    groups = near_duplicate_groups(hashes).tolist() if hashes else []
    for group, position in zip(groups, owners, strict=True):
        if group in first:
            reasons.iloc[position] = f"near-duplicate of {first[group]}"
        else:
            first[group] = str(studies[position])
    return reasons
