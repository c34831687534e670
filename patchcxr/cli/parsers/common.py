"""Options that several commands share."""

from __future__ import annotations

import argparse
from typing import Any, Final

NOTICE: Final = "For research only; not a medical device and not for clinical use."
LUNGS: Final = "anatomy network; by default the cohort's lung masks where every film has them, else that of patchcxr"


def add_command(commands: Any, name: str, text: str, run: str | None) -> argparse.ArgumentParser:
    """Add a command that runs ``"module:function"``, or none where it only groups others."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text}. {NOTICE}")
    command.set_defaults(run=run)
    return command


def add_set(command: argparse.ArgumentParser, stage: str, example: str = "seed=1") -> None:
    """Add ``--set``, which changes values of a configuration."""
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change one value of the {stage} configuration, e.g. --set {example}; repeat for more",
    )


def add_out(command: argparse.ArgumentParser, text: str = "folder for the results") -> None:
    """Add ``--out``."""
    command.add_argument("--out", required=True, metavar="PATH", help=text)


def add_table(command: argparse.ArgumentParser) -> None:
    """Add ``--out`` for a cohort table."""
    add_out(command, "the table to write (.csv or .parquet)")


def add_scan(command: argparse.ArgumentParser) -> None:
    """Add how films are read for a scan of them all."""
    command.add_argument("--cache", metavar="DIR", help="folder that keeps what was read of the films")
    command.add_argument("--workers", type=int, default=0, help="processes that read films; 0 reads in this one")


def add_resampled(command: argparse.ArgumentParser) -> None:
    """Add the seed and the number of bootstrap resamples."""
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--resamples", type=int, default=1000)
