from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from patchcxr.errors import CohortError, ConfigError
from patchcxr.report.spreadsheet import read_table
from patchcxr.report.statistics_report import statistics_report
from patchcxr.stats.markers import compare_groups
from patchcxr.stats.paired import paired_table, signed_rank_pairs


def cohort(rng):
    label = np.repeat(["covid19", "normal", "viral"], 20)
    table = pd.DataFrame({"study": [f"s_{i}" for i in range(60)], "patient": [f"p{i // 2}" for i in range(60)]})
    table["label"], table["view"] = label, np.where(np.arange(60) % 4 == 0, "AP Supine", "PA")
    table["lung mean/<x>"] = rng.normal(np.repeat([1.5, 0, 0.2], 20), 1)
    table.loc[0, "lung mean/<x>"] = np.nan
    return table


def test_one_call_writes_every_table_figure_and_a_page_of_its_own(rng, tmp_path):
    table = cohort(rng)
    table.loc[len(table)] = ["s_60", "p30", None, "PA", 0.0]
    statistics_report(table, ["lung mean/<x>"], "label", out=tmp_path, exclude={"view": ["AP Supine"]})
    base = "lung-mean-x-"
    for name in ("table", "summary", "normality", "omnibus", "pairs", "pairs_films", "excluded_table",
                 "excluded_groups", "excluded_pairs"):  # fmt: skip
        for kind in ("csv", "md", "tex", "html"):
            assert (tmp_path / f"{base}_{name}.{kind}").stat().st_size > 0
    for name in (base, f"{base}_forest"):
        for kind in ("png", "svg", "pdf"):
            assert (tmp_path / f"{name}.{kind}").stat().st_size > 1000
    order = ["normal", "viral", "covid19"]
    found = compare_groups(table.dropna(subset="label"), "lung mean/<x>", "label", order)
    pairs = read_table(tmp_path / f"{base}_pairs.csv")
    assert pairs["p_adjusted"].tolist() == pytest.approx(found.pairs["p_adjusted"].tolist())
    assert pairs["n_a"].tolist() == [10, 10, 10]
    naive = read_table(tmp_path / f"{base}_pairs_films.csv")
    assert naive["n_a"].tolist() == [20, 20, 20]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<x>" not in page
    assert "intervals are not adjusted for the number of pairs." in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "<dt>Rows without label</dt><dd>1</dd>" in page
    assert page.count('<figure class="table"') == 9


def test_without_patients_the_page_says_that_films_are_the_unit(rng, tmp_path):
    statistics_report(cohort(rng), ["lung mean/<x>"], "label", patient=None, correction="none", out=tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "films, taken as independent" in page
    assert "not corrected" in page


def test_an_exclusion_that_cannot_be_made_is_said(rng, tmp_path):
    table = cohort(rng).assign(view="PA")
    statistics_report(table, ["lung mean/<x>"], "label", out=tmp_path, exclude={"view": ["AP Supine"]})
    assert "could not be excluded: no film has it" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "lung-mean-x-_excluded_table.csv").exists()


def test_methods_on_the_same_films_are_tested_in_pairs(rng, tmp_path):
    studies = [f"s{i}" for i in range(20)]
    table = pd.concat(
        [
            pd.DataFrame({"study": studies, "patient": [f"p{i // 2}" for i in range(20)], "method": method,
                          "dice": np.clip(rng.normal(mean, 0.1, 20), 0, 1)})
            for method, mean in (("U-Net", 0.6), ("FC-DenseNet", 0.8))
        ]
    )  # fmt: skip
    statistics_report(table, ["dice"], "method", out=tmp_path, paired="study", rng=np.random.default_rng(0))
    found = read_table(tmp_path / "dice_pairs.csv")
    wide = paired_table(table, "study", "method", "dice")
    wide["patient"] = wide["study"].map(table.drop_duplicates("study").set_index("study")["patient"])
    direct = signed_rank_pairs(wide, ["FC-DenseNet", "U-Net"])
    assert found["p"].tolist() == pytest.approx(direct["p"].tolist())
    assert found["n"].tolist() == [10]
    assert np.isfinite(found["mean_difference_low"]).all()
    assert "signed-rank" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_value_that_nobody_has_gives_tables_and_a_remark(rng, tmp_path):
    table = cohort(rng).assign(empty=np.nan)
    statistics_report(table, ["empty"], "label", out=tmp_path)
    assert "nothing can be drawn" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "empty.png").exists()


def test_unusable_tables_are_refused_before_anything_is_written(rng, tmp_path):
    table = cohort(rng)
    with pytest.raises(ConfigError, match="no column ctr"):
        statistics_report(table, ["ctr"], "label", out=tmp_path / "a")
    with pytest.raises(CohortError, match="at least two"):
        statistics_report(table[table["label"] == "viral"], ["lung mean/<x>"], "label", out=tmp_path / "a")
    assert not (tmp_path / "a").exists()
