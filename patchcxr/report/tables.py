"""Numbers as text, and tidy tables as CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

import html
import math
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeAlias

import pandas as pd

from patchcxr.errors import ConfigError
from patchcxr.report.latex import latex_table
from patchcxr.report.spreadsheet import harmless
from patchcxr.report.style import display_name

Format: TypeAlias = "str | Callable[[Any], str]"
"""A format specification such as ``".3f"``, or a function from the value to text."""

NAME_COLUMNS = ("label", "class", "group", "group_a", "group_b", "measure", "organ")
"""Columns whose cells are names of classes, organs or measures."""

MISSING = "–"
"""What stands for a value that is undefined or absent."""

KINDS: Final = ("csv", "md", "tex", "html")
"""Kinds of files that a table can be written as."""

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table as a paper prints it: what readers see, every digit behind it, and the words around it.

    Attributes
    ----------
    data
        What the CSV file holds.
    shown
        What readers see; ``data`` when None.
    caption, note
        Above and below the table.
    heads
        Column name to a heading that stands above it; neighbours with the same heading share it.
    formats
        As in :func:`format_table`, for ``shown``.
    """

    data: pd.DataFrame
    shown: pd.DataFrame | None = None
    caption: str = ""
    note: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, Format] = field(default_factory=dict)

    @property
    def readable(self) -> pd.DataFrame:
        """What readers see."""
        return self.data if self.shown is None else self.shown

    def write(self, path_base: str | Path, kinds: Sequence[str] = KINDS) -> list[Path]:
        """Write the table as files (:func:`write_table`) and return their paths."""
        return write_table(
            self.data, path_base, self.formats, kinds=kinds, shown=self.shown, caption=self.caption, note=self.note,
            heads=self.heads,
        )  # fmt: skip


def _absent(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, numbers.Real) and math.isnan(value))


def format_number(value: Any, digits: int = 3) -> str:
    """Write integers as they are and other numbers with ``digits`` decimals; NaN is a dash, and zero has no sign.

    >>> format_number(0.95512), format_number(12), format_number(float("nan"))
    ('0.955', '12', '–')
    """
    if _absent(value):
        return MISSING
    if isinstance(value, numbers.Integral):
        return str(int(value))
    text = f"{float(value):.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


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
        here, ``p`` and columns that start with ``p_`` or end in ``_p`` are
        written by :func:`format_p`, and class, organ and measure names
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
        default: Format | None = format_p if re.fullmatch("p|p_.*|.*_p", str(name)) else None
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
    known |= {"ece": "ECE", "mce": "MCE", "nll": "NLL", "aurc": "AURC"}
    known |= {"std": "SD", "ks": "KS", "id": "ID", "w": "W", "df": "df"}
    first, *rest = text.split()
    return " ".join([known.get(first, first[0].upper() + first[1:]), *(known.get(word, word) for word in rest)])


def _span_heads(table: pd.DataFrame, heads: Mapping[str, str] | None) -> list[str]:
    """Heading above each column, empty where there is none."""
    return [(heads or {}).get(name, "") for name in table.columns]


def to_html(
    table: pd.DataFrame, formats: Mapping[str, Format] | None = None, heads: Mapping[str, str] | None = None
) -> str:
    """Write a table as HTML with scoped headers; every text is escaped. ``heads`` as in :class:`PaperTable`."""
    text, numeric = format_table(table, formats), numeric_columns(table)

    def kind(name: str) -> str:
        return ' class="number"' if name in numeric else ""

    above, top = "", _span_heads(text, heads)
    if any(top):
        runs = [(head, len(list(run))) for head, run in groupby(top)]
        above = "".join(
            f'<th scope="colgroup" colspan="{n}">{html.escape(head)}</th>' if head else f'<td colspan="{n}"></td>'
            for head, n in runs
        )
        above = f"<tr>{above}</tr>\n"
    head = "".join(f'<th scope="col"{kind(name)}>{html.escape(column_title(name))}</th>' for name in text.columns)
    rows = []
    for cells in text.itertuples(index=False, name=None):
        first, *rest = [
            f"{kind(name)}>{html.escape(str(cell))}" for name, cell in zip(text.columns, cells, strict=True)
        ]
        rows.append(f'<tr><th scope="row"{first}</th>' + "".join(f"<td{cell}</td>" for cell in rest) + "</tr>")
    return f"<table>\n<thead>{above}<tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def to_markdown(
    table: pd.DataFrame, formats: Mapping[str, Format] | None = None, caption: str = "", note: str = ""
) -> str:
    """Write a table as GitHub Markdown, between its caption and its note.

    Pipes, line ends and the beginnings of HTML tags inside cells are escaped. Markdown has no headings over several
    columns.
    """
    text, numeric = format_table(table, formats), numeric_columns(table)

    def plain(cell: Any) -> str:
        return " ".join(re.sub(r"<(?=[A-Za-z/!?])", r"\\<", str(cell).replace("|", r"\|")).split())

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(plain(cell) for cell in cells) + " |"

    rule = ["---:" if name in numeric else "---" for name in text.columns]
    body = [line(list(cells)) for cells in text.itertuples(index=False, name=None)]
    lines = [line([column_title(name) for name in text.columns]), line(rule), *body]
    before = [f"**{plain(caption)}**", ""] if caption else []
    after = ["", plain(note)] if note else []
    return "\n".join([*before, *lines, *after]) + "\n"


def to_latex(
    table: pd.DataFrame,
    formats: Mapping[str, Format] | None = None,
    caption: str = "",
    label: str = "",
    note: str = "",
    heads: Mapping[str, str] | None = None,
) -> str:
    r"""Write a table as LaTeX with the rules of ``booktabs``; every text is escaped.

    Columns of numbers are flush right; their cells have equally many decimals, so that the digits stand in line.

    Parameters
    ----------
    table, formats
        As in :func:`format_table`.
    caption, label
        With either the table is a float with the caption above it, else a bare ``tabular``.
    note
        Below the table.
    heads
        As in :class:`PaperTable`.

    Examples
    --------
    >>> print(to_latex(pd.DataFrame({"study": ["a_1"], "share": [0.5]})), end="")
    \begin{tabular}{@{}lr@{}}
    \toprule
    Study & \multicolumn{1}{r}{Share} \\
    \midrule
    a\_1 & 0.500 \\
    \bottomrule
    \end{tabular}
    """
    text, numeric = format_table(table, formats), numeric_columns(table)
    return latex_table(
        [column_title(name) for name in text.columns],
        [[str(cell) for cell in cells] for cells in text.itertuples(index=False, name=None)],
        flush_right=[index for index, name in enumerate(text.columns) if name in numeric],
        heads=_span_heads(text, heads),
        caption=caption,
        label=label,
        note=note,
    )


def write_table(
    table: pd.DataFrame,
    path_base: str | Path,
    formats: Mapping[str, Format] | None = None,
    kinds: Sequence[str] = ("csv", "md"),
    shown: pd.DataFrame | None = None,
    caption: str = "",
    note: str = "",
    heads: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write a table, once for each kind, and return the paths in the order of ``kinds``.

    ``.csv`` has every digit and is safe to open in a spreadsheet (:func:`~patchcxr.report.spreadsheet.harmless`);
    ``.md``, ``.tex`` and ``.html`` are for readers, with caption and note. The HTML file stands on its own; the label
    of the LaTeX table is ``tab:`` and the file's name.

    Parameters
    ----------
    table
        What the CSV file holds.
    path_base
        Path without suffix; the folder is made when it is missing.
    formats
        As in :func:`format_table`.
    kinds
        Any of :data:`KINDS`.
    shown, caption, note, heads
        As in :class:`PaperTable`.

    Raises
    ------
    ConfigError
        If a kind is unknown.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ConfigError(f"got the kind of table {unknown[0]!r}; choose from {', '.join(KINDS)}")
    base = Path(path_base)
    base.parent.mkdir(parents=True, exist_ok=True)
    readable = table if shown is None else shown
    written = []
    for kind in kinds:
        path = base.with_name(f"{base.name}.{kind}")
        if kind == "csv":
            harmless(table).to_csv(path, index=False)
        elif kind == "md":
            path.write_text(to_markdown(readable, formats, caption, note), encoding="utf-8")
        elif kind == "tex":
            path.write_text(to_latex(readable, formats, caption, f"tab:{base.name}", note, heads), encoding="utf-8")
        else:
            path.write_text(_html_page(to_html(readable, formats, heads), caption or base.name, note), encoding="utf-8")
        written.append(path)
    return written


def _html_page(body: str, caption: str, note: str) -> str:
    """Write a page with one table in the style of the report."""
    title, style = html.escape(caption), (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    below = f'<p class="note">{html.escape(note)}</p>\n' if note else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<style>\n{style}thead th[colspan] {{ text-align: center; }}\n</style>\n</head>\n<body>\n<main class="page">\n'
        f'<figure class="table">\n<figcaption>{title}</figcaption>\n{body}\n{below}</figure>\n'
        "</main>\n</body>\n</html>\n"
    )
