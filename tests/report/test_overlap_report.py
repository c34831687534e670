"""Tables of overlap: Oh 2020, Table V, with one column a preprocessing; and the scripts that print such tables."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from patchcxr.errors import ConfigError
from patchcxr.report.overlap import preprocessing_table, segmentation_table

ANALYSIS = Path(__file__).parents[2] / "analysis"


def summary(lung=0.9, source="jsrt", role="test", failed=0):
    base = {"source": source, "role": role, "n": 12, "failed": failed, "std": 0.01}
    return pd.DataFrame(
        [
            {**base, "measure": "lung_jaccard", "mean": lung},
            {**base, "measure": "lung_dice", "mean": 0.95},
            {**base, "measure": "lung_hd95", "mean": 3.456},
            {**base, "measure": "right_lung_jaccard", "mean": 0.1},
            {**base, "measure": "heart_jaccard", "mean": 0.8},
        ]
    )


def test_each_preprocessing_has_its_column_and_the_papers_value_beside():
    table = preprocessing_table({"preprocessed": summary(0.95), "original": summary(0.90, failed=2)})
    assert table["Structure"].tolist() == ["Lungs", "Heart"]
    lungs, heart = table.iloc[0], table.iloc[1]
    assert (lungs["preprocessed"], lungs["original"]) == ("0.950 ± 0.010", "0.900 ± 0.010")
    assert (lungs["preprocessed, failed"], lungs["original, failed"], lungs["original, n"]) == (0, 2, 12)
    assert lungs["preprocessed, Oh 2020"] == "0.955 ± 0.015"
    assert heart["preprocessed, Oh 2020"] == "0.889 ± 0.054"
    assert "original, Oh 2020" not in table


def test_the_papers_second_data_set_is_montgomery_with_lungs_only():
    both = {"preprocessed": summary(source="montgomery", role="cross"),
            "original": summary(source="montgomery", role="cross")}  # fmt: skip
    table = preprocessing_table(both)
    assert table["Films"].unique().tolist() == ["montgomery, other source"]
    assert table["original, Oh 2020"].tolist()[0] == "0.932 ± 0.022"
    assert pd.isna(table["original, Oh 2020"][1])


def test_a_source_of_one_study_only_leaves_the_others_empty():
    table = preprocessing_table({"a": summary(), "b": summary(source="cohen")})
    assert table["b"].isna().tolist() == [True, True, False, False]


def test_the_table_of_a_study_has_the_measures_that_are_known():
    shown = segmentation_table(summary())
    assert list(shown.columns) == ["Films", "Structure", "n", "Failed", "Jaccard", "Dice", "HD95 (pixels)"]
    assert shown["HD95 (pixels)"][0] == "3.46 ± 0.01"
    assert shown["Films"][0] == "jsrt, unseen patients"


def test_no_study_is_refused():
    with pytest.raises(ConfigError, match="NAME=FOLDER"):
        preprocessing_table({})


@pytest.mark.slow
def test_the_scripts_print_their_tables_from_the_folders_of_studies(tmp_path):
    for name, lung in (("a", 0.95), ("b", 0.9)):
        (tmp_path / name / "segmentation").mkdir(parents=True)
        summary(lung).to_csv(tmp_path / name / "segmentation" / "summary.csv", index=False)
    words = [f"preprocessed={tmp_path / 'a'}", f"original={tmp_path / 'b'}", "--out", str(tmp_path / "table_5")]
    found = subprocess.run(
        [sys.executable, ANALYSIS / "oh2020_table_5.py", *words], capture_output=True, text=True, check=True
    )
    assert "0.950 ± 0.010" in found.stdout
    assert "0.900 ± 0.010" in (tmp_path / "table_5.md").read_text(encoding="utf-8")
    counts = {"label": ["normal"], "films": [10], "under_segmented": [1], "share": [0.1],
              "share_low": [0.02], "share_high": [0.4]}  # fmt: skip
    (tmp_path / "a" / "biomarkers").mkdir()
    pd.DataFrame(counts).to_csv(tmp_path / "a" / "biomarkers" / "under_segmentation.csv", index=False)
    words = [str(tmp_path / "a"), "--out", str(tmp_path / "figure")]
    found = subprocess.run(
        [sys.executable, ANALYSIS / "oh2020_under_segmentation.py", *words], capture_output=True, text=True, check=True
    )
    assert "| Normal" in found.stdout
    assert (tmp_path / "figure.pdf").stat().st_size > 1000
