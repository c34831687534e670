"""Options of ``patchcxr score``."""

from __future__ import annotations

from typing import Any

from patchcxr.cli.parsers.common import add_command, add_out, add_set


def add_score(commands: Any) -> None:
    """Add ``score``."""
    command = add_command(commands, "score", "Score large cohorts, on one machine or many", "patchcxr.cli.score:score")
    command.add_argument("inputs", nargs="+", metavar="INPUT", help="cohort tables, folders of films, films")
    command.add_argument("--anatomy", default="anatomy", metavar="MODEL", help="that of patchcxr by default")
    command.add_argument("--infection", default="infection", metavar="MODEL", help="a file, or none")
    command.add_argument("--classifier", default="patches", metavar="MODEL", help="of patches: a file, or none")
    command.add_argument("--explain", metavar="CLASS", help="write the saliency maps of this class")
    command.add_argument("--part-size", type=int, default=64, metavar="N", help="films that are claimed together")
    command.add_argument("--workers", type=int, default=0, metavar="N", help="processes of this machine; 0: this one")
    command.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler, e.g. tcp://10.0.0.1:8786, or its .json file"
    )
    command.add_argument("--again", action="store_true", help="score parts in which films failed once more")
    command.add_argument("--threads", type=int, default=2, metavar="N", help="threads of a worker that read films")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    command.add_argument("--dry-run", action="store_true", help="score a few films, and say what all would take")
    add_out(command)
    add_set(command, "vote and detection", "vote.patches=40")
