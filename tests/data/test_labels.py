"""Label schemes: which label becomes which class."""

from __future__ import annotations

import pandas as pd
import pytest

from patchcxr.config import from_dict, to_dict
from patchcxr.data.labels import CANONICAL_LABELS, SCHEMES, LabelScheme, label_scheme, relabel
from patchcxr.errors import ConfigError, LabelError


def cohort(*labels):
    return pd.DataFrame({"study": [f"s{index}" for index in range(len(labels))], "label": list(labels)})


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("four_class", ["normal", "bacterial", "tuberculosis", "viral", "viral", None, None, None, None]),
        ("five_class", ["normal", "bacterial", "tuberculosis", "viral", "covid19", None, None, None, None]),
        ("covid_net", ["normal", "pneumonia", None, "pneumonia", "covid19", "pneumonia", None, "pneumonia", None]),
        ("binary", ["other", "other", "other", "other", "covid19", "other", "other", "other", "other"]),
    ],
)
def test_every_label_has_its_class_in_every_scheme(scheme, expected):
    assert [SCHEMES[scheme].mapping[label] for label in CANONICAL_LABELS] == expected


def test_classes_are_in_the_order_of_the_paper():
    assert SCHEMES["four_class"].classes == ("normal", "bacterial", "tuberculosis", "viral")


def test_relabelling_leaves_out_what_maps_to_nothing_and_keeps_the_rest():
    table = cohort("covid19", "nodule", "normal", "viral")
    made = relabel(table, "four_class")
    assert made["study"].tolist() == ["s0", "s2", "s3"]
    assert made["class_name"].tolist() == ["viral", "normal", "viral"]
    assert made["label"].tolist() == ["covid19", "normal", "viral"]
    assert made.index.tolist() == [0, 1, 2]
    assert SCHEMES["four_class"].encode(made["class_name"]).tolist() == [3, 0, 3]
    assert "class_name" not in table


@pytest.mark.parametrize(("label", "said"), [("Covid", "has 'Covid'"), (None, "is empty"), (float("nan"), "is empty")])
def test_an_unknown_or_empty_label_is_refused_by_row(label, said):
    with pytest.raises(LabelError, match=rf"row 2 \(study 's1'\).*{said} \(2 such rows\).*covid19"):
        relabel(cohort("normal", label, label))


def test_a_scheme_of_ones_own_may_leave_labels_out():
    scheme = from_dict(
        LabelScheme, {"name": "sick", "classes": ["well", "ill"], "mapping": {"a": "well", "b": "ill", "c": None}}
    )
    assert relabel(cohort("a", "b", "c"), scheme)["class_name"].tolist() == ["well", "ill"]
    assert from_dict(LabelScheme, to_dict(scheme)) == scheme


def test_schemes_that_contradict_themselves_are_refused():
    with pytest.raises(ConfigError, match="different names"):
        LabelScheme(name="x", classes=("a", "a"), mapping={"a": "a"})
    with pytest.raises(ConfigError, match="leads to"):
        LabelScheme(name="x", classes=("a",), mapping={"a": "a", "b": "c"})
    with pytest.raises(ConfigError, match="no label leads to"):
        LabelScheme(name="x", classes=("a", "b"), mapping={"a": "a"})


def test_unknown_schemes_and_classes_are_refused():
    with pytest.raises(LabelError, match="four_class, five_class, covid_net, binary"):
        label_scheme("six_class")
    with pytest.raises(LabelError, match="no column 'label'"):
        relabel(pd.DataFrame({"study": ["a"]}))
    with pytest.raises(LabelError, match=r"\['\(empty\)', 'cat'\]"):
        SCHEMES["binary"].encode(pd.Series(["covid19", "cat", None]))
