"""JSRT films with the SCR outlines of lungs and heart.

- Films: 247 posteroanterior radiographs from 14 institutions (13 in Japan, one
  in the United States), digitised from film to 2048 x 2048, 12 bits, 0.175 mm
  a pixel, as headerless big-endian ``.IMG``.
- Classes: 154 films with one lung nodule (``nodule``; 100 malignant, 54
  benign), 93 without (``normal``).
- Masks: right lung, left lung and heart by the first observer, 1024 x 1024
  GIF; the clavicles are not imported. The lungs exclude heart, mediastinum,
  aorta and what lies below the diaphragm.
- Layout: films ``JPCLN001.IMG`` (nodule) and ``JPCNN001.IMG`` (none), or
  conversions of them to PNG and the like, anywhere below the folder;
  ``CLNDAT_EN.txt`` and ``CNNDAT_EN.txt`` (age, sex, nodule);
  ``fold1/masks/{left lung,right lung,heart}/*.gif`` and ``fold2/...`` of the
  SCR. Or else a re-encoded copy: ``clinical.csv`` (File, Sex, Age, Condition),
  ``images/``, ``masks/{right_lung,left_lung,heart}/``.
- Licence: JSRT films for research after registration; SCR outlines for
  research and education, neither redistribution nor commercial use.
- Citation: Shiraishi et al., AJR 174:71-74, 2000 (films); van Ginneken,
  Stegmann, Loog, Medical Image Analysis 10:19-40, 2006 (outlines).

Decisions: ``fold`` is 0 for ``fold1`` and 1 for ``fold2``, the two halves of
the SCR's own evaluation. Outlines that do not have the size of their film
(1024 against 2048) are resized, to the nearest pixel, into ``masks_dir``;
films of 1024 x 1024 use them as they are. ``boxes`` is the square around a
nodule: its stated size about its stated centre.

Traps: each film is one patient; age 0 or ``?`` stands for unknown and is left
empty, and a few patients are 16 years old; a *nodule* film is no normal film,
though most of its lung is; raw grey levels are inverted (air is high); heart
outlines of other sets that include the mediastinum are wider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd

from patchcxr.data.boxes import Box, format_boxes
from patchcxr.data.sources._layout import Imported, files_by_stem, find_images, finish, read_metadata
from patchcxr.data.sources._masks import RAW_SHAPE, image_shape, masks_folder, save_mask
from patchcxr.errors import CohortError
from patchcxr.io.folders import files_below
from patchcxr.io.masks import read_mask, resize_mask
from patchcxr.io.radiograph import IMAGE_SUFFIXES

LICENCE = "JSRT/SCR: free for research, not for redistribution"
PIXEL_SPACING_MM: Final = 0.175
"""Of the films at 2048 x 2048."""

_ORGANS: Final = ("right_lung", "left_lung", "heart")
_FILM: Final = re.compile(r"JPC[LN]N\d{3}", re.IGNORECASE)
_RECORD: Final = re.compile(r"(JPC[LN]N\d{3})\.IMG\s(.*?)(?=JPC[LN]N\d{3}\.IMG|\Z)", re.IGNORECASE | re.DOTALL)


def build(root: str | Path, masks_dir: str | Path | None = None) -> Imported:
    """Cohort of the JSRT/SCR films below ``root``; ``condition`` is kept as an extra column.

    Parameters
    ----------
    root
        Folder of the data set, in its published layout or re-encoded.
    masks_dir
        Folder outside of ``root`` for resized outlines; needed where outlines
        and films differ in size.

    Raises
    ------
    CohortError
        If there are no films, a table is malformed, or ``masks_dir`` is needed.
    """
    root = Path(root)
    if (root / "clinical.csv").is_file():
        return _reencoded(root)
    return _published(root, masks_dir)


def _reencoded(root: Path) -> Imported:
    text = ("File", "Sex", "Condition")
    metadata = read_metadata(root / "clinical.csv", (*text, "Age"), text)
    stems = metadata["File"].map(lambda name: Path(name).stem)
    condition = metadata["Condition"].str.strip()
    masks = {name: files_by_stem(root / "masks" / name) for name in _ORGANS}
    return finish(
        pd.DataFrame(
            {
                "study": stems,
                "patient": stems,
                "image": find_images(metadata["File"], root / "images"),
                "label": condition.str.startswith("non-nodule").map({True: "normal", False: "nodule"}),
                "view": "PA",
                "age_years": metadata["Age"].where(metadata["Age"] > 0),
                "sex": metadata["Sex"],
                **{f"{name}_mask": stems.map(files) for name, files in masks.items()},
                "licence": LICENCE,
                "condition": condition,
            }
        ),
        "jsrt",
        root / "images",
    )


def _published(root: Path, masks_dir: str | Path | None) -> Imported:
    found = files_below(root)
    films: dict[str, Path] = {}
    for path in found:
        suffix = path.suffix.lower()
        drawn = "masks" in (part.lower() for part in path.relative_to(root.absolute()).parts[:-1])
        if _FILM.fullmatch(path.stem) and (suffix == ".img" or suffix in IMAGE_SUFFIXES) and not drawn:
            films.setdefault(path.stem.upper(), path)
    if not films:
        raise CohortError(
            f"{root}: no such file as JPCLN001.IMG, or a PNG of it, nor clinical.csv;"
            " give the folder of JSRT, with its archives unpacked"
        )
    records: dict[str, dict[str, Any]] = {}
    for path in found:
        if path.name.lower() in ("clndat_en.txt", "cnndat_en.txt"):
            records.update(_records(path))
    outlines = _outlines(root, found)
    shapes = {stem: image_shape(film) for stem, film in films.items()}
    rows = []
    for stem in sorted(films.keys() | records.keys()):
        record = records.get(stem, {})
        organs = outlines.get(stem, {})
        row = {
            "study": stem,
            "patient": stem,
            "image": str(films[stem]) if stem in films else None,
            "label": "nodule" if stem.startswith("JPCLN") else "normal",
            "view": "PA",
            "age_years": record.get("age_years"),
            "sex": record.get("sex"),
            "fold": organs.get("fold"),
            "licence": LICENCE,
            "boxes": _box(stem, record, shapes.get(stem)),
            **{name: record.get(name) for name in ("condition", "malignancy", "subtlety")},
        }
        for organ in _ORGANS:
            mask = organs.get(organ) if stem in films else None
            row[f"{organ}_mask"] = mask and _fitting(mask, shapes[stem], masks_dir, root, organ, stem)
        rows.append(row)
    return finish(pd.DataFrame(rows), "jsrt", root)


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Film and its facts, record by record; a line may be broken or run into the next one."""
    for name, text in _RECORD.findall(path.read_text(encoding="utf-8", errors="replace")):
        cells = [" ".join(cell.split()) for cell in (text.split("\t") if "\t" in text else text.split())]
        stem = str(name).upper()
        try:
            if stem.startswith("JPCLN"):
                subtlety, size_mm, age, sex, column, row, malignancy = cells[:7]
                record = {
                    "condition": " ".join(["nodule", *cells[8:9]]).strip(),
                    "malignancy": malignancy,
                    "subtlety": int(subtlety),
                    "nodule": (float(row), float(column), float(size_mm) / PIXEL_SPACING_MM),
                }
            else:
                age, sex = cells[:2]
                record = {"condition": "non-nodule"}
        except ValueError:
            raise CohortError(
                f"{path}: record of {stem} is {' '.join(cells)!r}; expected subtlety, size, age, sex, x, y and"
                " malignancy for a nodule, age and sex for the others; download it again"
            ) from None
        known = age.isdigit() and int(age) > 0
        record |= {"age_years": float(age) if known else None, "sex": {"m": "M", "f": "F"}.get(sex[:1].lower())}
        yield stem, record


def _outlines(root: Path, found: list[Path]) -> dict[str, dict[str, Any]]:
    """By film: path of each organ's outline, and the fold that it lies in."""
    outlines: dict[str, dict[str, Any]] = {}
    for path in found:
        organ = path.parent.name.lower().replace(" ", "_")
        if organ in _ORGANS and _FILM.fullmatch(path.stem):
            organs = outlines.setdefault(path.stem.upper(), {})
            organs.setdefault(organ, path)
            folds = re.findall(r"fold(\d+)", "/".join(path.relative_to(root.absolute()).parts[:-1]).lower())
            if folds and int(folds[-1]) > 0:
                organs.setdefault("fold", int(folds[-1]) - 1)
    return outlines


def _fitting(
    mask: Path, shape: tuple[int, int] | None, masks_dir: str | Path | None, root: Path, organ: str, stem: str
) -> str:
    """The outline itself where it has the size of its film, else a resized copy of it."""
    own = image_shape(mask)
    if shape is None or own is None or own == shape:
        return str(mask)
    reason = f"outlines are {own[0]} x {own[1]} pixels but films are {shape[0]} x {shape[1]}"
    folder = masks_folder(masks_dir, root, "jsrt", reason)
    return save_mask(resize_mask(read_mask(mask), shape), folder, organ, stem)


def _box(stem: str, record: dict[str, Any], shape: tuple[int, int] | None) -> str | None:
    if stem.startswith("JPCNN"):
        return format_boxes([])
    if "nodule" not in record or shape is None:
        return None
    row, column, side = (value * shape[0] / RAW_SHAPE[0] for value in record["nodule"])
    corner = (round(row - side / 2, 2), round(column - side / 2, 2))
    return format_boxes([Box(*corner, round(side, 2), round(side, 2), "Nodule")])
