"""Files, folders and tables that a command is given become one cohort."""

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.folder import cohort_from_folder
from patchcxr.data.inputs import read_inputs
from patchcxr.errors import CohortError


def film(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(path.suffix, np.arange(4096, dtype=np.uint8).reshape(64, 64))[1]
    path.write_bytes(data.tobytes())
    return str(path)


def test_files_are_named_as_short_as_their_names_allow(tmp_path):
    one, two = film(tmp_path / "a" / "film 1.png"), film(tmp_path / "b" / "film 1.png")
    png, jpg = film(tmp_path / "b" / "x.png"), film(tmp_path / "b" / "x.jpg")
    table, skipped = read_inputs([one, two, png, jpg, film(tmp_path / "Röntgen 胸.png"), one])
    assert list(table["study"]) == ["a/film 1", "b/film 1", "b/x.png", "b/x.jpg", "Röntgen 胸"]
    assert list(table["patient"]) == list(table["study"])
    assert list(table["image"][:2]) == [one, two]
    assert skipped.empty


def test_a_file_that_is_not_there_stays_a_row(tmp_path):
    table, _ = read_inputs([tmp_path / "none.png"])
    assert list(table["study"]) == ["none"]


def test_a_folder_is_read_without_the_results_below_it(tmp_path):
    film(tmp_path / "one.png")
    film(tmp_path / "deep" / "two.png")
    film(tmp_path / "out" / "overlays" / "one.png")
    table, _ = read_inputs([tmp_path], exclude=tmp_path / "out")
    assert sorted(table["study"]) == ["one", "two"]
    assert len(read_inputs([tmp_path]).cohort) == 3


def test_a_folder_with_two_kinds_of_one_film_names_them_with_their_suffix(tmp_path):
    film(tmp_path / "x.png")
    film(tmp_path / "x.jpg")
    assert sorted(cohort_from_folder(tmp_path).cohort["study"]) == ["x.jpg", "x.png"]


def test_table_folder_and_file_are_joined_and_a_film_given_twice_counts_once(tmp_path):
    one, two = film(tmp_path / "films" / "one.png"), film(tmp_path / "two.png")
    pd.DataFrame({"study": ["t1"], "patient": ["p"], "image": [two], "source": "own"}).to_csv(
        tmp_path / "c.csv", index=False
    )
    table, _ = read_inputs([tmp_path / "c.csv", tmp_path / "films", one, two])
    assert list(table["study"]) == ["t1", "one"]


def test_ids_that_clash_get_their_source_in_front(tmp_path):
    film(tmp_path / "films" / "x.png")
    other = film(tmp_path / "x.png")
    table, _ = read_inputs([tmp_path / "films", other])
    assert sorted(table["study"]) == ["files-x", "films-x"]


@pytest.mark.parametrize("name", ["cohort.csv", "cohort.parquet"])
def test_a_folder_with_a_cohort_stands_for_its_films_so_that_masks_are_none(tmp_path, name, caplog):
    film(tmp_path / "films" / "one.png")
    film(tmp_path / "masks" / "one.png")
    cohort = pd.DataFrame({"study": ["s1"], "patient": ["p"], "image": ["films/one.png"], "lung_mask": "masks/one.png"})
    cohort.to_csv(tmp_path / name, index=False) if name.endswith("csv") else cohort.to_parquet(tmp_path / name)
    table, _ = read_inputs([tmp_path])
    assert list(table["study"]) == ["s1"]
    assert f"the films are those of its {name}" in caplog.text


@pytest.mark.parametrize("content", [b"name,group\nx,1\n", b"", b"\xff\x00\xfe"])
def test_another_table_of_that_name_does_not_make_a_folder_a_cohort(tmp_path, content):
    film(tmp_path / "one.png")
    (tmp_path / "cohort.csv").write_bytes(content)
    assert list(read_inputs([tmp_path]).cohort["study"]) == ["one"]


def test_nothing_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(CohortError, match="no film is given"):
        read_inputs([])
    with pytest.raises(CohortError, match="no image in this folder"):
        read_inputs([tmp_path])
