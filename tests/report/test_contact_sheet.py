from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from patchcxr.errors import CohortError, ConfigError
from patchcxr.io.masks import write_mask
from patchcxr.report import contact_sheet as sheets
from patchcxr.report.contact_sheet import Exhibit, Group, choose, contact_sheet, contact_sheet_figure, exhibit

EVIL = "$x^2$ <b>\nline\u202e"


@pytest.fixture
def films(tmp_path: Path, rng: np.random.Generator) -> pd.DataFrame:
    """Three films of two groups: landscape with masks, portrait, and one that is not there."""
    for name, shape in (("wide", (60, 120)), ("tall", (120, 80))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), rng.integers(0, 255, shape).astype(np.uint8))
    right, left = (np.zeros((60, 120), dtype=bool) for _ in range(2))
    right[10:50, 10:40], left[10:50, 80:110] = True, True
    write_mask(tmp_path / "right.png", right)
    write_mask(tmp_path / "left.png", left)
    return pd.DataFrame(
        {
            "study": ["wide", "tall", EVIL],
            "patient": ["p", "p", "q"],
            "image": [str(tmp_path / f"{name}.png") for name in ("wide", "tall", "gone")],
            "source": ["west", "east", "east"],
            "label": ["normal", "covid19", "covid19"],
            "right_lung_mask": [str(tmp_path / "right.png"), None, None],
            "left_lung_mask": [str(tmp_path / "left.png"), None, None],
        }
    )


def test_groups_are_sorted_counted_and_cut():
    table = pd.DataFrame(
        {
            "study": [f"s{index}" for index in range(10)],
            "patient": [f"p{index // 2}" for index in range(10)],
            "image": "x",
            "source": ["b"] * 6 + ["a"] * 4,
            "label": ["l"] * 9 + [None],
        }
    )
    groups = choose(table, 3, ("source", "label"))
    assert [(group.names, group.films, group.patients, len(group.shown)) for group in groups] == [
        (("a", "(none)"), 1, 1, 1),
        (("a", "l"), 3, 2, 3),
        (("b", "l"), 6, 3, 3),
    ]


def test_the_choice_depends_on_seed_and_ids_and_not_on_the_order_of_the_rows(rng):
    table = pd.DataFrame({"study": [f"s{index}" for index in range(50)], "image": "x", "source": "a"})
    mixed = table.iloc[rng.permutation(50)]

    def chosen(films: pd.DataFrame, count: int, seed: int = 0) -> list[str]:
        return [film["study"] for film in choose(films, count, ("source",), seed)[0].shown]

    assert chosen(table, 8) == chosen(mixed, 8)
    assert chosen(table, 8)[:4] == chosen(table, 4)
    assert chosen(table, 8) != chosen(table, 8, seed=1)
    assert chosen(table, 8) != [f"s{index}" for index in range(8)]


def test_a_film_keeps_its_aspect_ratio_and_its_lungs_are_united(films):
    wide, tall = (exhibit(dict(row.dropna())) for _, row in films.head(2).iterrows())
    assert wide.film is not None
    assert (wide.film.shape, tall.film.shape) == ((60, 120), (120, 80))
    assert list(wide.outlines) == ["Lungs"]
    assert wide.outlines["Lungs"].sum() == 2 * 40 * 30
    assert (wide.fault, tall.outlines) == ("", {})


def test_large_films_are_reduced_with_their_masks(tmp_path):
    cv2.imwrite(str(tmp_path / "film.png"), np.tile(np.arange(1280, dtype=np.uint16) * 40, (640, 1)))
    mask = np.zeros((640, 1280), dtype=bool)
    mask[:, :320] = True
    write_mask(tmp_path / "mask.png", mask)
    shown = exhibit({"study": "s", "image": str(tmp_path / "film.png"), "heart_mask": str(tmp_path / "mask.png")})
    assert shown.film.shape == shown.outlines["Heart"].shape == (160, 320)
    assert shown.outlines["Heart"].sum() == 160 * 80


def test_the_mask_of_both_lungs_stands_before_the_single_ones(films, tmp_path):
    write_mask(tmp_path / "both.png", np.eye(60, 120, dtype=bool))
    shown = exhibit({**films.iloc[0].dropna(), "lung_mask": str(tmp_path / "both.png")})
    assert shown.outlines["Lungs"].sum() == 60


def test_a_film_that_is_not_there_and_a_mask_that_does_not_fit_are_named(films, tmp_path):
    gone = exhibit(dict(films.iloc[2].dropna()))
    assert gone.film is None
    assert gone.fault.startswith("no such image file")
    assert str(tmp_path) not in gone.fault
    unfit = exhibit({**films.iloc[1].dropna(), "heart_mask": str(tmp_path / "right.png")})
    assert unfit.film is not None
    assert (unfit.outlines, unfit.fault) == ({}, "heart_mask unusable")


def test_the_picture_has_a_box_a_film_in_rows_of_the_films_own_shapes(films):
    groups = choose(films, 4, ("source", "label"))
    rows = [(group, [exhibit(film) for film in group.shown]) for group in groups]
    figure = contact_sheet_figure(rows, 4)
    captions = {axes.get_xlabel() for axes in figure.axes}
    assert captions == {"wide", "tall", "$x^2$ <b>¤line¤"}
    drawn = {axes.get_xlabel(): axes for axes in figure.axes}
    assert drawn["wide"].images[0].get_array().shape == (60, 120)
    assert drawn["tall"].get_position().y0 > drawn["wide"].get_position().y1
    assert not drawn["$x^2$ <b>¤line¤"].images
    assert any("no such image file" in text.get_text().replace("\n", " ") for text in drawn["$x^2$ <b>¤line¤"].texts)
    assert [text.get_text() for text in figure.legends[0].texts] == ["Lungs"]


def test_the_outline_lies_around_the_mask(films):
    group = Group(("west",), 1, 1, [])
    figure = contact_sheet_figure([(group, [exhibit(dict(films.iloc[0].dropna()))])], 4)
    points = np.concatenate([path.vertices for path in figure.axes[0].collections[0].get_paths()])
    assert points.min(axis=0).tolist() == [9.5, 9.5]
    assert points.max(axis=0).tolist() == [109.5, 49.5]


def test_the_file_is_a_png_of_the_double_column_width(films, tmp_path):
    path = contact_sheet(films, tmp_path / "deep" / "sheet.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width == round(174 / 25.4 * 200)
        assert np.ptp(np.asarray(image.convert("L"))) == 255


def test_groups_beyond_the_limit_are_counted_below(monkeypatch, films, tmp_path):
    texts = []
    monkeypatch.setattr(sheets, "MAXIMUM_ROWS", 1)
    original = sheets.contact_sheet_figure

    def spy(rows: list, per_group: int, not_shown: int = 0) -> object:
        figure = original(rows, per_group, not_shown)
        texts.extend(text.get_text() for text in figure.texts)
        return figure

    monkeypatch.setattr(sheets, "contact_sheet_figure", spy)
    contact_sheet(films, tmp_path / "sheet.png")
    assert "and 1 more groups" in texts


def test_a_group_of_broken_films_alone_can_be_drawn():
    figure = contact_sheet_figure([(Group(("a",), 1, 1, []), [Exhibit("s", None, {}, "damaged")])], 8)
    assert [text.get_text() for text in figure.axes[0].texts] == ["damaged"]
    assert not figure.legends or not figure.legends[0].texts


def test_unusable_requests_are_refused_with_what_was_expected(films, tmp_path):
    with pytest.raises(CohortError, match="no column 'hospital'"):
        contact_sheet(films, tmp_path / "a.png", group_by=("hospital",))
    with pytest.raises(CohortError, match="no rows"):
        contact_sheet(films.head(0), tmp_path / "a.png")
    with pytest.raises(ConfigError, match="1 to 16"):
        contact_sheet(films, tmp_path / "a.png", per_group=0)
    with pytest.raises(ConfigError, match=r"\.png"):
        contact_sheet(films, tmp_path / "a.jpg")
