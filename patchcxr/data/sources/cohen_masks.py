"""Radiologist-drawn masks of 100 films of the covid-chestxray-dataset (General Blockchain).

- Films: 100 of the covid-chestxray-dataset, in its own files and sizes.
- Classes: none of its own; those of ``metadata.csv`` where that file of the
  covid-chestxray-dataset is put beside ``structure.csv``.
- Masks: 588 tiles by radiologists: left lung, right lung, cardiomediastinum,
  airways, ground glass opacities, consolidation, pleural effusion,
  pneumothorax, and tubes, lines and probes.
- Layout: ``structure.csv`` (one row a structure of a film), ``images/`` named
  as in its column ``Filename``, ``masks/`` and ``tags/`` with the tiles. A
  tile is cut out around its structure; ``Top`` and ``Left`` say where its
  corner lies in a film of ``Resolution`` (width x height).
- Licence: CC BY 4.0; that of each film is in ``metadata.csv``.
- Citation: General Blockchain, covid-19-chest-xray-segmentations-dataset, 2020
  (radiologists A. El Hajjami and M. Soliman); Cohen et al., arXiv:2006.11988.

Decisions: tiles are pasted into masks of the film's size, which are written to
``masks_dir``. ``infection_mask`` is ground glass united with consolidation. A
film that has no row for a structure has none of it (``(empty)``); a row whose
tile is missing leaves the field empty and is named among the skipped. The
cardiomediastinum is no heart, and is not imported.

Traps: the column ``Image`` names files that are not published; these films are
those of ``cohen``, under the same names: never split the two sets apart; lungs
of this set, of annotators and of JSRT end differently at the heart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from patchcxr.data.sources._layout import Imported, files_by_stem, find_images, finish, read_metadata
from patchcxr.data.sources._masks import image_shape, masks_folder, save_mask
from patchcxr.data.sources.cohen import Cases, read_cases
from patchcxr.errors import CohortError
from patchcxr.io.masks import EMPTY_MASK, read_mask
from patchcxr.types import BoolArray

LICENCE = "CC BY 4.0 (masks)"
STRUCTURES: Final = {
    "Right Lung": "right_lung",
    "Left Lung": "left_lung",
    "Ground Glass Opacities": "infection",
    "Consolidation": "infection",
}
"""Mask that a structure (``Template Name``) becomes part of; others are not imported."""


def build(root: str | Path, masks_dir: str | Path | None = None) -> Imported:
    """Cohort of the films below ``root``; their masks are written to ``masks_dir``.

    Parameters
    ----------
    root
        Folder of the data set.
    masks_dir
        Folder outside of ``root`` for masks of the films' size; needed.

    Raises
    ------
    CohortError
        If the table is missing or malformed, all images are missing, or
        ``masks_dir`` is not given.
    MaskError
        If a tile cannot be read.
    """
    root = Path(root)
    text = ("Template Name", "Filename", "Mask", "Resolution")
    tiles = read_metadata(root / "structure.csv", (*text, "Top", "Left"), text).dropna(subset="Filename")
    folder = masks_folder(masks_dir, root, "cohen_masks", "masks are tiles that must be pasted into whole ones")
    cases = read_cases(root / "metadata.csv") if (root / "metadata.csv").is_file() else None
    files = files_by_stem(root / "masks")
    skipped: list[tuple[str, str]] = []
    rows: list[dict[str, str | None]] = []
    for name, of_film in tiles.groupby("Filename", sort=True):
        stem = Path(str(name)).stem
        image = find_images(pd.Series([name]), root / "images")[0]
        if image is None:
            rows.append({"study": stem, "image": None})
            continue
        shape = _shape(of_film["Resolution"].iloc[0], root / "structure.csv", stem)
        own = image_shape(image)
        if own != shape:
            size = f"is {own[0]} x {own[1]} pixels" if own else "cannot be read"
            skipped.append((stem, f"film {size} but its masks are {shape[0]} x {shape[1]}"))
            continue
        masks: dict[str, BoolArray | None] = {}
        for structure, mask, top, left in of_film[["Template Name", "Mask", "Top", "Left"]].itertuples(index=False):
            column = STRUCTURES.get(str(structure).strip())
            if column is None:
                continue
            tile = None if pd.isna(mask) else files.get(Path(mask).stem)
            if tile is None:
                skipped.append((stem, f"mask of {structure} is missing"))
                masks[column] = None
                continue
            whole = masks.setdefault(column, np.zeros(shape, dtype=bool))
            if whole is not None:
                _paste(whole, read_mask(tile), int(top), int(left))
        row: dict[str, str | None] = {"study": stem, "image": image, "licence": LICENCE}
        for column in dict.fromkeys(STRUCTURES.values()):
            drawn = masks.get(column)
            field = EMPTY_MASK if column not in masks else None
            row[f"{column}_mask"] = save_mask(drawn, folder, column, stem) if drawn is not None else field
        rows.append(row)
    table = pd.DataFrame(rows, columns=["study", "image", "licence", *_fields()])
    if cases is not None:
        table, left_out = _described(table, cases)
        skipped += left_out
    return finish(table, "cohen_masks", root / "images", skipped)


def _fields() -> list[str]:
    return [f"{column}_mask" for column in dict.fromkeys(STRUCTURES.values())]


def _shape(resolution: str, path: Path, stem: str) -> tuple[int, int]:
    width, _, height = str(resolution).partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) * int(height)):
        raise CohortError(f"{path}: Resolution of {stem} is {resolution!r}; expected width x height such as 943x751")
    return int(height), int(width)


def _paste(whole: BoolArray, tile: BoolArray, top: int, left: int) -> None:
    """Unite a mask with a tile whose corner lies at (top, left); what juts out is cut off."""
    top, left = max(top, 0), max(left, 0)
    part = whole[top : top + tile.shape[0], left : left + tile.shape[1]]
    part |= tile[: part.shape[0], : part.shape[1]]


def _described(table: pd.DataFrame, cases: Cases) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Facts of the covid-chestxray-dataset put beside the films; those that it leaves out are left out here."""
    reasons = cases.skipped.drop_duplicates("name").set_index("name")["reason"]
    unfit = table["study"].isin(reasons.index) & ~table["study"].isin(cases.films["study"])
    left_out = [(stem, str(reasons[stem])) for stem in table.loc[unfit, "study"]]
    facts = cases.films.drop(columns=["filename", "drawn", "licence"])
    return table[~unfit].merge(facts, on="study", how="left"), left_out
