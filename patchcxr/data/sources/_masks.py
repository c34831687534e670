"""Masks that a data set publishes in a form that does not fit its films: where fitting ones may be written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image

from patchcxr.errors import CohortError
from patchcxr.io.masks import write_mask
from patchcxr.types import BoolArray

RAW_SHAPE: Final = (2048, 2048)
"""Shape of the headerless ``.IMG`` films of JSRT."""


def masks_folder(masks_dir: str | Path | None, root: Path, source: str, reason: str) -> Path:
    """Folder for the masks that a builder writes: ``<masks_dir>/<source>``.

    Raises
    ------
    CohortError
        If ``masks_dir`` is not given, or lies within the data set's own folder.
    """
    remedy = f"give a folder outside of {root} where fitting masks may be written (masks_dir)"
    if masks_dir is None:
        raise CohortError(f"{root}: {reason}; {remedy}")
    if Path(masks_dir).resolve().is_relative_to(root.resolve()):
        raise CohortError(f"{masks_dir}: lies within the folder of the data set, which is never written to; {remedy}")
    return Path(masks_dir).absolute() / source


def save_mask(mask: BoolArray, folder: Path, structure: str, stem: str) -> str:
    """Write ``<folder>/<structure>/<stem>.png`` and give its path for a mask field."""
    path = folder / structure / f"{stem}.png"
    write_mask(path, mask)
    return str(path)


def image_shape(path: str | Path) -> tuple[int, int] | None:
    """(rows, columns) by the header of an image file; ``None`` where it does not tell."""
    if Path(path).suffix.lower() == ".img":
        return RAW_SHAPE
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
