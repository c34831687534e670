"""A cohort from a folder of images, with or without a table."""

from __future__ import annotations

import pytest

from patchcxr.data.folder import cohort_from_folder
from patchcxr.errors import CohortError


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "ward"
    for name in ("0007.png", "b.jpg", "sub/c.dcm", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "IM1").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "README").write_text("no image")
    return folder


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_without_a_table_every_image_is_a_study_and_a_patient(images):
    table = cohort_from_folder(images)
    assert table["study"].tolist() == ["0007", "IM1", "b", "c"]
    assert table["patient"].tolist() == table["study"].tolist()
    assert table["image"].tolist() == [str(images / name) for name in ("0007.png", "IM1", "b.jpg", "sub/c.dcm")]
    assert table["label"].isna().all()
    assert set(table["source"]) == {"ward"}


def test_names_that_occur_twice_carry_their_subfolder(images):
    (images / "sub" / "b.jpg").touch()
    assert sorted(cohort_from_folder(images)["study"]) == ["0007", "IM1", "b", "c", "sub/b"]
    (images / "b.png").touch()
    with pytest.raises(CohortError, match="already used"):
        cohort_from_folder(images)


def test_columns_of_a_table_are_mapped_and_others_kept(images, tmp_path):
    csv = write(tmp_path / "t.csv", "filename,pid,finding,years,label", "0007.png,001,normal,40,x", "b,001,viral,41,y")
    columns = {"image": "filename", "patient": "pid", "label": "finding", "age_years": "years"}
    table = cohort_from_folder(images, csv, columns, source="clinic")
    assert table["study"].tolist() == ["0007", "b"]
    assert table["patient"].tolist() == ["001", "001"]
    assert table["image"].tolist() == [str(images / "0007.png"), str(images / "b.jpg")]
    assert table["label"].tolist() == ["normal", "viral"]
    assert table["age_years"].tolist() == [40, 41]
    assert set(table["source"]) == {"clinic"}


def test_one_column_can_serve_twice_and_unmapped_columns_stay(images, tmp_path):
    csv = write(tmp_path / "t.csv", "id,image,bed", "0007,0007.png,3", "b,b.jpg,4")
    table = cohort_from_folder(images, csv, {"study": "id", "patient": "id"})
    assert table["patient"].tolist() == ["0007", "b"]
    assert table["bed"].tolist() == [3, 4]


def test_a_suffix_in_the_table_may_differ_from_the_file(images, tmp_path):
    csv = write(tmp_path / "t.csv", "image", "b.png", "c")
    table = cohort_from_folder(images, csv)
    assert table["image"].tolist() == [str(images / "b.jpg"), str(images / "sub" / "c.dcm")]


def test_a_mapping_to_an_unknown_column_names_those_there_are(images, tmp_path):
    csv = write(tmp_path / "t.csv", "filename,finding", "b.jpg,normal")
    with pytest.raises(CohortError, match=r"'file', mapped to 'image', is not in the table.*filename, finding"):
        cohort_from_folder(images, csv, {"image": "file"})
    with pytest.raises(CohortError, match="no column 'image'"):
        cohort_from_folder(images, csv)
    with pytest.raises(CohortError, match="no csv_path"):
        cohort_from_folder(images, columns={"image": "filename"})


def test_folders_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(CohortError, match="no such folder"):
        cohort_from_folder(tmp_path / "absent")
    with pytest.raises(CohortError, match="no image"):
        cohort_from_folder(tmp_path)
