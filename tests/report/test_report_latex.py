from __future__ import annotations

import shutil
import subprocess

import pandas as pd
import pytest

from patchcxr.report.latex import escape_latex, latex_table
from patchcxr.report.tables import to_latex

NASTY = [
    r"a&b%c$d#e_f{g}h~i^j\k",
    "<p|q>",
    '"quoted" `back` it\'s',
    "−0.5 ± 0.1 × 2 · 3² µm 5 °C",
    "α β γ ρ σ – — … ≤ ≥ ≠ ≈ → ∞",
    "Müller, Bülow-Ångström, São, Łódź, Žižek",
    "a--b---c",
    "[1] *2* @x",
    "two\nlines\tand\rmore\x00\x07",
    "e\u0301 combined",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cohen_12&3", r"cohen\_12\&3"),
        ("50 %", r"50 \%"),
        ("$#{}", r"\$\#\{\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("<0.001", r"\textless{}0.001"),
        ("−0.5 ± 0.1", r"$-$0.5 $\pm$ 0.1"),
        ("a--b", "a-{}-b"),
        ("x\ny\x00", "x y"),
        ("e\u0301", "é"),
        ("", ""),
    ],
)
def test_text_is_written_so_that_latex_sets_it_as_it_stands(text, expected):
    assert escape_latex(text) == expected


def test_numbers_are_flush_right_and_a_heading_spans_its_columns():
    table = pd.DataFrame({"group": ["normal", "covid19"], "Mean": [-0.5, 0.25], "A": ["", "***"], "B": ["", "*"]})
    text = to_latex(table, caption="Means & stars", label="tab:a b_c", note="* p < 0.05", heads={"A": "S", "B": "S"})
    assert text.splitlines() == [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\caption{Means \& stars}",
        r"\label{tab:a-b-c}",
        r"\begin{tabular}{@{}lrll@{}}",
        r"\toprule",
        r"& & \multicolumn{2}{c}{S} \\",
        r"\cmidrule(lr){3-4}",
        r"Group & \multicolumn{1}{r}{Mean} & A & B \\",
        r"\midrule",
        r"Normal & $-$0.500 &  &  \\",
        r"COVID-19 & 0.250 & *** & * \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip",
        r"\parbox{\linewidth}{\footnotesize * p \textless{} 0.05}",
        r"\end{table}",
    ]


def test_a_row_that_begins_with_a_bracket_or_star_is_no_argument_of_the_line_end():
    rows = latex_table(["[a]"], [["[1pt]"], ["*"]]).splitlines()
    assert rows[2] == r"{}[a] \\"
    assert rows[4:6] == [r"{}[1pt] \\", r"{}* \\"]


def test_wide_tables_are_set_smaller_and_keep_that_to_themselves():
    wide = latex_table(["x" * 30] * 4, [["y"] * 4])
    assert wide.startswith("{%\n\\scriptsize")
    assert wide.endswith("}\n")
    assert "size" not in latex_table(["x"], [["y"]])


def test_remarks_about_rows_are_footnotes_that_share_a_letter():
    rows = [["x", "b & c", "1"], ["y", "–", "2"], ["z", "d", "3"], ["w", "b & c", "4"]]
    lines = latex_table(["Pair", "Note", "n"], rows, flush_right=[2], label="l").splitlines()
    assert r"Pair & \multicolumn{1}{r}{n} \\" in lines
    marked = [r"x\textsuperscript{a} & 1 \\", r"y & 2 \\", r"z\textsuperscript{b} & 3 \\"]
    assert lines[7:11] == [*marked, r"w\textsuperscript{a} & 4 \\"]
    assert r"\parbox{\linewidth}{\footnotesize \textsuperscript{a}~b \& c; \textsuperscript{b}~d}" in lines


WIDE = {
    "fits": (["Group", "n"], [["normal", "1"]]),
    "many": ([f"Column {index}" for index in range(14)], [["0.123 (0.101 to 0.201)"] * 14]),
    "sentences": (["Check", "Remedy"], [["size", "mend it, or leave it out of the cohort " * 6]] * 2),
    "remarks": (["Pair", "Shift", "Note"], [["A − B", "0.012 (0.004 to 0.021)", "taken as independent " * 8]] * 2),
    "word": (["Path", "n"], [["/folder" * 30, "1"]]),
}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("caption", ["", "A caption"])
@pytest.mark.parametrize("kind", WIDE)
def test_no_table_leaves_the_page(tmp_path, kind, caption):
    head = "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    body = latex_table(*WIDE[kind], caption=caption, note="A note of some length. " * 12)
    (tmp_path / "t.tex").write_text(head + body + "\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_pdflatex_sets_every_nasty_text_without_an_error(tmp_path):
    table = pd.DataFrame({"_%&[study]": NASTY, "v": range(len(NASTY))})
    body = to_latex(table, caption=" ".join(NASTY), label="tab:" + NASTY[0], note=NASTY[3], heads={"v": "#1 & co"})
    head = "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    (tmp_path / "t.tex").write_text(head + body + "\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
