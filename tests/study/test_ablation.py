"""Variants of a study that differ in one thing."""

from __future__ import annotations

import pandas as pd
import pytest

from patchcxr.cli.study import load_study
from patchcxr.config import to_dict
from patchcxr.errors import CohortError, ConfigError
from patchcxr.study import ablation
from patchcxr.study.ablation import ABLATIONS, run_ablation, variants


def differences(a, b, where=""):
    for key, value in a.items():
        if isinstance(value, dict) and isinstance(b[key], dict):
            yield from differences(value, b[key], f"{where}{key}.")
        elif value != b[key]:
            yield f"{where}{key}"


@pytest.mark.parametrize("name", ABLATIONS)
def test_variants_differ_from_one_another_only_in_what_the_ablation_names(name):
    made = [to_dict(config) for config in variants(load_study("smoke", []), name).values()]
    assert len(made) == len(ABLATIONS[name])
    for other in made[1:]:
        changed = list(differences(made[0], other))
        assert changed
        allowed = {"preprocessing": "preprocessing.", "augmentation": "augment"}.get(name, name)
        assert all(allowed in key for key in changed), changed


def test_the_papers_preprocessing_is_among_the_variants():
    made = variants(load_study("smoke", []), "preprocessing")["equalised, gamma 0.5"]
    assert (made.preprocessing.equalize, made.preprocessing.gamma) == (True, 0.5)


def test_an_unknown_ablation_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="expected one of preprocessing, region"):
        variants(load_study("smoke", []), "colour")


def test_tables_are_stacked_and_a_failed_variant_is_a_row(tmp_path, monkeypatch):
    def run(config, folder):
        if config.classification.region == "crop":
            raise CohortError("no film is left")
        (folder / "classification").mkdir(parents=True)
        pd.DataFrame({"method": ["global"], "f1": [0.5 if config.classification.region == "mask" else 0.75]}).to_csv(
            folder / "classification" / "scores.csv", index=False
        )

    monkeypatch.setattr(ablation, "run_study", run)
    found = run_ablation(load_study("smoke", []), "region", tmp_path)
    assert found["variant"].tolist() == ["mask", "crop", "whole"]
    assert found["f1"].tolist()[::2] == [0.5, 0.75]
    assert found["error"].tolist()[1] == "no film is left"
