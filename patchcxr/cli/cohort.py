"""``patchcxr cohort``: make a cohort table, look at it, audit it, split it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from patchcxr.cli.common import named_pairs

if TYPE_CHECKING:
    import pandas as pd


def synthetic(options: argparse.Namespace) -> int:
    """Generate the synthetic cohort."""
    from patchcxr.cli.common import configured
    from patchcxr.data.synthetic import SyntheticConfig, generate_cohort

    out = Path(options.out)
    table = generate_cohort(out, configured(SyntheticConfig, options.set))
    return _said(table, out / "cohort.csv")


def sources(options: argparse.Namespace) -> int:
    """Say which data sets can be imported, or state the facts of one."""
    from patchcxr.data.sources import SOURCES, facts, title

    if options.name is None:
        for name in SOURCES:
            print(f"{name:16} {title(name)}")
    else:
        print(facts(options.name))
    return 0


def import_sources(options: argparse.Namespace) -> int:
    """Import public data sets into one table, and list what of them could not be used."""
    from patchcxr.data.cohort import merge_cohorts
    from patchcxr.data.sources import build_source

    folders = named_pairs(options.sources, "source")
    found = {name: build_source(name, root, options.masks) for name, root in folders.items()}
    table = merge_cohorts([imported.cohort for imported in found.values()])
    skipped = [imported.skipped.assign(source=name) for name, imported in found.items()]
    return _write(table, options.out, skipped)


def folder(options: argparse.Namespace) -> int:
    """Build a table from a folder of films."""
    from patchcxr.data.folder import cohort_from_folder

    columns = named_pairs(options.column, "--column") or None
    imported = cohort_from_folder(
        options.images, options.csv, columns, facts=not options.no_facts, identifiers=options.identifiers
    )
    return _write(imported.cohort, options.out, [imported.skipped])


def merge(options: argparse.Namespace) -> int:
    """Stack several tables into one."""
    from patchcxr.data.cohort import merge_cohorts, read_cohort

    tables = [read_cohort(path, check_files=False) for path in options.cohorts]
    return _write(merge_cohorts(tables, prefix_ids=options.prefix_ids), options.out)


def relabel(options: argparse.Namespace) -> int:
    """Rewrite the labels by a scheme or a mapping file, and say how many films went where."""
    from patchcxr.data.cohort import read_cohort
    from patchcxr.data.labels import rewrite_labels

    table, counts = rewrite_labels(read_cohort(options.cohort, check_files=False), options.by)
    print(counts.to_string(index=False))
    return _write(table, options.out)


def select(options: argparse.Namespace) -> int:
    """Keep the films that have one of the values given for each column."""
    from patchcxr.cli.common import chosen_values
    from patchcxr.data.cohort import read_cohort

    table = read_cohort(options.cohort, check_files=False)
    for column, values in chosen_values(table, options.where, "--where").items():
        table = table[table[column].astype("string").isin(values)]
    return _write(table.reset_index(drop=True), options.out)


def split(options: argparse.Namespace) -> int:
    """Split a table by patient and duplicate group, and say how even the split is."""
    from patchcxr.cli.common import progress_bar
    from patchcxr.data.audit.leaks import duplicate_groups
    from patchcxr.data.cohort import read_cohort
    from patchcxr.data.splits import fold_split, make_split, says_leaks_allowed, split_scheme
    from patchcxr.report.tables import write_table

    allow_leaks, scheme = options.allow_leaks or False, split_scheme(options.scheme)
    says_leaks_allowed(allow_leaks)
    table = read_cohort(options.cohort, check_files=False, allow_leaks=allow_leaks)
    make_split(table, scheme, options.seed, None, allow_leaks, options.stratify)  # what cannot be split is said at once
    groups = None
    if not options.no_duplicates:
        with progress_bar("comparing films", len(table)) as progress:
            groups = duplicate_groups(table, _cache(options), options.workers, progress)
    made = make_split(table, scheme, options.seed, groups, allow_leaks, options.stratify)
    table = made.table
    if options.fold is not None:
        table = fold_split(
            table, options.fold, scheme.validation_fraction, options.seed, options.stratify, groups, allow_leaks
        )
    shown = made.balance[made.balance["source"] == "(all)"].drop(columns="source")
    print(shown.to_string(index=False, float_format="%.3f"))
    for note in made.notes:
        print(f"note: {note}", file=sys.stderr)
    out = Path(options.out)
    print(f"by source as well: {write_table(made.balance, out.with_name(f'{out.stem}_balance'))[0]}")
    return _write(table, options.out, allow_leaks=allow_leaks)


def audit(options: argparse.Namespace) -> int:
    """Audit a table: print the findings, write table and page, and fail from a severity on."""
    from patchcxr.cli.common import configured, progress_bar
    from patchcxr.data.audit import AuditConfig, audit_cohort, clean, read_for_audit
    from patchcxr.report.audit_page import write_audit_page
    from patchcxr.report.tables import write_table

    out = Path(options.out)
    table = read_for_audit(options.cohort)
    with progress_bar("reading films", len(table)) as progress:
        found = audit_cohort(table, configured(AuditConfig, options.set), _cache(options), options.workers, progress)
    write_table(found.frame(), out / "findings")
    write_audit_page(found, out / "audit.html")
    for finding in found.findings:
        print(f"{finding.severity:8}{finding.check}: {finding.message}")
    if options.fix:
        kept, dropped = clean(table, found)
        write_table(dropped, out / "dropped")
        if len(kept):
            _write(kept, out / "cohort.csv")
        else:
            print("patchcxr: no film is left, so no cohort is written; see what was dropped", file=sys.stderr)
        print(f"dropped {len(table) - len(kept)} of {len(table)} films; see {out / 'dropped.csv'}:")
        for check, count in dropped.groupby("check")["study"].nunique().sort_values(ascending=False).items():
            print(f"  {count:5} {check}")
        print('to keep films, leave a finding out: --set "skip=[paediatric-age-group]"')
    print(f"{len(found.findings)} findings: {out / 'audit.html'}")
    return 1 if found.fails(options.fail_on) else 0


def show(options: argparse.Namespace) -> int:
    """Check a table, print what it holds, and draw films of it."""
    from patchcxr.data.cohort import read_cohort, summarize

    table = read_cohort(options.cohort)
    print(summarize(table).to_string(index=False))
    print(f"\n{len(table)} films of {table['patient'].nunique()} patients; every file is there")
    if options.picture:
        from patchcxr.report.contact_sheet import contact_sheet

        contact_sheet(table, options.picture)
        print(f"picture: {options.picture}")
    return 0


def _cache(options: argparse.Namespace) -> Path | None:
    return Path(options.cache) if options.cache else None


def _write(
    table: pd.DataFrame, out: str | Path, skipped: list[pd.DataFrame] | None = None, allow_leaks: bool | str = False
) -> int:
    """Write a table, and beside it what was skipped where anything was."""
    import pandas as pd

    from patchcxr.data.cohort import write_cohort

    out = Path(out)
    write_cohort(table, out, allow_leaks)
    left = pd.concat(skipped, ignore_index=True) if skipped else pd.DataFrame()
    if len(left):
        path = out.with_name(f"{out.stem}_skipped.csv")
        left.to_csv(path, index=False)
        print(f"{len(left)} rows or files were skipped; see {path}", file=sys.stderr)
    return _said(table, out)


def _said(table: pd.DataFrame, out: Path) -> int:
    print(f"{len(table)} films of {table['patient'].nunique()} patients: {out}")
    return 0
