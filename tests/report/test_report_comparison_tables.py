from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from patchcxr.errors import ConfigError
from patchcxr.report.comparison_tables import exclusion_tables, localization_table, pairs_table, triangle
from patchcxr.report.published import published_stars
from patchcxr.report.spreadsheet import read_table
from patchcxr.stats.markers import compare_groups
from patchcxr.stats.paired import signed_rank_pairs

ORDER = ["normal", "tuberculosis", "bacterial", "viral", "covid19"]


def cohort(rng, n=30):
    label = np.repeat(ORDER, n)
    shift = np.repeat([0.0, 0.0, 0.3, 2.0, 2.1], n)
    table = pd.DataFrame({"study": [f"s{i}" for i in range(5 * n)], "label": label})
    table["patient"] = [f"p{i // 2}" for i in range(5 * n)]
    table["view"] = np.where(rng.random(5 * n) < 0.2, "AP Supine", "PA")
    table["lung_std"] = rng.normal(shift, 1)
    table.loc[0, "lung_std"] = np.nan
    return table


def test_the_triangle_has_the_papers_form_and_the_stars_of_the_tests(rng, tmp_path):
    found = compare_groups(cohort(rng), "lung_std", "label", ORDER)
    table = triangle(found)
    assert list(table.data.columns) == ["group", "n", "dropped", "Mean", "STD", *ORDER[:-1]]
    assert table.data["n"].tolist() == [15] * 5
    assert table.data["dropped"].tolist() == [1, 0, 0, 0, 0]
    cells = table.data[ORDER[:-1]].to_numpy()
    assert (cells[np.triu_indices(5, 0, 4)] == "").all()
    for pair in found.pairs.itertuples():
        assert table.data.set_index("group").loc[pair.group_b, pair.group_a] == pair.stars
    assert list(table.readable.columns)[5:] == ["Normal", "Tuberculosis", "Bacterial", "Viral"]
    assert set(table.heads) == {"Normal", "Tuberculosis", "Bacterial", "Viral"}
    for word in ("rank-sum", "patients", "10 pairs", "Holm", "dropped"):
        assert word in table.note
    paths = table.write(tmp_path / "vii")
    assert [path.suffix for path in paths] == [".csv", ".md", ".tex", ".html"]
    assert read_table(paths[0])["covid19" if "covid19" in table.data else "viral"].tolist()[4] == cells[4, 3]
    html = paths[3].read_text(encoding="utf-8")
    assert '<th scope="colgroup" colspan="4">Statistical significance</th>' in html
    assert '<meta charset="utf-8">' in html
    assert r"\multicolumn{4}{c}{Statistical significance}" in paths[2].read_text(encoding="utf-8")
    assert table.note.split(";")[0] in paths[1].read_text(encoding="utf-8")


def test_published_stars_fit_the_triangle():
    stars = published_stars("lung_mean")
    summary = pd.DataFrame({"group": ORDER, "n": 1, "dropped": 0, "mean": 0.5, "std": 0.1})
    films = pd.DataFrame({"label": ORDER * 3, "lung_mean": range(15)})
    found = compare_groups(films, "lung_mean", "label", ORDER, correction="none")
    printed = triangle(replace(found, pairs=stars, summary=summary)).data.set_index("group")
    assert printed.loc["covid19", ["normal", "tuberculosis", "bacterial", "viral"]].tolist() == [
        "***",
        "**",
        "***",
        "-",
    ]
    assert "films, taken as independent" in triangle(found).note
    assert "not corrected" in triangle(found).note


def test_pairs_keep_every_column_in_csv_and_fit_a_page(rng):
    pairs = compare_groups(cohort(rng), "lung_std", "label", ORDER).pairs
    table = pairs_table(pairs)
    assert table.data is pairs
    assert table.readable.shape[1] <= 10
    first = pairs.iloc[0]
    text = f"{first['shift']:.3f} ({first['shift_low']:.3f} to {first['shift_high']:.3f})".replace("-", "−")
    assert table.readable["Shift (95 % CI)"][0].replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [("*", "-", "lost"), ("-", "**", "gained"), ("***", "*", "weaker"), ("*", "**", "stronger"), ("-", "-", ""),
     ("*", "n/a", "no test"), ("n/a", "n/a", "")],
)  # fmt: skip
def test_exclusion_says_what_changed(rng, before, after, change):
    table = cohort(rng)
    full, kept = (compare_groups(t, "lung_std", "label", ORDER) for t in (table, table[table["view"] != "AP Supine"]))
    full = replace(full, pairs=full.pairs.assign(stars=before))
    kept = replace(kept, pairs=kept.pairs.assign(stars=after))
    groups, pairs = exclusion_tables(full, kept, "AP supine films")
    assert pairs.data["change"].tolist() == [change] * 10
    assert f"{10 if change else 0} of 10 pairs changed" in pairs.caption
    row = groups.data.iloc[3]
    assert row["mean_change"] == pytest.approx(kept.summary["mean"][3] - full.summary["mean"][3])
    assert row["n_kept"] == kept.summary["n"][3]


def test_a_group_that_the_exclusion_empties_has_no_test(rng):
    table = cohort(rng)
    table.loc[table["label"] == "viral", "view"] = "AP Supine"
    rest = table[table["view"] != "AP Supine"]
    full = compare_groups(table, "lung_std", "label", ORDER)
    kept = compare_groups(rest, "lung_std", "label", [name for name in ORDER if name != "viral"])
    groups, pairs = exclusion_tables(full, kept, "AP supine films")
    assert groups.data.set_index("group").loc["viral", "n_kept"] == 0
    touched = pairs.data[["group_a", "group_b"]].eq("viral").any(axis=1)
    assert (pairs.data.loc[touched, "change"] == "no test").all()
    with pytest.raises(ConfigError, match="correction"):
        exclusion_tables(full, compare_groups(rest, "lung_std", "label", correction="none"), "x")


def maps(rng, films=24):
    rows = []
    for i in range(films):
        for measure in ("best_dice", "auroc"):
            for method, add in (("global", 0.0), ("local", 0.1), ("infection", 0.3)):
                value = np.clip(rng.normal(0.4 + add, 0.1), 0, 1)
                rows.append((f"s{i}", f"p{i // 2}", method, measure, value))
    return pd.DataFrame(rows, columns=["study", "patient", "method", "measure", "value"])


def test_maps_are_tested_in_pairs_over_patients_and_holm_counts_the_pairs(rng):
    scores = maps(rng)
    table = localization_table(scores, rng=np.random.default_rng(0), resamples=200)
    part = scores[scores["measure"] == "auroc"].pivot(index=["study", "patient"], columns="method", values="value")
    patients = part.groupby("patient").mean()
    row = table.data[
        (table.data["measure"] == "auroc") & (table.data["method_a"] == "global") & (table.data["method_b"] == "local")
    ].iloc[0]
    assert row["n"] == 12
    assert row["p"] == pytest.approx(stats.wilcoxon(patients["global"] - patients["local"], method="exact").pvalue)
    assert row["median_difference"] == pytest.approx((patients["global"] - patients["local"]).median())
    assert row["median_difference_low"] <= row["median_difference"] <= row["median_difference_high"]
    auroc = table.data[table.data["measure"] == "auroc"]
    holm = np.maximum.accumulate(np.sort(auroc["p"].to_numpy()) * [3, 2, 1]).clip(max=1)
    assert np.sort(auroc["p_adjusted"]) == pytest.approx(holm)
    every = localization_table(scores, over="all").data
    assert every["p_adjusted"].min() == pytest.approx(min(1.0, 6 * every["p"].min()))
    assert table.readable["measure"].tolist() == ["best_dice", "auroc"]
    assert list(table.readable.columns)[2:] == ["A: global", "B: local", "C: infection", "A − B", "A − C", "B − C"]


def test_without_patients_films_are_the_unit_and_the_note_says_so(rng):
    scores = maps(rng).drop(columns="patient")
    table = localization_table(scores, measures=["auroc"], methods=["global", "infection"])
    wide = scores[scores["measure"] == "auroc"].pivot(index="study", columns="method", values="value").reset_index()
    direct = signed_rank_pairs(wide, ["global", "infection"])
    assert table.data["p"].tolist() == direct["p"].tolist()
    assert "films, taken as independent" in table.note
    with pytest.raises(ConfigError, match="'all'"):
        localization_table(scores, over="films")
    with pytest.raises(ConfigError, match="no column method"):
        localization_table(scores.drop(columns="method"))
