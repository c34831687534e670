from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.data.boxes import Box, boxes_by_film, boxes_mask, boxes_of, format_boxes, parse_boxes
from patchcxr.errors import CohortError


def test_a_field_gives_its_boxes_in_order_with_their_findings():
    assert parse_boxes(" 410.5,200,80,120:Infiltrate | 0,1,2,3 ") == [
        Box(410.5, 200, 80, 120, "Infiltrate"),
        Box(0, 1, 2, 3),
    ]
    assert parse_boxes("1,2,3,4:Lung Opacity: left")[0].finding == "Lung Opacity: left"


def test_a_reader_who_found_nothing_leaves_no_box_and_an_empty_mask():
    assert parse_boxes("(empty)") == []
    assert format_boxes([]) == "(empty)"
    assert not boxes_mask([], (2, 3)).any()


def test_boxes_survive_the_way_through_text_bit_for_bit(rng):
    boxes = [
        Box(*sides, finding)
        for sides, finding in zip(rng.random((50, 4)) * 1e3 + 0.1, ["Mass", None] * 25, strict=True)
    ]
    assert parse_boxes(format_boxes(boxes)) == boxes


@pytest.mark.parametrize(
    "text",
    ["", "1,2,3", "1,2,3,4,5", "1,2,3,x", "1,2,0,4", "1,2,3,-4", "nan,2,3,4", "1,2,inf,4", "1,2,3,4|", "1,2,3,4:", "a"],
)
def test_malformed_fields_are_refused_and_shown(text):
    with pytest.raises(CohortError, match="expected top,left,height,width") as caught:
        parse_boxes(text)
    assert repr(text) in str(caught.value)


def test_a_finding_that_could_not_be_read_again_is_refused():
    for finding in ("a|b", "", ":a", " a"):
        with pytest.raises(CohortError, match="finding"):
            Box(0, 0, 1, 1, finding)


def test_a_pixel_belongs_to_a_box_that_holds_its_centre():
    expected = [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1]]
    boxes = [Box(top=1, left=0, height=2, width=2), Box(top=1.6, left=2.6, height=9, width=1)]
    np.testing.assert_array_equal(boxes_mask(boxes, (4, 4)), np.array(expected, dtype=bool))


def test_a_mask_agrees_with_a_test_of_every_pixel_centre(rng):
    for _ in range(50):
        top, left = rng.uniform(-6, 12, 2)
        height, width = rng.uniform(0.1, 9, 2)
        rows, columns = np.mgrid[:10, :8] + 0.5
        inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
        np.testing.assert_array_equal(boxes_mask([Box(top, left, height, width)], (10, 8)), inside)


def test_the_whole_film_is_a_box_of_its_shape():
    assert boxes_mask([Box(0, 0, 5, 7)], (5, 7)).all()


def test_rows_of_a_table_are_gathered_by_film():
    table = pd.DataFrame(
        {
            "film": ["b", "a", "b"],
            "x": [1, 2, 3.5],
            "y": [4, 5, 6],
            "w": [7, 8, 9],
            "h": [1, 1, 2],
            "f": ["Mass", None, "Mass"],
        }
    )
    fields = boxes_by_film(table["film"], table["y"], table["x"], table["h"], table["w"], table["f"])
    assert fields == {"b": "4,1,1,7:Mass|6,3.5,2,9:Mass", "a": "5,2,1,8"}
    with pytest.raises(CohortError, match="film a: box has"):
        boxes_by_film(table["film"], table["y"], table["x"], table["h"].mask(table["film"] == "a"), table["w"])


def test_only_the_boxes_of_the_findings_asked_for_are_kept():
    boxes = parse_boxes("0,0,5,5:Mass|0,9,5,5:Nodule|3,3,5,5")
    assert boxes_of(boxes) == boxes
    assert [box.finding for box in boxes_of(boxes, ["Nodule", "Effusion"])] == ["Nodule"]


def test_boxes_are_scaled_to_the_size_of_a_map_before_they_are_drawn():
    # 100 x 200 onto 4 x 4: one pixel is 25 x 50; rows 1.0 to 2.4 hold the centre 1.5, columns 0.4 to 2.6 three of them.
    mask = boxes_mask([Box(top=25, left=20, height=35, width=110)], (4, 4), film_shape=(100, 200))
    expected = np.zeros((4, 4), bool)
    expected[1, 0:3] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_box_smaller_than_a_pixel_of_the_map_is_not_lost():
    box = Box(top=26, left=160, height=4, width=4)
    mask = boxes_mask([box], (4, 4), film_shape=(100, 200))
    assert np.argwhere(mask).tolist() == [[1, 3]]
    assert not boxes_mask([Box(-30, -30, 10, 10)], (4, 4), film_shape=(100, 200)).any()
