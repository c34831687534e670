"""COVIDx: lists of three and of two classes beside the folders of films."""

from __future__ import annotations

import pytest

from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError, LabelError


def write(root, lists, films):
    for name, lines in lists.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines) + "\n")
    for film in films:
        (root / film).parent.mkdir(parents=True, exist_ok=True)
        (root / film).touch()


def test_every_column_comes_from_the_lists(tmp_path):
    lists = {
        "train_COVIDx9A.txt": [
            "3 SARS-10.1148rg.242035193-g04mr34g0-Fig8a-day0.jpeg pneumonia cohen",
            "396 000004.jpg pneumonia cohen",
            "409 000004.png COVID-19 cohen",
            "COVID_1 COVID(1).png COVID-19 sirm",
            "47c78742-4998 47c78742-4998.png normal rsna",
            "A223205 A223205-01-12-1901-NA-CHEST_AP_PORTABLE-1.jpg COVID-19 stonybrook",
        ],
        "test_COVIDx9A.txt": [
            "MIDRC-RICORD-1C-419639-000082 MIDRC-RICORD-1C-419639-000082-46647-0.png COVID-19 ricord"
        ],
    }
    films = [f"data/{name.split('_')[0]}/{line.split()[1]}" for name, lines in lists.items() for line in lines]
    write(tmp_path, lists, films)
    table, skipped = build_source("covidx", tmp_path)
    assert table["image"].tolist() == [str(tmp_path / film) for film in films]
    assert table["study"].tolist()[1:3] == ["covidx-train-000004.jpg", "covidx-train-000004.png"]
    assert table["label"].tolist() == ["pneumonia", "pneumonia", "covid19", "covid19", "normal", "covid19", "covid19"]
    assert table["origin"].tolist() == ["cohen", "cohen", "cohen", "sirm", "rsna", "stonybrook", "ricord"]
    assert table["published_split"].tolist() == ["train"] * 6 + ["test"]
    assert table["split"].isna().all()
    assert table["patient"].tolist()[:3] == ["covidx-3", "covidx-396", "covidx-409"]
    assert table["patient"].tolist()[-2:] == ["covidx-A223205", "covidx-MIDRC-RICORD-1C-419639-000082"]
    assert table["patient_id_known"].tolist() == ["yes", "yes", "yes", "no", "no", "yes", "yes"]
    assert skipped.empty


def test_lists_without_source_and_of_two_classes_are_read(tmp_path):
    lists = {
        "train_split.txt": ["COVID 70 COVID(70).JPG positive", "p9 c.png negative"],
        "VAL.txt": ["9 d.png negative"],
        "test.txt": ["p9 c.png negative"],
        "notes.txt": ["nothing"],
        "training.txt": ["nothing"],
    }
    write(tmp_path, lists, ["Train/COVID(70).jpg", "train/c.png", "val/d.png", "test/c.png"])
    table = build_source("covidx", tmp_path).cohort.set_index("study")
    assert table["label"].to_dict() == {
        "covidx-train-COVID(70).JPG": "covid19",
        "covidx-train-c.png": "other",
        "covidx-val-d.png": "other",
        "covidx-test-c.png": "other",
    }
    assert table.loc["covidx-test-c.png", "image"] == str(tmp_path / "test/c.png")
    assert table.loc["covidx-val-d.png", "published_split"] == "validation"
    assert table["origin"].isna().all()
    assert table.loc[["covidx-train-COVID(70).JPG", "covidx-train-c.png"], "patient_id_known"].tolist() == ["no", "yes"]


def test_lines_that_cannot_be_used_are_skipped_with_a_reason(tmp_path):
    lines = [
        "1 a.png normal rsna",
        "1 a.png normal rsna",
        "",
        "only-this",
        "1 " + "a." * 5000 + "png normal",
        "2 gone.png normal",
        "../.. ../../secret.png normal",
        "A1 A1-NA-FLAT_PLATE_OF_ABDOMEN_PORTABLE-1.jpg COVID-19 stonybrook",
    ]
    write(tmp_path / "root", {"train.txt": lines}, ["train/a.png", "test/gone.png"])
    write(tmp_path, {}, ["secret.png"])
    table, skipped = build_source("covidx", tmp_path / "root")
    assert table["study"].tolist() == ["covidx-train-a.png"]
    missing = f"no such image in {tmp_path / 'root'}"
    assert skipped.to_numpy().tolist() == [
        ["only-this", "line is not: patient file class [source]"],
        ["1 " + "a." * 39, "line is not: patient file class [source]"],
        ["train-a.png", "listed twice; the first line is kept"],
        ["train-A1-NA-FLAT_PLATE_OF_ABDOMEN_PORTABLE-1.jpg", "film of the abdomen, by its name"],
        ["train-gone.png", missing],
        ["train-../../secret.png", missing],
    ]


def test_two_versions_unknown_classes_and_other_folders_are_refused(tmp_path):
    with pytest.raises(CohortError, match=r"no such file as train\.txt"):
        build_source("covidx", tmp_path)
    write(tmp_path, {"train_COVIDx9A.txt": ["1 a.png bacterial"]}, ["train/a.png"])
    with pytest.raises(LabelError, match="bacterial"):
        build_source("covidx", tmp_path)
    write(tmp_path, {"labels/train_COVIDx9B.txt": ["1 a.png negative"]}, [])
    with pytest.raises(CohortError, match=r"train_COVIDx9B\.txt and train_COVIDx9A\.txt both list the train part"):
        build_source("covidx", tmp_path)


def test_no_film_at_all_is_an_error_that_names_the_folder(tmp_path):
    write(tmp_path, {"train.txt": ["1 a.png normal"]}, [])
    with pytest.raises(CohortError, match="none of the 1 images of covidx is there"):
        build_source("covidx", tmp_path)
