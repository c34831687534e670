"""PadChest in its published layout."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from patchcxr.data.sources import build_source
from patchcxr.data.sources.padchest import DAMAGED, TABLE
from patchcxr.errors import CohortError

HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,ReportID,Report,MethodLabel,Labels\n"
)
LONG_ID = "839860488694292331637988235681460987"


def row(
    name,
    labels,
    projection="PA",
    patient="p1",
    birth="1930.0",
    date="20140915",
    sex="F",
    pediatric="No",
    folder="0",
    method="Physician",
):
    return (
        f"0,{name}.png,{folder},{date},s,{patient},{birth},{sex},POSTEROANTERIOR,{projection},Manual,{pediatric},1,"
        f'sin hallazg,{method},"{labels}"\n'
    )


def write(root, *rows, films=()):
    (root / TABLE).write_text(HEADER + "".join(rows))
    for film in films:
        (root / film).parent.mkdir(parents=True, exist_ok=True)
        (root / film).touch()


def test_every_column_comes_from_the_table(tmp_path):
    write(
        tmp_path,
        row("20536_k6ga29", "['normal']", patient=LONG_ID),
        row(
            "2_-4ja5b",
            "[' pneumonia', 'NSG tube', 'NSG tube', '']",
            "AP_horizontal",
            "p2",
            "2012",
            sex="O",
            folder="54",
        ),
        row("3_x", "['pulmonary fibrosis']", "AP", "p2", "2012.0", "20150101", "", "PED", "54", "RNN_model"),
        films=("0/20536_k6ga29.png", "54/2_-4ja5b.PNG", "54/3_x.png", "54/3_x.txt", "54/._2_-4ja5b.png"),
    )
    table, skipped = build_source("padchest", tmp_path)
    assert table["study"].tolist() == ["padchest-20536_k6ga29", "padchest-2_-4ja5b", "padchest-3_x"]
    assert table["patient"].tolist() == [f"padchest-{LONG_ID}", "padchest-p2", "padchest-p2"]
    assert table["image"].tolist() == [
        str(tmp_path / name) for name in ("0/20536_k6ga29.png", "54/2_-4ja5b.PNG", "54/3_x.png")
    ]
    assert table["label"].tolist() == ["normal", "pneumonia", "other"]
    assert table["view"].tolist() == ["PA", "AP Supine", "AP"]
    assert table["age_years"].tolist() == [84, 2, 3]
    assert table["sex"].tolist() == ["F", "O", pd.NA]
    assert table["finding_labels"].tolist() == ["normal", "pneumonia|NSG tube", "pulmonary fibrosis"]
    assert table["label_source"].tolist() == ["Physician", "Physician", "RNN_model"]
    assert table["age_group"].tolist() == [pd.NA, pd.NA, "paediatric"]
    assert skipped.empty


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ("[' normal', 'unchanged']", "normal"),
        ("['normal', 'scoliosis']", "other"),
        ("['pneumonia', 'tuberculosis']", "tuberculosis"),
        ("['tuberculosis sequelae']", "other"),
        ("['nodule', 'atypical pneumonia']", "pneumonia"),
        ("['multiple nodules', 'COPD signs']", "nodule"),
        ("['pseudonodule']", "other"),
    ],
)
def test_the_weightiest_finding_of_a_film_is_its_label(tmp_path, labels, label):
    write(tmp_path, row("a", labels), films=("a.png",))
    assert build_source("padchest", tmp_path).cohort["label"].tolist() == [label]


def test_films_that_cannot_be_used_are_skipped_with_a_reason(tmp_path):
    damaged = min(DAMAGED)
    unusable = {
        "lateral": (row("lateral", "['normal']", "L"), "lateral view"),
        "ribs": (row("ribs", "['normal']", "COSTAL"), "film of the ribs"),
        "left": (row("left", "['normal']", "EXCLUDE"), "projection excluded by the authors"),
        "unknown": (row("unknown", "['normal']", "UNK"), "projection not known"),
        "other": (row("other", "['normal']", "OBLICUA"), "projection is OBLICUA"),
        "none": (row("none", "['normal']", ""), "projection is (empty)"),
        damaged: (row(damaged, "['normal']"), "file is known to be damaged"),
        "code": (row("code", "__import__('os').getcwd()"), "labels cannot be read"),
        "escape": (row("escape", r"[1, '\d'"), "labels cannot be read"),
        "dict": (row("dict", "{1: 2}"), "labels cannot be read"),
        "broken": (row("broken", "['normal"), "labels cannot be read"),
        "deep": (row("deep", "[" * 5000), "labels cannot be read"),
        "excluded": (row("excluded", "['exclude']"), "the report names no finding"),
        "blank": (row("blank", "['', 'unchanged']"), "the report names no finding"),
        "nolabel": (row("nolabel", ""), "the report names no finding"),
    }
    rows = [text for text, _ in unusable.values()]
    films = [f"{name}.png" for name in (*unusable, "good")]
    write(tmp_path, *rows, row("good", "['normal']"), row("gone", "['normal']"), films=films)
    table, skipped = build_source("padchest", tmp_path)
    assert table["study"].tolist() == ["padchest-good"]
    reasons = {name: reason for name, (_, reason) in unusable.items()} | {"gone": f"no such image in {tmp_path}"}
    assert dict(skipped.to_numpy().tolist()) == reasons


def test_impossible_years_leave_the_age_empty(tmp_path):
    rows = [
        row("a", "['normal']", birth="1800"),
        row("b", "['normal']", birth="2015"),
        row("c", "['normal']", birth=""),
        row("d", "['normal']", date="unknown"),
    ]
    write(tmp_path, *rows, films=[f"{name}.png" for name in "abcd"])
    assert build_source("padchest", tmp_path).cohort["age_years"].isna().all()


def test_the_compressed_table_is_read_and_a_table_with_other_columns_refused(tmp_path):
    write(tmp_path, row("a", "['normal']"), films=("images/a.png",))
    text = (tmp_path / TABLE).read_text()
    (tmp_path / TABLE).unlink()
    (tmp_path / f"{TABLE}.gz").write_bytes(gzip.compress(text.encode()))
    assert build_source("padchest", tmp_path).cohort["study"].tolist() == ["padchest-a"]
    (tmp_path / f"{TABLE}.gz").write_bytes(gzip.compress(text.replace("Projection,", "View,").encode()))
    with pytest.raises(CohortError, match="column 'Projection' is missing"):
        build_source("padchest", tmp_path)
    (tmp_path / f"{TABLE}.gz").write_bytes(gzip.compress(text.encode())[:40])
    with pytest.raises(CohortError, match="cannot be parsed"):
        build_source("padchest", tmp_path)
