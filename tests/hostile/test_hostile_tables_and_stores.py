"""Faults that tables, configurations, names of files and stores of films have shown, each with what showed it."""

from __future__ import annotations

import gzip
import io
import os
import time
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.config import fingerprint, from_dict, load_yaml, save_yaml
from patchcxr.data import tabular
from patchcxr.data.cohort import merge_cohorts, read_cohort, validate_cohort
from patchcxr.data.folder import cohort_from_folder
from patchcxr.data.inputs import read_inputs
from patchcxr.data.labels import label_scheme, read_mapping
from patchcxr.errors import CohortError, ConfigError, ImageError, MaskError
from patchcxr.inference.voting import VoteConfig
from patchcxr.io.arrays import ArrayFolder, safe_name
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.spreadsheet import read_table

LONG = "x" * 5000
NOT_UTF8 = os.fsdecode(b"\xff.png")


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "a,b\n1,2\n")
    return file.getvalue()


def film(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48)).astype(np.uint8)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


# Tables of results


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.zip", zipped("a.csv", "b.csv")),
        ("t.zip", zipped("a.csv")),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n")),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n")[:15]),
        ("t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 10_000)),
        ("t.csv", b"a,b\n1,2\n1,2,3\n"),
        ("t.csv", b"study,v\n\xff,2\n"),
    ],
    ids=["two files", "one file", "gzip", "half a gzip", "large gzip", "wide row", "not UTF-8"],
)
def test_a_table_of_results_that_is_compressed_or_no_csv_is_refused_by_name(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CohortError, match=rf"{name}: not readable as CSV .*not compressed"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.xz", "t.tar", "t.zst", "t.zip"])
def test_a_suffix_does_not_decide_how_a_table_of_results_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"study,v\n007,2\n")
    assert read_table(tmp_path / name).to_dict("list") == {"study": ["007"], "v": [2]}


@pytest.mark.parametrize(
    "data",
    [
        b"," * 10_000 + b"\n",
        b"a,b\n" + b"1," * 10_000 + b"1\n",
        b"a,b\n\n  \n" + b"1," * 10_000 + b"1\n",
        b'"\n",' * 10_000 + b"a\n",
    ],
    ids=["header", "first row", "first row after blank lines", "header with line ends"],
)
def test_a_table_of_results_with_too_many_columns_is_refused_before_it_is_read(tmp_path, data):
    (tmp_path / "t.csv").write_bytes(data)
    start = time.process_time()
    with pytest.raises(CohortError, match=r"t\.csv: has 10001 columns; tables of up to 10000 are read"):
        read_table(tmp_path / "t.csv")
    assert time.process_time() - start < 1


def test_a_table_of_results_that_is_too_large_or_no_regular_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_bytes(b"a\n1\n2\n3\n")
    monkeypatch.setattr("patchcxr.report.spreadsheet.MAXIMUM_ROWS", 2)
    with pytest.raises(CohortError, match="more than 2 rows"):
        read_table(tmp_path / "t.csv")
    monkeypatch.setattr(tabular, "MAXIMUM_BYTES", 7)
    with pytest.raises(CohortError, match="has 8 bytes; tables of up to 7"):
        read_table(tmp_path / "t.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    for path, told in {
        tmp_path / "pipe.csv": "not a regular file",
        tmp_path: "is a folder",
        "a\0b": "cannot be opened",
        LONG: "cannot be opened",
    }.items():
        with pytest.raises(CohortError, match=told):
            read_table(path)


def test_a_damaged_table_ends_a_command_with_a_named_error(tmp_path, capsys):
    (tmp_path / "t.zip").write_bytes(b"PK\x03\x04\xff")
    assert main(["metrics", str(tmp_path / "t.zip"), "--out", str(tmp_path / "out")]) == 2
    assert "not readable as CSV" in capsys.readouterr().err


# Parquet cohorts


def repeated(path, rows, **cells):
    """A Parquet file in which each column holds one text in every row, written once."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    at = pa.array(np.zeros(rows, np.int32))
    columns = {name: pa.DictionaryArray.from_arrays(at, pa.array([cell])) for name, cell in cells.items()}
    parquet.write_table(pa.table(columns), path, store_schema=False, compression="zstd")
    return path


@pytest.mark.parametrize("in_memory", [1 << 30, 0], ids=["by its ratio", "by its size"])
def test_a_small_parquet_file_that_unpacks_to_much_is_refused_before_it_is_there_whole(
    tmp_path, monkeypatch, in_memory
):
    monkeypatch.setattr(tabular, "_UNPACKED_BYTES", 1 << 20)
    monkeypatch.setattr(tabular, "MAXIMUM_BYTES", in_memory or 10 << 20)
    monkeypatch.setattr(tabular, "_UNPACKED_RATIO", 1000 if in_memory else 1_000_000)
    path = repeated(tmp_path / "c.parquet", 50_000, study="i", patient="i", image="x" * 2000)
    assert path.stat().st_size < 30_000
    with pytest.raises(CohortError, match=r"c\.parquet: has \d+ bytes that unpack to more than"):
        read_cohort(path, check_files=False)


def test_a_parquet_column_of_categories_counts_with_every_cell_written_out(tmp_path, monkeypatch):
    table = pd.DataFrame({"study": [f"s{n}" for n in range(2000)]})
    table["patient"] = table["study"].astype("category")
    table["image"] = pd.Series(["x" * 1000] * 2000, dtype="category")
    table.to_parquet(tmp_path / "c.parquet")
    assert len(read_cohort(tmp_path / "c.parquet", check_files=False)) == 2000
    monkeypatch.setattr(tabular, "MAXIMUM_BYTES", 1 << 20)
    with pytest.raises(CohortError, match="unpack to more than 1048576"):
        read_cohort(tmp_path / "c.parquet", check_files=False)


def test_a_large_parquet_cohort_is_read_as_it_was_written(tmp_path):
    ids = [f"s{n}" for n in range(30_000)]
    table = pd.DataFrame({"study": ids, "patient": ids, "image": "/a.png", "age_years": 40.0, "mine": range(30_000)})
    table.to_parquet(tmp_path / "c.parquet")
    read = read_cohort(tmp_path / "c.parquet", check_files=False)
    pd.testing.assert_frame_equal(read[list(table.columns)], table, check_dtype=False)


def test_a_parquet_file_with_too_many_columns_or_damaged_metadata_is_refused_by_name(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({f"c{n}": [1] for n in range(10_001)}), tmp_path / "w.parquet")
    with pytest.raises(CohortError, match=r"w\.parquet: has 10001 columns"):
        read_cohort(tmp_path / "w.parquet")
    one = pa.table({"study": ["a"], "patient": ["a"], "image": ["a"]})
    for damaged in (b"[" * 100_000, b"[]", b"5", b"\xff", b'{"columns": 5}'):
        parquet.write_table(one.replace_schema_metadata({b"pandas": damaged}), tmp_path / "m.parquet")
        try:
            assert len(read_cohort(tmp_path / "m.parquet", check_files=False)) == 1
        except CohortError as error:
            assert "m.parquet: cannot be parsed" in str(error)  # noqa: PT017


def test_a_cohort_with_a_fault_in_every_row_is_refused_at_once_with_five_of_them():
    rows = 100_000
    table = pd.DataFrame({"study": "i", "patient": "i", "image": "i", "sex": "?"}, index=range(7, rows + 7))
    start = time.process_time()
    with pytest.raises(CohortError, match=rf"row 2 \(study 'i'\).*already used in row 1;.*and {2 * rows - 6} more"):
        validate_cohort(table)
    assert time.process_time() - start < 1
    table = pd.DataFrame({"study": [f"s{n}" for n in range(rows)], "patient": "p", "image": "i.png", "source": "a"})
    start = time.process_time()
    with pytest.raises(CohortError, match=rf"image of study 's0' too; .*and {rows - 6} more images that occur twice"):
        merge_cohorts([table])
    assert time.process_time() - start < 3


# YAML


def test_a_configuration_of_many_values_is_refused_while_it_is_parsed(tmp_path):
    (tmp_path / "c.yaml").write_text("x: [" + "1," * 499_000 + "]")
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"c\.yaml: .*more than 20000 values"):
        load_yaml(VoteConfig, tmp_path / "c.yaml")
    assert time.process_time() - start < 5


NUMBERS = ["0x" + "f" * 10_000, "-0x" + "f" * 400, "0b" + "1" * 65, "0" + "7" * 30, "1:" * 500 + "1", "9" * 20]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{number[:4]}, {len(number)} characters")
def test_a_number_of_more_than_64_bits_makes_a_yaml_file_unreadable_by_name(tmp_path, number):
    path = tmp_path / "c.yaml"
    for text in (
        "seed: {}",
        "mode: {}",
        "patches: {}",
        "[{}]",
        "name: a\nclasses: [a]\nmapping: {{x: {}}}",
        "? {}\n: a",
    ):
        path.write_text(text.format(number))
        for read in (lambda: load_yaml(VoteConfig, path), lambda: read_mapping(path), lambda: label_scheme(path)):
            with pytest.raises(
                ConfigError, match=r"c\.yaml: not readable as YAML \(line \d has a whole number of more"
            ):
                read()


@pytest.mark.parametrize(
    ("text", "seed"), [("0xffffffffffffffff", 2**64 - 1), ("1_000", 1000), ("1:30", 90), ("010", 8)]
)
def test_numbers_of_64_bits_are_read_in_every_notation(tmp_path, text, seed):
    (tmp_path / "c.yaml").write_text(f"seed: {text}")
    value = load_yaml(VoteConfig, tmp_path / "c.yaml")
    assert value.seed == seed
    save_yaml(value, tmp_path / "again.yaml")
    assert fingerprint(load_yaml(VoteConfig, tmp_path / "again.yaml")) == fingerprint(value)


def test_a_value_that_cannot_be_written_out_is_refused_by_its_type():
    endless = []
    for _ in range(100_000):
        endless = [endless]
    for value, kind in ((16**5000, "int"), ([16**5000], "list"), (endless, "list")):
        with pytest.raises(ConfigError, match=f"mode: got a {kind} that cannot be written out"):
            from_dict(VoteConfig, {"mode": value})


# Names of files


def test_a_film_whose_name_is_not_utf8_is_refused_by_name(tmp_path):
    with pytest.raises(CohortError, match=r"\\xff\.png: the path is not valid UTF-8; rename"):
        read_inputs([tmp_path / NOT_UTF8])


def test_ids_that_are_no_text_have_files_of_their_own(tmp_path):
    assert len({safe_name(name) for name in (NOT_UTF8, "\udcfe.png", "\ud800.png", "_.png")}) == 4
    with pytest.raises(ImageError, match="no array for study"):
        ArrayFolder(tmp_path).load(NOT_UTF8)
    with pytest.raises(ImageError, match="is not in the store"):
        FilmStore(tmp_path, 16).film("\ud800")


def test_names_that_are_too_long_are_refused_by_name():
    for read in (lambda: read_inputs([LONG]), lambda: cohort_from_folder(LONG)):
        with pytest.raises(CohortError, match=r"'.*xxx' *: .* cannot be opened \(File name too long\)"):
            read()


def test_oddly_named_films_of_a_folder_are_all_studies_of_their_own(tmp_path):
    names = [" .png", "deep/ .png", "a.png", "a .png", " b.png", "\n.png", "NA.png"]
    for name in names:
        film(tmp_path / name)
    table, skipped = cohort_from_folder(tmp_path)
    assert skipped.empty
    assert set(table["image"]) == {str(tmp_path / name) for name in names}
    assert set(table["study"]) == {"%20.png", "%0A.png", "deep/ .png", "a.png", "a .png", "b", "NA"}
    assert list(read_inputs([tmp_path / " .png"]).cohort["study"]) == [".png"]


# The store of films


def store(folder):
    """A store of 16 pixels with one study, and the table that it was prepared from."""
    lung = film(folder / "lung.png")
    row = {"study": ["s"], "image": [str(film(folder / "a.png"))], "lung_mask": [str(lung)]}
    films, table = FilmStore(folder / "store", 16), pd.DataFrame(row)
    assert films.prepare(table, ["lung_mask"]).empty
    return films, table


WHOLE = '"study": "s", "shape": [40, 48], "spacing": null, "masks": ["lung"]'


@pytest.mark.parametrize(
    "noted",
    [
        *("[]", "{}", "5", "null", "", "\xff", "[" * 100_000, "9" * 5000, '{"sources": null}'),
        f'{{{WHOLE}, "sources": null}}',
        f'{{{WHOLE}, "sources": {{}}}}',
        f'{{{WHOLE.replace("[40, 48]", "[40]")}, "sources": {{"image": []}}}}',
        f'{{{WHOLE.replace("[40, 48]", "5")}, "sources": {{"image": []}}}}',
        f'{{{WHOLE.replace("null", "[null, 1]")}, "sources": {{"image": []}}}}',
        f'{{{WHOLE.replace("lung", "../x")}, "sources": {{"image": []}}}}',
        f'{{{WHOLE.replace(chr(34) + "lung" + chr(34), "[]")}, "sources": {{"image": []}}}}',
    ],
    ids=lambda noted: noted[:12],
)
def test_a_study_whose_entry_is_damaged_is_not_in_the_store_and_is_prepared_again(tmp_path, noted):
    films, table = store(tmp_path)
    before = films._path("s", ".json").read_bytes()
    films._path("s", ".json").write_bytes(noted.encode("latin-1"))
    assert films.studies() == []
    assert films.mask_names("s") == frozenset()
    for read in (films.source_shape, films.pixel_spacing_mm):
        with pytest.raises(ImageError, match="is not in the store"):
            read("s")
    assert films.prepare(table, ["lung_mask"]).empty
    assert films._path("s", ".json").read_bytes() == before


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        bytes(128 + 256),
        b"",
        b"PK\x03\x04" * 100,
        npy(np.zeros((16, 16), np.uint8))[:-1],
        npy(np.zeros((16, 16))),
        npy(np.zeros((4, 64), np.uint8)),
        npy(np.zeros(256, np.uint8)),
        npy(np.zeros((16, 16), np.uint8)).replace(b"(16, 16)", b"(10**99)"),
    ],
    ids=["zeros", "nothing", "archive", "cut", "float", "other shape", "flat", "header"],
)
def test_a_damaged_film_or_mask_says_to_delete_it_and_prepare_again(tmp_path, data):
    films, table = store(tmp_path)
    pixels, mask = np.array(films.film("s")), films.mask("s", "lung")
    assert mask.shape == (16, 16)
    assert type(mask) is np.ndarray
    for suffix, error, read in (
        (".npy", ImageError, lambda: films.film("s")),
        (".lung.npy", MaskError, lambda: films.mask("s", "lung")),
    ):
        path = films._path("s", suffix)
        path.write_bytes(data)
        with pytest.raises(error, match=r"delete this file, or the whole folder .* and prepare the cohort again"):
            read()
        path.unlink()
    assert films.prepare(table, ["lung_mask"]).empty
    np.testing.assert_array_equal(films.film("s"), pixels)
    np.testing.assert_array_equal(films.mask("s", "lung"), mask)
