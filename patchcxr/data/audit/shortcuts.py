"""The check that asks whether source or label can be told from where no disease is; :mod:`.probe` measures it."""

from __future__ import annotations

from typing import Final

import pandas as pd

from patchcxr.data.audit.confounding import nominal_association, patient_names
from patchcxr.data.audit.copies import find_copies
from patchcxr.data.audit.findings import Finding, column_text
from patchcxr.data.audit.probe import ProbeConfig, Question, probe, questions
from patchcxr.data.audit.scan import FilmScan
from patchcxr.data.audit.settings import AuditConfig, Severity

WARNING_EXCESS: Final = 0.3
ERROR_EXCESS: Final = 0.8
"""Shares of the way from chance to perfection, reached by the lower end of the background's interval."""

STRONG_ASSOCIATION: Final = 0.5
"""Cramér's V of label and source from which telling the source is an error: the shortcut is there and pays."""


def check_probe(table: pd.DataFrame, scan: FilmScan, config: AuditConfig) -> list[Finding]:
    """Ask every question of :func:`questions`; each that can be answered gives a finding.

    The background decides the severity, or the frame where there are no
    lung masks: a warning if the lower end of its interval lies at least
    :data:`WARNING_EXCESS` of the way from chance to perfection. Telling the
    source from the background is an error beyond :data:`ERROR_EXCESS` if the
    label goes with the source (:data:`STRONG_ASSOCIATION`) as well.
    """
    found = []
    label, source = column_text(table, "label"), column_text(table, "source")
    pays = nominal_association(label, source, patient_names(table)).value >= STRONG_ASSOCIATION
    for question in questions(table):
        rows = probe(table, scan, question, ProbeConfig(seed=config.seed), find_copies(scan, config).group)
        if rows["balanced_accuracy"].notna().any():
            found.append(_finding(question, rows, pays))
    return found


def _finding(question: Question, rows: pd.DataFrame, pays: bool) -> Finding:
    parts = []
    for _, part in rows[rows["balanced_accuracy"].notna()].groupby("films_with", sort=False):
        first = part.iloc[0]
        told = ", ".join(
            f"{row.input} {row.balanced_accuracy:.2f} ({row.low:.2f} to {row.high:.2f})" for row in part.itertuples()
        )
        left_out = f", without {first['left_out']} for too few patients" if first["left_out"] else ""
        drawn = f" drawn from {first['drawn_from']}" if first["drawn_from"] > first["films"] else ""
        parts.append(
            f"{told} on {first['films']} films{drawn} of {first['patients']} patients ({first['classes']}{left_out};"
            f" chance {first['chance']:.2f}, shuffled labels {part['shuffled'].mean():.2f})"
        )
    decides = rows[rows["input"].isin(["frame only", "background only"])].iloc[-1]
    excess = (decides["low"] - decides["chance"]) / (1 - decides["chance"])
    severity: Severity = "warning" if excess >= WARNING_EXCESS else "note"
    if question.check == "probe-source" and pays and excess >= ERROR_EXCESS:
        severity = "error"
    return Finding(
        check=question.check,
        severity=severity,
        message=f"Balanced accuracy of telling the {question.target} from pixels: {'; '.join(parts)}.",
        remedy=_REMEDIES[question.check] if severity != "note" else "Nothing; report the numbers with the results.",
        details=rows,
    )


_REMEDIES: Final = {
    "probe-source": "Do not take accuracy across sources for accuracy of diagnosis: test on sources left out of"
    " training, crop to the lungs, and report the result within each source.",
    "probe-source-within-label": "Harmonise size, contrast and borders of the sources before training, and test on"
    " sources left out of training.",
    "probe-label-within-source": "Look at saliency outside the lungs, crop to the lungs, and compare with a model that"
    " is shown the background alone.",
}
"""What to do about the answer to each kind of question."""
