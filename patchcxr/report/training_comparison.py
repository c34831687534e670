"""Trainings side by side, epoch by epoch, and how far training and validation part (Oh 2020, Fig. 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from patchcxr.errors import ConfigError
from patchcxr.report.groups import require_columns
from patchcxr.report.style import BLUE, DOUBLE_COLUMN_MM, GREY, VERMILION, new_figure, panel_letter, styled

QUANTITIES: Final = {
    "Loss": {"training": "train_loss", "validation": "val_loss"},
    "Accuracy": {"training": "train_accuracy", "validation": "accuracy"},
    "Macro-F1": {"training": "train_macro_f1", "validation": "macro_f1"},
}
"""Columns of a training's history; those that it lacks are left out."""

_LOOKS: Final[dict[str, dict[str, Any]]] = {
    "training": {"color": VERMILION, "linestyle": "--", "marker": "s"},
    "validation": {"color": BLUE, "linestyle": "-", "marker": "o"},
}


def training_values(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Bring histories of trainings into one tidy table.

    Parameters
    ----------
    histories
        For each training its ``history.csv``: ``epoch`` and columns of
        :data:`QUANTITIES`.

    Returns
    -------
    Columns ``training_of``, ``epoch``, ``quantity``, ``films`` (``training`` or
    ``validation``) and ``value``.

    Raises
    ------
    ConfigError
        If there is no training, or a history has no epoch or no known quantity.
    """
    parts = []
    for name, history in histories.items():
        require_columns(history, ["epoch"], f"the history of {name}")
        found = [
            pd.DataFrame(
                {
                    "training_of": name,
                    "epoch": history["epoch"].astype(int),
                    "quantity": quantity,
                    "films": films,
                    "value": history[column].astype(float),
                }
            )
            for quantity, columns in QUANTITIES.items()
            for films, column in columns.items()
            if column in history
        ]
        if not found:
            known = [column for columns in QUANTITIES.values() for column in columns.values()]
            raise ConfigError(
                f"the history of {name} has {', '.join(map(str, history.columns))}; expected some of {', '.join(known)}"
            )
        parts += found
    if not parts:
        raise ConfigError("got no training; give at least one history")
    return pd.concat(parts, ignore_index=True)


def overfitting(values: pd.DataFrame, kept: Mapping[str, int] | None = None) -> pd.DataFrame:
    """Training against validation at the kept and at the last epoch of each training.

    Parameters
    ----------
    values
        Of :func:`training_values`.
    kept
        Epoch whose weights each training kept.

    Returns
    -------
    A row a training, quantity and epoch: ``training``, ``validation``, and
    ``gap``, how much worse the validation films fare: validation minus
    training for losses, training minus validation for scores. NaN where the
    history lacks either.
    """
    rows = []
    for (name, quantity), part in values.groupby(["training_of", "quantity"], sort=False):
        wide = part.pivot(index="epoch", columns="films", values="value")
        wide = wide.reindex(columns=["training", "validation"])
        chosen = {"kept": (kept or {}).get(str(name)), "last": int(wide.index.max())}
        for which, epoch in chosen.items():
            if epoch is None or epoch not in wide.index:
                continue
            training, validation = (float(value) for value in wide.loc[epoch])
            gap = validation - training if quantity == "Loss" else training - validation
            row = {"training_of": name, "quantity": quantity, "epoch": epoch, "which": which}
            rows.append({**row, "training": training, "validation": validation, "gap": gap})
    return pd.DataFrame(rows)


@styled
def training_comparison(values: pd.DataFrame, kept: Mapping[str, int] | None = None) -> Figure:
    """Draw training and validation by epoch: a column a training, a row a quantity, rows on one scale.

    Parameters
    ----------
    values
        Of :func:`training_values`.
    kept
        Epoch whose weights each training kept; marked by a dotted line.
    """
    names = list(dict.fromkeys(values["training_of"]))
    quantities = [name for name in QUANTITIES if (values["quantity"] == name).any()]
    figure = new_figure(height_mm=14 + 46 * len(quantities), width_mm=DOUBLE_COLUMN_MM)
    grid = figure.subplots(len(quantities), len(names), squeeze=False, sharey="row", sharex="col")
    for row, quantity in enumerate(quantities):
        for column, name in enumerate(names):
            part = values[(values["training_of"] == name) & (values["quantity"] == quantity)]
            _draw_training(grid[row, column], part, (kept or {}).get(name))
            if row == 0:
                grid[row, column].set_title(name)
                panel_letter(grid[row, column], column)
        top = max(1.0, 1.05 * float(values.loc[values["quantity"] == quantity, "value"].max()))
        grid[row, 0].set(ylabel=quantity, ylim=(0, top if quantity == "Loss" else 1.0))
    for axes in grid[-1]:
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    keys = [Line2D([], [], label=f"{films} films", markersize=3, **look) for films, look in _LOOKS.items()]
    if kept:
        keys.append(Line2D([], [], color=GREY, linestyle=":", label="epoch of the kept weights"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return figure


def _draw_training(axes: Axes, part: pd.DataFrame, kept: int | None) -> None:
    for films, look in _LOOKS.items():
        line = part[part["films"] == films]
        if len(line):
            marker = look["marker"] if len(line) <= 30 else None
            axes.plot(line["epoch"], line["value"], **{**look, "marker": marker}, markersize=3, gid=films)
    if kept is not None:
        axes.axvline(kept, color=GREY, linestyle=":", linewidth=0.9, zorder=1)
