"""Numbers as text, and tidy tables as HTML, Markdown and CSV."""

from __future__ import annotations

import html
import math
import numbers
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from patchcxr.errors import ConfigError
from patchcxr.report.style import display_name

Format: TypeAlias = "str | Callable[[Any], str]"
"""A format specification such as ``".3f"``, or a function from the value to text."""

NAME_COLUMNS = ("label", "class", "group", "group_a", "group_b", "measure", "organ")
"""Columns whose cells are names of classes, organs or measures."""

MISSING = "–"
"""What stands for a value that is undefined or absent."""


def _absent(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, numbers.Real) and math.isnan(value))


def format_number(value: Any, digits: int = 3) -> str:
    """Write integers as they are and other numbers with ``digits`` decimals; NaN is a dash.

    >>> format_number(0.95512), format_number(12), format_number(float("nan"))
    ('0.955', '12', '–')
    """
    if _absent(value):
        return MISSING
    if isinstance(value, numbers.Integral):
        return str(int(value))
    return f"{float(value):.{digits}f}".replace("-", "−")


def format_percent(value: Any, digits: int = 1) -> str:
    """Write a fraction in percent.

    >>> format_percent(0.925)
    '92.5 %'
    """
    return MISSING if _absent(value) else f"{format_number(100.0 * float(value), digits)} %"


def format_mean_std(mean: Any, std: Any = None, digits: int = 3) -> str:
    """Write mean ± standard deviation, or the mean alone where there is no deviation.

    >>> format_mean_std(0.955, 0.015)
    '0.955 ± 0.015'
    """
    text = format_number(_real(mean), digits)
    return text if _absent(mean) or _absent(std) else f"{text} ± {format_number(_real(std), digits)}"


def format_interval(value: Any, low: Any = None, high: Any = None, digits: int = 3) -> str:
    """Write a value with its interval, or the value alone where there is no interval.

    >>> format_interval(0.9531, 0.921, 0.978)
    '0.953 (0.921 to 0.978)'
    """
    text = format_number(_real(value), digits)
    if _absent(value) or _absent(low) or _absent(high):
        return text
    return f"{text} ({format_number(_real(low), digits)} to {format_number(_real(high), digits)})"


def format_p(p: Any) -> str:
    """Write a p value with three decimals; below that it is ``<0.001``.

    >>> format_p(0.0204), format_p(3e-9), format_p(None)
    ('0.020', '<0.001', '–')
    """
    if _absent(p):
        return MISSING
    return "<0.001" if float(p) < 0.001 else f"{float(p):.3f}"


def _real(value: Any) -> Any:
    return value if _absent(value) else float(value)


def format_cell(value: Any, form: Format | None = None) -> str:
    """Write one cell of a table: by ``form``, or else by the kind of the value."""
    if callable(form):
        return form(value)
    if _absent(value):
        return MISSING
    if form is not None:
        return format(value, form)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_number(value) if isinstance(value, numbers.Real) else str(value)


def _format_name(value: Any) -> str:
    return display_name(value) if isinstance(value, str) else format_cell(value)


def format_table(table: pd.DataFrame, formats: Mapping[str, Format] | None = None) -> pd.DataFrame:
    """Write every cell of a table as text.

    Parameters
    ----------
    table
        Any table; its index is not shown.
    formats
        Column name to a format specification or a function. Unless given
        here, ``p`` and columns that start with ``p_`` are written by
        :func:`format_p`, and class, organ and measure names
        (:data:`NAME_COLUMNS`) by :func:`patchcxr.report.style.display_name`.

    Raises
    ------
    ConfigError
        If ``formats`` names a column that the table does not have.
    """
    unknown = [name for name in formats or {} if name not in table.columns]
    if unknown:
        raise ConfigError(
            f"formats names the column {unknown[0]!r}; the table has {', '.join(map(str, table.columns)) or 'none'}"
        )
    written = {}
    for name in table.columns:
        default: Format | None = format_p if str(name) == "p" or str(name).startswith("p_") else None
        if name in NAME_COLUMNS:
            default = _format_name
        form = (formats or {}).get(name, default)
        written[name] = [format_cell(value, form) for value in table[name].tolist()]
    return pd.DataFrame(written, columns=table.columns, dtype=object)


def numeric_columns(table: pd.DataFrame) -> set[str]:
    """Names of the columns that hold numbers and are therefore set flush right."""
    numeric = set()
    for name in table.columns:
        values = [value for value in table[name].tolist() if not _absent(value)]
        if values and all(isinstance(value, numbers.Real) and not isinstance(value, bool) for value in values):
            numeric.add(name)
    return numeric


def column_title(name: Any) -> str:
    """Write a column name for readers: underscores become spaces, p values and counts stay as they are.

    >>> column_title("p_adjusted"), column_title("f1"), column_title("true_positive")
    ('p adjusted', 'F1', 'True positive')
    """
    text = str(name).replace("_", " ").strip()
    if text in ("p", "n") or text.startswith(("p ", "n ")) or not text.islower():
        return text
    known = {"f1": "F1", "f2": "F2", "auroc": "AUROC", "auc": "AUC", "iou": "IoU", "npv": "NPV", "ctr": "CTR"}
    return " ".join(
        known.get(word, word) for word in (text[0].upper() + text[1:] if text not in known else text).split()
    )


def to_html(table: pd.DataFrame, formats: Mapping[str, Format] | None = None) -> str:
    """Write a table as HTML with scoped headers; every text is escaped."""
    text, numeric = format_table(table, formats), numeric_columns(table)

    def kind(name: str) -> str:
        return ' class="number"' if name in numeric else ""

    head = "".join(f'<th scope="col"{kind(name)}>{html.escape(column_title(name))}</th>' for name in text.columns)
    rows = []
    for cells in text.itertuples(index=False, name=None):
        first, *rest = [
            f"{kind(name)}>{html.escape(str(cell))}" for name, cell in zip(text.columns, cells, strict=True)
        ]
        rows.append(f'<tr><th scope="row"{first}</th>' + "".join(f"<td{cell}</td>" for cell in rest) + "</tr>")
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def to_markdown(table: pd.DataFrame, formats: Mapping[str, Format] | None = None) -> str:
    """Write a table as GitHub Markdown; pipes and line ends inside cells are escaped."""
    text, numeric = format_table(table, formats), numeric_columns(table)

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(" ".join(str(cell).replace("|", r"\|").split()) for cell in cells) + " |"

    rule = ["---:" if name in numeric else "---" for name in text.columns]
    body = [line(list(cells)) for cells in text.itertuples(index=False, name=None)]
    return "\n".join([line([column_title(name) for name in text.columns]), line(rule), *body]) + "\n"


def write_table(table: pd.DataFrame, path_base: str | Path, formats: Mapping[str, Format] | None = None) -> list[Path]:
    """Write ``path_base.csv`` with every digit and ``path_base.md`` for readers; return the paths."""
    base = Path(path_base)
    base.parent.mkdir(parents=True, exist_ok=True)
    csv, markdown = base.with_name(f"{base.name}.csv"), base.with_name(f"{base.name}.md")
    table.to_csv(csv, index=False)
    markdown.write_text(to_markdown(table, formats), encoding="utf-8")
    return [csv, markdown]
