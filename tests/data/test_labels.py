"""Label schemes: which label becomes which class."""

from __future__ import annotations

import pandas as pd
import pytest

from patchcxr.config import from_dict, to_dict
from patchcxr.data.labels import (
    CANONICAL_LABELS,
    SCHEMES,
    LabelScheme,
    label_scheme,
    read_mapping,
    read_scheme,
    relabel,
    rewrite_labels,
    write_scheme,
)
from patchcxr.errors import ConfigError, LabelError


def cohort(*labels):
    return pd.DataFrame({"study": [f"s{index}" for index in range(len(labels))], "label": list(labels)})


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("four_class", ["normal", "bacterial", "tuberculosis", "viral", "viral", None, None, None, None]),
        ("five_class", ["normal", "bacterial", "tuberculosis", "viral", "covid19", None, None, None, None]),
        ("covid_net", ["normal", "pneumonia", None, "pneumonia", "covid19", "pneumonia", None, "pneumonia", None]),
        ("three_class", ["normal", "pneumonia", None, "pneumonia", "covid19", "pneumonia", None, "pneumonia", None]),
        ("normal_abnormal", ["normal", *["abnormal"] * 8]),
        ("binary", ["other", "other", "other", "other", "covid19", "other", "other", "other", "other"]),
    ],
)
def test_every_label_has_its_class_in_every_scheme(scheme, expected):
    assert [SCHEMES[scheme].mapping[label] for label in CANONICAL_LABELS] == expected


def test_classes_are_in_the_order_of_the_paper():
    assert SCHEMES["four_class"].classes == ("normal", "bacterial", "tuberculosis", "viral")
    assert SCHEMES["three_class"].classes == ("normal", "pneumonia", "covid19")


def test_five_classes_merge_to_four_three_and_two():
    five = SCHEMES["five_class"].classes
    assert [len({SCHEMES[name].mapping[label] for label in five} - {None}) for name in SCHEMES] == [4, 5, 3, 3, 2, 2, 2]


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
    with pytest.raises(LabelError, match=f"expected one of {', '.join(SCHEMES)}, or a"):
        label_scheme("six_class")
    with pytest.raises(LabelError, match="no column 'label'"):
        relabel(pd.DataFrame({"study": ["a"]}))
    with pytest.raises(LabelError, match=r"\['\(empty\)', 'cat'\]"):
        SCHEMES["binary"].encode(pd.Series(["covid19", "cat", None]))


SICK = """
name: sick
classes: [well, ill]
mapping:
  normal: well
  viral: ill
  covid19: ill
  other: null
"""


def write(folder, text, name="mapping.yaml"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def test_a_scheme_is_read_from_a_file_and_written_back(tmp_path):
    path = write(tmp_path, SICK)
    scheme = read_scheme(path)
    assert scheme.classes == ("well", "ill")
    assert relabel(cohort("covid19", "other", "normal"), str(path))["class_name"].tolist() == ["ill", "well"]
    assert relabel(cohort("covid19"), path)["class_name"].tolist() == ["ill"]
    for name in SCHEMES:
        write_scheme(name, tmp_path / "again.yaml")
        assert read_scheme(tmp_path / "again.yaml") == SCHEMES[name]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got a NoneType at the top level"),
        ("- a", "got a list"),
        ("a: [", "not readable as YAML"),
        ("a: b\na: c", "the key 'a' occurs twice"),
        ("a: b\nyes: c", "True leads to 'c'.*quotation marks"),
        ("1: c", "1 leads to 'c'"),
        ("a: 1", "'a' leads to 1"),
        ("a: ''", "'a' leads to ''"),
        ("a: [b]", r"'a' leads to \['b'\]"),
        ("a: &x b\nc: *x", "holds an alias"),
        ("? [a]\n: b", "not readable as YAML"),
        ("!!python/object/apply:os.getcwd []", "not readable as YAML"),
        (b"a: \xff", "not readable as YAML"),
        (b"a: \0", "not readable as YAML"),
        ("[" * 199, "not readable as YAML"),
        ("[" * 90_000, "more than 200 opening brackets"),
        ("- " * 5_000, "not readable as YAML"),
        ("? " * 5_000, "not readable as YAML"),
        ("a: " + "b" * 100_001, "expected a mapping of up to"),
    ],
)
def test_files_that_hold_no_mapping_are_refused(tmp_path, text, said):
    path = write(tmp_path, text)
    for read in (read_mapping, read_scheme):
        with pytest.raises(ConfigError, match=said if read is read_mapping else "mapping.yaml"):
            read(path)


def test_files_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match="no such mapping file"):
        rewrite_labels(cohort("a"), tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="not readable"):
        read_scheme(tmp_path / "folder.yaml")


def films(*labels):
    return cohort(*labels).assign(patient=[f"p{index // 2}" for index in range(len(labels))])


def test_labels_are_rewritten_and_counted_by_patient_too(tmp_path):
    table = films("a", "a", "b", "c", "c", None)
    path = write(tmp_path, "{a: x, b: x, c: null, unused: y}")
    for by in (path, str(path), {"a": "x", "b": "x", "c": None}):
        made, counts = rewrite_labels(table, by)
        assert made["study"].tolist() == ["s0", "s1", "s2", "s5"]
        assert made["label"].tolist() == ["x", "x", "x", pd.NA]
        assert made.index.tolist() == [0, 1, 2, 3]
        assert counts.to_numpy().tolist() == [
            ["(empty)", "(empty)", 1, 1],
            ["a", "x", 2, 1],
            ["b", "x", 1, 1],
            ["c", "(left out)", 2, 2],
        ]
    assert table["label"].tolist()[:3] == ["a", "a", "b"]


def test_labels_are_rewritten_by_a_scheme(tmp_path):
    table = films("covid19", "viral", "nodule")
    for by in ("four_class", SCHEMES["four_class"]):
        assert rewrite_labels(table, by)[0]["label"].tolist() == ["viral", "viral"]
    made, _ = rewrite_labels(films("covid19", "other"), write(tmp_path, SICK))
    assert made["label"].tolist() == ["ill"]


def test_labels_that_the_mapping_does_not_cover_are_all_named():
    with pytest.raises(LabelError, match="labels 'c', 'd' of 3 films are not in the mapping, which has a, b; add them"):
        rewrite_labels(films("a", "d", "c", "d"), {"a": "x", "b": None})
    with pytest.raises(LabelError, match="label scheme is 'six'"):
        rewrite_labels(films("a"), "six")
    with pytest.raises(LabelError, match="no column 'label'"):
        rewrite_labels(films("a").drop(columns="label"), {"a": "x"})
