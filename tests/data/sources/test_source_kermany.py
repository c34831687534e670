"""Kermany's films of children in three layouts, CoronaHack, and the real films."""

from __future__ import annotations

import pandas as pd
import pytest

from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, LabelError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


FILMS = {
    "train/PNEUMONIA/person1_bacteria_1.jpeg": ("bacterial", "person1", "train"),
    "train/PNEUMONIA/person1_bacteria_2.jpeg": ("bacterial", "person1", "train"),
    "test/PNEUMONIA/person1_virus_6.jpeg": ("viral", "person1", "test"),
    "val/PNEUMONIA/person1946_bacteria_4874.jpeg": ("bacterial", "person1946", "validation"),
    "train/NORMAL/IM-0439-0001.jpeg": ("normal", "IM-0439", "train"),
    "train/NORMAL/IM-0439-0001-0002.jpeg": ("normal", "IM-0439", "train"),
    "test/NORMAL/NORMAL2-IM-0439-0001.jpeg": ("normal", "NORMAL2-IM-0439", "test"),
    "train/PNEUMONIA/BACTERIA-8550709-0001.jpeg": ("bacterial", "8550709", "train"),
    "test/PNEUMONIA/VIRUS-8550709-0009.jpeg": ("viral", "8550709", "test"),
    "train/NORMAL/NORMAL-28501-0001.jpeg": ("normal", "28501", "train"),
}


def by_study(table):
    return table.set_index(table["study"].str.removeprefix("kermany-"))


def test_the_file_name_gives_the_cause_and_the_child(tmp_path):
    touch(tmp_path, *[f"chest_xray/{name}" for name in FILMS])
    table = by_study(build_source("kermany", tmp_path).cohort)
    assert len(table) == len(FILMS)
    for name, (label, patient, part) in FILMS.items():
        row = table.loc[f"{part}-{name.split('/')[2].removesuffix('.jpeg')}"]
        assert row["image"] == str(tmp_path / "chest_xray" / name)
        assert (row["label"], row["patient"], row["published_split"]) == (label, f"kermany-{patient}", part), name
        assert (row["view"], row["age_group"], row["licence"]) == ("AP", "paediatric", "CC BY 4.0")
    assert table[["split", "age_years", "sex"]].isna().all().all()
    assert set(table["patient_id_known"]) == {"yes"}


def test_second_copies_and_stray_files_are_skipped_in_any_letter_case(tmp_path):
    touch(tmp_path, "chest_xray/chest_xray/train/NORMAL/IM-0115-0001.jpeg", "chest_xray/train/NORMAL/IM-0115-0001.jpeg")
    touch(tmp_path, "chest_xray/__MACOSX/train/NORMAL/._IM-0115-0001.jpeg", "chest_xray/train/.DS_Store")
    touch(tmp_path, "chest_xray/TEST/Pneumonia/person3_virus_16.JPG", "chest_xray/figure.png")
    touch(tmp_path, "chest_xray/train/NORMAL/Thumbs.db", "chest_xray/train/NORMAL/odd.jpeg")
    table, skipped = build_source("kermany", tmp_path)
    assert sorted(table["study"]) == [
        "kermany-test-person3_virus_16",
        "kermany-train-IM-0115-0001",
        "kermany-train-odd",
    ]
    odd = table.set_index("study").loc["kermany-train-odd"]
    assert (odd["patient"], odd["patient_id_known"], odd["label"]) == ("kermany-train-odd", "no", "normal")
    assert skipped.to_numpy().tolist() == [
        [str(tmp_path / "chest_xray/figure.png"), "not in a class folder of train, val or test"],
        [
            str(tmp_path / "chest_xray/train/NORMAL/IM-0115-0001.jpeg"),
            "second film of this name; the first is kept",
        ],
    ]


def test_pneumonia_without_a_cause_in_its_name_stays_pneumonia(tmp_path):
    touch(tmp_path, "train/PNEUMONIA/film.jpeg", "train/NORMAL/person2_bacteria_3.jpeg")
    table = by_study(build_source("kermany", tmp_path).cohort)
    assert table["label"].to_dict() == {"train-film": "pneumonia", "train-person2_bacteria_3": "normal"}


def test_unknown_classes_and_other_layouts_are_refused(tmp_path):
    with pytest.raises(CohortError, match="no film in"):
        build_source("kermany", tmp_path)
    touch(tmp_path, "train/COVID/film.jpeg")
    with pytest.raises(LabelError, match=r"\['covid'\] are unknown; expected NORMAL, PNEUMONIA"):
        build_source("kermany", tmp_path)


CORONAHACK = ",X_ray_image_name,Label,Dataset_type,Label_2_Virus_category,Label_1_Virus_category\n"


def test_coronahack_takes_the_finest_label_and_its_own_folders(tmp_path):
    (tmp_path / "Chest_xray_Corona_Metadata.csv").write_text(
        CORONAHACK + "0,IM-0128-0001.jpeg,Normal,TRAIN,,\n1,person1_virus_6.jpeg,Pnemonia,TEST,,Virus\n"
        "2,person1_bacteria_1.jpeg,Pnemonia,TRAIN,,bacteria\n3,SARS-10-g04.jpeg,Pnemonia,TRAIN,SARS,Virus\n"
        "4,1-s2.0-S0140-fx1.jpg,Pnemonia,TRAIN,COVID-19,Virus\n5,acute.jpg,Pnemonia,TRAIN,ARDS,Stress-Smoking\n"
        "6,strep.jpg,Pnemonia,TRAIN,Streptococcus,bacteria\n7,plain.jpg,Pnemonia,TRAIN,,\n8,gone.jpg,Normal,TEST,,\n"
    )
    folder = "Coronahack-Chest-XRay-Dataset/Coronahack-Chest-XRay-Dataset"
    touch(tmp_path, f"{folder}/train/IM-0128-0001.jpeg", f"{folder}/test/person1_virus_6.jpeg")
    touch(tmp_path, f"{folder}/train/person1_virus_6.jpeg", f"{folder}/train/gone.jpg")
    touch(tmp_path, *[f"{folder}/train/{name}" for name in ("person1_bacteria_1.jpeg", "SARS-10-g04.jpeg")])
    touch(tmp_path, *[f"{folder}/train/{name}.jpg" for name in ("1-s2.0-S0140-fx1", "acute", "strep", "plain")])
    table, skipped = build_source("kermany", tmp_path)
    labels = ["normal", "viral", "bacterial", "viral", "covid19", "other", "bacterial", "pneumonia"]
    assert table["label"].tolist() == labels
    assert table["image"][1] == str(tmp_path / folder / "test/person1_virus_6.jpeg")
    assert table["study"][4] == "kermany-train-1-s2.0-S0140-fx1"
    assert table["published_split"].tolist() == ["train", "test", *["train"] * 6]
    assert table["age_group"].tolist() == ["paediatric"] * 3 + [pd.NA] * 5
    assert table["patient"].tolist()[:3] == ["kermany-IM-0128", "kermany-person1", "kermany-person1"]
    assert table["patient_id_known"].tolist() == ["yes"] * 3 + ["no"] * 5
    assert skipped["name"].tolist() == ["test-gone"]


def test_an_unknown_class_of_coronahack_is_named(tmp_path):
    (tmp_path / "Chest_xray_Corona_Metadata.csv").write_text(CORONAHACK + "0,a.jpg,Pnemonia,TRAIN,MERS,Virus\n")
    touch(tmp_path, "train/a.jpg")
    with pytest.raises(LabelError, match="mers"):
        build_source("kermany", tmp_path)


def test_the_copy_knows_no_child_and_no_part(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "filename,label,age_group\nbacterial_0.jpg,bacterial,paediatric\nv.jpg,viral,\n"
    )
    touch(tmp_path, "images/bacterial_0.jpg")
    table, skipped = build_source("kermany", tmp_path)
    assert table[["label", "age_group", "patient", "patient_id_known"]].to_numpy().tolist() == [
        ["bacterial", "paediatric", "kermany-bacterial_0", "no"]
    ]
    assert skipped["name"].tolist() == ["v"]


@pytest.mark.real
def test_the_real_films_are_all_there(real_data):
    table, skipped = build_source("kermany", real_data / "kermany")
    assert table["label"].value_counts().to_dict() == {"bacterial": 100, "normal": 100, "viral": 100}
    assert set(table["age_group"]) == {"paediatric"}
    assert skipped.empty
