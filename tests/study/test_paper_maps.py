"""Figures of the papers from a study's folder that is made by hand, so that every number is known."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.config import from_dict, save_yaml
from patchcxr.errors import ConfigError, SplitError
from patchcxr.io.arrays import ArrayFolder
from patchcxr.study.config import StudyConfig
from patchcxr.study.examples import choose_films, film_picture, open_study, said_by_classifiers
from patchcxr.study.infection_figure import degerli2021_figure_8
from patchcxr.study.outside_lungs import hertel2022_figure_11, maps_of_model, maps_of_study, outside_lungs
from patchcxr.study.paper_classification import oh2020_figure_6, oh2020_figure_10
from patchcxr.study.paper_maps import class_map_table, class_map_values, oh2020_figure_7, oh2020_figure_8

SIZE, MAP = 32, 16
LUNG = np.zeros((MAP, MAP), dtype=bool)
LUNG[4:12, 4:12] = True  # a quarter of the film: an even map has 0.75 outside
LABELS = {"normal": "normal", "bacterial": "bacterial", "tuberculosis": "tuberculosis", "covid19": "viral"}
P_LOCAL = {"covid19-0": 0.9, "covid19-1": 0.2, "covid19-2": 0.6}


def in_lungs(inside: float, outside: float) -> np.ndarray:
    return np.where(LUNG, inside, outside).astype(np.float16)


def make_study(root, region="mask"):
    """Three films of each of four classes. Maps are even within and without the lungs, with other values a film."""
    classification = {"lungs": "true", "region": region, "vote": {"image_size": SIZE, "patch_size": 16, "patches": 2}}
    config = from_dict(
        StudyConfig,
        {
            "title": "By hand",
            "cohort": {"table": str(root / "cohort.csv")},
            "preprocessing": {"equalize": False, "gamma": 0.5},
            "anatomy": {"image_size": MAP},
            "infection": {"image_size": MAP},
            "classification": classification,
            "explanation": {"map_size": MAP},
            "report": {"bootstrap_resamples": 30},
        },
    )
    (root / "cohort").mkdir(parents=True)
    save_yaml(config, root / "config.yaml")
    lung = cv2.resize(LUNG.astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST) * 255
    cv2.imwrite(str(root / "lung.png"), lung)
    lesion = lung.copy()
    lesion[: SIZE // 2] = 0
    cv2.imwrite(str(root / "lesion.png"), lesion)
    rows, said = [], []
    for label, name in LABELS.items():
        for number in range(3):
            study = f"{label}-{number}"
            path = root / f"{study}.png"
            cv2.imwrite(str(path), np.full((SIZE, SIZE), 64, np.uint8) + np.eye(SIZE, dtype=np.uint8) * 100)
            row = {"study": study, "patient": f"p-{study}", "image": str(path), "label": label, "class_name": name}
            row |= {"split": "test", "source": "s", "lung_mask": str(root / "lung.png")}
            rows.append(row | {"infection_mask": str(root / "lesion.png") if label == "covid19" else None})
            p = P_LOCAL.get(study, 0.1)
            base = {"study": study, "truth": name, "p_viral": p, "predicted": "viral" if p > 0.5 else "normal"}
            said += [{**base, "method": "local"}, {**base, "method": "global", "p_viral": 1 - p, "predicted": "viral"}]
            ArrayFolder(root / "local_test" / "maps").save(study, in_lungs(p / 2, 0.01))
            ArrayFolder(root / "global_test" / "maps").save(study, in_lungs(0.5, 0.5 if region == "whole" else p))
            ArrayFolder(root / "infection_test" / "probability").save(study, in_lungs(0.9, 0.1))
    table = pd.DataFrame(rows).assign(right_lung_mask=None, left_lung_mask=None, heart_mask=None)
    table.to_csv(root / "cohort" / "cohort.csv", index=False)
    (root / "films").mkdir()
    pd.DataFrame(columns=["study", "stage", "error"]).to_csv(root / "films" / "failures.csv", index=False)
    (root / "classification").mkdir()
    pd.DataFrame(said).to_csv(root / "classification" / "predictions.csv", index=False)
    study = open_study(root)
    study._films(root / "films")
    labels = ArrayFolder(root / "lungs" / "labels")
    for name in table["study"]:
        labels.save(name, LUNG.astype(np.uint8) * 2)
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("masked") / "study")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("whole") / "study", "whole")


def test_the_choice_depends_on_score_and_id_alone():
    films = pd.DataFrame({"study": list("edcba"), "patient": list("tuvvw"), "score": [0.5, 0.5, 0.1, 0.9, np.nan]})
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3]):
        chosen = choose_films(films.iloc[order], "score", 9, "the score")
        assert chosen.films["study"].tolist() == ["b", "d", "e"], "of patient v the first film by id, ties by id"
    assert choose_films(films, "score", 1, "the score").films["study"].tolist() == ["d"]
    assert choose_films(films, "score", 2, "the score").films["study"].tolist() == ["b", "e"]
    with pytest.raises(SplitError, match="no film has the score"):
        choose_films(films.iloc[4:], "score", 2, "the score")
    with pytest.raises(ConfigError, match="at least 1"):
        choose_films(films, "score", 0, "the score")


def test_a_film_as_read_differs_from_the_one_the_networks_see(study):
    seen, original = film_picture(study, "normal-0"), film_picture(study, "normal-0", original=True)
    assert original[0, 1] == pytest.approx(64 / 255)
    assert seen[0, 1] == pytest.approx(np.sqrt(64 / 255), abs=1 / 255)


def test_figure_7_shows_covid_films_by_the_vote_and_the_numbers_say_which(study):
    part = oh2020_figure_7(study, count=2)[""]
    assert part.table.readable["study"].tolist() == ["covid19-0", "covid19-1"]
    data = part.table.data.set_index("study")
    assert data["shown"].to_dict() == {"covid19-0": True, "covid19-1": True, "covid19-2": False}
    assert data.loc["covid19-0", ["p_local", "p_global"]].tolist() == pytest.approx([0.9, 0.1])
    assert "2 of 3 films" in part.table.note
    ticks = [tick.get_text() for tick in part.figure.axes[-1].get_xticklabels()]
    assert ticks == ["0", "0.3", "0.6"], "0.45 is the largest value, and both films share the scale"
    assert oh2020_figure_7(study, count=1, label="normal")[""].table.data["class_name"].unique().tolist() == ["normal"]
    with pytest.raises(SplitError, match="'pneumonia'"):
        oh2020_figure_7(study, label="pneumonia")


def test_figure_8_measures_every_film_and_shows_the_median_of_each_class(study):
    values = class_map_values(study).set_index("study")
    assert values.loc["covid19-2", "map_mean"] == pytest.approx(0.3, abs=1e-3)
    assert len(values) == 12
    parts = oh2020_figure_8(study)
    shown = parts[""].table.readable
    assert shown["class_name"].tolist() == ["normal", "bacterial", "tuberculosis", "viral"]
    assert shown["study"].iloc[-1] == "covid19-2"
    areas = parts["_values"].table.data.set_index("class")["auroc"]
    assert areas["normal"] == 1.0
    assert np.isnan(areas["viral"])


def test_auroc_between_classes_counts_pairs():
    films = pd.DataFrame(
        {
            "patient": list("abcde"),
            "class_name": ["normal"] * 3 + ["viral"] * 2,
            "map_mean": [0.1, 0.3, np.nan, 0.2, 0.4],
        }
    )
    data = class_map_table(films, ["normal", "viral"], "viral", seed=0, resamples=20).data.set_index("class")
    assert data.loc["normal", "auroc"] == 0.75
    assert data.loc["normal", "films"] == 2
    assert data.loc["viral", "median"] == pytest.approx(0.3)


def test_degerli_figure_8_states_shares_of_maps_in_the_lesion(study):
    from patchcxr.study import evaluate

    (study.out / "saliency").mkdir(exist_ok=True)
    evaluate.saliency(study, study.out / "saliency")
    parts = degerli2021_figure_8(study, count=2)
    row = parts[""].table.data.set_index("study").loc["covid19-0"]
    assert row["infected_share"] == pytest.approx(0.5)
    total = 64 * 0.9 + 192 * 0.1
    assert row["infection_map_energy_in_lesion"] == pytest.approx(32 * 0.9 / total, abs=1e-3)
    assert row["probabilistic_gradcam_energy_outside_lungs"] == pytest.approx(192 * 0.01 / (64 * 0.45 + 1.92), abs=1e-3)
    assert int(parts[""].table.data["shown"].sum()) == 2
    assert set(parts["_values"].table.data["measure"]) >= {"energy_in_lesion", "best_dice"}


def test_hertel_figure_11_measures_both_maps_on_the_same_lungs(study, whole):
    maps = {"with": maps_of_study(study, True), "without": maps_of_study(whole, False)}
    films = outside_lungs(study, maps).set_index(["study", "method"])["value"]
    assert films["covid19-0", "without"] == pytest.approx(0.75)
    assert films["covid19-1", "with"] == pytest.approx(192 * 0.2 / (192 * 0.2 + 64 * 0.5), abs=1e-3)
    parts = hertel2022_figure_11(study, maps, count=2)
    summary = parts["_values"].table.data.set_index("films_of")
    expected = [192 * p / (192 * p + 32) for p in P_LOCAL.values()]
    assert summary.loc["viral", "median_with"] == pytest.approx(np.median(expected), abs=1e-3)
    assert summary.loc["viral", "median_without"] == summary.loc["viral", "median_uniform"] == 0.75
    assert summary.loc["viral", "n"] == 3
    assert summary.loc["viral", "p"] == 1, "ranks 1 and 2 against rank 3"
    assert summary.loc["all", "films"] == 12
    assert "| all classes | 12 | 12 |" in parts["_values"].write(study.out / "hertel", ())[1].read_text(
        encoding="utf-8"
    )
    assert parts[""].table.readable["study"].tolist() == ["covid19-1", "covid19-0"], "from better to worse"


def test_a_map_of_zeros_has_no_share_and_is_counted(study, whole, tmp_path):
    empty = ArrayFolder(tmp_path)
    for name in study.table["study"]:
        empty.save(name, maps_of_study(whole, False).load(name) * (name != "covid19-0"))
    summary = hertel2022_figure_11(study, {"with": maps_of_study(study, True), "without": empty})["_values"].table
    assert summary.data.set_index("films_of").loc["viral", ["zero_maps", "films"]].tolist() == [1, 2]
    assert "1 films" in summary.note


def test_studies_in_the_wrong_order_are_refused(study, whole):
    with pytest.raises(ConfigError, match="expected whole"):
        maps_of_study(study, False)
    with pytest.raises(ConfigError, match="expected mask or crop"):
        maps_of_study(whole, True)


@pytest.mark.slow
def test_maps_of_a_network_are_its_grad_cam_on_what_it_was_trained_on(study, tmp_path):
    from patchcxr.explain.gradcam import grad_cam
    from patchcxr.models.registry import ModelConfig, create_model
    from patchcxr.models.trained import TrainedModel

    config = ModelConfig(architecture="resnet18", num_classes=4)
    network = create_model(config, seed=0).eval()
    classes = ("viral", "normal", "bacterial", "tuberculosis")
    model = TrainedModel(network, config, classes, SIZE, training={"region": "whole"})
    folder = maps_of_model(study, model, False, tmp_path / "whole")
    expected = grad_cam(network, film_picture(study, "covid19-0")[None], 0)[0]
    found = folder.load("covid19-0").astype(np.float32)
    assert np.abs(found - expected.reshape(MAP, 2, MAP, 2).mean(axis=(1, 3))).max() < 2e-3
    with pytest.raises(ConfigError, match="expected mask or crop"):
        maps_of_model(study, model, True, tmp_path / "with")


def test_what_classifiers_say_is_a_row_a_film(study):
    said = said_by_classifiers(study).set_index("study")
    assert said.loc["covid19-1", ["p_local", "p_global", "predicted_local", "predicted_global"]].tolist() == [
        0.2, 0.8, "normal", "viral",
    ]  # fmt: skip


def test_figures_6_and_10_hold_counts_and_history(tmp_path):
    folder = tmp_path / "classification"
    folder.mkdir()
    pd.DataFrame({"truth": ["normal", "viral"], "normal": [8, 1], "viral": [2, 3]}).to_csv(
        folder / "confusion_local.csv", index=False
    )
    part = oh2020_figure_6(tmp_path)[""]
    cells = part.table.data.set_index(["truth", "predicted"])
    assert cells.loc[("viral", "normal"), ["films", "share"]].tolist() == [1, 0.25]
    assert part.table.readable["Sensitivity"].tolist() == ["80.0 %", "75.0 %"]
    assert "accuracy 78.6 %" in part.figure.axes[0].get_title(loc="left")
    (tmp_path / "global").mkdir()
    pd.DataFrame({"epoch": [1, 2], "train_loss": [0.9, 0.2], "val_loss": [1.0, 1.5]}).to_csv(
        tmp_path / "global" / "history.csv", index=False
    )
    part = oh2020_figure_10(tmp_path)[""]
    assert part.table.readable["gap"].tolist() == pytest.approx([1.3])
    paths = part.write(tmp_path / "out" / "figure_10")
    assert [path.suffix for path in paths] == [".png", ".svg", ".csv", ".md"]
    assert json.dumps(pd.read_csv(paths[2])["value"].tolist()) == "[0.9, 0.2, 1.0, 1.5]"


def test_a_folder_that_is_no_study_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no config\.yaml"):
        open_study(tmp_path)
