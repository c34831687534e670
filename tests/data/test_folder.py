"""A cohort from a folder of images, with or without a table."""

from __future__ import annotations

import os

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

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
    table, skipped = cohort_from_folder(images)
    assert table["study"].tolist() == ["0007", "IM1", "b", "c"]
    assert table["patient"].tolist() == table["study"].tolist()
    assert table["image"].tolist() == [str(images / name) for name in ("0007.png", "IM1", "b.jpg", "sub/c.dcm")]
    assert table["label"].isna().all()
    assert set(table["source"]) == {"ward"}
    assert list(skipped.columns) == ["name", "reason"]
    assert skipped.empty


def test_names_that_occur_twice_carry_their_subfolder_and_then_their_suffix(images):
    (images / "sub" / "b.jpg").touch()
    assert sorted(cohort_from_folder(images).cohort["study"]) == ["0007", "IM1", "b", "c", "sub/b"]
    (images / "b.png").touch()
    names = sorted(cohort_from_folder(images).cohort["study"])
    assert names == ["0007", "IM1", "b.jpg", "b.png", "c", "sub/b"]


def test_columns_of_a_table_are_mapped_and_others_kept(images, tmp_path):
    csv = write(tmp_path / "t.csv", "filename,pid,finding,years,label", "0007.png,001,normal,40,x", "b,001,viral,41,y")
    columns = {"image": "filename", "patient": "pid", "label": "finding", "age_years": "years"}
    table = cohort_from_folder(images, csv, columns, source="clinic").cohort
    assert table["study"].tolist() == ["0007", "b"]
    assert table["patient"].tolist() == ["001", "001"]
    assert table["image"].tolist() == [str(images / "0007.png"), str(images / "b.jpg")]
    assert table["label"].tolist() == ["normal", "viral"]
    assert table["age_years"].tolist() == [40, 41]
    assert set(table["source"]) == {"clinic"}


def test_one_column_can_serve_twice_and_unmapped_columns_stay(images, tmp_path):
    csv = write(tmp_path / "t.csv", "id,image,bed", "0007,0007.png,3", "b,b.jpg,4")
    table = cohort_from_folder(images, csv, {"study": "id", "patient": "id"}).cohort
    assert table["patient"].tolist() == ["0007", "b"]
    assert table["bed"].tolist() == [3, 4]


def test_a_suffix_in_the_table_may_differ_from_the_file(images, tmp_path):
    csv = write(tmp_path / "t.csv", "image", "b.png", "c")
    table = cohort_from_folder(images, csv).cohort
    assert table["image"].tolist() == [str(images / "b.jpg"), str(images / "sub" / "c.dcm")]


def test_a_mapping_to_an_unknown_column_names_those_there_are(images, tmp_path):
    csv = write(tmp_path / "t.csv", "filename,finding", "b.jpg,normal")
    with pytest.raises(CohortError, match=r"'file', mapped to 'image', is not in the table.*filename, finding"):
        cohort_from_folder(images, csv, {"image": "file"})
    with pytest.raises(CohortError, match=r"no column 'image'; map it \(--column image=filename, or columns="):
        cohort_from_folder(images, csv)
    with pytest.raises(
        CohortError, match=r"'image' are mapped, but of no table; give the table as well \(--csv TABLE, or csv_path\)"
    ):
        cohort_from_folder(images, columns={"image": "filename"})


def test_rows_without_an_image_and_images_without_a_row_are_skipped_with_their_reasons(images, tmp_path):
    (images / "sub" / "b.png").touch()
    csv = write(tmp_path / "t.csv", "image,label", "gone.png,x", "0007,normal", ",y", "b,z", "sub/c.dcm,viral")
    table, skipped = cohort_from_folder(images, csv)
    assert table[["study", "image", "label"]].values.tolist() == [
        ["0007", str(images / "0007.png"), "normal"],
        ["c", str(images / "sub" / "c.dcm"), "viral"],
    ]
    assert skipped.to_numpy().tolist() == [
        ["gone.png", f"no such image in {images}"],
        ["row 3", "the row names no image"],
        ["b", f"2 images of this name in {images}; give subfolder and suffix"],
        ["IM1", f"no row in {csv}"],
        ["b.jpg", f"no row in {csv}"],
        ["sub/b.png", f"no row in {csv}"],
    ]


def test_an_image_that_a_row_names_by_a_link_has_a_row(images, tmp_path):
    (tmp_path / "door").symlink_to(images, target_is_directory=True)
    rows = [f"{tmp_path}/door/{name}" for name in ("0007.png", "IM1", "b.jpg", "sub/c.dcm")]
    assert cohort_from_folder(images, write(tmp_path / "t.csv", "image", *rows)).skipped.empty


def test_a_table_of_which_no_row_has_an_image_is_refused(images, tmp_path):
    csv = write(tmp_path / "t.csv", "image,file", "1,0007.png", "2,b.jpg")
    with pytest.raises(CohortError, match=r"none of the 2 rows has an image, such as '1': no such.*--column image="):
        cohort_from_folder(images, csv)
    assert len(cohort_from_folder(images, csv, {"image": "file"}).cohort) == 2
    with pytest.raises(CohortError, match="no rows"):
        cohort_from_folder(images, write(tmp_path / "none.csv", "image,label"))


def test_a_fault_beside_rows_without_an_image_says_that_they_do_not_count(images, tmp_path):
    csv = write(tmp_path / "t.csv", "image,sex", "gone,M", "b.jpg,female")
    with pytest.raises(CohortError, match=r"t.csv, without the rows that have no image: row 1 \(study 'b'\)"):
        cohort_from_folder(images, csv)


def test_a_mapping_of_a_name_that_no_cohort_has_is_refused(images, tmp_path):
    csv = write(tmp_path / "t.csv", "image,finding", "b.jpg,normal")
    with pytest.raises(CohortError, match=r"'lable', mapped to 'finding', is none of a cohort's.*patient.*label, view"):
        cohort_from_folder(images, csv, {"lable": "finding"})


def test_an_image_whose_name_is_no_utf_8_is_skipped_and_named(tmp_path):
    folder = tmp_path / "ward"
    folder.mkdir()
    odd = folder / os.fsdecode(b"b\xff\xc3\xa9.jpg")
    try:
        odd.touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(CohortError, match=r"none of the 1 images can be used, such as .*rename the file"):
        cohort_from_folder(folder)
    (folder / "a.jpg").touch()
    for csv in (None, write(tmp_path / "t.csv", "image", "a.jpg")):
        table, skipped = cohort_from_folder(folder, csv)
        assert table["study"].tolist() == ["a"]
        assert skipped.to_numpy().tolist() == [["b\\xffé.jpg", "name is not valid UTF-8; rename the file"]]


def test_folders_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(CohortError, match="no such folder"):
        cohort_from_folder(tmp_path / "absent")
    with pytest.raises(CohortError, match="no image"):
        cohort_from_folder(tmp_path)


def write_film(path, **tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", generate_uid()
    dataset.PatientName = "SECRET^NAME"
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def dicom_ward(tmp_path):
    folder = tmp_path / "ward"
    first = {"PatientID": "SECRET-9", "PatientSex": "F", "ViewPosition": "PA", "PatientAge": "061Y"}
    write_film(folder / "a.dcm", **first, StudyDate="20200110", PixelSpacing=[0.2, 0.1])
    write_film(folder / "b" / "1.2.840.77", PatientID="SECRET-2", PatientAge="018M", StudyDate="20200101")
    write_film(folder / "c.dcm", **{**first, "ViewPosition": "LL"}, StudyDate="20191231")
    write_film(folder / "d.dcm", PatientID="", PatientSex="X")
    (folder / "e.dcm").write_bytes(b"damaged")
    (folder / "f.png").touch()
    return folder


def test_headers_fill_the_table_and_pseudonyms_join_the_films_of_a_patient(dicom_ward):
    table = cohort_from_folder(dicom_ward).cohort
    assert table["study"].tolist() == ["a", "1.2.840.77", "c", "d", "e", "f"]
    assert table["patient"].tolist() == ["ward-p0001", "ward-p0002", "ward-p0001", "d", "e", "f"]
    assert table["patient_id_known"].tolist() == ["yes", "yes", "yes", "no", "no", "no"]
    assert table["view"].fillna("-").tolist() == ["PA", "-", "L", "-", "-", "-"]
    assert table["sex"].fillna("-").tolist() == ["F", "-", "F", "-", "-", "-"]
    assert table["age_years"].fillna(-1).tolist() == [61, 1.5, 61, -1, -1, -1]
    assert table["days_since_first_film"].fillna(-1).tolist() == [10, 0, 0, -1, -1, -1]
    assert table[["row_spacing_mm", "column_spacing_mm"]].iloc[0].tolist() == [0.2, 0.1]
    assert table["row_spacing_mm"].notna().sum() == 1
    assert "SECRET" not in table.to_csv()
    assert "2020" not in table.drop(columns="image").to_csv()


def test_identifiers_are_copied_only_when_asked_for_and_facts_can_be_left(dicom_ward):
    named = cohort_from_folder(dicom_ward, identifiers=True).cohort
    assert named["patient"].tolist() == ["SECRET-9", "SECRET-2", "SECRET-9", "d", "e", "f"]
    plain = cohort_from_folder(dicom_ward, facts=False).cohort
    assert plain["patient"].tolist() == plain["study"].tolist()
    assert plain["view"].isna().all()
    assert "patient_id_known" not in plain


def test_a_table_beside_the_films_wins_over_their_headers(dicom_ward, tmp_path):
    csv = write(tmp_path / "t.csv", "image,sex,view", "c.dcm,M,", "a.dcm,,AP", "1.2.840.77,,")
    table = cohort_from_folder(dicom_ward, csv).cohort
    assert table["study"].tolist() == ["c", "a", "1.2.840.77"]
    assert table["sex"].fillna("-").tolist() == ["M", "F", "-"]
    assert table["view"].fillna("-").tolist() == ["L", "AP", "-"]
    assert table["patient"].tolist() == ["ward-p0001", "ward-p0001", "ward-p0002"]
    csv = write(tmp_path / "named.csv", "image,patient", "c.dcm,one", "a.dcm,two")
    table = cohort_from_folder(dicom_ward, csv).cohort
    assert table["patient"].tolist() == ["one", "two"]
    assert table["patient_id_known"].tolist() == ["yes", "yes"]


def test_a_loop_of_links_ends(images):
    (images / "sub" / "up").symlink_to(images, target_is_directory=True)
    assert sorted(cohort_from_folder(images).cohort["study"]) == ["0007", "IM1", "b", "c"]


@pytest.mark.real
def test_real_dicom_films_become_rows_with_their_facts(real_data):
    table = cohort_from_folder(real_data / "dicom").cohort
    assert len(table) == 5
    assert set(table["view"].dropna()) == {"PA", "AP"}
    assert table["age_years"].dropna().tolist() == [62, 62, 68]
