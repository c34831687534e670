from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.synthetic import SyntheticConfig, generate_cohort
from patchcxr.data.synthetic import cohort as cohort_module

SETTINGS = SyntheticConfig(size=128, patients=12, seed=1)
COLUMNS = [
    *("study", "patient", "image", "label", "view", "age_years", "sex", "source", "split", "fold", "days"),
    *("right_lung_mask", "left_lung_mask", "heart_mask", "lung_mask", "infection_mask", "licence"),
    *("cardiothoracic_ratio_true", "severity_true", "severity_right_true", "severity_left_true"),
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("cohort")
    return root, generate_cohort(root, SETTINGS)


def read(root, path):
    pixels = cv2.imread(str(root / path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


def test_table_has_the_columns_of_a_cohort_and_the_truth(drawn):
    root, table = drawn
    assert list(table.columns) == COLUMNS
    assert table["study"].is_unique
    assert (table[["lung_mask", "split", "fold"]] == "").all(axis=None)
    assert set(table["licence"]) == {"CC0-1.0 (synthetic)"}
    stored = pd.read_csv(root / "cohort.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(stored, table, check_dtype=False)


def test_bit_depths_on_disk_are_those_of_the_sources(drawn):
    root, table = drawn
    assert set(table["source"]) == {"A", "B", "C"}
    expected = {"A": (np.uint8, 128, 255), "B": (np.uint16, 2048, 4095), "C": (np.uint16, 32768, 65535)}
    for row in table.itertuples():
        pixels = read(root, row.image)
        dtype, least, most = expected[row.source]
        assert pixels.dtype == dtype
        assert pixels.ndim == 2
        assert least <= pixels.max() <= most


def test_truth_can_be_worked_out_from_the_files(drawn):
    root, table = drawn
    for row in table.itertuples():
        masks = {}
        for name in ("right_lung_mask", "left_lung_mask", "heart_mask", "infection_mask"):
            mask = read(root, getattr(row, name))
            assert mask.shape == read(root, row.image).shape
            assert set(np.unique(mask)) <= {0, 255}
            masks[name] = mask > 0
        lungs = masks["right_lung_mask"] | masks["left_lung_mask"]
        heart, chest = (np.flatnonzero(mask.any(axis=0)) for mask in (masks["heart_mask"], lungs))
        ratio = (heart[-1] - heart[0] + 1) / (chest[-1] - chest[0] + 1)
        assert row.cardiothoracic_ratio_true == pytest.approx(ratio)
        assert row.severity_true == pytest.approx(100 * (masks["infection_mask"] & lungs).sum() / lungs.sum())
        assert (row.severity_true == 0) == (row.label == "normal")


def test_days_rise_within_a_patient(drawn):
    _, table = drawn
    followed = table[table.groupby("patient")["study"].transform("size") > 1]
    assert set(followed["label"]) <= {"viral", "covid19"}
    assert len(followed)
    assert table.groupby("patient")["days"].apply(lambda days: days.is_monotonic_increasing and days.is_unique).all()


def test_a_second_call_draws_nothing_and_returns_the_same(drawn, monkeypatch):
    root, table = drawn

    def refuse(*_: object) -> None:
        raise AssertionError("a finished film was drawn again")

    monkeypatch.setattr(cohort_module, "synthetic_film", refuse)
    seen = []
    again = generate_cohort(root, SETTINGS, progress=lambda done, total: seen.append((done, total)))
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    assert seen[-1] == (len(table), len(table))


def test_an_interrupted_cohort_goes_on_and_other_settings_draw_anew(tmp_path):
    few = dataclasses.replace(SETTINGS, patients=2, size=96)
    generate_cohort(tmp_path, few)
    before = {path: path.read_bytes() for path in (tmp_path / "images").iterdir()}
    more = generate_cohort(tmp_path, dataclasses.replace(few, patients=3))
    assert more["patient"].nunique() == 3
    assert all(path.read_bytes() == content for path, content in before.items())
    generate_cohort(tmp_path, dataclasses.replace(few, seed=9))
    assert any(path.read_bytes() != content for path, content in before.items())


def test_a_damaged_record_is_drawn_again(tmp_path):
    few = dataclasses.replace(SETTINGS, patients=1, size=96)
    table = generate_cohort(tmp_path, few)
    (tmp_path / "truth" / f"{table['study'][0]}.json").write_text("{")
    (tmp_path / table["image"][0]).unlink()
    generate_cohort(tmp_path, few)
    assert (tmp_path / table["image"][0]).exists()
