"""Options of the commands that work on tables of predictions."""

from __future__ import annotations

from typing import Any

from patchcxr.cli.parsers.common import add_command, add_out, add_resampled


def add_predictions(commands: Any) -> None:
    """Add ``calibrate``, ``ensemble`` and ``patches-needed``."""
    command = add_command(
        commands, "calibrate", "Calibration, temperature and selective prediction", "patchcxr.cli.calibrate:calibrate"
    )
    command.add_argument("predictions", help="table with study, patient, truth, predicted, p_CLASS (and method)")
    command.add_argument("--validation", metavar="CSV", help="the same for films of other patients, to fit on")
    command.add_argument("--bins", type=int, default=15)
    add_resampled(command)
    add_out(command)
    command = add_command(
        commands, "ensemble", "Several classifiers as one: majority or weighted", "patchcxr.cli.calibrate:ensemble"
    )
    command.add_argument(
        "predictions", nargs="+", metavar="CSV", help="one table a classifier, or with a column method"
    )
    command.add_argument("--validation", nargs="+", metavar="CSV", help="tables of other patients, in the same order")
    command.add_argument("--rule", choices=("majority", "weighted"), default="majority")
    add_resampled(command)
    add_out(command)
    command = add_command(
        commands, "patches-needed", "How many patches a vote needs", "patchcxr.cli.calibrate:patches_needed"
    )
    command.add_argument("folder", help="folder that patchcxr classify wrote")
    command.add_argument("--rule", choices=("majority", "mean_probability"), default="majority", help="of the vote")
    command.add_argument("--level", type=float, default=0.95, help="probability from which a vote counts as settled")
    command.add_argument("--out", metavar="DIR", help="FOLDER/patches_needed by default")
    add_resampled(command)
