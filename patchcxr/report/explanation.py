"""The figure of one explained film: the film, its lungs, and the map of each class with its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure

from patchcxr.report.film_grid import Panel, film_grid
from patchcxr.report.map_scale import Scale, common_scale
from patchcxr.report.style import DOUBLE_COLUMN_MM, ORGAN_COLOURS, display_name
from patchcxr.types import AnyArray, BoolArray, FloatArray

PANEL_MM: Final = 41.0
"""Width of a panel where there are few."""

OUTLINE: Final = "#FFFFFF"
"""Of the lungs over a map, whose colours have every hue."""


@dataclass(frozen=True, eq=False)
class ExplainedClass:
    """Map of one class of a film.

    Attributes
    ----------
    name
        Class.
    values
        Map (H, W), not negative.
    said
        What the classifier says of the class, such as ``p 0.83, 84/100 votes``.
    predicted
        Whether it is the class that was predicted.
    """

    name: str
    values: FloatArray
    said: str
    predicted: bool = False


def explanation_figure(
    film: AnyArray,
    lung: BoolArray,
    classes: Sequence[ExplainedClass],
    title: str,
    method: str,
    normalization: str = "minmax",
    colormap: str = "jet",
) -> Figure:
    """Film, lung outline, and one overlay a class, with the colour bar; the bare film goes where classes need its room.

    Parameters
    ----------
    film, lung
        Film (H, W) in [0, 1], and the lungs that were seen.
    classes
        Maps of the same shape, at least one.
    title
        Name of the film.
    method
        ``probabilistic`` or ``global``: what the colour bar is called. A
        probabilistic map of ``minmax`` or ``max`` lies in [0, 1] for all
        films alike and is drawn on that scale, so that a class of low
        probability stays dark; other maps are drawn up to the largest value
        of the film's maps.
    normalization
        Of each patch's map (probabilistic) or of the map (global).
    colormap
        See :class:`~patchcxr.report.map_scale.Scale`.
    """
    if method == "probabilistic" and normalization != "none":
        scale = Scale("Probabilistic Grad-CAM: patch maps in [0, 1] × patch probability, mean", 1.0, colormap)
    else:
        label = "Probabilistic Grad-CAM, raw" if method == "probabilistic" else "Grad-CAM"
        scale = common_scale(label, [found.values for found in classes], colormap, normalization)
    seen, over = {ORGAN_COLOURS["lungs"]: lung}, {OUTLINE: lung}
    panels = [Panel(film), Panel(film, outlines=seen)][len(classes) > 2 :]
    panels += [Panel(film, found.values, "map", outlines=over) for found in classes]
    titles = ["Film", "Lungs"][len(classes) > 2 :]
    for found in classes:
        titles.append(f"{display_name(found.name)}{', predicted' if found.predicted else ''}\n{found.said}")
    width = min(DOUBLE_COLUMN_MM, PANEL_MM * len(panels) + 10)
    return film_grid([panels], titles, [title], {"map": scale}, width_mm=width, letters=False)
