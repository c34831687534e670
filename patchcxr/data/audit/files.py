"""Checks of the files: films that are missing, damaged or tiny, and masks that do not fit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from patchcxr.data.audit.findings import Finding, names_at, row_names
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig, Severity
from patchcxr.data.cohort import MASK_COLUMNS
from patchcxr.io.masks import EMPTY_MASK
from patchcxr.types import BoolArray

_ORGANS = tuple(column for column in MASK_COLUMNS if column != "infection_mask")


def check_files(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find films that are missing or cannot be read."""
    error = scan.facts["error"]
    missing = error.str.contains("no such image file", regex=False).to_numpy(dtype=bool)
    unreadable = ~scan.readable & ~missing
    found = []
    for check, rows, what, remedy in (
        ("file-missing", missing, "are not where the table says", "Correct the paths, or get the missing files."),
        ("file-unreadable", unreadable, "cannot be read", "Get the files again, or leave them out."),
    ):
        if rows.any():
            found.append(
                Finding(
                    check=check,
                    severity="error",
                    message=f"{int(rows.sum())} of {len(table)} films {what}.",
                    remedy=remedy,
                    studies=names_at(table, rows),
                    drop=names_at(table, rows),
                    details=pd.DataFrame({"study": row_names(table)[rows], "error": error[rows]}, dtype="string"),
                )
            )
    return found


def check_size(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find films with a side shorter than ``minimum_side``."""
    side = scan.facts[["rows", "columns"]].min(axis=1)
    rows = (side < config.minimum_side).to_numpy(dtype=bool)
    if not rows.any():
        return []
    return [
        Finding(
            check="film-tiny",
            severity="warning",
            message=f"{int(rows.sum())} of {len(table)} films have a side below {config.minimum_side} pixels;"
            f" the smallest has {side.min():.0f}.",
            remedy="Leave them out, or find the originals; enlarging adds no detail and tells the source.",
            studies=names_at(table, rows),
            drop=names_at(table, rows),
            details=scan.facts.loc[rows, ["study", "rows", "columns"]].reset_index(drop=True),
        )
    ]


def check_masks(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find masks that are missing, damaged or of another size, that cover nothing or everything, or contradict.

    Cleaning keeps these films, since they can be used without their masks.
    """
    facts, total = scan.facts, len(table)
    lines = facts["mask_errors"]
    share = {column: facts[f"{column.removesuffix('_mask')}_share"] for column in MASK_COLUMNS}
    named_empty = {
        column: table[column].astype("string").str.strip().eq(EMPTY_MASK).fillna(False).to_numpy(dtype=bool)
        if column in table
        else np.zeros(total, dtype=bool)
        for column in MASK_COLUMNS
    }
    bare = [_true(share[column] == 0) & ~named_empty[column] for column in _ORGANS]
    full = [_true(share[column] > config.maximum_mask_share) for column in MASK_COLUMNS]
    shares = pd.DataFrame(share)
    smallest, largest = shares[list(_ORGANS)].min(axis=1), shares.max(axis=1)
    right, left = facts["right_lung_column"], facts["left_lung_column"]
    overlap, agreement = facts["lung_overlap"], facts["lung_agreement"]
    outside = facts["infection_outside_share"]
    rules: list[tuple[str, Severity, BoolArray, str, str, pd.Series]] = [
        ("mask-missing", "error", _true(lines.str.contains(r"^\w+ missing:", regex=True)),
         "name a mask file that is not there", "Correct the path, or empty the cell.", lines),
        ("mask-unreadable", "error", _true(lines.str.contains(r"^\w+ unreadable:", regex=True)),
         "have a mask that cannot be read", "Export the mask again, or empty the cell.", lines),
        ("mask-size", "error", _true(lines.str.contains(r"^\w+ size:", regex=True)),
         "have a mask of another size than the film",
         "Check that the mask belongs to the film, then resize it with preprocessing.geometry.resize_mask.", lines),
        ("mask-empty", "warning", np.logical_or.reduce(bare),
         "have a mask of an organ without a single pixel",
         f"Draw the organ; write {EMPTY_MASK} only where there is none.", smallest),
        ("mask-covers-film", "warning", np.logical_or.reduce(full),
         f"have a mask that covers more than {config.maximum_mask_share:.0%} of the film",
         "Look at the mask: it may be inverted.", largest),
        ("mask-lungs-swapped", "error", _true(right > left),
         "have the right lung on the right of the displayed film",
         "Swap the two masks, or find out whether the film is mirrored; the right lung belongs on the left.", right),
        ("mask-lungs-overlap", "warning", _true(overlap > config.maximum_lung_overlap),
         f"have lungs that overlap by more than {config.maximum_lung_overlap:.0%} of the smaller",
         "Draw the two lungs apart; one file may be named in both columns.", overlap),
        ("mask-lungs-disagree", "warning", _true(agreement < config.minimum_lung_agreement),
         f"have a lung mask whose Dice overlap with the two single lungs is below {config.minimum_lung_agreement:g}",
         "Check that the masks belong to one film, and are not turned or shifted.", agreement),
        ("mask-infection-outside", "warning", _true(outside > config.maximum_outside_share),
         f"have more than {config.maximum_outside_share:.0%} of the infection outside the lungs",
         "Check that both masks belong to the film, and are not turned or shifted.", outside),
    ]  # fmt: skip
    return [
        Finding(
            check=check,
            severity=severity,
            message=f"{int(rows.sum())} of {total} films {what}.",
            remedy=remedy,
            studies=names_at(table, rows),
            details=pd.DataFrame({"study": row_names(table)[rows], "value": value[rows]}).reset_index(drop=True),
        )
        for check, severity, rows, what, remedy, value in rules
        if rows.any()
    ]


def _true(values: pd.Series) -> BoolArray:
    return values.fillna(False).to_numpy(dtype=bool)
