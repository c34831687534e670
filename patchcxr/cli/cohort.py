"""``patchcxr cohort``: make a cohort table, or look at one."""

from __future__ import annotations

import argparse
from pathlib import Path

from patchcxr.errors import ConfigError


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise ConfigError(f"{option} {text!r}: expected two names with = between them, such as jsrt=/films/jsrt")
        pairs[key] = value
    return pairs


def synthetic(options: argparse.Namespace) -> int:
    """Generate the synthetic cohort."""
    from patchcxr.cli.options import configured
    from patchcxr.data.synthetic import SyntheticConfig, generate_cohort

    out = Path(options.out)
    table = generate_cohort(out, configured(SyntheticConfig, options.set))
    print(f"{len(table)} films of {table['patient'].nunique()} patients: {out / 'cohort.csv'}")
    return 0


def build(options: argparse.Namespace) -> int:
    """Build a table from public data sets."""
    from patchcxr.data.cohort import merge_cohorts, write_cohort
    from patchcxr.data.sources import build_source

    table = merge_cohorts([build_source(*pair).cohort for pair in _pairs(options.sources, "source").items()])
    write_cohort(table, options.out)
    print(f"{len(table)} films of {table['patient'].nunique()} patients: {options.out}")
    return 0


def folder(options: argparse.Namespace) -> int:
    """Build a table from a folder of films."""
    from patchcxr.data.cohort import write_cohort
    from patchcxr.data.folder import cohort_from_folder

    table = cohort_from_folder(options.images, options.csv, _pairs(options.column, "--column") or None)
    write_cohort(table, options.out)
    print(f"{len(table)} films of {table['patient'].nunique()} patients: {options.out}")
    return 0


def show(options: argparse.Namespace) -> int:
    """Check a table and print what it holds."""
    from patchcxr.data.cohort import read_cohort
    from patchcxr.study.select import given

    table = read_cohort(options.cohort)
    summary = (
        table.assign(label=table["label"].fillna("(none)"), source=table["source"].fillna("(none)"))
        .groupby(["source", "label"])
        .agg(
            films=("study", "size"),
            patients=("patient", "nunique"),
            lung_masks=("right_lung_mask", lambda s: int((given(s) | given(table.loc[s.index, "lung_mask"])).sum())),
            heart_masks=("heart_mask", lambda s: int(given(s).sum())),
            infection_masks=("infection_mask", lambda s: int(given(s).sum())),
        )
    )
    print(summary.to_string())
    print(f"\n{len(table)} films of {table['patient'].nunique()} patients; every file is there")
    return 0
