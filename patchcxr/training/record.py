"""What a training remembers between epochs: its history, its best epoch and its patience."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Row = dict[str, float]


@dataclass
class Record:
    """History of a training, one row an epoch, and what follows from it.

    Attributes
    ----------
    monitor
        Column that tells good epochs from bad ones.
    mode
        ``"min"`` or ``"max"``.
    patience
        Epochs in a row without a better value after which to stop; None for never.
    grace
        Epochs at the start that do not use up the patience.
    """

    monitor: str
    mode: Literal["min", "max"]
    patience: int | None = None
    grace: int = 0
    rows: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = math.nan
    waited: int = 0

    def add(self, row: Row) -> bool:
        """Append an epoch; whether it is the best so far. NaN is never better than a number."""
        value = row[self.monitor]
        better = value < self.best_value if self.mode == "min" else value > self.best_value
        improved = not self.rows or better or (math.isnan(self.best_value) and not math.isnan(value))
        self.rows.append(row)
        if improved:
            self.best_epoch, self.best_value, self.waited = len(self.rows), value, 0
        elif len(self.rows) > self.grace:
            self.waited += 1
        return improved

    @property
    def epochs(self) -> int:
        """Epochs so far."""
        return len(self.rows)

    @property
    def seconds(self) -> float:
        """Time spent in all epochs."""
        return self.rows[-1]["seconds"] if self.rows else 0.0

    @property
    def out_of_patience(self) -> bool:
        """Whether the value has not become better for ``patience`` epochs."""
        return self.patience is not None and self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """Plain values that :meth:`restore` takes."""
        return asdict(self)

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the history of :meth:`state`, with the patience of this training."""
        for name in ("rows", "best_epoch", "best_value", "waited"):
            setattr(self, name, state[name])
