"""Options of ``cohort``."""

from __future__ import annotations

from typing import Any

from patchcxr.cli.parsers.common import add_command, add_out, add_scan, add_set, add_table


def add_cohort(commands: Any) -> None:
    """Add ``cohort`` and its actions."""
    group = add_command(commands, "cohort", "Make a cohort table, look at it, audit it, split it", None)
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    _cohort_make(actions)
    _cohort_use(actions)


def _cohort_make(actions: Any) -> None:
    command = add_command(actions, "synthetic", "Generate the synthetic cohort", "patchcxr.cli.cohort:synthetic")
    add_out(command)
    add_set(command, "synthetic cohort")
    command = add_command(
        actions, "sources", "Public data sets that can be imported, and their facts", "patchcxr.cli.cohort:sources"
    )
    command.add_argument("name", nargs="?", help="a data set, for its size, classes, licence, citation and traps")
    command = add_command(
        actions, "import", "Import public data sets from their folders", "patchcxr.cli.cohort:import_sources"
    )
    command.add_argument("sources", nargs="+", metavar="NAME=FOLDER", help="e.g. jsrt=/films/jsrt cohen=/films/cohen")
    command.add_argument("--masks", metavar="DIR", help="where masks are drawn that a data set gives as outlines")
    add_table(command)
    command = add_command(actions, "folder", "Build a table from a folder of films", "patchcxr.cli.cohort:folder")
    command.add_argument("images", help="folder of DICOM, PNG, JPEG, TIFF or NPY films")
    command.add_argument("--csv", help="table with one row a film")
    command.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="which column of the CSV is which, e.g. image=filename label=finding; repeat for more",
    )
    command.add_argument(
        "--identifiers", action="store_true", help="take patient ids from DICOM headers instead of pseudonyms"
    )
    command.add_argument("--no-facts", action="store_true", help="do not read view, age, sex and patient from DICOM")
    add_table(command)
    command = add_command(actions, "merge", "Stack several tables into one", "patchcxr.cli.cohort:merge")
    command.add_argument("cohorts", nargs="+")
    command.add_argument("--prefix-ids", action="store_true", help="put the source in front of study and patient ids")
    add_table(command)


def _cohort_use(actions: Any) -> None:
    command = add_command(actions, "show", "Check a table and show what it holds", "patchcxr.cli.cohort:show")
    command.add_argument("cohort")
    command.add_argument("--picture", metavar="PNG", help="draw films of each source and label with their outlines")
    command = add_command(
        actions,
        "audit",
        "Find what is wrong with a cohort",
        "patchcxr.cli.cohort:audit",
    )
    command.add_argument("cohort")
    add_out(command)
    command.add_argument("--fix", action="store_true", help="write a cleaned cohort, and what was dropped and why")
    command.add_argument(
        "--fail-on",
        choices=("error", "warning", "note", "never"),
        default="error",
        help="exit with 1 from here on",
    )
    add_scan(command)
    add_set(command, "audit")
    command = add_command(actions, "select", "Keep the films with given values", "patchcxr.cli.cohort:select")
    command.add_argument("cohort")
    command.add_argument(
        "--where", action="append", required=True, metavar="COLUMN=VALUE,...", help="e.g. split=test; repeat for more"
    )
    add_table(command)
    command = add_command(actions, "split", "Split by patient, duplicates kept together", "patchcxr.cli.cohort:split")
    command.add_argument("cohort")
    command.add_argument("--scheme", default="oh2020", help="oh2020, degerli2021, tahir2021, leave_one_source_out, ...")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--stratify", default="label", metavar="COLUMN", help="column of the classes")
    command.add_argument("--fold", type=int, metavar="K", help="write this fold's train, validation and test split")
    command.add_argument("--no-duplicates", action="store_true", help="do not look for copies of films")
    command.add_argument("--allow-leaks", metavar="WORDS", help="accept a split that leaks, in so many words")
    add_scan(command)
    add_table(command)
    command = add_command(actions, "relabel", "Rewrite labels by a scheme or a file", "patchcxr.cli.cohort:relabel")
    command.add_argument("cohort")
    command.add_argument("--by", required=True, metavar="SCHEME|YAML", help="name of a label scheme, or a mapping file")
    add_table(command)
