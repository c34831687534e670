"""COVIDGR-1.0 in its published layout."""

from __future__ import annotations

import pandas as pd
import pytest

from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_give_the_label_and_the_table_the_severity_of_positive_films(tmp_path):
    touch(tmp_path, *[f"COVIDGR_1.0/{name}" for name in ("P/1.jpg", "P/2.jpg", "N/1.jpg", "P/3.jpg", "P/Thumbs.db")])
    (tmp_path / "COVIDGR_1.0/a_readme.csv").write_text("about\nnothing\n")
    (tmp_path / "COVIDGR_1.0/severity.csv").write_text("Name,Severity\n1,SEVERE \n2.jpg,NORMAL-PCR+\n9,MILD\n")
    table, skipped = build_source("covidgr", tmp_path)
    assert table["study"].tolist() == ["covidgr-N-1", "covidgr-P-1", "covidgr-P-2", "covidgr-P-3"]
    assert table["label"].tolist() == ["normal", "covid19", "covid19", "covid19"]
    assert table["severity"].tolist() == [pd.NA, "SEVERE", "NORMAL-PCR+", pd.NA]
    assert table["image"][0] == str(tmp_path / "COVIDGR_1.0/N/1.jpg")
    assert set(table["view"]) == {"PA"}
    assert set(table["patient_id_known"]) == {"no"}
    assert skipped.empty


def test_other_folders_and_second_copies_are_skipped_and_letter_case_is_free(tmp_path):
    touch(tmp_path, "a/p/1.JPG", "b/P/1.jpg", "N/2.jpeg", "example.png", "a/p/._1.JPG")
    table, skipped = build_source("covidgr", tmp_path)
    assert table["study"].tolist() == ["covidgr-N-2", "covidgr-P-1"]
    assert table["severity"].isna().all()
    assert skipped.to_numpy().tolist() == [
        [str(tmp_path / "b/P/1.jpg"), "second film of this name; the first is kept"],
        [str(tmp_path / "example.png"), "not in a folder P or N"],
    ]


def test_a_table_that_cannot_be_parsed_is_skipped(tmp_path):
    touch(tmp_path, "P/001.jpg", "a.csv")
    (tmp_path / "b.csv").write_text("Name,Severity\n001,MILD\n")
    table, skipped = build_source("covidgr", tmp_path)
    assert table["severity"].tolist() == ["MILD"]
    assert skipped["name"].tolist() == [str(tmp_path / "a.csv")]
    assert "cannot be parsed" in skipped["reason"][0]


def test_a_folder_in_another_layout_is_refused(tmp_path):
    touch(tmp_path, "positive/1.jpg")
    with pytest.raises(CohortError, match=r"no such file as P/\*\.jpg"):
        build_source("covidgr", tmp_path)
