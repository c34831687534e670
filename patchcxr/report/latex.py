r"""Text and tables for LaTeX: every special character escaped, rules by the package ``booktabs``.

What is written needs ``\usepackage{booktabs}`` and nothing else. Letters with accents go through as they are and are
set by any LaTeX since 2018; scripts that its fonts lack, such as Chinese, need XeLaTeX or LuaLaTeX.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from itertools import groupby
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
    columns = "".join("r" if index in flush_right else "l" for index in range(len(titles)))
    width = sum(max(map(len, column)) + 2 for column in zip(titles, *rows, strict=True))
    small = next((size for limit, size in _SIZES if width > limit), [])
    lines = [*small, rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule"]
    if heads is not None and any(heads):
        lines += _spanning(heads)
    titled = [
        rf"\multicolumn{{1}}{{r}}{{{escape_latex(title)}}}" if index in flush_right else escape_latex(title)
        for index, title in enumerate(titles)
    ]
    lines += [_row(titled), r"\midrule"]
    lines += [_row([escape_latex(cell) for cell in cells]) for cells in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if note:
        lines += [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {escape_latex(note)}}}"]
    if not caption and not label:
        return "\n".join(["{%", *lines, "}"] if small else lines) + "\n"
    top = [r"\begin{table}[htbp]", r"\centering"]
    top += [rf"\caption{{{escape_latex(caption)}}}"] if caption else []
    top += [rf"\label{{{_key(label)}}}"] if label else []
    return "\n".join([*top, *lines, r"\end{table}"]) + "\n"


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
