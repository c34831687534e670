"""Follow-up of one patient: the films day by day above the infected share of each lung (Tahir 2021, Fig. 5b)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from patchcxr.errors import ConfigError
from patchcxr.report.films import check_film, check_mask, draw_contour, draw_film, thin
from patchcxr.report.style import (
    BLACK,
    BLUE,
    DOUBLE_COLUMN_MM,
    GREEN,
    GREY,
    ORANGE,
    ORGAN_COLOURS,
    PURPLE,
    VERMILION,
    film_axes,
    new_figure,
    panel_letter,
    styled,
)
from patchcxr.types import AnyArray, BoolArray

FILMS_A_ROW: Final = 6
INFECTION_OPACITY: Final = 0.45
CURVE_MM: Final = 46.0
SCORE_MM: Final = 24.0
CURVES: Final = {
    "overall_percent": ("Both lungs", BLACK, "o", 1.6),
    "right_lung_percent": ("Right lung", BLUE, "s", 1.1),
    "left_lung_percent": ("Left lung", ORANGE, "^", 1.1),
}
"""Columns of the curve: name, colour, marker and width of the line."""

READERS: Final = "Both lungs, readers"

SCORES: Final = {"extent": ("Extent (0 to 8)", GREEN, 8.0), "opacity": ("Opacity (0 to 6)", PURPLE, 6.0)}
"""Severity scores of readers: name, colour and highest value."""


@dataclass(frozen=True, eq=False)
class FollowUpFilm:
    """What is shown of a film: pixels in [0, 1] or uint8 and masks, all (H, W); None where a mask is not known."""

    image: AnyArray
    infection: BoolArray | None = None
    lungs: BoolArray | None = None


@styled
def followup_figure(
    visits: pd.DataFrame, films: Mapping[str, FollowUpFilm] | None = None, source: str = "", title: str = ""
) -> Figure:
    """Draw the course of one patient.

    Films stand in the order of their days, with the infection over them and the outline of the lungs. The curve has
    the infected share of both lungs and of each on a true scale of days; a film without a share leaves a gap, and a
    film without a day is shown last and is not on the curve. What is missing is written under the figure.

    Parameters
    ----------
    visits
        One row a film of one patient: ``study``, ``days``, ``overall_percent``, ``right_lung_percent`` and
        ``left_lung_percent`` (0 to 100, NaN where not known); perhaps ``patient``, ``readers_percent`` (drawn as open
        circles), and ``extent`` and ``opacity`` (a panel of their own).
    films
        Films by study; those of studies that are absent are left out with a note, all of them if None.
    source
        Whose infection it is, for the legend, such as ``readers' masks``.
    title
        Written above; by default the patient.

    Raises
    ------
    ConfigError
        If there is no film, a column is missing, several patients are given, no film has a day, or a share is not in
        [0, 100].
    ImageError, MaskError
        If a film or mask is not (H, W), or they do not fit.
    """
    visits = _checked(visits)
    films = films or {}
    shown = visits[visits["study"].isin(list(films))]
    scores = [name for name in SCORES if name in visits and visits[name].notna().any()]
    rows = -(-len(shown) // FILMS_A_ROW)
    columns = min(max(len(shown), 1), FILMS_A_ROW)
    film_mm = (DOUBLE_COLUMN_MM - 6) / max(columns, 3)
    row_mm = [film_mm * _tallest(shown["study"], films, row) + 9 for row in range(rows)]
    notes = _notes(visits, len(visits) - len(shown) if films else 0)
    heights = [*row_mm, CURVE_MM, *([SCORE_MM] if scores else [])]
    figure = new_figure(height_mm=sum(heights) + 14 + 4 * len(notes))
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for index, record in enumerate(shown.to_dict("records")):
        axes = figure.add_subplot(grid[index // columns, index % columns])
        _draw_visit(axes, record, films[record["study"]])
        if index == 0:
            panel_letter(axes, 0)
    curve = figure.add_subplot(grid[rows, :])
    _draw_curve(curve, visits[visits["days"].notna()])
    panel_letter(curve, 1 if rows else 0)
    lowest = curve
    if scores:
        lowest = figure.add_subplot(grid[rows + 1, :], sharex=curve)
        _draw_scores(lowest, visits[visits["days"].notna()], scores)
        panel_letter(lowest, 2 if rows else 1)
        curve.tick_params(labelbottom=False)
    lowest.set_xlabel("Day")
    if any(film.infection is not None or film.lungs is not None for film in films.values()):
        figure.legend(handles=_keys(films, source), loc="outside upper right", ncols=2)
    name = title or (f"Patient {visits['patient'].iloc[0]}" if "patient" in visits else "")
    if name:
        figure.suptitle(name, x=0.01, ha="left", fontsize=9, fontweight="bold")
    if notes:
        figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=7.5, color=GREY)
    return figure


def _checked(visits: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of their days, after every reason to refuse them."""
    absent = [name for name in ("study", "days", *CURVES) if name not in visits]
    if absent or visits.empty:
        raise ConfigError(
            f"the follow-up has {len(visits)} films and no column {', '.join(absent)}; expected at least one film with "
            f"study, days, {', '.join(CURVES)}"
            if absent
            else "the follow-up has no film; expected at least one row"
        )
    if "patient" in visits and visits["patient"].nunique(dropna=False) > 1:
        raise ConfigError(
            f"the follow-up has {visits['patient'].nunique(dropna=False)} patients; draw one patient at a time"
        )
    if visits["days"].isna().all():
        raise ConfigError("no film of the follow-up has a day; fill in the column days of the cohort")
    shares = visits[[*CURVES, *(["readers_percent"] if "readers_percent" in visits else [])]].to_numpy(float)
    if np.isfinite(shares).any() and not (np.nanmin(shares) >= 0 and np.nanmax(shares) <= 100):
        raise ConfigError(
            f"infected shares lie from {np.nanmin(shares):g} to {np.nanmax(shares):g}; expected percent, 0 to 100"
        )
    return visits.sort_values(["days", "study"], na_position="last", kind="stable").reset_index(drop=True)


def _notes(visits: pd.DataFrame, unseen: int) -> list[str]:
    """What a reader must know of missing values."""
    undated = int(visits["days"].isna().sum())
    dated = visits[visits["days"].notna()]
    unmeasured = int(dated["overall_percent"].isna().sum())
    partial = int((dated[list(CURVES)].isna().any(axis=1) & dated["overall_percent"].notna()).sum())
    notes = []
    if dated["days"].nunique() == 1:
        notes.append("Films of one day only: no course can be told.")
    if undated:
        notes.append(f"{_films(undated)} without a day, shown last and not on the curve.")
    if unmeasured:
        notes.append(f"{_films(unmeasured)} without an infected share; the curve has a gap there.")
    if partial:
        notes.append(f"{_films(partial)} with one lung only.")
    if unseen:
        notes.append(f"{_films(unseen)} could not be shown.")
    return notes


def _films(count: int) -> str:
    return f"{count} film{'s' if count > 1 else ''}"


def _tallest(studies: pd.Series, films: Mapping[str, FollowUpFilm], row: int) -> float:
    names = studies.iloc[row * FILMS_A_ROW : (row + 1) * FILMS_A_ROW]
    shapes = [np.shape(films[name].image) for name in names]
    return max(shape[0] / shape[1] if len(shape) == 2 and shape[1] else 1.0 for shape in shapes)


def _draw_visit(axes: Axes, record: Mapping[str, object], film: FollowUpFilm) -> None:
    name = str(record["study"])
    image = check_film(film.image, name)
    small = thin(image)
    draw_film(axes, small)
    if film.infection is not None:
        infected = thin(check_mask(film.infection, image.shape, f"{name}, infection"))
        colour = np.repeat(small[..., None], 3, axis=2)
        tint = np.asarray(to_rgb(VERMILION))
        colour[infected] = (1 - INFECTION_OPACITY) * colour[infected] + INFECTION_OPACITY * tint
        axes.imshow(colour, interpolation="antialiased")
    if film.lungs is not None:
        lungs = thin(check_mask(film.lungs, image.shape, f"{name}, lungs"))
        draw_contour(axes, lungs, ORGAN_COLOURS["lungs"], width=0.8)
    film_axes(axes)
    axes.set_anchor("N")
    day, share = float(str(record["days"])), float(str(record["overall_percent"]))
    axes.set_title("Day unknown" if np.isnan(day) else f"Day {day:g}", fontsize=8, pad=2.5, fontweight="bold")
    axes.set_xlabel(_share(share), fontsize=7.5, labelpad=2)


def _share(percent: float) -> str:
    if np.isnan(percent):
        return "not measured"
    return f"{percent:.{1 if 0 < percent < 9.95 else 0}f} % infected"


def _draw_curve(axes: Axes, dated: pd.DataFrame) -> None:
    days = dated["days"].to_numpy(float)
    # The lungs first, so that the curve of both lies on top where they meet.
    for column in reversed(CURVES):
        label, colour, marker, width = CURVES[column]
        axes.plot(days, dated[column], color=colour, marker=marker, markersize=4.5, linewidth=width, label=label,
                  markeredgecolor="white", markeredgewidth=0.5, clip_on=False, gid=column)  # fmt: skip
    if "readers_percent" in dated and dated["readers_percent"].notna().any():
        axes.plot(days, dated["readers_percent"], linestyle="none", marker="o", markersize=6.5, color=GREY,
                  markerfacecolor="none", label=READERS, clip_on=False, gid="readers_percent")  # fmt: skip
    drawn = dated[[c for c in (*CURVES, "readers_percent") if c in dated]].to_numpy(float)
    highest = float(np.nanmax(drawn)) if np.isfinite(drawn).any() else 0.0
    axes.set_ylim(0, min(max(10.0, 1.15 * highest), 100.0))
    _day_axis(axes, days)
    axes.set_ylabel("Infected share of lung (%)")
    handles, labels = axes.get_legend_handles_labels()
    order = [labels.index(text) for text in (*(CURVES[c][0] for c in CURVES), READERS) if text in labels]
    axes.legend([handles[i] for i in order], [labels[i] for i in order], loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_scores(axes: Axes, dated: pd.DataFrame, scores: list[str]) -> None:
    for name in scores:
        label, colour, _ = SCORES[name]
        axes.plot(
            dated["days"], dated[name], color=colour, marker="D", markersize=3.5, label=label, clip_on=False, gid=name
        )
    axes.set_ylim(0, max(SCORES[name][2] for name in scores))
    axes.set_ylabel("Readers' score")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _day_axis(axes: Axes, days: AnyArray) -> None:
    first, last = float(days.min()), float(days.max())
    room = 0.04 * (last - first) or 1.0
    axes.set_xlim(first - room, last + room)
    distinct = np.unique(days)
    if len(distinct) <= 8 and (len(distinct) == 1 or np.diff(distinct).min() > 0.03 * (last - first)):
        axes.set_xticks(distinct, [f"{day:g}" for day in distinct])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def _keys(films: Mapping[str, FollowUpFilm], source: str) -> list[Patch | Line2D]:
    keys: list[Patch | Line2D] = []
    if any(film.infection is not None for film in films.values()):
        text = f"Infection, {source}" if source else "Infection"
        keys.append(Patch(facecolor=VERMILION, alpha=0.7, label=text))
    if any(film.lungs is not None for film in films.values()):
        keys.append(Line2D([], [], color=ORGAN_COLOURS["lungs"], linewidth=1.2, label="Lungs"))
    return keys
