"""Copies of films: exact, re-encoded, cropped, framed, mirrored, inverted and lightly edited.

The search has two stages, both on thumbnails, so that no film is opened.

1. Candidates. A *structure hash* takes the signs of the 256 lowest frequencies
   (cosine transform, without the mean) of the ranks of the grey levels. Ranks
   do not change with brightness, gamma or equalisation, and signs of
   frequencies tell anatomies apart where a difference hash sees what all
   chests share. Each film is hashed whole, cut to its central square (what
   many pipelines do), freed of a plain frame, mirrored and inverted. Films
   with near difference hashes are candidates too.
2. Proof. Candidates that are not as good as identical are aligned (affine,
   enhanced correlation: Evangelidis and Psarakis, IEEE TPAMI 30:1858-1865,
   2008). Then what all chests share is filtered out, and the median
   correlation over 16 tiles is taken, which a letter or an arrow cannot spoil.

On 2,102 public films every known copy but one lay within 12 bits in stage 1
or correlated with at least 0.966 in stage 2; that one, cropped, lay 73 bits
away, where nothing is aligned by default. The nearest films that are no
copies were 47 bits apart, and those up to 73 bits apart correlated with at
most 0.91 (two films of what is probably one person). The default limits lie
between; they were chosen on those films.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import pandas as pd

from patchcxr.data.audit._film import SIDE
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.data.duplicates import MAXIMUM_DISTANCE, join, near_pairs, number_by_appearance
from patchcxr.types import AnyArray, BoolArray, FloatArray, IntArray

VARIANTS: Final = ("whole", "square", "unframed", "mirrored", "inverted")
KINDS: Final = ("same file", "same pixels", "re-encoded", "cropped or framed", "mirrored", "inverted", "edited")
"""How two films are copies: bytes; decoded pixels; near as they are; near once cut; ...; near once aligned."""

_BITS: Final = 256
_FREQUENCIES: Final = 24
_FLAT: Final = 2.0
_PART: Final = 2048
_LARGE_POOL: Final = 50_000
_TILE: Final = SIDE // 4


def _lowest_frequencies() -> IntArray:
    square = np.add.outer(np.arange(_FREQUENCIES) ** 2, np.arange(_FREQUENCIES) ** 2).ravel()
    return np.argsort(square, kind="stable")[1 : _BITS + 1]


def _cosines() -> FloatArray:
    frequency, place = np.arange(_FREQUENCIES)[:, None], np.arange(SIDE) + 0.5
    return np.cos(np.pi / SIDE * frequency * place).astype(np.float32)


_ORDER: Final = _lowest_frequencies()
_COSINES: Final = _cosines()
_ODD_COLUMNS: Final = (_ORDER % _FREQUENCIES) % 2 == 1


@dataclass(frozen=True, eq=False)
class Copies:
    """Which films of a cohort are copies of each other.

    Attributes
    ----------
    pairs
        ``first`` < ``second``: rows of the cohort; ``kind``: one of :data:`KINDS`;
        ``distance``: bits between the structure hashes, NaN for exact copies;
        ``correlation`` after alignment, NaN where it was not needed. Enough
        pairs to join every group, not every pair of a group.
    group
        int, (n,): group of each film, numbered from 0 by first appearance.
    """

    pairs: pd.DataFrame
    group: IntArray


_FOUND: Final[WeakKeyDictionary[FilmScan, dict[AuditConfig, Copies]]] = WeakKeyDictionary()


def find_copies(scan: FilmScan, config: AuditConfig | None = None) -> Copies:
    """Find the copies among the films of a scan; what was found once is remembered with the scan.

    Films that could not be read, and flat ones, whose few grey levels tell
    nothing, are copies of nothing unless their pixels are the same.

    Of the candidates that must be aligned, the nearest 2,000, or a quarter of
    the number of films if that is more, are.
    """
    config = config or AuditConfig()
    known = _FOUND.setdefault(scan, {})
    if config not in known:
        known[config] = _search(scan, config)
    return known[config]


def _search(scan: FilmScan, config: AuditConfig) -> Copies:
    exact = _exact(scan.facts)
    group: IntArray = np.arange(len(scan))
    if len(exact):
        group = join(group, exact["first"].to_numpy(), exact["second"].to_numpy())
    alone = np.zeros(len(scan), dtype=bool)
    alone[np.unique(group, return_index=True)[1]] = True
    films = np.flatnonzero(alone & scan.readable & (scan.thumbnails.std(axis=(1, 2)) > _FLAT))
    shapes = scan.facts[["rows", "columns"]].to_numpy(dtype=float)
    pairs = [exact]
    candidates = _candidates(scan.thumbnails, shapes, scan.hashes, films, config)
    if len(candidates):
        near = candidates["distance"].to_numpy() <= config.duplicate_distance
        pairs.append(candidates[near])
        proved, group = _prove(candidates[~near], _joined(group, candidates[near]), scan.thumbnails, shapes, config)
        pairs.append(proved)
    columns = ["first", "second", "kind", "distance", "correlation"]
    found = pd.concat([part for part in pairs if len(part)] or [exact], ignore_index=True)[columns]
    return Copies(found.sort_values(["first", "second"], ignore_index=True), number_by_appearance(group))


def structure_hash(thumbnails: AnyArray) -> BoolArray:
    """Signs of the 256 lowest frequencies of the ranks of the grey levels.

    Parameters
    ----------
    thumbnails
        uint8, shape (n, 64, 64).

    Returns
    -------
    bool, shape (n, 256). The hash of the inverted film is the complement.
    """
    hashes = np.zeros((len(thumbnails), _BITS), dtype=bool)
    for start in range(0, len(thumbnails), _PART):
        ranks = np.stack([rank(film) for film in thumbnails[start : start + _PART]])
        frequencies = _COSINES @ ranks @ _COSINES.T
        hashes[start : start + len(ranks)] = frequencies.reshape(len(ranks), -1)[:, _ORDER] > 0
    return hashes


def rank(film: AnyArray) -> FloatArray:
    """Rank of each pixel of a uint8 image, from -0.5 to 0.5, equal grey levels sharing theirs.

    >>> rank(np.array([[9, 9], [200, 7]], np.uint8)).tolist()
    [[0.0, 0.0], [0.375, -0.375]]
    """
    counts = np.bincount(film.ravel(), minlength=256)
    middle = (np.cumsum(counts) - counts / 2) / film.size - 0.5
    return middle.astype(np.float32)[film]


def variant(film: AnyArray, shape: FloatArray, name: str) -> AnyArray:
    """Thumbnail of a changed film, from its thumbnail and its (rows, columns).

    The film itself is returned where there is nothing to cut.
    """
    if name == "mirrored":
        return np.ascontiguousarray(film[:, ::-1])
    if name == "inverted":
        return 255 - film
    if name == "square":
        height, width = min(1.0, shape[1] / shape[0]), min(1.0, shape[0] / shape[1])
        return film if min(height, width) > 0.98 else _cut(film, (1 - height) / 2, (1 - width) / 2, height, width)
    if name == "unframed":
        (top, bottom), (left, right) = _content(film.T), _content(film)
        if min(bottom - top, right - left) < SIDE / 2 or (bottom - top) * (right - left) == SIDE * SIDE:
            return film
        return cv2.resize(film[top:bottom, left:right], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return film


def aligned_correlation(one: AnyArray, other: AnyArray) -> float:
    """How well the fine structure of two uint8 thumbnails agrees once one is laid on the other.

    Returns
    -------
    Median correlation over the tiles of a 4 x 4 grid, from -1 to 1; 0 if the
    two cannot be aligned or share less than half of their area.
    """
    fixed, moving = rank(one), rank(other)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    everywhere = np.ones((SIDE, SIDE), dtype=np.uint8)
    try:
        _, warp = cv2.findTransformECC(
            fixed, moving, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, criteria, everywhere, 5
        )
    except cv2.error:  # OpenCV's way to say that the two do not converge
        return 0.0
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = np.asarray(cv2.warpAffine(moving, warp, (SIDE, SIDE), flags=flags), dtype=np.float32)
    shared = cv2.warpAffine(everywhere.astype(np.float32), warp, (SIDE, SIDE), flags=flags) > 0.99
    if shared.mean() < 0.5:
        return 0.0
    inside = cv2.erode(shared.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    return _tile_correlation(_fine(fixed), _fine(moved), inside)


def _exact(facts: pd.DataFrame) -> pd.DataFrame:
    """Each film with the first one that has the same pixels."""
    readable = np.flatnonzero((facts["error"] == "").to_numpy(dtype=bool))
    pixels = facts["pixel_digest"].to_numpy()[readable]
    files = facts["file_digest"].to_numpy()
    _, start, inverse = np.unique(pixels.astype(str), return_index=True, return_inverse=True)
    first = readable[start[inverse]]
    later = first != readable
    first, second = first[later], readable[later]
    kind = np.where(files[first] == files[second], KINDS[0], KINDS[1]).astype(object)
    return pd.DataFrame({"first": first, "second": second, "kind": kind, "distance": np.nan, "correlation": np.nan})


def _candidates(
    thumbnails: AnyArray, shapes: FloatArray, difference: BoolArray, films: IntArray, config: AuditConfig
) -> pd.DataFrame:
    """Nearest variants of each pair of films that may be copies, sorted by distance."""
    pool, owner, which = _pool(thumbnails, shapes, films)
    certain = 31 if len(pool) < _LARGE_POOL else 23
    reach = max(config.duplicate_search_distance, config.duplicate_distance)
    met = [np.zeros((0, 3), dtype=np.int64)]
    for first, second, distance in near_pairs(pool, reach, certain):
        other = owner[first] != owner[second]
        # A mirrored film near a mirrored one says no more than the two as they are.
        other &= (which[first] < 3) | (which[second] < 3)
        met.append(np.stack([first[other], second[other], distance[other]], axis=1))
    for first, second, _ in near_pairs(difference[films], MAXIMUM_DISTANCE):
        # The pool starts with the whole films.
        met.append(np.stack([first, second, (pool[first] != pool[second]).sum(axis=1)], axis=1))
    first, second, distance = np.concatenate(met).T
    swapped = owner[first] > owner[second]
    first, second = np.where(swapped, second, first), np.where(swapped, first, second)
    made = pd.DataFrame(
        {
            "first": owner[first],
            "second": owner[second],
            "first_variant": which[first],
            "second_variant": which[second],
            "distance": distance.astype(float),
            "correlation": np.nan,
        }
    )
    made["rank"] = made[["first_variant", "second_variant"]].max(axis=1)
    # Re-encoded films are near in every variant: the plainest that is near enough says how they are copies.
    far = made["distance"] > config.duplicate_distance
    made["order"] = made["distance"].where(far, made["rank"])
    made = made.assign(far=far).sort_values(["first", "second", "far", "order", "distance", "rank"])
    made = made.drop_duplicates(["first", "second"]).sort_values(["distance", "first", "second"])
    kinds = np.array([KINDS[2], KINDS[3], KINDS[3], KINDS[4], KINDS[5]], dtype=object)
    made["kind"] = kinds[made["rank"].to_numpy(dtype=np.int64)]
    return made.reset_index(drop=True)


def _pool(thumbnails: AnyArray, shapes: FloatArray, films: IntArray) -> tuple[BoolArray, IntArray, IntArray]:
    """Structure hashes of all variants, the film of each, and which variant it is; the whole films come first."""
    whole = structure_hash(thumbnails[films])
    hashes, owners, which = [whole], [films], [np.zeros(len(films), dtype=np.int64)]
    for number in (1, 2):
        for start in range(0, len(films), _PART):
            part = films[start : start + _PART]
            cut = [variant(thumbnails[film], shapes[film], VARIANTS[number]) for film in part]
            changed = [index for index, film in enumerate(part) if not np.array_equal(cut[index], thumbnails[film])]
            if changed:
                hashes.append(structure_hash(np.stack([cut[index] for index in changed])))
                owners.append(part[changed])
                which.append(np.full(len(changed), number))
    # Mirroring changes the sign of the odd horizontal frequencies, inverting that of all.
    hashes += [whole ^ _ODD_COLUMNS, ~whole]
    owners += [films, films]
    which += [np.full(len(films), 3), np.full(len(films), 4)]
    return np.concatenate(hashes), np.concatenate(owners), np.concatenate(which)


def _prove(
    candidates: pd.DataFrame, group: IntArray, thumbnails: AnyArray, shapes: FloatArray, config: AuditConfig
) -> tuple[pd.DataFrame, IntArray]:
    """Those candidates that correlate once aligned, and the groups with them; pairs of one group are passed over."""
    kept = []
    budget = max(2000, len(thumbnails) // 4)
    for row in candidates.itertuples(index=False):
        first, second = int(row.first), int(row.second)
        if group[first] == group[second]:
            continue
        if not budget:
            break
        budget -= 1
        one = variant(thumbnails[first], shapes[first], VARIANTS[row.first_variant])
        other = variant(thumbnails[second], shapes[second], VARIANTS[row.second_variant])
        correlation = aligned_correlation(one, other)
        if correlation >= config.duplicate_correlation:
            kept.append({**row._asdict(), "correlation": correlation})
            group = np.where(group == group[second], group[first], group)
    proved = pd.DataFrame(kept, columns=candidates.columns)
    proved["kind"] = proved["kind"].where(proved["kind"] != KINDS[2], KINDS[6])
    return proved, group


def _joined(group: IntArray, pairs: pd.DataFrame) -> IntArray:
    if not len(pairs):
        return group
    return join(group, group[pairs["first"].to_numpy()], group[pairs["second"].to_numpy()])


def _cut(film: AnyArray, top: float, left: float, height: float, width: float) -> AnyArray:
    """Part of a thumbnail, in shares of its sides, stretched to its size."""
    to_source = np.array(
        [
            [width, 0, left * SIDE + width / 2 - 0.5],
            [0, height, top * SIDE + height / 2 - 0.5],
        ],
        dtype=np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(film, to_source, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _content(film: AnyArray) -> tuple[int, int]:
    """First column that is not plain, and the one after the last; plain is a frame without picture."""
    busy = np.flatnonzero(film.max(axis=0).astype(int) - film.min(axis=0) > 8)
    return (int(busy[0]), int(busy[-1]) + 1) if len(busy) else (0, SIDE)


def _fine(film: FloatArray) -> FloatArray:
    return film - cv2.GaussianBlur(film, (0, 0), 3)


def _tile_correlation(one: FloatArray, other: FloatArray, weight: FloatArray) -> float:
    tiles = [_tiles(image) for image in (one, other, weight)]
    weights = tiles[2]
    size = weights.sum(axis=1)
    used = size > weights.shape[1] / 2
    if used.sum() < 6:
        return 0.0
    first, second = (
        (tile - (tile * weights).sum(axis=1, keepdims=True) / np.maximum(size, 1)[:, None]) * weights
        for tile in tiles[:2]
    )
    spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return float(np.median((first * second).sum(axis=1)[used] / np.maximum(spread[used], 1e-9)))


def _tiles(image: FloatArray) -> FloatArray:
    return image.reshape(4, _TILE, 4, _TILE).transpose(0, 2, 1, 3).reshape(16, _TILE * _TILE)
