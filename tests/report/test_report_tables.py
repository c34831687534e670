from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import ConfigError
from patchcxr.report.published import CONFUSIONS, PUBLISHED, beside_published, published, published_stars
from patchcxr.report.tables import (
    format_interval,
    format_mean_std,
    format_number,
    format_p,
    format_percent,
    format_table,
    to_html,
    to_markdown,
    write_table,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format_mean_std(0.955, 0.015), "0.955 ± 0.015"),
        (format_mean_std(0.9551), "0.955"),
        (format_mean_std(np.nan, 0.1), "–"),
        (format_mean_std(1, 0, digits=1), "1.0 ± 0.0"),
        (format_interval(0.9531, 0.921, 0.978), "0.953 (0.921 to 0.978)"),
        (format_interval(0.9531, np.nan, np.nan), "0.953"),
        (format_p(0.0005), "<0.001"),
        (format_p(0.001), "0.001"),
        (format_p(1.0), "1.000"),
        (format_p(np.nan), "–"),
        (format_number(np.int64(12)), "12"),
        (format_number(-0.5, 1), "−0.5"),
        (format_percent(0.92481), "92.5 %"),
        (format_percent(None), "–"),
    ],
)
def test_numbers_are_written_as_journals_do(text, expected):
    assert text == expected


def test_tables_write_p_values_names_and_missing_cells_by_themselves():
    table = pd.DataFrame(
        {"label": ["covid19", "x"], "n": [3, 4], "p_adjusted": [1e-9, np.nan], "flag": [True, False], "v": [0.5, 1.0]}
    )
    text = format_table(table, {"v": ".1f"})
    assert text.values.tolist() == [["COVID-19", "3", "<0.001", "yes", "0.5"], ["x", "4", "–", "no", "1.0"]]
    with pytest.raises(ConfigError, match="'w'"):
        format_table(table, {"w": ".1f"})


def test_html_tables_escape_text_and_scope_their_headers():
    html = to_html(pd.DataFrame({"study": ["<script>alert(1)</script>"], "a<b": [1.0]}))
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert '<th scope="col">Study</th>' in html
    assert '<th scope="col" class="number">A&lt;b</th>' in html
    assert '<th scope="row">' in html


def test_markdown_tables_keep_pipes_and_line_ends_inside_cells():
    lines = to_markdown(pd.DataFrame({"error": ["a|b\nc"], "f1": [0.5]})).splitlines()
    assert lines == ["| Error | F1 |", "| --- | ---: |", r"| a\|b c | 0.500 |"]


def test_write_table_keeps_every_digit_in_csv(tmp_path):
    table = pd.DataFrame({"label": ["covid19"], "v": [1 / 3]})
    csv, markdown = write_table(table, tmp_path / "tables" / "biomarkers")
    pd.testing.assert_frame_equal(pd.read_csv(csv), table, check_exact=True)
    assert "0.333" in markdown.read_text(encoding="utf-8")
    empty, _ = write_table(table.iloc[:0], tmp_path / "empty")
    assert empty.read_text(encoding="utf-8") == "label,v\n"


@pytest.mark.parametrize(
    ("paper", "table", "setting", "measure", "value", "spread"),
    [
        ("Oh 2020", "Table V", "JSRT, preprocessed", "lung_jaccard", 0.955, 0.015),
        ("Oh 2020", "Table V", "JSRT, preprocessed", "heart_jaccard", 0.889, 0.054),
        ("Oh 2020", "Table V", "NLM(MC), preprocessed", "lung_jaccard", 0.943, 0.013),
        ("Oh 2020", "Table VI", "bacterial", "lung_mean", 0.558, 0.054),
        ("Oh 2020", "Table VII", "viral", "lung_std", 0.165, 0.022),
        ("Oh 2020", "Table IX", "covid19", "cardiothoracic_ratio", 0.499, 0.086),
        ("Oh 2020", "Table X", "local", "accuracy", 0.889, None),
        ("Oh 2020", "Table XI", "global", "sensitivity_bacterial", 0.30, None),
        ("Degerli 2021", "Table 2", "U-Net, DenseNet-121", "f1", 0.8581, None),
        ("Degerli 2021", "Table 3", "UNet++, DenseNet-121", "specificity", 0.9916, 0.0016),
        ("Tahir 2021", "Table 2", "infection, UNet++, DenseNet-121", "dice", 0.8821, 0.0185),
        ("Tahir 2021", "Table 3", "FPN, ResNet-18", "sensitivity", 0.9966, 0.0033),
        ("Hertel 2022", "section 3.3", "ResUnet, V7 Labs lungs", "dice", 0.9504, None),
    ],
)
def test_published_numbers_are_those_of_the_papers(paper, table, setting, measure, value, spread):
    rows = published(measure=measure, paper=paper)
    row = rows[(rows["table"] == table) & (rows["setting"] == setting)]
    assert len(row) == 1
    assert row["value"].item() == pytest.approx(value)
    assert np.isnan(row["spread"].item()) if spread is None else row["spread"].item() == pytest.approx(spread)


def test_published_scores_of_detectors_follow_from_the_published_confusions():
    table = published(paper="Degerli 2021")
    for source, printed, setting in (
        ("Table 4a", "Table 3", "U-Net, DenseNet-121"),
        ("Table 4b", "Table 3", "UNet++, DenseNet-121"),
        ("Table 7", "Table 6", "U-Net, DenseNet-121, films, Group-II"),
    ):
        (tn, fp), (fn, tp) = CONFUSIONS["Degerli 2021", source]
        rows = table[(table["table"] == printed) & (table["setting"] == setting)].set_index("measure")["value"]
        assert rows["sensitivity"] == pytest.approx(tp / (tp + fn), abs=6e-5)
        assert rows["specificity"] == pytest.approx(tn / (tn + fp), abs=6e-5)
        assert rows["accuracy"] == pytest.approx((tp + tn) / (tp + tn + fp + fn), abs=6e-5)


def test_recall_f1_and_accuracy_of_oh_agree_with_its_sensitivities():
    sensitivities = [row.value for row in PUBLISHED if row.table == "Table XI" and row.setting == "local"]
    recall = [row.value for row in PUBLISHED if (row.table, row.setting, row.measure) == ("Table X", "local", "recall")]
    assert np.mean(sensitivities) == pytest.approx(recall[0], abs=0.06)


def test_published_percentages_can_stay_as_printed():
    rows = published(measure="f2", paper="Degerli 2021", as_fractions=False)
    assert set(rows["unit"]) == {"percent"}
    assert rows["value"].iloc[0] == 84.71
    assert published()["value"].between(0, 1).all()
    with pytest.raises(ConfigError, match="Oh 2020"):
        published(paper="Oh 2021")
    with pytest.raises(ConfigError, match="heart_jaccard"):
        published(measure="hart_jaccard")


def test_published_stars_are_the_triangle_of_the_table():
    stars = published_stars("lung_mean").set_index(["group_a", "group_b"])["stars"]
    assert len(stars) == 10
    assert stars["normal", "tuberculosis"] == "*"
    assert stars["tuberculosis", "covid19"] == "**"
    assert stars["viral", "covid19"] == "-"
    with pytest.raises(ConfigError, match="lung_std"):
        published_stars("lung_area")


def test_our_numbers_stand_beside_the_published_ones():
    ours = pd.DataFrame(
        {"setting": ["local", "local", "dense"], "measure": ["accuracy", "f2", "accuracy"], "value": [0.9, 0.8, 0.7]}
    )
    beside = beside_published(ours, "Oh 2020", "Table X")
    assert beside["value"].tolist() == [0.9, 0.8, 0.7]
    assert beside["published"].iloc[0] == 0.889
    assert beside["published"].isna().tolist() == [False, True, True]
    assert beside["source"].tolist() == ["Oh 2020, Table X", "", ""]
    with pytest.raises(ConfigError, match="name the table"):
        beside_published(ours, "Oh 2020")
