"""Cohorts get classes and splits; patients stay together and rare kinds of film are spread."""

import pandas as pd
import pytest

from patchcxr.data.splits import split_by_patient
from patchcxr.errors import ConfigError, LabelError, SplitError
from patchcxr.study.build import expand, strata, with_classes
from patchcxr.study.select import classified, given, infection_targets, split_rows, with_anatomy


def cohort(rows):
    columns = ["study", "patient", "label", "source", "infection_mask"]
    return pd.DataFrame(rows, columns=columns)


def test_labels_outside_the_scheme_and_empty_labels_have_no_class():
    table = with_classes(
        cohort([("a", "1", "covid19", "x", None), ("b", "2", "nodule", "x", None), ("c", "3", pd.NA, "x", None)]),
        "four_class",
    )
    assert table["class_name"].iloc[0] == "viral"
    assert table["class_name"].isna().tolist() == [False, True, True]


def test_an_unknown_label_is_named():
    with pytest.raises(LabelError, match="'flu'"):
        with_classes(cohort([("a", "1", "flu", "x", None)]), "four_class")


def test_marked_films_reach_every_split():
    rows = [(f"s{i}", f"p{i}", "covid19", "x", "mask.png" if i < 20 else None) for i in range(200)]
    rows += [(f"n{i}", f"q{i}", "normal", "x", None) for i in range(200)]
    table = with_classes(cohort(rows), "four_class")
    split = split_by_patient(table.assign(stratum=strata(table)), (0.7, 0.1, 0.2), "stratum", 0)
    marked = split[given(split["infection_mask"])]["split"].value_counts()
    assert marked.to_dict() == {"train": 14, "test": 4, "validation": 2}


def test_every_film_of_a_patient_has_one_stratum_and_it_is_the_rarest():
    rows = [(f"n{i}", f"q{i}", "normal", "x", None) for i in range(30)]
    rows += [(f"c{i}", f"q{i}", "covid19", "x", None) for i in range(8)]
    table = with_classes(cohort(rows), "four_class")
    stratum = strata(table)
    of = stratum.groupby(table["patient"]).unique()
    assert all(len(values) == 1 for values in of)
    assert of["q0"][0] == "x/viral/unmarked"


def test_controls_train_the_infection_network_whatever_masks_they_have():
    table = cohort(
        [
            ("a", "1", "covid19", "x", "m.png"),
            ("b", "2", "covid19", "x", None),
            ("c", "3", "tuberculosis", "x", "m.png"),
            ("d", "4", "normal", "x", None),
            ("e", "5", "nodule", "x", None),
        ]
    )
    found = infection_targets(with_classes(table, "four_class"), ["viral"])
    assert dict(zip(found["study"], found["infected"], strict=True)) == {"a": True, "c": False, "d": False}


def test_anatomy_needs_all_three_masks():
    table = pd.DataFrame(
        {"right_lung_mask": ["r", "r"], "left_lung_mask": ["l", "l"], "heart_mask": ["h", pd.NA], "study": ["a", "b"]}
    )
    assert list(with_anatomy(table)["study"]) == ["a"]


def test_a_split_without_a_class_names_it():
    table = pd.DataFrame({"split": ["train", "train"], "class_name": ["normal", "normal"]})
    with pytest.raises(SplitError, match=r"'train' has no film of class viral"):
        split_rows(table, "train", "local", ("normal", "viral"))
    with pytest.raises(SplitError, match="'test' has no film that this stage can use"):
        split_rows(table, "test", "local")
    assert len(classified(table)) == 2


def test_an_unset_environment_variable_is_named(monkeypatch):
    monkeypatch.delenv("PATCHCXR_DATA", raising=False)
    with pytest.raises(ConfigError, match=r"environment variable that is not set"):
        expand("${PATCHCXR_DATA}/jsrt")
    monkeypatch.setenv("PATCHCXR_DATA", "/films")
    assert str(expand("${PATCHCXR_DATA}/jsrt")) == "/films/jsrt"
