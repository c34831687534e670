"""What commands share that needs no network: settings, names with values, progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from patchcxr.cli.study import read_overrides
from patchcxr.config import from_dict
from patchcxr.errors import ConfigError

T = TypeVar("T")


def configured(cls: type[T], changes: list[str]) -> T:
    """Build a stage's configuration: its defaults with ``--set`` laid over them."""
    return from_dict(cls, read_overrides(changes), where="--set")


def named_pairs(texts: list[str], option: str) -> dict[str, str]:
    """Values by name from ``NAME=VALUE`` arguments; a name may be given once."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise ConfigError(f"{option} {text!r}: expected two names with = between them, such as jsrt=/films/jsrt")
        if key in pairs:
            raise ConfigError(f"{option}: {key!r} is given twice, as {pairs[key]!r} and {value!r}; give it once")
        pairs[key] = value
    return pairs


@contextlib.contextmanager
def progress_bar(text: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show on the terminal how far a command is; nothing is written where there is no terminal.

    Yields a function that takes the number done and the total.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)
