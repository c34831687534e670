"""Ids, cells and fields of any text lead to files of their own below a folder, and are no formulas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchcxr.data.boxes import format_boxes, parse_boxes
from patchcxr.errors import PatchCXRError
from patchcxr.io.arrays import ArrayFolder, safe_name
from patchcxr.io.chexlocalize import map_name, parse_map_name
from patchcxr.io.masks import read_mask
from patchcxr.io.rle import decode_rle
from patchcxr.preprocessing.store import FilmStore
from patchcxr.report.spreadsheet import FORMULA_STARTS, harmless, read_table

SEEDED = settings(
    derandomize=True, database=None, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck)
)
IDS = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.sampled_from(
        ["../../x", "/etc/passwd", "..", ".", "a\nb", "\x1b[31m", "a\0b", "CON", "x" * 5000, "~", "-rf", "a\\b"]
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@SEEDED
@given(st.lists(IDS, min_size=2, max_size=6, unique=True))
def test_ids_have_files_of_their_own_below_the_folder(ids):
    root = Path("/results")
    names = [safe_name(one) for one in ids]
    assert len(set(names)) == len(ids)
    for one, name in zip(ids, names, strict=True):
        assert name.isascii()
        assert name.isprintable()
        assert ArrayFolder(root).path(one).resolve().parent == root
        assert len(ArrayFolder(root).path(one).name) < 200
        stored = FilmStore(root, 64)._path(one, ".npy")
        assert stored.resolve().is_relative_to(root)
        assert len(stored.name) < 200


@SEEDED
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), min_size=1, max_size=5))
def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path_factory, cells):
    table = pd.DataFrame({"study": [f"s{cell}" for cell in cells], "note": [f"=x{cell}" for cell in cells]})
    path = tmp_path_factory.mktemp("cells") / "t.csv"
    harmless(table).to_csv(path, index=False)
    assert not pd.read_csv(path, dtype=str, keep_default_na=False)["note"].str.startswith(FORMULA_STARTS).any()
    assert read_table(path)["note"].tolist() == table["note"].tolist()


@SEEDED
@given(st.text(max_size=40) | st.from_regex(r"[-0-9.einf,:|]{0,30}", fullmatch=True))
def test_boxes_are_parsed_or_refused_and_written_as_they_were_read(text):
    try:
        boxes = parse_boxes(text)
    except PatchCXRError:
        return
    assert parse_boxes(format_boxes(boxes)) == boxes


@SEEDED
@given(VALUES, VALUES)
def test_run_lengths_of_any_json_make_a_mask_or_an_error(size, counts):
    for encoded in ({"size": size, "counts": counts}, size, {"size": [2, 3], "counts": counts}):
        try:
            assert decode_rle(encoded).dtype == bool
        except PatchCXRError:
            continue


@SEEDED
@given(st.text(max_size=60) | st.just("a" * 5000))
def test_a_mask_field_of_any_text_is_refused_by_name(field):
    try:
        assert read_mask(f"absent/{field}", (4, 4)).shape == (4, 4)
    except PatchCXRError:
        return


@SEEDED
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=9).filter(lambda text: "_" not in text))
def test_a_map_is_found_by_the_name_that_it_was_given(image, finding):
    assert parse_map_name(map_name(image, finding)) == (image, finding)
