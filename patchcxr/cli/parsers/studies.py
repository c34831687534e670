"""Options of ``study`` and ``ablation``."""

from __future__ import annotations

from typing import Any

from patchcxr.cli.parsers.common import add_command, add_out, add_set


def add_study(commands: Any) -> None:
    """Add ``study``."""
    command = add_command(
        commands, "study", "Run a whole study, from a cohort to a report", "patchcxr.cli.study:run_command"
    )
    command.add_argument("config", help="YAML file, or the name of one in configs/ (demo)")
    add_out(command)
    command.add_argument("--data", metavar="DIR", help="folder of the real films; sets PATCHCXR_DATA")
    add_set(command, "study (dotted keys, e.g. classification.vote.patches=50)")


def add_ablation(commands: Any) -> None:
    """Add ``ablation``."""
    command = add_command(
        commands, "ablation", "Run a study in variants that differ in one thing", "patchcxr.cli.study:ablation"
    )
    command.add_argument("config", help="YAML file, or the name of one in configs/ (demo)")
    command.add_argument(
        "--of",
        required=True,
        help="preprocessing, region, standardization, augmentation, patch_size, training_share, segmentation_network, "
        "lung_outline",
    )
    add_out(command)
    command.add_argument("--data", metavar="DIR", help="folder of the real films; sets PATCHCXR_DATA")
    add_set(command, "study (dotted keys)")
