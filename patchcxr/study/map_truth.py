"""What maps are measured against: infection masks, boxes, or CheXlocalize's segmentations; and the lungs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from patchcxr.data.boxes import boxes_mask, boxes_of, parse_boxes
from patchcxr.errors import CohortError, ConfigError, ImageError, MaskError
from patchcxr.io.arrays import safe_name
from patchcxr.io.chexlocalize import Segmentations, read_segmentations
from patchcxr.io.headers import raster_kind, read_header
from patchcxr.io.limits import read_file
from patchcxr.io.masks import EMPTY_MASK, read_mask, resize_mask
from patchcxr.io.radiograph import read_radiograph
from patchcxr.study.compare_maps import ReadLungs, ReadMask, Shape
from patchcxr.study.compare_masks import mask_field, read_masks
from patchcxr.study.select import given
from patchcxr.types import BoolArray


class Truth(NamedTuple):
    """The films whose truth is known, and how to read it on a grid."""

    rows: pd.DataFrame
    read: ReadMask


def open_truth(table: pd.DataFrame, truth: str = "masks", findings: Sequence[str] = ()) -> Truth:
    """The truth of a cohort.

    Parameters
    ----------
    table
        Cohort.
    truth
        ``masks``: the column ``infection_mask``. ``boxes``: the column ``boxes``. Else a JSON file of CheXlocalize,
        segmentations or annotations, in which a film is found by its study or by the end of its image's path
        (``patient64541/study1/view1_frontal.jpg``).
    findings
        Of boxes those to keep, all by default; a film that has none of them is left out, because nobody says that its
        reader looked for them. Of a JSON file those whose union is meant; needed if it has several.

    Raises
    ------
    CohortError
        If no film has this truth.
    ConfigError
        If findings are given for masks, which name none, are unknown, or are needed.
    MaskError
        If the file cannot be read.
    """
    if truth == "masks":
        if findings:
            raise ConfigError("infection masks name no findings; leave --finding out, or use boxes or a JSON file")
        return Truth(_some(table[given(table["infection_mask"])], "an infection_mask; fill in the column"), _mask)
    if truth == "boxes":
        return _boxes(table, findings)
    if truth.lower().endswith(".json"):
        return _segmented(table, read_segmentations(truth), findings)
    raise ConfigError(f"--truth {truth!r}: expected masks, boxes, or a JSON file of CheXlocalize")


def open_lungs(table: pd.DataFrame, path: str | None = None) -> ReadLungs | None:
    """Lungs of each film: of the cohort, of ``path`` (a cohort table, or a folder of masks), or None for ``none``.

    Lungs are ``lung_mask``, or the union of both lungs; a film without them has no energies of the lungs.
    """
    if path == "none":
        return None
    source = table if path is None else read_masks(path)
    fields = {safe_name(str(row["study"])): mask_field(row, "lung") for row in source.to_dict("records")}
    if not any(fields.values()):
        return None

    def read(row: dict[str, Any], grid: Shape) -> BoolArray | None:
        field = fields.get(safe_name(str(row["study"])))
        return None if field is None else resize_mask(read_mask(field, grid if field == EMPTY_MASK else None), grid)

    return read


def film_shape(path: str | Path) -> Shape:
    """(rows, columns) of a film, from its header where that tells them, so that pictures need not be decoded.

    Raises
    ------
    ImageError
        If the film is missing or damaged.
    """
    data = read_file(Path(path))
    if raster_kind(data) is None:
        shape = read_radiograph(path).pixels.shape
        return shape[0], shape[1]
    try:
        header = read_header(data)
    except ValueError as error:
        raise ImageError(f"{path}: {error}; copy or export it again") from None
    turned = header.orientation >= 5  # EXIF: rows and columns change places
    return (header.columns, header.rows) if turned else (header.rows, header.columns)


def _mask(row: dict[str, Any], grid: Shape) -> BoolArray:
    return _shrunk(read_mask(str(row["infection_mask"]), film_shape(row["image"])), grid)


def _boxes(table: pd.DataFrame, findings: Sequence[str]) -> Truth:
    rows = table[given(table["boxes"])].copy()
    parsed = [parse_boxes(field) for field in rows["boxes"]]
    known = sorted({str(box.finding) for boxes in parsed for box in boxes})
    unknown = [finding for finding in findings if finding not in known]
    if unknown:
        raise ConfigError(f"--finding {unknown[0]!r}: no box has it; expected some of {', '.join(known) or 'nothing'}")
    kept = [boxes_of(boxes, findings or None) for boxes in parsed]
    rows = rows[[bool(chosen) or not boxes for chosen, boxes in zip(kept, parsed, strict=True)]]

    def read(row: dict[str, Any], grid: Shape) -> BoolArray:
        return boxes_mask(boxes_of(parse_boxes(row["boxes"]), findings or None), grid, film_shape(row["image"]))

    return Truth(_some(rows, "boxes; fill in the column"), read)


def _segmented(table: pd.DataFrame, masks: Segmentations, findings: Sequence[str]) -> Truth:
    known = masks.findings
    chosen = list(findings) or known
    unknown = [finding for finding in chosen if finding not in known]
    if unknown or (len(known) > 1 and not findings):
        asked = f"--finding {unknown[0]!r} is not in" if unknown else "--finding is needed for"
        raise ConfigError(f"{asked} {masks.name}; expected some of {', '.join(known)}")
    names = [_image_name(row, masks) for row in table[["study", "image"]].to_dict("records")]
    rows = table[[name is not None for name in names]]

    def read(row: dict[str, Any], grid: Shape) -> BoolArray:
        return _shrunk(masks.mask(str(_image_name(row, masks)), chosen), grid)

    return Truth(_some(rows, f"a segmentation in {masks.name}, which has {', '.join(masks.images[:2])}, ..."), read)


def _image_name(row: dict[str, Any], masks: Segmentations) -> str | None:
    study = str(row["study"])
    if study in masks:
        return study
    by_path = "_".join(PurePosixPath(str(row["image"])).with_suffix("").parts[-3:])
    return by_path if by_path in masks else None


def _shrunk(mask: BoolArray, grid: Shape) -> BoolArray:
    resized = resize_mask(mask, grid)
    if mask.any() and not resized.any():
        raise MaskError(
            f"the lesion of {int(mask.sum())} of {mask.size} pixels vanishes on a grid of {grid[0]} x {grid[1]};"
            " compare on a finer one with --size"
        )
    return resized


def _some(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    if rows.empty:
        raise CohortError(f"no film of the cohort has {what}")
    return rows
