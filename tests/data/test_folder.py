"""A cohort from a folder of images, with or without a table."""

from __future__ import annotations

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
    table = cohort_from_folder(dicom_ward)
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
    named = cohort_from_folder(dicom_ward, identifiers=True)
    assert named["patient"].tolist() == ["SECRET-9", "SECRET-2", "SECRET-9", "d", "e", "f"]
    plain = cohort_from_folder(dicom_ward, facts=False)
    assert plain["patient"].tolist() == plain["study"].tolist()
    assert plain["view"].isna().all()
    assert "patient_id_known" not in plain


def test_a_table_beside_the_films_wins_over_their_headers(dicom_ward, tmp_path):
    csv = write(tmp_path / "t.csv", "image,sex,view", "c.dcm,M,", "a.dcm,,AP", "1.2.840.77,,")
    table = cohort_from_folder(dicom_ward, csv)
    assert table["study"].tolist() == ["c", "a", "1.2.840.77"]
    assert table["sex"].fillna("-").tolist() == ["M", "F", "-"]
    assert table["view"].fillna("-").tolist() == ["L", "AP", "-"]
    assert table["patient"].tolist() == ["ward-p0001", "ward-p0001", "ward-p0002"]
    csv = write(tmp_path / "named.csv", "image,patient", "c.dcm,one", "a.dcm,two")
    table = cohort_from_folder(dicom_ward, csv)
    assert table["patient"].tolist() == ["one", "two"]
    assert table["patient_id_known"].tolist() == ["yes", "yes"]


def test_a_loop_of_links_ends(images):
    (images / "sub" / "up").symlink_to(images, target_is_directory=True)
    assert sorted(cohort_from_folder(images)["study"]) == ["0007", "IM1", "b", "c"]


@pytest.mark.real
def test_real_dicom_films_become_rows_with_their_facts(real_data):
    table = cohort_from_folder(real_data / "dicom")
    assert len(table) == 5
    assert set(table["view"].dropna()) == {"PA", "AP"}
    assert table["age_years"].dropna().tolist() == [62, 62, 68]
