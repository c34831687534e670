"""``patchcxr study``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from patchcxr.errors import ConfigError


def read_overrides(pairs: list[str]) -> dict[str, Any]:
    """Nested values from ``a.b=1`` settings; values are read as YAML.

    >>> read_overrides(["vote.patches=50", "lungs=true"])
    {'vote': {'patches': 50}, 'lungs': True}
    """
    import yaml

    from patchcxr.config import YAML_FAULTS

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {pair!r}: expected KEY=VALUE, such as seed=1")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, *YAML_FAULTS) as error:
            raise ConfigError(f"--set {pair[:300]!r}: {' '.join(str(error).split())[:300]}") from None
        place = values
        *parents, last = key.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {pair!r}: {parent} is a value and a group at once; set one of them")
        place[last] = value
    return values


def find_config(name: str) -> Path:
    """A configuration file by path, or by the name of one that comes with patchcxr.

    Raises
    ------
    ConfigError
        If there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    package = Path(__file__).resolve().parents[1]
    folders = [package / "configs", package.parent / "configs"]
    for folder in folders:
        bundled = folder / f"{name}.yaml"
        if bundled.is_file():
            return bundled
    names = sorted({file.stem for folder in folders if folder.is_dir() for file in folder.glob("*.yaml")})
    raise ConfigError(f"{name}: no such configuration file; give the path of a YAML file, or one of {', '.join(names)}")


def load_study(name: str, changes: list[str], table: str | None = None) -> Any:
    """Read a study configuration, lay ``--set`` over it, and put the cohort ``table`` in place of its own films."""
    import yaml

    from patchcxr.config import from_dict, load_yaml, merge
    from patchcxr.study.config import StudyConfig

    path = find_config(name)
    if not changes and table is None:
        return load_yaml(StudyConfig, path)
    load_yaml(StudyConfig, path)
    base = yaml.safe_load(path.read_text(encoding="utf-8"))
    if table is not None:
        base["cohort"] = {"fractions": base["cohort"].get("fractions", [0.7, 0.1, 0.2]), "table": str(table)}
    return from_dict(StudyConfig, merge(base, read_overrides(changes)), where=str(path))


@contextlib.contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Say what happens on the terminal, and in ``study.log`` of a folder."""
    root = logging.getLogger("patchcxr")
    root.setLevel(logging.INFO)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    folder.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(folder / "study.log", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handlers: list[logging.Handler] = [terminal, file]
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def ablation(options: argparse.Namespace) -> int:
    """Run a study in every variant of an ablation and write one table."""
    if options.data:
        os.environ["PATCHCXR_DATA"] = str(Path(options.data).absolute())
    config = load_study(options.config, options.set)
    out = Path(options.out)
    with logged(out):
        from patchcxr.report.tables import write_table
        from patchcxr.study.ablation import run_ablation

        found = run_ablation(config, options.of, out)
        write_table(found, out / options.of)
    print(f"ablation: {found['variant'].nunique()} variants in {out / options.of}.csv")
    if (tests := out / f"{options.of}_tests.md").is_file():
        print(f"paired tests on the same test films: {tests}")
    failed = found[found["error"].notna()] if "error" in found else found[:0]
    for row in failed.to_dict("records"):
        print(f"patchcxr: error: {row['variant']}: {row['error']}", file=sys.stderr)
    return 2 if len(failed) else 0


def run_command(options: argparse.Namespace) -> int:
    """Run a study and say where its report is."""
    begin = time.perf_counter()
    if options.data:
        os.environ["PATCHCXR_DATA"] = str(Path(options.data).absolute())
    config = load_study(options.config, options.set)
    out = Path(options.out)
    with logged(out):
        from patchcxr.study.run import run_study

        study = run_study(config, out)
    failures = study.steps.failures()
    films = int((failures["study"] != "(whole step)").sum())
    minutes = (time.perf_counter() - begin) / 60
    print(f"report: {out / 'report.html'} ({minutes:.1f} min)")
    if films:
        print(f"{films} films failed in some stage; see {out / 'failures.csv'}")
    if study.steps.failed:
        name, error = next(iter(study.steps.failed.items()))
        print(f"patchcxr: error: {len(study.steps.failed)} steps failed; the first, {name}: {error}", file=sys.stderr)
        return 2
    return 0
