"""What a scan measures on one film and its masks, and how that is packed into bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from patchcxr.data.cohort import MASK_COLUMNS
from patchcxr.data.duplicates import difference_hash
from patchcxr.errors import MaskError, PatchCXRError
from patchcxr.io.masks import mask_paths, read_mask
from patchcxr.io.radiograph import read_radiograph
from patchcxr.measure.appearance import Appearance, appearance
from patchcxr.types import AnyArray, BoolArray, FloatArray

SIDE: Final = 64
"""Side of the thumbnails."""

BITS: Final = 256
TEXTS: Final = ("error", "photometric", "file_digest", "pixel_digest", "mask_errors")
_SHARES: Final = tuple(f"{column.removesuffix('_mask')}_share" for column in MASK_COLUMNS)
_OWN_NUMBERS: Final = (
    *("rows", "columns", "bit_depth"),
    *_SHARES,
    *("right_lung_column", "left_lung_column", "lung_overlap", "lung_agreement", "infection_outside_share"),
)
NUMBERS: Final = (
    *_OWN_NUMBERS,
    *(field.name for field in dataclasses.fields(Appearance) if field.name not in _OWN_NUMBERS),
)
"""Columns of numbers that a scan gives, see :class:`patchcxr.data.audit.scan.FilmScan`."""

_MEASURED_BY: Final = ("io", "measure", "data/duplicates.py", "data/audit/_film.py")


class FilmFiles(NamedTuple):
    """Files of one row of the cohort: the film, and (column, field) of each mask to open."""

    image: str
    masks: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured on one film; all arrays are zero if it has an ``error``."""

    texts: tuple[str, ...]
    numbers: FloatArray
    hash_bits: BoolArray
    thumbnail: AnyArray
    lungs: BoolArray

    @property
    def error(self) -> str:
        """Why the film cannot be used, empty if it can."""
        return self.texts[0]

    def pack(self) -> bytes:
        """Bytes that :meth:`unpack` reads."""
        arrays = (
            self.numbers.astype("<f8").tobytes(),
            np.packbits(self.hash_bits).tobytes(),
            np.packbits(self.lungs).tobytes(),
            self.thumbnail.tobytes(),
        )
        return b"".join(arrays) + json.dumps(self.texts).encode("utf-8")

    @classmethod
    def unpack(cls, data: bytes) -> Measured:
        """Read the bytes of :meth:`pack`."""
        sizes = (8 * len(NUMBERS), BITS // 8, SIDE * SIDE // 8, SIDE * SIDE)
        ends = np.cumsum(sizes).tolist()
        numbers, bits, lungs, thumbnail = (data[end - size : end] for end, size in zip(ends, sizes, strict=True))
        return cls(
            tuple(json.loads(data[ends[-1] :])),
            np.frombuffer(numbers, "<f8"),
            np.unpackbits(np.frombuffer(bits, np.uint8)).astype(bool),
            np.frombuffer(thumbnail, np.uint8).reshape(SIDE, SIDE),
            np.unpackbits(np.frombuffer(lungs, np.uint8)).astype(bool).reshape(SIDE, SIDE),
        )


def failed(error: str) -> Measured:
    """Entry of a film that cannot be read."""
    return Measured(
        (error, *[""] * (len(TEXTS) - 1)),
        np.full(len(NUMBERS), np.nan),
        np.zeros(BITS, bool),
        np.zeros((SIDE, SIDE), np.uint8),
        np.zeros((SIDE, SIDE), bool),
    )


def measure_film(files: FilmFiles) -> Measured:
    """Decode a film and its masks once and measure all that the checks need; faults become texts."""
    if not Path(files.image).is_file():
        return failed(f"{files.image or '(empty path)'}: no such image file; correct the path")
    try:
        film = read_radiograph(files.image)
        pixels = film.pixels
        gray = np.rint(pixels * 255).astype(np.uint8)
        seen = dataclasses.asdict(appearance(pixels))
        masks, mask_errors = _read_masks(files, (pixels.shape[0], pixels.shape[1]))
        numbers = {
            **seen,
            **{"rows": pixels.shape[0], "columns": pixels.shape[1], "bit_depth": film.bit_depth},
            **_mask_numbers(masks),
        }
        digest = hashlib.blake2b(Path(files.image).read_bytes(), digest_size=16).hexdigest()
        shaped = hashlib.blake2b(repr(gray.shape).encode() + gray.tobytes(), digest_size=16).hexdigest()
        return Measured(
            ("", film.photometric or "", digest, shaped, "\n".join(mask_errors)),
            np.array([numbers.get(name, np.nan) for name in NUMBERS], dtype=np.float64),
            difference_hash(pixels),
            cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA),
            _lung_thumbnail(_lungs(masks)),
        )
    except PatchCXRError as error:
        return failed(" ".join(str(error).split()))
    except Exception as error:  # whatever a decoder raises over one film, the other films are still measured
        return failed(f"{files.image}: {type(error).__name__} ({' '.join(str(error).split())})")


def stamp(files: FilmFiles) -> str | None:
    """Text that changes whenever a file of the row or a measure changes; ``None`` if the film is not there."""
    named = [("image", files.image)]
    for column, field in files.masks:
        named += [(column, str(path)) for path in mask_paths(field)] or [(column, "")]
    stamps: list[tuple[object, ...]] = []
    for column, path in named:
        try:
            status = os.stat(path) if path else None
            stamps.append((column, path, status and status.st_size, status and status.st_mtime_ns))
        except (OSError, ValueError):
            if column == "image":
                return None
            stamps.append((column, path, None))
    return hashlib.blake2b(json.dumps([measures_version(), stamps]).encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=1)
def measures_version() -> str:
    """Fingerprint of the code that reads and measures, so that no stale value outlives a change of it."""
    package = Path(__file__).parents[2]
    digest = hashlib.blake2b(digest_size=8)
    for name in _MEASURED_BY:
        path = package / name
        for source in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _read_masks(files: FilmFiles, shape: tuple[int, int]) -> tuple[dict[str, BoolArray], list[str]]:
    """Masks that fit the film, by column, and ``column kind: reason`` for each of the others."""
    masks, errors = {}, []
    for column, field in files.masks:
        gone = [path for path in mask_paths(field) if not path.is_file()]
        if gone:
            errors.append(f"{column} missing: {gone[0]}: no such mask file")
            continue
        try:
            mask = read_mask(field, None if mask_paths(field) else shape)
        except (MaskError, OSError, MemoryError) as error:
            errors.append(f"{column} unreadable: {' '.join(str(error).split())}")
            continue
        if mask.shape != shape:
            errors.append(f"{column} size: mask has shape {mask.shape} but its film has {shape}")
        else:
            masks[column] = mask
    return masks, errors


def _lungs(masks: dict[str, BoolArray]) -> BoolArray | None:
    """``lung_mask``, else the union of the two lungs, else ``None``."""
    if "lung_mask" in masks:
        return masks["lung_mask"]
    if "right_lung_mask" in masks and "left_lung_mask" in masks:
        return masks["right_lung_mask"] | masks["left_lung_mask"]
    return None


def _mask_numbers(masks: dict[str, BoolArray]) -> dict[str, float]:
    numbers = {f"{column.removesuffix('_mask')}_share": float(mask.mean()) for column, mask in masks.items()}
    for column in ("right_lung_mask", "left_lung_mask"):
        if column in masks and masks[column].any():
            columns = masks[column].sum(axis=0)
            width = len(columns)
            centre = float(columns @ (np.arange(width) + 0.5)) / float(columns.sum()) / width
            numbers[column.replace("_mask", "_column")] = centre
    sides = [masks[column] for column in ("right_lung_mask", "left_lung_mask") if column in masks]
    if len(sides) == 2 and min(side.sum() for side in sides):
        numbers["lung_overlap"] = float((sides[0] & sides[1]).sum() / min(side.sum() for side in sides))
        if "lung_mask" in masks:
            both = sides[0] | sides[1]
            numbers["lung_agreement"] = float(
                2 * (both & masks["lung_mask"]).sum() / (both.sum() + masks["lung_mask"].sum())
            )
    lungs = _lungs(masks)
    if lungs is not None and lungs.any() and "infection_mask" in masks and masks["infection_mask"].any():
        infection = masks["infection_mask"]
        numbers["infection_outside_share"] = float((infection & ~lungs).sum() / infection.sum())
    return numbers


def _lung_thumbnail(lungs: BoolArray | None) -> BoolArray:
    if lungs is None:
        return np.zeros((SIDE, SIDE), bool)
    return cv2.resize(lungs.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA) >= 0.5
