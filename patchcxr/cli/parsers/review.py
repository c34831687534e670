"""Options of ``review``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from patchcxr.cli.parsers.common import add_command, add_out, add_set


def add_review(commands: Any) -> None:
    """Add ``review`` and its actions."""
    group = add_command(commands, "review", "Choose and draw masks together, in the browser", None)
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    _propose(actions)
    _readers(actions)
    _results(actions)


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    function = name.replace("-", "_")
    command = add_command(actions, name, text, f"patchcxr.cli.review:{function}")
    command.add_argument("dir", metavar="DIR", help="folder of the review")
    return command


def _propose(actions: Any) -> None:
    command = add_command(
        actions,
        "propose",
        "Make a review, or add a round of films and masks to it",
        "patchcxr.cli.review_propose:propose",
    )
    command.add_argument("cohort", help="cohort table")
    add_out(command, "folder of the review")
    masks = command.add_argument_group("masks proposed", "without any, readers draw from scratch")
    masks.add_argument(
        "--masks",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="masks by study: a folder of patchcxr segment, infection or crossvalidate, a folder of PNG files, or a "
        "cohort table; repeat for more",
    )
    masks.add_argument("--manual", action="store_true", help="the cohort's own masks too, blindly among the others")
    masks.add_argument("--settled", action="store_true", help="the masks that earlier rounds settled on, to verify")
    masks.add_argument(
        "--networks",
        nargs="+",
        default=[],
        metavar="[NAME=]CONFIG",
        help="train these study configurations on the cohort's masks by cross-validation; each film's mask comes from "
        "a network that never saw it",
    )
    masks.add_argument(
        "--trained", nargs="+", default=[], metavar="[NAME=]MODEL", help="trained networks, applied to the films"
    )
    _which(command)
    networks = command.add_argument_group("networks")
    networks.add_argument("--folds", type=int, metavar="K", help="by default the cohort's column fold, else 5")
    networks.add_argument("--validation", type=float, default=0.2, help="share that chooses the epoch; default 0.2")
    networks.add_argument("--anatomy", metavar="MODEL", help="anatomy network, where lungs are needed and not given")
    networks.add_argument("--whole-lungs", action="store_true", help="lungs with the part behind the heart")
    networks.add_argument("--threshold", type=float, default=0.5, metavar="P", help="of --trained infection networks")
    networks.add_argument("--within-lungs", action="store_true", help="infection of --trained within the lungs only")
    add_set(command, "study (dotted keys) of --networks")
    command.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="threads that read films")


def _which(command: argparse.ArgumentParser) -> None:
    """Which films the round has, and how it is read."""
    command.add_argument("--target", choices=("infection", "lung"), help="infection, or what the review has already")
    command.add_argument(
        "--kind",
        choices=("choose", "verify"),
        default="choose",
        help="choose the best of several masks, or accept or reject",
    )
    command.add_argument("--name", help="of the round; round N by default")
    command.add_argument("--readers-per-film", type=int, default=1, metavar="N", help="different readers of each film")
    films = command.add_argument_group("films of the round")
    films.add_argument(
        "--films",
        choices=("all", "masked", "unmasked", "settled", "unsettled"),
        help="masked: with a mask of the target in the cohort (by default with --manual or --networks); unmasked: "
        "without (by default with --trained); settled, unsettled: by the rounds so far",
    )
    films.add_argument(
        "--where", action="append", default=[], metavar="COLUMN=VALUE,...", help="e.g. label=viral; repeat for more"
    )
    part = films.add_mutually_exclusive_group()
    part.add_argument("--share", type=float, metavar="S", help="a random share of them, such as 0.2, by class")
    part.add_argument("--count", type=int, metavar="N", help="so many of them at random, by class")
    films.add_argument("--seed", type=int, default=0, help="of the random films, folds and orders shown")


def _readers(actions: Any) -> None:
    command = _action(actions, "add-reader", "Add a reader and print the token to log in with, once")
    command.add_argument("name", help="of the reader; never shown to others")
    command.add_argument("--adjudicator", action="store_true", help="may settle disagreements and see the status page")
    command.add_argument("--renew", action="store_true", help="a new token for a reader who lost the old one")
    command = _action(actions, "serve", "Serve the review to browsers")
    command.add_argument("--host", default="127.0.0.1", help="address; by default this machine alone can reach it")
    command.add_argument("--port", type=int, default=8000)
    command.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name of this server, such as that of the reverse proxy before it; repeat for more",
    )
    command.add_argument("--show-patients", action="store_true", help="show patient ids, which are hidden otherwise")


def _results(actions: Any) -> None:
    command = _action(actions, "status", "Progress, agreement of readers, and which network was chosen how often")
    command.add_argument("--round", type=int, metavar="N", help="one round; by default all")
    command.add_argument("--out", metavar="FOLDER", help="write the tables too")
    command = _action(actions, "adjudicate", "Add a round of the films on which readers disagree")
    command.add_argument("--round", type=int, metavar="N", help="the round they differed in; by default any")
    command.add_argument(
        "--also",
        nargs="+",
        choices=("unsure", "rejected"),
        default=[],
        help="films of which all readers were unsure, or rejected every mask, too",
    )
    command.add_argument("--name", help="of the new round")
    command = _action(actions, "export", "Write the settled masks, a cohort with them, and where each came from")
    add_out(command)
    command.add_argument("--cohort", help="cohort table to complete; by default that of propose")
    command = _action(actions, "backup", "Copy the review while it is in use")
    add_out(command, "file of the copy, such as review-monday.sqlite")
    command = _action(actions, "merge", "Take over the decisions of a copy that was read elsewhere")
    command.add_argument("other", help="folder, or file of a backup")
