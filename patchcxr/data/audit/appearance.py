"""Checks by pixels: films that are blank, clipped, framed or written on, and films that are no upright frontal chest.

Nothing here trusts what the table or a header says of a film. A template of
the cohort's own median film was tried in place of the synthetic one and told
no better, so a film is judged alike whatever the films beside it look like;
only mirroring, which a single film does not tell reliably, is judged by source.

``benchmarks/view_checks.py`` measures how often copies of frontal films and
lateral views are told; on 1,054 public films that had no part in choosing the
limits of the scores 98.7 % of inverted, 98.7 % of turned and 98.3 % of flipped
copies are, bedside films with white lungs and many lines being the hardest
(95 %). Those films are not untouched: the way of comparing was settled with
all films in view, the lateral template was drawn after all 16 lateral views
had been seen, and counts of both halves were known when limits were set. A
mirrored film alone is told too rarely, which is why only sources are judged.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import pandas as pd

from patchcxr.data.audit.findings import Finding, column_text, names_at, row_names
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AppearanceConfig, AuditConfig, Severity
from patchcxr.stats.intervals import wilson_interval
from patchcxr.types import BoolArray, FloatArray

_Rule: TypeAlias = tuple[str, Severity, BoolArray, str, str, tuple[str, ...], BoolArray | None]
"""Name, severity, films, what they are, what to do, measures for the report, and films to leave out."""

_SOURCES_NAMED: Final = 5
_MOST_BITS: Final = 24


def check_exposure(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find films that are blank (an error, left out by cleaning), have few grey levels, are clipped, or are framed."""
    limits, facts = config.appearance, scan.facts
    blank = _blank(facts, limits)
    rules: list[_Rule] = [
        ("film-blank", "error", blank, "are blank",
         "Leave them out, or export them again.", ("blank_share", "contrast"), blank),
        ("film-few-levels", "warning", (_levels(facts) < limits.few_levels) & ~blank,
         f"have fewer than {limits.few_levels} grey levels",
         "Export them again from the originals with their full range; stretching brings no level back.",
         ("contrast", "bit_depth"), None),
        ("film-over-exposed", "warning", _true(facts["bright_clipped_share"] >= limits.over_exposed_share) & ~blank,
         f"have at least {limits.over_exposed_share:.0%} of their field at the brightest level",
         "Look at them: soft tissue or diseased lung may be clipped, or white boxes may hide a part; export again with"
         " a wider window.", ("bright_clipped_share",), None),
        ("film-under-exposed", "warning", _true(facts["dark_clipped_share"] >= limits.under_exposed_share) & ~blank,
         f"have at least {limits.under_exposed_share:.0%} of their field at the darkest level",
         "Look at them: lungs may be clipped to black, or much air is beside the patient; export again with a wider"
         " window, or crop.", ("dark_clipped_share",), None),
        ("film-framed", "note", _true(facts["border_share"] >= limits.border_share) & ~blank,
         f"are a uniform frame by at least {limits.border_share:.0%}",
         "Crop the frame: it shrinks the chest, and tells the source.", ("border_share",), None),
    ]  # fmt: skip
    return _findings(table, facts, rules)


def check_marks(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Note films with much burnt-in text, arrows, panel letters or markers; nothing is left out."""
    limits, facts = config.appearance, scan.facts
    rows = _true(facts["text_share"] >= limits.text_share) & ~_blank(facts, limits)
    what = f"have letters, arrows or other small sharp marks on at least {limits.text_share:.1%} of their area"
    remedy = "See that no label has more of them than others, or paint them over; arrows point at the disease."
    return _findings(table, facts, [("film-marked", "note", rows, what, remedy, ("text_share",), None)])


def check_views(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Find films that are no chest, lateral, negative or turned, and sources that are mirrored.

    A film is reported under the first of no chest and lateral view that applies, and otherwise as
    negative, turned, or both. Cleaning leaves sure lateral views out alone: negatives and turned films
    can be mended, and what looks like no chest may be a diseased one.
    """
    limits, facts = config.appearance, scan.facts
    seen = scan.readable & ~_blank(facts, limits)
    chest = seen & _true(facts["chest_score"] >= limits.chest_score)
    lateral = chest & _true(facts["lateral_score"] >= limits.lateral_score)
    frontal = chest & ~lateral
    inverted = frontal & _true(facts["inverted_score"] >= limits.inverted_score)
    turned = frontal & _true(facts["rotation_score"] >= limits.rotation_score)
    rules: list[_Rule] = [
        ("no-chest", "note", seen & ~chest, "fit neither a frontal nor a lateral chest",
         "Look at them: leave out what is no chest film; severe disease, a child's arms or a narrow crop are harmless.",
         ("chest_score", "inverted_score", "rotation_degrees"), None),
        ("lateral-by-pixels", "warning", lateral, "look like lateral views",
         "Leave them out of a cohort of frontal films.",
         ("lateral_score", "chest_score"), lateral & _true(facts["lateral_score"] >= limits.sure_lateral_score)),
        ("inverted-by-pixels", "warning", inverted, "look like negatives (bone black)",
         "Look at them, and invert those that are; a DICOM exported without its MONOCHROME1 tag is the usual cause.",
         ("inverted_score", "chest_score"), None),
        ("rotated-by-pixels", "warning", turned, "look turned by 90, 180 or 270 degrees, or flipped upside down",
         "Look at them, and turn them upright: np.rot90(film, -rotation_degrees // 90); one that then has the heart"
         " on the wrong side was flipped.", ("rotation_degrees", "rotation_score", "mirrored_score"), None),
    ]  # fmt: skip
    return [*_findings(table, facts, rules), *_mirrored_sources(table, facts, frontal, limits)]


def _mirrored_sources(
    table: pd.DataFrame, facts: pd.DataFrame, frontal: BoolArray, limits: AppearanceConfig
) -> list[Finding]:
    """Sources of which more than half the films look mirrored, by the lower end of Wilson's 95 % interval."""
    source = column_text(table, "source").fillna("(no source)")
    mirrored = facts["mirrored_score"].to_numpy(dtype=float) > 0
    found = []
    for name, films in source[frontal].groupby(source[frontal]).groups.items():
        among = np.asarray(films, dtype=np.int64)
        count, total = int(mirrored[among].sum()), len(among)
        if total < limits.mirrored_films or wilson_interval(count, total)[0] <= 0.5:
            continue
        rows = np.zeros(len(table), dtype=bool)
        rows[among] = True
        found.append(
            Finding(
                check="mirrored-source",
                severity="warning",
                message=f"Source {name} looks mirrored: {count} of its {total} frontal films have the heart on the"
                " wrong side.",
                remedy="Compare the side markers with the heart, and mirror the films of the source back.",
                studies=names_at(table, rows),
                details=_details(table, facts, rows, ("mirrored_score",)),
            )
        )
    return found


def _findings(table: pd.DataFrame, facts: pd.DataFrame, rules: list[_Rule]) -> list[Finding]:
    return [
        Finding(
            check=check,
            severity=severity,
            message=f"{int(rows.sum())} of {len(table)} films {what}{_by_source(table, rows)}.",
            remedy=remedy,
            studies=names_at(table, rows),
            drop=() if drop is None else names_at(table, drop),
            details=_details(table, facts, rows, measures),
        )
        for check, severity, rows, what, remedy, measures, drop in rules
        if rows.any()
    ]


def _details(table: pd.DataFrame, facts: pd.DataFrame, rows: BoolArray, measures: tuple[str, ...]) -> pd.DataFrame:
    named = pd.DataFrame({"study": row_names(table)[rows], "source": column_text(table, "source")[rows]})
    return pd.concat([named, facts.loc[rows, list(measures)]], axis=1).reset_index(drop=True)


def _by_source(table: pd.DataFrame, rows: BoolArray) -> str:
    """Films and size of the sources with the most of them, as ``: nih 3 of 600, tb 1 of 440``."""
    source = column_text(table, "source").fillna("(no source)")
    sizes, counts = source.value_counts(), source[rows].value_counts()
    if len(sizes) < 2:
        return ""
    named = [f"{name} {count} of {sizes[name]}" for name, count in counts.head(_SOURCES_NAMED).items()]
    return ": " + ", ".join(named) + (", ..." if len(counts) > _SOURCES_NAMED else "")


def _blank(facts: pd.DataFrame, limits: AppearanceConfig) -> BoolArray:
    return _true(facts["blank_share"] >= limits.blank_share) | (_levels(facts) < limits.blank_levels)


def _levels(facts: pd.DataFrame) -> FloatArray:
    """Grey levels of the file within ``contrast``; NaN for a film that could not be read."""
    bits = np.minimum(facts["bit_depth"].to_numpy(dtype=float), _MOST_BITS)
    return np.asarray(facts["contrast"].to_numpy(dtype=float) * (2.0**bits - 1), np.float64)


def _true(values: pd.Series) -> BoolArray:
    return values.fillna(False).to_numpy(dtype=bool)
