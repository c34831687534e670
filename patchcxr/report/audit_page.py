"""One self-contained HTML page about an audit: verdict, cohort, findings with films, confounding, probe."""

from __future__ import annotations

import base64
import io
import os
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import jinja2
import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from patchcxr.data.audit.confounding import associations, contingency, patient_names
from patchcxr.data.audit.findings import Finding, column_text, row_names
from patchcxr.data.audit.run import Audit
from patchcxr.data.audit.settings import SEVERITIES, Severity
from patchcxr.data.cohort import MASK_COLUMNS, summarize
from patchcxr.errors import PatchCXRError
from patchcxr.io.atomic import write_bytes_atomically
from patchcxr.io.radiograph import read_radiograph
from patchcxr.report.films import shorten
from patchcxr.report.page import DISCLAIMER, PIXELS_PER_INCH
from patchcxr.report.probe_figure import probe_figure
from patchcxr.report.style import STYLE, display_name
from patchcxr.report.tables import format_interval, format_percent, to_html
from patchcxr.report.text import one_line
from patchcxr.types import AnyArray

MAXIMUM_FINDINGS: Final = 150
"""Findings written out; those beyond are counted by check."""

FILMS_A_FINDING: Final = 12
MAXIMUM_FILMS: Final = 300
"""Pictures on the whole page, 4 to 8 kB each."""

STUDIES_A_FINDING: Final = 1000
MAXIMUM_STUDIES: Final = 20_000
MAXIMUM_ROWS: Final = 40
LONGEST_TEXT: Final = 2000
LONGEST_CELL: Final = 80
SIDE: Final = 160
"""Longest side of a picture in pixels."""

MARKS: Final = {"error": "■", "warning": "▲", "note": "●"}
"""Severities differ in shape as well as in colour."""

_PROBE_ROWS: Final = 16
_TEMPLATES: Final = Path(__file__).parent / "templates"
_JPEG_QUALITY: Final = 72


@dataclass(frozen=True)
class Picture:
    """A film on the page: its id, a data address (empty if there is no picture, then why), source and label."""

    study: str
    source: str
    caption: str
    fault: str = ""

    @property
    def short(self) -> str:
        """The id, cut in the middle to fit below the picture."""
        return shorten(self.study, 40)


class Gallery:
    """Pictures of the films of an audit; remembers those made, and how many more the page may hold."""

    def __init__(self, audit: Audit, budget: int = MAXIMUM_FILMS) -> None:
        self.left = budget
        self._scan = audit.scan
        self._images = column_text(audit.table, "image").fillna("").to_numpy()
        self._captions = [
            " · ".join(display_name(part) for part in parts if not pd.isna(part))
            for parts in zip(column_text(audit.table, "source"), column_text(audit.table, "label"), strict=True)
        ]
        self._rows = {name: row for row, name in reversed(list(enumerate(row_names(audit.table))))}
        self._made: dict[str, Picture] = {}

    def picture(self, study: str) -> Picture:
        """Picture of a study: from its file, or else from the scan, or else the reason why there is none."""
        self.left -= 1
        if study not in self._made:
            self._made[study] = self._make(study)
        return self._made[study]

    def _make(self, study: str) -> Picture:
        row, name = self._rows.get(study), shorten(one_line(study), LONGEST_CELL)
        if row is None:
            return Picture(name, "", "", "not in the cohort")
        caption = one_line(self._captions[row])
        error = str(self._scan.facts["error"].iloc[row])
        if error:
            return Picture(name, "", caption, shorten(one_line(error.removeprefix(f"{self._images[row]}: ")), 120))
        try:
            pixels = read_radiograph(self._images[row]).pixels
            scale = min(1.0, SIDE / max(pixels.shape))
            size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
            grey = np.rint(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) * 255).clip(0, 255).astype(np.uint8)
        except (PatchCXRError, OSError):  # the file has gone or changed since the scan, which still knows the film
            grey = self._scan.thumbnails[row]
        return Picture(name, _jpeg(grey), caption)


def write_audit_page(
    audit: Audit, path: str | Path, csv: str | Path | None = None, title: str = "Cohort audit"
) -> Path:
    """Write the page of an audit as one file; a half-written page never stands at ``path``.

    The page is bounded: at most :data:`MAXIMUM_FINDINGS` findings,
    :data:`MAXIMUM_FILMS` pictures and :data:`MAXIMUM_STUDIES` ids are shown,
    and each cut says how much it leaves out. Ids, labels and messages are
    shown as text, whatever they hold.

    Parameters
    ----------
    audit
        From :func:`patchcxr.data.audit.run.audit_cohort`.
    path
        Where the page is written.
    csv
        Table of all findings, for a link from the page; it is not opened.
    title
        Head of the page.
    """
    path = Path(path)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "audit.css"))
    counts = {name: sum(finding.severity == name for finding in audit.findings) for name in SEVERITIES}
    films, patients = len(audit.table), patient_names(audit.table).nunique()
    unread = int((~audit.scan.readable).sum())
    summary = cohort_summary(audit.table)
    groups, findings = summary.iloc[:-1], list(_shown_findings(audit))
    page = environment.get_template("audit.html.j2").render(
        title=one_line(title),
        subtitle=f"{films} films of {patients} patients" + (f"; {unread} could not be read" if unread else ""),
        verdict=verdict(counts),
        counts=[(name, counts[name], _MEANING[name]) for name in SEVERITIES],
        marks=MARKS,
        summary=Markup(to_html(pd.concat([groups.head(MAXIMUM_ROWS), summary.tail(1)]))),
        summary_more=max(0, len(groups) - MAXIMUM_ROWS),
        findings=findings,
        index=[(name, [one for one in findings if one["severity"] == name]) for name in SEVERITIES if counts[name]],
        findings_more=_beyond(audit.findings[MAXIMUM_FINDINGS:]),
        heat=_heat(audit.table),
        associations=_associations(audit),
        probe=_probe(audit.findings),
        csv=None if csv is None else {"name": Path(csv).name, "address": _relative(Path(csv), path)},
        disclaimer=DISCLAIMER,
        style=Markup(style),
    )
    write_bytes_atomically(path, page.encode("utf-8", "replace"))
    return path


def verdict(counts: Mapping[Severity, int]) -> str:
    """Say in a sentence what the numbers of findings by severity mean."""
    if counts["error"]:
        return "Do not draw results from this cohort before its errors are mended."
    if counts["warning"]:
        return "No errors. Mend the warnings, or report them with the results."
    return "No errors and no warnings."


def cohort_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Films, patients, ages, women, views and masks by source and label, and of the whole, for readers.

    The numbers are those of :func:`patchcxr.data.cohort.summarize`: ages and sexes are of patients, not of films. A
    film without a patient counts as its own, and an age that is no number as unknown, for an audit takes any table.
    """
    columns = ("source", "label", "view", "sex", *MASK_COLUMNS, "boxes")
    ages = pd.to_numeric(column_text(table, "age_years"), errors="coerce").astype("float64")
    films = pd.DataFrame({name: column_text(table, name) for name in columns})
    films = films.assign(study=row_names(table).to_numpy(), patient=patient_names(table).to_numpy(), image="film")
    found = summarize(films.assign(age_years=ages.where(np.isfinite(ages)).to_numpy()))
    rows = []
    for one in found.to_dict("records"):
        middle, low, high = (one[f"age_{name}_years"] for name in ("median", "min", "max"))
        views = [one_line(view) for view in str(one["views"]).split(", ") if not view.startswith("(none) ")]
        rows.append(
            {
                "source": one_line(one["source"]),
                "label": one_line(one["label"]),
                "films": one["films"],
                "patients": one["patients"],
                "age (years)": f"{middle:.0f} ({low:.0f} to {high:.0f})" if one["age_known"] else "–",
                "age known": one["age_known"],
                "women": f"{format_percent(one['women_share'], 0)} of {one['sex_known']}" if one["sex_known"] else "–",
                "views": ", ".join(views[:4]) or "–",
                "lungs": one["lung_masks"],
                "heart": one["heart_masks"],
                "infection": one["infection_masks"],
            }
        )
    return pd.DataFrame(rows)


def film_sets(finding: Finding) -> list[list[str]]:
    """Studies of a finding as they belong together: copies side by side, and all others alone.

    Studies that stand in one row of ``details``, in two or more columns,
    belong together, also through others.
    """
    studies = list(dict.fromkeys(finding.studies))
    codes = pd.DataFrame()
    if finding.details is not None and len(studies) > 1:
        known = pd.Index(studies)
        codes = finding.details.apply(lambda column: pd.Series(known.get_indexer(column.astype("string"))))
        codes = codes.loc[:, (codes >= 0).any()]
    if codes.shape[1] < 2:
        return [[study] for study in studies]
    cells = codes.to_numpy()
    first = np.repeat(cells[:, :1], cells.shape[1] - 1, axis=1).ravel()
    other = cells[:, 1:].ravel()
    both = (first >= 0) & (other >= 0)
    edges = (np.ones(int(both.sum()), dtype=np.int8), (first[both], other[both]))
    _, member = connected_components(coo_array(edges, shape=(len(studies),) * 2), directed=False)
    return [list(group) for _, group in pd.Series(studies).groupby(member, sort=False)]


def _shown_findings(audit: Audit) -> Iterator[dict[str, Any]]:
    gallery, ids_left = Gallery(audit), MAXIMUM_STUDIES
    for number, finding in enumerate(audit.findings[:MAXIMUM_FINDINGS], start=1):
        sets = film_sets(finding)
        chosen = _choose(sets, min(FILMS_A_FINDING, gallery.left))
        shown = sum(map(len, chosen))
        total = len(finding.studies)
        ids = [shorten(one_line(study), LONGEST_CELL) for study in finding.studies[: min(STUDIES_A_FINDING, ids_left)]]
        ids_left -= len(ids)
        details = finding.details
        yield {
            "anchor": f"finding-{number}",
            "severity": finding.severity,
            "check": one_line(finding.check),
            "message": shorten(one_line(finding.message), LONGEST_TEXT),
            "remedy": shorten(one_line(finding.remedy), LONGEST_TEXT),
            "count": total,
            "drop": len(finding.drop),
            "sets": [[gallery.picture(study) for study in films] for films in chosen],
            "more": f"{shown} of {total} films shown." if shown < total else "",
            "details": "" if details is None or details.empty else Markup(to_html(_plain(details.head(MAXIMUM_ROWS)))),
            "details_more": 0 if details is None else max(0, len(details) - MAXIMUM_ROWS),
            "studies": ids,
            "studies_more": total - len(ids),
        }


def _choose(sets: Sequence[list[str]], films: int) -> list[list[str]]:
    """As many sets as hold no more films than allowed, evenly spread over all of them; a larger set is cut."""
    for count in range(min(len(sets), films), 0, -1):
        picked = np.linspace(0, len(sets) - 1, count).round().astype(int).tolist()
        chosen = [sets[index][:films] for index in picked]
        if sum(map(len, chosen)) <= films:
            return chosen
    return []


def _plain(details: pd.DataFrame) -> pd.DataFrame:
    plain = details.rename(columns=lambda name: shorten(one_line(name), LONGEST_CELL))
    return plain.map(lambda cell: shorten(one_line(cell), LONGEST_CELL) if isinstance(cell, str) else cell)


def _beyond(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    counts = pd.Series([f"{finding.check} ({finding.severity})" for finding in findings]).value_counts()
    named = ", ".join(f"{count} × {one_line(name)}" for name, count in counts.head(20).items())
    return f"{len(findings)} more findings are not written out here: {named}."


def _heat(table: pd.DataFrame) -> dict[str, Any] | None:
    counts = contingency(column_text(table, "label"), column_text(table, "source"), patient_names(table))
    if counts.empty:
        return None
    counts = counts.iloc[:MAXIMUM_ROWS, :MAXIMUM_ROWS]
    shares = counts.div(counts.sum(axis=1), axis=0)
    rows = []
    for label in counts.index:
        cells = [
            {
                "count": f"{count:.0f}" if count >= 1 else "<1" if count > 0 else "",
                "share": format_percent(share, 0),
                "tint": f"{0.04 + 0.86 * share:.2f}",
                "ink": "#fff" if share > 0.55 else "#1b1f24",
            }
            for count, share in zip(counts.loc[label], shares.loc[label], strict=True)
        ]
        rows.append({"name": display_name(one_line(label)), "cells": cells})
    return {"columns": [one_line(name) for name in counts.columns], "rows": rows}


def _associations(audit: Audit) -> Markup:
    rows = [
        {
            "factor": one.factor,
            "measure": one.measure,
            "Value (95 % CI)": format_interval(one.value, one.low, one.high, digits=2),
            "accuracy": format_percent(one.accuracy),
            "majority": format_percent(one.majority),
            "patients": one.patients,
            "films unknown": one.unknown_films,
        }
        for one in associations(audit.table, audit.scan.facts)
        if not np.isnan(one.value)
    ]
    return Markup(to_html(pd.DataFrame(rows))) if rows else Markup()


def _probe(findings: Sequence[Finding]) -> dict[str, Any] | None:
    tables = [one.details for one in findings if one.check.startswith("probe-") and one.details is not None]
    if not tables:
        return None
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[rows["balanced_accuracy"].notna()]
    asked = list(rows.groupby(["target", "films_with"], sort=False))
    if not asked:
        return None
    figure = probe_figure(pd.concat([part for _, part in asked[:_PROBE_ROWS]]))
    width, height = figure.get_size_inches() * PIXELS_PER_INCH
    told = "; ".join(f"{row.target} from {row.input} {row.balanced_accuracy:.2f}" for row in rows.head(6).itertuples())
    beyond = len(asked) - _PROBE_ROWS
    return {
        "source": _svg(figure),
        "alt": f"Dots with intervals of balanced accuracies: {one_line(told)}",
        "width": round(width),
        "height": round(height),
        "more": f"{beyond} more questions are among the findings." if beyond > 0 else "",
    }


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _jpeg(grey: AnyArray) -> str:
    data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _relative(target: Path, page: Path) -> str:
    """Address of a file as seen from the page, with spaces and other marks quoted."""
    return urllib.parse.quote(Path(os.path.relpath(target, page.parent)).as_posix())


_MEANING: Final = {
    "error": "make results wrong",
    "warning": "may make results wrong",
    "note": "to be reported with the results",
}
