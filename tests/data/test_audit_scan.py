"""One look at every film, cached, in processes that a film may kill."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

import patchcxr.data.audit._film as film_module
import patchcxr.data.audit._pool as pool_module
import patchcxr.data.audit.scan as scan_module
from patchcxr.data.audit.findings import Finding, row_names
from patchcxr.data.audit.scan import scan_films
from patchcxr.data.audit.settings import AuditConfig
from patchcxr.data.cohort import complete_columns
from patchcxr.data.duplicates import difference_hash
from patchcxr.errors import CohortError, ConfigError
from patchcxr.measure.appearance import Appearance, appearance


@pytest.fixture
def cohort(tmp_path, rng):
    """Four films of 128 x 96 pixels; the first has both lungs and an infection."""
    rows = []
    for index in range(4):
        smooth = ndimage.gaussian_filter(rng.random((128, 96)), 4)
        pixels = np.rint(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
        path = tmp_path / f"{index}.png"
        cv2.imwrite(str(path), pixels)
        rows.append({"study": f"s{index}", "patient": f"p{index}", "image": str(path)})
    masks = {"right_lung_mask": np.s_[32:96, 8:40], "left_lung_mask": np.s_[32:96, 56:88]}
    masks["infection_mask"] = np.s_[80:112, 8:40]
    for column, where in masks.items():
        mask = np.zeros((128, 96), np.uint8)
        mask[where] = 255
        rows[0][column] = str(tmp_path / f"{column}.png")
        cv2.imwrite(rows[0][column], mask)
    return complete_columns(pd.DataFrame(rows))


def test_each_film_is_measured_in_its_own_row(cohort):
    scan = scan_films(cohort)
    path = cohort["image"].iloc[2]
    gray = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    facts = scan.facts.iloc[2]
    assert (facts["study"], facts["error"], facts["rows"], facts["columns"], facts["bit_depth"]) == (
        "s2",
        "",
        128,
        96,
        8,
    )
    assert facts["file_digest"] == hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    np.testing.assert_array_equal(scan.hashes[2], difference_hash(gray / 255))
    np.testing.assert_array_equal(scan.thumbnails[2], cv2.resize(gray, (64, 64), interpolation=cv2.INTER_AREA))
    for field in dataclasses.fields(Appearance):
        assert facts[field.name] == pytest.approx(getattr(appearance(gray / np.float32(255)), field.name), abs=1e-5)
    assert scan.facts["pixel_digest"].nunique() == 4
    assert scan.readable.all()


def test_masks_are_measured_by_hand_worked_shares(cohort):
    scan = scan_films(cohort)
    facts = scan.facts.iloc[0]
    assert facts["right_lung_share"] == pytest.approx(64 * 32 / (128 * 96))
    assert facts["right_lung_column"] == pytest.approx(24 / 96)
    assert facts["left_lung_column"] == pytest.approx(72 / 96)
    assert facts["lung_overlap"] == 0
    assert facts["infection_outside_share"] == pytest.approx(0.5)  # rows 96 to 112 of 80 to 112
    assert np.isnan(facts["lung_agreement"])
    assert scan.has_lungs.tolist() == [True, False, False, False]
    expected = np.zeros((64, 64), bool)
    for first, last in ((8, 40), (56, 88)):
        expected[16:48, round(first * 64 / 96) : round(last * 64 / 96)] = True
    assert (scan.lungs[0] != expected).mean() < 0.02
    without = scan_films(cohort, AuditConfig(masks=False))
    assert not without.has_lungs.any()
    assert without.facts["right_lung_share"].isna().all()


def test_a_film_that_cannot_be_used_is_a_row_with_its_error(cohort, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    cohort.loc[[1, 2, 3], "image"] = [str(tmp_path / "text.png"), "/no/such/film.png", pd.NA]
    scan = scan_films(cohort)
    assert scan.readable.tolist() == [True, False, False, False]
    assert "text.png" in scan.facts["error"][1]
    assert "no such image file" in scan.facts["error"][2]
    assert "(empty path)" in scan.facts["error"][3]
    assert not scan.hashes[1:].any()
    assert not scan.thumbnails[1:].any()
    assert scan.facts["rows"][1:].isna().all()


def test_whatever_a_decoder_raises_ends_no_scan(cohort, monkeypatch):
    def fails(path):
        if path.endswith("1.png"):
            raise ZeroDivisionError("inside a decoder")
        return read(path)

    read = film_module.read_radiograph
    monkeypatch.setattr(film_module, "read_radiograph", fails)
    scan = scan_films(cohort)
    assert scan.readable.tolist() == [True, False, True, True]
    assert "ZeroDivisionError (inside a decoder)" in scan.facts["error"][1]


@pytest.fixture
def opened(monkeypatch):
    """Paths of the films that were decoded."""
    paths = []
    measure = pool_module.measure_film
    monkeypatch.setattr(pool_module, "measure_film", lambda files: paths.append(files.image) or measure(files))
    return paths


def test_a_second_scan_opens_only_what_changed(cohort, tmp_path, opened):
    first = scan_films(cohort, cache=tmp_path / "cache")
    assert len(opened) == 4
    opened.clear()
    again = scan_films(cohort, cache=tmp_path / "cache")
    assert opened == []
    pd.testing.assert_frame_equal(again.facts, first.facts)
    for name in ("hashes", "thumbnails", "lungs", "has_lungs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    os.utime(cohort["image"].iloc[1], (1, 1))
    cohort.loc[2, "lung_mask"] = cohort["right_lung_mask"].iloc[0]
    Path(cohort["infection_mask"].iloc[0]).unlink()
    changed = scan_films(cohort, cache=tmp_path / "cache")
    assert opened == cohort["image"].iloc[[0, 1, 2]].tolist()
    assert changed.facts["mask_errors"][0].startswith("infection_mask missing: ")


def test_another_version_of_the_measures_opens_all_films_again(cohort, tmp_path, opened, monkeypatch):
    scan_films(cohort, cache=tmp_path)
    monkeypatch.setattr(film_module, "measures_version", lambda: "another")
    scan_films(cohort, cache=tmp_path)
    assert len(opened) == 8


def test_an_interrupted_scan_goes_on_where_it_stopped(cohort, tmp_path, opened, monkeypatch):
    monkeypatch.setattr(scan_module, "_PART", 1)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_films(cohort, cache=tmp_path, progress=stop)
    seen = []
    scan_films(cohort, cache=tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert opened == cohort["image"].tolist()
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_film_that_could_not_be_read_is_tried_again(cohort, tmp_path, opened):
    (tmp_path / "late.png").write_bytes(b"")
    image = cohort["image"].iloc[1]
    cohort.loc[1, "image"] = str(tmp_path / "late.png")
    assert not scan_films(cohort, cache=tmp_path).readable[1]
    opened.clear()
    scan_films(cohort, cache=tmp_path)
    assert opened == [str(tmp_path / "late.png")]
    (tmp_path / "late.png").write_bytes(Path(image).read_bytes())
    assert scan_films(cohort, cache=tmp_path).readable.all()


def test_a_cache_that_is_none_is_refused(cohort, tmp_path):
    (tmp_path / "films.sqlite").write_bytes(b"something else " * 100)
    with pytest.raises(CohortError, match="delete it"):
        scan_films(cohort, cache=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CohortError, match="another cache folder"):
        scan_films(cohort, cache=tmp_path / "file")


def test_the_cache_is_one_file_that_holds_no_paths(cohort, tmp_path):
    scan_films(cohort, cache=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["films.sqlite"]
    database = sqlite3.connect(tmp_path / "cache" / "films.sqlite")
    assert database.execute("SELECT count(*) FROM films").fetchone() == (4,)
    database.close()
    assert str(tmp_path).encode() not in (tmp_path / "cache" / "films.sqlite").read_bytes()


def die(files):
    """Stand-in for a decoder that takes the process with it."""
    if files.image.endswith("2.png"):
        os._exit(1)
    return film_module.measure_film(files)


@pytest.mark.slow
def test_processes_give_what_one_process_gives_and_a_film_may_kill_one(cohort, monkeypatch):
    alone, together = scan_films(cohort), scan_films(cohort, workers=2)
    pd.testing.assert_frame_equal(together.facts, alone.facts)
    np.testing.assert_array_equal(together.hashes, alone.hashes)
    monkeypatch.setattr(pool_module, "measure_film", die)
    scan = scan_films(cohort, workers=2)
    assert scan.readable.tolist() == [True, True, False, True]
    assert "was killed" in scan.facts["error"][2]
    with pytest.raises(ConfigError, match="workers is -1"):
        scan_films(cohort, workers=-1)


def test_an_empty_cohort_gives_an_empty_scan(cohort):
    scan = scan_films(cohort.iloc[:0])
    assert len(scan) == 0
    assert scan.thumbnails.shape == (0, 64, 64)


def test_every_row_has_its_own_name():
    table = pd.DataFrame({"study": ["a", "b", "a", None, "a"]}, index=[5, 5, 5, 5, 5])
    assert row_names(table).tolist() == ["a", "b", "a (row 3)", "row 4", "a (row 5)"]


def test_settings_and_findings_out_of_range_are_refused():
    for wrong in ({"minimum_side": -1}, {"duplicate_correlation": 1.5}, {"fail_on": "often"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            AuditConfig(**wrong)
    with pytest.raises(ConfigError, match="severity"):
        Finding("check", "fatal", "", "")
    with pytest.raises(ConfigError, match="leave out"):
        Finding("check", "note", "", "", studies=("a",), drop=("b",))
