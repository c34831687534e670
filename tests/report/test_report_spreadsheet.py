from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError
from patchcxr.report.spreadsheet import harmless, read_table
from patchcxr.report.tables import write_table


@pytest.mark.parametrize(
    "text", ["=1+1", "=HYPERLINK(A1)", "+49 30 1", "-2+3", "@SUM(A1)", "\t=1", "  =1", "-abc", "--x", "+", "'=1"]
)
def test_formulas_become_text_and_come_back_as_they_were(text, tmp_path):
    table = pd.DataFrame({"study": [text, "plain"], "v": [-1.5, 2.0]})
    cell = harmless(table)["study"][0]
    assert cell.startswith("'") or text == "+"
    path = write_table(table, tmp_path / "t", kinds=("csv",))[0]
    pd.testing.assert_frame_equal(read_table(path), table)


@pytest.mark.parametrize("text", ["-", "***", "-0.5", "+1e-9", "-.5", "−3", "a=b", "x-y", "", "'quoted'"])
def test_numbers_stars_and_other_text_stay_as_they_are(text):
    assert harmless(pd.DataFrame({"a": [text]}))["a"][0] == text


def test_numbers_keep_every_digit_and_column_names_are_made_harmless(tmp_path):
    table = pd.DataFrame({"=v": [-1 / 3, np.nan], "n": [-1, 2], "flag": [True, False], "study": ["a", None]})
    safe = harmless(table)
    assert list(safe.columns) == ["'=v", "n", "flag", "study"]
    pd.testing.assert_frame_equal(safe.rename(columns={"'=v": "=v"}), table)
    path = write_table(table, tmp_path / "t", kinds=("csv",))[0]
    back = read_table(path)
    assert back["=v"][0] == table["=v"][0]
    assert back["n"].tolist() == [-1, 2]


def test_ids_stay_text_and_a_missing_table_says_so(tmp_path):
    path = write_table(pd.DataFrame({"study": ["007"], "patient": ["1"]}), tmp_path / "ids", kinds=("csv",))[0]
    assert read_table(path).iloc[0].tolist() == ["007", "1"]
    with pytest.raises(CohortError, match="no such table"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"")
    with pytest.raises(CohortError, match="not readable"):
        read_table(tmp_path / "bad.csv")
