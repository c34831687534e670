"""A picture of a cohort: a row of films for each source and label, with the outlines of their masks.

Films are chosen by a hash of seed and study id, so that the same cohort gives
the same picture whatever the order of its rows, and more films of a group
only append to it.
"""

from __future__ import annotations

import hashlib
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from patchcxr.errors import CohortError, ConfigError, PatchCXRError
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph
from patchcxr.preprocessing.geometry import resize_image, resize_mask
from patchcxr.report.films import draw_contour, draw_film, shorten
from patchcxr.report.style import (
    DOUBLE_COLUMN_MM,
    DPI,
    GREY,
    MILLIMETRES_PER_INCH,
    ORGAN_COLOURS,
    STYLE,
    display_name,
    film_axes,
    styled,
)
from patchcxr.report.text import one_line
from patchcxr.types import BoolArray, FloatArray

MAXIMUM_ROWS: Final = 40
"""Groups in one picture; those beyond are counted below it."""

OUTLINES: Final[dict[str, tuple[tuple[str, ...], str, Literal["-", "--"]]]] = {
    "Lungs": (("lung_mask", "right_lung_mask", "left_lung_mask"), ORGAN_COLOURS["lungs"], "-"),
    "Heart": (("heart_mask",), ORGAN_COLOURS["heart"], "--"),
    "Infection": (("infection_mask",), ORGAN_COLOURS["truth"], "-"),
}
"""Mask columns, colour and line of each outline; ``lung_mask`` stands before the single lungs."""

_SINGLE_LUNGS: Final = ("right_lung_mask", "left_lung_mask")
_MASK_COLUMNS: Final = tuple(column for columns, _, _ in OUTLINES.values() for column in columns)
_LONGEST: Final = 320
_TALLEST: Final = 1.3
_NAMES_MM: Final = 24.0
_CAPTION_MM: Final = 4.4
_FOOT_MM: Final = 6.0
_GAP_MM: Final = 1.2
_SOFT: Final = "#57606A"


@dataclass(frozen=True)
class Group:
    """Values of the columns grouped by, films and patients in all, and the rows of those to show."""

    names: tuple[str, ...]
    films: int
    patients: int
    shown: list[dict[str, str]]


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A film to show: its study id, pixels (``None`` if it cannot be read), outlines by name, and what is amiss."""

    study: str
    film: FloatArray | None
    outlines: dict[str, BoolArray]
    fault: str = ""


def contact_sheet(
    table: pd.DataFrame,
    path: str | Path,
    per_group: int = 8,
    group_by: Sequence[str] = ("source", "label"),
    seed: int = 0,
) -> Path:
    """Write a PNG picture of a cohort: one row a group, each film with its aspect ratio, outlines and study id.

    A film that cannot be read is an empty frame with its name and the reason.

    Parameters
    ----------
    table
        Cohort with absolute paths.
    path
        Where the picture is written, ``.png``.
    per_group
        Films of a group at most.
    group_by
        Columns whose values together make a group; empty cells are a value of their own.
    seed
        Another seed chooses other films.

    Raises
    ------
    CohortError
        If the table is empty or lacks a column to group by.
    ConfigError
        If ``per_group`` is not from 1 to 16, or the name does not end in ``.png``.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: the picture is written as PNG; give a name that ends in .png")
    if not 1 <= per_group <= 16:
        raise ConfigError(f"per_group is {per_group}; expected 1 to 16 films in a row")
    groups = choose(table, per_group, group_by, seed)
    rows = [(group, [exhibit(film) for film in group.shown]) for group in groups[:MAXIMUM_ROWS]]
    figure = contact_sheet_figure(rows, per_group, len(groups) - len(rows))
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=DPI)
    write_bytes_atomically(path, buffer.getvalue())
    return path


def choose(table: pd.DataFrame, per_group: int, group_by: Sequence[str], seed: int = 0) -> list[Group]:
    """Groups in alphabetical order, each with its first ``per_group`` films by a hash of seed and study id.

    Raises
    ------
    CohortError
        If the table is empty or lacks a column to group by.
    """
    absent = [name for name in group_by if name not in table]
    if absent or table.empty or not group_by:
        lacks = f"no column {absent[0]!r}" if absent else "no rows" if table.empty else "nothing to group by"
        raise CohortError(f"cohort has {lacks}; give films and columns such as source and label")
    columns = [name for name in ("study", "image", *_MASK_COLUMNS) if name in table]
    films = table[columns].astype("string").reset_index(drop=True)
    films["study"] = films["study"].fillna("(no id)")
    keys = [table[name].astype("string").fillna("(none)").reset_index(drop=True) for name in group_by]
    patients = table["patient"].astype("string").reset_index(drop=True) if "patient" in table else films["study"]
    order = np.argsort([_hash(f"{seed}/{study}") for study in films["study"]], kind="stable")
    made = []
    for names, rows in films.iloc[order].groupby([key.iloc[order] for key in keys], sort=True):
        shown = [
            {str(k): v for k, v in film.items() if not pd.isna(v)} for film in rows.head(per_group).to_dict("records")
        ]
        made.append(Group(tuple(map(str, names)), len(rows), patients[rows.index].nunique(), shown))
    return made


def exhibit(film: Mapping[str, str]) -> Exhibit:
    """Read one film and its masks (a row of the cohort without empty cells), reduced for display; faults are named."""
    try:
        pixels = read_radiograph(film.get("image", "")).pixels
    except (PatchCXRError, OSError) as error:
        return Exhibit(film["study"], None, {}, _reason(error, film.get("image", "")))
    shape = (pixels.shape[0], pixels.shape[1])
    scale = min(1.0, _LONGEST / max(shape))
    small = (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale)))
    outlines: dict[str, BoolArray] = {}
    fault = ""
    for name, (columns, _, _) in OUTLINES.items():
        for column in columns:
            if column not in film or (column in _SINGLE_LUNGS and "lung_mask" in film):
                continue
            try:
                mask = resize_mask(read_mask(film[column], shape), small)
                outlines[name] = outlines.get(name, np.zeros(small, dtype=bool)) | mask
            except (PatchCXRError, OSError):
                fault = f"{column} unusable"
    return Exhibit(film["study"], resize_image(pixels, small), outlines, fault)


@styled
def contact_sheet_figure(rows: Sequence[tuple[Group, Sequence[Exhibit]]], per_group: int, not_shown: int = 0) -> Figure:
    """Draw groups of films, a row each; ``not_shown`` further groups are counted below."""
    cell = (DOUBLE_COLUMN_MM - _NAMES_MM) / per_group
    heights = [min(_TALLEST, max(_aspect(one) for one in films)) * (cell - _GAP_MM) + _CAPTION_MM for _, films in rows]
    total = sum(heights) + _FOOT_MM + 2 * _GAP_MM
    figure = Figure(figsize=(DOUBLE_COLUMN_MM / MILLIMETRES_PER_INCH, total / MILLIMETRES_PER_INCH), dpi=DPI)
    top = total - _GAP_MM
    seen: set[str] = set()
    for (group, films), height in zip(rows, heights, strict=True):
        _write_names(figure, group, top / total, total)
        for index, one in enumerate(films):
            box = (_NAMES_MM + index * cell, top - height + _CAPTION_MM, cell - _GAP_MM, height - _CAPTION_MM)
            axes = figure.add_axes(
                (box[0] / DOUBLE_COLUMN_MM, box[1] / total, box[2] / DOUBLE_COLUMN_MM, box[3] / total), anchor="N"
            )
            _draw(axes, one, one.study.removeprefix(f"{group.names[0]}-"), letters=max(6, round(cell * 0.78)))
            seen.update(name for name, mask in one.outlines.items() if mask.any())
        top -= height
    keys = [
        Line2D([], [], color=colour, linestyle=line, linewidth=1.5, label=name)
        for name, (_, colour, line) in OUTLINES.items()
        if name in seen
    ]
    figure.legend(handles=keys, loc="lower left", ncols=3, bbox_to_anchor=(_NAMES_MM / DOUBLE_COLUMN_MM, 0.0))
    if not_shown:
        figure.text(0.995, 1.2 / total, f"and {not_shown} more groups", ha="right", va="bottom", fontsize=7.5)
    return figure


def _write_names(figure: Figure, group: Group, top: float, total: float) -> None:
    step = 3.3 / total
    for index, name in enumerate(group.names):
        weight = "bold" if index == 0 else "normal"
        text = shorten(display_name(one_line(name)), 18)
        figure.text(0.006, top - index * step, text, va="top", fontsize=7.5, fontweight=weight, parse_math=False)
    films = f"{group.films} film{'s' * (group.films != 1)}"
    counts = f"{films}\n{group.patients} patient{'s' * (group.patients != 1)}"
    figure.text(0.006, top - (len(group.names) + 0.2) * step, counts, va="top", fontsize=6.5, color=_SOFT)


def _draw(axes: Axes, one: Exhibit, caption: str, letters: int) -> None:
    film_axes(axes)
    axes.set_xlabel(shorten(one_line(caption), letters), fontsize=5.5, labelpad=1.5, parse_math=False, color="black")
    if one.film is None:
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_box_aspect(1)
        for spine in axes.spines.values():
            spine.set(visible=True, linewidth=0.6, linestyle=(0, (3, 2)), color=GREY)
        text = textwrap.fill(one.fault, width=max(10, letters - 4), max_lines=6, placeholder=" …")
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=5, color=_SOFT, parse_math=False)
        return
    draw_film(axes, one.film)
    for name, mask in one.outlines.items():
        _, colour, line = OUTLINES[name]
        draw_contour(axes, mask, colour, 0.7, line)
    if one.fault:
        axes.text(
            0.03, 0.97, one.fault, transform=axes.transAxes, va="top", fontsize=4.5, color="black", parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip


def _aspect(one: Exhibit) -> float:
    return 1.0 if one.film is None else one.film.shape[0] / one.film.shape[1]


def _reason(error: Exception, image: str) -> str:
    """What is wrong without the path before it, which would fill the frame."""
    return one_line(str(error).removeprefix(f"{image}: ")) or type(error).__name__


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=7).digest(), "big")
