"""``segment``, ``infection`` and ``evaluate`` on films whose grey levels are their structures, and on bad input."""

import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from patchcxr.cli import main
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.errors import CheckpointError
from patchcxr.io.masks import read_mask, write_mask
from patchcxr.models.registry import ModelConfig
from patchcxr.models.trained import TrainedModel
from patchcxr.study import networks as opening
from patchcxr.types import ANATOMY, PARTITION

BACKGROUND, HEART, LEFT, RIGHT, LEFT_BEHIND, RIGHT_BEHIND = (51 * level for level in range(6))
AS_THEY_ARE = {"equalize": False, "gamma": 1.0}


class Levels(nn.Module):
    """Class c is where the grey level is c / 5; more films than ``most`` run out of memory."""

    def __init__(self, classes: int = 6, most: int = 1000, scale: float = 50.0) -> None:
        super().__init__()
        self.centres = nn.Parameter((torch.arange(classes) / 5).reshape(1, -1, 1, 1))
        self.scale, self.most = scale, most

    def forward(self, x):
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return -self.scale * (x - self.centres).abs()


class Bright(nn.Module):
    """Infection is where a film is brighter than ``above``."""

    def __init__(self, above: float) -> None:
        super().__init__()
        self.above = nn.Parameter(torch.tensor(above))

    def forward(self, x):
        return 40 * (x - self.above)


def trained(module: nn.Module, classes: tuple[str, ...]) -> TrainedModel:
    config = ModelConfig(architecture="compact_unet", num_classes=len(classes))
    return TrainedModel(module.eval(), config, classes, 64, AS_THEY_ARE)


@pytest.fixture
def networks(monkeypatch):
    """The shipped networks, which a test may exchange; a name without one is missing."""
    known = {"anatomy": trained(Levels(), PARTITION), "infection": trained(Bright(0.75), ("infection",))}

    def shipped(name):
        if name not in known:
            raise CheckpointError(f"this installation of patchcxr lacks the weights of its network {name!r}")
        return known[name]

    monkeypatch.setattr(opening, "shipped", shipped)
    return known


def chest(rows: int = 128, columns: int = 192) -> np.ndarray:
    """A film of blocks on a grid of 16: lungs, heart between them, and a part of the left lung behind it."""
    blocks = np.full((8, 8), BACKGROUND, dtype=np.uint8)
    blocks[1:6, 1:3], blocks[1:6, 5:7] = RIGHT, LEFT
    blocks[4:6, 3:5] = HEART
    blocks[4:6, 4] = LEFT_BEHIND
    return blocks.repeat(rows // 8, 0).repeat(columns // 8, 1)


def save(path, film: np.ndarray):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, film)
    else:
        path.write_bytes(cv2.imencode(path.suffix, film)[1].tobytes())
    return str(path)


def table(path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"study": str}, keep_default_na=False).set_index("study")


def mask(out, name, study):
    return read_mask(out / "masks" / name / f"{study}.png")


def assert_mask(found: np.ndarray, expected: np.ndarray) -> None:
    """Masks agree but for the corners, which interpolation rounds."""
    assert found.shape == expected.shape
    corners = cv2.cornerHarris(expected.astype(np.float32), 2, 3, 0.04) > 0.01
    assert not (found ^ expected)[~cv2.dilate(corners.astype(np.uint8), np.ones((3, 3))).astype(bool)].any()
    assert np.count_nonzero(found ^ expected) <= 8


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in the test's folder."""
    monkeypatch.chdir(tmp_path)

    return lambda *arguments: main(list(arguments))


def test_one_film_without_any_option_gives_masks_at_its_own_size_tables_and_an_overlay(tmp_path, networks, run, capsys):
    film = chest()
    assert run("segment", save(tmp_path / "film.png", film)) == 0
    out = tmp_path / "segmentation"
    for name, levels in (("right_lung", (RIGHT,)), ("left_lung", (LEFT,)), ("heart", (HEART, LEFT_BEHIND))):
        assert_mask(mask(out, name, "film"), np.isin(film, levels))
    row = table(out / "segmentation.csv").loc["film"]
    assert (row["rows"], row["columns"]) == (128, 192)
    assert float(row["right_lung_percent"]) == pytest.approx(100 * 10 / 64)
    assert float(row["heart_percent"]) == pytest.approx(100 * 4 / 64)
    assert float(row["cardiothoracic_ratio"]) == pytest.approx(16 / 48)
    overlay = cv2.imread(str(out / "overlays" / "film.png"))
    assert overlay.shape[0] == 128
    coloured = np.ptp(overlay[:, :192].astype(int), axis=2) > 60
    edges = cv2.dilate(cv2.morphologyEx((film == RIGHT).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))), None)
    assert coloured[edges > 0].mean() > 0.2
    assert not coloured[:8].any()
    cohort = pd.read_csv(out / "cohort.csv")
    assert_mask(read_mask(cohort["heart_mask"][0]), np.isin(film, (HEART, LEFT_BEHIND)))
    assert len(pd.read_csv(out / "biomarkers.csv")) == 1
    assert len(pd.read_csv(out / "failures.csv")) == 0
    printed = capsys.readouterr().out
    assert "cardiothoracic ratio" in printed
    assert "0.33 (0.33 to 0.33)" in printed


def test_whole_lungs_hold_the_part_behind_the_heart_and_can_be_asked_for_later(tmp_path, networks, run):
    film = chest()
    save(tmp_path / "film.png", film)
    assert run("segment", "film.png") == 0
    assert run("segment", "film.png", "--whole-lungs") == 0
    out = tmp_path / "segmentation"
    assert_mask(mask(out, "left_lung", "film"), np.isin(film, (LEFT, LEFT_BEHIND)))
    assert_mask(mask(out, "heart", "film"), np.isin(film, (HEART, LEFT_BEHIND)))
    assert run("segment", "film.png") == 0
    assert_mask(mask(out, "left_lung", "film"), film == LEFT)


def test_a_network_of_four_classes_serves_but_has_no_whole_lungs(tmp_path, networks, run, capsys):
    networks["anatomy"] = trained(Levels(4), ANATOMY)
    save(tmp_path / "film.png", np.where(chest() == LEFT_BEHIND, HEART, chest()).astype(np.uint8))
    assert run("segment", "film.png") == 0
    capsys.readouterr()
    assert run("segment", "film.png", "--whole-lungs") == 2
    assert "--whole-lungs needs a network that tells left_lung_behind_heart" in capsys.readouterr().err


def test_a_network_of_the_lungs_alone_gives_no_heart_and_no_flag_for_it(tmp_path, networks, run, capsys):
    film = np.where(chest() == LEFT_BEHIND, HEART, chest()).astype(np.uint8)
    save(tmp_path / "film.png", film)
    networks["anatomy"] = trained(Bright(0.3), ("lung",))
    assert run("segment", "film.png") == 0
    out = tmp_path / "segmentation"
    assert_mask(mask(out, "right_lung", "film"), film == RIGHT)
    assert_mask(mask(out, "left_lung", "film"), film == LEFT)
    assert not (out / "masks" / "heart").exists()
    assert pd.isna(pd.read_csv(out / "cohort.csv")["heart_mask"][0])
    assert table(out / "segmentation.csv").loc["film", "flags"] == ""
    assert len(pd.read_csv(out / "failures.csv")) == 0
    assert "heart" not in capsys.readouterr().out


def test_names_with_spaces_unicode_and_twice_in_different_folders_are_kept_apart(tmp_path, networks, run):
    one, two = chest(), chest()[:, ::-1]
    save(tmp_path / "films" / "a" / "film 1.png", one)
    save(tmp_path / "films" / "b" / "film 1.png", two)
    save(tmp_path / "films" / "Röntgen 胸.png", one)
    assert run("segment", "films", "--out", "films/results") == 0
    found = pd.read_csv(tmp_path / "films" / "results" / "cohort.csv").set_index("study")
    assert sorted(found.index) == ["Röntgen 胸", "a/film 1", "b/film 1"]
    for study, film in (("a/film 1", one), ("b/film 1", two), ("Röntgen 胸", one)):
        assert_mask(read_mask(found.loc[study, "right_lung_mask"]), film == RIGHT)
    assert run("segment", "films", "--out", "films/results") == 0
    assert len(pd.read_csv(tmp_path / "films" / "results" / "cohort.csv")) == 3


def test_films_that_cannot_be_used_are_failures_and_the_others_go_on(tmp_path, networks, run, capsys):
    films = tmp_path / "films"
    save(films / "good.png", chest())
    (films / "text.png").write_text("no image")
    (films / "empty.dcm").write_bytes(b"")
    save(films / "pixel.png", np.zeros((1, 1), np.uint8))
    save(films / "flat.png", np.full((64, 64), 9, np.uint8))
    save(films / "nan.npy", np.full((64, 64), np.nan))
    part = chest().astype(np.float32) / 255
    part[0, 0] = np.nan
    save(films / "one_nan.npy", part)
    assert run("segment", "films", "missing.png", "--out", "out") == 0
    failures = table(tmp_path / "out" / "failures.csv")
    assert sorted(failures.index) == ["empty", "flat", "missing", "nan", "one_nan", "pixel", "text"]
    for study, told in (("pixel", "1 x 1 pixels"), ("flat", "same value"), ("nan", "nan"), ("missing", "no such file")):
        assert told in failures.loc[study, "error"]
    assert list(table(tmp_path / "out" / "segmentation.csv").index) == ["good"]
    shown = capsys.readouterr()
    assert "failed" in shown.out
    assert "7" in next(line for line in shown.out.splitlines() if "failed" in line)
    assert "failures.csv" in shown.err


@pytest.mark.parametrize("command", ["segment", "infection"])
def test_no_film_that_works_is_exit_code_2_in_one_line(command, tmp_path, networks, run, capsys):
    (tmp_path / "text.png").write_text("no image")
    assert run(command, "text.png", "missing.png") == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("patchcxr: error: none of 2 films could be used; the first, text: ")
    assert "\n" not in error


def test_missing_lungs_and_specks_are_defined_results_with_flags(tmp_path, networks, run, capsys):
    films = tmp_path / "films"
    none, left, speck = (chest() for _ in range(3))
    none[none != HEART] = BACKGROUND
    left[left == RIGHT] = BACKGROUND
    speck[speck == RIGHT] = BACKGROUND
    speck[60:64, 60:66] = RIGHT
    for name, film in (("none", none), ("left", left), ("speck", speck), ("mirrored", chest()[:, ::-1])):
        save(films / f"{name}.png", film)
    assert run("segment", "films") == 0
    rows = table(tmp_path / "segmentation" / "segmentation.csv")
    assert rows.loc["none", "flags"] == "no lungs"
    assert rows.loc["left", "flags"] == "one lung (right missing)"
    assert "tiny lung" in rows.loc["speck", "flags"]
    assert "swapped" in rows.loc["mirrored", "flags"]
    assert rows.loc["none", "cardiothoracic_ratio"] == ""
    assert rows.loc["none", "right_lung_percent"] == 0
    assert not mask(tmp_path / "segmentation", "right_lung", "left").any()
    printed = capsys.readouterr().out
    assert "one lung (right missing)" in printed
    assert next(line for line in printed.splitlines() if "flagged" in line).split() == ["flagged", "4"]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    return generate_cohort(folder, SyntheticConfig(size=256, patients=1, films_per_patient_max=1)), folder


def test_a_negative_and_a_film_upside_down_are_flagged(synthetic, tmp_path, networks, run):
    rows, folder = synthetic
    film = cv2.imread(str(folder / rows["image"].iloc[0]), cv2.IMREAD_GRAYSCALE)
    for name, pixels in (("as_it_is", film), ("negative", 255 - film), ("down", film[::-1])):
        save(tmp_path / f"{name}.png", np.ascontiguousarray(pixels))
    assert run("segment", "as_it_is.png", "negative.png", "down.png") == 0
    flags = table(tmp_path / "segmentation" / "segmentation.csv")["flags"]
    assert "negative" in flags["negative"]
    assert "turned" in flags["down"]
    assert "negative" not in flags["as_it_is"]
    assert "turned" not in flags["as_it_is"]


def test_memory_that_does_not_suffice_loses_nothing(tmp_path, networks, run):
    for number in range(7):
        save(tmp_path / "films" / f"{number}.png", np.roll(chest(), 24 * (number % 2), axis=1))
    assert run("segment", "films", "--out", "plenty", "--batch-size", "7") == 0
    networks["anatomy"] = trained(Levels(most=2), PARTITION)
    assert run("segment", "films", "--out", "little", "--batch-size", "7") == 0
    one, two = (pd.read_csv(tmp_path / out / "segmentation.csv") for out in ("plenty", "little"))
    pd.testing.assert_frame_equal(one, two)
    assert len(one) == 7


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, networks, run, capsys, monkeypatch):
    for number in range(4):
        save(tmp_path / "films" / f"{number}.png", chest())
    seen = []

    class Interrupted(Levels):
        def forward(self, x):
            if len(seen) == 2:
                raise KeyboardInterrupt
            seen.append(len(x))
            return super().forward(x)

    networks["anatomy"] = trained(Interrupted(), PARTITION)
    assert run("segment", "films", "--batch-size", "1") == 130
    assert len(list((tmp_path / "segmentation" / "labels").glob("*.npy"))) == 2
    seen[:] = [0]  # as many calls as are left, and one that is not made
    assert run("segment", "films", "--batch-size", "1") == 130
    seen.clear()
    assert run("segment", "films", "--batch-size", "1") == 0
    assert seen == [1]
    assert len(pd.read_csv(tmp_path / "segmentation" / "segmentation.csv")) == 4


def test_another_network_in_the_same_folder_is_refused_in_words(tmp_path, networks, run, capsys):
    save(tmp_path / "film.png", chest())
    assert run("segment", "film.png") == 0
    networks["anatomy"] = trained(Levels(scale=50.0), PARTITION)
    with torch.no_grad():
        networks["anatomy"].module.centres += 1e-4
    capsys.readouterr()
    assert run("segment", "film.png") == 2
    error = capsys.readouterr().err
    assert "holds the results of another network" in error
    assert "give another --out" in error
    assert run("segment", "film.png", "--out", "other") == 0


def test_another_film_of_the_same_name_is_segmented_anew(tmp_path, networks, run):
    save(tmp_path / "film.png", chest())
    assert run("segment", "film.png") == 0
    save(tmp_path / "film.png", chest()[:, ::-1])
    assert run("segment", "film.png") == 0
    assert_mask(mask(tmp_path / "segmentation", "right_lung", "film"), chest()[:, ::-1] == RIGHT)


def test_a_missing_network_and_a_wrong_device_are_told_in_words(tmp_path, networks, run, capsys):
    save(tmp_path / "film.png", chest())
    assert run("segment", "film.png", "--device", "tpu") == 2
    assert "'tpu'; expected auto or one that this machine has: cpu" in capsys.readouterr().err
    networks.clear()
    assert run("segment", "film.png") == 2
    assert "lacks the weights of its network 'anatomy'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("segment", "film.png", "--batch-size", "0")
    assert "expected a number from 1, or auto" in capsys.readouterr().err


def test_an_infection_network_is_no_anatomy_network(tmp_path, networks, run, capsys):
    save(tmp_path / "film.png", chest())
    networks["anatomy"] = networks["infection"]
    assert run("segment", "film.png") == 2
    assert "infection" in capsys.readouterr().err


def test_infection_counts_in_whole_lungs_and_is_written_as_mask_map_and_row(tmp_path, networks, run, capsys):
    """Bright is the part behind the heart (0.8): 2 of the 12 blocks of the left lung, none of the right."""
    film = chest()
    save(tmp_path / "film.png", film)
    save(tmp_path / "well.png", np.where(film == LEFT_BEHIND, HEART, film).astype(np.uint8))
    assert run("infection", "film.png", "well.png", "--colormap", "viridis") == 0
    out = tmp_path / "infection"
    rows = table(out / "infection.csv")
    assert list(rows["positive"]) == [True, False]
    assert rows.loc["film", "lungs_from"] == "network"
    assert rows.loc["film", "left_lung_percent"] == pytest.approx(100 * 2 / 12)
    assert rows.loc["film", "overall_percent"] == pytest.approx(100 * 2 / 22)
    assert rows.loc["film", "right_lung_percent"] == 0
    assert rows.loc["film", "score"] == pytest.approx(1 / (1 + np.exp(-40 * 0.05)), abs=1e-3)
    assert mask(out, "infection", "film")[70:90, 100:116].all()
    assert not mask(out, "infection", "well").any()
    drawn = cv2.imread(str(out / "maps" / "film.png"))[:, :192].astype(int)
    coloured = np.ptp(drawn, axis=2) > 20
    assert coloured[66:94, 98:118].all()
    assert not coloured[:, :90].any()
    printed = capsys.readouterr().out
    assert "1 of 2" in next(line for line in printed.splitlines() if "positive  " in line)


def test_lungs_of_the_cohort_are_used_where_every_film_has_them(tmp_path, networks, run):
    film = chest()
    save(tmp_path / "film.png", film)
    write_mask(tmp_path / "right.png", film == RIGHT)
    write_mask(tmp_path / "left.png", film == LEFT_BEHIND)
    pd.DataFrame(
        {"study": ["s"], "patient": ["p"], "image": ["film.png"], "right_lung_mask": ["right.png"],
         "left_lung_mask": ["left.png"]}
    ).to_csv(tmp_path / "c.csv", index=False)  # fmt: skip
    del networks["anatomy"]
    assert run("infection", "c.csv") == 0
    row = table(tmp_path / "infection" / "infection.csv").loc["s"]
    assert row["lungs_from"] == "cohort"
    assert row["left_lung_percent"] == 100
    assert row["overall_percent"] == pytest.approx(100 * 2 / 12)


def test_the_rule_can_be_changed_and_the_results_follow(tmp_path, networks, run):
    save(tmp_path / "film.png", chest())
    for threshold, positive in ((0.5, True), (0.95, False)):
        assert run("infection", "film.png", "--set", f"threshold={threshold}") == 0
        assert table(tmp_path / "infection" / "infection.csv").loc["film", "positive"] == positive
        assert mask(tmp_path / "infection", "infection", "film").any() == positive


def test_predictions_are_evaluated_against_true_masks(tmp_path, networks, run, capsys):
    films = tmp_path / "films"
    for name in ("a", "b"):
        save(films / f"{name}.png", chest())
    assert run("segment", "films") == 0
    truth = pd.read_csv(tmp_path / "segmentation" / "cohort.csv")
    half = chest() == RIGHT
    half[:, :36] = False  # the first half of a lung of 48 columns from 24 on: 12 of 48
    write_mask(tmp_path / "half.png", half)
    # A file that stands on both sides was handed on and is not compared, so the truth of b is a copy.
    shutil.copy(truth.loc[1, "right_lung_mask"], tmp_path / "same.png")
    truth["right_lung_mask"] = ["half.png", "same.png"]
    truth.to_csv(tmp_path / "truth.csv", index=False)
    capsys.readouterr()
    assert run("evaluate", "segmentation/cohort.csv", "truth.csv", "--out", "e") == 0
    scores = pd.read_csv(tmp_path / "e" / "films.csv").set_index(["study", "structure"])
    assert scores.loc[("a", "right_lung"), "jaccard"] == pytest.approx(0.75, abs=1e-3)
    assert scores.loc[("a", "right_lung"), "dice"] == pytest.approx(2 * 36 / (48 + 36), abs=1e-3)
    assert scores.loc[("b", "right_lung"), "jaccard"] == 1
    summary = pd.read_csv(tmp_path / "e" / "summary.csv").set_index(["structure", "measure"])
    assert summary.loc[("right_lung", "jaccard"), "mean"] == pytest.approx(0.875, abs=1e-3)
    assert "right_lung" in capsys.readouterr().out


@pytest.mark.real
def test_dicom_films_get_segmentation_objects_and_others_none(tmp_path, networks, run, real_data):
    from patchcxr.io.dicom_seg import read_dicom_seg

    source = real_data / "dicom" / "RG1_UNCI.dcm"
    if not source.is_file():
        pytest.skip("no DICOM film")
    shutil.copy(source, tmp_path / "film.dcm")
    save(tmp_path / "plain.png", chest())
    assert run("segment", "film.dcm", "plain.png", "--dicom-seg", "--no-pictures") == 0
    out = tmp_path / "segmentation"
    assert [path.name for path in (out / "dicom_seg").iterdir()] == ["film.dcm"]
    for name, found in read_dicom_seg(out / "dicom_seg" / "film.dcm").items():
        np.testing.assert_array_equal(found, mask(out, name, "film"))
    assert not (out / "overlays").exists()
