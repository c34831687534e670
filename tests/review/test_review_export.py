"""What readers settled on leaves the review as masks, a cohort and a table of where each came from."""

import csv

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.cohort import complete_columns, read_cohort, write_cohort
from patchcxr.errors import ReviewError
from patchcxr.io.arrays import safe_name
from patchcxr.io.masks import read_mask
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.tables import write_table
from patchcxr.review.blobs import encode_mask
from patchcxr.review.export import export, settled_masks
from patchcxr.review.records import Film, ProposedFilm
from patchcxr.review.store import ReviewStore

SHAPE = (6, 8)
FILMS = ("plain", "=SUM(A1)", "Ångström 胸/x", "out", "waits", "doubt", "clear")


def square(row, column, side=3):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[row : row + side, column : column + side] = True
    return mask


MANUAL, UNET, DRAWN, NOTHING = square(0, 0), square(1, 1), square(2, 4), np.zeros(SHAPE, dtype=bool)


def proposed(film, **masks):
    shown = {name.replace("reader_", "reader:"): encode_mask(mask) for name, mask in masks.items()}
    return ProposedFilm(Film(film, f"/films/{film}.png", f"P-{film}", *SHAPE, None, None), shown, 0.0, None)


def candidate(store, round, film, source):
    table = store.candidates(round)
    return int(table.loc[(table["film"] == film) & (table["source"] == source), "candidate"].iloc[0])


@pytest.fixture
def store(tmp_path):
    """One round with a decision of every kind."""
    store = ReviewStore.create(tmp_path / "review")
    store.add_reader("@ann")
    store.add_round("first", "choose", 1, [proposed(film, manual=MANUAL, unet=UNET, empty=NOTHING) for film in FILMS])

    def decide(film, action, note="", **content):
        store.decide("@ann", film, 1, action, f"key-{FILMS.index(film)}", note=note, **content)

    decide("plain", "choose", candidate=candidate(store, 1, "plain", "unet"))
    decide(
        "=SUM(A1)", "choose", '=HYPERLINK("http://x")\nsecond line', candidate=candidate(store, 1, "=SUM(A1)", "manual")
    )
    start = candidate(store, 1, "Ångström 胸/x", "unet")
    decide("Ångström 胸/x", "draw", png=encode_mask(DRAWN), start=start)
    decide("out", "exclude", "+lateral film")
    decide("doubt", "unsure", "white base")
    decide("clear", "choose", candidate=candidate(store, 1, "clear", "empty"))
    return store


@pytest.fixture
def cohort():
    rows = [
        {
            "study": film,
            "patient": f"P-{film}",
            "image": f"/films/{film}.png",
            "label": "viral",
            "infection_mask": f"/old/{safe_name(film)}.png",
            "ward": f"ward of {film}",
        }
        for film in (*FILMS, "never shown")
    ]
    return complete_columns(pd.DataFrame(rows))


def test_masks_are_those_that_were_settled_pixel_by_pixel(store, cohort, tmp_path):
    found = export(store, cohort, tmp_path / "out")
    write_cohort(found.cohort, tmp_path / "out" / "cohort.csv")
    table = read_cohort(tmp_path / "out" / "cohort.csv", check_files=False).set_index("study")
    for film, mask in (("plain", UNET), ("=SUM(A1)", MANUAL), ("Ångström 胸/x", DRAWN), ("clear", NOTHING)):
        np.testing.assert_array_equal(read_mask(table.at[film, "infection_mask"], SHAPE), mask)
    assert table.at["clear", "infection_mask"] == "(empty)"
    assert (tmp_path / "out" / "masks" / "infection" / "plain.png").is_file()


def test_the_cohort_keeps_every_column_and_says_what_became_of_each_film(store, cohort, tmp_path):
    found = export(store, cohort, tmp_path / "out").cohort.set_index("study")
    assert list(found.columns) == [*cohort.columns[1:], "mask_review"]
    assert found["ward"].to_dict() == {film: f"ward of {film}" for film in (*FILMS, "never shown") if film != "out"}
    assert found["mask_review"].to_dict() == {
        "plain": "settled",
        "=SUM(A1)": "settled",
        "Ångström 胸/x": "settled",
        "waits": "open",
        "doubt": "unsure",
        "clear": "settled",
        "never shown": "not reviewed",
    }
    assert found["infection_mask"][["waits", "doubt"]].isna().all()
    assert found.at["never shown", "infection_mask"] == "/old/never_shown-" + safe_name("never shown")[-8:] + ".png"


def test_every_mask_has_its_origin_decision_reader_time_and_digest(store, cohort, tmp_path):
    found = export(store, cohort, tmp_path / "out").provenance.set_index("study")
    made = store.decisions().set_index("film")
    assert found["origin"].to_dict() == {
        "plain": "unet",
        "=SUM(A1)": "manual",
        "Ångström 胸/x": "drawn by @ann",
        "clear": "empty",
    }
    assert found["decision"].to_dict()["Ångström 胸/x"] == "draw"
    assert found.at["Ångström 胸/x", "drawn_from"] == "unet"
    assert found["time"].to_dict() == made["time"][list(found.index)].to_dict()
    assert found["digest"].to_dict() == made["digest"][list(found.index)].to_dict()
    assert found["area"].to_dict() == {"plain": 9, "=SUM(A1)": 9, "Ångström 胸/x": 9, "clear": 0}
    assert (found["reader"] == "@ann").all()
    assert (found["round"] == 1).all()


def test_films_without_a_settled_mask_are_listed_with_the_reason(store, cohort, tmp_path):
    left = export(store, cohort, tmp_path / "out").left_out.set_index("study")
    assert left["outcome"].to_dict() == {"out": "excluded", "waits": "open", "doubt": "unsure"}
    assert left["reason"].to_dict() == {
        "out": "+lateral film",
        "waits": "0 of 1 readers decided",
        "doubt": "white base",
    }
    fewer = export(store, cohort[cohort["study"] != "plain"], tmp_path / "out").left_out.set_index("study")
    assert "not in the cohort" in fewer.at["plain", "reason"]


def test_no_cell_of_the_tables_is_a_formula_and_all_come_back_as_they_were(store, cohort, tmp_path):
    found = export(store, cohort, tmp_path / "out")
    for name in ("provenance", "left_out"):
        path = write_table(getattr(found, name), tmp_path / name, kinds=("csv",))[0]
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "-"))]
        assert list(read_table(path)["study"]) == list(getattr(found, name)["study"])
    note = read_table(tmp_path / "provenance.csv").set_index("study").at["=SUM(A1)", "note"]
    assert note == '=HYPERLINK("http://x")\nsecond line'


def test_a_mask_keeps_its_origin_through_later_rounds(store, cohort, tmp_path):
    store.add_reader("ben")
    films = [
        proposed("plain", settled=UNET),
        proposed("Ångström 胸/x", settled=DRAWN),
        proposed("=SUM(A1)", settled=MANUAL),
    ]
    store.add_round("check", "verify", 2, films)
    for reader in ("@ann", "ben"):
        for film in ("plain", "Ångström 胸/x"):
            one = candidate(store, 2, film, "settled")
            store.decide(reader, film, 2, "choose", f"{reader.strip('@')}-{FILMS.index(film)}", candidate=one)
        store.decide(reader, "=SUM(A1)", 2, "reject", f"{reader.strip('@')}-r")
    found = export(store, cohort, tmp_path / "out")
    rows = found.provenance.set_index("study")
    assert rows["origin"].to_dict() == {"plain": "unet", "Ångström 胸/x": "drawn by @ann", "clear": "empty"}
    assert rows.at["plain", "readers"] == "@ann|ben"
    assert rows.at["plain", "source"] == "settled"
    assert rows.at["plain", "dice"] == 1
    assert rows["round"].to_dict() == {"plain": 2, "Ångström 胸/x": 2, "clear": 1}
    assert found.left_out.set_index("study").at["=SUM(A1)", "outcome"] == "rejected"


def test_an_adjudicated_mask_names_the_reader_whose_mask_it_was(tmp_path, cohort):
    store = ReviewStore.create(tmp_path / "two")
    for name in ("ann", "ben"):
        store.add_reader(name)
    store.add_reader("chief", adjudicator=True)
    store.add_round("first", "choose", 2, [proposed("plain", manual=MANUAL, unet=UNET)])
    store.decide("ann", "plain", 1, "choose", "a", candidate=candidate(store, 1, "plain", "manual"))
    store.decide("ben", "plain", 1, "draw", "b", png=encode_mask(DRAWN))
    store.add_round("decide", "adjudicate", 1, [proposed("plain", reader_ann=MANUAL, reader_ben=DRAWN)])
    store.decide("chief", "plain", 2, "choose", "c", candidate=candidate(store, 2, "plain", "reader:ben"))
    row = export(store, cohort, tmp_path / "out").provenance.iloc[0]
    assert (row["origin"], row["source"], row["reader"]) == ("drawn by ben", "reader:ben", "chief")
    assert (row["round"], row["decided_in"]) == (1, 2)


def test_settled_lungs_replace_both_sides(tmp_path, cohort):
    store = ReviewStore.create(tmp_path / "lungs", target="lung")
    store.add_reader("ann")
    store.add_round("first", "choose", 1, [proposed("plain", unet=UNET)])
    store.decide("ann", "plain", 1, "choose", "a", candidate=candidate(store, 1, "plain", "unet"))
    sides = cohort.assign(right_lung_mask="/old/right.png", left_lung_mask="/old/left.png")
    found = export(store, sides, tmp_path / "out").cohort.set_index("study")
    assert found.at["plain", "lung_mask"] == "masks/lung/plain.png"
    assert pd.isna(found.at["plain", "right_lung_mask"])
    assert found.at["waits", "right_lung_mask"] == "/old/right.png"
    assert found.at["plain", "infection_mask"] == "/old/plain.png"


def test_a_review_without_a_settled_film_is_told_so(tmp_path, cohort):
    store = ReviewStore.create(tmp_path / "new")
    with pytest.raises(ReviewError, match="no film was proposed"):
        export(store, cohort, tmp_path / "out")
    store.add_round("first", "choose", 1, [proposed("plain", unet=UNET)])
    with pytest.raises(ReviewError, match="1 open"):
        export(store, cohort, tmp_path / "out")


def test_settled_masks_alone_are_found_by_the_file_name_of_their_film(store, tmp_path):
    found = settled_masks(store, tmp_path / "masks")
    assert set(found) == {safe_name(film) for film in ("plain", "=SUM(A1)", "Ångström 胸/x", "clear")}
    np.testing.assert_array_equal(read_mask(found["plain"]), UNET)


def test_a_second_export_removes_the_masks_that_are_settled_no_more_and_nothing_else(store, tmp_path):
    table = complete_columns(pd.DataFrame({"study": FILMS, "patient": FILMS, "image": FILMS}), where="test")
    out = tmp_path / "out"
    write_table(export(store, table, out).provenance, out / "provenance", kinds=("csv",))
    gone, mine = out / "masks" / "infection" / f"{safe_name('plain')}.png", out / "masks" / "infection" / "mine.png"
    mine.write_bytes(b"of somebody else")
    assert gone.is_file()
    store.undo("@ann", "key-0", undo_key="undo-0")
    export(store, table, out)
    assert not gone.exists()
    assert mine.is_file()
