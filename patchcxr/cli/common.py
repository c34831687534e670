"""What commands share that needs no network: settings, names with values, progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from patchcxr.cli.study import read_overrides
from patchcxr.config import from_dict
from patchcxr.errors import CohortError, ConfigError

if TYPE_CHECKING:
    import pandas as pd

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


def chosen_values(table: pd.DataFrame, texts: list[str], option: str) -> dict[str, list[str]]:
    """Values by column from ``COLUMN=VALUE,VALUE`` arguments.

    Raises
    ------
    CohortError
        If the table has no such column, or no row with one of the values.
    """
    chosen = {name: value.split(",") for name, value in named_pairs(texts, option).items()}
    for column, values in chosen.items():
        if column not in table:
            raise CohortError(f"{option} {column}: the table has no such column; it has {', '.join(table.columns)}")
        there = sorted(table[column].dropna().astype(str).unique())
        absent = [value for value in values if value not in there]
        if absent:
            raise CohortError(f"{option} {column}={absent[0]}: no row has it; expected some of {', '.join(there[:20])}")
    return chosen


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
