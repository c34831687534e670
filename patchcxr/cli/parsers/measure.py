"""Options of the commands that measure and compare."""

from __future__ import annotations

from typing import Any

from patchcxr.cli.parsers.common import add_command, add_out, add_set


def add_measure(commands: Any) -> None:
    """Add ``biomarkers``, ``followup``, ``stats``, ``triage``, ``intensity``, ``compare-maps`` and ``metrics``."""
    command = add_command(
        commands, "biomarkers", "Biomarkers of every film, and their tests", "patchcxr.cli.measure:biomarkers"
    )
    command.add_argument("cohort")
    command.add_argument("--anatomy", metavar="MODEL", help="anatomy network; without it the cohort's masks")
    add_out(command)
    add_set(command, "biomarkers")
    command = add_command(
        commands,
        "followup",
        "The course of one patient over days (Tahir 2021, Fig. 5b)",
        "patchcxr.cli.followup:followup",
    )
    command.add_argument("cohort")
    command.add_argument("--shares", metavar="CSV", help="infection.csv of patchcxr infection; else the readers' masks")
    command.add_argument("--patient", metavar="ID", help="without it, patients with films of several days are listed")
    add_out(command)
    command = add_command(commands, "stats", "Compare columns of a table between groups", "patchcxr.cli.tables:stats")
    command.add_argument("table", help="CSV, one row a film (with --paired: one row a film and method)")
    command.add_argument("--value", action="append", required=True, metavar="COLUMN", help="repeat for more")
    command.add_argument("--group", required=True, metavar="COLUMN")
    command.add_argument("--patient", default="patient", metavar="COLUMN", help="'' takes films as independent")
    command.add_argument("--paired", metavar="COLUMN", help="rows that belong together, e.g. study: signed-rank tests")
    command.add_argument("--correction", choices=("holm", "fdr_bh", "none"), default="holm")
    command.add_argument(
        "--exclude", action="append", default=[], metavar="COLUMN=VALUE,...", help="a second run without these films"
    )
    command.add_argument("--order", metavar="A,B,...", help="groups in this order; others are left out")
    command.add_argument("--seed", type=int, default=0, help="of bootstrap intervals")
    add_out(command)
    command = add_command(
        commands, "triage", "Test, exclude or read: triage from predictions", "patchcxr.cli.tables:triage"
    )
    command.add_argument("predictions", help="table with study, patient, predicted, p_CLASS, and truth where known")
    command.add_argument("--positive", action="append", required=True, metavar="CLASS", help="repeat for more")
    command.add_argument("--method", help="which method of the table")
    command.add_argument("--by", default="p_entropy", choices=("entropy", "margin", "p_entropy", "p_margin"))
    command.add_argument("--threshold", type=float, help="from which uncertainty on a film is read")
    add_out(command)
    command = add_command(
        commands,
        "intensity",
        "Grey levels of lungs and heart by data set, before and after normalisation",
        "patchcxr.cli.measure:intensity",
    )
    command.add_argument("cohort")
    command.add_argument(
        "--by", choices=("source", "label", "view"), default="source", help="what films are grouped by"
    )
    command.add_argument("--anatomy", metavar="MODEL", help="anatomy network; without it the cohort's masks")
    add_out(command)
    add_set(command, "preprocessing")
    _compare_maps(commands)
    command = add_command(
        commands,
        "metrics",
        "Confusion matrix and scores from a table of predictions",
        "patchcxr.cli.tables:metrics",
    )
    command.add_argument("predictions", help="table with the columns truth and predicted (and p_CLASS for curves)")
    add_out(command)


def _compare_maps(commands: Any) -> None:
    command = add_command(
        commands,
        "compare-maps",
        "Measure saliency maps of several methods against the truth",
        "patchcxr.cli.compare_maps:compare_maps",
    )
    command.add_argument("cohort")
    command.add_argument(
        "--maps",
        action="append",
        required=True,
        metavar="NAME=FOLDER",
        help="maps by study: .npy, grey .png or CheXlocalize .pkl; repeat for more",
    )
    command.add_argument(
        "--probability", action="append", default=[], metavar="NAME", help="maps that are probabilities"
    )
    command.add_argument("--truth", default="masks", metavar="masks|boxes|JSON", help="what maps are measured against")
    command.add_argument(
        "--finding", action="append", default=[], help="of boxes, JSON and .pkl maps: findings meant; repeat for more"
    )
    command.add_argument("--lungs", metavar="PATH", help="cohort or folder of lung masks, or none; else the cohort's")
    command.add_argument(
        "--with-lungs",
        action="store_true",
        help="measure the lung mask too, as what a map scores that knows nothing else",
    )
    command.add_argument("--size", type=int, metavar="PIXELS", help="side of the grid; else the film's largest map")
    command.add_argument("--examples", type=int, default=6, help="films that are drawn")
    command.add_argument("--seed", type=int, default=0, help="of bootstrap intervals")
    add_out(command)
