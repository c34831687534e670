"""Looks of films: drawn shapes, synthetic chests turned and inverted, and rates on real films.

The templates and the way of comparing were settled with all public films in view, the limits on the half of
them whose names hash to an even number. The rates asserted here are those of the other half.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from patchcxr.data.synthetic import SyntheticConfig, synthetic_film
from patchcxr.errors import ImageError
from patchcxr.measure._chest_templates import draw_lateral_chest, frontal_template
from patchcxr.measure.appearance import appearance, burnt_in_marks
from patchcxr.measure.chest_view import chest_grid, find_frame, view_chest

SCORES = ("frontal_score", "lateral_score", "inverted_score", "rotation_score", "mirrored_score", "chest_score")


@lru_cache
def chest(patient=0, severity=1.0):
    settings = SyntheticConfig(size=256, seed=5, severity=severity, sources=("A", "B", "C", "D"))
    return synthetic_film(settings, patient).pixels


def framed(film, rows, columns, level):
    return np.pad(film, ((rows, rows), (columns, columns)), constant_values=level)


@pytest.mark.slow
def test_the_frontal_template_is_the_mean_of_synthetic_films():
    settings = SyntheticConfig(size=128, sources=("A", "B", "C", "D"))
    films = (synthetic_film(settings, patient).pixels for patient in range(120))
    mean = np.mean([chest_grid(find_frame(film).cut(film)) for film in films], axis=0)
    # Encode np.clip(np.rint(80 * mean) + 128, 0, 255) by base64.b85encode to renew the stored one.
    np.testing.assert_allclose(frontal_template(), mean, atol=0.03)


def test_chests_are_upright_frontal_positives_also_with_severe_disease():
    for severity in (1.0, 3.0):
        for patient in range(20):
            seen = appearance(chest(patient, severity))
            assert seen.rotation_degrees == 0
            assert seen.rotation_score < 0
            assert seen.inverted_score < 0
            assert seen.lateral_score < 0
            assert seen.chest_score > 0.6


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_turning_a_film_turns_rotation_degrees_and_no_other_score(quarter):
    for patient in range(4):
        film = np.ascontiguousarray(chest(patient)[:, :224])
        seen, turned = appearance(film), appearance(np.rot90(film, quarter))
        assert turned.rotation_degrees == 90 * quarter
        assert turned.rotation_score > 0
        for name in ("frontal_score", "lateral_score", "inverted_score", "mirrored_score", "border_share"):
            assert getattr(turned, name) == pytest.approx(getattr(seen, name), abs=0.02), name


def test_turning_back_as_documented_stands_a_film_upright():
    turned = np.rot90(chest(1), 3)
    back = np.rot90(turned, -appearance(turned).rotation_degrees // 90)
    np.testing.assert_array_equal(back, chest(1))


def test_inverting_a_film_turns_the_sign_of_its_inverted_score_alone():
    for patient in range(8):
        seen, negative = appearance(chest(patient)), appearance(1 - chest(patient))
        assert negative.inverted_score == pytest.approx(-seen.inverted_score, abs=1e-3)
        for name in ("frontal_score", "lateral_score", "rotation_score", "rotation_degrees", "mirrored_score"):
            assert getattr(negative, name) == pytest.approx(getattr(seen, name), abs=1e-3), name
        assert negative.dark_clipped_share == seen.bright_clipped_share


def test_mirroring_a_film_turns_the_sign_of_its_mirrored_score():
    scores = []
    for patient in range(20):
        seen, mirrored = appearance(chest(patient)), appearance(chest(patient)[:, ::-1])
        assert mirrored.mirrored_score == pytest.approx(-seen.mirrored_score, abs=0.02)
        assert mirrored.rotation_degrees == 0
        scores.append(seen.mirrored_score)
    assert np.mean(np.array(scores) < 0) >= 0.9


def test_a_film_flipped_upside_down_is_turned_by_180_degrees_and_mirrored():
    seen = appearance(chest(2)[::-1])
    assert seen.rotation_degrees == 180
    assert seen.mirrored_score > 0


@pytest.mark.parametrize(("scale", "offset"), [(0.5, 0.25), (0.05, 0.0), (1 / 16, 0.9)])
def test_scaling_the_contrast_changes_nothing_but_the_contrast(scale, offset):
    film = chest(3)
    seen, scaled = asdict(appearance(film)), asdict(appearance(offset + scale * film))
    assert scaled.pop("contrast") == pytest.approx(scale * seen.pop("contrast"), rel=1e-3)
    assert scaled == pytest.approx(seen, abs=5e-3)


def test_scores_hardly_depend_on_gamma_and_bit_depth():
    seen = appearance(chest(4))
    for other in (chest(4) ** 2.2, chest(4) ** 0.5, np.rint(chest(4) * 63) / 63):
        changed = appearance(other.astype(np.float32))
        for name in SCORES:
            assert getattr(changed, name) == pytest.approx(getattr(seen, name), abs=0.05), name


def test_a_frame_is_measured_and_does_not_change_the_view():
    film = chest(0)
    bare = appearance(film)
    for level in (0.0, 1.0):
        seen = appearance(framed(film, 64, 32, level))
        assert seen.border_share == pytest.approx(1 - 256 * 256 / (384 * 320), abs=0.03)
        assert seen.frontal_score == pytest.approx(bare.frontal_score, abs=0.05)
        assert seen.rotation_degrees == 0
        assert seen.inverted_score < 0


def test_nested_frames_are_taken_off_one_after_the_other():
    film = framed(framed(chest(0), 8, 8, 1.0), 40, 40, 0.0)
    assert find_frame(film).border_share == pytest.approx(1 - 256 * 256 / 352**2, abs=0.03)


def test_a_frame_leaves_a_quarter_of_each_side():
    film = np.zeros((200, 200), np.float32)
    film[100, 100] = 1
    frame = find_frame(film)
    assert frame.bottom - frame.top >= 0.25
    assert frame.right - frame.left >= 0.25


def test_a_drawn_lateral_chest_is_lateral_whichever_way_it_faces():
    lateral = draw_lateral_chest(300)
    lateral += np.random.default_rng(0).normal(0, 0.02, lateral.shape).astype(np.float32)
    for film in (lateral, lateral[:, ::-1]):
        seen = appearance(film)
        assert seen.lateral_score > 0.2
        assert seen.chest_score > 0.8


def test_noise_and_geometry_fit_a_chest_worse_than_chests_do():
    rng = np.random.default_rng(3)
    others = [rng.random((256, 256)) for _ in range(5)]
    others += [np.tile(np.linspace(0, 1, 256), (256, 1)), np.indices((256, 256)).sum(0) // 32 % 2 * 1.0]
    worst_chest = min(appearance(chest(patient)).chest_score for patient in range(20))
    assert max(appearance(other.astype(np.float32)).chest_score for other in others) < 0.5 < worst_chest


def test_a_constant_film_is_blank_and_has_no_scores():
    for level in (0.0, 0.4, 1.0):
        seen = appearance(np.full((100, 80), level, np.float32))
        assert (seen.blank_share, seen.border_share, seen.text_share) == (1.0, 0.0, 0.0)
        assert seen.contrast == pytest.approx(0, abs=1e-6)
        assert all(getattr(seen, name) == 0 for name in SCORES)
        assert seen.rotation_degrees == 0


def test_blank_share_counts_cells_without_structure():
    film = np.zeros((256, 256), np.float32)
    film[:64] = np.random.default_rng(0).random((64, 256))
    assert appearance(film).blank_share == pytest.approx(0.75, abs=0.02)
    film[:] = 0.5
    film[4, 4] = 1
    assert appearance(film).blank_share == pytest.approx(1 - 1 / 32**2)


def test_clipped_shares_are_those_that_were_clipped():
    ramp = np.tile(np.linspace(0, 1, 400, dtype=np.float32), (300, 1))
    seen = appearance(np.clip(ramp, 0.2, 0.9))
    assert seen.dark_clipped_share + seen.border_share / 3 == pytest.approx(0.2, abs=0.13)
    wavy = ramp + 0.2 * np.sin(np.linspace(0, 60, 300, dtype=np.float32))[:, None]
    clipped = np.clip(wavy, 0.2, 0.9)
    seen = appearance(clipped)
    frame = find_frame(clipped)
    inside = frame.cut(clipped)
    assert seen.dark_clipped_share == pytest.approx((inside <= 0.2055).mean(), abs=0.01)
    assert seen.bright_clipped_share == pytest.approx((inside >= 0.8945).mean(), abs=0.01)
    assert seen.bright_clipped_share > 0.05


def test_marks_are_found_where_they_were_written():
    film = cv2.GaussianBlur(np.random.default_rng(0).random((512, 512)).astype(np.float32), (0, 0), 25)
    film = 0.2 + 0.5 * (film - film.min()) / np.ptp(film)
    assert not burnt_in_marks(film).any()
    ink = np.zeros(film.shape, np.uint8)
    cv2.putText(ink, "AP ERECT", (300, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    cv2.arrowedLine(ink, (100, 300), (140, 330), 255, 4, tipLength=0.4)
    for level in (1.0, 0.0):
        written = np.where(ink > 0, np.float32(level), film)
        found = burnt_in_marks(written)
        assert found[ink > 0].mean() > 0.95
        assert found[ink == 0].mean() < 0.001
        assert appearance(written).text_share == pytest.approx((ink > 0).mean(), rel=0.1)


def test_large_boxes_and_long_lines_are_no_marks():
    film = np.full((512, 512), 0.3, np.float32)
    film[::2] += 0.02
    film[100:180, 50:200] = 1
    film[:, 300:304] = 1
    film[0, 0] = 0
    assert not burnt_in_marks(film).any()


@pytest.mark.parametrize("shape", [(1, 1), (2, 700), (40, 33), (3000, 50), (7, 7)])
def test_any_shape_is_described(shape, rng):
    seen = appearance(rng.random(shape).astype(np.float32))
    assert (seen.rows, seen.columns) == shape
    assert all(np.isfinite(value) for value in asdict(seen).values())
    assert all(-2 <= getattr(seen, name) <= 2 for name in SCORES)


@pytest.mark.parametrize("film", [np.zeros((0, 4)), np.zeros((4, 4, 3)), np.full((40, 40), np.nan)])
def test_what_is_no_film_is_refused(film):
    with pytest.raises(ImageError, match="expected"):
        appearance(film)
    with pytest.raises(ImageError, match="expected"):
        view_chest(film)


def held_out(path: Path) -> bool:
    return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % 2 == 1


@lru_cache(maxsize=1)
def real_views(root: Path) -> pd.DataFrame:
    """Views of the held-out real films, as they are, inverted, and turned by 90, 180 or 270 degrees."""
    metadata = pd.read_csv(root / "cohen" / "metadata.csv")
    laterals = set(metadata.loc[metadata["view"].eq("L"), "filename"])
    rows = []
    for folder in ("jsrt", "cohen", "nih", "tb", "kermany", "hannover"):
        paths = [path for path in sorted((root / folder / "images").iterdir()) if held_out(path)]
        # Some of each folder keep the test short; laterals are few, so all of them, of both halves, are taken.
        kept = paths[::4]
        if folder == "cohen":
            kept = [path for path in kept if path.name not in laterals]
            kept += [root / folder / "images" / name for name in sorted(laterals)]
        for index, path in enumerate(kept):
            film = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            film = cv2.resize(film.astype(np.float32) / 255, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            quarter = index % 3 + 1
            for kind, other in (("same", film), ("inverted", 1 - film), ("turned", np.rot90(film, quarter))):
                seen = asdict(view_chest(find_frame(other).cut(other)))
                lateral = path.name in laterals
                rows.append({"folder": folder, "kind": kind, "lateral": lateral, "quarter": quarter, **seen})
    return pd.DataFrame(rows)


@pytest.mark.real
@pytest.mark.slow
def test_negatives_among_real_films_are_told(real_data):
    views = real_views(real_data)[lambda table: ~table["lateral"]]
    inverted = views["inverted_score"] >= 0.05
    assert inverted[views["kind"] == "inverted"].mean() >= 0.97
    assert inverted[views["kind"] == "same"].mean() <= 0.01


@pytest.mark.real
@pytest.mark.slow
def test_turned_real_films_are_told_with_their_angle(real_data):
    views = real_views(real_data)[lambda table: ~table["lateral"]]
    turned = views[views["kind"] == "turned"]
    assert (turned["rotation_degrees"] == 90 * turned["quarter"]).mean() >= 0.98
    assert (turned["rotation_score"] >= 0.05).mean() >= 0.97
    assert (views.loc[views["kind"] == "same", "rotation_score"] >= 0.05).mean() <= 0.01


@pytest.mark.real
@pytest.mark.slow
def test_most_real_lateral_views_are_told_and_hardly_a_frontal_one_is_taken_for_one(real_data):
    views = real_views(real_data)[lambda table: table["kind"] == "same"]
    lateral = views["lateral_score"] >= 0.1
    assert lateral[views["lateral"]].sum() >= 11
    assert lateral[~views["lateral"]].mean() <= 0.005
    assert not (views.loc[~views["lateral"], "lateral_score"] >= 0.2).any()


@pytest.mark.real
@pytest.mark.slow
def test_the_side_of_the_heart_is_right_for_most_films_of_upright_adults(real_data):
    views = real_views(real_data)[lambda table: (table["kind"] == "same") & table["folder"].isin(["jsrt", "nih", "tb"])]
    assert (views["mirrored_score"] < 0).mean() >= 0.75
