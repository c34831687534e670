"""The cohort table: reading, writing, validation and merging."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

import patchcxr.errors as errors_module
from patchcxr.data.cohort import (
    COLUMNS,
    check_cohort_files,
    complete_columns,
    merge_cohorts,
    read_cohort,
    validate_cohort,
    write_cohort,
)
from patchcxr.errors import CohortError, MissingExtraError, SplitError

HEADER = "study,patient,image,label,age_years,sex,split,fold,lung_mask"


def write_csv(folder, *rows, header=HEADER, name="cohort.csv"):
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def small(**columns):
    table = pd.DataFrame(
        {"study": ["s1", "s2", "s3"], "patient": ["p1", "p1", "p2"], "image": ["1.png", "2.png", "3.png"]}
    )
    return table.assign(**columns)


def test_types_are_the_same_whatever_was_empty(tmp_path):
    path = write_csv(tmp_path, "007,01,a.png,normal,54,F,train,0,", "008,02,b.png,,,,,,")
    table = read_cohort(path, check_files=False)
    assert list(table.columns) == list(COLUMNS)
    assert table["study"].tolist() == ["007", "008"]
    assert table["patient"].tolist() == ["01", "02"]
    assert table["age_years"].tolist()[0] == 54
    assert np.isnan(table["age_years"][1])
    assert table["fold"].tolist() == [0, pd.NA]
    assert table["label"].isna().tolist() == [False, True]
    assert table["infection_mask"].isna().all()
    assert {str(table[column].dtype) for column in ("label", "licence", "infection_mask")} == {"string"}


def test_relative_paths_start_at_the_table_and_variables_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("PATCHCXR_DATA", "/films")
    rows = ["1,1,images/a.png,,,,,,masks/r.png|masks/l.png", "2,2,${PATCHCXR_DATA}/b.png,,,,,,(empty)"]
    table = read_cohort(write_csv(tmp_path, *rows), check_files=False)
    folder = str(tmp_path)
    assert table["image"].tolist() == [f"{folder}/images/a.png", "/films/b.png"]
    assert table["lung_mask"].tolist() == [f"{folder}/masks/r.png|{folder}/masks/l.png", "(empty)"]
    table = read_cohort(write_csv(tmp_path, *rows), check_files=False, root="/elsewhere")
    assert table["image"][0] == "/elsewhere/images/a.png"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_cohort_is_read_back_as_it_was_written(tmp_path, suffix):
    table = complete_columns(
        small(
            image=["/a/1.png", "/a/2.png", "/ü b/3.png"],
            label=["normal", None, "covid19"],
            age_years=[1.5, None, 120],
            fold=[0, 1, None],
            site=[1, 2, 3],
        )
    )
    write_cohort(table, tmp_path / f"new/cohort{suffix}")
    again = read_cohort(tmp_path / f"new/cohort{suffix}", check_files=False)
    pd.testing.assert_frame_equal(again, table)


def test_words_for_nothing_are_empty_except_in_ids(tmp_path):
    path = write_csv(tmp_path, "NA,None,a.png,nan,NaN,N/A,null,None,NA")
    row = read_cohort(path, check_files=False).iloc[0]
    assert (row["study"], row["patient"]) == ("NA", "None")
    assert row[["label", "age_years", "sex", "split", "fold", "lung_mask"]].isna().all()


def test_a_nan_written_as_text_is_empty_too():
    assert complete_columns(small(label=["nan", np.nan, "normal"]))["label"].isna().tolist() == [True, True, False]


def test_extra_columns_are_kept_after_the_known_ones():
    table = complete_columns(small(device=["x", "y", "z"]))
    assert list(table.columns) == [*COLUMNS, "device"]


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (",1,a.png,,,,,,", "patient", None),
        ("2,,b.png,,,,,,", "patient", ""),
        ("2,2,,,,,,,", "image", ""),
        ("1,2,b.png,,,,,,", "study", "1"),
        ("2,2,b.png,,old,,,,", "age_years", "old"),
        ("2,2,b.png,,-3,,,,", "age_years", "-3.0"),
        ("2,2,b.png,,121,,,,", "age_years", "121.0"),
        ("2,2,b.png,,inf,,,,", "age_years", "inf"),
        ("2,2,b.png,,,female,,,", "sex", "female"),
        ("2,2,b.png,,,,training,,", "split", "training"),
        ("2,2,b.png,,,,,1.5,", "fold", "1.5"),
        ("2,2,b.png,,,,,-1,", "fold", "-1"),
    ],
)
def test_a_fault_names_its_row_column_and_value(tmp_path, row, column, value):
    path = write_csv(tmp_path, "1,1,a.png,,,,,,", row)
    with pytest.raises(CohortError) as caught:
        read_cohort(path, check_files=False)
    message = str(caught.value)
    assert str(path) in message
    assert "row 2" in message
    if value is not None:
        assert f"column {column!r} has {value!r}" in message


def test_many_faults_are_counted_and_five_are_shown(tmp_path):
    path = write_csv(tmp_path, *[f"{index},1,a.png,,200,,,," for index in range(9)])
    with pytest.raises(CohortError, match=r"row 5 .*; and 4 more faults") as caught:
        read_cohort(path, check_files=False)
    assert "row 6" not in str(caught.value)


def test_a_patient_in_two_given_splits_is_refused_by_name():
    with pytest.raises(SplitError, match=r"1 patients.*p1 \(test and train\)"):
        validate_cohort(complete_columns(small(split=["train", "test", "test"])))


def test_missing_files_are_listed_with_their_rows(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "r.png").touch()
    path = write_csv(tmp_path, "1,1,a.png,,,,,,r.png|l.png", "2,2,gone/b.png,,,,,,(empty)")
    with pytest.raises(CohortError) as caught:
        read_cohort(path)
    message = str(caught.value)
    assert f"row 1 (study '1'): column 'lung_mask' has '{tmp_path}/l.png'" in message
    assert f"row 2 (study '2'): column 'image' has '{tmp_path}/gone/b.png'" in message
    assert "r.png'" not in message.replace("/l.png", "")
    (tmp_path / "l.png").touch()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/b.png").touch()
    assert len(read_cohort(path)) == 2


def test_more_than_five_missing_files_are_counted():
    table = pd.DataFrame({"study": range(8), "patient": range(8), "image": [f"/no/{index}.png" for index in range(8)]})
    with pytest.raises(CohortError, match="and 3 more missing files"):
        check_cohort_files(complete_columns(table))


def test_files_that_are_no_cohort_are_refused_with_the_reason(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "latin.csv").write_bytes(b"study,patient,image\n1,M\xfcller,a.png\n")
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    (tmp_path / "folder.csv").mkdir()
    write_csv(tmp_path, header="study;patient;image", name="semicolon.csv")
    write_csv(tmp_path, header="study,patient,image", name="header.csv")
    write_csv(tmp_path, "1,2", header="study,patient", name="column.csv")
    write_csv(tmp_path, "1,2,a,b.png", header="study,patient,image", name="shifted.csv")
    write_csv(tmp_path, "1,2,a", "1,2,a,b", header="study,patient,image", name="ragged.csv")
    reasons = {
        "absent.csv": "no such cohort table",
        "empty.csv": "cohort table is empty",
        "latin.csv": "cannot be parsed",
        "junk.parquet": "cannot be parsed",
        "folder.csv": "cannot be parsed",
        "semicolon.csv": "not separated by commas",
        "header.csv": "no rows",
        "column.csv": "column 'image' is missing",
        "shifted.csv": "more cells than the header",
        "ragged.csv": "cannot be parsed",
        "cohort.xlsx": "suffix '.xlsx'",
    }
    for name, reason in reasons.items():
        with pytest.raises(CohortError, match=reason) as caught:
            read_cohort(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(CohortError, match="suffix"):
        write_cohort(small(), tmp_path / "cohort.xlsx")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text(f"{HEADER}\n1,1,a.png,,,,,,\n", encoding="utf-8-sig")
    assert read_cohort(path, check_files=False)["study"].tolist() == ["1"]


def test_parquet_without_its_package_names_the_extra(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(errors_module.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"patchcxr\[parquet\]"):
        write_cohort(small(), tmp_path / "cohort.parquet")


def test_cohorts_are_merged_with_all_their_columns():
    one = small(source="one", finding=["x", "y", "z"])
    two = small(source="two").assign(study=["t1", "t2", "t3"], patient=["q1", "q1", "q2"], age_years=50)
    merged = merge_cohorts([one, two])
    assert merged["study"].tolist() == ["s1", "s2", "s3", "t1", "t2", "t3"]
    assert merged["finding"].isna().tolist() == [False] * 3 + [True] * 3
    assert merged["age_years"].isna().tolist() == [True] * 3 + [False] * 3


def test_ids_that_two_sources_share_are_refused():
    with pytest.raises(CohortError, match=r"'s1'.*already used in row 1"):
        merge_cohorts([small(source="one"), small(source="two")])
    with pytest.raises(CohortError, match="2 patient ids occur in two sources, such as p1, p2"):
        merge_cohorts([small(source="one"), small(source="two").assign(study=["a", "b", "c"])])
    with pytest.raises(CohortError, match="no cohort"):
        merge_cohorts([])


def test_writing_leaves_paths_as_they_are(tmp_path):
    write_cohort(small(), tmp_path / "cohort.csv")
    assert "s1,p1,1.png" in (tmp_path / "cohort.csv").read_text()
    assert os.listdir(tmp_path) == ["cohort.csv"]
