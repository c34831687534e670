"""Options of the commands that apply networks to films, and compare what they say."""

from __future__ import annotations

import argparse
import os
from typing import Any

from patchcxr.cli.parsers.common import LUNGS, add_command, add_out, add_set


def _films(command: argparse.ArgumentParser, out: str) -> None:
    command.add_argument("inputs", nargs="+", metavar="INPUT", help="films, folders of films, cohort tables")
    command.add_argument("--out", default=out, metavar="DIR", help=f"folder for the results; ./{out} by default")


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    command.add_argument(
        "--batch-size", type=_batch_size, default="auto", metavar="N", help="films at a time; auto: what memory allows"
    )
    command.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="threads that read and write")
    command.add_argument("--dicom-seg", action="store_true", help="write segmentation objects of DICOM films too")
    command.add_argument("--pseudonymise", action="store_true", help="name no patient in segmentation objects")
    command.add_argument("--no-pictures", action="store_true", help="write masks and tables alone")


def _batch_size(text: str) -> int | str:
    if text == "auto" or (text.isdigit() and int(text) > 0):
        return text if text == "auto" else int(text)
    raise argparse.ArgumentTypeError(f"got {text!r}; expected a number from 1, or auto")


def add_apply(commands: Any) -> None:
    """Add ``segment``, ``infection``, ``models``, ``evaluate`` and ``classify``."""
    command = add_command(
        commands,
        "segment",
        "Segment heart and lungs; write masks, overlays and measures",
        "patchcxr.cli.segment:segment",
    )
    _films(command, "segmentation")
    command.add_argument("--model", help="anatomy network; that of patchcxr by default")
    command.add_argument("--whole-lungs", action="store_true", help="lungs with the part behind the heart")
    _device(command)
    command = add_command(
        commands, "infection", "Infection maps, detection and severity", "patchcxr.cli.segment:infection"
    )
    _films(command, "infection")
    command.add_argument("--model", help="infection network; that of patchcxr by default")
    command.add_argument(
        "--anatomy",
        metavar="MODEL",
        help=LUNGS,
    )
    command.add_argument("--colormap", default="jet", choices=("jet", "viridis", "inferno"), help="jet is the paper's")
    command.add_argument(
        "--drawn-from", type=float, default=0.25, metavar="P", help="probability from which maps are drawn (paper: 0)"
    )
    _device(command)
    add_set(command, "detection")
    command = add_command(
        commands, "models", "Networks that come with patchcxr, and their model cards", "patchcxr.cli.models:models"
    )
    command.add_argument("name", nargs="?", help="a network, for its card")
    command = add_command(
        commands, "evaluate", "Compare predicted masks with true ones", "patchcxr.cli.evaluate:evaluate"
    )
    command.add_argument("predicted", help="cohort table, or folder of masks by name (or of folders by structure)")
    command.add_argument("truth", help="the same")
    command.add_argument("--structure", default="lung", help="what a folder of masks shows, if it has no folders")
    command.add_argument("--seed", type=int, default=0, help="of bootstrap intervals")
    add_out(command)
    command = add_command(
        commands, "classify", "Classify films by the vote of their patches", "patchcxr.cli.classify:classify"
    )
    command.add_argument("inputs", nargs="+", metavar="INPUT", help="films, folders of films, cohort tables")
    command.add_argument(
        "--model", help="local (patch) or global classifier; the patch classifier of patchcxr by default"
    )
    command.add_argument("--anatomy", metavar="MODEL", help=LUNGS)
    command.add_argument("--global", dest="whole", action="store_true", help="the model is a global classifier")
    command.add_argument("--explain", metavar="CLASS", help="write (probabilistic) Grad-CAM maps of this class too")
    command.add_argument("--out", default="classes", metavar="DIR", help="folder for the results; ./classes by default")
    add_set(command, "vote")


def add_explain(commands: Any) -> None:
    """Add ``explain`` and ``sanity``."""
    explain = add_command(
        commands, "explain", "Maps of why a classifier says what it says", "patchcxr.cli.explain:explain"
    )
    explain.add_argument(
        "--target", default="predicted", metavar="CLASS", help="class that is explained, all, or predicted (default)"
    )
    explain.add_argument(
        "--normalization",
        default="minmax",
        choices=("minmax", "max", "none"),
        help="of each map; minmax is the paper's",
    )
    explain.add_argument("--map-size", type=int, default=256, help="side of the maps that are written")
    explain.add_argument("--colormap", default="jet", choices=("jet", "viridis", "inferno"), help="jet is the paper's")
    explain.add_argument("--no-pictures", action="store_true", help="write maps and tables alone")
    sanity = add_command(
        commands, "sanity", "Do maps depend on the network? Weights and labels at random", "patchcxr.cli.explain:sanity"
    )
    sanity.add_argument("--target", required=True, metavar="CLASS", help="class whose maps are checked")
    sanity.add_argument("--films", type=int, default=16, help="films that are drawn, of the target where there are any")
    sanity.add_argument("--random-labels", metavar="MODEL", help="the same network, trained on permuted labels")
    sanity.add_argument(
        "--patches", type=int, nargs="+", default=[25, 50, 100, 200], help="K for which draws are compared"
    )
    sanity.add_argument("--draws", type=int, default=4, help="draws of patches that are compared")
    sanity.add_argument("--seed", type=int, default=0)
    for command, out in ((explain, "explanation"), (sanity, "sanity")):
        command.add_argument("inputs", nargs="+", metavar="INPUT", help="films, folders of films, cohort tables")
        command.add_argument("--model", help="local (patch) or global classifier; that of patchcxr by default")
        command.add_argument("--anatomy", metavar="MODEL", help=LUNGS)
        command.add_argument("--global", dest="whole", action="store_true", help="the model is a global classifier")
        command.add_argument("--mode", choices=("sampled", "dense"), help="patches drawn at random, or a grid of them")
        command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
        command.add_argument("--out", default=out, metavar="DIR", help=f"folder for the results; ./{out} by default")
        add_set(command, "vote")
