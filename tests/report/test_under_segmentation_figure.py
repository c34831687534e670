"""The figure of under-segmented films: where the marks lie, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import ConfigError, MaskError
from patchcxr.report.under_segmentation import OH_COUNTS, Example, under_segmentation_figure
from patchcxr.stats.intervals import wilson_interval


def counts(**labels):
    rows = []
    for label, (found, films) in labels.items():
        low, high = wilson_interval(found, films)
        rows.append({"label": label, "films": films, "under_segmented": found, "share": found / films,
                     "share_low": low, "share_high": high})  # fmt: skip
    return pd.DataFrame(rows)


def marks(figure, name):
    return [line.get_xydata() for line in figure.axes[0].lines if line.get_gid() == name]


def test_shares_lie_in_their_intervals_in_the_order_of_the_table():
    figure = under_segmentation_figure(counts(bacterial=(5, 20), normal=(0, 40)))
    first, second = marks(figure, "share")
    assert (first[0, 0], second[0, 0]) == (25.0, 0.0)
    assert first[0, 1] < second[0, 1]
    (low, high), _ = (line[:, 0] for line in marks(figure, "interval"))
    assert (low, high) == pytest.approx([100 * end for end in wilson_interval(5, 20)])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Bacterial", "Normal"]


def test_the_papers_counts_stand_below_as_hollow_marks_for_its_classes_only():
    figure = under_segmentation_figure(counts(bacterial=(5, 20), fungal=(1, 4), covid19=(3, 9)))
    hollow = [line for line in figure.axes[0].lines if line.get_gid() == "published"]
    assert [line.get_xdata()[0] for line in hollow] == pytest.approx([100 * 7 / 54, 2.5])
    assert {line.get_markerfacecolor() for line in hollow} == {"white"}
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["5 of 20", "7 of 54", "1 of 4", "3 of 9", "5 of 200"]


def test_the_papers_percentages_follow_from_its_counts():
    printed = {"normal": 0.0, "tuberculosis": 3.5, "bacterial": 13.0, "viral": 2.5}
    assert {name: round(100 * OH_COUNTS[name][0] / OH_COUNTS[name][1], 1) for name in printed} == printed


def test_examples_are_shown_with_their_outline_below():
    lungs = np.zeros((20, 30), bool)
    lungs[5:15, 5:12] = True
    example = Example(np.full((20, 30), 0.4), lungs, "Bacterial · 0.61")
    figure = under_segmentation_figure(counts(bacterial=(5, 20)), [example] * 7)
    below = figure.axes[1:]
    assert len(below) == 5
    assert below[0].get_title(loc="left") == "Bacterial · 0.61"
    corners = below[0].collections[0].get_paths()[0].vertices
    assert corners[:, 0].min() == pytest.approx(4.5, abs=0.51)
    assert corners[:, 0].max() == pytest.approx(11.5, abs=0.51)


def test_tables_without_rows_or_columns_and_masks_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="lack share_low"):
        under_segmentation_figure(counts(normal=(0, 4)).drop(columns="share_low"))
    with pytest.raises(ConfigError, match="have 0 rows"):
        under_segmentation_figure(counts(normal=(0, 4)).iloc[:0])
    with pytest.raises(MaskError, match="lungs has shape"):
        under_segmentation_figure(counts(normal=(0, 4)), [Example(np.zeros((9, 9)), np.zeros((8, 9), bool), "a")])
