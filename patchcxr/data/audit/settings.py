"""The limits of the checks of a cohort."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from patchcxr.config import config
from patchcxr.errors import ConfigError
from patchcxr.measure.chest_view import INVERTED, LEAST_CHEST, TURNED

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""Worst first. An error makes results wrong, a warning may, a note is to be reported with the results."""


@config
class AppearanceConfig:
    """Limits of what a film may look like; the measures are those of :class:`patchcxr.measure.appearance.Appearance`.

    The limits of the scores were chosen on a random half of 2,097 public films (jsrt, cohen, nih, tb, kermany,
    hannover), as they are and inverted or turned, with numbers of the other half in sight; those of exposure, frames,
    marks and grey levels with counts of all films.

    Attributes
    ----------
    blank_share
        From this share of cells without structure on, a film is blank.
    blank_levels
        Below this number of grey levels, at the bit depth of the file and without the 1 % at the ends, a film is blank.
    few_levels
        Below this number, too few levels are left of a film.
    over_exposed_share, under_exposed_share
        From these shares of the field at the brightest, or the darkest, level on, a film is over- or under-exposed.
    border_share
        From this share of the film on, a uniform frame is noted.
    text_share
        From this share of the film on, marks are noted; a side marker alone is about 0.001.
    chest_score
        Below this fit to either view, a film may show no chest, and is not judged further.
    lateral_score
        From this difference of the fits on, a film is a lateral view.
    sure_lateral_score
        From this difference on, cleaning leaves the film out.
    inverted_score
        From this difference on, a film is a negative.
    rotation_score
        From this difference on, a film is turned.
    mirrored_films
        A source with fewer films is not judged for mirroring.
    """

    blank_share: float = 0.95
    blank_levels: int = 6
    few_levels: int = 26
    over_exposed_share: float = 0.1
    under_exposed_share: float = 0.25
    border_share: float = 0.2
    text_share: float = 0.005
    chest_score: float = LEAST_CHEST
    lateral_score: float = 0.1
    sure_lateral_score: float = 0.2
    inverted_score: float = INVERTED
    rotation_score: float = TURNED
    mirrored_films: int = 20

    def __post_init__(self) -> None:
        for name in (
            *("blank_share", "over_exposed_share", "under_exposed_share", "border_share", "text_share"),
            *("chest_score", "lateral_score", "inverted_score", "rotation_score"),
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        if self.sure_lateral_score < self.lateral_score:
            raise ConfigError(
                f"sure_lateral_score is {self.sure_lateral_score}; expected at least lateral_score, which is"
                f" {self.lateral_score}"
            )
        for name in ("blank_levels", "few_levels", "mirrored_films"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 1 or more")


@config
class AuditConfig:
    """What is checked, and the limits.

    Attributes
    ----------
    only
        Checks to run, by their names in :data:`patchcxr.data.audit.run.CHECKS`; all if empty.
    skip
        Checks to leave out, by the same names, or findings to leave out, by theirs.
    fail_on
        Severity from which on an audit fails; ``never`` if none does.
    masks
        Whether masks are opened; without, nothing is said about them.
    minimum_age_years
        Younger patients count as children.
    minimum_side
        Films with a shorter side, in pixels, count as tiny.
    duplicate_distance
        Bits of 256 in which the structure hashes of two copies may differ without more proof;
        see :mod:`patchcxr.data.audit.copies`.
    duplicate_search_distance
        Bits up to which two films are aligned and compared; 0 never does.
    duplicate_correlation
        Correlation of the aligned thumbnails from which on two films are copies.
    maximum_mask_share, minimum_lung_agreement, maximum_lung_overlap, maximum_outside_share
        Limits of the mask checks, all shares from 0 to 1: of the film that an organ or lesion
        may cover; Dice overlap of ``lung_mask`` with the two single lungs; of the smaller
        lung that the other lung may cover; of the infection that may lie outside the lungs.
    appearance
        Limits of what a film may look like.
    seed
        For checks that draw at random.
    """

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    fail_on: Literal["error", "warning", "note", "never"] = "error"
    masks: bool = True
    minimum_age_years: float = 18
    minimum_side: int = 256
    duplicate_distance: int = 16
    duplicate_search_distance: int = 64
    duplicate_correlation: float = 0.94
    maximum_mask_share: float = 0.9
    minimum_lung_agreement: float = 0.6
    maximum_lung_overlap: float = 0.2
    maximum_outside_share: float = 0.5
    appearance: AppearanceConfig = AppearanceConfig()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("minimum_age_years", "minimum_side", "duplicate_distance", "duplicate_search_distance", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 0 or more")
        for name in (
            "duplicate_correlation", "maximum_mask_share", "minimum_lung_agreement",
            "maximum_lung_overlap", "maximum_outside_share",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        if self.fail_on not in (*SEVERITIES, "never"):
            raise ConfigError(f"fail_on is {self.fail_on!r}; expected one of {', '.join(SEVERITIES)}, never")
