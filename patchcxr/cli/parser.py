"""The command line, put together from ``cli/parsers``. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable

from patchcxr import __version__
from patchcxr.cli.parsers.apply import add_apply, add_explain
from patchcxr.cli.parsers.cohort import add_cohort
from patchcxr.cli.parsers.common import NOTICE
from patchcxr.cli.parsers.measure import add_measure
from patchcxr.cli.parsers.predictions import add_predictions
from patchcxr.cli.parsers.review import add_review
from patchcxr.cli.parsers.scoring import add_score
from patchcxr.cli.parsers.studies import add_ablation, add_study
from patchcxr.cli.parsers.training import add_crossvalidate, add_preprocess, add_train


def resolve(target: str) -> Callable[[argparse.Namespace], int | None]:
    """The function that ``"module:function"`` names."""
    module, _, name = target.partition(":")
    found: Callable[[argparse.Namespace], int | None] = getattr(importlib.import_module(module), name)
    return found


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="patchcxr",
        description=f"Patch-based classification, probabilistic Grad-CAM and infection maps for chest X-rays. {NOTICE}",
    )
    parser.add_argument("--version", action="version", version=f"patchcxr {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add_study(commands)
    add_ablation(commands)
    add_cohort(commands)
    add_preprocess(commands)
    add_train(commands)
    add_crossvalidate(commands)
    add_apply(commands)
    add_explain(commands)
    add_predictions(commands)
    add_measure(commands)
    add_review(commands)
    add_score(commands)
    return parser
