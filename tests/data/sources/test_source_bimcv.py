"""BIMCV-COVID19+: a fake tree in the published layout."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from patchcxr.data.sources import build_source
from patchcxr.errors import CohortError

HOME = "covid19_posi"
NAME = "{}_{}_run-1_bp-chest_vp-{}_dx"


def put(root, patient, session, view="pa", header=None, suffix=".png", folder="mod-rx", name=NAME):
    path = root / HOME / patient / session / folder / (name.format(patient, session, view) + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if header is not None:
        path.with_suffix(".json").write_text(json.dumps({tag: {"vr": "CS", "Value": [v]} for tag, v in header.items()}))
    return path


def sessions(root, patient, **dates):
    rows = "".join(f"ses-{name}\t{date}\t['Rx de torax']\n" for name, date in dates.items())
    path = root / HOME / patient / f"{patient}_sessions.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("session_id\tstudy_date\tmedical_evaluation\n" + rows)


def derivatives(root, labels=(), tests=(), name="labels_covid19_posi.tsv"):
    folder = root / HOME / "derivatives"
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "EHR").mkdir(exist_ok=True)
    rows = [f"{i}\tsub-S1\t{session}\ttexto\t{found}\n" for i, (session, found) in enumerate(labels)]
    (folder / "labels" / name).write_text("\tPatientID\tReportID\tReport\tLabels\n" + "".join(rows))
    if tests:
        rows = [f"{patient}\t{date}\tPCR\t{result}\n" for patient, date, result in tests]
        (folder / "EHR" / "sil_reg_covid_posi.tsv").write_text("participant\tdate\ttest\tresult\n" + "".join(rows))


def participants(root, *rows):
    text = "participant\tmodality_dicom\tbody_parts\tage\tgender\n" + "".join(f"{row}\n" for row in rows)
    (root / HOME).mkdir(exist_ok=True)
    (root / HOME / "participants.tsv").write_text(text)


@pytest.fixture
def bimcv(tmp_path):
    put(tmp_path, "sub-S1", "ses-E1", "pa", {"00101010": "078Y", "00100040": "F", "00280004": "MONOCHROME1"})
    put(tmp_path, "sub-S1", "ses-E2", "ap")
    put(tmp_path, "sub-S2", "ses-E3", "ap", {"00101010": "006M", "00280004": "MONOCHROME2"})
    sessions(tmp_path, "sub-S1", E1="20200320", E2="20200501.0")
    sessions(tmp_path, "sub-S2", E3="20200401")
    participants(tmp_path, "sub-S1\t['DX']\t[['CHEST']]\t[77, 78]\tM", "sub-S2\t['DX']\t[]\tNone\tNone")
    labels = [("ses-E1", "['normal']"), ("ses-E2", "['pneumonia', ' infiltrates']"), ("ses-E3", "['COVID 19']")]
    tests = [("sub-S1", "25.03.2020", "POSITIVO"), ("sub-S1", "27.03.2020", "POSITIVO")]
    derivatives(tmp_path, labels, [*tests, ("sub-S1", "01.05.2020", "NEGATIVO"), ("sub-S9", "1.1.2020", "POSITIVO")])
    return tmp_path


def test_bimcv_takes_labels_from_tests_then_from_reports(bimcv):
    cohort, skipped = build_source("bimcv", bimcv)
    assert cohort["study"].tolist() == ["bimcv-" + NAME.format(*row) for row in
        (("sub-S1", "ses-E1", "pa"), ("sub-S1", "ses-E2", "ap"), ("sub-S2", "ses-E3", "ap"))]  # fmt: skip
    assert cohort["patient"].tolist() == ["bimcv-sub-S1", "bimcv-sub-S1", "bimcv-sub-S2"]
    assert cohort["patient_id_known"].eq("yes").all()
    assert cohort["label"].tolist() == ["covid19", "pneumonia", "covid19"]
    assert cohort["label_source"].tolist() == ["test", "report", "report"]
    assert cohort["days_since_first_positive"].tolist()[:2] == [-5, 37]
    assert cohort["report_labels"].tolist() == ["normal", "pneumonia|infiltrates", "COVID 19"]
    assert cohort["view"].tolist() == ["PA", "AP", "AP"]
    assert cohort["modality"].eq("DX").all()
    assert cohort["days"].isna().all()
    assert skipped.empty


def test_bimcv_takes_age_and_sex_from_the_header_then_from_the_participants(bimcv):
    cohort, _ = build_source("bimcv", bimcv)
    assert cohort["age_years"].tolist() == [78, 77, 0.5]
    assert cohort["sex"].tolist() == ["F", "M", pd.NA]
    assert cohort["photometric"].tolist() == ["MONOCHROME1", pd.NA, "MONOCHROME2"]


@pytest.mark.parametrize(
    ("found", "label"),
    [
        ("['COVID 19', 'pneumonia']", "covid19"),
        ("['COVID 19 uncertain', 'pneumonia']", "pneumonia"),
        ("['atypical pneumonia']", "pneumonia"),
        ("['normal', 'unchanged']", "normal"),
        ("['normal', 'nodule']", "other"),
        ('["COVID 19"]', "covid19"),
    ],
)
def test_bimcv_reads_the_labels_of_a_report(tmp_path, found, label):
    put(tmp_path, "sub-S1", "ses-E1")
    derivatives(tmp_path, [("ses-E1", found)])
    assert build_source("bimcv", tmp_path).cohort["label"].tolist() == [label]


@pytest.mark.parametrize(("day", "label"), [("15.03.2020", "covid19"), ("14.03.2020", "normal")])
def test_a_positive_test_counts_for_fourteen_days(tmp_path, day, label):
    put(tmp_path, "sub-S1", "ses-E1")
    sessions(tmp_path, "sub-S1", E1="20200329")
    derivatives(tmp_path, [("ses-E1", "['normal']")], [("sub-S1", day, "POSITIVO")])
    assert build_source("bimcv", tmp_path).cohort["label"].tolist() == [label]


def test_bimcv_skips_what_is_no_frontal_chest_film_or_has_no_label(tmp_path):
    put(tmp_path, "sub-S1", "ses-E1")
    put(tmp_path, "sub-S1", "ses-E2", "ll")
    put(tmp_path, "sub-S1", "ses-E1", "", suffix=".nii.gz", folder="mod-ct", name="{}_{}_run-1_bp-chest_ct")
    put(tmp_path, "sub-S1", "ses-E3", name="{}_{}_run-1_bp-hand_vp-{}_cr")
    put(tmp_path, "sub-S1", "ses-E4")
    put(tmp_path, "sub-S1", "ses-E5", name="{}_{}_acq-2_run-1_bp-chest_vp-{}_cr")
    put(tmp_path, "sub-S1", "ses-E6")
    put(tmp_path, "sub-S1", "ses-E7", name="{}_{}_run-1_bp-chest_cr")
    (tmp_path / "montage.png").touch()
    labels = [(f"ses-E{n}", "['normal']") for n in (1, 2, 3, 5, 7)]
    derivatives(tmp_path, [*labels, ("ses-E6", "['COVID 19 uncertain']"), ("ses-E8", "['normal']")])
    cohort, skipped = build_source("bimcv", tmp_path)
    assert cohort["session"].tolist() == ["ses-E1", "ses-E5", "ses-E7"]
    assert cohort["view"].tolist() == ["PA", "PA", pd.NA]
    assert skipped["reason"].value_counts().to_dict() == {
        "no report that decides, and no positive test within 14 days": 2,
        "CT": 1,
        "not a film of the published name in a folder mod-rx": 1,
        "another part of the body than the chest": 1,
        "lateral view": 1,
    }


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"00101010": 5}', '{"00101010": {"Value": []}}', "[" * 100_000])
def test_bimcv_survives_damaged_json(tmp_path, text):
    put(tmp_path, "sub-S1", "ses-E1").with_suffix(".json").write_text(text)
    derivatives(tmp_path, [("ses-E1", "['normal']")])
    cohort, _ = build_source("bimcv", tmp_path)
    assert cohort["age_years"].isna().all()
    assert cohort["photometric"].isna().all()


def test_bimcv_understands_other_letter_case_and_archives_in_parts(tmp_path):
    part = tmp_path / "part1"
    put(part, "sub-S1", "ses-E1", "PA", folder="MOD-RX", suffix=".PNG")
    derivatives(tmp_path / "head", [("ses-E1", "['normal']")], name="Labels_covid_123.tsv")
    cohort, _ = build_source("bimcv", tmp_path)
    assert cohort["view"].tolist() == ["PA"]
    assert cohort["label"].tolist() == ["normal"]


def test_bimcv_without_labels_or_with_those_of_the_negative_set_is_refused(tmp_path):
    put(tmp_path, "sub-S1", "ses-E1")
    with pytest.raises(CohortError, match=r"got none\); unpack covid19_posi_head"):
        build_source("bimcv", tmp_path)
    derivatives(tmp_path, [("ses-E1", "['normal']")], name="Labels_covid_NEG_JAN21.tsv")
    with pytest.raises(CohortError, match="negative"):
        build_source("bimcv", tmp_path)


def test_bimcv_without_any_film_is_refused(tmp_path):
    derivatives(tmp_path, [("ses-E1", "['normal']")])
    with pytest.raises(CohortError, match="none of the 0 images of bimcv is there"):
        build_source("bimcv", tmp_path)
