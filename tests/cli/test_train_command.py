"""``train`` says how the training went, and its network serves ``segment``."""

import pandas as pd
import pytest

from patchcxr.cli import main
from patchcxr.cli.stages import _on_device
from patchcxr.data.synthetic import SyntheticConfig, generate_cohort


def test_a_device_is_set_for_the_section_of_its_network():
    assert _on_device("anatomy", None) == []
    assert _on_device("infection", "cpu") == ["infection.train.accelerator=cpu"]
    assert _on_device("local", "cpu") == ["classification.local_classifier.train.accelerator=cpu"]


@pytest.mark.slow
def test_a_trained_network_is_summed_up_and_segments_films(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generate_cohort(tmp_path / "films", SyntheticConfig(size=64, patients=30, films_per_patient_max=1))
    settings = ["anatomy.model={architecture: compact_unet, num_classes: 4}", "anatomy.train.epochs=2"]
    changes = [word for setting in settings for word in ("--set", setting)]
    arguments = ["train", "anatomy", "films/cohort.csv", "--config", "smoke", "--out", "run", "--device", "cpu"]
    assert main([*arguments, *changes]) == 0
    printed = capsys.readouterr().out
    history = pd.read_csv("run/history.csv")
    assert len(history) == 2
    best = history.loc[history["val_loss"].idxmin()]
    line = next(line for line in printed.splitlines() if "best epoch" in line)
    assert line.split() == ["best", "epoch", str(int(best["epoch"]))]
    assert f"{best['val_loss']:.4f}" in printed
    assert "compact_unet, 4.4 M weights" in printed
    assert main(["segment", "films/cohort.csv", "--model", "run/model.safetensors", "--no-pictures"]) == 0
    assert len(pd.read_csv("segmentation/segmentation.csv")) == 30
    assert main(["evaluate", "segmentation/cohort.csv", "films/cohort.csv", "--out", "e"]) == 0
    assert set(pd.read_csv("e/summary.csv")["structure"]) >= {"right_lung", "left_lung", "heart"}
