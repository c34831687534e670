"""Variants of a study that differ in one thing."""

from __future__ import annotations

import pandas as pd
import pytest

from patchcxr.cli.study import load_study
from patchcxr.config import to_dict
from patchcxr.errors import CohortError, ConfigError
from patchcxr.models.registry import create_model
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
        allowed = {
            "preprocessing": "preprocessing.",
            "augmentation": "augment",
            "segmentation_network": "anatomy.model.architecture",
            "lung_outline": "classification.region",
        }.get(name, name)
        assert all(allowed in key for key in changed), changed


def test_the_papers_preprocessing_is_among_the_variants():
    made = variants(load_study("smoke", []), "preprocessing")["equalised, gamma 0.5"]
    assert (made.preprocessing.equalize, made.preprocessing.gamma) == (True, 0.5)


def test_an_unknown_ablation_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="expected one of preprocessing, region"):
        variants(load_study("smoke", []), "colour")


def test_tables_are_stacked_and_a_failed_variant_is_a_row(tmp_path, monkeypatch):
    def run(config, folder, done):
        if config.classification.region == "crop":
            raise CohortError("no film is left")
        (folder / "classification").mkdir(parents=True)
        pd.DataFrame({"method": ["global"], "f1": [0.5 if config.classification.region == "mask" else 0.75]}).to_csv(
            folder / "classification" / "scores.csv", index=False
        )

    monkeypatch.setattr(ablation, "run_variant", run)
    found = run_ablation(load_study("smoke", []), "region", tmp_path)
    assert found["variant"].tolist() == ["mask", "crop", "whole"]
    assert found["f1"].tolist()[::2] == [0.5, 0.75]
    assert found["error"].tolist()[1] == "no film is left"
    assert not (tmp_path / "region_tests.csv").exists()


def test_tests_between_variants_are_written_beside_the_tables(tmp_path, monkeypatch):
    taken_from = []

    def run(config, folder, done):
        taken_from.append([path.name for path in done])
        share = config.classification.local_classifier.training_share
        truth = ["viral"] * 6 + ["normal"] * 6
        said = truth if share == 1 else ["normal"] * 12
        table = pd.DataFrame({"study": [f"s{i}" for i in range(12)], "patient": [f"p{i}" for i in range(12)]})
        table = table.assign(
            method="local", truth=truth, predicted=said, p_viral=[share * (t == "viral") for t in truth]
        )
        (folder / "classification").mkdir(parents=True)
        table.to_csv(folder / "classification" / "predictions.csv", index=False)
        table[:1].to_csv(folder / "classification" / "scores.csv", index=False)

    monkeypatch.setattr(ablation, "run_variant", run)
    run_ablation(load_study("smoke", []), "training_share", tmp_path)
    assert taken_from == [[], ["100"], ["100", "50"], ["100", "50", "30"]]
    tests = pd.read_csv(tmp_path / "training_share_tests.csv")
    assert len(tests) == 6
    first = tests.iloc[0]
    assert (first["a"], first["b"], first["only_a_right"], first["only_b_right"]) == ("100 %", "50 %", 6, 0)
    assert first["p_mcnemar"] == pytest.approx(2 / 2**6)
    assert first["p_mcnemar_holm"] == pytest.approx(6 * 2 / 2**6)
    assert "resampled patients" in (tmp_path / "training_share_tests.md").read_text(encoding="utf-8")


def test_a_variant_does_only_the_steps_that_its_change_reaches(tmp_path, monkeypatch):
    ran = []

    def steps(self):
        config = self.config
        for name, settings, needs in (
            ("films", config.preprocessing, []),
            ("anatomy", config.anatomy, ["films"]),
            ("local", config.classification.local_classifier, ["anatomy"]),
        ):
            self.steps.run(name, lambda folder, name=name: ran.append((self.out.name, name)), settings, needs)

    monkeypatch.setattr(ablation.Study, "run", steps)
    with pytest.raises(ValueError, match="No objects to concatenate"):
        run_ablation(load_study("smoke", []), "training_share", tmp_path)
    assert ran == [("100", "films"), ("100", "anatomy"), *((share, "local") for share in ("100", "50", "30", "10"))]


def test_the_recipe_of_the_mask_alone_is_normal_against_abnormal():
    made = variants(load_study("oh2020", []), "lung_outline")["mask alone"]
    assert (made.classification.labels, made.classification.region) == ("normal_abnormal", "lungs_only")
    assert made.explanation.target == "abnormal"


def test_segmentation_networks_take_the_place_of_one_with_an_encoder_and_learn_by_the_same_recipe():
    base = load_study("smoke", ["anatomy.model.architecture=smp_unet", "anatomy.model.encoder=resnet18"])
    for name, config in variants(base, "segmentation_network").items():
        assert config.anatomy.model.encoder is None, name
        assert config.classification.lungs == "predicted"
        assert (config.anatomy.model.num_classes, config.anatomy.train) == (4, base.anatomy.train)
    create_model(config.anatomy.model, seed=0)
