"""ChestX-ray14: the published layout, its copy with one table, and the real films."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from patchcxr.data.boxes import parse_boxes
from patchcxr.data.labels import relabel
from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, LabelError

HEADER_2017 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)
HEADER_2020 = HEADER_2017.replace("y],\n", "y]\n")
ROWS = [
    "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,Effusion|Pneumonia|Nodule,1,1,059Y,M,AP,2894,2729,0.143,0.143",
    "00000002_000.png,No Finding,0,2,412Y,F,PA,2500,2048,0.171,0.171",
    "00000003_000.png,Hernia|Nodule,0,3,006M,F,PA,2500,2048,0.171,0.171",
    "00000004_000.png,No Finding,0,4,74,M,AP,2500,2048,0.171,0.171",
]
BOXES = (
    "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    "00000001_001.png,Pneumonia,225.084745762712,547.019216763771,86.7796610169491,79.1864406779661\n"
    "00000001_001.png,Infiltrate,1,2,3,4\n00009999_000.png,Mass,1,2,3,4\n"
)


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def published(root, table="Data_Entry_2017.csv", header=HEADER_2017, end=",\n"):
    (root / table).write_text(header + "".join(row + end for row in ROWS))
    (root / "BBox_List_2017.csv").write_text(BOXES)
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\r\n00000003_000.png")
    (root / "test_list.txt").write_text("00000002_000.png\n")
    touch(root, *[f"images_001/images/{stem}.png" for stem in ("00000001_000", "00000001_001", "00000002_000")])
    touch(root, "images_012/images/00000004_000.png", "images_001/images/._00000003_000.png", "README_CHESTXRAY.pdf")
    touch(root, "images_001/images/00000003_000.txt", "images_001/images/Thumbs.db")


def test_every_column_comes_from_the_published_tables(tmp_path):
    published(tmp_path)
    table, skipped = build_source("nih", tmp_path)
    assert table["study"].tolist() == [
        f"nih-{stem}" for stem in ("00000001_000", "00000001_001", "00000002_000", "00000004_000")
    ]
    assert table["patient"].tolist() == ["nih-1", "nih-1", "nih-2", "nih-4"]
    assert table["image"][3] == str(tmp_path / "images_012/images/00000004_000.png")
    assert table["label"].tolist() == ["other", "pneumonia", "normal", "normal"]
    assert table["view"].tolist() == ["PA", "AP", "PA", "AP"]
    assert table["sex"].tolist() == ["M", "M", "F", "M"]
    assert table["split"].tolist() == ["train", "train", "test", pd.NA]
    assert table["finding_labels"][1] == "Effusion|Pneumonia|Nodule"
    assert skipped.to_numpy().tolist() == [["00000003_000", f"no such image in {tmp_path}"]]


def test_faulty_ages_are_left_empty_and_months_are_parts_of_a_year(tmp_path):
    published(tmp_path)
    touch(tmp_path, "images_002/images/00000003_000.png")
    table = build_source("nih", tmp_path).cohort
    assert table["age_years"].tolist()[:2] == [58, 59]
    assert pd.isna(table["age_years"][2])
    assert table["age_years"].tolist()[3:] == [0.5, 74]
    assert table["label"][3] == "nodule"


def test_boxes_are_turned_from_x_y_w_h_to_top_left_height_width(tmp_path):
    published(tmp_path)
    boxes = build_source("nih", tmp_path).cohort["boxes"]
    assert boxes.isna().tolist() == [True, False, True, True]
    first, second = parse_boxes(boxes[1])
    assert (first.top, first.left) == (547.019216763771, 225.084745762712)
    assert (first.height, first.width) == (79.1864406779661, 86.7796610169491)
    assert [first.finding, second.finding] == ["Pneumonia", "Infiltrate"]
    assert (second.top, second.left, second.height, second.width) == (2, 1, 4, 3)


def test_the_corrected_table_goes_before_the_older_one(tmp_path):
    published(tmp_path)
    corrected = [row.replace("412Y", "41").replace("058Y", "57") for row in ROWS]
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text(HEADER_2020 + "".join(row + "\n" for row in corrected))
    assert build_source("nih", tmp_path).cohort["age_years"].tolist() == [57, 59, 41, 74]


def test_names_in_another_letter_case_and_films_in_one_folder_are_found(tmp_path):
    (tmp_path / "data_entry_2017.CSV").write_text(HEADER_2017 + ROWS[0] + ",\n")
    touch(tmp_path, "all/00000001_000.PNG")
    assert build_source("nih", tmp_path).cohort["image"].tolist() == [str(tmp_path / "all/00000001_000.PNG")]


def test_no_name_of_the_table_leads_out_of_the_folder(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    touch(tmp_path, "secret.png")
    (root / "Data_Entry_2017.csv").write_text(HEADER_2017 + ROWS[0].replace("00000001_000", "../secret") + ",\n")
    with pytest.raises(CohortError, match="none of the 1 images of nih is there"):
        build_source("nih", root)


def test_an_unknown_finding_and_a_broken_table_of_boxes_are_refused(tmp_path):
    published(tmp_path)
    (tmp_path / "BBox_List_2017.csv").write_text("Image Index,Finding Label,x\n00000001_000.png,Mass,3\n")
    with pytest.raises(CohortError, match=r"expected Image Index,Finding Label,Bbox \[x,y,w,h\]"):
        build_source("nih", tmp_path)
    (tmp_path / "BBox_List_2017.csv").write_text(BOXES.replace("79.1864406779661", "tall"))
    with pytest.raises(CohortError, match="film 00000001_001: box has"):
        build_source("nih", tmp_path)
    (tmp_path / "Data_Entry_2017.csv").write_text(HEADER_2017 + ROWS[0].replace("Cardiomegaly", "Scoliosis") + ",\n")
    with pytest.raises(LabelError, match="Scoliosis"):
        build_source("nih", tmp_path)


def test_the_copy_keeps_patients_and_findings(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "filename,patient_id,label,finding_labels,age,sex,view\n"
        "00000007_000.jpg,7,normal,No Finding,45,M,AP\n00000007_001.jpg,7,pneumonia,Edema|Pneumonia,46,M,PA\n"
    )
    (tmp_path / "boxes.csv").write_text("image,finding,x,y,w,h\n00000007_001.jpg,Pneumonia,10.5,20,30,40\n")
    touch(tmp_path, "images/00000007_000.jpg", "images/00000007_001.jpg")
    table = build_source("nih", tmp_path).cohort
    assert table["patient"].tolist() == ["nih-7", "nih-7"]
    assert table["finding_labels"].tolist() == ["No Finding", "Edema|Pneumonia"]
    assert table["boxes"].tolist() == [pd.NA, "20,10.5,40,30:Pneumonia"]
    assert relabel(table, "four_class")["label"].tolist() == ["normal"]


@pytest.mark.real
def test_the_real_boxes_lie_on_their_films(real_data):
    table = build_source("nih", real_data / "nih").cohort
    boxes = [parse_boxes(field) for field in table["boxes"].dropna()]
    assert (len(boxes), sum(map(len, boxes))) == (34, 38)
    for box in itertools.chain(*boxes):
        assert min(box.top, box.left) >= 0
        assert max(box.top + box.height, box.left + box.width) <= 1024
    assert table["split"].isna().all()
    assert table["label"].value_counts().to_dict() == {"normal": 300, "pneumonia": 300}
