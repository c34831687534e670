"""Options of ``preprocess``, ``train`` and ``crossvalidate``."""

from __future__ import annotations

from typing import Any

from patchcxr.cli.parsers.common import add_command, add_out, add_set


def add_preprocess(commands: Any) -> None:
    """Add ``preprocess``."""
    command = add_command(
        commands, "preprocess", "Normalise films: equalise, gamma, resize (Oh 2020)", "patchcxr.cli.stages:preprocess"
    )
    command.add_argument("cohort")
    add_out(command)
    command.add_argument("--size", type=int, default=1024, help="side of the prepared films in pixels")
    add_set(command, "preprocessing")


def add_train(commands: Any) -> None:
    """Add ``train``."""
    command = add_command(commands, "train", "Train one network", "patchcxr.cli.stages:train")
    command.add_argument("network", choices=("anatomy", "infection", "global", "local"))
    command.add_argument("cohort", help="cohort table; without a split column filled in, patients are split anew")
    command.add_argument("--config", help="study configuration whose section for this network is used")
    command.add_argument(
        "--anatomy",
        metavar="MODEL",
        help="anatomy network that masks the lungs (infection with input: masked_lungs; for classifiers, where not "
        "every film has lung masks, that of patchcxr by default)",
    )
    command.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), help="by default what the configuration says"
    )
    add_out(command)
    add_set(command, "study (dotted keys)")


def add_crossvalidate(commands: Any) -> None:
    """Add ``crossvalidate``."""
    command = add_command(
        commands,
        "crossvalidate",
        "Train and test a segmentation network in folds by patient",
        "patchcxr.cli.crossvalidate:crossvalidate",
    )
    command.add_argument("network", choices=("anatomy", "infection"))
    command.add_argument("cohort")
    command.add_argument("--config", help="study configuration whose section for this network is used")
    command.add_argument("--folds", type=int, metavar="K", help="by default the cohort's column fold, else 5")
    command.add_argument(
        "--validation", type=float, default=0.2, help="share of the other folds that chooses the epoch"
    )
    command.add_argument("--training-share", type=float, default=1.0, help="share of the training patients used")
    command.add_argument(
        "--anatomy", metavar="MODEL", help="anatomy network (a file, or anatomy) whose lungs limit the infection"
    )
    command.add_argument("--seed", type=int)
    add_out(command)
    add_set(command, "study (dotted keys)")
