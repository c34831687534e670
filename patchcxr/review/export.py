"""What a review settled on: masks as PNG files, a cohort with them, and where each came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from patchcxr.errors import ReviewError
from patchcxr.io.arrays import safe_name
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.masks import EMPTY_MASK
from patchcxr.review.outcome import LEAST_DICE, outcomes
from patchcxr.review.records import SEPARATOR
from patchcxr.review.store import ReviewStore

REVIEWED: Final = "mask_review"
"""Column of an exported cohort: the outcome of the film, or ``not reviewed``."""
PROVENANCE: Final = (
    "study", "patient", "mask", "origin", "decision", "source", "reader", "readers", "dice", "round", "decided_in",
    "drawn_from", "time", "note", "area", "digest",
)  # fmt: skip
LEFT_OUT: Final = ("study", "patient", "outcome", "reason", "round", "readers")


class Export(NamedTuple):
    """Tables of an export.

    Attributes
    ----------
    cohort
        All columns of the cohort, the target's masks replaced by the settled ones (paths relative to the folder,
        ``(empty)`` for a mask without a pixel), and :data:`REVIEWED`. Films that are not settled have no mask of the
        target; films that were excluded are absent; films that were never in a round are as they were.
    provenance
        One row a settled mask: :data:`PROVENANCE`. ``origin`` is the network, ``manual``, or ``drawn by NAME``,
        whatever rounds the mask went through since; ``source`` is what it was called in the round that decided;
        ``dice`` is the lowest between two readers' masks; ``drawn_from`` the source that a drawing began from;
        ``digest`` the SHA-256 of the mask's pixels.
    left_out
        One row a film without a settled mask: :data:`LEFT_OUT`.
    """

    cohort: pd.DataFrame
    provenance: pd.DataFrame
    left_out: pd.DataFrame


def settled_masks(store: ReviewStore, folder: Path, least_dice: float = LEAST_DICE) -> dict[str, str]:
    """Write the settled masks below a folder; give their paths by file name of the study."""
    with store.database.read():
        rows = _settled(outcomes(store, least_dice=least_dice))
        return {safe_name(film): str(_write(store, film, digest, folder)) for film, digest in rows}


def export(store: ReviewStore, table: pd.DataFrame, folder: str | Path, least_dice: float = LEAST_DICE) -> Export:
    """Write the settled masks of a review to ``folder/masks/<target>`` and make the tables that go with them.

    Parameters
    ----------
    store
        The review.
    table
        Cohort whose masks are replaced; films are found by their study.
    folder
        Where the masks go.
    least_dice
        As for :func:`patchcxr.review.outcome.outcomes`.

    Raises
    ------
    ReviewError
        If not one film is settled.
    """
    with store.database.read():  # one state of the store, though readers go on
        return _export(store, table, Path(folder), outcomes(store, least_dice=least_dice))


def _export(store: ReviewStore, table: pd.DataFrame, folder: Path, found: pd.DataFrame) -> Export:
    if not (found["outcome"] == "settled").any():
        counts = ", ".join(f"{count} {name}" for name, count in found["outcome"].value_counts().items())
        raise ReviewError(f"no film is settled yet ({counts or 'no film was proposed'}); decide on some films first")
    place = folder / "masks" / store.target
    paths = {film: _write(store, film, digest, place) for film, digest in _settled(found)}
    provenance = _provenance(store, found, {film: path.relative_to(folder).as_posix() for film, path in paths.items()})
    missing = ~found["film"].isin(table["study"].astype(str))
    left = found[(found["outcome"] != "settled") | missing].rename(columns={"film": "study"})
    absent = left["study"].isin(found.loc[missing, "film"]) & (left["outcome"] == "settled")
    left = left.assign(reason=left["reason"].mask(absent, "the film is not in the cohort; its mask was written"))
    made = Export(_cohort(store.target, table, found, provenance), provenance, left[list(LEFT_OUT)])
    _remove_unsettled(folder, place, set(paths.values()))
    return made


def _settled(found: pd.DataFrame) -> Iterator[tuple[str, str]]:
    rows = found[found["outcome"] == "settled"]
    yield from zip(rows["film"], rows["digest"], strict=True)


def _write(store: ReviewStore, film: str, digest: str, folder: Path) -> Path:
    path = folder / f"{safe_name(film)}.png"
    png = store.mask_png(digest)
    if not path.is_file() or path.read_bytes() != png:
        write_bytes_atomically(path, png)
    return path


def _remove_unsettled(folder: Path, place: Path, kept: set[Path]) -> None:
    """Remove the masks of an earlier export to this folder that are settled no more; no other file is touched."""
    before = folder / "provenance.csv"
    if not before.is_file():
        return
    table = pd.read_csv(before, dtype=str)
    if not set(PROVENANCE) <= set(table.columns):
        return
    for name in table["mask"].dropna():
        path = folder / name
        if path.parent == place and path.suffix == ".png" and path not in kept:
            path.unlink(missing_ok=True)


def _cohort(target: str, table: pd.DataFrame, found: pd.DataFrame, provenance: pd.DataFrame) -> pd.DataFrame:
    """The cohort with the settled masks in place of its own."""
    study = table["study"].astype(str)
    state = study.map(dict(zip(found["film"], found["outcome"], strict=True)))
    fields = provenance["mask"].mask(provenance["area"] == 0, EMPTY_MASK)
    masks = study.map(dict(zip(provenance["study"], fields, strict=True))).astype("string")
    reviewed = state.notna()
    made = table.assign(**{f"{target}_mask": table[f"{target}_mask"].astype("string").mask(reviewed, masks)})
    if target == "lung":
        # The sides would stand for the lungs that readers decided against.
        sides = {name: made[name].astype("string").mask(reviewed, pd.NA) for name in _sides(made)}
        made = made.assign(**sides)
    made[REVIEWED] = state.fillna("not reviewed").astype("string")
    return made[state.ne("excluded").to_numpy()].reset_index(drop=True)


def _sides(table: pd.DataFrame) -> list[str]:
    return [name for name in ("right_lung_mask", "left_lung_mask") if name in table]


def _provenance(store: ReviewStore, found: pd.DataFrame, paths: dict[str, str]) -> pd.DataFrame:
    """One row a settled mask."""
    decisions, candidates = store.decisions(current=False), store.candidates()
    by_key = decisions.set_index("key")
    sources = dict(zip(candidates["candidate"], candidates["source"], strict=True))
    shown = dict(iter(candidates.groupby(["film", "digest"])))
    drawn = dict(iter(decisions[decisions["action"] == "draw"].groupby(["film", "digest"])))  # undone ones too
    rows: list[dict[str, Any]] = []
    for row in found[found["outcome"] == "settled"].to_dict("records"):
        made = by_key.loc[row["keys"].split(SEPARATOR)]
        taken = made[made["reader"] == row["reader"]].iloc[0]
        place = (row["film"], row["digest"])
        rows.append(
            {
                "study": row["film"],
                "patient": row["patient"],
                "mask": paths[row["film"]],
                "origin": _origin(shown.get(place), drawn.get(place)),
                "decision": row["action"],
                "source": row["source"],
                "reader": row["reader"],
                "readers": SEPARATOR.join(sorted(made["reader"])),
                "dice": row["dice"],
                "round": row["round"],
                "decided_in": row["decided_in"],
                "drawn_from": None if pd.isna(taken["start"]) else sources[taken["start"]],
                "time": taken["time"],
                "note": taken["note"],
                "area": int(store.mask(row["digest"]).sum()),
                "digest": row["digest"],
            }
        )
    return pd.DataFrame(rows, columns=list(PROVENANCE))


def _origin(shown: pd.DataFrame | None, drawn: pd.DataFrame | None) -> str:
    """Where a mask first came from: the sources of the first round that showed it, or who drew it before that."""
    first_shown = None if shown is None else int(shown["round"].min())
    first_drawn = None if drawn is None else int(drawn["round"].min())
    if drawn is not None and first_drawn is not None and (first_shown is None or first_drawn < first_shown):
        who = drawn[drawn["round"] == first_drawn].sort_values("time")["reader"].iloc[0]
        return f"drawn by {who}"
    if shown is None:
        return ""
    return SEPARATOR.join(sorted(shown.loc[shown["round"] == first_shown, "source"]))
