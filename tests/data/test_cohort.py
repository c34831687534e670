"""The cohort table: reading, writing, validation and merging."""

from __future__ import annotations

import os
from pathlib import Path

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
    summarize,
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
    write_csv(tmp_path, "1,2", header="study,patient,image", name="short.csv")
    reasons = {
        "absent.csv": "no such cohort table",
        "empty.csv": "cohort table is empty",
        "latin.csv": r"line 2 is not UTF-8 \(byte 0xfc\); save the table as UTF-8",
        "junk.parquet": "cannot be parsed",
        "folder.csv": "is a folder",
        "semicolon.csv": "not separated by commas",
        "header.csv": "no rows",
        "column.csv": "column 'image' is missing",
        "shifted.csv": r"line 2 has more cells than the header \(4, not 3\)",
        "ragged.csv": r"line 3 has more cells than the header \(4, not 3\)",
        "short.csv": r"line 2 has fewer cells than the header \(2, not 3\)",
        "cohort.xlsx": "suffix '.xlsx'",
    }
    for name, reason in reasons.items():
        with pytest.raises(CohortError, match=reason) as caught:
            read_cohort(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(CohortError, match="suffix"):
        write_cohort(small(), tmp_path / "cohort.xlsx")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_marked_encodings_and_all_line_ends_are_read(tmp_path, encoding, ending):
    path = tmp_path / "excel.csv"
    text = ending.join([HEADER, "1,Müller,a.png,,,,,,", "2,Łoś,b.png,,,,,,", ""])
    path.write_bytes(text.encode(encoding))
    table = read_cohort(path, check_files=False)
    assert table["study"].tolist() == ["1", "2"]
    assert table["patient"].tolist() == ["Müller", "Łoś"]


def test_a_leaking_table_is_read_and_written_only_when_told_so_in_so_many_words(tmp_path):
    words = "patients may be on both sides"
    table = small(split=["train", "test", "test"])
    with pytest.raises(SplitError, match=words):
        write_cohort(table, tmp_path / "cohort.csv")
    write_cohort(table, tmp_path / "cohort.csv", allow_leaks=words)
    with pytest.raises(SplitError, match="p1"):
        read_cohort(tmp_path / "cohort.csv", check_files=False)
    with pytest.raises(SplitError, match="allow_leaks is True"):
        read_cohort(tmp_path / "cohort.csv", check_files=False, allow_leaks=True)
    again = read_cohort(tmp_path / "cohort.csv", check_files=False, allow_leaks=words)
    assert again["split"].tolist() == ["train", "test", "test"]


def test_a_folder_or_a_link_to_nothing_is_no_file(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nothing")
    (tmp_path / "film.png").touch()
    (tmp_path / "link.png").symlink_to("film.png")
    names = ["folder.png", "loop.png", "gone.png", "film.png", "link.png"]
    table = pd.DataFrame({"study": names, "patient": names, "image": [str(tmp_path / name) for name in names]})
    with pytest.raises(CohortError, match=r"row 1 .*is a folder.*row 2 .*leads to no file.*row 3 ") as caught:
        check_cohort_files(complete_columns(table))
    assert "row 4" not in str(caught.value)
    assert "row 5" not in str(caught.value)


def outside_table(folder, image):
    return write_csv(folder, f"1,1,{image},,,,,,", name="outside.csv")


def test_files_must_be_inside_a_folder_if_asked(tmp_path, monkeypatch):
    root = tmp_path / "root"
    (root / "films").mkdir(parents=True)
    (tmp_path / "rootbeer").mkdir()
    for path in (root / "films/a.png", tmp_path / "secret.png", tmp_path / "rootbeer/b.png"):
        path.touch()
    (root / "way_out").symlink_to(tmp_path)
    (root / "way_out.png").symlink_to(tmp_path / "secret.png")
    (root / "way_in.png").symlink_to(root / "films/a.png")
    (root / "loop").symlink_to(root / "loop")
    for image in ("films/a.png", "films/../films/a.png", "way_in.png", str(root / "films/a.png")):
        assert read_cohort(outside_table(root, image), inside=root)["image"][0].endswith(".png")
    for image in (
        "../secret.png",
        str(tmp_path / "secret.png"),
        "way_out/secret.png",
        "way_out.png",
        "../rootbeer/b.png",
    ):
        assert len(read_cohort(outside_table(root, image))) == 1
        with pytest.raises(CohortError, match=r"row 1 .*'image'.* is not in .*/root; "):
            read_cohort(outside_table(root, image), inside=root)
    with pytest.raises(CohortError, match="no such file"):
        read_cohort(outside_table(root, "loop/a.png"), inside=root)
    monkeypatch.setenv("SECRET", "hidden")
    for image in ("$SECRET.png", "~/a.png"):
        with pytest.raises(CohortError, match="no such file") as caught:
            read_cohort(outside_table(root, image), inside=root)
        assert "hidden" not in str(caught.value)
        assert str(Path.home()) + "/a.png" not in str(caught.value)


def test_masks_too_must_be_inside_a_folder_if_asked(tmp_path):
    path = write_csv(tmp_path, "1,1,a.png,,,,,,r.png|../l.png")
    with pytest.raises(CohortError, match=r"'lung_mask' has '.*/l.png'; is not in"):
        read_cohort(path, check_files=False, inside=tmp_path)


def test_a_cell_that_is_no_text_and_no_number_is_refused():
    for odd in (["a"], {"a": 1}, np.zeros(2), b"a"):
        table = small(label="x").astype(object)
        table.at[1, "label"] = odd
        with pytest.raises(CohortError, match=r"row 2 \(study 's2'\): column 'label'.*expected text or a number"):
            complete_columns(table)


@pytest.mark.parametrize("number", ["1" * 400, "1e999", "-inf", "99999999999999999999", "0x10", "true"])
def test_numbers_out_of_range_are_refused(number):
    with pytest.raises(CohortError, match=r"row 1 .*column 'fold'"):
        complete_columns(small(fold=[number, 1, 2]))
    if "99" not in number:
        with pytest.raises(CohortError, match=r"row 1 .*column 'days'"):
            complete_columns(small(days=[number, 1, 2]))


def test_huge_numbers_in_memory_are_refused_too():
    with pytest.raises(CohortError, match="column 'age_years'"):
        validate_cohort(complete_columns(small(age_years=[10**400, 1, 2])))


def test_the_boxes_of_a_film_are_kept_as_text():
    table = complete_columns(small(boxes=["1,2,3,4:Mass|5,6,7,8", "(empty)", None]))
    assert table["boxes"].tolist() == ["1,2,3,4:Mass|5,6,7,8", "(empty)", pd.NA]
    assert list(table.columns)[-2:] == ["boxes", "licence"]


def test_parquet_without_its_package_names_the_extra(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(errors_module.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"patchcxr\[parquet\]"):
        write_cohort(small(), tmp_path / "cohort.parquet")


OTHER_IMAGES = ["4.png", "5.png", "6.png"]


def test_cohorts_are_merged_with_all_their_columns():
    one = small(source="one", finding=["x", "y", "z"])
    ids = {"study": ["t1", "t2", "t3"], "patient": ["q1", "q1", "q2"]}
    two = small(source="two", image=OTHER_IMAGES).assign(**ids, age_years=50)
    merged = merge_cohorts([one, two])
    assert merged["study"].tolist() == ["s1", "s2", "s3", "t1", "t2", "t3"]
    assert merged["finding"].isna().tolist() == [False] * 3 + [True] * 3
    assert merged["age_years"].isna().tolist() == [True] * 3 + [False] * 3


def test_ids_that_two_sources_share_are_refused():
    with pytest.raises(CohortError, match=r"'s1'.*already used in row 1"):
        merge_cohorts([small(source="one"), small(source="two")])
    two = small(source="two", image=OTHER_IMAGES, study=["a", "b", "c"])
    with pytest.raises(CohortError, match="2 patient ids occur in two sources, such as p1, p2"):
        merge_cohorts([small(source="one"), two])
    with pytest.raises(CohortError, match="no cohort"):
        merge_cohorts([])


def test_ids_may_get_their_source_in_front_but_only_once():
    one = small(source="one", study=["one-s1", "s2", "s3"])
    merged = merge_cohorts([one, small(source="two", image=OTHER_IMAGES)], prefix_ids=True)
    assert merged["study"].tolist() == ["one-s1", "one-s2", "one-s3", "two-s1", "two-s2", "two-s3"]
    assert merged["patient"].tolist() == ["one-p1", "one-p1", "one-p2", "two-p1", "two-p1", "two-p2"]
    with pytest.raises(CohortError, match=r"row 1 .*column 'source'.*fill it in"):
        merge_cohorts([small()], prefix_ids=True)


def test_an_image_in_two_cohorts_is_refused_with_both_studies():
    two = small(source="two", image=["2.png", "5.png", "6.png"])
    with pytest.raises(CohortError, match=r"row 4 \(study 'two-s1'\).*is the image of study 'one-s2' too"):
        merge_cohorts([small(source="one"), two], prefix_ids=True)


def test_the_summary_counts_films_patients_and_masks():
    table = pd.DataFrame(
        {
            "study": list("abcdef"),
            "patient": ["p", "p", "q", "r", "s", "t"],
            "image": [f"{name}.png" for name in "abcdef"],
            "source": ["x", "x", "x", "x", "y", None],
            "label": ["normal", "normal", "normal", "viral", "normal", None],
            "view": ["AP", "PA", "PA", "PA", None, "PA"],
            "age_years": [40, 44, 60, 30, None, 10],
            "sex": ["F", None, "M", "F", None, "M"],
            "lung_mask": [None, "(empty)", None, None, None, None],
            "right_lung_mask": ["r.png", None, "r.png", None, None, None],
            "left_lung_mask": ["l.png", None, None, None, None, None],
            "heart_mask": ["h.png", None, None, None, None, None],
            "infection_mask": [None, None, None, "(empty)", None, None],
            "boxes": [None, None, "1,2,3,4", None, None, None],
        }
    )
    made = summarize(table)
    assert made[["source", "label"]].to_numpy().tolist() == [
        ["(none)", "(none)"],
        ["x", "normal"],
        ["x", "viral"],
        ["y", "normal"],
        ["(all)", "(all)"],
    ]
    row = made.set_index(["source", "label"]).loc[("x", "normal")]
    assert row[["films", "patients", "views"]].tolist() == [3, 2, "PA 2, AP 1"]
    # patient p counts once, with the age 42: median of 42 and 60
    assert row[["age_median_years", "age_min_years", "age_max_years"]].tolist() == [51, 42, 60]
    assert row[["age_known", "women_share", "sex_known"]].tolist() == [2, 0.5, 2]
    viral = made.set_index(["source", "label"]).loc[("x", "viral")]
    assert viral[["patients", "women_share", "sex_known"]].tolist() == [1, 1.0, 1]
    assert row[["lung_masks", "heart_masks", "infection_masks", "boxes"]].tolist() == [2, 1, 0, 1]
    empty = made.set_index(["source", "label"]).loc[("y", "normal")]
    assert np.isnan(empty["women_share"])
    assert empty[["patients", "age_known", "sex_known"]].tolist() == [1, 0, 0]
    assert np.isnan(empty["age_median_years"])
    assert empty["views"] == "(none) 1"
    whole = made.iloc[-1]
    assert whole[["films", "patients", "infection_masks"]].tolist() == [6, 5, 1]
    # of five patients p, q, r and t have an age and a sex; two of the four are women
    assert whole[["age_known", "women_share", "sex_known"]].tolist() == [4, 0.5, 4]
    assert made["films"].iloc[:-1].sum() == whole["films"]


def test_writing_leaves_paths_as_they_are(tmp_path):
    write_cohort(small(), tmp_path / "cohort.csv")
    assert "s1,p1,1.png" in (tmp_path / "cohort.csv").read_text()
    assert os.listdir(tmp_path) == ["cohort.csv"]
