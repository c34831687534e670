r"""Text and tables for LaTeX: every special character escaped, rules by the package ``booktabs``.

What is written needs ``\usepackage{booktabs}``, and tables that may be wider than the page ``\usepackage{graphicx}``,
by which they are shrunk to the width of the line if they are. Letters with accents go through as they are and are
set by any LaTeX since 2018; scripts that its fonts lack, such as Chinese, need XeLaTeX or LuaLaTeX.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from itertools import groupby
from string import ascii_lowercase
from typing import Final

_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "`": r"\`{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "\u2212": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "µ": r"$\mu$",
    "°": r"$^{\circ}$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\dots{}",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "↔": r"$\leftrightarrow$",
    "∞": r"$\infty$",
}
_GREEK: Final = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
    *("nu", "xi", ".", "pi", "rho", ".", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_SPECIAL_GREEK: Final = {chr(0x3B1 + i): rf"$\{name}$" for i, name in enumerate(_GREEK) if name != "."}
_SIZES: Final = (
    (120, [r"\scriptsize", r"\setlength{\tabcolsep}{3pt}"]),
    (85, [r"\footnotesize", r"\setlength{\tabcolsep}{4pt}"]),
)
"""From so many letters a line on the type is made smaller, so that the table fits a page of usual width."""
_FITS: Final = 55
"""Lines of up to so many letters fit any page; tables of longer ones are measured by LaTeX, and shrunk if need be."""
_LONG_CELL: Final = 40
_LONG_WORD: Final = 18
_PARAGRAPH: Final = r"p{0.35\linewidth}"
"""Cells of more than so many letters, none of their words longer than this, are broken into lines in a wide table."""
_ABSENT: Final = "–"
_NOTE: Final = "Note"
"""Title of a column whose texts are set as footnotes."""
_ESCAPES: Final = str.maketrans(_SPECIAL | _SPECIAL_GREEK | {"\u00ad": None, "\u200b": None, "\ufeff": None})


def escape_latex(text: str) -> str:
    r"""Write any text so that LaTeX sets it as it stands; line ends become spaces, control characters are left out.

    >>> escape_latex("50 % of A&B_1 {x}~^#$")
    '50 \\% of A\\&B\\_1 \\{x\\}\\textasciitilde{}\\textasciicircum{}\\#\\$'
    """
    flat = unicodedata.normalize("NFC", re.sub(r"[\t\n\v\f\r]+", " ", str(text)))
    kept = "".join(letter for letter in flat if unicodedata.category(letter) != "Cc")
    return re.sub("-(?=-)", "-{}", kept.translate(_ESCAPES))  # two hyphens would become a dash


def latex_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    flush_right: Collection[int] = (),
    heads: Sequence[str] | None = None,
    caption: str = "",
    label: str = "",
    note: str = "",
) -> str:
    r"""Write a table as LaTeX.

    Remarks about rows, in a column ``Note``, are set as footnotes below the table, marked by a letter at the first
    cell. A table that may be wider than a page is shrunk to ``\linewidth`` where it is (``\resizebox`` of the package
    ``graphicx``), and its columns of long sentences are broken into lines.

    Parameters
    ----------
    titles, rows
        Texts of the head and of the cells, not escaped.
    flush_right
        Positions of the columns of numbers. Where all have as many decimals, points and digits stand in line.
    heads
        One text a column that stands above the titles; equal neighbours share one, with a rule below it, and an
        empty text has none.
    caption, label
        With either the table floats (``table``), the caption above it; without, it is a bare ``tabular``.
    note
        Set below the table in small type.
    """
    marks, footnotes, place = _footnotes(titles, rows)
    if place is not None:
        titles, *rows = (_without(cells, place) for cells in (titles, *rows))
        heads = None if heads is None else _without(heads, place)
        flush_right = [index - (index > place) for index in flush_right if index != place]
    width = sum(max(map(len, column)) + 2 for column in zip(titles, *rows, strict=True))
    small = next((size for limit, size in _SIZES if width > limit), [])
    broken = {index for index in range(len(titles)) if width > _FITS and _is_long([cells[index] for cells in rows])}
    columns = "".join(
        "r" if index in flush_right else _PARAGRAPH if index in broken else "l" for index in range(len(titles))
    )
    tabular = [rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule"]
    if heads is not None and any(heads):
        tabular += _spanning(heads)
    titled = [
        rf"\multicolumn{{1}}{{r}}{{{escape_latex(title)}}}" if index in flush_right else escape_latex(title)
        for index, title in enumerate(titles)
    ]
    tabular += [_row(titled), r"\midrule"]
    for cells, mark in zip(rows, marks, strict=True):
        written = [
            rf"{{\raggedright {escape_latex(cell)}\par}}" if index in broken else escape_latex(cell)
            for index, cell in enumerate(cells)
        ]
        written[0] += _mark(mark) if mark else ""
        tabular.append(_row(written))
    tabular += [r"\bottomrule", r"\end{tabular}"]
    floats = bool(caption or label)
    indent = "" if floats else r"\noindent"
    if width > _FITS:
        tabular = [rf"{indent}\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{%", *tabular]
        tabular[-1] += "}"
    lines = [*small, *tabular]
    for text in filter(None, ("; ".join(footnotes), escape_latex(note))):
        lines += [r"\par\smallskip", rf"{indent}\parbox{{\linewidth}}{{\footnotesize {text}}}"]
    if not floats:
        return "\n".join(["{%", *lines, "}"] if small else lines) + "\n"
    top = [r"\begin{table}[htbp]", r"\centering"]
    top += [rf"\caption{{{escape_latex(caption)}}}"] if caption else []
    top += [rf"\label{{{_key(label)}}}"] if label else []
    return "\n".join([*top, *lines, r"\end{table}"]) + "\n"


def _footnotes(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[str], int | None]:
    """Marks of the rows, the footnotes, and the place of the column that they come from; None where there is none."""
    marks = [""] * len(rows)
    if _NOTE not in titles[1:]:
        return marks, [], None
    place = titles.index(_NOTE, 1)
    texts = ["" if cells[place] == _ABSENT else cells[place].strip() for cells in rows]
    letters = dict(zip(dict.fromkeys(filter(None, texts)), ascii_lowercase, strict=False))
    if not set(texts) <= {"", *letters}:  # more remarks than letters
        return marks, [], None
    footnotes = [f"{_mark(letter)}~{escape_latex(text)}" for text, letter in letters.items()]
    return [letters.get(text, "") for text in texts], footnotes, place


def _without(cells: Sequence[str], place: int) -> list[str]:
    return [cell for index, cell in enumerate(cells) if index != place]


def _is_long(cells: Sequence[str]) -> bool:
    words = [len(word) for cell in cells for word in re.split("[ \t\n]+", cell)]
    return max(map(len, cells), default=0) > _LONG_CELL and max(words, default=0) <= _LONG_WORD


def _mark(letter: str) -> str:
    return rf"\textsuperscript{{{letter}}}"


def _row(cells: Sequence[str]) -> str:
    r"""Cells of one row; an opening bracket or star would be read as an argument of the ``\\`` before it."""
    text = " & ".join(cells)
    return ("{}" if text[:1] in ("[", "*") else "") + text + r" \\"


def _spanning(heads: Sequence[str]) -> list[str]:
    cells, rules, start = [], [], 1
    for head, run in groupby(heads):
        width = len(list(run))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(head)}}}" if head else "&" * (width - 1))
        if head:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [_row(cells), "".join(rules)]


def _key(label: str) -> str:
    """Letters, digits and ``:.-/`` are safe in a label; all others become hyphens."""
    return re.sub(r"[^A-Za-z0-9:./-]+", "-", label)
