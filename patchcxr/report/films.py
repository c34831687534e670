"""Figures that show films: contact sheets, segmentations, the cardiothoracic ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from patchcxr.errors import ConfigError, ImageError, MaskError
from patchcxr.report.style import (
    DOUBLE_COLUMN_MM,
    ORGAN_COLOURS,
    film_axes,
    new_figure,
    styled,
)
from patchcxr.types import ANATOMY, AnyArray, BoolArray, FloatArray

FILL_OPACITY = 0.35
LONGEST_SIDE = 640
"""Films are thinned to at most this many pixels a side; a panel of a sheet never shows more."""

OrganMasks = Mapping[str, AnyArray]


def check_film(image: AnyArray, what: str = "the film") -> FloatArray:
    """Return a film as float (H, W) in [0, 1], or raise ImageError."""
    film = np.asarray(image)
    if film.ndim != 2 or min(film.shape, default=0) < 1:
        raise ImageError(f"{what} has shape {film.shape}; expected (rows, columns)")
    if film.dtype == np.uint8:
        return film.astype(np.float32) / 255.0
    return np.clip(film.astype(np.float32), 0.0, 1.0)


def check_mask(mask: AnyArray, shape: tuple[int, ...], what: str = "the mask") -> BoolArray:
    """Return a mask as bool (H, W) of the film's shape, or raise MaskError."""
    found = np.asarray(mask)
    if found.shape != shape:
        raise MaskError(
            f"{what} has shape {found.shape} but the film has {shape}; "
            "resize it with preprocessing.geometry.resize_mask"
        )
    return found.astype(bool)


def thin(image: AnyArray, longest: int = LONGEST_SIDE) -> AnyArray:
    """Shrink an array for display: means of whole blocks for films, single pixels for masks."""
    step = -(-max(image.shape[:2]) // longest)
    if step <= 1:
        return image
    rows, columns = image.shape[0] // step * step, image.shape[1] // step * step
    if image.dtype == bool:
        return image[step // 2 :: step, step // 2 :: step][: rows // step, : columns // step]
    blocks = image[:rows, :columns].reshape(rows // step, step, columns // step, step, *image.shape[2:])
    return blocks.mean(axis=(1, 3)).astype(np.float32)


def draw_film(axes: Axes, image: FloatArray) -> None:
    """Draw a film in grey, 0 black and 1 white, without frame and ticks."""
    axes.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation="antialiased")
    film_axes(axes)


def draw_contour(axes: Axes, mask: BoolArray, colour: str, width: float = 0.9, style: str = "-") -> None:
    """Draw the outline of a mask; an empty mask has none."""
    if mask.any():
        padded = np.pad(mask, 1).astype(float)
        rows, columns = np.arange(-1, mask.shape[0] + 1), np.arange(-1, mask.shape[1] + 1)
        axes.contour(columns, rows, padded, levels=[0.5], colors=[colour], linewidths=width, linestyles=style)
        axes.set(xlim=(-0.5, mask.shape[1] - 0.5), ylim=(mask.shape[0] - 0.5, -0.5))


def shorten(text: str, length: int = 26) -> str:
    """Cut a long title in the middle, so that its beginning and end stay."""
    return text if len(text) <= length else f"{text[: length // 2]}…{text[-(length // 2 - 1) :]}"


def _grid_height(shapes: Sequence[tuple[int, ...]], columns: int, width_mm: float, title_mm: float) -> float:
    """Height that fits rows of films of these shapes, side by side over the width."""
    total = 0.0
    for start in range(0, len(shapes), columns):
        total += max(s[0] / s[1] for s in shapes[start : start + columns]) * width_mm / columns + title_mm
    return total


@styled
def contact_sheet(images: Sequence[AnyArray], titles: Sequence[str], columns: int = 4) -> Figure:
    """Films side by side, each below its title.

    Parameters
    ----------
    images
        Films of shape (H, W), float in [0, 1] or uint8; sizes may differ.
    titles
        One for each film; long ones are cut in the middle.
    columns
        Films in a row.

    Raises
    ------
    ConfigError
        If there is no film, or there are not as many titles as films.
    ImageError
        If a film is not of shape (H, W).
    """
    if not images or len(images) != len(titles) or columns < 1:
        raise ConfigError(
            f"got {len(images)} films, {len(titles)} titles and {columns} columns; "
            "give one title a film and at least one film"
        )
    films = [thin(check_film(image, title)) for image, title in zip(images, titles, strict=True)]
    figure = new_figure(height_mm=_grid_height([f.shape for f in films], columns, DOUBLE_COLUMN_MM - 4.0, 4.8))
    grid = figure.subplots(-(-len(films) // columns), columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        film_axes(axes)
        if index < len(films):
            draw_film(axes, films[index])
            axes.set_title(shorten(titles[index], 88 // columns), fontsize=7.5, pad=2.5)
    return figure


def _organs(masks: AnyArray | OrganMasks, shape: tuple[int, ...], what: str) -> dict[str, BoolArray]:
    """Heart and both lungs together from a label map (indices of ANATOMY) or from named masks."""
    if isinstance(masks, Mapping):
        known = {"heart": "heart", "lungs": "lungs", "lung": "lungs", "left_lung": "lungs", "right_lung": "lungs"}
        found: dict[str, BoolArray] = {}
        for name, mask in masks.items():
            if name not in known:
                raise MaskError(f"{what} has the mask {name!r}; expected {', '.join(known)}")
            checked = check_mask(mask, shape, f"{what}, {name}")
            found[known[name]] = found.get(known[name], np.zeros(shape, bool)) | checked
        return found
    labels = np.asarray(masks)
    if labels.shape != shape:
        check_mask(labels, shape, what)
    if labels.dtype == bool:
        return {"lungs": labels}
    heart = labels == ANATOMY.index("heart")
    lungs = (labels == ANATOMY.index("left_lung")) | (labels == ANATOMY.index("right_lung"))
    return {"heart": heart, "lungs": lungs}


def _fill(film: FloatArray, organs: Mapping[str, BoolArray]) -> FloatArray:
    """Film as RGB with translucent organs."""
    shown = np.repeat(film[..., None], 3, axis=2)
    for name, mask in organs.items():
        shown[mask] = (1.0 - FILL_OPACITY) * shown[mask] + FILL_OPACITY * np.asarray(to_rgb(ORGAN_COLOURS[name]))
    return shown


@styled
def segmentation_examples(
    images: Sequence[AnyArray],
    predicted_masks: Sequence[AnyArray | OrganMasks],
    true_masks: Sequence[AnyArray | OrganMasks | None] | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 4,
) -> Figure:
    """Films above their segmentations: lungs blue, heart red, true contours green (Oh 2020, Fig. 2a).

    Parameters
    ----------
    images
        Films of shape (H, W).
    predicted_masks
        For each film a label map with the indices of
        :data:`patchcxr.types.ANATOMY`, a bool mask of both lungs, or named
        bool masks (``heart``, ``left_lung``, ``right_lung``, ``lungs``).
    true_masks
        The same, or None where a film has no true mask.
    titles
        One for each film.
    columns
        Films in a row.

    Raises
    ------
    ConfigError
        If there is no film, or the sequences differ in length.
    MaskError
        If a mask does not fit its film.
    """
    truths = list(true_masks) if true_masks is not None else [None] * len(images)
    names = list(titles) if titles is not None else [""] * len(images)
    if not images or not len(images) == len(predicted_masks) == len(truths) == len(names):
        raise ConfigError(
            f"got {len(images)} films, {len(predicted_masks)} predicted and {len(truths)} true masks and {len(names)} "
            "titles; give as many of each, at least one"
        )
    columns = min(columns, len(images))
    blocks = -(-len(images) // columns)
    width = DOUBLE_COLUMN_MM * columns / 4 if columns < 4 else DOUBLE_COLUMN_MM
    shapes = [np.shape(image) for image in images]
    figure = new_figure(height_mm=2 * _grid_height(shapes, columns, width - 4.0, 2.6) + 6, width_mm=width)
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    for axes in grid.flat:
        film_axes(axes)
    seen: set[str] = set()
    for index, image in enumerate(images):
        film, what = check_film(image, names[index] or f"film {index}"), names[index] or f"film {index}"
        above, below = (grid[2 * (index // columns) + row, index % columns] for row in (0, 1))
        organs = {k: thin(v) for k, v in _organs(predicted_masks[index], film.shape, what).items()}
        small = thin(film)
        draw_film(above, small)
        above.set_title(shorten(names[index], 88 // columns), fontsize=7.5, pad=2.5)
        below.imshow(_fill(small, organs), interpolation="antialiased")
        seen.update(organs)
        truth = truths[index]
        if truth is not None:
            seen.add("truth")
            for mask in _organs(truth, film.shape, what).values():
                draw_contour(below, thin(mask), ORGAN_COLOURS["truth"])
    keys = [
        Patch(facecolor=ORGAN_COLOURS[key], alpha=0.6, label=f"{label}, predicted")
        for key, label in (("lungs", "Lungs"), ("heart", "Heart"))
        if key in seen
    ]
    if "truth" in seen:
        keys += [Line2D([], [], color=ORGAN_COLOURS["truth"], linewidth=1.5, label="True contours")]  # type: ignore[list-item]
    figure.legend(handles=keys, loc="outside lower center", ncols=3)
    return figure
