"""The commands answer at once, and bad input is one line and exit code 2, never a traceback."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.cli.study import read_overrides
from patchcxr.config import merge
from patchcxr.errors import ConfigError


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from patchcxr.cli.parser import make_parser; make_parser().format_help(); "
        "print([m for m in ('torch', 'pandas', 'numpy', 'matplotlib', 'lightning', 'cv2') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_help_answers_within_0_7_seconds():
    def seconds() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "patchcxr", "--help"], capture_output=True, check=True)
        return time.perf_counter() - begin

    assert min(seconds() for _ in range(3)) < 0.7


@pytest.mark.parametrize(
    "command",
    [
        "study",
        "cohort",
        "preprocess",
        "train",
        "segment",
        "infection",
        "classify",
        "biomarkers",
        "compare-maps",
        "metrics",
    ],
)
def test_every_command_explains_itself_and_its_purpose(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert "not for clinical" in " ".join(capsys.readouterr().out.split())


def one_line(capsys) -> str:
    error = capsys.readouterr().err.strip()
    assert error.startswith("patchcxr: error: ")
    assert "\n" not in error
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["study", "no-such-study", "--out", "x"], "no such configuration file"),
        (["cohort", "show", "missing.csv"], "missing.csv"),
        (["cohort", "folder", "no-folder", "--out", "c.csv"], "no-folder"),
        (["cohort", "import", "jsrt", "--out", "c.csv"], "expected two names with ="),
        (["cohort", "import", "mimic=/films", "--out", "c.csv"], "expected one of bimcv, cohen"),
        (["cohort", "synthetic", "--out", "x", "--set", "patiens=3"], "patiens: unknown key"),
        (["metrics", "missing.csv", "--out", "x"], "no such table"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert told in one_line(capsys)


def test_a_study_with_one_class_only_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            ["cohort", "synthetic", "--out", "c", "--set", "patients=4", "--set", "size=64", "--set", "labels=[normal]"]
        )
        == 0
    )
    capsys.readouterr()
    assert (
        main(["study", "smoke", "--out", "s", "--set", "cohort.synthetic=null", "--set", "cohort.table=c/cohort.csv"])
        == 2
    )
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("patchcxr: error: ")
    assert "class" in error


def test_a_cohort_row_that_is_wrong_is_named_with_column_and_remedy(tmp_path, capsys):
    table = pd.DataFrame({"study": ["a", "a"], "patient": ["1", "2"], "image": ["a.png", "b.png"]})
    table.to_csv(tmp_path / "c.csv", index=False)
    assert main(["cohort", "show", str(tmp_path / "c.csv")]) == 2
    error = one_line(capsys)
    assert "row 2" in error
    assert "'study'" in error
    assert "give each study its own id" in error


def test_metrics_from_a_table_of_predictions(tmp_path, capsys):
    truth = ["normal"] * 4 + ["viral"] * 4
    predicted = ["normal", "normal", "normal", "viral", "viral", "viral", "normal", "normal"]
    pd.DataFrame({"truth": truth, "predicted": predicted}).to_csv(tmp_path / "p.csv", index=False)
    assert main(["metrics", str(tmp_path / "p.csv"), "--out", str(tmp_path / "m")]) == 0
    scores = pd.read_csv(tmp_path / "m" / "scores.csv").iloc[0]
    assert scores["accuracy"] == pytest.approx(5 / 8)
    matrix = pd.read_csv(tmp_path / "m" / "confusion_given.csv").set_index("truth")
    np.testing.assert_array_equal(matrix.to_numpy(), [[3, 1], [2, 2]])
    assert "0.625" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["metrics", "calibrate"])
def test_a_column_that_only_looks_like_a_probability_is_not_taken_for_a_class(command, tmp_path, capsys):
    rows = {"study": ["1", "2"], "truth": ["a", "b"], "predicted": ["a", "b"], "p_a": [0.7, 0.4], "p_b": [0.3, 0.6]}
    pd.DataFrame(rows | {"p_value": [0.04, 0.5]}).to_csv(tmp_path / "p.csv", index=False)
    assert main([command, str(tmp_path / "p.csv"), "--out", str(tmp_path / "m")]) == 2
    said = one_line(capsys)
    assert "p_value" in said
    assert "rename" in said


def test_a_class_that_no_film_has_is_one_of_the_classes_all_the_same(tmp_path):
    rows = {"truth": ["a", "b"], "predicted": ["a", "b"], "p_a": [0.7, 0.3], "p_b": [0.2, 0.6], "p_c": [0.1, 0.1]}
    pd.DataFrame(rows).to_csv(tmp_path / "p.csv", index=False)
    assert main(["metrics", str(tmp_path / "p.csv"), "--out", str(tmp_path / "m")]) == 0
    assert list(pd.read_csv(tmp_path / "m" / "confusion_given.csv")["truth"]) == ["a", "b", "c"]


def test_overrides_nest_and_are_read_as_yaml():
    assert read_overrides(["a.b=1", "a.c=[x, y]", "d=true"]) == {"a": {"b": 1, "c": ["x", "y"]}, "d": True}
    assert merge({"a": {"b": 0, "z": 2}}, {"a": {"b": 1}}) == {"a": {"b": 1, "z": 2}}
    for bad in ("novalue", "=1", "a=[1"):
        with pytest.raises(ConfigError, match="--set"):
            read_overrides([bad])
