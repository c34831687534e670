"""Paired tests between variants, and steps that variants take from one another."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError, ConfigError
from patchcxr.stats.corrections import adjust
from patchcxr.stats.detectors import delong_test
from patchcxr.study.compare_variants import WITHIN, paired_tests
from patchcxr.study.steps import StepRunner

TRUTH = np.array(["viral"] * 5 + ["normal"] * 5 + ["tuberculosis"] * 2)


def predictions(predicted, score, method="local", truth=TRUTH):
    n = len(truth)
    return pd.DataFrame(
        {"study": [f"s{i}" for i in range(n)], "patient": [f"p{i // 2}" for i in range(n)], "method": method,
         "truth": truth, "predicted": predicted, "p_viral": score}
    )  # fmt: skip


def wrong(*places):
    said = TRUTH.copy()
    said[list(places)] = "bacterial"
    return said


@pytest.fixture
def three(rng):
    """All right; five films wrong; six films wrong, of which one in common with the second."""
    scores = rng.random((3, 12)) + (TRUTH == "viral") * np.array([0.8, 0.3, 0.0])[:, None]
    said = [TRUTH, wrong(0, 1, 2, 3, 4), wrong(4, 5, 6, 7, 8, 9)]
    return dict(zip("abc", map(predictions, said, scores), strict=True)), scores


def test_mcnemar_and_holm_over_the_pairs_by_hand(three, rng):
    found = paired_tests(three[0], "viral", rng, 20).set_index(["a", "b"])
    assert found.index.tolist() == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found["only_a_right"].tolist() == [5, 6, 5]
    assert found["only_b_right"].tolist() == [0, 0, 4]
    # Two-sided sign tests: 2 / 2^5, 2 / 2^6, and 5 against 4 of 9, which is no evidence at all.
    np.testing.assert_allclose(found["p_mcnemar"], [0.0625, 0.03125, 1.0])
    np.testing.assert_allclose(found["p_mcnemar_holm"], [0.125, 0.09375, 1.0])
    np.testing.assert_allclose(found["accuracy_difference"], [5 / 12, 6 / 12, 1 / 12])
    assert (found["n"].unique(), found["patients"].unique(), found["unpaired"].unique()) == ([12], [6], [0])
    assert (found["accuracy_low"] <= found["accuracy_difference"]).all()
    assert (found["accuracy_high"] >= found["accuracy_difference"]).all()


def test_the_auroc_is_of_the_explained_class_against_all_others(three, rng):
    tables, scores = three
    found = paired_tests(tables, "viral", rng, 20).set_index(["a", "b"])
    expected = delong_test(TRUTH == "viral", scores[0], scores[2])
    row = found.loc[("a", "c")]
    assert (row["auroc_a"], row["auroc_difference"], row["p_delong"]) == pytest.approx(
        (expected.auroc_a, expected.difference, expected.p)
    )
    np.testing.assert_allclose(found["p_delong_holm"], adjust(found["p_delong"].to_numpy(), "holm"))


def test_each_classifier_is_a_family_and_both_are_compared_within_a_variant(three, rng):
    tables, scores = three
    both = {
        name: pd.concat([table, predictions(TRUTH, scores[0], "global")], ignore_index=True)
        for name, table in tables.items()
    }
    found = paired_tests(both, "viral", rng, 20)
    assert found["family"].value_counts().to_dict() == {"global": 3, "local": 3, WITHIN: 3}
    within = found[found["family"] == WITHIN].set_index("a")
    assert within.loc["b, global", "b"] == "b, local"
    assert within.loc["b, global", "only_a_right"] == 5
    # Holm counts the pairs of its own family only: 0.03125 of three pairs becomes 0.09375.
    assert within.loc["c, global", "p_mcnemar_holm"] == pytest.approx(0.09375)


def test_a_single_study_has_its_two_classifiers_compared(three, rng):
    tables, scores = three
    one = {"study": pd.concat([tables["b"], predictions(TRUTH, scores[0], "global")])}
    assert paired_tests(one, "viral", rng, 20)["family"].tolist() == [WITHIN]


def test_films_that_one_variant_lacks_are_left_out_and_counted(three, rng):
    tables, _ = three
    shuffled = {"a": tables["a"][2:], "b": tables["b"][:11].sample(frac=1, random_state=0)}
    row = paired_tests(shuffled, "viral", rng, 20).iloc[0]
    assert (row["n"], row["unpaired"], row["only_a_right"]) == (9, 3, 3)


def test_what_cannot_be_paired_is_refused_in_words(three, rng):
    tables, _ = three
    with pytest.raises(CohortError, match="no test film in common"):
        paired_tests({"a": tables["a"][:3], "b": tables["b"][3:]}, "viral", rng, 20)
    other = tables["b"].assign(truth=np.where(tables["b"].index == 7, "viral", TRUTH))
    with pytest.raises(CohortError, match="give 1 films different classes, the first is 's7'"):
        paired_tests({"a": tables["a"], "b": other}, "viral", rng, 20)
    with pytest.raises(ConfigError, match="'a' have no column p_covid19"):
        paired_tests(tables, "covid19", rng, 20)


def test_films_of_one_class_have_no_auroc(three, rng):
    tables = {name: table[:5] for name, table in three[0].items()}
    found = paired_tests(tables, "viral", rng, 20)
    assert found[["p_delong", "p_delong_holm"]].isna().all(axis=None)
    assert found["p_mcnemar"].notna().all()


def write(name):
    return lambda folder: (folder / "result.txt").write_text(name, encoding="utf-8") and None


def test_a_step_of_the_same_settings_is_linked_and_not_run(tmp_path):
    first = StepRunner(tmp_path / "a")
    first.run("films", write("a"), {"size": 1})
    first.run("local", write("a"), {"patch": 1}, ["films"])
    second = StepRunner(tmp_path / "b", others=[tmp_path / "a"])
    second.run("films", write("b"), {"size": 1})
    second.run("local", write("b"), {"patch": 2}, ["films"])
    films, local = ((tmp_path / "b" / name / "result.txt") for name in ("films", "local"))
    assert os.path.samefile(films, tmp_path / "a" / "films" / "result.txt")
    assert local.read_text(encoding="utf-8") == "b"
    assert (tmp_path / "a" / "local" / "result.txt").read_text(encoding="utf-8") == "a"
    assert second.seconds["films"] == pytest.approx(first.seconds["films"], abs=0.01)


def test_a_linked_step_that_runs_again_leaves_the_other_study_alone(tmp_path):
    StepRunner(tmp_path / "a").run("films", write("a"), 1)
    StepRunner(tmp_path / "b", others=[tmp_path / "a"]).run("films", write("b"), 1)
    StepRunner(tmp_path / "b", others=[tmp_path / "a"]).run("films", write("b"), 2)
    assert (tmp_path / "a" / "films" / "result.txt").read_text(encoding="utf-8") == "a"
    assert (tmp_path / "b" / "films" / "result.txt").read_text(encoding="utf-8") == "b"


def test_an_interrupted_step_of_another_study_is_not_taken(tmp_path):
    def interrupted(folder):
        (folder / "result.txt").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StepRunner(tmp_path / "a").run("films", interrupted, 1)
    StepRunner(tmp_path / "b", others=[tmp_path / "a"]).run("films", write("b"), 1)
    assert (tmp_path / "b" / "films" / "result.txt").read_text(encoding="utf-8") == "b"


def test_where_files_cannot_be_linked_they_are_copied(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError

    StepRunner(tmp_path / "a").run("films", write("a"), 1)
    monkeypatch.setattr(os, "link", refuse)
    StepRunner(tmp_path / "b", others=[tmp_path / "a"]).run("films", write("b"), 1)
    assert (tmp_path / "b" / "films" / "result.txt").read_text(encoding="utf-8") == "a"
