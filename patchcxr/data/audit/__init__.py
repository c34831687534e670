"""Checks of a cohort before anything is learned from it.

Leaks, copies, children, lateral, damaged and unfit films, masks that do not
fit, and labels that can be told from the source. See
:data:`patchcxr.data.audit.run.CHECKS` for the list.
"""

from patchcxr.data.audit.findings import Finding
from patchcxr.data.audit.run import CHECKS, Audit, audit_cohort, clean, read_for_audit
from patchcxr.data.audit.scan import FilmScan, scan_films
from patchcxr.data.audit.settings import AuditConfig

__all__ = [
    "CHECKS",
    "Audit",
    "AuditConfig",
    "FilmScan",
    "Finding",
    "audit_cohort",
    "clean",
    "read_for_audit",
    "scan_films",
]
