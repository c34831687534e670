"""Malformed cohort tables: each gives a named error or a correct table, and nothing else."""

from __future__ import annotations

import io
import os
import re

import numpy as np
import pandas as pd
import pytest

from patchcxr.data import tabular
from patchcxr.data.cohort import COLUMNS, read_cohort, read_table, write_cohort
from patchcxr.errors import CohortError, PatchCXRError

HEADER = ["study", "patient", "image", "label", "age_years", "sex", "split", "fold", "days", "lung_mask", "boxes"]
ROWS = [
    ["s1", "p1", "a.png", "normal", "54", "F", "train", "0", "1", "r.png|l.png", "1,2,3,4"],
    ["s2", "p1", "b.png", "viral", "54", "F", "train", "0", "-2.5", "(empty)", "(empty)"],
    ["s3", "p2", "c, d.png", "covid19", "", "M", "test", "1", "", "", ""],
    ["s4", "p3", 'e "f".png', "Müller", "0.5", "", "", "", "", "m.png", "5,6,7,8:Mass"],
]


def as_csv(header, rows, ending="\n"):
    return pd.DataFrame(rows, columns=header).to_csv(index=False, lineterminator=ending)


PLAIN = as_csv(HEADER, ROWS)
PLAIN_BYTES = PLAIN.encode("utf-8")


def with_cell(column, value, row=1):
    rows = [list(cells) for cells in ROWS]
    rows[row][HEADER.index(column)] = value
    return as_csv(HEADER, rows).encode("utf-8", "surrogatepass")


def read_it(folder, data, name="cohort.csv"):
    """The table, or the message of the error; every other exception fails the test."""
    path = folder / name
    path.write_bytes(data)
    try:
        table = read_cohort(path, check_files=False)
    except PatchCXRError as refused:
        message = str(refused)
    else:
        check_table(table)
        return table
    assert name in message
    assert len(message) < 5000
    return message


def check_table(table):
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert table["study"].is_unique
    assert table[["study", "patient", "image"]].notna().all(axis=None)
    assert table["age_years"].dropna().between(0, 120).all()
    assert np.isfinite(table["days"].dropna()).all()


NAMED = {
    "nothing": (b"", "is empty"),
    "only line ends": (b"\n\r\n\n", "is empty"),
    "only a mark": (b"\xef\xbb\xbf", "is empty"),
    "only half a mark": (b"\xff", "line 1 is not UTF-8"),
    "header alone": (PLAIN_BYTES.splitlines()[0], "no rows"),
    "latin-1": (PLAIN.encode("latin-1"), r"line 5 is not UTF-8 \(byte 0xfc\)"),
    "mixed encodings": (PLAIN_BYTES + PLAIN.encode("latin-1"), r"line 10 is not UTF-8"),
    "utf-16 with an odd byte": (PLAIN.encode("utf-16")[:-1], "is not UTF-16"),
    "utf-16 without a mark": (PLAIN.encode("utf-16-le"), "line 5 is not UTF-8"),
    "utf-8 after a utf-16 mark": (b"\xff\xfe" + PLAIN_BYTES, r"."),
    "ASCII in utf-16 without a mark": (as_csv(HEADER, ROWS[:3]).encode("utf-16-le"), "line 1 holds a NUL"),
    "nul in a cell": (with_cell("label", "a\0b"), "line 3 holds a NUL"),
    "nul in the header": (b"study\0,patient,image\n1,1,a\n", "line 1 holds a NUL"),
    "nul bytes alone": (b"\0" * 100, "line 1 holds a NUL"),
    "a column twice": (b"study,patient,image,image\n1,1,a,b\n", "column 'image' occurs twice"),
    "a column twice but for spaces": (b"study,patient,image, study\n1,1,a,b\n", "column 'study' occurs twice"),
    "another column twice": (b"study,patient,image,x,x\n1,1,a,b,c\n", "column 'x' occurs twice"),
    "a study twice": (with_cell("study", "s1"), r"row 2 .*already used in row 1"),
    "no study": (with_cell("study", ""), r"row 2 \(without study id\).*fill in the study"),
    "no image": (with_cell("image", "   "), "fill in the image"),
    "long row": (PLAIN_BYTES + b"s5,p4,a,,,,,,,,,,\n", "line 6 has more cells"),
    "short row": (PLAIN_BYTES + b"s5,p4,a\n", "line 6 has fewer cells"),
    "cut in the last row": (PLAIN_BYTES[:-25], "."),
    "open quotation mark": (PLAIN_BYTES + b'"s5,p4', "cannot be parsed: line 6"),
    "text after a quotation mark": (with_cell("label", "x").replace(b",x,", b',"x"y,'), "cannot be parsed: line 3"),
    "10 MB cell": (with_cell("label", "x" * 10_000_000), "line 3"),
    "10 MB header": (b"x" * 10_000_000 + b",study\n", "line 1"),
    "a million columns": (b"a" + b",a" * 999_999 + b"\n", "has 1000000 columns"),
    "open quotation mark before 10 MB": (b'study,patient,image\n"' + b"1,1,a\n" * 1_700_000, "line"),
    "semicolons": (PLAIN_BYTES.replace(b",", b";"), "not separated by commas"),
    "tabs": (PLAIN_BYTES.replace(b",", b"\t"), "not separated by commas"),
    "no image column": (b"study,patient,picture\n1,1,a\n", "column 'image' is missing"),
    "one column": (b"study\n1\n\n2\n", "column 'patient' is missing"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "line 1 is not UTF-8"),
    "a zip": (b"PK\x03\x04\x14\0\0\0\x08\0", "NUL"),
    "html": (b"<!DOCTYPE html>\n<html><body>404</body></html>\n", "column 'study' is missing"),
    "json": (b'[{"study": 1}]', "."),
    "negative age": (with_cell("age_years", "-1"), "column 'age_years' has '-1.0'"),
    "age of 999": (with_cell("age_years", "999"), "expected 0 to 120"),
    "infinite age": (with_cell("age_years", "inf"), "column 'age_years' has 'inf'"),
    "age as a date": (with_cell("age_years", "1960-01-01"), "column 'age_years'"),
    "age in words": (with_cell("age_years", "054Y"), "column 'age_years' has '054Y'"),
    "huge age": (with_cell("age_years", "9" * 400), "column 'age_years'"),
    "infinite days": (with_cell("days", "1e999"), "column 'days'"),
    "huge fold": (with_cell("fold", "99999999999999999999"), "column 'fold'"),
    "fold past 64 bits": (with_cell("fold", "9" * 5000), "column 'fold'"),
    "negative fold": (with_cell("fold", "-1"), "column 'fold' has '-1'"),
    "broken fold": (with_cell("fold", "0.5"), "column 'fold' has '0.5'"),
    "formula as a number": (with_cell("age_years", "=1+1"), r"column 'age_years' has '=1\+1'"),
    "sex in words": (with_cell("sex", "female"), "column 'sex' has 'female'"),
    "unknown split": (with_cell("split", "training"), "column 'split' has 'training'"),
    "patient in two splits": (with_cell("split", "test"), r"p1 \(test and train\)"),
    "header twice": (PLAIN_BYTES + PLAIN_BYTES, "column 'age_years' has 'age_years'"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_malformed_table_gives_an_error_that_says_what_and_where(tmp_path, name):
    data, said = NAMED[name]
    message = read_it(tmp_path, data)
    assert isinstance(message, str), f"read as {message}"
    assert re.search(said, message), message


RIGHT = {
    "plain": PLAIN_BYTES,
    "utf-8 with a mark": PLAIN.encode("utf-8-sig"),
    "utf-16 little-endian": b"\xff\xfe" + PLAIN.encode("utf-16-le"),
    "utf-16 big-endian": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "utf-32": PLAIN.encode("utf-32"),
    "CRLF": as_csv(HEADER, ROWS, "\r\n").encode(),
    "CR": as_csv(HEADER, ROWS, "\r").encode(),
    "mixed line ends": PLAIN.replace("\ns2", "\r\ns2").replace("\ns3", "\rs3").encode(),
    "empty lines": PLAIN.replace("\n", "\n\n").encode(),
    "empty lines first": b"\n\n" + PLAIN_BYTES,
    "no line end at the end": PLAIN_BYTES.rstrip(),
    "spaces round the names": PLAIN.replace("study,patient", " study , patient").encode(),
    "spaces round the cells": PLAIN.replace(",train,", ", train ,").encode(),
    "all cells quoted": pd.DataFrame(ROWS, columns=HEADER).to_csv(index=False, quoting=1).encode(),
}


@pytest.mark.parametrize("name", RIGHT)
def test_an_unusual_table_is_read_like_the_plain_one(tmp_path, name):
    plain = read_it(tmp_path, PLAIN_BYTES)
    assert plain["study"].tolist() == ["s1", "s2", "s3", "s4"]
    assert plain["label"].tolist()[3] == "Müller"
    assert plain["image"].map(os.path.basename).tolist() == ["a.png", "b.png", "c, d.png", 'e "f".png']
    table = read_it(tmp_path, RIGHT[name])
    assert isinstance(table, pd.DataFrame), table
    pd.testing.assert_frame_equal(table, plain)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://x")',
        "+1",
        "@SUM(A1)",
        "-1",
        "00012",
        "1e5",
        "TRUE",
        "12345678901234567890",
        "日本",
        "a\nb",
    ],
)
def test_ids_are_kept_as_they_are_written(tmp_path, text):
    table = read_it(tmp_path, with_cell("study", text))
    assert isinstance(table, pd.DataFrame), table
    assert table["study"][1] == text
    write_cohort(table, tmp_path / "again.csv")
    assert read_table(tmp_path / "again.csv")["study"][1] == text


def test_an_index_that_was_written_along_is_kept_as_another_column(tmp_path):
    table = read_it(tmp_path, pd.DataFrame(ROWS, columns=HEADER).to_csv().encode())
    assert table["Unnamed: 0"].tolist() == [0, 1, 2, 3]


def parquet(table):
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()


def typed(**columns):
    return pd.DataFrame({"study": ["s1", "s2"], "patient": ["p1", "p2"], "image": ["a", "b"]}).assign(**columns)


PARQUETS = {
    "nothing": (b"", "cannot be parsed"),
    "csv": (PLAIN_BYTES, "cannot be parsed"),
    "marks alone": (b"PAR1PAR1", "cannot be parsed"),
    "cut": (parquet(typed())[:-20], "cannot be parsed"),
    "no rows": (parquet(typed().iloc[:0]), "no rows"),
    "lists": (parquet(typed(label=[["a"], ["b"]])), "expected text or a number"),
    "records": (parquet(typed(label=[{"a": 1}, {"a": 2}])), "expected text or a number"),
    "bytes": (parquet(typed(study=[b"a", b"b"])), "expected text or a number"),
    "NUL in a path": (parquet(typed(image=["a\0b", "c"])), "remove the NUL"),
    "infinite age": (parquet(typed(age_years=[1.0, np.inf])), "column 'age_years' has 'inf'"),
    "dates as ages": (parquet(typed(age_years=pd.to_datetime(["2020-01-01", "2020-01-02"]))), "column 'age_years'"),
    "truth as folds": (parquet(typed(fold=[True, False])), "column 'fold' has 'True'"),
    "huge folds": (parquet(typed(fold=np.array([1, 2**64 - 1], dtype=np.uint64))), "column 'fold'"),
    "another table": (parquet(pd.DataFrame({"a": [1]})), "column 'study' is missing"),
}


@pytest.mark.parametrize("name", PARQUETS)
def test_a_malformed_parquet_file_gives_an_error_that_says_what(tmp_path, name):
    data, said = PARQUETS[name]
    message = read_it(tmp_path, data, "cohort.parquet")
    assert isinstance(message, str), f"read as {message}"
    assert re.search(said, message), message


def damaged(data, rng):
    """The bytes with one or two things done to them."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 3)):
        at = int(rng.integers(0, len(data))) if data else 0
        length = int(rng.integers(1, 40))
        kind = rng.integers(0, 6)
        if kind == 0:
            data[at : at + 1] = bytes([data[at] ^ (1 << int(rng.integers(0, 8)))]) if data else b""
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = rng.bytes(length)
        elif kind == 3:
            data[at:at] = data[max(0, at - length) : at] * int(rng.integers(1, 4))
        elif kind == 4:
            data[at:at] = rng.choice([b",", b'"', b"\n", b"\r", b"\0", b"\xff", b"=", b"|", b"\xef\xbb\xbf"])
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("part", range(8))
def test_damaged_tables_are_read_right_or_refused_by_name(tmp_path, part):
    rng = np.random.default_rng(part)
    ways = list(RIGHT.values())
    results = [read_it(tmp_path, damaged(ways[int(rng.integers(len(ways)))], rng)) for _ in range(50)]
    refused = sum(isinstance(result, str) for result in results)
    assert 0 < refused < 50


@pytest.mark.parametrize("part", range(4))
def test_damaged_parquet_files_are_read_right_or_refused_by_name(tmp_path, part):
    rng = np.random.default_rng(part)
    data = parquet(pd.DataFrame(ROWS, columns=HEADER))
    results = [read_it(tmp_path, damaged(data, rng), "cohort.parquet") for _ in range(25)]
    assert any(isinstance(result, str) for result in results)


def paths(folder):
    (folder / "cohort.csv").write_bytes(PLAIN_BYTES)
    (folder / "folder.csv").mkdir()
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "one.csv").symlink_to("other.csv")
    (folder / "other.csv").symlink_to("one.csv")
    (folder / "gone.csv").symlink_to("nothing.csv")
    os.mkfifo(folder / "pipe.csv")
    for name in ("cohort.txt", "cohort", "cohort.csv.gz", "cohort.xlsx", ".csv"):
        (folder / name).write_bytes(PLAIN_BYTES)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder.csv", "is a folder"),
        ("loop.csv", "cannot be opened"),
        ("one.csv", "cannot be opened"),
        ("gone.csv", "no such cohort table"),
        ("absent.csv", "no such cohort table"),
        ("absent/cohort.csv", "no such cohort table"),
        ("cohort.csv/cohort.csv", "cannot be opened"),
        ("pipe.csv", "not a regular file"),
        ("a\0b.csv", "cannot be opened"),
        ("x" * 5000 + ".csv", "cannot be opened"),
        ("cohort.txt", "suffix '.txt'"),
        ("cohort", "suffix ''"),
        ("cohort.csv.gz", "suffix '.gz'"),
        ("cohort.xlsx", "suffix '.xlsx'"),
        (".csv", "suffix ''"),
    ],
)
def test_paths_that_lead_to_no_table_are_refused(tmp_path, name, said):
    paths(tmp_path)
    with pytest.raises(CohortError, match=said):
        read_cohort(tmp_path / name, check_files=False)


def test_a_link_to_a_table_is_followed_and_a_suffix_may_be_in_capitals(tmp_path):
    (tmp_path / "COHORT.CSV").write_bytes(PLAIN_BYTES)
    (tmp_path / "link.csv").symlink_to("COHORT.CSV")
    assert len(read_cohort(tmp_path / "link.csv", check_files=False)) == 4


def test_tables_that_are_too_large_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "cohort.csv"
    with path.open("wb") as file:
        file.truncate(tabular.MAXIMUM_BYTES + 1)
    with pytest.raises(CohortError, match="has 1073741825 bytes"):
        read_cohort(path)
    monkeypatch.setattr(tabular, "MAXIMUM_ROWS", 1)
    (tmp_path / "cohort.parquet").write_bytes(parquet(typed()))
    with pytest.raises(CohortError, match="has 2 rows"):
        read_cohort(tmp_path / "cohort.parquet")


@pytest.mark.parametrize("name", ["folder.csv", "cohort.csv/cohort.csv", "x" * 300 + ".csv"])
def test_a_table_that_cannot_be_written_says_so(tmp_path, name):
    paths(tmp_path)
    with pytest.raises(CohortError, match=r"cannot be written"):
        write_cohort(typed(), tmp_path / name)


def test_text_that_no_file_can_hold_is_refused(tmp_path):
    for name in ("cohort.csv", "cohort.parquet"):
        with pytest.raises(CohortError, match="cannot be written"):
            write_cohort(typed(note=pd.Series(["\ud800", "b"], dtype=object)), tmp_path / name)
    with pytest.raises(CohortError, match="cannot be written"):
        write_cohort(typed(note=[1, "b"]), tmp_path / "cohort.parquet")
    assert os.listdir(tmp_path) == []
